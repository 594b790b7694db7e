/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/fields_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "rules/names.h"

#define BIT(field) (UINT64_C(1) << SP_FIELD_##field)

_Static_assert(SP_FIELD_COUNT <= 64, "fields are bits of one word");

enum form { FORM_WORD, FORM_LIST, FORM_TEXT };

/* Either `set` or `needs`: a field of a later capability says what it waits for and what serves until then. */
struct meaning {
	int (*set)(struct sp_resolver *r, const char *text);
	const char *needs;
	enum form form; /* how its canonical text is made */
};

static const struct meaning meanings[SP_FIELD_COUNT] = {
	[SP_FIELD_ID] = {sp_set_id, NULL, FORM_WORD},
	[SP_FIELD_ACTION] = {sp_set_action, NULL, FORM_WORD},
	[SP_FIELD_PROTO] = {sp_set_proto, NULL, FORM_LIST},
	[SP_FIELD_FROM] = {sp_set_from, NULL, FORM_LIST},
	[SP_FIELD_SRC] = {sp_set_src, NULL, FORM_LIST},
	[SP_FIELD_TO] = {sp_set_to, NULL, FORM_LIST},
	[SP_FIELD_DST] = {sp_set_dst, NULL, FORM_LIST},
	[SP_FIELD_SPORT] = {sp_set_sport, NULL, FORM_LIST},
	[SP_FIELD_DPORT] = {sp_set_dport, NULL, FORM_LIST},
	[SP_FIELD_ICMP_TYPE] = {sp_set_icmp_type, NULL, FORM_LIST},
	[SP_FIELD_ICMP_CODE] = {sp_set_icmp_code, NULL, FORM_LIST},
	[SP_FIELD_TCP_FLAGS] = {sp_set_tcp_flags, NULL, FORM_LIST},
	[SP_FIELD_VLAN] = {sp_set_vlan, NULL, FORM_LIST},
	[SP_FIELD_ETHERTYPE] = {sp_set_ethertype, NULL, FORM_LIST},
	[SP_FIELD_SRC_MAC] = {sp_set_src_mac, NULL, FORM_LIST},
	[SP_FIELD_LENGTH] = {sp_set_length, NULL, FORM_LIST},
	[SP_FIELD_DSCP] = {sp_set_dscp, NULL, FORM_LIST},
	[SP_FIELD_BPF] = {sp_set_bpf, NULL, FORM_WORD},
	[SP_FIELD_APP] = {NULL, "application recognition; match ports, or look into the payload with inspect", FORM_WORD},
	[SP_FIELD_SNI] = {NULL, "reading of TLS handshakes; match addresses, or look into the payload with inspect", FORM_WORD},
	[SP_FIELD_HTTP_HOST] = {NULL, "reading of HTTP requests; match addresses, or look into the payload with inspect", FORM_WORD},
	[SP_FIELD_DNS_QUERY] = {NULL, "reading of DNS queries; match the resolvers by address, or look into the payload with inspect",
		FORM_WORD},
	[SP_FIELD_INSPECT] = {sp_set_inspect, NULL, FORM_WORD},
	[SP_FIELD_LOG] = {sp_set_log, NULL, FORM_WORD},
	[SP_FIELD_LIMIT] = {sp_set_limit, NULL, FORM_TEXT},
	[SP_FIELD_OVER] = {NULL, "rules for what a limit sheds; limit by itself drops its excess", FORM_WORD},
	[SP_FIELD_MAX_SESSIONS] = {sp_set_max_sessions, NULL, FORM_WORD},
	[SP_FIELD_MAX_PER_SOURCE] = {sp_set_max_per_source, NULL, FORM_WORD},
	[SP_FIELD_TIMEOUT] = {sp_set_timeout, NULL, FORM_WORD},
	[SP_FIELD_MSS] = {sp_set_mss, NULL, FORM_WORD},
	[SP_FIELD_STATELESS] = {sp_set_stateless, NULL, FORM_WORD},
	[SP_FIELD_MONITOR] = {sp_set_monitor, NULL, FORM_WORD},
	[SP_FIELD_SCHEDULE] = {NULL, "a calendar; switch the rule with enabled", FORM_WORD},
	[SP_FIELD_ENABLED] = {sp_set_enabled, NULL, FORM_WORD},
	[SP_FIELD_NAME] = {sp_set_name, NULL, FORM_WORD},
	[SP_FIELD_COMMENT] = {sp_set_comment, NULL, FORM_WORD},
};

static bool only_protos(const struct sp_rule *rule, int a, int b, int c)
{
	uint64_t rest[4];

	memcpy(rest, rule->proto, sizeof(rest));
	rest[a >> 6] &= ~(UINT64_C(1) << (a & 63));
	rest[b >> 6] &= ~(UINT64_C(1) << (b & 63));
	rest[c >> 6] &= ~(UINT64_C(1) << (c & 63));
	return (rest[0] | rest[1] | rest[2] | rest[3]) == 0;
}

/* The value's canonical text, in the arena; NULL on ENOMEM. */
static const char *canonical(struct sp_policy *policy, int field, const char *text)
{
	char *copy, *end;

	if (meanings[field].form == FORM_LIST)
		return sp_list_canonical(policy, text);
	if (field == SP_FIELD_LOG && strcmp(text, "end") == 0)
		text = "true";
	copy = sp_policy_strndup(policy, text, strlen(text));
	if (copy == NULL || meanings[field].form == FORM_WORD)
		return copy;
	end = copy;
	for (const char *s = text + strspn(text, " "); *s != '\0'; s++)
		if (*s != ' ' || (s[1] != ' ' && s[1] != '\0'))
			*end++ = *s;
	*end = '\0';
	return copy;
}

/* Puts the place of messages at a field. */
static void stand_at(struct sp_resolver *r, int field)
{
	r->place.column = r->columns[field];
}

static void set_field(struct sp_resolver *r, const struct sp_rule_value *value)
{
	const struct meaning *meaning = &meanings[value->field];
	const char *name = sp_field_names[value->field];
	int result;

	stand_at(r, value->field);
	if (value->value[0] == '\0')
		result = SP_FAIL(r, "%s: the value is empty: leave the field out", name);
	else if (!sp_text_printable(value->value))
		result = SP_FAIL(r, "%s: the value has control characters or is not UTF-8", name);
	else if (meaning->set == NULL)
		result = SP_FAIL(r, "%s is not supported yet: it needs %s", name, meaning->needs);
	else
		result = meaning->set(r, value->value);
	if (result == 0) {
		r->rule->value[value->field] = canonical(r->policy, value->field, value->value);
		if (r->rule->value[value->field] == NULL)
			result = SP_FAIL(r, "out of memory");
	}
	if (result != 0)
		r->bad |= UINT64_C(1) << value->field;
}

/* Whether a condition on these fields is worth checking: the first is given and none of them was refused. */
static bool sound(const struct sp_resolver *r, uint64_t given, uint64_t others)
{
	return (r->given & given) != 0 && (r->bad & (given | others)) == 0;
}

static void check_ports(struct sp_resolver *r)
{
	static const int fields[] = {SP_FIELD_SPORT, SP_FIELD_DPORT};

	if (sp_rule_any_proto(r->rule)) {
		if ((r->given & (BIT(SPORT) | BIT(DPORT))) == 0 || (r->given & BIT(PROTO)) != 0)
			return;
		r->rule->proto[0] = UINT64_C(1) << IPPROTO_TCP | UINT64_C(1) << IPPROTO_UDP;
		r->rule->proto[IPPROTO_SCTP >> 6] |= UINT64_C(1) << (IPPROTO_SCTP & 63);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		if (!sound(r, UINT64_C(1) << fields[i], BIT(PROTO)) || only_protos(r->rule, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP))
			continue;
		stand_at(r, fields[i]);
		SP_FAIL(r, "%s: only tcp, udp and sctp have ports: write a rule of its own for the others", sp_field_names[fields[i]]);
		r->bad |= UINT64_C(1) << fields[i];
	}
}

static void check_icmp(struct sp_resolver *r)
{
	static const int fields[] = {SP_FIELD_ICMP_TYPE, SP_FIELD_ICMP_CODE};

	for (size_t i = 0; i < 2; i++) {
		if (!sound(r, UINT64_C(1) << fields[i], BIT(PROTO)))
			continue;
		if (!sp_rule_any_proto(r->rule) && only_protos(r->rule, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_ICMPV6))
			continue;
		stand_at(r, fields[i]);
		SP_FAIL(r, "%s needs proto icmp or icmpv6 and no other", sp_field_names[fields[i]]);
		r->bad |= UINT64_C(1) << fields[i];
	}
}

static void check_tcp(struct sp_resolver *r)
{
	const struct sp_rule *rule = r->rule;
	bool tcp_alone = sp_rule_has_proto(rule, IPPROTO_TCP) && only_protos(rule, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP);

	if (sound(r, BIT(TCP_FLAGS), BIT(PROTO)) && !tcp_alone) {
		stand_at(r, SP_FIELD_TCP_FLAGS);
		SP_FAIL(r, "tcp_flags needs proto tcp and no other");
	}
	if (sound(r, BIT(MSS), BIT(PROTO)) && !sp_rule_any_proto(rule) && !sp_rule_has_proto(rule, IPPROTO_TCP)) {
		stand_at(r, SP_FIELD_MSS);
		SP_FAIL(r, "mss needs proto tcp: no other protocol has it");
	}
}

/* A frame that is not IP has no address, protocol or DSCP: asking for both is a slip that would leave half of the rule dead. */
static void check_ethertype(struct sp_resolver *r)
{
	static const uint64_t ip_fields =
		BIT(PROTO) | BIT(SRC) | BIT(DST) | BIT(SPORT) | BIT(DPORT) | BIT(ICMP_TYPE) | BIT(ICMP_CODE) | BIT(TCP_FLAGS) | BIT(DSCP);
	const struct sp_rangelist *list = &r->rule->ethertype;
	char buf[8];

	if (!sound(r, BIT(ETHERTYPE), 0) || (r->given & ip_fields) == 0)
		return;
	stand_at(r, SP_FIELD_ETHERTYPE);
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].lo == list->v[i].hi && (list->v[i].lo == 0x0800 || list->v[i].lo == 0x86dd))
			continue;
		SP_FAIL(r, "ethertype: %s frames have no %s: only ipv4 and ipv6 go together with it", sp_ethertype_name(list->v[i].lo, buf),
			sp_field_names[__builtin_ctzll(r->given & ip_fields)]);
		r->bad |= BIT(ETHERTYPE);
		return;
	}
}

/* A stateless rule opens no session, so nothing that counts or ages sessions can hold for it. */
static void check_stateless(struct sp_resolver *r)
{
	static const int fields[] = {SP_FIELD_MAX_SESSIONS, SP_FIELD_MAX_PER_SOURCE, SP_FIELD_TIMEOUT};

	if (!r->rule->stateless)
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!sound(r, UINT64_C(1) << fields[i], 0))
			continue;
		stand_at(r, fields[i]);
		SP_FAIL(r, "%s has no meaning with stateless, which opens no session", sp_field_names[fields[i]]);
	}
	if (sound(r, BIT(LIMIT), 0) && r->rule->limit.unit == SP_LIMIT_OPENS) {
		stand_at(r, SP_FIELD_LIMIT);
		SP_FAIL(r, "limit: a stateless rule opens no session to count: limit it in pps or Mbit/s");
	}
}

static void check_required(struct sp_resolver *r)
{
	r->place.column = 0;
	if ((r->given & BIT(ID)) == 0)
		SP_FAIL(r, "the rule has no id: give it a number that no other rule has");
	if ((r->given & BIT(ACTION)) == 0)
		SP_FAIL(r, "the rule has no action: allow, drop or reject");
}

/* The value that counts for each field: what the rule says itself goes before what its group says. */
static void choose(struct sp_resolver *r, const struct sp_rule_value *values, int n, int first_own, const struct sp_rule_value *chosen[])
{
	for (int i = 0; i < n; i++) {
		int field = values[i].field;

		if (field < 0 || field >= SP_FIELD_COUNT)
			continue;
		r->columns[field] = values[i].column;
		stand_at(r, field);
		if (chosen[field] != NULL && (i < first_own || chosen[field] >= &values[first_own])) {
			SP_FAIL(r, "%s is said twice", sp_field_names[field]);
			r->bad |= UINT64_C(1) << field;
			continue;
		}
		chosen[field] = &values[i];
		r->given |= UINT64_C(1) << field;
		if (i >= first_own)
			r->rule->own |= UINT64_C(1) << field;
	}
}

int sp_rule_resolve(
	struct sp_policy *policy, struct sp_rule *rule, const struct sp_rule_value *values, int n, int first_own, struct sp_diags *diags)
{
	struct sp_resolver r = {.policy = policy, .rule = rule, .place = {.file = rule->file, .line = rule->line}, .diags = diags};
	const struct sp_rule_value *chosen[SP_FIELD_COUNT] = {NULL};
	size_t errors = diags->errors;

	rule->enabled = true;
	rule->src = rule->dst = -1;
	rule->inspect = -1;
	rule->from = rule->to = SP_ZONE_ANY;
	choose(&r, values, n, first_own, chosen);
	for (int field = 0; field < SP_FIELD_COUNT; field++)
		if (chosen[field] != NULL)
			set_field(&r, chosen[field]);
	check_required(&r);
	check_ports(&r);
	check_icmp(&r);
	check_tcp(&r);
	check_ethertype(&r);
	check_stateless(&r);
	rule->has_residual = rule->residual.n_tcp_flags != 0 || rule->residual.length.n != 0 || rule->residual.dscp.n != 0 ||
			     rule->residual.n_src_mac != 0 || rule->residual.bpf != NULL;
	if (diags->errors != errors) {
		/* The caller may drop the rule, and then nobody would free the program. */
		if (rule->residual.bpf != NULL)
			pcap_freecode(rule->residual.bpf);
		rule->residual.bpf = NULL;
		return -EINVAL;
	}
	rule->content_hash = sp_rule_hash(policy, rule);
	return 0;
}
