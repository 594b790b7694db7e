/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for the dataplane's tables: from DPDK's heap (huge pages where there are any, on the worker's NUMA node); without huge pages,
 * large tables from the kernel, as transparent huge pages where it makes them. Builds with AddressSanitizer take it from the C heap
 * instead, because the sanitizer cannot see into DPDK's.
 */
#ifndef SP_DATAPLANE_ALLOC_H
#define SP_DATAPLANE_ALLOC_H

#include <stddef.h>

/*
 * Zeroed memory aligned to `align` (a power of two), on NUMA node `socket` (or SOCKET_ID_ANY). `name` is for debuggers. NULL when there is
 * none or bytes is 0. At start only, never on the packet path; needs EAL.
 */
void *sp_alloc(const char *name, size_t bytes, size_t align, int socket);

/* Frees what sp_alloc gave; NULL is allowed. */
void sp_free(void *memory);

#endif
