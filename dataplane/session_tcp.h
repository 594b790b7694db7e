/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connection state as a table: state × direction × flags → next state, or a drop. Windows are not tracked here.
 */
#ifndef SP_DATAPLANE_SESSION_TCP_H
#define SP_DATAPLANE_SESSION_TCP_H

#include "dataplane/session.h"

/*
 * Whether a segment with these flags can occur at all: a SYN, a SYN+ACK, a RST, or anything with ACK; never two of SYN, FIN and RST, and no
 * FIN, PSH or URG without ACK except on a SYN (RFC 9293 3.10.7). The upper two bits are not looked at.
 */
bool sp_tcp_flags_valid(uint8_t flags);

/*
 * Judges a segment of a live TCP session (its state is one of TCP_*) and advances its state; `data`: it has payload. Returns SP_DROP_NONE
 * to go on, SP_DROP_TCP_FLAGS or SP_DROP_TCP_STATE; a dropped segment changes nothing. A SYN in the original direction on a closed or
 * time-wait session returns SP_DROP_NONE with *reopen true: the caller removes the session and treats the packet as a miss. The caller
 * writes last_ms of what passes.
 */
enum sp_drop_reason sp_tcp_update(struct sp_sessions *sessions, uint32_t ref, uint8_t flags, bool data, uint32_t now_ms, bool *reopen);

#endif
