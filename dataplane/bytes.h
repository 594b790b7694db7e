/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers in network byte order, at any alignment, to and from the host's.
 */
#ifndef SP_DATAPLANE_BYTES_H
#define SP_DATAPLANE_BYTES_H

#include <rte_byteorder.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t sp_read_be16(const void *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return rte_be_to_cpu_16(value);
}

static inline uint32_t sp_read_be32(const void *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return rte_be_to_cpu_32(value);
}

static inline void sp_write_be16(void *p, uint16_t value)
{
	value = rte_cpu_to_be_16(value);
	memcpy(p, &value, sizeof(value));
}

static inline void sp_write_be32(void *p, uint32_t value)
{
	value = rte_cpu_to_be_32(value);
	memcpy(p, &value, sizeof(value));
}

#endif
