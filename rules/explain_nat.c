/* SPDX-License-Identifier: BSD-3-Clause */
/* The nat stages of an explanation: the destination before the rules are asked, the source when they have allowed. */
#include "rules/explain_internal.h"

#include <netinet/in.h>
#include <string.h>

#include "rules/names.h"
#include "rules/self.h"

static const struct sp_nat_entry *entry_of(const struct sp_policy *policy, uint32_t index)
{
	return index != SP_NAT_NO_ENTRY ? &policy->nat->v[index] : NULL;
}

#define TEXT_BYTES 768 /* a name of 128 bytes and the place of an entry fit */

static const char no_counterpart[] = "the address has none on the other side of a prefix entry (RFC 6296 3.4, 3.5)";

static bool both_ways(const struct sp_nat_entry *entry)
{
	return entry->type == SP_NAT_STATIC || entry->type == SP_NAT_PREFIX;
}

/* Where a destination entry sends the packet: of several servers to the first, because the choice hangs on a hash. */
static void send_to_server(const struct sp_nat_entry *entry, struct sp_match *match)
{
	match->dst = sp_nat_host(entry, 0);
	if (entry->port.n == 0 || !sp_proto_has_ports(match->proto))
		return;
	if (entry->port.v[0].lo == entry->port.v[0].hi)
		match->dport = entry->port.v[0].lo;
	else
		match->dport = (uint16_t)(entry->port.v[0].lo + (match->dport - entry->dport.v[0].lo));
}

void sp_explain_nat_destination(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	int self = sp_self_zone(&policy->zones);
	bool to_self = self >= 0 && packet->match.to == self, local = packet->local || to_self;
	struct sp_match *seen = &out->seen.match;
	const struct sp_nat_entry *entry;

	out->seen = *packet;
	out->snat = SP_NAT_NO_ENTRY;
	out->dnat = out->dnat_if_local = SP_NAT_NO_ENTRY;
	if (sp_first_packet_is_error(&packet->match))
		return; /* as the session goes that it quotes, which a description has not */
	out->dnat = sp_nat_match(policy, &packet->match, true, local, 0);
	out->dnat_if_local = local ? out->dnat : sp_nat_match(policy, &packet->match, true, true, 0);
	entry = entry_of(policy, out->dnat);
	if (entry == NULL || entry->none) {
		if (packet->local && seen->to == SP_MATCH_NO_ZONE && self >= 0)
			seen->to = (uint8_t)self;
		return;
	}
	if (both_ways(entry))
		out->untranslatable = sp_nat_counterpart(entry, &packet->match.dst, false, &seen->dst) ? NULL : no_counterpart;
	else
		send_to_server(entry, seen);
	out->seen.local = false;
	/* It goes on behind the translated destination, and which zone that is the description did not say. */
	if (to_self)
		seen->to = SP_MATCH_NO_ZONE;
}

/* What a source entry can give a port or an identifier to. */
static bool has_port(const struct sp_match *match)
{
	if (match->proto == IPPROTO_ICMP)
		return match->sport == 8 || match->sport == 13;
	return match->proto == IPPROTO_ICMPV6 ? match->sport == 128 : sp_proto_has_ports(match->proto);
}

static const char *why_untranslatable(
	const struct sp_nat_entry *dnat, const struct sp_nat_entry *snat, const struct sp_match *match, bool keeps_session)
{
	struct sp_addr outside;

	if (!keeps_session && ((dnat != NULL && dnat->type == SP_NAT_DESTINATION) || (snat != NULL && snat->type == SP_NAT_SOURCE)))
		return "no session is kept that could translate the answers: only static and prefix entries do without";
	if (snat == NULL)
		return NULL;
	if (snat->type == SP_NAT_SOURCE)
		return has_port(match) ? NULL : "its protocol has no ports that a source entry could translate";
	return sp_nat_counterpart(snat, &match->src, true, &outside) ? NULL : no_counterpart;
}

/* Back into the zone that it came from, by way of an outside address: the answer must come back, too (RFC 4787 REQ-9). Any entry that would
 * translate it on its way to some zone does. */
static uint32_t hairpin_entry(const struct sp_policy *policy, const struct sp_match *seen)
{
	struct sp_match match = *seen;
	uint32_t first = SP_NAT_NO_ENTRY;

	for (unsigned int zone = 0; zone < policy->zones.n; zone++) {
		uint32_t index;

		match.to = (uint8_t)zone;
		index = sp_nat_match(policy, &match, false, false, 0);
		first = index < first ? index : first;
	}
	return first;
}

void sp_explain_nat_source(const struct sp_policy *policy, struct sp_explain *out)
{
	const struct sp_nat_entry *dnat = entry_of(policy, out->dnat), *snat;
	const struct sp_match *match = &out->seen.match;
	bool keeps_session = !sp_first_packet_is_error(match);

	if (out->action != SP_ACTION_ALLOW || out->builtin)
		return;
	if (out->rule != SP_RULE_NONE && policy->rules[out->rule].stateless)
		keeps_session = false;
	if (dnat != NULL && dnat->none)
		dnat = NULL;
	out->snat = sp_nat_match(policy, match, false, false, 0);
	if (out->snat == SP_NAT_NO_ENTRY && dnat != NULL && match->from == match->to && match->from != SP_MATCH_NO_ZONE)
		out->snat = hairpin_entry(policy, match);
	snat = entry_of(policy, out->snat);
	out->untranslatable = why_untranslatable(dnat, snat != NULL && snat->none ? NULL : snat, match, keeps_session);
}

/* "192.0.2.80:443" */
static void end_text(const struct sp_match *match, char *buf, size_t size)
{
	char addr[48];

	sp_addr_format(&match->dst, addr, sizeof(addr));
	if (!sp_proto_has_ports(match->proto))
		snprintf(buf, size, "%s", addr);
	else
		snprintf(buf, size, match->family == SP_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u", addr, match->dport);
}

/* What a source entry makes of the source: an address, a pool, "interface", or nothing. */
static void source_text(const struct sp_nat_entry *entry, const struct sp_explain *explain, char *buf, size_t size)
{
	struct sp_addr outside;

	buf[0] = '\0';
	if (explain->untranslatable != NULL || entry->none)
		return;
	if (entry->interface) {
		snprintf(buf, size, "interface");
	} else if (both_ways(entry)) {
		if (sp_nat_counterpart(entry, &explain->seen.match.src, true, &outside))
			sp_addr_format(&outside, buf, size);
	} else if (entry->n_address == 1) {
		sp_addr_range_format(&entry->address[0], buf, size);
	} else {
		snprintf(buf, size, "%s", entry->value[SP_NAT_KEY_ADDRESS]);
	}
}

/* "source entry 5 'office' (main.rules:20): " */
static size_t entry_text(const struct sp_nat_entry *entry, char *buf, size_t size)
{
	const char *quote = entry->name != NULL ? "'" : "", *name = entry->name != NULL ? entry->name : "";

	snprintf(buf, size, "%s entry %u%s%s%s%s (%s:%d): ", sp_nat_type_names[entry->type], entry->id, *quote ? " " : "", quote, name,
		quote, entry->file, entry->line);
	return strlen(buf);
}

static void destination_text(const struct sp_nat_entry *entry, const struct sp_explain *explain, char *buf, size_t size)
{
	size_t len = entry_text(entry, buf, size);
	char end[64];

	if (entry->none) {
		snprintf(buf + len, size - len, "the destination stays as it is");
	} else if (explain->untranslatable != NULL && explain->snat == SP_NAT_NO_ENTRY) {
		snprintf(buf + len, size - len, "the destination cannot be translated");
	} else {
		end_text(&explain->seen.match, end, sizeof(end));
		if (entry->n_hosts > 1)
			snprintf(buf + len, size - len, "the destination becomes %s, or another of %u servers", end, entry->n_hosts);
		else
			snprintf(buf + len, size - len, "the destination becomes %s", end);
	}
}

static void source_sentence(const struct sp_nat_entry *entry, const struct sp_explain *explain, char *buf, size_t size)
{
	size_t len = entry_text(entry, buf, size);
	char text[128];

	source_text(entry, explain, text, sizeof(text));
	if (entry->none)
		snprintf(buf + len, size - len, "the source stays as it is");
	else if (text[0] == '\0')
		snprintf(buf + len, size - len, "the source cannot be translated");
	else if (entry->interface)
		snprintf(buf + len, size - len, "the source becomes the address of the port that it leaves by");
	else
		snprintf(buf + len, size - len, "the source becomes %s%s", entry->n_hosts > 1 ? "one of " : "", text);
}

static void print_other_server(const struct sp_policy *policy, const struct sp_explain *explain, FILE *out)
{
	struct sp_addr server = sp_nat_host(&policy->nat->v[explain->dnat], explain->other_server);
	char text[48];

	fprintf(out, "  note     for %s, another of these servers, ", sp_addr_format(&server, text, sizeof(text)));
	if (explain->other_rule == SP_RULE_NONE)
		fprintf(out, "no rule decides\n");
	else
		fprintf(out, "rule %u decides\n", policy->rules[explain->other_rule].id);
}

/* The source entry that gives out ports of the packet's destination; NULL: none. */
static const struct sp_nat_entry *pool_of(const struct sp_policy *policy, const struct sp_packet_text *packet)
{
	for (size_t i = 0; policy->nat != NULL && !packet->local && i < policy->nat->n; i++) {
		const struct sp_nat_entry *entry = &policy->nat->v[i];

		for (size_t k = 0; entry->enabled && entry->type == SP_NAT_SOURCE && k < entry->n_address; k++)
			if (sp_addr_compare(&entry->address[k].lo, &packet->match.dst) <= 0 &&
				sp_addr_compare(&packet->match.dst, &entry->address[k].hi) <= 0)
				return entry;
	}
	return NULL;
}

void sp_explain_nat_print_destination(
	const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out)
{
	const struct sp_nat_entry *entry = entry_of(policy, explain->dnat), *other = entry_of(policy, explain->dnat_if_local);
	char text[TEXT_BYTES];

	if (entry != NULL) {
		destination_text(entry, explain, text, sizeof(text));
		fprintf(out, "  nat      %s\n", text);
	}
	if (explain->other_server != 0)
		print_other_server(policy, explain, out);
	if (other != NULL && other != entry) {
		fprintf(out, "  note     nat entry %u (%s:%d) is for the firewall's own addresses: write ", other->id, other->file,
			other->line);
		fprintf(out, sp_proto_has_ports(packet->match.proto) ? "'> interface:%u'" : "'> interface'", packet->match.dport);
		fprintf(out, " if this is one\n");
	}
	other = entry == NULL ? pool_of(policy, packet) : NULL;
	if (other != NULL)
		fprintf(out,
			"  note     nat entry %u (%s:%d) gives out ports of this address: sessions and mappings, unknown here, come "
			"first\n",
			other->id, other->file, other->line);
	if (entry != NULL && !entry->none && packet->match.to != explain->seen.match.to)
		fprintf(out, "  note     to self is where it went before it was translated: name the zone of the server instead\n");
}

void sp_explain_nat_print_source(const struct sp_policy *policy, const struct sp_explain *explain, FILE *out)
{
	const struct sp_nat_entry *entry = entry_of(policy, explain->snat);
	char text[TEXT_BYTES];

	if (entry == NULL)
		return;
	source_sentence(entry, explain, text, sizeof(text));
	fprintf(out, "  nat      %s\n", text);
}

static json_t *entry_json(const struct sp_nat_entry *entry, const char *text)
{
	json_t *object = json_object();
	int result = json_object_set_new(object, "entry", json_integer(entry->id));

	result |= json_object_set_new(object, "type", sp_explain_text_json(sp_nat_type_names[entry->type]));
	result |= json_object_set_new(object, "file", sp_explain_text_json(entry->file));
	result |= json_object_set_new(object, "line", json_integer(entry->line));
	result |= json_object_set_new(object, "name", sp_explain_text_json(entry->name));
	result |= json_object_set_new(object, "exempt", json_boolean(entry->none));
	result |= json_object_set_new(object, "text", sp_explain_text_json(text));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *destination_json(const struct sp_nat_entry *entry, const struct sp_explain *explain)
{
	const struct sp_match *match = &explain->seen.match;
	bool translated = !entry->none && explain->untranslatable == NULL;
	char text[TEXT_BYTES];
	json_t *object;
	int result;

	destination_text(entry, explain, text, sizeof(text));
	object = entry_json(entry, text);
	result = json_object_set_new(
		object, "address", translated ? sp_explain_text_json(sp_addr_format(&match->dst, text, sizeof(text))) : json_null());
	result |= json_object_set_new(
		object, "port", translated && sp_proto_has_ports(match->proto) ? json_integer(match->dport) : json_null());
	result |= json_object_set_new(object, "servers", json_integer(entry->n_hosts));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *source_json(const struct sp_nat_entry *entry, const struct sp_explain *explain)
{
	char text[TEXT_BYTES];
	json_t *object;

	source_sentence(entry, explain, text, sizeof(text));
	object = entry_json(entry, text);
	source_text(entry, explain, text, sizeof(text));
	if (json_object_set_new(object, "address", text[0] != '\0' ? sp_explain_text_json(text) : json_null()) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *sp_explain_nat_json(const struct sp_policy *policy, const struct sp_explain *explain)
{
	const struct sp_nat_entry *dnat = entry_of(policy, explain->dnat), *snat = entry_of(policy, explain->snat);
	json_t *object = json_object();
	int result = json_object_set_new(object, "destination", dnat != NULL ? destination_json(dnat, explain) : json_null());

	result |= json_object_set_new(object, "source", snat != NULL ? source_json(snat, explain) : json_null());
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}
