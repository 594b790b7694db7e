/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include "dataplane/session_tcp.h"
#include "tests/unit/support/eal.h"

/*
 * After the opener's SYN, the segments in order: direction (> original, < reply), flags (F S R P A U E C; P carries ten bytes), and what
 * happens to it unless it passes: ! dropped as tcp_state, ? as tcp_flags, ~ as tcp_syn and challenged, % as tcp_window, # it reopens the
 * tuple (and the row ends). Numbers are those of ends that heard everything so far; what was sent before is repeated with its old ones; a
 * SYN marked + starts another connection. Then the state, and which directions' FIN was seen (o, r). Sections are of RFC 9293 where no
 * other RFC is named. Windows and resets have tables of their own: test_tcp_window.c, tests/packet/tcp_matrix.py.
 */
static const struct row {
	const char *section, *segments;
	uint8_t state;
	const char *fins;
} rows[] = {
	/* opening */
	{"3.5 fig 6: three-way handshake", "<SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.5: nothing but the opener's SYN", "", SP_STATE_TCP_SYN_SENT, ""},
	{"3.8.1: SYN repeated", ">S >S >S", SP_STATE_TCP_SYN_SENT, ""},
	{"3.4.1: another attempt of the opener", ">S >+S#", SP_STATE_TCP_SYN_SENT, ""},
	{"RFC 5961 4.2: another attempt of the opener after the answer", "<SA >+S~", SP_STATE_TCP_SYN_RECEIVED, ""},
	{"3.10.7.3: an answer to nothing that the opener sent", "<+SA% <SA", SP_STATE_TCP_SYN_RECEIVED, ""},
	{"3.10.7.4: another SYN+ACK", "<SA <+SA~ >A <+SA~", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.8.1: SYN+ACK repeated", "<SA <SA", SP_STATE_TCP_SYN_RECEIVED, ""},
	{"3.8.1: SYN repeated because SYN+ACK was lost", "<SA >S <SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.8.1: SYN+ACK repeated because ACK was lost", "<SA >A <SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 3168 6.1.1: ECN set-up", "<SAE >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 3168 6.1.1: ECN SYN repeated", ">SEC <SAE >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.5: data rides on the third segment", "<SA >PA", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.5 fig 7: simultaneous open", "<S >SA <SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.5 fig 7: simultaneous open, one SYN+ACK is enough", "<S >SA <A >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.5 fig 7: simultaneous open, SYNs repeated", "<S <S >S >SA >SA <SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 7413 4.2: answer data before the opener's ACK", "<SA <PA <A >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 7413 4.2: answer data and FIN before the opener's ACK", "<SA <PA <FA", SP_STATE_TCP_FIN_WAIT, "r"},
	{"3.10.7.3: refused", "<RA", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.3: opener gives up", ">R", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: refused after SYN+ACK", "<SA <R", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: opener refuses the SYN+ACK", "<SA >R", SP_STATE_TCP_CLOSED, ""},
	{"3.5.1 fig 8: half-open peer answers ACK and is reset", "<A >R", SP_STATE_TCP_CLOSED, ""},
	{"3.5.1 fig 8: then the opener tries again", "<A >R >S#", SP_STATE_TCP_CLOSED, ""},

	/* not a handshake */
	{"3.10.7.3: opener's ACK before any answer", ">A!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: opener's data before any answer", ">PA!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: opener's FIN before any answer", ">FA!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: opener's SYN+ACK to itself", ">SA!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: data of a peer that never answered", "<PA!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: FIN of a peer that never answered", "<FA!", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7.3: a drop changes nothing", ">A! >PA! <FA! <SA >A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7.4: the reply's ACK does not establish", "<SA <A", SP_STATE_TCP_SYN_RECEIVED, ""},

	/* data */
	{"3.10.7.4: data both ways", "<SA >A >PA <A <PA >A >A <A", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.8.5: urgent data", "<SA >A >AU >PAU <AU", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 3168 6.1.2: ECE and CWR on data", "<SA >A >PAC <AE", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.8.4: keep-alive", "<SA >A >A <A >A <A", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 5961 4.2: SYN inside a connection", "<SA >A >S~ <S~", SP_STATE_TCP_ESTABLISHED, ""},
	{"RFC 5961 4.2: another SYN inside a connection", "<SA >A >+S~ <+S~", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7.4: opener's SYN+ACK inside a connection", "<SA >A >SA~", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7.4: SYN changes nothing, the connection goes on", "<SA >A >S~ >PA <A", SP_STATE_TCP_ESTABLISHED, ""},

	/* closing */
	{"3.6 fig 12: normal close by the opener", "<SA >A >FA <A <FA >A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6 fig 12: normal close by the peer", "<SA >A <FA >A >FA <A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6: FIN answered by FIN+ACK", "<SA >A >FA <FA >A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6 fig 13: simultaneous close", "<SA >A >FA <FA >A <A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6: one side closed", "<SA >A >FA", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.6: the peer closed", "<SA >A <FA", SP_STATE_TCP_FIN_WAIT, "r"},
	{"3.6: half-close, the other side sends on", "<SA >A >FA <A <PA >A <PA >A", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.6: half-close by the peer, the opener sends on", "<SA >A <FA >A >PA <A >PA <A", SP_STATE_TCP_FIN_WAIT, "r"},
	{"3.8.1: FIN repeated", "<SA >A >FA >FA >FA", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.8.1: FIN with data, repeated", "<SA >A >FPA >FPA <A", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.8.1: data repeated after FIN", "<SA >A >PA >FA >PA", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.8.1: SYN+ACK repeated after an early FIN", "<SA >FA <SA >FA", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.9.1.4: close in SYN-RECEIVED by the opener", "<SA >FA", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.9.1.4: close in SYN-RECEIVED by the peer", "<SA <FA >FA <A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6: both closed, last ACK to come", "<SA >A >FA <FA", SP_STATE_TCP_CLOSING, "or"},
	{"3.8.1: last FIN repeated", "<SA >A >FA <FA <FA", SP_STATE_TCP_CLOSING, "or"},
	{"3.8.1: data overtaken by the last FIN", "<SA >A >FA <FA <PA >A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.8.1: the opener's last FIN repeated, before and after its ACK", "<SA >A <FA >FA >FA <A >FA <A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.8.1: data repeated before the last ACK", "<SA >A <FA >FPA >PA", SP_STATE_TCP_CLOSING, "or"},
	{"3.10.7.4: SYN while closing", "<SA >A >FA >S~ <S~", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.10.7.4: SYN+ACK of the opener while closing", "<SA >A >FA >SA~", SP_STATE_TCP_FIN_WAIT, "o"},
	{"3.10.7.4: SYN before the last ACK", "<SA >A >FA <FA >S~ <S~ >SA~ <SA~", SP_STATE_TCP_CLOSING, "or"},

	/* time-wait */
	{"3.10.7.4: last ACK lost, FIN repeated", "<SA >A >FA <FA >A <FA >A", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.10.7.4: late data", "<SA >A >FA <FA >A <PA >PA", SP_STATE_TCP_TIME_WAIT, "or"},
	{"RFC 1337 3: the ends decide, here an exact RST ends the wait", "<SA >A >FA <FA >A <R >R", SP_STATE_TCP_CLOSED, "or"},
	{"3.6.1, RFC 6191: opener reuses its port", "<SA >A >FA <FA >A >+S#", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.6.1, RFC 6191: with ECN", "<SA >A >FA <FA >A >+SEC#", SP_STATE_TCP_TIME_WAIT, "or"},
	{"RFC 6191 3: the old SYN is no reuse", "<SA >A >FA <FA >A >S~", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.10.7.4: the peer's SYN is no reuse", "<SA >A >FA <FA >A <S!", SP_STATE_TCP_TIME_WAIT, "or"},
	{"3.10.7.4: SYN+ACK of an old handshake", "<SA >A >FA <FA >A <SA! >SA!", SP_STATE_TCP_TIME_WAIT, "or"},

	/* reset */
	{"3.10.7.4: reset by the opener", "<SA >A >R", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: reset by the peer", "<SA >A <RA", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: reset while half closed", "<SA >A >FA <R", SP_STATE_TCP_CLOSED, "o"},
	{"3.10.7.4: reset while closing", "<SA >A >FA <FA >RA", SP_STATE_TCP_CLOSED, "or"},
	{"3.10.7.4: reset by the side that closed", "<SA >A >FA >R", SP_STATE_TCP_CLOSED, "o"},
	{"3.10.7.4: reset by the peer while closing", "<SA >A >FA <FA <R", SP_STATE_TCP_CLOSED, "or"},
	{"3.5.2: RST repeated, from both sides", "<SA >A >R >R <R <RA", SP_STATE_TCP_CLOSED, ""},
	{"3.5.3: data after a reset", "<SA >A >R <PA! >PA!", SP_STATE_TCP_CLOSED, ""},
	{"3.5.3: FIN with the last data after a reset, data after that", "<SA >A >R <FPA <PA!", SP_STATE_TCP_CLOSED, ""},
	{"3.5.2: ACK and FIN on their way when the reset came", "<SA >A >R <A <FA >A >FA", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: SYN+ACK after a reset", "<SA >A >R <SA! >SA!", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.4: the peer's SYN after a reset", "<SA >A >R <S!", SP_STATE_TCP_CLOSED, ""},
	{"3.6.1: the opener starts anew after a reset", "<SA >A >R >S#", SP_STATE_TCP_CLOSED, ""},
	{"3.10.7.3: the opener starts anew after a refusal", "<RA >S#", SP_STATE_TCP_CLOSED, ""},

	/* flags */
	{"3.10.7: no flags", "<SA >A >? <?", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7: FIN, PSH and URG without ACK", "<SA >A >F? >P? >U? >FPU?", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7: SYN with FIN or RST", ">SF? >SR? <SFA? <SRA?", SP_STATE_TCP_SYN_SENT, ""},
	{"3.10.7: FIN with RST", "<SA >A >FR? >FRA?", SP_STATE_TCP_ESTABLISHED, ""},
	{"3.10.7: all flags", "<SA >A >FSRPAU? >FSRPAUEC?", SP_STATE_TCP_ESTABLISHED, ""},
};

static uint8_t flag_of(char letter)
{
	static const char letters[] = "FSRPAUEC";
	const char *at = strchr(letters, letter);

	assert_non_null(at);
	return (uint8_t)(1u << (at - letters));
}

#define DATA_BYTES 10

/* What an end has sent. */
struct end {
	uint32_t isn, next, fin;
	bool closed;
};

/* The segment of an end that heard everything. */
static struct sp_tcp_segment number(struct end *self, const struct end *peer, uint8_t flags, bool anew)
{
	struct sp_tcp_segment segment = {.seq = self->next, .window = 8192, .flags = flags, .scale = SP_TCP_SCALE_NONE};

	segment.payload = flags & 0x08 ? DATA_BYTES : 0;
	segment.ack = peer->next;
	if (flags & 0x02)
		segment.seq = anew ? self->next + 100000 : self->isn;
	else if (self->closed)
		segment.seq = self->fin + !(flags & 0x01) - segment.payload;
	if (flags & 0x02 && anew && flags & 0x10)
		segment.ack = peer->next + 1;
	return segment;
}

static void note_sent(struct end *self, const struct sp_tcp_segment *segment)
{
	if (sp_tcp_diff(sp_tcp_segment_end(segment), self->next) > 0)
		self->next = sp_tcp_segment_end(segment);
	if (segment->flags & 0x01 && !self->closed) {
		self->closed = true;
		self->fin = self->next - 1;
	}
}

static char outcome(enum sp_drop_reason reason, enum sp_tcp_next next)
{
	assert_int_equal(next == SP_TCP_CHALLENGE, reason == SP_DROP_TCP_SYN);
	switch (reason) {
	case SP_DROP_NONE:
		return next == SP_TCP_REOPEN ? '#' : 0;
	case SP_DROP_TCP_STATE:
		return '!';
	case SP_DROP_TCP_FLAGS:
		return '?';
	case SP_DROP_TCP_SYN:
		return '~';
	case SP_DROP_TCP_WINDOW:
		return '%';
	default:
		fail_msg("reason %u", reason);
		return 0;
	}
}

/* Sends one segment of the row; returns what follows it, NULL at the end. */
static const char *send_segment(
	struct sp_sessions *sessions, uint32_t ref, struct end *ends, const struct row *row, const char *text, uint32_t now_ms)
{
	const char *at = text;
	const struct sp_session_state before = *sp_session_state(sessions, ref);
	const struct sp_session_tcp windows = *sp_session_tcp(sessions, ref);
	struct sp_tcp_segment segment;
	enum sp_drop_reason reason;
	enum sp_tcp_next next;
	char expected = 0, got;
	uint8_t flags = 0;
	bool anew = false, reply;

	while (*at == ' ')
		at++;
	if (*at == 0)
		return NULL;
	reply = *at++ == '<';
	for (; *at != 0 && *at != ' '; at++) {
		if (strchr("!?#~%", *at) != NULL)
			expected = *at;
		else if (*at == '+')
			anew = true;
		else
			flags |= flag_of(*at);
	}
	segment = number(&ends[reply], &ends[!reply], flags, anew);
	reason = sp_tcp_update(sessions, ref | (reply ? SP_SESSION_REPLY : 0), &segment, now_ms, &next);
	got = outcome(reason, next);
	if (got != expected)
		fail_msg("%s: \"%s\" at \"%s\": expected %c, got %c", row->section, row->segments, text, expected ? expected : '-',
			got ? got : '-');
	if (got != 0) {
		assert_memory_equal(&before, sp_session_state(sessions, ref), sizeof(before));
		assert_memory_equal(&windows, sp_session_tcp(sessions, ref), sizeof(windows));
	} else {
		note_sent(&ends[reply], &segment);
	}
	return at;
}

static void each_row_ends_as_it_should(void **unused)
{
	const unsigned int n = sizeof(rows) / sizeof(rows[0]);
	(void)unused;

	for (unsigned int i = 0; i < n; i++) {
		const struct row *row = &rows[i];
		struct sp_sessions *sessions = table_of(64, 64);
		struct sp_key key = key_of(i % 2 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_TCP, i);
		uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 1000), now_ms = 1000;
		const struct sp_session_state *state = sp_session_state(sessions, ref);
		/* Numbers that wrap within the row, on one side or the other. */
		struct end ends[2] = {{.isn = i % 3 ? 1000 : UINT32_MAX - 5, .next = i % 3 ? 1000 : UINT32_MAX - 5},
			{.isn = i % 2 ? 0x7ffffff8 : UINT32_MAX, .next = i % 2 ? 0x7ffffff8 : UINT32_MAX}};
		struct sp_tcp_segment syn = number(&ends[0], &ends[1], 0x02, false);

		note_sent(&ends[0], &syn);
		sp_tcp_open(sessions, ref, &syn);
		for (const char *at = row->segments; at != NULL; now_ms += 10)
			at = send_segment(sessions, ref, ends, row, at, now_ms);
		if (state->state != row->state)
			fail_msg("%s: \"%s\": expected %s, got %s", row->section, row->segments, sp_state_names[row->state],
				sp_state_names[state->state]);
		if ((sp_session_tcp(sessions, ref)->fins & 1) != !!strchr(row->fins, 'o') ||
			sp_session_tcp(sessions, ref)->fins >> 1 != !!strchr(row->fins, 'r'))
			fail_msg("%s: \"%s\": wrong FINs", row->section, row->segments);
		assert_consistent(sessions);
		sp_sessions_free(sessions);
	}
	print_message("%u rows\n", n);
}

/*
 * Each of the seven states takes each combination of flags of each direction, at numbers around the right ones and far from them, without
 * leaving the TCP states, and what is dropped changes nothing.
 */
static void no_segment_leads_astray(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 0);
	struct sp_session_state *state = sp_session_state(sessions, ref);
	struct sp_session_tcp *tcp = sp_session_tcp(sessions, ref);
	static const uint32_t around[] = {0, 1, UINT32_MAX, 8192, 0x80000000, 0x40000000, 100000};
	struct sp_session_tcp windows = {
		.peer = {{.end = 5, .limit = 8197, .ack = 900, .max_window = 8192},
			{.end = 900, .limit = 9092, .ack = 5, .max_window = 8192}},
		.flags = SP_TCP_SEEN | SP_TCP_SEEN << 1 | SP_TCP_ACKED | SP_TCP_ACKED << 1,
	};
	(void)unused;

	for (unsigned int from = SP_STATE_TCP_SYN_SENT; from <= SP_STATE_TCP_CLOSED; from++)
		for (unsigned int at = 0; at < 256 * 2 * 7 * 7 * 2; at++) {
			struct sp_tcp_segment segment = {
				.flags = (uint8_t)at, .window = 100, .payload = at >> 8 & 1, .scale = (int8_t)(at & 3) - 1};
			const bool reply = at >> 9 & 1;
			struct sp_session_state before;
			enum sp_drop_reason reason;
			enum sp_tcp_next next;

			segment.seq = windows.peer[reply].end + around[(at >> 10) % 7];
			segment.ack = windows.peer[!reply].end + around[(at >> 10) / 7 % 7];
			state->state = (uint8_t)from;
			windows.fins = from & 3;
			*tcp = windows;
			before = *state;
			reason = sp_tcp_update(sessions, reply ? ref | SP_SESSION_REPLY : ref, &segment, 5, &next);
			assert_in_range(state->state, SP_STATE_TCP_SYN_SENT, SP_STATE_TCP_CLOSED);
			assert_true(reason == SP_DROP_NONE || (reason >= SP_DROP_TCP_FLAGS && reason <= SP_DROP_TCP_SYN));
			assert_int_equal(reason == SP_DROP_TCP_FLAGS, !sp_tcp_flags_valid(segment.flags));
			if (reason != SP_DROP_NONE || next != SP_TCP_GO_ON) {
				assert_memory_equal(state, &before, sizeof(before));
				assert_memory_equal(tcp, &windows, sizeof(windows));
			}
			if (next == SP_TCP_REOPEN)
				assert_true(!reply && (segment.flags & 0x17) == 0x02 && reason == SP_DROP_NONE);
			if (next == SP_TCP_CHALLENGE)
				assert_true(reason == SP_DROP_TCP_RST || reason == SP_DROP_TCP_SYN);
		}
	sp_sessions_free(sessions);
}

/* The rule of RFC 9293 in words, beside the bit map. */
static bool valid_in_words(unsigned int flags)
{
	const bool fin = flags & 1, syn = flags & 2, rst = flags & 4, ack = flags & 16, urg = flags & 32;

	if (fin + syn + rst > 1)
		return false;
	if (rst)
		return !urg;
	if (syn)
		return !(ack && urg);
	return ack;
}

static void flags_agree_with_words(void **unused)
{
	unsigned int valid = 0;
	(void)unused;

	for (unsigned int flags = 0; flags < 256; flags++) {
		assert_int_equal(sp_tcp_flags_valid((uint8_t)flags), valid_in_words(flags));
		valid += sp_tcp_flags_valid((uint8_t)flags);
	}
	assert_int_equal(valid, 4 * 18);
}

/* A closed connection leaves the table by its own, shorter time-out, with the reason "tcp". */
static void a_closed_connection_leaves_soon(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 0);
	enum sp_tcp_next next;
	(void)unused;

	sp_tcp_open(sessions, ref, &(struct sp_tcp_segment){.seq = 99, .flags = 0x02, .window = 1000, .scale = SP_TCP_SCALE_NONE});
	sp_tcp_update(sessions, ref | SP_SESSION_REPLY,
		&(struct sp_tcp_segment){.seq = 499, .ack = 100, .flags = 0x12, .window = 1000, .scale = SP_TCP_SCALE_NONE}, 100, &next);
	sp_tcp_update(sessions, ref, &(struct sp_tcp_segment){.seq = 100, .ack = 500, .flags = 0x10, .window = 1000}, 200, &next);
	assert_int_equal(sp_session_timeout_ms(sessions, ref), 7440000);
	sp_tcp_update(sessions, ref, &(struct sp_tcp_segment){.seq = 100, .flags = 0x04}, 1000, &next);
	sp_sessions_age(sessions, 10999, 100);
	assert_int_equal(find_key(sessions, &key), ref);
	sp_sessions_age(sessions, 13000, 100);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	assert_int_equal(sp_sessions_counters(sessions)->expired, 1);
	sp_sessions_free(sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_ends_as_it_should),
		cmocka_unit_test(no_segment_leads_astray),
		cmocka_unit_test(flags_agree_with_words),
		cmocka_unit_test(a_closed_connection_leaves_soon),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
