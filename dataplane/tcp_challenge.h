/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Challenge ACKs (RFC 5961 3.2, 4.2): the firewall drops a RST that is not exact or a SYN inside a connection, and asks its sender in the
 * name of the other end whether it meant that.
 */
#ifndef SP_DATAPLANE_TCP_CHALLENGE_H
#define SP_DATAPLANE_TCP_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

/* What the configuration says about TCP; shared by all workers, written before they run. */
struct sp_tcp_config {
	uint32_t challenges; /* challenge ACKs that a worker builds a second, on average; 0: none */
	bool midstream;      /* sessions may open by a segment in mid-stream */
};

#define SP_TCP_CHALLENGES 1000 /* default */

/* The rate of one worker; zeroed at first. */
struct sp_tcp_challenges {
	uint32_t second; /* now_ms / 1000 that `left` is for, plus one; 0: none yet */
	uint32_t left;
};

struct sp_worker;

/*
 * Builds a bare ACK to the sender of packet i, a segment of session `ref` that is being dropped, from the numbers that the firewall knows
 * of the other end, and queues it for the port it came from; counts it as built. At most one a session in half a second, and a worker
 * dataplane->tcp.challenges a second more or less: the exact number is drawn anew each second, so that nobody can tell from it how many
 * challenges others got (CVE-2016-5696). What is not built counts as suppressed.
 */
void sp_tcp_challenge(struct sp_worker *worker, unsigned int i, uint32_t ref);

#endif
