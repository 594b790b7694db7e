/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `nat` list: each entry key by key, then what its type makes of the keys together. What an entry has in common with a rule (zones,
 * protocols, addresses, ports, log, names) is read by the setters of rules' fields, into a rule that only lives as long.
 */
#include "rules/read_nat.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "rules/fields_internal.h"
#include "rules/names.h"
#include "rules/read_internal.h"
#include "rules/self.h"

#define BIT(key)   (UINT32_C(1) << SP_NAT_KEY_##key)
#define TYPE(type) (1u << SP_NAT_##type)
#define BOTH_WAYS  (TYPE(STATIC) | TYPE(PREFIX))
#define BLOCK_MIN  64
#define BLOCK_MAX  4096
#define PORT_BOUND (65536 - SP_NAT_PORT_FIRST)

_Static_assert(SP_NAT_KEY_COUNT <= 32, "keys are bits of one word");

/* Keys that not every type has, and why the others refuse them. */
static const struct {
	uint32_t keys;
	unsigned int types;
	const char *why;
} belongs[] = {
	{BIT(TO), TYPE(SOURCE) | BOTH_WAYS,
		"a destination entry decides where its packets go, so that is not known before: narrow it by dst, and write to in the "
		"rule"},
	{BIT(PORT), TYPE(DESTINATION) | BOTH_WAYS, "a source entry chooses ports itself, from 1024 up: take it out"},
	{BIT(METHOD) | BIT(HEALTH), TYPE(DESTINATION), "only destination entries choose among servers: take it out"},
	{BIT(FILTERING) | BIT(BLOCK_SIZE) | BIT(MAX_PER_SOURCE) | BIT(LOG), TYPE(SOURCE),
		"only source entries give out ports: take it out"},
	{BIT(PROTO) | BIT(SPORT) | BIT(DST) | BIT(DPORT) | BIT(PORT), TYPE(SOURCE) | TYPE(DESTINATION),
		"static and prefix entries translate whole addresses, both ways: take it out, or write a destination entry"},
};

static int set_type(struct sp_nat_reader *r, const char *text)
{
	static const struct {
		const char *word, *meant;
	} foreign[] = {{"snat", "source"}, {"masquerade", "source with address = \"interface\""}, {"dnat", "destination"},
		{"redirect", "destination"}, {"netmap", "static"}, {"npt", "prefix"}, {"nptv6", "prefix"}};

	for (int type = 0; type < SP_NAT_TYPE_COUNT; type++) {
		if (strcmp(text, sp_nat_type_names[type]) != 0)
			continue;
		r->entry->type = (uint8_t)type;
		r->typed = true;
		return 0;
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strcmp(text, foreign[i].word) == 0)
			return SP_FAIL(&r->r, "type: '%s' is written %s here", text, foreign[i].meant);
	return SP_FAIL(&r->r, "type: '%.64s' is not source, destination, static or prefix", text);
}

static int set_dst(struct sp_nat_reader *r, const char *text)
{
	if (strcmp(text, "interface") != 0)
		return sp_set_dst(&r->r, text);
	if (r->typed && r->entry->type != SP_NAT_DESTINATION)
		return SP_FAIL(&r->r, "dst: interface is for destination entries: what goes to the firewall itself does not leave again");
	r->entry->dst_interface = true;
	return 0;
}

static int set_port(struct sp_nat_reader *r, const char *text)
{
	struct sp_rangelist *port = &r->entry->port;

	if (sp_ports_parse(r->r.policy, text, &r->r.place, port, r->r.diags) != 0)
		return -EINVAL;
	if (port->n > 1)
		return SP_FAIL(&r->r, "port: '%.64s' is neither one port nor one range: write an entry for each", text);
	return port->v[0].lo != 0 ? 0 : SP_FAIL(&r->r, "port: nothing can be sent to port 0: write a port from 1 to 65535");
}

static int set_method(struct sp_nat_reader *r, const char *text)
{
	if (strcmp(text, "maglev") != 0)
		return SP_FAIL(&r->r, "method: '%.64s' is not maglev", text);
	r->entry->method = SP_NAT_METHOD_MAGLEV;
	return 0;
}

static int set_filtering(struct sp_nat_reader *r, const char *text)
{
	for (int i = 0; i < SP_NAT_FILTERING_COUNT; i++) {
		if (strcmp(text, sp_nat_filtering_names[i]) != 0)
			continue;
		r->entry->filtering = (uint8_t)i;
		return 0;
	}
	return SP_FAIL(&r->r, "filtering: '%.64s' is not session, address or endpoint", text);
}

static int set_block_size(struct sp_nat_reader *r, const char *text)
{
	int64_t value = sp_number_parse(text, strlen(text), BLOCK_MAX);

	if (value < BLOCK_MIN || (value & (value - 1)) != 0)
		return SP_FAIL(&r->r, "block_size: '%.64s' is not a power of two from %d to %d", text, BLOCK_MIN, BLOCK_MAX);
	r->entry->block_size = (uint16_t)value;
	return 0;
}

static int set_max_per_source(struct sp_nat_reader *r, const char *text)
{
	int64_t value = sp_number_parse(text, strlen(text), PORT_BOUND);

	if (value < 1)
		return SP_FAIL(&r->r, "max_per_source: '%.64s' is not a number of ports from 1 to %d", text, PORT_BOUND);
	r->entry->max_per_source = (uint32_t)value;
	return 0;
}

/* Either of a rule's field, or of an entry alone. */
static const struct {
	int (*rule)(struct sp_resolver *r, const char *text);
	int (*nat)(struct sp_nat_reader *r, const char *text);
	bool list; /* its canonical text is that of a list */
} keys[SP_NAT_KEY_COUNT] = {
	[SP_NAT_KEY_ID] = {.rule = sp_set_id},
	[SP_NAT_KEY_TYPE] = {.nat = set_type},
	[SP_NAT_KEY_FROM] = {.rule = sp_set_from, .list = true},
	[SP_NAT_KEY_TO] = {.rule = sp_set_to, .list = true},
	[SP_NAT_KEY_PROTO] = {.rule = sp_set_proto, .list = true},
	[SP_NAT_KEY_SRC] = {.rule = sp_set_src, .list = true},
	[SP_NAT_KEY_SPORT] = {.rule = sp_set_sport, .list = true},
	[SP_NAT_KEY_DST] = {.nat = set_dst, .list = true},
	[SP_NAT_KEY_DPORT] = {.rule = sp_set_dport, .list = true},
	[SP_NAT_KEY_ADDRESS] = {.nat = sp_nat_set_address, .list = true},
	[SP_NAT_KEY_PORT] = {.nat = set_port, .list = true},
	[SP_NAT_KEY_METHOD] = {.nat = set_method},
	[SP_NAT_KEY_FILTERING] = {.nat = set_filtering},
	[SP_NAT_KEY_BLOCK_SIZE] = {.nat = set_block_size},
	[SP_NAT_KEY_MAX_PER_SOURCE] = {.nat = set_max_per_source},
	[SP_NAT_KEY_LOG] = {.rule = sp_set_log},
	[SP_NAT_KEY_ENABLED] = {.rule = sp_set_enabled},
	[SP_NAT_KEY_NAME] = {.rule = sp_set_name},
	[SP_NAT_KEY_COMMENT] = {.rule = sp_set_comment},
};

void sp_nat_stand_at(struct sp_nat_reader *r, int key)
{
	const config_setting_t *setting = r->member[key] != NULL ? r->member[key] : r->setting;
	const struct sp_mark *mark = sp_reader_mark(setting);

	r->r.place = (struct sp_place){.file = mark->file, .line = mark->line, .column = mark->column};
}

#define FAIL_AT(r, key, ...) (sp_nat_stand_at(r, SP_NAT_KEY_##key), (r)->bad |= BIT(key), SP_FAIL(&(r)->r, __VA_ARGS__))

static void read_key(struct sp_nat_reader *r, int key)
{
	const char *text, *canonical;
	int result;

	sp_nat_stand_at(r, key);
	text = sp_reader_value(r->reader, r->member[key]);
	if (text == NULL)
		result = -EINVAL;
	else if (!sp_text_printable(text))
		result = SP_FAIL(&r->r, "%s: the value has control characters or is not UTF-8", sp_nat_key_names[key]);
	else
		result = keys[key].rule != NULL ? keys[key].rule(&r->r, text) : keys[key].nat(r, text);
	if (result != 0) {
		r->bad |= UINT32_C(1) << key;
		return;
	}
	if (key == SP_NAT_KEY_LOG && strcmp(text, "end") == 0)
		text = "true";
	canonical = keys[key].list ? sp_list_canonical(r->r.policy, text) : text;
	if (canonical == NULL)
		sp_reader_no_memory(r->reader);
	r->entry->value[key] = canonical;
}

/* Whether a condition on these keys is worth checking: none of them was refused, which would only be said again. */
static bool sound(const struct sp_nat_reader *r, uint32_t some)
{
	return (r->bad & some) == 0;
}

static void check_belonging(struct sp_nat_reader *r)
{
	for (size_t i = 0; i < sizeof(belongs) / sizeof(belongs[0]); i++) {
		for (int key = 0; key < SP_NAT_KEY_COUNT; key++) {
			uint32_t bit = UINT32_C(1) << key;

			if (!(belongs[i].keys & r->given & bit) || belongs[i].types & 1u << r->entry->type)
				continue;
			sp_nat_stand_at(r, key);
			SP_FAIL(&r->r, "%s: %s", sp_nat_key_names[key], belongs[i].why);
			r->bad |= bit;
		}
	}
}

static bool has_ports_only(const uint64_t proto[4])
{
	uint64_t rest[4];

	memcpy(rest, proto, sizeof(rest));
	rest[0] &= ~(UINT64_C(1) << IPPROTO_TCP | UINT64_C(1) << IPPROTO_UDP);
	rest[IPPROTO_SCTP >> 6] &= ~(UINT64_C(1) << (IPPROTO_SCTP & 63));
	return (rest[0] | rest[1] | rest[2] | rest[3]) == 0;
}

/* As in rules, ports without proto mean TCP, UDP and SCTP. */
static void check_ports(struct sp_nat_reader *r)
{
	struct sp_rule *rule = &r->rule;

	if (!sound(r, BIT(PROTO) | BIT(SPORT) | BIT(DPORT) | BIT(PORT)))
		return;
	if (!(r->given & BIT(PROTO)) && r->given & (BIT(SPORT) | BIT(DPORT))) {
		rule->proto[0] = UINT64_C(1) << IPPROTO_TCP | UINT64_C(1) << IPPROTO_UDP;
		rule->proto[IPPROTO_SCTP >> 6] |= UINT64_C(1) << (IPPROTO_SCTP & 63);
	}
	if (!sp_rule_any_proto(rule) && has_ports_only(rule->proto))
		return;
	for (int key = SP_NAT_KEY_SPORT; key <= SP_NAT_KEY_PORT; key++) {
		if (!(r->given & (BIT(SPORT) | BIT(DPORT) | BIT(PORT)) & UINT32_C(1) << key))
			continue;
		sp_nat_stand_at(r, key);
		SP_FAIL(&r->r, "%s: only tcp, udp and sctp have ports: write proto with some of these and no other", sp_nat_key_names[key]);
		r->bad |= UINT32_C(1) << key;
	}
}

static unsigned int count(struct sp_range range)
{
	return (unsigned int)range.hi - range.lo + 1;
}

/* A range of ports moves in step with the one that clients use. */
static void check_port_range(struct sp_nat_reader *r)
{
	const struct sp_rangelist *port = &r->entry->port, *dport = &r->rule.dport;

	if (!sound(r, BIT(PORT) | BIT(DPORT)) || port->n == 0 || count(port->v[0]) == 1)
		return;
	if (dport->n != 1)
		FAIL_AT(r, PORT, "port: a range of ports needs dport to be one range of the same length: write one port, or a dport");
	else if (count(port->v[0]) != count(dport->v[0]))
		FAIL_AT(r, PORT, "port: %u ports for the %u of dport: make the ranges equally long, or write one port", count(port->v[0]),
			count(dport->v[0]));
}

/* `none` takes nothing but what is matched. */
static void check_exempt(struct sp_nat_reader *r)
{
	static const uint32_t pointless =
		BIT(PORT) | BIT(METHOD) | BIT(FILTERING) | BIT(BLOCK_SIZE) | BIT(MAX_PER_SOURCE) | BIT(HEALTH) | BIT(LOG);

	for (int key = 0; key < SP_NAT_KEY_COUNT; key++) {
		if (!(r->given & pointless & UINT32_C(1) << key))
			continue;
		sp_nat_stand_at(r, key);
		SP_FAIL(&r->r, "%s: address = \"none\" translates nothing: take it out", sp_nat_key_names[key]);
		r->bad |= UINT32_C(1) << key;
	}
}

static void check_source(struct sp_nat_reader *r)
{
	const struct sp_nat_entry *entry = r->entry;

	if (sound(r, BIT(ADDRESS)) && entry->n_hosts > SP_NAT_POOL_MAX)
		FAIL_AT(r, ADDRESS, "address: more than %d addresses: each has 64,512 ports, so far fewer serve", SP_NAT_POOL_MAX);
	if (entry->block_size != 0 && entry->max_per_source != 0 && entry->max_per_source < entry->block_size)
		FAIL_AT(r, MAX_PER_SOURCE,
			"max_per_source: below block_size, so that no address could use its first block: write %u or more",
			entry->block_size);
}

static void check_destination(struct sp_nat_reader *r)
{
	struct sp_nat_entry *entry = r->entry;

	if (entry->interface && sound(r, BIT(ADDRESS)))
		FAIL_AT(r, ADDRESS,
			"address: interface is for source entries: leave out what is for the firewall itself, or write the server's "
			"address");
	if (entry->none || !sound(r, BIT(ADDRESS)))
		return;
	if (entry->n_hosts > SP_NAT_BACKENDS_MAX)
		FAIL_AT(r, ADDRESS, "address: more than %d servers: spread them over several entries", SP_NAT_BACKENDS_MAX);
	else if (entry->n_hosts > 1 && !(r->given & BIT(METHOD)))
		FAIL_AT(r, ADDRESS, "address: there are %u servers: write method = \"maglev\" to spread sessions over them, or one address",
			entry->n_hosts);
	else if (entry->n_hosts == 1 && entry->method != SP_NAT_METHOD_NONE && entry->value[SP_NAT_KEY_ADDRESS][0] != '@')
		FAIL_AT(r, METHOD, "method: there is one server only: take it out, or write several addresses or a set");
	if (entry->health.type != SP_HEALTH_NONE && entry->health.port == 0 && sound(r, BIT(PORT) | BIT(DPORT) | BIT(HEALTH)) &&
		(entry->port.n != 0 ? count(entry->port.v[0]) != 1 : r->rule.dport.n != 1 || count(r->rule.dport.v[0]) != 1))
		FAIL_AT(r, HEALTH, "health: clients are not sent to one port only: write the port to ask, as in port = 80");
}

static bool has_interface(struct sp_nat_reader *r)
{
	if (!r->entry->interface && !r->entry->none)
		return false;
	FAIL_AT(r, ADDRESS, "address: %s has a fixed address for each inside one: write a %s", sp_nat_type_names[r->entry->type],
		r->entry->type == SP_NAT_PREFIX ? "prefix" : "range as long as src");
	return true;
}

static void check_both_ways(struct sp_nat_reader *r)
{
	struct sp_nat_entry *entry = r->entry;
	const char *type = sp_nat_type_names[entry->type];
	const struct sp_addrset *src;

	if (!(r->given & BIT(SRC)))
		FAIL_AT(r, SRC, "%s needs src: the inside addresses", type);
	if (!sound(r, BIT(SRC) | BIT(ADDRESS)) || has_interface(r))
		return;
	src = &r->r.policy->addrsets[r->rule.src];
	if (src->n != 1 || entry->n_address != 1) {
		sp_nat_stand_at(r, src->n != 1 ? SP_NAT_KEY_SRC : SP_NAT_KEY_ADDRESS);
		SP_FAIL(&r->r, "%s: %s translates one range or prefix to another: write an entry for each", src->n != 1 ? "src" : "address",
			type);
		return;
	}
	entry->inside = src->v[0];
	entry->outside = entry->address[0];
	sp_nat_check_pair(r);
}

/* The firewall's own traffic keeps its destination, and what comes to it was for one of its addresses. */
static void check_self(struct sp_nat_reader *r)
{
	int self = sp_self_zone(&r->r.policy->zones);

	if (self < 0)
		return;
	if (r->given & BIT(TO) && sound(r, BIT(TO)) && r->rule.to >> self & 1)
		FAIL_AT(r, TO, "to: what the firewall itself receives keeps its source: take self out");
	if (r->given & BIT(FROM) && sound(r, BIT(FROM)) && r->rule.from >> self & 1 && r->entry->type != SP_NAT_SOURCE)
		FAIL_AT(r, FROM, "from: what the firewall itself sends is translated by source entries only: take self out");
}

static void check_together(struct sp_nat_reader *r)
{
	if (!(r->given & BIT(ID)))
		FAIL_AT(r, ID, "the entry has no id: give it a number that no other entry of nat has");
	if (!(r->given & BIT(TYPE)))
		FAIL_AT(r, TYPE, "the entry has no type: source, destination, static or prefix");
	if (!(r->given & BIT(ADDRESS)))
		FAIL_AT(r, ADDRESS, "the entry has no address to translate to: an address, range, set, \"interface\" (source) or \"none\"");
	if (!r->typed)
		return;
	check_belonging(r);
	check_self(r);
	check_ports(r);
	if (r->entry->type == SP_NAT_STATIC || r->entry->type == SP_NAT_PREFIX) {
		check_both_ways(r);
		return;
	}
	check_port_range(r);
	if (r->entry->none)
		check_exempt(r);
	if (r->entry->type == SP_NAT_SOURCE)
		check_source(r);
	else
		check_destination(r);
}

static void check_id(struct sp_nat_reader *r, const struct sp_nat_list *list)
{
	for (size_t i = 0; i < list->n && r->entry->id != 0; i++) {
		const struct sp_nat_entry *other = &list->v[i];

		if (other->id != r->entry->id)
			continue;
		FAIL_AT(r, ID, "nat id %u is already used at %s:%d: ids are unique", other->id, other->file, other->line);
		return;
	}
}

/* From the rule that the setters filled. */
static void take_common(struct sp_nat_reader *r)
{
	struct sp_nat_entry *entry = r->entry;
	const struct sp_rule *rule = &r->rule;

	entry->id = rule->id;
	entry->enabled = rule->enabled;
	entry->log = rule->log;
	entry->from = rule->from;
	entry->to = rule->to;
	entry->src = rule->src;
	entry->dst = rule->dst;
	memcpy(entry->proto, rule->proto, sizeof(entry->proto));
	entry->sport = rule->sport;
	entry->dport = rule->dport;
	entry->name = entry->value[SP_NAT_KEY_NAME];
	entry->comment = entry->value[SP_NAT_KEY_COMMENT];
	if (entry->type == SP_NAT_STATIC || entry->type == SP_NAT_PREFIX)
		entry->n_hosts = 0;
}

static void read_entry(struct sp_reader *reader, const config_setting_t *setting, struct sp_nat_list *list)
{
	struct sp_nat_entry *entry = &list->v[list->n];
	struct sp_nat_reader r = {
		.reader = reader,
		.setting = setting,
		.entry = entry,
		.rule = {.enabled = true, .src = -1, .dst = -1, .inspect = -1, .from = SP_ZONE_ANY, .to = SP_ZONE_ANY},
		.r = {.policy = reader->policy, .diags = reader->diags},
	};
	bool misspelt;
	size_t errors;

	r.r.rule = &r.rule;
	if (!config_setting_is_group(setting)) {
		sp_reader_error(reader, setting, "an entry of nat is a group { }");
		return;
	}
	errors = reader->diags->errors;
	sp_reader_check_members(reader, setting, sp_nat_key_names, SP_NAT_KEY_COUNT);
	misspelt = reader->diags->errors != errors;
	entry->file = sp_reader_file(reader, setting);
	entry->line = sp_reader_mark(setting)->line;
	for (int key = 0; key < SP_NAT_KEY_COUNT; key++) {
		r.member[key] = config_setting_get_member(setting, sp_nat_key_names[key]);
		if (r.member[key] == NULL)
			continue;
		r.given |= UINT32_C(1) << key;
		if (key != SP_NAT_KEY_HEALTH)
			read_key(&r, key);
		else if (sp_nat_read_health(reader, r.member[key], &entry->health) != 0)
			r.bad |= BIT(HEALTH);
	}
	if (!misspelt) /* what seems missing may be there under another name */
		check_together(&r);
	take_common(&r);
	check_id(&r, list);
	list->n++;
}

void sp_read_nat(struct sp_reader *reader, const config_setting_t *section)
{
	struct sp_nat_list *list;
	int n;

	if (!sp_reader_is_list(reader, section))
		return;
	n = config_setting_length(section);
	if (n == 0)
		return;
	if (n > SP_NAT_MAX) {
		sp_reader_error(
			reader, section, "nat has %d entries, and a policy at most %d: join entries by sets and ranges", n, SP_NAT_MAX);
		return;
	}
	list = sp_policy_alloc(reader->policy, sizeof(*list));
	if (list != NULL)
		list->v = sp_policy_alloc(reader->policy, (size_t)n * sizeof(*list->v));
	if (list == NULL || list->v == NULL) {
		sp_reader_no_memory(reader);
		return;
	}
	reader->policy->nat = list;
	for (int i = 0; i < n; i++)
		read_entry(reader, config_setting_get_elem(section, (unsigned int)i), list);
}
