/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every packet file of this firewall has in common: an interface a port, and comments that say what became of a packet and why.
 */
#ifndef SP_MGMT_PACKET_FILE_H
#define SP_MGMT_PACKET_FILE_H

#include "dataplane/capture.h"
#include "dataplane/dataplane.h"
#include "mgmt/pcapng.h"

/* Room for the head of a file: section and SP_PORTS_MAX interfaces with the longest filter. */
#define SP_PACKET_FILE_HEAD_MAX ((size_t)64 * 1024)

/* Section header, and the interfaces in the order of the ports. Returns its length, 0 when it does not fit. Any thread. */
size_t sp_packet_file_head(const struct sp_dataplane *dataplane, uint32_t snaplen, const char *filter, uint8_t *out, size_t room);

/*
 * "rx"; "tx rule=10"; "drop reason=rule rule=20 (main.rules:14)", and where there is one " trace [parse: …]". Takes point, reason, rule,
 * flags and trace of `about`. The caller holds the published rules (sp_published_get). buf has SP_PCAPNG_COMMENT_MAX + 1 bytes.
 */
void sp_packet_file_comment(const struct sp_dataplane *dataplane, const struct sp_capture_packet *about, char *buf, size_t size);

#endif
