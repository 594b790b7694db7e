/* SPDX-License-Identifier: BSD-3-Clause */
/* Setters of fields whose values are lists of numbers. */
#include "rules/fields_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "rules/names.h"

int sp_set_sport(struct sp_resolver *r, const char *text)
{
	return sp_ports_parse(r->policy, text, &r->place, &r->rule->sport, r->diags);
}

int sp_set_dport(struct sp_resolver *r, const char *text)
{
	return sp_ports_parse(r->policy, text, &r->place, &r->rule->dport, r->diags);
}

static int one_number(int64_t number, struct sp_range *out)
{
	if (number < 0)
		return -EINVAL;
	*out = (struct sp_range){(uint16_t)number, (uint16_t)number};
	return 0;
}

static int icmp4_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_icmp_type_parse(false, text, len), out);
}

static int icmp6_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_icmp_type_parse(true, text, len), out);
}

/*
 * A rule has one list of types for both families. A name that is another number in each is both numbers, which is exact as long as
 * neither number means something else in the other family: echo-request is 8 and 128, but time-exceeded (11 and 3) would let
 * ICMPv4's destination-unreachable through.
 */
static int icmp_both_member(const char *text, size_t len, struct sp_range *out)
{
	int v4 = sp_icmp_type_parse(false, text, len), v6 = sp_icmp_type_parse(true, text, len);

	return v4 == v6 ? one_number(v4, out) : -EINVAL;
}

/* "echo-request" for both families, written as "8,128"; other members stay. NULL with a diagnostic. */
static const char *icmp_both_text(struct sp_resolver *r, const char *text)
{
	const char *cursor = text, *item;
	char *out = sp_policy_alloc(r->policy, strlen(text) + 8 * (strlen(text) + 1)), *end = out;
	size_t len;

	if (out == NULL) {
		SP_FAIL(r, "out of memory");
		return NULL;
	}
	while (sp_list_next(&cursor, &item, &len)) {
		int v4 = sp_icmp_type_parse(false, item, len), v6 = sp_icmp_type_parse(true, item, len);

		if (v4 >= 0 && v6 >= 0 && v4 != v6) {
			if (sp_icmp_type_name(true, (uint8_t)v4) != NULL || sp_icmp_type_name(false, (uint8_t)v6) != NULL) {
				SP_FAIL(r,
					"icmp_type: '%.*s' is %d in ICMP and %d in ICMPv6, where the other number means something else: "
					"write one rule for icmp and one for icmpv6",
					SP_SHOWN(len), item, v4, v6);
				return NULL;
			}
			end += sprintf(end, "%s%d,%d", end != out ? "," : "", v4, v6);
		} else {
			end += sprintf(end, "%s%.*s", end != out ? "," : "", (int)len, item);
		}
	}
	return out;
}

int sp_set_icmp_type(struct sp_resolver *r, const char *text)
{
	bool v4 = sp_rule_has_proto(r->rule, IPPROTO_ICMP), v6 = sp_rule_has_proto(r->rule, IPPROTO_ICMPV6);
	const struct sp_list_kind kind = {
		.field = "icmp_type",
		.wants = v4 && v6 ? "a type from 0 to 255, or a name that both icmp and icmpv6 know"
			 : v6     ? "an ICMPv6 type: a number from 0 to 255 or a name such as echo-request"
				  : "an ICMP type: a number from 0 to 255 or a name such as echo-request",
		.max = 255,
		.parse = v4 && v6 ? icmp_both_member
			 : v6     ? icmp6_member
				  : icmp4_member,
	};

	if (v4 && v6)
		text = icmp_both_text(r, text);
	return text != NULL ? sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->icmp_type, r->diags) : -EINVAL;
}

static int byte_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_number_parse(text, len, 255), out);
}

static int vlan_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_number_parse(text, len, 4094), out);
}

static int length_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_number_parse(text, len, 65535), out);
}

static int dscp_member(const char *text, size_t len, struct sp_range *out)
{
	return one_number(sp_dscp_parse(text, len), out);
}

int sp_set_icmp_code(struct sp_resolver *r, const char *text)
{
	static const struct sp_list_kind kind = {.field = "icmp_code", .wants = "a code from 0 to 255", .max = 255, .parse = byte_member};

	return sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->icmp_code, r->diags);
}

int sp_set_vlan(struct sp_resolver *r, const char *text)
{
	static const struct sp_list_kind kind = {
		.field = "vlan", .wants = "a VLAN id from 0 (untagged) to 4094", .max = 4094, .parse = vlan_member};

	return sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->vlan, r->diags);
}

int sp_set_ethertype(struct sp_resolver *r, const char *text)
{
	static const struct sp_list_kind kind = {
		.field = "ethertype", .wants = "an EtherType such as 0x0806, arp or lldp", .max = 65535, .parse = sp_ethertype_parse};
	const struct sp_rangelist *list = &r->rule->ethertype;

	if (sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->ethertype, r->diags) != 0)
		return -EINVAL;
	if (list->n == 1 && list->v[0].lo == list->v[0].hi && (list->v[0].lo == 0x8100 || list->v[0].lo == 0x88a8))
		return SP_FAIL(r, "ethertype: 0x%04x is a VLAN tag, and rules see the type behind it: write vlan", list->v[0].lo);
	return 0;
}

int sp_set_length(struct sp_resolver *r, const char *text)
{
	static const struct sp_list_kind kind = {
		.field = "length", .wants = "a frame length in bytes, or a range such as 0-128", .max = 65535, .parse = length_member};

	return sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->residual.length, r->diags);
}

int sp_set_dscp(struct sp_resolver *r, const char *text)
{
	static const struct sp_list_kind kind = {
		.field = "dscp", .wants = "a DSCP from 0 to 63 or a name such as ef, af41 or cs6", .max = 63, .parse = dscp_member};

	return sp_list_parse(r->policy, text, &r->place, &kind, &r->rule->residual.dscp, r->diags);
}

int sp_set_tcp_flags(struct sp_resolver *r, const char *text)
{
	const char *canonical = sp_list_canonical(r->policy, text), *slash;
	struct sp_tcp_flags *flags = sp_policy_alloc(r->policy, sizeof(*flags));
	int value, mask;

	if (canonical == NULL || flags == NULL)
		return SP_FAIL(r, "out of memory");
	slash = strchr(canonical, '/');
	value = sp_tcp_flags_parse(canonical, slash != NULL ? (size_t)(slash - canonical) : strlen(canonical));
	mask = slash != NULL ? sp_tcp_flags_parse(slash + 1, strlen(slash + 1)) : value;
	if (value < 0 || mask < 0)
		return SP_FAIL(
			r, "tcp_flags: '%.64s' is not FLAGS or FLAGS/MASK of fin, syn, rst, psh, ack, urg, ece, cwr, none and all", text);
	if (mask == 0)
		return SP_FAIL(r, "tcp_flags: '%.64s' looks at no flag: to match none set write none/all", text);
	if ((value & ~mask) != 0)
		return SP_FAIL(r, "tcp_flags: '%.64s' can never match: a flag before the slash is missing behind it", text);
	*flags = (struct sp_tcp_flags){(uint8_t)value, (uint8_t)mask};
	r->rule->residual.tcp_flags = flags;
	r->rule->residual.n_tcp_flags = 1;
	return 0;
}

int sp_set_src_mac(struct sp_resolver *r, const char *text)
{
	struct sp_residual *residual = &r->rule->residual;
	const char *cursor = text, *item;
	size_t n = 1, len;

	for (const char *s = text; *s != '\0'; s++)
		n += *s == ',';
	if (n > SP_RANGES_MAX)
		return SP_FAIL(r, "src_mac: a rule carries at most %d addresses", SP_RANGES_MAX);
	residual->src_mac = sp_policy_alloc(r->policy, n * sizeof(residual->src_mac[0]));
	if (residual->src_mac == NULL)
		return SP_FAIL(r, "out of memory");
	n = 0;
	while (sp_list_next(&cursor, &item, &len))
		if (sp_mac_parse(item, len, residual->src_mac[n++]) != 0)
			return SP_FAIL(r, "src_mac: '%.*s' is not a MAC address such as 02:00:5e:10:00:01", SP_SHOWN(len), item);
	residual->n_src_mac = n;
	return 0;
}
