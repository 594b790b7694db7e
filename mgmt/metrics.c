/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /metrics: the counters of the JSON answers as OpenMetrics 1.0 text. A family's samples stand together under its one TYPE line.
 */
#include <inttypes.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nat_query.h"
#include "dataplane/worker.h"
#include "mgmt/captures.h"
#include "mgmt/defences.h"
#include "mgmt/events.h"
#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/port_state.h"
#include "mgmt/ports.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

#define TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define RULES_DEFAULT    1000 /* rules listed without ?rules=all: each is a time series at whoever scrapes */

struct snapshot {
	struct sp_mgmt *mgmt;
	struct sp_stats stats;
	struct sp_sessions_counters sessions;
	uint64_t held;
	struct sp_port_report ports[SP_PORTS_MAX];
};

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE sallyport_%s %s\n# HELP sallyport_%s %s\n", name, type, name, help);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", help);
	fprintf(out, "sallyport_%s_total %" PRIu64 "\n", name, value);
}

static void gauge(FILE *out, const char *name, const char *help, int64_t value)
{
	family(out, name, "gauge", help);
	fprintf(out, "sallyport_%s %" PRId64 "\n", name, value);
}

/* A label's value with `\`, `"` and newlines escaped; bytes that are no ASCII become `?`, for the text must be UTF-8. */
static void label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\\' || *p == '"')
			fprintf(out, "\\%c", *p);
		else if (*p == '\n')
			fputs("\\n", out);
		else
			fputc((unsigned char)*p < 0x80 ? *p : '?', out);
	}
	fputc('"', out);
}

static void write_process(const struct snapshot *s, FILE *out)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;

	family(out, "build", "info", "Version of the running firewall.");
	fputs("sallyport_build_info{", out);
	label(out, "version", SP_VERSION);
	fputs("} 1\n", out);
	gauge(out, "uptime_seconds", "Seconds since the start.",
		dataplane->tsc_hz != 0 ? (int64_t)((rte_rdtsc() - dataplane->tsc_start) / dataplane->tsc_hz) : 0);
	gauge(out, "generation", "Number of the rules in force.", sp_published_generation(s->mgmt->dataplane));
	gauge(out, "ready", "1 when rules are in force, workers poll and links are up.", sp_is_ready(s->mgmt));
	family(out, "degraded", "gauge", "1 for what is wrong; GET /v1/status says more.");
	for (unsigned int i = 0; i < SP_DEGRADED_COUNT; i++)
		fprintf(out, "sallyport_degraded{code=\"%s\"} %u\n", sp_degraded_texts[i].code,
			(__atomic_load_n(&s->mgmt->degraded, __ATOMIC_RELAXED) >> i) & 1u);
}

static void write_packets(const struct snapshot *s, FILE *out)
{
	counter(out, "rx_packets", "Packets taken from ports.", s->stats.rx);
	counter(out, "tx_packets", "Packets sent by ports.", s->stats.tx);
	counter(out, "built_packets", "Packets made by the firewall itself.", s->stats.built);
	counter(out, "to_kernel_packets", "Packets given to the kernel.", s->stats.to_kernel);
	counter(out, "from_kernel_packets", "Packets taken from the kernel.", s->stats.from_kernel);
	counter(out, "consumed_packets", "Packets that ended here by design.", s->stats.consumed);
	counter(out, "rx_bytes", "Bytes taken from ports.", s->stats.rx_bytes);
	counter(out, "tx_bytes", "Bytes sent by ports.", s->stats.tx_bytes);
	gauge(out, "held_packets", "Packets on their way inside: rings, fragments and others that wait, transmit buffers.",
		(int64_t)s->held);
	gauge(out, "fragment_delta_packets", "Packets made by fragmentation less those absorbed by reassembly.", s->stats.fragment_delta);
	counter(out, "fragments", "Fragments that could be part of a datagram.", s->stats.fragments);
	counter(out, "fragments_reassembled", "Datagrams put together from fragments.", s->stats.datagrams);
	gauge(out, "fragments_waiting", "Fragments that wait for the others of their datagram.", (int64_t)s->stats.fragments_held);
	family(out, "drops", "counter", "Packets dropped, by reason; `sallyport explain --reasons` tells meaning and cure.");
	for (unsigned int r = SP_DROP_NONE + 1; r < SP_DROP_COUNT; r++)
		fprintf(out, "sallyport_drops_total{reason=\"%s\"} %" PRIu64 "\n", sp_drop_texts[r].name, s->stats.drops[r]);
	counter(out, "rejects_built", "Answers made to rejected packets.", s->stats.rejects_built);
	counter(out, "rejects_suppressed", "Answers to rejected packets that were not made.", s->stats.rejects_suppressed);
	counter(out, "icmp_errors_built", "ICMP errors made about packets that were not forwarded.", s->stats.errors_built);
	counter(out, "icmp_errors_suppressed", "ICMP errors that were not made: over the rate, or not answerable.",
		s->stats.errors_suppressed);
	gauge(out, "neighbour_waiting_packets", "Packets that wait for the MAC of their next hop.", (int64_t)s->stats.waiting_held);
	counter(out, "neighbour_waited_packets", "Packets that waited for the MAC of their next hop and went on.", s->stats.waited);
	counter(out, "challenges_built", "TCP challenge ACKs (RFC 5961) made.", s->stats.challenges_built);
	counter(out, "challenges_suppressed", "TCP challenge ACKs that were not made.", s->stats.challenges_suppressed);
}

static void write_sessions(const struct snapshot *s, FILE *out)
{
	family(out, "sessions", "gauge", "Live sessions.");
	for (unsigned int p = 0; p < SP_SESSION_PROTO_COUNT; p++)
		fprintf(out, "sallyport_sessions{proto=\"%s\"} %" PRIu64 "\n", sp_session_proto_names[p], s->sessions.active_proto[p]);
	counter(out, "sessions_created", "Sessions opened.", s->sessions.created);
	counter(out, "sessions_expired", "Sessions that ended by time-out or TCP.", s->sessions.expired);
	counter(out, "sessions_killed", "Sessions ended by request, rules or inspection.", s->sessions.killed);
	counter(out, "sessions_refused", "Sessions for which the table had no room.", s->sessions.refused);
	counter(out, "sessions_evicted", "Sessions that a full table gave up for new ones.", s->sessions.evicted);
	family(out, "sessions_evicted_by_state", "counter", "The same, by the state they were in.");
	for (unsigned int state = 0; state < SP_STATE_COUNT; state++)
		fprintf(out, "sallyport_sessions_evicted_by_state_total{state=\"%s\"} %" PRIu64 "\n", sp_state_names[state],
			s->sessions.evicted_state[state]);
	family(out, "sessions_by_state", "gauge", "Live sessions.");
	for (unsigned int state = 0; state < SP_STATE_COUNT; state++)
		fprintf(out, "sallyport_sessions_by_state{state=\"%s\"} %" PRIu64 "\n", sp_state_names[state],
			s->sessions.active_state[state]);
	counter(out, "sessions_rematched", "Sessions matched again after a change of rules, and kept.", s->stats.rematched);
	counter(out, "sessions_rematch_killed", "Sessions ended by a change of rules.", s->stats.rematch_killed);
}

static void write_defences(const struct snapshot *s, FILE *out)
{
	const struct sp_defence_counters *counters = &s->stats.defence;

	family(out, "defence_engaged", "gauge", "Workers that have engaged it.");
	for (unsigned int d = 0; d < SP_DEFENCE_COUNT; d++)
		fprintf(out, "sallyport_defence_engaged{defence=\"%s\"} %" PRIu64 "\n", sp_defence_names[d], counters->engaged[d]);
	family(out, "defence_engagements", "counter", "Times that a worker engaged it.");
	for (unsigned int d = 0; d < SP_DEFENCE_COUNT; d++)
		fprintf(out, "sallyport_defence_engagements_total{defence=\"%s\"} %" PRIu64 "\n", sp_defence_names[d],
			counters->engagements[d]);
	gauge(out, "sessions_embryonic", "TCP connections half open.", (int64_t)sp_defences_embryonic(&s->sessions));
	counter(out, "syn_cookies_sent", "SYNs that the SYN proxy answered.", counters->cookies_sent);
	counter(out, "syn_cookies_valid", "Clients that proved their address.", counters->cookies_valid);
	counter(out, "syn_cookies_invalid", "Segments without session that brought no valid cookie.", counters->cookies_invalid);
	gauge(out, "syn_proxy_opening", "Servers that the SYN proxy waits for.", (int64_t)counters->opening);
	counter(out, "syn_proxy_opened", "Servers that accepted.", counters->opened);
	counter(out, "syn_proxy_refused", "Servers that refused.", counters->refused);
	counter(out, "syn_proxy_unanswered", "Servers that did not answer.", counters->unanswered);
	counter(out, "syn_proxy_retries", "SYNs sent again to servers.", counters->syn_retries);
}

static void write_inspection(const struct snapshot *s, FILE *out)
{
	const struct sp_inspect_counters *inspect = &s->stats.inspect;

	counter(out, "inspection_packets", "Packets scanned.", inspect->packets);
	counter(out, "inspection_bytes", "Bytes of payload scanned.", inspect->bytes);
	counter(out, "inspection_matches", "Patterns matched.", inspect->matches);
	counter(out, "inspection_alerts", "Alerts raised.", inspect->alerts);
	counter(out, "inspection_drops", "Packets that a pattern dropped.", inspect->drops);
	counter(out, "inspection_errors", "Packets that could not be scanned and were dropped.", inspect->errors);
	counter(out, "inspection_past_depth", "Packets not scanned, because the depth was reached.", inspect->past_depth);
}

static void write_events(const struct snapshot *s, FILE *out)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;
	struct sp_events_counters counters;
	uint64_t posted = 0, lost = 0, suppressed = 0;

	sp_events_counters(s->mgmt->events, &counters);
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		posted += sp_read(&dataplane->workers[w]->events.posted);
		lost += sp_read(&dataplane->workers[w]->events.lost);
		suppressed += sp_read(&dataplane->workers[w]->events.suppressed);
	}
	counter(out, "events_posted", "Events that workers posted.", posted);
	counter(out, "events_lost", "Events that found their ring full.", lost);
	counter(out, "events_suppressed", "Events over the log rate of their rule.", suppressed);
	counter(out, "events_written", "Event lines written.", counters.written);
	counter(out, "events_unwritten", "Event lines that the file did not take.", counters.unwritten);
	counter(out, "events_shed", "Event lines that readers of GET /v1/events did not take in time.", counters.shed);
	counter(out, "events_rotated", "Event files that were full.", counters.rotated);
	gauge(out, "events_failing", "1 while the event file takes no lines.", sp_events_failing(s->mgmt->events) != 0);
	gauge(out, "events_readers", "Clients that read GET /v1/events.", (int64_t)counters.readers);
}

/* One family with a sample a port; `offset` is that of the 64-bit counter in struct sp_port_report. */
static void port_family(const struct snapshot *s, FILE *out, const char *name, const char *help, size_t offset, bool of_device)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;
	uint64_t value;

	family(out, name, "counter", help);
	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		if (of_device && !s->ports[i].has_device)
			continue;
		memcpy(&value, (const char *)&s->ports[i] + offset, sizeof(value));
		fprintf(out, "sallyport_%s_total{", name);
		label(out, "port", dataplane->ports[i].name);
		fprintf(out, "} %" PRIu64 "\n", value);
	}
}

static void write_ports(const struct snapshot *s, FILE *out)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;

	port_family(s, out, "port_rx_packets", "Packets taken from the port.", offsetof(struct sp_port_report, counters.rx), false);
	port_family(s, out, "port_tx_packets", "Packets sent by the port.", offsetof(struct sp_port_report, counters.tx), false);
	port_family(s, out, "port_rx_bytes", "Bytes taken from the port.", offsetof(struct sp_port_report, counters.rx_bytes), false);
	port_family(s, out, "port_tx_bytes", "Bytes sent by the port.", offsetof(struct sp_port_report, counters.tx_bytes), false);
	port_family(
		s, out, "port_drops", "Packets from the port that were dropped.", offsetof(struct sp_port_report, counters.drops), false);
	port_family(s, out, "port_rx_missed", "Packets that the device had no room for.", offsetof(struct sp_port_report, imissed), true);
	port_family(s, out, "port_rx_no_buffer", "Packets for which no buffer was free.", offsetof(struct sp_port_report, rx_nombuf), true);
	port_family(s, out, "port_tx_errors", "Packets that the device failed to send.", offsetof(struct sp_port_report, oerrors), true);
	family(out, "port_link_up", "gauge", "1 when the link is up.");
	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		fputs("sallyport_port_link_up{", out);
		label(out, "port", dataplane->ports[i].name);
		fprintf(out, "} %d\n", s->ports[i].link_up);
	}
	family(out, "port_state", "gauge", "1 for the state that the port is in.");
	for (unsigned int i = 0; i < dataplane->n_ports; i++)
		for (unsigned int state = 0; state < SP_PORT_STATES; state++) {
			fputs("sallyport_port_state{", out);
			label(out, "port", dataplane->ports[i].name);
			fprintf(out, ",state=\"%s\"} %d\n", sp_port_state_names[state], sp_port_state(&dataplane->ports[i]) == state);
		}
}

/* The same for workers; the offset is that in struct sp_stats. */
static void worker_family(const struct snapshot *s, FILE *out, const char *name, const char *help, size_t offset)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;

	family(out, name, "counter", help);
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		const char *stats = (const char *)&dataplane->workers[w]->stats;

		fprintf(out, "sallyport_%s_total{worker=\"%u\"} %" PRIu64 "\n", name, w,
			sp_read((const uint64_t *)(const void *)(stats + offset)));
	}
}

static void write_stages(const struct snapshot *s, FILE *out)
{
	const struct sp_dataplane *dataplane = s->mgmt->dataplane;

	family(out, "worker_stage_cycles", "counter", "Cycles of each stage in the bursts that were timed.");
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		for (unsigned int stage = 0; stage < SP_STAGE_COUNT; stage++)
			fprintf(out, "sallyport_worker_stage_cycles_total{worker=\"%u\",stage=\"%s\"} %" PRIu64 "\n", w,
				sp_stage_names[stage], sp_read(&dataplane->workers[w]->stats.stage_cycles[stage]));
}

static void write_captures(const struct snapshot *s, FILE *out)
{
	struct sp_captures_counters counters;

	sp_captures_counters(s->mgmt->captures, &counters);
	counter(out, "capture_packets", "Packets written to captures.", counters.packets);
	counter(out, "capture_bytes", "Bytes written to captures.", counters.bytes);
	counter(out, "capture_lost", "Copies for captures that found a ring full or that a file did not take.", counters.lost);
	counter(out, "capture_write_errors", "Failed attempts to write a capture.", counters.write_errors);
}

/* One family with a sample for each entry; the offset is that in struct sp_health_sum. */
static void backend_family(const struct sp_health_sum *sums, size_t n, FILE *out, const char *name, const char *help, size_t offset)
{
	uint64_t value;

	family(out, name, "counter", help);
	for (size_t i = 0; i < n; i++) {
		memcpy(&value, (const char *)&sums[i] + offset, sizeof(value));
		fprintf(out, "sallyport_%s_total{entry=\"%u\"} %" PRIu64 "\n", name, sums[i].entry, value);
	}
}

static void entry_family(const struct sp_nat_entry_row *rows, size_t n, FILE *out, const char *name, const char *help, size_t offset)
{
	uint64_t value;

	family(out, name, "counter", help);
	for (size_t i = 0; i < n; i++) {
		memcpy(&value, (const char *)&rows[i] + offset, sizeof(value));
		fprintf(out, "sallyport_%s_total{entry=\"%u\"} %" PRIu64 "\n", name, rows[i].entry, value);
	}
}

static void write_translation(const struct snapshot *s, FILE *out)
{
	struct sp_nat_entry_row *rows = calloc(SP_NAT_MAX, sizeof(*rows));
	struct sp_nat_sum sum;
	size_t n = 0;

	if (rows != NULL) {
		sp_published_get(s->mgmt->dataplane);
		n = sp_nat_entries(s->mgmt->dataplane, rows, 0, SP_NAT_MAX);
		sp_published_put();
	}
	sp_nat_sum(s->mgmt->dataplane, &sum);
	gauge(out, "nat_mappings", "Inside addresses and ports that have an external one.", sum.mappings);
	gauge(out, "nat_hosts", "Inside addresses that have an external one.", sum.hosts);
	gauge(out, "nat_blocks", "Blocks of ports that are given out.", sum.blocks);
	counter(out, "nat_mappings_made", "Mappings made.", sum.made);
	entry_family(
		rows, n, out, "nat_sessions", "Sessions that the entry translates, opened.", offsetof(struct sp_nat_entry_row, sessions));
	entry_family(rows, n, out, "nat_exhausted", "Sessions refused for want of a port of the entry.",
		offsetof(struct sp_nat_entry_row, exhausted));
	entry_family(rows, n, out, "nat_refused", "Sessions refused by max_per_source, or without a live backend.",
		offsetof(struct sp_nat_entry_row, refused));
	free(rows);
}

static void write_backends(const struct snapshot *s, FILE *out)
{
	struct sp_health_sum *sums = calloc(SP_NAT_MAX, sizeof(*sums));
	size_t n = sums != NULL ? sp_health_sums(s->mgmt->health, sums, SP_NAT_MAX) : 0;

	family(out, "nat_backends", "gauge", "Backends of each nat entry: those that take new flows, dead ones, drained ones.");
	for (size_t i = 0; i < n; i++)
		fprintf(out,
			"sallyport_nat_backends{entry=\"%u\",state=\"live\"} %u\n"
			"sallyport_nat_backends{entry=\"%u\",state=\"dead\"} %u\n"
			"sallyport_nat_backends{entry=\"%u\",state=\"drained\"} %u\n",
			sums[i].entry, sums[i].live, sums[i].entry, sums[i].dead, sums[i].entry, sums[i].drained);
	backend_family(sums, n, out, "nat_backend_checks", "Times that backends of the entry were asked whether they live.",
		offsetof(struct sp_health_sum, asked));
	backend_family(
		sums, n, out, "nat_backend_checks_failed", "Those that were not answered well.", offsetof(struct sp_health_sum, failed));
	free(sums);
}

/* One family with a sample for each link; the offset is that in struct sp_kernel_link_report. */
static void link_family(const struct sp_kernel_report *report, FILE *out, const char *name, const char *help, size_t offset)
{
	uint64_t value;

	family(out, name, "counter", help);
	for (unsigned int i = 0; i < report->n_links; i++) {
		memcpy(&value, (const char *)&report->links[i] + offset, sizeof(value));
		fprintf(out, "sallyport_%s_total{", name);
		label(out, "link", report->links[i].name);
		fprintf(out, "} %" PRIu64 "\n", value);
	}
}

static void write_tables(const struct sp_kernel_report *report, FILE *out)
{
	family(out, "routes", "gauge", "Routes of Linux that are followed.");
	fprintf(out, "sallyport_routes{family=\"ipv4\"} %" PRIu64 "\nsallyport_routes{family=\"ipv6\"} %" PRIu64 "\n", report->routes4,
		report->routes6);
	family(out, "fib_prefixes", "gauge", "Prefixes that workers route by, neighbours among them.");
	fprintf(out, "sallyport_fib_prefixes{family=\"ipv4\"} %" PRIu64 "\nsallyport_fib_prefixes{family=\"ipv6\"} %" PRIu64 "\n",
		report->fib4, report->fib6);
	gauge(out, "nexthops", "Next hops that workers route by.", (int64_t)report->nexthops);
	family(out, "neighbours", "gauge", "Neighbours, gateways among them.");
	for (unsigned int state = 0; state < SP_KNEIGHBOUR_STATES; state++)
		fprintf(out, "sallyport_neighbours{state=\"%s\"} %" PRIu64 "\n", sp_kneighbour_state_names[state],
			report->neighbours[state]);
}

static void write_kernel(const struct snapshot *s, FILE *out)
{
	struct sp_kernel_report *report = s->mgmt->kernel != NULL ? malloc(sizeof(*report)) : NULL;

	if (report == NULL)
		return;
	sp_kernel_report(s->mgmt->kernel, report);
	write_tables(report, out);
	counter(out, "kernel_netlink_messages", "Netlink messages of Linux.", report->messages);
	counter(out, "kernel_netlink_malformed", "Those that lied about themselves and were left alone.", report->malformed);
	counter(out, "kernel_netlink_overruns", "Times that messages of Linux were lost.", report->overruns);
	counter(out, "kernel_resyncs", "Times that all tables of Linux were read, the first time included.", report->resyncs);
	counter(out, "kernel_neighbours_asked", "Times that Linux was asked to find a neighbour.", report->asked);
	counter(out, "kernel_neighbours_ask_errors", "Times that it did not do that.", report->ask_errors);
	counter(out, "kernel_routes_refused", "Routes of Linux for which there was no room.", report->refused_routes);
	counter(out, "kernel_neighbours_refused", "Neighbours for which there was no room.", report->refused_neighbours);
	counter(out, "kernel_address_conflicts", "IPv6 addresses of the firewall that somebody else has.", report->conflicts);
	link_family(report, out, "link_to_kernel_packets", "Packets that Linux got by the link.",
		offsetof(struct sp_kernel_link_report, to_kernel));
	link_family(report, out, "link_from_kernel_packets", "Packets that Linux sent by the link.",
		offsetof(struct sp_kernel_link_report, from_kernel));
	link_family(report, out, "link_kernel_write_errors", "Packets that Linux did not take.",
		offsetof(struct sp_kernel_link_report, write_errors));
	link_family(report, out, "link_kernel_read_drops", "Frames of Linux that were no frames, or longer than a buffer.",
		offsetof(struct sp_kernel_link_report, read_drops));
	free(report);
}

static void write_workers(const struct snapshot *s, FILE *out)
{
	worker_family(s, out, "worker_busy_cycles", "Cycles of turns that found packets.", offsetof(struct sp_stats, busy_cycles));
	worker_family(s, out, "worker_idle_cycles", "Cycles of turns that found none.", offsetof(struct sp_stats, idle_cycles));
	worker_family(s, out, "worker_rx_packets", "Packets the worker took from ports.", offsetof(struct sp_stats, rx));
	worker_family(s, out, "worker_tx_packets", "Packets the worker sent.", offsetof(struct sp_stats, tx));
	worker_family(s, out, "worker_handed_out_packets", "Packets given to other workers.", offsetof(struct sp_stats, handed_out));
	worker_family(s, out, "worker_handed_in_packets", "Packets taken from other workers.", offsetof(struct sp_stats, handed_in));
	worker_family(
		s, out, "worker_timed_packets", "Packets in the bursts whose stages were timed.", offsetof(struct sp_stats, stage_packets));
	write_stages(s, out);
}

/* One family with a sample for the default and each of the first n rules; the offset is that in struct sp_rule_counters. */
static void rule_family(const struct sp_dataplane *dataplane, const struct sp_ruleset *ruleset, uint32_t n, FILE *out, const char *name,
	const char *help, size_t offset)
{
	struct sp_rule_counters sum;
	uint64_t value;

	family(out, name, "counter", help);
	sp_rule_table_sum(&dataplane->rule_table, SP_RULE_SLOT_DEFAULT, &sum);
	memcpy(&value, (const char *)&sum + offset, sizeof(value));
	fprintf(out, "sallyport_%s_total{rule=\"default\"} %" PRIu64 "\n", name, value);
	for (uint32_t i = 0; i < n; i++) {
		sp_rule_table_sum(&dataplane->rule_table, ruleset->rules[i].slot, &sum);
		memcpy(&value, (const char *)&sum + offset, sizeof(value));
		fprintf(out, "sallyport_%s_total{rule=\"%u\"} %" PRIu64 "\n", name, ruleset->rules[i].id, value);
	}
}

static void write_rules(struct sp_mgmt *mgmt, bool all, FILE *out)
{
	const struct sp_ruleset *ruleset = sp_published_get(mgmt->dataplane);
	uint32_t n = ruleset != NULL ? ruleset->n_rules : 0;

	if (!all && n > RULES_DEFAULT)
		n = RULES_DEFAULT;
	if (ruleset != NULL) {
		rule_family(mgmt->dataplane, ruleset, n, out, "rule_hits", "Times the rule matched in classification.",
			offsetof(struct sp_rule_counters, hits));
		rule_family(mgmt->dataplane, ruleset, n, out, "rule_packets", "Packets that the rule decided.",
			offsetof(struct sp_rule_counters, packets));
		rule_family(mgmt->dataplane, ruleset, n, out, "rule_bytes", "Bytes that the rule decided.",
			offsetof(struct sp_rule_counters, bytes));
	}
	sp_published_put();
}

static void take(struct sp_mgmt *mgmt, struct snapshot *s)
{
	s->mgmt = mgmt;
	sp_stats_sum(mgmt->dataplane, &s->stats, &s->sessions, &s->held);
	for (unsigned int i = 0; i < mgmt->dataplane->n_ports; i++)
		sp_port_report(mgmt->dataplane, i, &s->ports[i]);
}

void sp_res_metrics(struct sp_call *call)
{
	const char *rules = sp_call_param(call, "rules");
	struct snapshot *s;
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (rules != NULL && strcmp(rules, "all") != 0) {
		sp_problem(&call->reply, 400, "bad-parameter", "rules takes all");
		return;
	}
	s = calloc(1, sizeof(*s));
	out = s != NULL ? open_memstream(&text, &size) : NULL;
	if (out != NULL) {
		take(call->mgmt, s);
		write_process(s, out);
		write_packets(s, out);
		write_sessions(s, out);
		write_defences(s, out);
		write_inspection(s, out);
		write_events(s, out);
		write_captures(s, out);
		write_translation(s, out);
		write_backends(s, out);
		write_kernel(s, out);
		write_ports(s, out);
		write_workers(s, out);
		write_rules(call->mgmt, rules != NULL, out);
		fputs("# EOF\n", out);
		if (ferror(out) != 0 || fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	sp_reply_body(&call->reply, 200, TYPE_OPENMETRICS, text, size);
	free(s);
}
