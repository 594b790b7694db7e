/* SPDX-License-Identifier: BSD-3-Clause */
/* Setters of fields whose values are words, names, addresses or single numbers. */
#include "rules/fields_internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "rules/names.h"
#include "rules/self.h"

#define NAME_BYTES_MAX    128
#define COMMENT_BYTES_MAX 1024

int sp_set_id(struct sp_resolver *r, const char *text)
{
	int64_t id = sp_number_parse(text, strlen(text), INT32_MAX);

	if (id < 1)
		return SP_FAIL(r, "id: '%.64s' is not a number from 1 to %d", text, INT32_MAX);
	r->rule->id = (uint32_t)id;
	r->place.rule = r->rule->id;
	return 0;
}

int sp_set_action(struct sp_resolver *r, const char *text)
{
	static const struct {
		const char *word, *meant;
	} foreign[] = {{"accept", "allow"}, {"pass", "allow"}, {"permit", "allow"}, {"deny", "drop (silent) or reject (answered)"},
		{"block", "drop (silent) or reject (answered)"}, {"discard", "drop"}};
	int action = sp_action_parse(text, strlen(text));

	for (size_t i = 0; action < 0 && i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strcmp(text, foreign[i].word) == 0)
			return SP_FAIL(r, "action: '%s' is written %s here", text, foreign[i].meant);
	if (action < 0)
		return SP_FAIL(r, "action: '%.64s' is not allow, drop or reject", text);
	r->rule->action = (uint8_t)action;
	return 0;
}

static int add_proto(struct sp_resolver *r, const char *item, size_t len)
{
	int proto = sp_proto_parse(item, len);

	if (proto >= 0) {
		r->rule->proto[proto >> 6] |= UINT64_C(1) << (proto & 63);
		return 0;
	}
	if (len == 3 && (memcmp(item, "any", 3) == 0 || memcmp(item, "all", 3) == 0))
		return SP_FAIL(r, "proto: '%.3s' is what a rule without proto means: leave it out", item);
	if ((len == 2 && memcmp(item, "ip", 2) == 0) || (len == 4 && (memcmp(item, "ipv4", 4) == 0 || memcmp(item, "ipv6", 4) == 0)))
		return SP_FAIL(r,
			"proto: '%.*s' is no protocol over IP: for all packets of a family write src 0.0.0.0/0 or ::/0, for tunnels ipip "
			"or 6in4",
			(int)len, item);
	if (len == 5 && memcmp(item, "icmp6", 5) == 0)
		return SP_FAIL(r, "proto: 'icmp6' is written icmpv6 here");
	return SP_FAIL(r, "proto: '%.*s' is not a protocol name or number from 0 to 255", SP_SHOWN(len), item);
}

int sp_set_proto(struct sp_resolver *r, const char *text)
{
	const char *cursor = text, *item;
	int result = 0;
	size_t len;

	while (sp_list_next(&cursor, &item, &len))
		if (add_proto(r, item, len) != 0)
			result = -EINVAL;
	return result;
}

static void known_zones(const struct sp_zones *zones, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < zones->n && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i != 0 ? ", " : "", zones->name[i]);
}

static int add_zone(struct sp_resolver *r, const char *item, size_t len, uint32_t *mask)
{
	char known[256];
	int zone;

	if (len == 3 && (memcmp(item, "any", 3) == 0 || memcmp(item, "all", 3) == 0))
		return SP_FAIL(r, "zone '%.3s' is what a rule without from or to means: leave it out", item);
	if (len > 0 && item[0] == '!')
		return SP_FAIL(r, "'!' negates addresses only: list the zones that are meant");
	if (sp_field_by_name(item, len) >= 0)
		return SP_FAIL(r, "'%.*s' is a field and cannot name a zone", (int)len, item);
	zone = sp_zone_index(&r->policy->zones, item, len);
	if (zone >= 0) {
		*mask |= UINT32_C(1) << zone;
		return 0;
	}
	if (zone == -ENOSPC)
		return SP_FAIL(r, "zone '%.*s' is one more than the %d that a policy can have", SP_SHOWN(len), item, SP_ZONES_MAX);
	if (zone == -ENOENT && len == 4 && memcmp(item, SP_SELF_ZONE, 4) == 0)
		return SP_FAIL(r, "zone 'self' is the firewall itself, which has no addresses in wire mode: leave the rule out");
	if (zone == -ENOENT) {
		known_zones(&r->policy->zones, known, sizeof(known));
		return SP_FAIL(r, "unknown zone '%.*s': the configuration has %s", SP_SHOWN(len), item, known[0] != '\0' ? known : "none");
	}
	return SP_FAIL(r, "'%.*s' is not a zone name: a letter, then letters, digits, _ and -, at most 31 in all", SP_SHOWN(len), item);
}

static int set_zones(struct sp_resolver *r, const char *text, uint32_t *out)
{
	const char *cursor = text, *item;
	uint32_t mask = 0;
	int result = 0;
	size_t len;

	while (sp_list_next(&cursor, &item, &len))
		if (add_zone(r, item, len, &mask) != 0)
			result = -EINVAL;
	if (result == 0)
		*out = mask;
	return result;
}

int sp_set_from(struct sp_resolver *r, const char *text)
{
	return set_zones(r, text, &r->rule->from);
}

int sp_set_to(struct sp_resolver *r, const char *text)
{
	return set_zones(r, text, &r->rule->to);
}

static int set_addrs(struct sp_resolver *r, const char *text, int32_t *out)
{
	const char *canonical = sp_list_canonical(r->policy, text);

	if (canonical == NULL)
		return SP_FAIL(r, "out of memory");
	return sp_addrs_parse(r->policy, canonical, &r->place, out, r->diags);
}

int sp_set_src(struct sp_resolver *r, const char *text)
{
	return set_addrs(r, text, &r->rule->src);
}

int sp_set_dst(struct sp_resolver *r, const char *text)
{
	return set_addrs(r, text, &r->rule->dst);
}

int sp_set_bpf(struct sp_resolver *r, const char *text)
{
	struct bpf_program *program = sp_policy_alloc(r->policy, sizeof(*program));

	if (program == NULL)
		return SP_FAIL(r, "out of memory");
	if (sp_bpf_compile(text, &r->place, program, r->diags) != 0)
		return -EINVAL;
	r->rule->residual.bpf = program;
	return 0;
}

int sp_set_inspect(struct sp_resolver *r, const char *text)
{
	for (size_t i = 0; i < r->policy->n_profiles; i++) {
		if (strcmp(r->policy->profiles[i].name, text) != 0)
			continue;
		r->rule->inspect = (int16_t)i;
		return 0;
	}
	return SP_FAIL(r, "inspect: unknown profile '%.64s': define it under inspect = { }", text);
}

int sp_set_log(struct sp_resolver *r, const char *text)
{
	static const struct {
		const char *word;
		uint8_t log;
	} logs[] = {{"true", SP_LOG_END}, {"false", SP_LOG_NONE}, {"start", SP_LOG_START}, {"end", SP_LOG_END}, {"both", SP_LOG_BOTH}};

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		if (strcmp(text, logs[i].word) != 0)
			continue;
		r->rule->log = logs[i].log;
		return 0;
	}
	return SP_FAIL(r, "log: '%.64s' is not true, false, start, end or both", text);
}

int sp_set_limit(struct sp_resolver *r, const char *text)
{
	const char *why;

	if (sp_limit_parse(text, &r->rule->limit, &why) != 0)
		return SP_FAIL(r, "limit: '%.64s': %s; such as '100/s burst 200 per src'", text, why);
	return 0;
}

static int set_count(struct sp_resolver *r, const char *field, const char *text, uint32_t *out)
{
	int64_t value = sp_number_parse(text, strlen(text), INT32_MAX);

	if (value < 1)
		return SP_FAIL(r, "%s: '%.64s' is not a number from 1 to %d", field, text, INT32_MAX);
	*out = (uint32_t)value;
	return 0;
}

int sp_set_max_sessions(struct sp_resolver *r, const char *text)
{
	return set_count(r, "max_sessions", text, &r->rule->max_sessions);
}

int sp_set_max_per_source(struct sp_resolver *r, const char *text)
{
	return set_count(r, "max_per_source", text, &r->rule->max_per_source);
}

int sp_set_timeout(struct sp_resolver *r, const char *text)
{
	if (sp_duration_parse(text, &r->rule->timeout_sec) != 0)
		return SP_FAIL(r, "timeout: '%.64s' is not a duration from 1s to 365d such as 30s, 5m, 8h or 2d", text);
	return 0;
}

int sp_set_mss(struct sp_resolver *r, const char *text)
{
	int64_t mss = sp_number_parse(text, strlen(text), 65495);

	if (mss < 536)
		return SP_FAIL(r, "mss: '%.64s' is not a number from 536 to 65495", text);
	r->rule->mss = (uint16_t)mss;
	return 0;
}

static int set_bool(struct sp_resolver *r, const char *field, const char *text, bool *out)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return SP_FAIL(r, "%s: '%.64s' is not true or false", field, text);
	*out = text[0] == 't';
	return 0;
}

int sp_set_stateless(struct sp_resolver *r, const char *text)
{
	return set_bool(r, "stateless", text, &r->rule->stateless);
}

int sp_set_monitor(struct sp_resolver *r, const char *text)
{
	return set_bool(r, "monitor", text, &r->rule->monitor);
}

int sp_set_enabled(struct sp_resolver *r, const char *text)
{
	return set_bool(r, "enabled", text, &r->rule->enabled);
}

int sp_set_name(struct sp_resolver *r, const char *text)
{
	return strlen(text) <= NAME_BYTES_MAX ? 0 : SP_FAIL(r, "name: longer than %d bytes: put the rest into comment", NAME_BYTES_MAX);
}

int sp_set_comment(struct sp_resolver *r, const char *text)
{
	return strlen(text) <= COMMENT_BYTES_MAX ? 0 : SP_FAIL(r, "comment: longer than %d bytes", COMMENT_BYTES_MAX);
}
