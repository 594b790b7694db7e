/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport explain: the verdict on a described packet and what led to it, and the list of all drop reasons.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/verdict.h"
#include "rules/explain.h"
#include "rules/packet_text.h"
#include "vnf/commands.h"

static const char help[] = "Usage: sallyport explain --rules FILE [OPTION]... \"PACKET\"\n"
			   "  or:  sallyport explain -c FILE [OPTION]... \"PACKET\"\n"
			   "  or:  sallyport explain --reasons [--json]\n"
			   "Say whether the first packet of a flow would pass, which rule decides, and which one nearly would have.\n\n"
			   "PACKET is PROTO SRC[:PORT] > DST[:PORT] [from ZONE] [to ZONE] [FIELD=VALUE]...; IPv6 with a port in brackets.\n"
			   "DST is the destination as it comes in, before nat; interface stands for an address of the firewall's own.\n"
			   "Fields: flags, vlan, type, code, length, dscp, src_mac. A field that a rule asks and the text does not give\n"
			   "makes the answer pending.\n\n"
			   "Options:\n"
			   "  -r, --rules FILE   the rule file\n"
			   "  -c, --config FILE  take zones, and without --rules the rule file, from this configuration\n"
			   "      --json         the answer as POST /v1/explain gives it\n"
			   "      --reasons      every reason for which a packet is dropped: name, meaning, cure\n"
			   "  -h, --help         show this help\n\n"
			   "Exit codes: 0 allowed; 1 not allowed, pending, or the rules have errors; 2 could not run.\n\n"
			   "Example:\n"
			   "  sallyport explain --rules main.rules \"tcp 10.1.2.3:40000 > 192.0.2.10:443 from inside to outside\"\n";

static int print_json(json_t *json)
{
	if (json == NULL)
		return sp_cmd_fail("out of memory");
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	return SP_EXIT_GOOD;
}

static int reasons_json(void)
{
	json_t *list = json_array();

	for (int i = 1; i < SP_DROP_COUNT; i++)
		json_array_append_new(list, json_pack("{ss ss ss}", "reason", sp_drop_texts[i].name, "meaning", sp_drop_texts[i].meaning,
						    "cure", sp_drop_texts[i].cure));
	return print_json(list);
}

static int reasons_text(void)
{
	for (int i = 1; i < SP_DROP_COUNT; i++)
		printf("%-21s %s\n%-21s cure: %s\n", sp_drop_texts[i].name, sp_drop_texts[i].meaning, "", sp_drop_texts[i].cure);
	return SP_EXIT_GOOD;
}

/* The words of the command line as one text, so that only `>` needs quotes. */
static bool join(char *out, size_t size, char **words, int n)
{
	size_t used = 0;

	out[0] = '\0';
	for (int i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", words[i]);
	return used < size;
}

static int explain(const struct sp_policy *policy, const char *text, bool json)
{
	struct sp_packet_text packet;
	struct sp_explain result;
	char why[256];
	int code;

	if (sp_packet_text_parse(text, &policy->zones, &packet, why, sizeof(why)) != 0)
		return sp_cmd_fail("packet \"%s\": %s", text, why);
	sp_explain(policy, &packet, &result);
	code = result.action == SP_ACTION_ALLOW && !result.pending ? SP_EXIT_GOOD : SP_EXIT_NO;
	if (!json)
		sp_explain_print(policy, &packet, &result, stdout);
	else if (print_json(sp_explain_json(policy, &packet, &result)) != SP_EXIT_GOOD)
		return SP_EXIT_UNRUN;
	return code;
}

struct arguments {
	const char *config, *rules;
	bool json, reasons;
};

static int run(const struct arguments *arguments, int n, char **words)
{
	struct sp_config *config = NULL;
	struct sp_policy *policy = NULL;
	char text[1024];
	int code;

	if (arguments->reasons && n > 0)
		return sp_cmd_usage("explain", "--reasons takes no packet");
	if (arguments->reasons)
		return sp_cmd_finish(arguments->json ? reasons_json() : reasons_text());
	if (arguments->rules == NULL && arguments->config == NULL)
		return sp_cmd_usage("explain", "whose rules? Give --rules FILE or -c FILE");
	if (n == 0)
		return sp_cmd_usage("explain", "which packet?");
	if (!join(text, sizeof(text), words, n))
		return sp_cmd_usage("explain", "the packet takes more than %zu bytes", sizeof(text) - 1);
	code = sp_cmd_load(arguments->config, arguments->rules, &config, &policy);
	if (code == SP_EXIT_GOOD)
		code = explain(policy, text, arguments->json);
	sp_policy_free(policy);
	sp_config_free(config);
	return sp_cmd_finish(code);
}

int sp_cmd_explain(int argc, char **argv)
{
	static const struct option options[] = {{"rules", required_argument, NULL, 'r'}, {"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'}, {"reasons", no_argument, NULL, 'R'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	struct arguments arguments = {0};
	int option;

	while ((option = getopt_long(argc, argv, "r:c:h", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			arguments.rules = optarg;
			break;
		case 'c':
			arguments.config = optarg;
			break;
		case 'j':
			arguments.json = true;
			break;
		case 'R':
			arguments.reasons = true;
			break;
		case 'h':
			fputs(help, stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		default:
			return sp_cmd_usage("explain", NULL);
		}
	}
	return run(&arguments, argc - optind, argv + optind);
}
