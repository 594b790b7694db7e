/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/session_tcp.h"
#include "tests/unit/support/eal.h"

/*
 * The states of tests/packet/tcp_matrix.txt, whose first lines tell how it reads; test_tcp_matrix.py takes the same rows through the whole
 * firewall for their verdicts.
 */
#define MATRIX "tests/packet/tcp_matrix.txt"

struct context {
	struct sp_sessions *sessions;
	uint32_t ref; /* SP_SESSION_NONE: none yet */
	uint32_t first[2];
	uint32_t now_ms;
	char row[512];
	bool failed; /* once is enough for a row */
};

static const char *const reasons[SP_DROP_COUNT] = {
	[SP_DROP_NONE] = "",
	[SP_DROP_TCP_FLAGS] = "flags",
	[SP_DROP_TCP_STATE] = "state",
	[SP_DROP_TCP_WINDOW] = "window",
	[SP_DROP_TCP_RST] = "rst",
	[SP_DROP_TCP_SYN] = "syn",
};

/* Reads one segment; false when the text is none. `reason` gets what stands behind "!", or nothing. */
static bool parse_segment(
	const struct context *context, const char *text, bool *reply, struct sp_tcp_segment *segment, char *reason, size_t size)
{
	static const char letters[] = "FSRPAU";
	char copy[256], *save = NULL, *word, *colon;
	unsigned int n = 0;

	*segment = (struct sp_tcp_segment){.window = 8192, .scale = SP_TCP_SCALE_NONE};
	reason[0] = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		if (word[0] == '!') {
			snprintf(reason, size, "%s", word + 1);
		} else if (strncmp(word, "w=", 2) == 0) {
			segment->window = (uint16_t)strtoul(word + 2, NULL, 10);
		} else if (strncmp(word, "ws=", 3) == 0) {
			segment->scale = (int8_t)RTE_MIN(strtoul(word + 3, NULL, 10), (unsigned long)SP_TCP_SCALE_MAX);
		} else if (n++ == 0) {
			*reply = word[0] == '<';
		} else if (n == 2) {
			for (unsigned int i = 0; letters[i] != 0; i++)
				segment->flags |= (uint8_t)((strchr(word, letters[i]) != NULL) << i);
		} else if (n == 3) {
			colon = strchr(word, ':');
			segment->payload = colon == NULL ? 0 : (uint16_t)strtoul(colon + 1, NULL, 10);
			segment->seq = context->first[*reply] + (uint32_t)strtol(word, NULL, 10);
		} else {
			segment->ack = context->first[!*reply] + (uint32_t)strtol(word, NULL, 10);
		}
	}
	return n >= 3;
}

static uint32_t open_session(struct context *context, const struct sp_tcp_segment *segment)
{
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 7);
	uint32_t ref = insert_key(context->sessions, &key, SP_STATE_TCP_SYN_SENT, context->now_ms);

	assert_int_not_equal(ref, SP_SESSION_NONE);
	sp_tcp_open(context->sessions, ref, segment);
	return ref;
}

/* What the stages around sp_tcp_update do to a segment. */
static void send_segment(struct context *context, const char *text)
{
	struct sp_session_state state;
	struct sp_tcp_segment segment;
	struct sp_session_tcp windows;
	char expected[16];
	enum sp_drop_reason reason;
	enum sp_tcp_next next;
	bool reply = false;

	assert_true(parse_segment(context, text, &reply, &segment, expected, sizeof(expected)));
	context->now_ms += 10;
	if (context->ref == SP_SESSION_NONE) {
		if (expected[0] == 0)
			context->ref = open_session(context, &segment);
		return;
	}
	state = *sp_session_state(context->sessions, context->ref);
	windows = *sp_session_tcp(context->sessions, context->ref);
	reason = sp_tcp_update(context->sessions, context->ref | (reply ? SP_SESSION_REPLY : 0), &segment, context->now_ms, &next);
	if (reasons[reason] == NULL || strcmp(reasons[reason], expected) != 0) {
		print_error("%s: at \"%s\": got %s\n", context->row, text, sp_drop_texts[reason].name);
		context->failed = true;
	}
	if (reason != SP_DROP_NONE || next == SP_TCP_REOPEN) {
		assert_memory_equal(&state, sp_session_state(context->sessions, context->ref), sizeof(state));
		assert_memory_equal(&windows, sp_session_tcp(context->sessions, context->ref), sizeof(windows));
	}
	if (next == SP_TCP_REOPEN) {
		sp_session_remove(context->sessions, context->ref, SP_END_REOPENED);
		context->ref = open_session(context, &segment);
	}
}

static void send_all(struct context *context, const char *list)
{
	char copy[512], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *text = strtok_r(copy, ";", &save); text != NULL; text = strtok_r(NULL, ";", &save))
		if (strspn(text, " ") != strlen(text))
			send_segment(context, text);
}

static bool check_row(const char *before, const char *line, unsigned int number)
{
	static const uint32_t first[][2] = {{1000, 5000}, {UINT32_MAX - 59, 0x7fffffc4}, {0x7fffffff, UINT32_MAX}, {77, UINT32_MAX - 7999}};
	struct context context = {.sessions = table_of(64, 64), .ref = SP_SESSION_NONE};
	char segments[512], state[32];
	const char *got = "none";

	memcpy(context.first, first[number % RTE_DIM(first)], sizeof(context.first));
	snprintf(context.row, sizeof(context.row), "%s", line);
	assert_int_equal(sscanf(line, "%511[^|]| %31[a-z_]", segments, state), 2);
	if (strcmp(state, "new") == 0)
		snprintf(state, sizeof(state), "syn_sent");
	send_all(&context, before);
	send_all(&context, segments);
	if (context.ref != SP_SESSION_NONE)
		got = sp_state_names[sp_session_state(context.sessions, context.ref)->state] + strlen("tcp_");
	if (!context.failed && strcmp(got, state) != 0) {
		print_error("%s: got %s\n", line, got);
		context.failed = true;
	}
	assert_consistent(context.sessions);
	sp_sessions_free(context.sessions);
	return !context.failed;
}

static void each_row_ends_in_its_state(void **unused)
{
	char line[512], before[512] = "";
	FILE *file = fopen(MATRIX, "r");
	unsigned int n = 0, failed = 0;
	(void)unused;

	if (file == NULL)
		fail_msg("%s cannot be read: run this from the top of the tree", MATRIX);
	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '=') {
			const char *colon = strchr(line, ':');

			assert_non_null(colon);
			snprintf(before, sizeof(before), "%s", colon + 1);
		} else if (line[0] != 0 && line[0] != '#')
			failed += !check_row(before, line, n++);
	}
	fclose(file);
	print_message("%u rows\n", n);
	assert_int_equal(failed, 0);
	assert_in_range(n, 300, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_ends_in_its_state),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
