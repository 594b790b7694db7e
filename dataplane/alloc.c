/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_HUGEPAGE */
#include "dataplane/alloc.h"

#include <limits.h>
#include <rte_common.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef SP_ASAN

void *sp_alloc(const char *name, size_t bytes, size_t align, int socket)
{
	void *memory = NULL;

	(void)name;
	(void)socket;
	/* posix_memalign, unlike aligned_alloc, takes any size: bytes past the end stay poisoned. */
	if (bytes == 0 || posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, bytes) != 0)
		return NULL;
	memset(memory, 0, bytes);
	return memory;
}

void sp_free(void *memory)
{
	free(memory);
}

#else

#define HUGE_PAGE ((size_t)2 << 20)

/*
 * Without huge pages EAL's heap is a memory file, of which the kernel makes no transparent huge pages. Tables that are large enough take
 * memory of their own, of which it does: random access to millions of sessions then costs a third less. The bytes before such memory say
 * how much it is.
 */
struct own {
	size_t bytes; /* mapped, from `base` on */
	void *base;
};

static void *own_alloc(size_t bytes, size_t align)
{
	/* Room to begin on a huge page, behind a note. */
	const size_t mapped = bytes + 2 * HUGE_PAGE;
	uint8_t *base, *memory;

	if (align > HUGE_PAGE || mapped < bytes)
		return NULL;
	base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	memory = RTE_PTR_ALIGN_CEIL(base + sizeof(struct own), HUGE_PAGE);
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	/* Now, and not when a packet opens the first session there. */
	memset(memory, 0, bytes);
	((struct own *)(void *)memory)[-1] = (struct own){mapped, base};
	return memory;
}

void *sp_alloc(const char *name, size_t bytes, size_t align, int socket)
{
	if (align > UINT_MAX)
		return NULL;
	if (bytes >= HUGE_PAGE && !rte_eal_has_hugepages())
		return own_alloc(bytes, align);
	return rte_zmalloc_socket(name, bytes, (unsigned int)align, socket);
}

void sp_free(void *memory)
{
	if (memory != NULL && !rte_eal_has_hugepages() && rte_mem_virt2memseg_list(memory) == NULL) {
		struct own own = ((struct own *)memory)[-1];

		munmap(own.base, own.bytes);
		return;
	}
	rte_free(memory);
}

#endif
