/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SYN proxy by packets: two ends with numbers of their own, the worker between them, and every frame that leaves looked at.
 */
#include "tests/unit/dataplane/worker_fixture.h"

#include "dataplane/syn_proxy.h"

#define NO_SCALE 15

#define CLIENT_ISN 0xfffffff0u /* wraps soon */
#define SERVER_ISN 0x7ffffff8u

#define ALWAYS                                                                                                                        \
	{                                                                                                                             \
		.syn_proxy = SP_SYN_PROXY_ALWAYS, .mss4 = 1460, .mss6 = 1440, .wscale = 7, .embryonic_high = 64, .embryonic_low = 32, \
		.calm_sec = 3                                                                                                         \
	}
#define AUTO                                                                                                                        \
	{                                                                                                                           \
		.syn_proxy = SP_SYN_PROXY_AUTO, .mss4 = 1460, .mss6 = 1440, .wscale = 7, .embryonic_high = 64, .embryonic_low = 32, \
		.calm_sec = 3                                                                                                       \
	}

/* A TCP segment that left a port. */
struct seen {
	uint32_t seq, ack;
	uint16_t window, mss;
	uint8_t flags, wscale, ether[22], l3;
	bool sack;
	uint32_t block[8]; /* edges of SACK blocks */
	unsigned int n_blocks;
	size_t len, payload_len;
	uint8_t payload[256];
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void see_options(struct seen *seen, const uint8_t *p, unsigned int len)
{
	for (unsigned int at = 0; at < len && p[at] != 0;) {
		if (p[at] == 1) {
			at++;
			continue;
		}
		if (at + 1 >= len || p[at + 1] < 2 || p[at + 1] > len - at)
			return;
		if (p[at] == 2)
			seen->mss = (uint16_t)(p[at + 2] << 8 | p[at + 3]);
		if (p[at] == 3)
			seen->wscale = p[at + 2];
		if (p[at] == 4)
			seen->sack = true;
		if (p[at] == 5)
			for (unsigned int e = 2; e + 4 <= p[at + 1] && seen->n_blocks < RTE_DIM(seen->block); e += 4)
				seen->block[seen->n_blocks++] = be32(p + at + e);
		at += p[at + 1];
	}
}

/* The next segment out of a port, its checksums proven right. */
static bool take(unsigned int port, struct seen *seen)
{
	struct rte_mbuf *mbuf = lab_take(port);
	uint8_t bytes[2048];
	const uint8_t *tcp;
	unsigned int header;

	memset(seen, 0, sizeof(*seen));
	seen->wscale = NO_SCALE;
	if (mbuf == NULL)
		return false;
	seen->len = mbuf->pkt_len;
	assert_in_range(seen->len, 54, sizeof(bytes));
	memcpy(bytes, rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), seen->len);
	rte_pktmbuf_free(mbuf);
	assert_true(sp_frame_checksums_ok(bytes, seen->len));
	for (seen->l3 = 14; bytes[seen->l3 - 2] == 0x81 || bytes[seen->l3 - 2] == 0x88; seen->l3 += 4)
		;
	memcpy(seen->ether, bytes, seen->l3);
	tcp = bytes + seen->l3 + (bytes[seen->l3] >> 4 == 6 ? 40 : 20);
	header = (tcp[12] >> 4) * 4u;
	seen->seq = be32(tcp + 4);
	seen->ack = be32(tcp + 8);
	seen->flags = tcp[13];
	seen->window = (uint16_t)(tcp[14] << 8 | tcp[15]);
	see_options(seen, tcp + 20, header - 20);
	seen->payload_len = seen->len - (size_t)(tcp + header - bytes);
	memcpy(seen->payload, tcp + header, RTE_MIN(seen->payload_len, sizeof(seen->payload)));
	return true;
}

static void none(unsigned int port)
{
	assert_int_equal(lab_count(port), 0);
}

/* A connection as its two ends know it. */
struct talk {
	struct sp_frame_spec flow;
	uint8_t client_scale, server_scale; /* NO_SCALE: no option */
	bool sack;
	uint32_t cookie; /* what the client takes for the server's number */
	uint32_t c, s;   /* what each end sends next, by its own count */
};

static size_t syn_options(uint8_t *out, uint16_t mss, uint8_t scale, bool sack)
{
	size_t n = 0;

	out[n++] = 2;
	out[n++] = 4;
	out[n++] = (uint8_t)(mss >> 8);
	out[n++] = (uint8_t)mss;
	if (scale != NO_SCALE) {
		out[n++] = 3;
		out[n++] = 3;
		out[n++] = scale;
		out[n++] = 1;
	}
	if (sack) {
		out[n++] = 4;
		out[n++] = 2;
		out[n++] = 1;
		out[n++] = 1;
	}
	return n;
}

struct part {
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
	const uint8_t *options;
	size_t options_len;
	const char *data;
};

static void build_part(struct sp_frame *frame, const struct sp_frame_spec *spec, const struct part *part)
{
	struct sp_frame_spec s = *spec;

	s.tcp_flags = part->flags;
	s.seq = part->seq;
	s.ack = part->ack;
	s.tcp_options = part->options;
	s.tcp_options_len = part->options_len;
	s.payload = part->data;
	s.payload_len = part->data == NULL ? 0 : strlen(part->data);
	sp_frame_build(frame, &s);
	frame->bytes[frame->l4 + 14] = (uint8_t)(part->window >> 8);
	frame->bytes[frame->l4 + 15] = (uint8_t)part->window;
	sp_frame_checksums(frame);
}

static void send_part(unsigned int port, const struct sp_frame_spec *flow, const struct part *part)
{
	struct sp_frame_spec spec = port == IN ? *flow : lab_reply(flow);
	struct sp_frame frame;

	build_part(&frame, &spec, part);
	lab_send_frame(port, 0, &frame);
	lab_run();
}

static void client_syn(struct talk *talk)
{
	uint8_t options[16];
	struct part part = {.seq = CLIENT_ISN, .flags = SYN, .window = 64240, .options = options};

	part.options_len = syn_options(options, 1400, talk->client_scale, talk->sack);
	send_part(IN, &talk->flow, &part);
	talk->c = CLIENT_ISN + 1;
}

/* SYN and the answer by cookie. */
static void half_open(struct talk *talk)
{
	struct seen seen;

	client_syn(talk);
	assert_true(take(IN, &seen));
	assert_int_equal(seen.flags, SYN | ACK);
	assert_int_equal(seen.ack, CLIENT_ISN + 1);
	assert_int_equal(seen.window, 0);
	assert_int_equal(seen.mss, talk->flow.family == 6 ? 1440 : 1460);
	assert_int_equal(seen.wscale, talk->client_scale == NO_SCALE ? NO_SCALE : 7);
	assert_int_equal(seen.sack, talk->sack);
	none(IN);
	none(OUT);
	talk->cookie = seen.seq;
}

/* The client's ACK, and the SYN that the server gets. */
static void prove(struct talk *talk)
{
	struct seen seen;
	uint32_t window = 502;

	send_part(IN, &talk->flow, &(struct part){.seq = talk->c, .ack = talk->cookie + 1, .window = (uint16_t)window, .flags = ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, SYN);
	assert_int_equal(seen.seq, CLIENT_ISN);
	assert_int_equal(seen.ack, 0);
	assert_int_equal(seen.mss, 1400);
	assert_int_equal(seen.wscale, talk->client_scale);
	assert_int_equal(seen.sack, talk->sack);
	assert_int_equal(seen.window, RTE_MIN(window << (talk->client_scale == NO_SCALE ? 0 : talk->client_scale), 65535u));
	none(IN);
	none(OUT);
}

static bool scaled(const struct talk *talk)
{
	return talk->client_scale != NO_SCALE && talk->server_scale != NO_SCALE;
}

static uint32_t delta(const struct talk *talk)
{
	return talk->cookie - SERVER_ISN;
}

/* The server's SYN+ACK, and what both get for it. */
static void server_accepts(struct talk *talk)
{
	uint8_t options[16];
	struct part part = {.seq = SERVER_ISN, .ack = CLIENT_ISN + 1, .window = 28960, .flags = SYN | ACK, .options = options};
	struct seen seen;

	part.options_len = syn_options(options, 1300, talk->client_scale == NO_SCALE ? NO_SCALE : talk->server_scale, talk->sack);
	send_part(OUT, &talk->flow, &part);
	talk->s = SERVER_ISN + 1;
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, ACK);
	assert_int_equal(seen.seq, talk->c);
	assert_int_equal(seen.ack, SERVER_ISN + 1);
	assert_int_equal(seen.window, scaled(talk) || talk->client_scale == NO_SCALE ? 502 : RTE_MIN(502u << talk->client_scale, 65535u));
	assert_true(take(IN, &seen));
	assert_int_equal(seen.flags, ACK);
	assert_int_equal(seen.seq, talk->cookie + 1);
	assert_int_equal(seen.ack, talk->c);
	assert_int_equal(seen.window, talk->client_scale == NO_SCALE ? 28960 : 28960 >> 7);
	none(IN);
	none(OUT);
}

static void open_proxied(struct talk *talk)
{
	half_open(talk);
	prove(talk);
	server_accepts(talk);
}

/* Data each way: the client's numbers as they are, the server's translated, windows by what each end believes. */
static void talk_on(struct talk *talk)
{
	uint32_t expected;
	struct seen seen;

	send_part(IN, &talk->flow,
		&(struct part){.seq = talk->c, .ack = talk->s + delta(talk), .window = 500, .flags = PSH | ACK, .data = "question"});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.seq, talk->c);
	assert_int_equal(seen.ack, talk->s);
	expected = scaled(talk) || talk->client_scale == NO_SCALE ? 500 : RTE_MIN(500u << talk->client_scale, 65535u);
	assert_int_equal(seen.window, expected);
	assert_memory_equal(seen.payload, "question", 8);
	talk->c += 8;

	send_part(OUT, &talk->flow, &(struct part){.seq = talk->s, .ack = talk->c, .window = 200, .flags = PSH | ACK, .data = "an answer"});
	assert_true(take(IN, &seen));
	assert_int_equal(seen.seq, talk->s + delta(talk));
	assert_int_equal(seen.ack, talk->c);
	if (talk->client_scale == NO_SCALE)
		expected = 200;
	else
		expected = (200u << (talk->server_scale == NO_SCALE ? 0 : talk->server_scale)) >> 7;
	assert_int_equal(seen.window, RTE_MIN(expected, 65535u));
	assert_memory_equal(seen.payload, "an answer", 9);
	talk->s += 9;
	none(IN);
	none(OUT);
}

static void close_both(struct talk *talk)
{
	struct seen seen;

	send_part(IN, &talk->flow, &(struct part){.seq = talk->c, .ack = talk->s + delta(talk), .window = 500, .flags = FIN | ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.ack, talk->s);
	send_part(OUT, &talk->flow, &(struct part){.seq = talk->s, .ack = talk->c + 1, .window = 200, .flags = FIN | ACK});
	assert_true(take(IN, &seen));
	assert_int_equal(seen.seq, talk->s + delta(talk));
	send_part(IN, &talk->flow, &(struct part){.seq = talk->c + 1, .ack = talk->s + 1 + delta(talk), .window = 500, .flags = ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.ack, talk->s + 1);
	assert_int_equal(lab_sessions().active_state[SP_STATE_TCP_TIME_WAIT], 1);
}

static struct talk talk_of(uint8_t family)
{
	return (struct talk){.flow = {.family = family}, .client_scale = 7, .server_scale = 7, .sack = true};
}

static void no_state_before_the_proof(void **unused)
{
	struct talk talk = talk_of(4);
	struct sp_stats stats;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	for (unsigned int i = 0; i < 200; i++) {
		talk.flow.sport = (uint16_t)(1000 + i);
		half_open(&talk);
	}
	assert_int_equal(lab_active(), 0);
	stats = lab_stats();
	assert_int_equal(stats.consumed, 200);
	assert_int_equal(stats.built, 200);
	assert_int_equal(stats.defence.cookies_sent, 200);
	lab_balance(0);
	lab_stop();
}

static void whole_lives(void **unused)
{
	static const uint8_t scales[] = {NO_SCALE, 0, 2, 7, 10, 14};
	(void)unused;

	for (unsigned int client = 0; client < RTE_DIM(scales); client++)
		for (unsigned int server = 0; server < RTE_DIM(scales); server++)
			for (unsigned int v = 0; v < 2; v++) {
				struct talk talk = talk_of(v == 0 ? 4 : 6);

				talk.client_scale = scales[client];
				talk.server_scale = scales[server];
				talk.sack = (client + server) % 2;
				if (v == 1) {
					talk.flow.n_tags = 1;
					talk.flow.tci[0] = 0x6007;
				}
				lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
				open_proxied(&talk);
				assert_int_equal(lab_sessions().active_state[SP_STATE_TCP_ESTABLISHED], 1);
				for (unsigned int n = 0; n < 4; n++)
					talk_on(&talk);
				close_both(&talk);
				for (unsigned int reason = 0; reason < SP_DROP_COUNT; reason++)
					assert_int_equal(lab_drops(reason), 0);
				lab_stop();
			}
}

/* Frames to the client carry the header of its own mirrored, those to the server its own. */
static void layer_two_is_kept(void **unused)
{
	struct talk talk = talk_of(4);
	struct sp_frame_spec spec;
	struct sp_frame in, out;
	struct seen seen;
	(void)unused;

	talk.flow.n_tags = 2;
	talk.flow.tpid[0] = 0x88a8;
	talk.flow.tci[0] = 0x2005;
	talk.flow.tci[1] = 0x0009;
	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	sp_frame_build(&in, &talk.flow);
	spec = lab_reply(&talk.flow);
	sp_frame_build(&out, &spec);
	client_syn(&talk);
	assert_true(take(IN, &seen));
	assert_int_equal(seen.l3, 22);
	assert_memory_equal(seen.ether, in.bytes + 6, 6);
	assert_memory_equal(seen.ether + 6, in.bytes, 6);
	assert_memory_equal(seen.ether + 12, in.bytes + 12, 10);
	talk.cookie = seen.seq;
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1, .window = 502, .flags = ACK});
	assert_true(take(OUT, &seen));
	assert_memory_equal(seen.ether, in.bytes, 22);
	server_accepts(&talk);
	lab_stop();
}

static void sack_blocks_are_translated(void **unused)
{
	/* The option begins at an even place, at an odd one, and behind another option. */
	static const uint8_t before[][3] = {{1, 1}, {1}, {0}};
	struct talk talk = talk_of(4);
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	open_proxied(&talk);
	for (unsigned int n = 0; n < RTE_DIM(before); n++) {
		uint8_t options[24] = {0};
		size_t at = 2 - n;

		memcpy(options, before[n], at);
		options[at] = 5;
		options[at + 1] = 18;
		for (unsigned int e = 0; e < 4; e++)
			put32(options + at + 2 + 4 * e, talk.s + delta(&talk) + 100 * e);
		send_part(IN, &talk.flow,
			&(struct part){.seq = talk.c,
				.ack = talk.s + delta(&talk),
				.window = 500,
				.flags = ACK,
				.options = options,
				.options_len = 24});
		assert_true(take(OUT, &seen));
		assert_int_equal(seen.n_blocks, 4);
		for (unsigned int e = 0; e < 4; e++)
			assert_int_equal(seen.block[e], talk.s + 100 * e);
		/* The server's blocks count the client's bytes. */
		send_part(OUT, &talk.flow,
			&(struct part){.seq = talk.s, .ack = talk.c, .window = 200, .flags = ACK, .options = options, .options_len = 24});
		assert_true(take(IN, &seen));
		for (unsigned int e = 0; e < 4; e++)
			assert_int_equal(seen.block[e], talk.s + delta(&talk) + 100 * e);
	}
	lab_stop();
}

/* What somebody else holds a reference to, and what is spread over segments, is translated in a copy. */
static void shared_and_segmented_packets(void **unused)
{
	(void)unused;
	for (unsigned int first = 14; first <= 70; first += 4) {
		struct talk talk = talk_of(4);
		struct sp_frame frame;
		struct rte_mbuf *mbuf;
		struct seen seen;

		lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
		open_proxied(&talk);
		build_part(&frame, &talk.flow,
			&(struct part){
				.seq = talk.c, .ack = talk.s + delta(&talk), .window = 500, .flags = ACK, .data = "0123456789abcdefghij"});
		mbuf = sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, first, 3);
		lab_send_mbuf(IN, 0, mbuf);
		lab_run();
		assert_true(take(OUT, &seen));
		assert_int_equal(seen.ack, talk.s);
		assert_memory_equal(seen.payload, "0123456789abcdefghij", 20);

		mbuf = sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
		rte_mbuf_refcnt_update(mbuf, 1);
		lab_send_mbuf(IN, 0, mbuf);
		lab_run();
		assert_true(take(OUT, &seen));
		assert_int_equal(seen.ack, talk.s);
		assert_memory_equal(rte_pktmbuf_mtod(mbuf, uint8_t *), frame.bytes, frame.len);
		rte_pktmbuf_free(mbuf);
		lab_stop();
	}
}

/* A lost ACK is made up for by whatever the client sends next: a probe one below, or data. */
static void any_segment_proves(void **unused)
{
	struct talk talk = talk_of(6);
	struct seen seen;
	(void)unused;

	for (unsigned int way = 0; way < 4; way++) {
		lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
		half_open(&talk);
		send_part(IN, &talk.flow,
			&(struct part){.seq = talk.c - (way == 0),
				.ack = talk.cookie + 1,
				.window = 502,
				.flags = way == 3 ? FIN | ACK : ACK,
				.data = way == 1   ? "x"
					: way == 2 ? "more than one octet"
						   : NULL});
		assert_true(take(OUT, &seen));
		assert_int_equal(seen.flags, SYN);
		assert_int_equal(seen.seq, CLIENT_ISN);
		assert_int_equal(seen.payload_len, 0);
		server_accepts(&talk);
		talk_on(&talk);
		lab_stop();
	}
}

static void forged_acks_are_dropped(void **unused)
{
	struct talk talk = talk_of(4);
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS},
		RULES("\"9 drop tcp dport 22\", \"8 allow tcp dport 99 stateless\", \"10 allow tcp\""));
	/* Before any cookie was sent nothing is looked for. */
	send_part(IN, &talk.flow, &(struct part){.seq = 1, .ack = 2, .flags = ACK});
	assert_int_equal(lab_drops(SP_DROP_TCP_NO_SESSION), 1);
	half_open(&talk);
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1 - 256, .flags = ACK});
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1 + 256, .flags = ACK});
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c + 1, .ack = talk.cookie + 1, .flags = ACK});
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1, .flags = RST | ACK});
	/* The lower eight bits say which options; whoever has the others may choose them. */
	assert_int_equal(lab_drops(SP_DROP_TCP_COOKIE), 3);
	assert_int_equal(lab_stats().defence.cookies_invalid, 3);
	assert_int_equal(lab_drops(SP_DROP_TCP_NO_SESSION), 2);
	talk.flow.dport = 22;
	send_part(IN, &talk.flow, &(struct part){.seq = 1, .ack = 2, .flags = ACK});
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	talk.flow.dport = 99;
	send_part(IN, &talk.flow, &(struct part){.seq = 1, .ack = 2, .flags = ACK});
	assert_int_equal(lab_count(OUT), 1);
	lab_stop();
}

/* Rules that look at the packet see a SYN both times; what they deny gets no cookie, and the default may allow, too. */
static void rules_decide_first(void **unused)
{
	struct talk talk = talk_of(4);
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"5 drop tcp dport 25\", \"6 reject tcp dport 26\", \"10 allow tcp "
								 "tcp_flags syn/syn,ack bpf 'tcp[13] = 2 and len < 80' mss 1200\""));
	talk.flow.dport = 25;
	client_syn(&talk);
	none(IN);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	talk.flow.dport = 26;
	client_syn(&talk);
	assert_true(take(IN, &seen));
	assert_int_equal(seen.flags, RST | ACK);
	assert_int_equal(lab_stats().defence.cookies_sent, 0);
	talk.flow.dport = 80;
	client_syn(&talk);
	assert_true(take(IN, &seen));
	assert_int_equal(seen.mss, 1200);
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = seen.seq + 1, .window = 502, .flags = ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, SYN);
	assert_int_equal(seen.mss, 1200);
	assert_int_equal(lab_rule(10).hits, 2);
	lab_rules(RULES("\"5 drop tcp\""));
	lab_stop();

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES_ALLOWED("\"5 drop tcp dport 25\""));
	talk.flow.dport = 80;
	open_proxied(&talk);
	lab_stop();
}

/* The ruleset changed between cookie and ACK: the SYN meets the new one. */
static void rules_may_change_in_between(void **unused)
{
	struct talk talk = talk_of(4);
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	half_open(&talk);
	lab_rules(RULES("\"10 drop tcp\""));
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1, .window = 502, .flags = ACK});
	none(OUT);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	assert_int_equal(lab_active(), 0);
	lab_stop();
}

static void limits_count_those_who_prove(void **unused)
{
	struct talk talk[4];
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS},
		RULES("\"10 allow tcp dport 80 limit '2/h burst 2'\", \"11 allow tcp dport 81 max_sessions 2\", "
		      "\"12 allow tcp dport 82 max_per_source 2\""));
	for (unsigned int port = 80; port <= 82; port++) {
		uint64_t before = lab_drops(SP_DROP_LIMIT);

		for (unsigned int i = 0; i < 4; i++) {
			talk[i] = talk_of(4);
			talk[i].flow.sport = (uint16_t)(5000 + i);
			talk[i].flow.dport = (uint16_t)port;
			half_open(&talk[i]);
		}
		prove(&talk[0]);
		prove(&talk[1]);
		for (unsigned int i = 2; i < 4; i++)
			send_part(IN, &talk[i].flow,
				&(struct part){.seq = talk[i].c, .ack = talk[i].cookie + 1, .window = 502, .flags = ACK});
		none(OUT);
		assert_int_equal(lab_drops(SP_DROP_LIMIT), before + 2);
	}
	/* Where there is no room for a session, no cookie is sent either. */
	talk[0].flow.dport = 81;
	talk[0].flow.sport = 6000;
	client_syn(&talk[0]);
	none(IN);
	lab_stop();
}

static void refusals_reach_the_client(void **unused)
{
	(void)unused;
	for (unsigned int v = 4; v <= 6; v += 2) {
		struct talk talk = talk_of((uint8_t)v);
		struct seen seen;

		lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
		half_open(&talk);
		prove(&talk);
		/* Somebody who does not know the SYN's number refuses nothing. */
		send_part(OUT, &talk.flow, &(struct part){.seq = 0, .ack = CLIENT_ISN + 5, .flags = RST | ACK});
		none(IN);
		send_part(OUT, &talk.flow, &(struct part){.seq = 0, .ack = CLIENT_ISN + 1, .flags = RST | ACK});
		assert_true(take(IN, &seen));
		assert_int_equal(seen.flags, RST | ACK);
		assert_int_equal(seen.seq, talk.cookie + 1);
		assert_int_equal(seen.ack, CLIENT_ISN + 1);
		assert_int_equal(lab_stats().defence.refused, 1);
		assert_int_equal(lab_stats().defence.opening, 0);
		assert_int_equal(lab_sessions().active_state[SP_STATE_TCP_CLOSED], 1);
		none(IN);
		none(OUT);
		lab_balance(0);
		lab_stop();
	}
}

static void silent_servers_are_given_up(void **unused)
{
	struct talk talk = talk_of(4);
	unsigned int syns = 0, resets = 0;
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp log both\""));
	half_open(&talk);
	prove(&talk);
	for (unsigned int sec = 1; sec <= 20; sec++) {
		lab_pass(1);
		while (take(OUT, &seen)) {
			assert_int_equal(seen.flags, SYN);
			assert_int_equal(seen.seq, CLIENT_ISN);
			assert_true(sec == 1 || sec == 3 || sec == 7);
			syns++;
		}
		while (take(IN, &seen)) {
			assert_int_equal(seen.flags, RST | ACK);
			assert_int_equal(seen.seq, talk.cookie + 1);
			assert_int_equal(sec, 15);
			resets++;
		}
	}
	assert_int_equal(syns, 3);
	assert_int_equal(resets, 1);
	assert_int_equal(lab_active(), 0);
	assert_int_equal(lab_stats().defence.unanswered, 1);
	assert_int_equal(lab_stats().defence.syn_retries, 3);
	assert_int_equal(lab_stats().defence.opening, 0);
	lab_balance(0);
	lab_stop();
}

static void clients_give_up(void **unused)
{
	struct talk talk = talk_of(4);
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	half_open(&talk);
	prove(&talk);
	/* Data before the server answered waits with the client. */
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1, .window = 502, .flags = ACK, .data = "x"});
	assert_int_equal(lab_drops(SP_DROP_TCP_SYN_PROXY), 1);
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c + 7, .ack = 0, .flags = RST});
	assert_int_equal(lab_drops(SP_DROP_TCP_STATE), 1);
	none(OUT);
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = 0, .flags = RST});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, RST);
	assert_int_equal(seen.seq, CLIENT_ISN + 1);
	assert_int_equal(lab_stats().defence.opening, 0);
	lab_pass(20);
	none(OUT);
	none(IN);
	lab_stop();
}

/* A server that still knows an old connection challenges; it gets the RST that frees it, and the SYN again. */
static void stale_servers_are_reset(void **unused)
{
	struct talk talk = talk_of(4);
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	half_open(&talk);
	prove(&talk);
	send_part(OUT, &talk.flow, &(struct part){.seq = 12345, .ack = 67890, .window = 100, .flags = ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, RST);
	assert_int_equal(seen.seq, 67890);
	send_part(OUT, &talk.flow, &(struct part){.seq = 12345, .ack = 67891, .window = 100, .flags = SYN | ACK});
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, RST);
	assert_int_equal(seen.seq, 67891);
	none(IN);
	lab_pass(1);
	assert_true(take(OUT, &seen));
	assert_int_equal(seen.flags, SYN);
	server_accepts(&talk);
	talk_on(&talk);
	lab_stop();
}

static void repeated_answers_are_acknowledged(void **unused)
{
	struct talk talk = talk_of(4);
	uint8_t options[16];
	struct part part = {.seq = SERVER_ISN, .ack = CLIENT_ISN + 1, .window = 28960, .flags = SYN | ACK, .options = options};
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	open_proxied(&talk);
	part.options_len = syn_options(options, 1300, talk.server_scale, true);
	for (unsigned int n = 0; n < 3; n++) {
		send_part(OUT, &talk.flow, &part);
		assert_true(take(OUT, &seen));
		assert_int_equal(seen.flags, ACK);
		assert_int_equal(seen.seq, CLIENT_ISN + 1);
		assert_int_equal(seen.ack, SERVER_ISN + 1);
		none(IN);
	}
	talk_on(&talk);
	lab_balance(0);
	lab_stop();
}

/* An error about the server's segment goes to the server in its own numbers; one about the client's has them already. */
static void icmp_errors_are_translated(void **unused)
{
	(void)unused;
	for (unsigned int v = 4; v <= 6; v += 2) {
		struct talk talk = talk_of((uint8_t)v);
		struct sp_frame_spec spec;
		struct sp_frame quoted, error;
		struct rte_mbuf *mbuf;
		uint8_t bytes[2048];
		size_t at;

		lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
		open_proxied(&talk);
		talk_on(&talk);
		spec = lab_reply(&talk.flow);
		build_part(&quoted, &spec,
			&(struct part){.seq = talk.s - 9 + delta(&talk), .ack = talk.c, .window = 1, .flags = ACK, .data = "an answer"});
		sp_frame_build_error(&error, &quoted, v == 4 ? 3 : 1, v == 4 ? 1 : 0, 64);
		lab_send_frame(IN, 0, &error);
		lab_run();
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		memcpy(bytes, rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), mbuf->pkt_len);
		assert_true(sp_frame_checksums_ok(bytes, mbuf->pkt_len));
		at = error.l4 + 8 + (v == 4 ? 20 : 40) + 4;
		assert_int_equal(be32(bytes + at), talk.s - 9);
		rte_pktmbuf_free(mbuf);
		lab_stop();
	}
}

/* With several workers the ACK comes to the one that made the cookie. */
static void workers_own_their_clients(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 3, .n_queues = 1, .floods = ALWAYS}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 60; n++) {
		struct talk talk = talk_of(n % 2 == 0 ? 4 : 6);

		talk.flow.sport = (uint16_t)(2000 + n);
		open_proxied(&talk);
		talk_on(&talk);
	}
	assert_int_equal(lab_stats().defence.opened, 60);
	assert_int_equal(lab_drops(SP_DROP_TCP_COOKIE), 0);
	lab_stop();
}

static void room_for_servers_is_bounded(void **unused)
{
	struct talk talk = talk_of(4);
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 64; n++) {
		talk.flow.sport = (uint16_t)(2000 + n);
		half_open(&talk);
		prove(&talk);
	}
	talk.flow.sport = 3000;
	half_open(&talk);
	send_part(IN, &talk.flow, &(struct part){.seq = talk.c, .ack = talk.cookie + 1, .window = 502, .flags = ACK});
	none(OUT);
	assert_int_equal(lab_drops(SP_DROP_TABLE_SYN_PROXY_FULL), 1);
	assert_int_equal(lab_quota(10), 64);
	lab_pass(16);
	assert_int_equal(lab_count(IN), 64);
	lab_count(OUT);
	/* The cookie is good still. */
	prove(&talk);
	server_accepts(&talk);
	lab_stop();
}

/* Engages at the threshold, holds while the flood goes on although nothing is half open, and gives back when it is over. */
static void engages_and_disengages(void **unused)
{
	struct talk talk = talk_of(4);
	struct sp_event event;
	uint64_t answered;
	(void)unused;

	lab_start(&(struct lab_options){.floods = AUTO}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 100; n++) {
		talk.flow.sport = (uint16_t)(2000 + n);
		client_syn(&talk);
	}
	assert_int_equal(lab_count(OUT), 64);
	assert_int_equal(lab_count(IN), 36);
	assert_int_equal(lab_stats().defence.engaged[SP_DEFENCE_SYN_PROXY], 1);
	assert_true(lab_event(0, &event));
	assert_int_equal(event.type, SP_EVENT_DEFENCE);
	assert_int_equal(event.why, SP_DEFENCE_SYN_PROXY);
	assert_int_equal(event.state, 1);
	assert_int_equal(event.bytes[0], 64);
	assert_int_equal(event.bytes[1], 64);
	talk.flow.sport = 9000;
	open_proxied(&talk);
	for (unsigned int sec = 0; sec < 60; sec++) {
		for (unsigned int n = 0; n < 5; n++) {
			talk.flow.sport = (uint16_t)(10000 + 10 * sec + n);
			client_syn(&talk);
		}
		assert_int_equal(lab_count(IN), 5);
		lab_pass(1);
	}
	assert_int_equal(lab_sessions().active_state[SP_STATE_TCP_SYN_SENT], 0);
	assert_int_equal(lab_stats().defence.engaged[SP_DEFENCE_SYN_PROXY], 1);
	assert_false(lab_event(0, &event));
	answered = lab_stats().defence.cookies_sent;
	lab_pass(5);
	assert_int_equal(lab_stats().defence.engaged[SP_DEFENCE_SYN_PROXY], 0);
	assert_true(lab_event(0, &event));
	assert_int_equal(event.state, 0);
	talk.flow.sport = 20000;
	client_syn(&talk);
	assert_int_equal(lab_count(OUT), 1);
	assert_int_equal(lab_stats().defence.cookies_sent, answered);
	assert_int_equal(lab_stats().defence.engagements[SP_DEFENCE_SYN_PROXY], 1);
	lab_count(IN);
	lab_stop();
}

/* A cookie outlives the engagement that it was sent in. */
static void late_proofs_count(void **unused)
{
	struct talk talk = talk_of(4), flood = talk_of(4);
	(void)unused;

	lab_start(&(struct lab_options){.floods = AUTO}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 64; n++) {
		flood.flow.sport = (uint16_t)(2000 + n);
		client_syn(&flood);
	}
	lab_count(OUT);
	half_open(&talk);
	lab_pass(50);
	assert_int_equal(lab_stats().defence.engaged[SP_DEFENCE_SYN_PROXY], 0);
	prove(&talk);
	server_accepts(&talk);
	talk_on(&talk);
	lab_pass(200);
	talk.flow.sport = 7;
	send_part(IN, &talk.flow, &(struct part){.seq = 1, .ack = 2, .flags = ACK});
	assert_int_equal(lab_drops(SP_DROP_TCP_NO_SESSION), 1);
	assert_int_equal(lab_drops(SP_DROP_TCP_COOKIE), 0);
	lab_stop();
}

/* Without the proxy nothing is answered here. */
static void off_is_off(void **unused)
{
	struct talk talk = talk_of(4);
	(void)unused;

	lab_start(&(struct lab_options){.max4 = 256}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 300; n++) {
		talk.flow.sport = (uint16_t)(2000 + n);
		client_syn(&talk);
	}
	assert_int_equal(lab_count(OUT), 300);
	none(IN);
	assert_int_equal(lab_sessions().evicted, 44);
	assert_int_equal(lab_sessions().evicted_state[SP_STATE_TCP_SYN_SENT], 44);
	lab_stop();
}

static uint32_t draw(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

/* Anything from both sides, near the right numbers: every packet is accounted for, and nothing is left. */
static void whatever_comes_balances(void **unused)
{
	static const uint8_t flags[] = {SYN, SYN | ACK, ACK, ACK, ACK, PSH | ACK, RST, RST | ACK, FIN | ACK, 0, SYN | FIN};
	struct talk talk = talk_of(4);
	struct seen seen;
	(void)unused;

	lab_start(&(struct lab_options){.floods = ALWAYS, .max4 = 64}, RULES("\"10 allow tcp\""));
	for (unsigned int n = 0; n < 30000; n++) {
		uint8_t options[40];
		struct part part = {.flags = flags[draw() % RTE_DIM(flags)], .window = (uint16_t)draw(), .options = options};

		for (unsigned int i = 0; i < sizeof(options); i++)
			options[i] = (uint8_t)(draw() % 8);
		part.options_len = draw() % 4 == 0 ? draw() % 11 * 4 : 0;
		talk.flow.sport = (uint16_t)(1000 + n / 256 + draw() % 2);
		part.seq = draw() % 2 ? CLIENT_ISN + draw() % 3 : SERVER_ISN + draw() % 3;
		part.ack = draw() % 2 ? talk.cookie + draw() % 3 : CLIENT_ISN + draw() % 3;
		part.data = draw() % 4 == 0 ? "data" : NULL;
		send_part(draw() % 2, &talk.flow, &part);
		while (take(IN, &seen))
			if (seen.flags == (SYN | ACK) && draw() % 2)
				talk.cookie = seen.seq;
		while (take(OUT, &seen))
			;
		if (draw() % 64 == 0)
			lab_pass(draw() % 20);
	}
	assert_true(lab_stats().defence.cookies_valid > 100);
	assert_true(lab_stats().defence.opened > 10);
	lab_pass(20);
	assert_int_equal(lab_stats().defence.opening, 0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_state_before_the_proof),
		cmocka_unit_test(whole_lives),
		cmocka_unit_test(layer_two_is_kept),
		cmocka_unit_test(sack_blocks_are_translated),
		cmocka_unit_test(shared_and_segmented_packets),
		cmocka_unit_test(any_segment_proves),
		cmocka_unit_test(forged_acks_are_dropped),
		cmocka_unit_test(rules_decide_first),
		cmocka_unit_test(rules_may_change_in_between),
		cmocka_unit_test(limits_count_those_who_prove),
		cmocka_unit_test(refusals_reach_the_client),
		cmocka_unit_test(silent_servers_are_given_up),
		cmocka_unit_test(clients_give_up),
		cmocka_unit_test(stale_servers_are_reset),
		cmocka_unit_test(repeated_answers_are_acknowledged),
		cmocka_unit_test(icmp_errors_are_translated),
		cmocka_unit_test(workers_own_their_clients),
		cmocka_unit_test(room_for_servers_is_bounded),
		cmocka_unit_test(engages_and_disengages),
		cmocka_unit_test(late_proofs_count),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(whatever_comes_balances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
