/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names that rule files may write for numbers, beyond those of fields.h, and the way back for messages. Pure functions.
 */
#ifndef SP_RULES_NAMES_H
#define SP_RULES_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/policy.h"

/* Decimal 0..max of exactly `len` digits without leading zeros; -EINVAL otherwise. `max` is at most 2^31 - 1. */
int64_t sp_number_parse(const char *text, size_t len, uint32_t max);

/* EtherType by name, "0x" and one to four hexadecimal digits, or decimal 0..65535; "llc" is every 802.3 length. 0 or -EINVAL. */
int sp_ethertype_parse(const char *text, size_t len, struct sp_range *out);

/* Name of an EtherType, or its hexadecimal form in buf (at least 7 bytes). */
const char *sp_ethertype_name(uint16_t ethertype, char *buf);

/* DSCP by name (ef, af11, cs6, ...) or decimal 0..63; -EINVAL otherwise. */
int sp_dscp_parse(const char *text, size_t len);

/* "syn,ack", "all" or "none" to the bits of the TCP header; -EINVAL otherwise. */
int sp_tcp_flags_parse(const char *text, size_t len);

/* "syn,ack" for the bits, "none" for 0, in buf (at least 48 bytes); returns buf. */
char *sp_tcp_flags_format(uint8_t flags, char *buf, size_t size);

/* Name of an ICMP type, NULL when it has none. */
const char *sp_icmp_type_name(bool v6, uint8_t type);

/* Six bytes "aa:bb:cc:dd:ee:ff" (or with dashes). 0 or -EINVAL. */
int sp_mac_parse(const char *text, size_t len, uint8_t out[6]);

/* Name of an action: "allow", "drop", "reject". */
const char *sp_action_name(uint8_t action);

/* Action by name, -EINVAL otherwise. */
int sp_action_parse(const char *text, size_t len);

/* Whether the protocol has ports that rules can name: TCP, UDP, SCTP. */
bool sp_proto_has_ports(uint8_t proto);

#endif
