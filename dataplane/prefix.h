/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first bytes of a frame in one piece, also of frames whose segments nobody has checked yet.
 */
#ifndef SP_DATAPLANE_PREFIX_H
#define SP_DATAPLANE_PREFIX_H

#include <rte_mbuf.h>
#include <stdint.h>

/*
 * The first `want` bytes of the frame, or as many as its segments truly hold: a pointer into the mbuf when they stand in its first segment,
 * else into `buffer` (at least `want` bytes), where they were copied. *have gets their number. The lengths in the mbuf are not trusted, for
 * dropped frames come here too. Any thread that owns the mbuf.
 */
const uint8_t *sp_prefix_read(const struct rte_mbuf *mbuf, uint32_t want, uint8_t *buffer, uint32_t *have);

#endif
