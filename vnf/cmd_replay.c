/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport replay: a capture through the packet path, a verdict per packet, what was forwarded into another capture, the statistics.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/stats_json.h"
#include "rules/fields.h"
#include "rules/names.h"
#include "vnf/commands.h"
#include "vnf/eal.h"
#include "vnf/launch.h"
#include "vnf/replay.h"

static const char help[] =
	"Usage: sallyport replay --rules FILE [OPTION]... CAPTURE\n"
	"Send a capture (pcap or pcapng, - for standard input) through the packet path and print a verdict for each packet,\n"
	"then the statistics. Time is the capture's: sessions age and limits refill as they would have.\n\n"
	"Options:\n"
	"  -r, --rules FILE        the rule file\n"
	"  -c, --config FILE       take zones, limits and time-outs, and without --rules the rule file, from this configuration\n"
	"  -z, --zone NAME=PREFIX[,PREFIX]...\n"
	"                          packets from or to these addresses come from or go to this zone; the longest prefix counts;\n"
	"                          once for each zone\n"
	"  -o, --output FILE       write what was forwarded, and the answers to what was rejected, to this pcap file\n"
	"      --json              one object {\"packets\": [...], \"stats\": {...}} instead of lines\n"
	"      --checksum POLICY   trust (default without -c), verify or off: captures taken on the sending host have packets\n"
	"                          whose checksums the NIC was yet to fill in\n"
	"      --burst N           put up to N packets (1 to 32) in at once; verdicts do not depend on it\n"
	"  -h, --help              show this help\n\n"
	"With -c and no --zone, packets go through the configuration's first wire pair (a router has none and needs --zone: its\n"
	"rules judge, nothing is routed); without either, through a pair without zones. Which side a packet comes from is learnt\n"
	"as a bridge does: the first sender is at the first port, unless its MAC address was a receiver's before. Packets without\n"
	"an Ethernet header get one made from their IP addresses.\n\n"
	"Exit codes: 0 done, whatever the verdicts; 1 the rules or the configuration have errors; 2 could not run.\n\n"
	"Example:\n"
	"  sallyport replay --rules main.rules --zone inside=10.0.0.0/8 --zone outside=0.0.0.0/0,::/0 trace.pcap -o passed.pcap\n";

struct arguments {
	const char *rules, *config, *input, *output;
	struct sp_replay_zones zones;
	int checksum;
	unsigned int burst;
	bool json;
};

/* Everything one replay holds, for one way out. */
struct job {
	const struct arguments *arguments;
	struct sp_config *config;
	struct sp_policy *policy;   /* until it is the ruleset's */
	struct sp_ruleset *ruleset; /* until it is in force */
	struct sp_zones table;
	struct sp_replay_capture *capture;
	struct sp_replay_capture_writer *writer;
	struct sp_replay *replay;
	uint64_t n, first_ns;
	bool eal;
	bool reported; /* a verdict */
};

/* --- a verdict ------------------------------------------------------------------------------------------------------------------- */

static const char *verdict_name(uint8_t verdict)
{
	return verdict == SP_VERDICT_ALLOW ? "allow" : verdict == SP_VERDICT_DROP ? "drop" : "reject";
}

static void print_end(const struct sp_match *match, const struct sp_addr *addr, uint16_t port)
{
	char text[64];

	sp_addr_format(addr, text, sizeof(text));
	if (!sp_proto_has_ports(match->proto))
		printf(" %s", text);
	else if (addr->family == SP_FAMILY_IPV6)
		printf(" [%s]:%u", text, port);
	else
		printf(" %s:%u", text, port);
}

static void print_packet(const struct sp_match *match, uint8_t reason)
{
	char buf[64];

	if (match->family == SP_FAMILY_NONE && match->ethertype == 0 && strncmp(sp_drop_texts[reason].name, "parse_", 6) == 0) {
		printf(" unparsed");
		return;
	}
	if (match->family == SP_FAMILY_NONE) {
		printf(" %s", sp_ethertype_name(match->ethertype, buf));
		return;
	}
	printf(" %s", sp_proto_name(match->proto, buf));
	print_end(match, &match->src, match->sport);
	printf(" >");
	print_end(match, &match->dst, match->dport);
	if (match->proto == IPPROTO_ICMP || match->proto == IPPROTO_ICMPV6)
		printf(" type=%u code=%u", match->sport, match->dport);
}

static void print_verdict(const struct job *job, const struct sp_replay_verdict *verdict)
{
	uint64_t ns = verdict->ns > job->first_ns ? verdict->ns - job->first_ns : 0;

	printf("%" PRIu64 " %" PRIu64 ".%06" PRIu64, verdict->n, ns / 1000000000u, ns / 1000 % 1000000);
	print_packet(verdict->match, verdict->reason);
	printf(" %s", verdict_name(verdict->verdict));
	if (verdict->reason != SP_DROP_NONE && verdict->reason != SP_DROP_RULE)
		printf(" %s", sp_drop_texts[verdict->reason].name);
	if (verdict->rule != 0)
		printf(" rule %" PRIu32, verdict->rule);
	for (unsigned int i = 0; i < verdict->n_signatures; i++)
		printf("%s%" PRIu32 "%s", i == 0 ? " [" : ",", verdict->signatures[i], i + 1 == verdict->n_signatures ? "]" : "");
	putchar('\n');
}

/* Written as it comes, so that a long capture takes no memory. Names hold nothing that JSON would escape. */
static void print_verdict_json(const struct job *job, const struct sp_replay_verdict *verdict)
{
	printf("%s\n{\"n\":%" PRIu64 ",\"verdict\":\"%s\",\"rule\":", job->reported ? "," : "", verdict->n, verdict_name(verdict->verdict));
	if (verdict->rule != 0)
		printf("%" PRIu32, verdict->rule);
	else
		printf("null");
	if (verdict->reason != SP_DROP_NONE)
		printf(",\"reason\":\"%s\",\"signatures\":[", sp_drop_texts[verdict->reason].name);
	else
		printf(",\"reason\":null,\"signatures\":[");
	for (unsigned int i = 0; i < verdict->n_signatures; i++)
		printf("%s%" PRIu32, i == 0 ? "" : ",", verdict->signatures[i]);
	printf("]}");
}

static void report(void *context, const struct sp_replay_verdict *verdict)
{
	struct job *job = context;

	if (job->arguments->json)
		print_verdict_json(job, verdict);
	else
		print_verdict(job, verdict);
	job->reported = true;
}

/* --- the replay ------------------------------------------------------------------------------------------------------------------ */

/* Zones without an address each: rules that use them would match nothing, silently. */
static int settle_zones(struct job *job, struct sp_replay_zones *zones)
{
	char why[SP_WHY_MAX];

	job->table = job->policy->zones;
	if (job->config == NULL && zones->n == 0 && job->table.n > 0)
		return sp_cmd_fail(
			"the rules use zones (\"%s\"), which a capture does not show; say which addresses they hold with --zone %s=PREFIX, "
			"or give the configuration with -c",
			job->table.name[0], job->table.name[0]);
	if (job->config != NULL && job->config->mode == SP_MODE_ROUTE && zones->n == 0)
		return sp_cmd_fail(
			"%s is a router's, and a capture does not show where it routes; say which addresses each zone holds with "
			"--zone NAME=PREFIX",
			job->config->file);
	if (sp_replay_zones_resolve(zones, &job->table, why, sizeof(why)) != 0)
		return sp_cmd_fail("--zone: %s", why);
	for (unsigned int zone = 0; zones->n > 0 && job->config == NULL && zone < job->table.n; zone++) {
		unsigned int i = 0;

		while (i < zones->n && zones->v[i].zone != zone)
			i++;
		if (i == zones->n)
			fprintf(stderr, "sallyport: warning: the rules use zone \"%s\", but no --zone gives it addresses\n",
				job->table.name[zone]);
	}
	return SP_EXIT_GOOD;
}

static uint32_t need_mb(const struct job *job)
{
	uint64_t sessions = SP_CONFIG_DEFAULT_SESSIONS, fragments = 0;

	if (job->config != NULL) {
		sessions = (uint64_t)job->config->sessions4 + job->config->sessions6;
		fragments = job->config->fragments.datagrams * UINT64_C(1280) + job->config->fragments.buffers * UINT64_C(2560);
	}
	return (uint32_t)((sessions * 256 + fragments) >> 20) + 128 + sp_eal_rules_mb(job->policy->n_rules);
}

static int prepare(struct job *job)
{
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX];

	job->capture = sp_replay_capture_open(job->arguments->input, why, sizeof(why));
	if (job->capture == NULL)
		return sp_cmd_fail("%s", why);
	if (sp_eal_start_command(need_mb(job), why, sizeof(why)) != 0)
		return sp_cmd_fail("%s", why);
	job->eal = true;
	job->ruleset = sp_ruleset_build(job->policy, &diags);
	if (job->ruleset != NULL)
		job->policy = NULL;
	if (sp_cmd_report(&diags) || job->ruleset == NULL)
		return SP_EXIT_NO;
	if (job->arguments->output != NULL) {
		job->writer = sp_replay_capture_create(job->arguments->output, job->capture, why, sizeof(why));
		if (job->writer == NULL)
			return sp_cmd_fail("%s", why);
	}
	return SP_EXIT_GOOD;
}

static int send_frames(struct job *job)
{
	struct sp_replay_frame frame;
	char why[SP_WHY_MAX];
	int rc;

	while ((rc = sp_replay_capture_next(job->capture, &frame, why, sizeof(why))) == 1) {
		if (job->n++ == 0)
			job->first_ns = frame.ns;
		rc = sp_replay_frame(job->replay, &frame, why);
		if (rc != 0)
			return sp_cmd_fail("%s", why);
	}
	if (rc != 0 && job->n == 0)
		return sp_cmd_fail("%s: %s", job->arguments->input, why);
	/* A capture that was cut off while it was written is common, and the verdicts on what it has hold. */
	if (rc != 0)
		fprintf(stderr, "sallyport: warning: %s: %s; only the %" PRIu64 " packets before that were replayed\n",
			job->arguments->input, why, job->n);
	if (sp_replay_finish(job->replay, why) != 0)
		return sp_cmd_fail("%s", why);
	if (sp_replay_capture_truncated(job->capture) > 0)
		fprintf(stderr, "sallyport: warning: %s: %" PRIu64 " packets are cut short in the capture; what is there was replayed\n",
			job->arguments->input, sp_replay_capture_truncated(job->capture));
	return SP_EXIT_GOOD;
}

static void print_stats(const struct job *job)
{
	json_t *stats = sp_stats_json(sp_replay_dataplane(job->replay));

	json_dumpf(stats, stdout, JSON_INDENT(2));
	json_decref(stats);
}

static int run(struct job *job, const struct sp_replay_options *options)
{
	char why[SP_WHY_MAX];
	int code;

	job->replay = sp_replay_create(options, job->ruleset, why);
	if (job->replay == NULL)
		return sp_cmd_fail("%s", why);
	job->ruleset = NULL;
	if (job->arguments->json)
		printf("{\"packets\":[");
	code = send_frames(job);
	if (job->arguments->json)
		printf("\n],\"stats\":");
	print_stats(job);
	printf(job->arguments->json ? "}\n" : "\n");
	return code;
}

static int finish(struct job *job, int code)
{
	if (job->writer != NULL) {
		int rc = sp_replay_capture_finish(job->writer);

		if (rc != 0)
			code = sp_cmd_fail("cannot write %s: %s", job->arguments->output, strerror(-rc));
	}
	sp_replay_capture_close(job->capture);
	sp_replay_free(job->replay);
	sp_ruleset_free(job->ruleset);
	sp_policy_free(job->policy);
	sp_config_free(job->config);
	if (job->eal)
		sp_eal_stop();
	return sp_cmd_finish(code);
}

static int replay(struct arguments *arguments)
{
	struct job job = {.arguments = arguments};
	struct sp_replay_options options = {
		.zones = &arguments->zones, .checksum = arguments->checksum, .burst = arguments->burst, .report = report, .context = &job};
	int code = sp_cmd_load(arguments->config, arguments->rules, &job.config, &job.policy);

	if (code != SP_EXIT_GOOD)
		return code;
	options.config = job.config;
	options.table = &job.table;
	code = settle_zones(&job, &arguments->zones);
	if (code == SP_EXIT_GOOD)
		code = prepare(&job);
	options.writer = job.writer;
	if (code == SP_EXIT_GOOD)
		code = run(&job, &options);
	return finish(&job, code);
}

/* --- options --------------------------------------------------------------------------------------------------------------------- */

static int set_checksum(struct arguments *arguments, const char *text)
{
	static const char *const names[] = {[SP_CHECKSUM_TRUST_NIC] = "trust", [SP_CHECKSUM_VERIFY] = "verify", [SP_CHECKSUM_OFF] = "off"};

	for (int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0) {
			arguments->checksum = i;
			return SP_EXIT_GOOD;
		}
	return sp_cmd_usage("replay", "--checksum is trust, verify or off, not \"%s\"", text);
}

static int set_burst(struct arguments *arguments, const char *text)
{
	int64_t n = sp_number_parse(text, strlen(text), SP_BURST_MAX);

	if (n < 1)
		return sp_cmd_usage("replay", "--burst is a number from 1 to %d, not \"%s\"", SP_BURST_MAX, text);
	arguments->burst = (unsigned int)n;
	return SP_EXIT_GOOD;
}

static int add_zone(struct arguments *arguments, const char *text)
{
	char why[SP_WHY_MAX];

	if (sp_replay_zones_add(&arguments->zones, text, why, sizeof(why)) != 0)
		return sp_cmd_usage("replay", "--zone: %s", why);
	return SP_EXIT_GOOD;
}

static int parse(int argc, char **argv, struct arguments *arguments, bool *helped)
{
	static const struct option options[] = {{"rules", required_argument, NULL, 'r'}, {"config", required_argument, NULL, 'c'},
		{"zone", required_argument, NULL, 'z'}, {"output", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'j'},
		{"checksum", required_argument, NULL, 'C'}, {"burst", required_argument, NULL, 'b'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int option, code = SP_EXIT_GOOD;

	while (code == SP_EXIT_GOOD && (option = getopt_long(argc, argv, "r:c:z:o:h", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			arguments->rules = optarg;
			break;
		case 'c':
			arguments->config = optarg;
			break;
		case 'z':
			code = add_zone(arguments, optarg);
			break;
		case 'o':
			arguments->output = optarg;
			break;
		case 'j':
			arguments->json = true;
			break;
		case 'C':
			code = set_checksum(arguments, optarg);
			break;
		case 'b':
			code = set_burst(arguments, optarg);
			break;
		case 'h':
			fputs(help, stdout);
			*helped = true;
			return sp_cmd_finish(SP_EXIT_GOOD);
		default:
			return sp_cmd_usage("replay", NULL);
		}
	}
	return code;
}

int sp_cmd_replay(int argc, char **argv)
{
	struct arguments *arguments = calloc(1, sizeof(*arguments));
	bool helped = false;
	int code;

	if (arguments == NULL)
		return sp_cmd_fail("out of memory");
	arguments->checksum = -1;
	arguments->burst = 1;
	code = parse(argc, argv, arguments, &helped);
	if (code == SP_EXIT_GOOD && !helped) {
		if (arguments->rules == NULL && arguments->config == NULL)
			code = sp_cmd_usage("replay", "whose rules? Give --rules FILE or -c FILE");
		else if (optind == argc)
			code = sp_cmd_usage("replay", "which capture?");
		else if (optind + 1 < argc)
			code = sp_cmd_usage("replay", "one capture at a time, not also \"%s\"", argv[optind + 1]);
		else {
			arguments->input = argv[optind];
			code = replay(arguments);
		}
	}
	free(arguments);
	return code;
}
