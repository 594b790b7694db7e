/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/alloc.h"

#include <limits.h>
#include <rte_common.h>
#include <rte_malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

void *sp_alloc(const char *name, size_t bytes, size_t align, int socket)
{
	if (align > UINT_MAX)
		return NULL;
	return rte_zmalloc_socket(name, bytes, (unsigned int)align, socket);
}

void sp_free(void *memory)
{
	rte_free(memory);
}

#endif
