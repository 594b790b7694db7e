/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"

#define SOCKET_DEFAULT "/run/sallyport/api.sock"
#define LIMIT_MAX      1000000

enum { /* options without a letter */
	OPTION_IP = 256,
	OPTION_PORT,
	OPTION_PROTO,
	OPTION_RULE,
	OPTION_TYPE,
	OPTION_LIMIT,
	OPTION_STATE,
	OPTION_ZONE,
	OPTION_SESSIONS,
	OPTION_ALL,
	OPTION_DRY_RUN,
	OPTION_FORCE,
	OPTION_POINTS,
	OPTION_TRACE,
	OPTION_SNAPLEN,
	OPTION_PACKETS,
	OPTION_SECONDS,
	OPTION_MB,
	OPTION_ENTRY,
	OPTION_UNDO,
	OPTION_FAMILY,
};

/* Bits of the options that a command takes beyond -s, -j, -h and -V. */
#define TAKES(option) (1u << ((option)-OPTION_IP))
#define TAKES_N       (1u << 31)

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"iterations", required_argument, NULL, 'n'},
	{"ip", required_argument, NULL, OPTION_IP},
	{"port", required_argument, NULL, OPTION_PORT},
	{"proto", required_argument, NULL, OPTION_PROTO},
	{"rule", required_argument, NULL, OPTION_RULE},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"limit", required_argument, NULL, OPTION_LIMIT},
	{"state", required_argument, NULL, OPTION_STATE},
	{"zone", required_argument, NULL, OPTION_ZONE},
	{"sessions", required_argument, NULL, OPTION_SESSIONS},
	{"all", no_argument, NULL, OPTION_ALL},
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"points", required_argument, NULL, OPTION_POINTS},
	{"trace", no_argument, NULL, OPTION_TRACE},
	{"snaplen", required_argument, NULL, OPTION_SNAPLEN},
	{"packets", required_argument, NULL, OPTION_PACKETS},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"mb", required_argument, NULL, OPTION_MB},
	{"entry", required_argument, NULL, OPTION_ENTRY},
	{"undo", no_argument, NULL, OPTION_UNDO},
	{"family", required_argument, NULL, OPTION_FAMILY},
	{NULL, 0, NULL, 0},
};

struct command {
	const char *name, *synopsis, *summary, *details;
	uint32_t takes;
	int args_max;
	int (*run)(const struct sp_ctl *ctl);
};

static const struct command commands[] = {
	{"status", "", "is it ready, since when, which rules, what is degraded", "Exits 1 when the firewall is not ready.\n", 0, 0,
		sp_ctl_status},
	{"stats", "", "packets, drops by reason, sessions, inspection", "", 0, 0, sp_ctl_stats},
	{"top", "[-n N]", "live rates, a second apart",
		"  -n, --iterations=N  leave after N pages\n"
		"\n"
		"q or Ctrl-C leaves. When standard output is no terminal it prints N pages (1) one after the other.\n",
		TAKES_N, 0, sp_ctl_top},
	{"ports", "", "counters and link of each port", "", 0, 0, sp_ctl_ports},
	{"workers", "", "load of each worker", "", 0, 0, sp_ctl_workers},
	{"rules", "[ID | put FILE [--dry-run] [--force] [--sessions=POLICY]]", "the rules in force with their hits; load a rule file",
		"Without arguments lists all rules in their order, with an ID tells everything about one.\n"
		"`put FILE` replaces the rules by the file (- is standard input). Errors come as FILE:LINE: error: text, and then nothing "
		"changes.\n"
		"\n"
		"      --dry-run          only check\n"
		"      --force            also when the rule file was changed by somebody else since it was loaded\n"
		"      --sessions=POLICY  what becomes of live sessions, see `sallyctl reload --help`\n",
		TAKES(OPTION_DRY_RUN) | TAKES(OPTION_FORCE) | TAKES(OPTION_SESSIONS), 2, sp_ctl_rules},
	{"sessions", "[kill] [--ip=ADDRESS] [--port=N] [--proto=NAME] [--rule=ID] [--state=STATES] [--zone=NAME] [--limit=N | --all]",
		"sessions, filtered; end them",
		"`kill` ends the sessions that match; without it they are listed.\n"
		"\n"
		"      --ip=ADDRESS    either endpoint: an address, prefix or range\n"
		"      --port=N        either endpoint\n"
		"      --proto=NAME    tcp, udp, icmp, ... or a number\n"
		"      --rule=ID       admitted by this rule, or `default`\n"
		"      --state=STATES  in one of these, by comma: tcp_established, udp_new, ...\n"
		"      --zone=NAME     either end is in this zone\n"
		"      --limit=N       list at most so many (1000)\n"
		"      --all           kill without a filter: all of them\n"
		"\n"
		"GEN is the generation of the rules that admitted the session or judged it last. FLAGS: i inspected, l logged, s counted "
		"by its\n"
		"source, p each packet limited, m MSS clamped, f and F closed by the opener and by its peer.\n",
		TAKES(OPTION_IP) | TAKES(OPTION_PORT) | TAKES(OPTION_PROTO) | TAKES(OPTION_RULE) | TAKES(OPTION_LIMIT) |
			TAKES(OPTION_STATE) | TAKES(OPTION_ZONE) | TAKES(OPTION_ALL),
		1, sp_ctl_sessions},
	{"explain", "\"PACKET\"", "what the rules in force do with a packet, and why",
		"PACKET: PROTO SRC[:PORT] > DST[:PORT] [from ZONE] [to ZONE], as in\n"
		"  sallyctl explain \"tcp 10.1.2.3:40000 > 192.0.2.10:443 from inside to outside\"\n"
		"\n"
		"Exits 0 when it would pass, 1 when not.\n",
		0, 1, sp_ctl_explain},
	{"events", "[--type=TYPE] [--rule=ID] [--ip=ADDRESS]", "what happens, as it happens, one line each",
		"      --type=TYPE   flow, drop, alert, stats, audit, defence, nat or port; several by comma\n"
		"      --rule=ID     of this rule, or `default`\n"
		"      --ip=ADDRESS  source or destination: an address, prefix or range\n"
		"\n"
		"Follows until Ctrl-C. Rules log what their `log` says. A line \"N lines lost\" stands where this reader was too slow.\n",
		TAKES(OPTION_TYPE) | TAKES(OPTION_RULE) | TAKES(OPTION_IP), 0, sp_ctl_events},
	{"why", "ADDRESS[:PORT]", "the last drops of an address: reason, cure, rule, nearest miss",
		"ADDRESS may be a prefix or range; IPv6 with a port in brackets. The firewall remembers the last 16 packets of each reason "
		"and worker.\n",
		0, 1, sp_ctl_why},
	{"capture",
		"[list | start [FILTER] [--points=LIST] [--trace] [--seconds=N] [--packets=N] [--mb=N] [--snaplen=N] | get ID FILE | stop "
		"ID | rm ID]",
		"packets to pcapng files, dropped ones included",
		"FILTER is a pcap-filter expression. Each packet's comment says what became of it: reason and rule.\n"
		"`get` writes the file (- is standard output), also while the capture runs; `rm` forgets a stopped capture and its file.\n"
		"\n"
		"      --points=LIST  of rx, tx, drop (all; with --trace tx,drop)\n"
		"      --trace        what each stage made of the packet, in its comment\n"
		"      --seconds=N    stop after N seconds (60)\n"
		"      --packets=N    stop after N packets\n"
		"      --mb=N         stop when the file has N MB (64)\n"
		"      --snaplen=N    bytes kept of each packet (2048)\n",
		TAKES(OPTION_POINTS) | TAKES(OPTION_TRACE) | TAKES(OPTION_SNAPLEN) | TAKES(OPTION_PACKETS) | TAKES(OPTION_SECONDS) |
			TAKES(OPTION_MB),
		3, sp_ctl_capture},
	{"routes", "[ADDRESS | PREFIX] [--family=4|6] [--limit=N]", "the routes of Linux that are followed, and which are used",
		"With an ADDRESS those that cover it, with a PREFIX those within it. * marks what packets go by; others wait for it to go. "
		"Hops in\n"
		"parentheses cannot be used: dead, without carrier, or not the firewall's.\n"
		"\n"
		"      --family=4|6  of one family\n"
		"      --limit=N     list at most so many (1000)\n",
		TAKES(OPTION_FAMILY) | TAKES(OPTION_LIMIT), 1, sp_ctl_routes},
	{"neighbours", "[LINK] [--family=4|6] [--limit=N]", "neighbours of the links, and whether they answer",
		"STATE is what packets meet, LINUX what Linux says of the neighbour.\n"
		"\n"
		"      --family=4|6  of one family\n"
		"      --limit=N     list at most so many (1000)\n",
		TAKES(OPTION_FAMILY) | TAKES(OPTION_LIMIT), 1, sp_ctl_neighbours},
	{"nat", "[list | drain ADDRESS [--entry=ID] [--undo]]", "backends of address translation, their health; drain them",
		"`drain` lets no new flows go to the backend; those it has go on. It lasts until --undo, a restart, or rules without the "
		"backend.\n"
		"\n"
		"      --entry=ID  of this nat entry only\n"
		"      --undo      let new flows go there again\n",
		TAKES(OPTION_ENTRY) | TAKES(OPTION_UNDO), 2, sp_ctl_nat},
	{"reload", "[--sessions=POLICY]", "load the rule file again and reopen the logs",
		"POLICY is what becomes of live sessions (without it the configuration's sessions.on_change):\n"
		"  recheck  each is judged by the new rules when its next packet comes; what they allow stays\n"
		"  keep     they stay as they are until they end\n"
		"  kill     all are judged now; only those stay whose own rule is unchanged and still decides\n",
		TAKES(OPTION_SESSIONS), 0, sp_ctl_reload},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char common_help[] = "  -s, --socket=PATH  socket of the API (" SOCKET_DEFAULT ")\n"
				  "  -j, --json         print what the socket returns\n"
				  "  -h, --help         this text\n"
				  "  -V, --version      the version\n";

static int print_help(const struct command *command)
{
	if (command) {
		printf("Usage: sallyctl [OPTION]... %s%s%s\n\n%s\n", command->name, command->synopsis[0] ? " " : "", command->synopsis,
			command->summary);
		printf("%s%s\n%s", command->details[0] ? "\n" : "", command->details, common_help);
		return SP_CTL_GOOD;
	}
	printf("Usage: sallyctl [OPTION]... COMMAND [ARGUMENT]...\n\nAsks and steers a running sallyport over its socket.\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	printf("\n%s\n`sallyctl COMMAND --help` tells more of one. Exit status: 0 good, 1 the firewall says no, 2 could not run.\n",
		common_help);
	return SP_CTL_GOOD;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* 1 to max; 0 with a message. */
static uint32_t read_number(const char *text, const char *what, uint32_t max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && n >= 1 && n <= max)
		return (uint32_t)n;
	sp_ctl_error("%s takes a number from 1 to %u, not \"%s\"", what, max, text);
	return 0;
}

static int usage(const struct command *command)
{
	fprintf(stderr, "Try 'sallyctl %s%s--help'.\n", command ? command->name : "", command ? " " : "");
	return SP_CTL_FAILED;
}

struct given {
	uint32_t takes; /* bits of the options that were given */
	bool help, version;
};

/* One option into ctl; false with a message. */
static bool read_option(struct sp_ctl *ctl, struct given *given, int option)
{
	if (option >= OPTION_IP)
		given->takes |= TAKES(option);
	switch (option) {
	case 's':
		ctl->socket = optarg;
		return true;
	case 'j':
		ctl->json = true;
		return true;
	case 'h':
		given->help = true;
		return true;
	case 'V':
		given->version = true;
		return true;
	case 'n':
		given->takes |= TAKES_N;
		ctl->iterations = read_number(optarg, "--iterations", LIMIT_MAX);
		return ctl->iterations != 0;
	case OPTION_IP:
		ctl->ip = optarg;
		return true;
	case OPTION_PORT:
		ctl->port = optarg;
		return true;
	case OPTION_PROTO:
		ctl->proto = optarg;
		return true;
	case OPTION_RULE:
		ctl->rule = optarg;
		return true;
	case OPTION_TYPE:
		ctl->type = optarg;
		return true;
	case OPTION_LIMIT:
		ctl->limit = read_number(optarg, "--limit", LIMIT_MAX);
		return ctl->limit != 0;
	case OPTION_STATE:
		ctl->state = optarg;
		return true;
	case OPTION_ZONE:
		ctl->zone = optarg;
		return true;
	case OPTION_SESSIONS:
		ctl->sessions = optarg;
		return true;
	case OPTION_ALL:
		ctl->all = true;
		return true;
	case OPTION_DRY_RUN:
		ctl->dry_run = true;
		return true;
	case OPTION_FORCE:
		ctl->force = true;
		return true;
	case OPTION_POINTS:
		ctl->points = optarg;
		return true;
	case OPTION_TRACE:
		ctl->trace = true;
		return true;
	case OPTION_SNAPLEN:
		ctl->snaplen = read_number(optarg, "--snaplen", 65535);
		return ctl->snaplen != 0;
	case OPTION_PACKETS:
		ctl->packets = read_number(optarg, "--packets", UINT32_MAX);
		return ctl->packets != 0;
	case OPTION_SECONDS:
		ctl->seconds = read_number(optarg, "--seconds", 86400);
		return ctl->seconds != 0;
	case OPTION_MB:
		ctl->megabytes = read_number(optarg, "--mb", 4096);
		return ctl->megabytes != 0;
	case OPTION_ENTRY:
		ctl->entry = read_number(optarg, "--entry", INT32_MAX);
		return ctl->entry != 0;
	case OPTION_UNDO:
		ctl->undo = true;
		return true;
	case OPTION_FAMILY:
		ctl->family = optarg;
		return true;
	default:
		return false; /* getopt has said it */
	}
}

static int flush_output(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return sp_ctl_error("standard output: %s", strerror(errno));
	return code;
}

int main(int argc, char **argv)
{
	struct sp_ctl ctl = {.socket = SOCKET_DEFAULT};
	const struct command *command = NULL;
	struct given given = {0};
	int option;

	while ((option = getopt_long(argc, argv, "s:jhVn:", options, NULL)) != -1)
		if (!read_option(&ctl, &given, option))
			return usage(NULL);
	if (given.version) {
		printf("sallyctl %s\n", SP_VERSION);
		return SP_CTL_GOOD;
	}
	if (optind < argc)
		command = find_command(argv[optind]);
	if (optind < argc && !command) {
		sp_ctl_error("unknown command \"%s\"", argv[optind]);
		return usage(NULL);
	}
	if (given.help || !command) {
		if (given.help)
			return flush_output(print_help(command));
		sp_ctl_error("no command");
		return usage(NULL);
	}
	ctl.args = argv + optind + 1;
	ctl.n_args = argc - optind - 1;
	if (ctl.n_args > command->args_max) {
		sp_ctl_error("%s: too many arguments", command->name);
		return usage(command);
	}
	if (given.takes & ~command->takes) {
		sp_ctl_error("%s does not take this option", command->name);
		return usage(command);
	}
	return flush_output(command->run(&ctl));
}
