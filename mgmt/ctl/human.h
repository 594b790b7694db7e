/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as people read them. Each function writes into buf (at least SP_HUMAN_SIZE bytes) and returns it.
 */
#ifndef SP_MGMT_CTL_HUMAN_H
#define SP_MGMT_CTL_HUMAN_H

#include <stdint.h>

#define SP_HUMAN_SIZE 32

/* "12,345,678" */
char *sp_human_count(int64_t n, char *buf);

/* "512 B", "1.2 MiB" */
char *sp_human_bytes(double n, char *buf);

/* "950", "1.2k", "3.4M": powers of 1,000, followed by unit ("pps", "bit/s", or "") */
char *sp_human_rate(double n, const char *unit, char *buf);

/* "8s", "12m 5s", "3h 12m", "4d 2h" */
char *sp_human_duration(double sec, char *buf);

/* "12s ago" of a time in RFC 3339 UTC; "never" for NULL, the text itself when it is no such time. */
char *sp_human_ago(const char *when, char *buf);

#endif
