/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SHA-1 (RFC 3174), only because Community ID version 1 is defined by it. Not for anything that must be safe.
 */
#ifndef SP_MGMT_SHA1_H
#define SP_MGMT_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SP_SHA1_BYTES 20

/* Digest of len bytes. */
void sp_sha1(const void *data, size_t len, uint8_t out[SP_SHA1_BYTES]);

#endif
