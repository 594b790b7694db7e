/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each field's value means: from text to the resolved members of struct sp_rule, and the cross-field conditions (ports need
 * TCP, UDP or SCTP; icmp_type needs icmp or icmpv6). Lists, ranges, names of protocols, ports, ICMP types, durations, sizes.
 */
#ifndef SP_RULES_FIELDS_H
#define SP_RULES_FIELDS_H

#include "rules/policy.h"
#include "rules/rule_text.h"

/* Where a value stands, for messages. */
struct sp_place {
	const char *file;
	int line, column;
	uint32_t rule;
};

/*
 * Fills `rule` (zeroed, with file, line and group set) from n values: parse, resolve @sets, zones, profiles, intern addresses,
 * compile bpf, canonical text in rule->value, `own` bit set for the values from index first_own on. 0, or -EINVAL with every fault
 * in diags (it does not stop at the first). A field of a later capability is an error that says "not supported yet".
 */
int sp_rule_resolve(
	struct sp_policy *policy, struct sp_rule *rule, const struct sp_rule_value *values, int n, int first_own, struct sp_diags *diags);

/* "30s", "5m", "8h", "2d", or seconds; 1..31536000. 0 or -EINVAL. */
int sp_duration_parse(const char *text, uint32_t *sec);

/* "64K", "1M", "1G" (powers of 1,024), or bytes. 0 or -EINVAL; 0 bytes is taken. */
int sp_size_parse(const char *text, uint64_t *bytes);

/* Protocol number of a name ("tcp", "icmpv6", "gre", …) or a decimal 0..255. -EINVAL otherwise. */
int sp_proto_parse(const char *text, size_t len);

/* Name of a protocol, or its number in buf (at least 4 bytes). */
const char *sp_proto_name(uint8_t proto, char *buf);

/* ICMP type by name ("echo-request", "neighbour-solicitation"…) for IPv4 or IPv6, or decimal 0..255. -EINVAL otherwise. */
int sp_icmp_type_parse(bool v6, const char *text, size_t len);

/* Port by number, or by a name of the short built-in list (ssh, http, https, domain, …). -EINVAL otherwise. */
int sp_port_parse(const char *text, size_t len);

/* Parses a port list ("80,443,8000-8100", "@set") into ranges in the policy's arena, sorted and disjoint. */
int sp_ports_parse(
	struct sp_policy *policy, const char *text, const struct sp_place *place, struct sp_rangelist *out, struct sp_diags *diags);

/*
 * Parses an address expression ("10.0.0.0/8,@lan,!10.1.0.0/16") and interns it: *index into policy->addrsets, equal sets share one.
 * 0 or -EINVAL. `text` is canonical: members without blanks around them. The only maker of policy->addrsets: it may move that array.
 */
int sp_addrs_parse(struct sp_policy *policy, const char *text, const struct sp_place *place, int32_t *index, struct sp_diags *diags);

/*
 * Compiles a pcap-filter expression for Ethernet frames into *out, which the caller frees with pcap_freecode. Names that would be asked of
 * DNS are refused. 0, or -EINVAL with a diagnostic that carries libpcap's words. Any thread.
 */
int sp_bpf_compile(const char *text, const struct sp_place *place, struct bpf_program *out, struct sp_diags *diags);

#endif
