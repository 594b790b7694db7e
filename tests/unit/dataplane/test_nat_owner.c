/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several workers: whatever queue a packet comes by, and on whichever side of the translation, it reaches the worker that has its session.
 * A model of what every end sees is kept here and compared packet by packet.
 */
#include "tests/unit/dataplane/nat_fixture.h"

#define FLOWS 400

/* The inside and the outside both have addresses that rules translate; clients of all kinds speak to all kinds of servers. */
static const char rules[] = NAT_RULES_OF("\"10 allow tcp\", \"11 allow udp\", \"12 allow icmp icmp_type echo-request\"",
	"{ id = 1; type = \"destination\"; proto = \"tcp,udp\"; dst = \"203.0.113.80\"; dport = \"80,443,5000\"; address = \"10.0.80.1\"; "
	"port = 8080; },"
	"{ id = 2; type = \"destination\"; dst = \"203.0.113.1\"; proto = \"udp\"; dport = 3000; address = \"10.0.80.2-10.0.80.5\"; method "
	"= \"maglev\"; },"
	"{ id = 3; type = \"static\"; src = \"10.0.40.0/28\"; address = \"203.0.113.64/28\"; },"
	"{ id = 4; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"10.0.0.0/8\"; dst = \"!198.51.100.128/25\"; "
	"address = \"203.0.113.1-203.0.113.4\"; },"
	"{ id = 5; type = \"source\"; from = \"outside\"; to = \"inside\"; src = \"198.51.100.64/26\"; address = \"10.99.0.1\"; }");

/* Both ends as they know each other. */
struct model {
	struct sp_frame_spec out, back;
	struct seen seen; /* what the far end got; `back` is of it */
	unsigned int side;
	uint8_t proto;
	bool dead;
};

static uint32_t drawn = 1;

static uint32_t draw(uint32_t n)
{
	drawn = drawn * 1664525 + 1013904223;
	return (drawn >> 8) % n;
}

static char *text(const char *format, unsigned int a, unsigned int b)
{
	static char texts[8 * FLOWS][24];
	static unsigned int next;
	char *to = texts[next++ % RTE_DIM(texts)];

	snprintf(to, sizeof(texts[0]), format, a, b);
	return to;
}

static const char *inside_host(void)
{
	switch (draw(5)) {
	case 0:
		return text("10.0.40.%u", draw(16), 0); /* static */
	case 1:
		return text("10.0.80.%u", 1 + draw(5), 0); /* a backend as a client */
	default:
		return text("10.%u.7.%u", draw(3), 1 + draw(100));
	}
}

static const char *outside_host(void)
{
	return draw(3) == 0 ? text("192.0.2.%u", 1 + draw(200), 0) : text("198.51.100.%u", 1 + draw(250), 0);
}

static void make_flow(struct model *model, unsigned int n)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP};
	struct sp_frame_spec *out = &model->out;

	memset(model, 0, sizeof(*model));
	model->proto = out->proto = protos[draw(RTE_DIM(protos))];
	model->side = draw(2);
	out->sport = out->icmp_id = (uint16_t)(20000 + n);
	if (model->side == IN) {
		out->src = inside_host();
		out->dst = outside_host();
		out->dport = draw(2) == 0 ? 53 : 8080;
	} else {
		out->src = outside_host();
		out->dst = draw(3) == 0 ? text("203.0.113.%u", 64 + draw(16), 0) : draw(2) ? "203.0.113.80" : "203.0.113.1";
		out->dport = strcmp(out->dst, "203.0.113.1") == 0 ? 3000 : draw(2) == 0 ? 443 : 5000;
		if (strcmp(out->dst, "203.0.113.1") == 0)
			model->proto = out->proto = IPPROTO_UDP;
		else if (out->proto == IPPROTO_ICMP && strncmp(out->dst, "203.0.113.8", 11) == 0 && strlen(out->dst) == 12)
			model->proto = out->proto = IPPROTO_TCP;
	}
	if (out->proto == IPPROTO_ICMP) {
		out->sport = out->dport = 0;
		out->icmp_type = 8;
	} else if (out->proto == IPPROTO_TCP) {
		out->tcp_flags = SYN;
		out->seq = 1000;
	}
}

static void send_by(unsigned int port, const struct sp_frame_spec *spec)
{
	struct sp_frame frame;

	sp_frame_build(&frame, spec);
	lab_send_frame(port, draw(lab.n_queues), &frame);
	lab_run();
}

static uint64_t sessions_of(unsigned int w)
{
	const struct sp_sessions_counters *sessions = sp_sessions_counters(lab.dataplane->workers[w]->sessions);

	return sessions->active4 + sessions->active6;
}

/* An error about what was seen, from a router there, comes through to whoever sent it, quoting what was sent. */
static void send_error(unsigned int port, const struct seen *about, const struct sp_frame *sent)
{
	struct sp_frame quoted = {.len = about->len, .l3 = about->l3, .l4 = about->l4}, error;
	struct seen seen;
	uint64_t created = lab_sessions().created;

	memcpy(quoted.bytes, about->bytes, about->len);
	sp_frame_build_error(&error, &quoted, 3, 1, 64);
	/* from a router that no rule knows */
	error.bytes[error.l3 + 12] = 192;
	error.bytes[error.l3 + 13] = 88;
	error.bytes[error.l3 + 14] = 99;
	error.bytes[error.l3 + 15] = 77;
	sp_frame_checksums(&error);
	lab_send_frame(port, draw(lab.n_queues), &error);
	lab_run();
	if (!nat_see(port ^ 1, &seen))
		fail_msg("no error about %s:%u > %s:%u", about->src, about->sport, about->dst, about->dport);
	assert_memory_equal(seen.bytes + seen.l4 + 8, sent->bytes + sent->l3, RTE_MIN((size_t)64, sent->len - sent->l3));
	assert_int_equal(lab_sessions().created, created);
}

static void every_packet_reaches_its_session(void **unused)
{
	static struct model models[FLOWS];

	(void)unused;
	for (unsigned int workers = 2; workers <= 8; workers++) {
		unsigned int with_sessions = 0;

		lab_start(&(struct lab_options){.n_workers = workers, .n_queues = workers <= LAB_QUEUES ? workers : 1}, rules);
		for (unsigned int n = 0; n < FLOWS; n++) {
			struct model *model = &models[n];
			struct sp_frame sent, answer;
			struct seen back;
			uint64_t created = lab_sessions().created;

			make_flow(model, n);
			sp_frame_build(&sent, &model->out);
			send_by(model->side, &model->out);
			if (!nat_see(model->side ^ 1, &model->seen))
				fail_msg("%u workers, flow %u: %s > %s: did not pass", workers, n, model->out.src, model->out.dst);
			assert_int_equal(lab_sessions().created, created + 1);
			model->back = seen_answer(&model->seen);
			sp_frame_build(&answer, &model->back);
			send_error(model->side ^ 1, &model->seen, &sent);
			send_by(model->side ^ 1, &model->back);
			if (!nat_see(model->side, &back))
				fail_msg("%u workers, flow %u: %s > %s, seen as %s:%u > %s:%u: no answer", workers, n, model->out.src,
					model->out.dst, model->seen.src, model->seen.sport, model->seen.dst, model->seen.dport);
			if (model->proto == IPPROTO_ICMP)
				assert_seen(&back, model->out.dst, model->out.icmp_id, model->out.src, model->out.icmp_id);
			else
				assert_seen(&back, model->out.dst, model->out.dport, model->out.src, model->out.sport);
			assert_int_equal(lab_sessions().created, created + 1);
			if (model->proto == IPPROTO_UDP)
				send_error(model->side, &back, &answer);
		}
		/* once more, in another order: all are hits */
		for (unsigned int n = 0; n < FLOWS; n++) {
			struct model *model = &models[(n * 7 + 3) % FLOWS];
			struct seen seen;

			if (model->proto == IPPROTO_TCP)
				continue;
			send_by(model->side, &model->out);
			assert_true(nat_see(model->side ^ 1, &seen));
			assert_string_equal(seen.src, model->back.dst);
			send_by(model->side ^ 1, &model->back);
			assert_true(nat_see(model->side, &seen));
			assert_string_equal(seen.dst, model->out.src);
		}
		assert_int_equal(lab_sessions().created, FLOWS);
		for (unsigned int w = 0; w < workers; w++)
			with_sessions += sessions_of(w) != 0;
		assert_int_equal(with_sessions, workers);
		nat_stop();
	}
}

/* RFC 4787 REQ-1 over workers: also to remote ends that entries would translate themselves, and whose packets others would own. */
static void one_mapping_for_all_workers(void **unused)
{
	/* The remote ends have the lower addresses. */
	static const char both_ways[] = NAT_RULES(
		"{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"203.0.113.0/24\"; address = \"198.51.100.1\"; },"
		"{ id = 2; type = \"source\"; from = \"outside\"; to = \"inside\"; src = \"192.0.2.0/25\"; address = \"10.99.0.1\"; }");

	(void)unused;
	for (unsigned int workers = 2; workers <= 4; workers++) {
		lab_start(&(struct lab_options){.n_workers = workers, .n_queues = workers}, both_ways);
		for (unsigned int host = 1; host <= 20; host++) {
			char address[INET6_ADDRSTRLEN] = "";
			uint16_t port = 0;

			for (unsigned int remote = 1; remote < 128; remote += 7) {
				struct sp_frame_spec out = {.proto = IPPROTO_UDP,
					.src = text("203.0.113.%u", host, 0),
					.dst = text("192.0.2.%u", remote * 2, 0),
					.sport = 5000,
					.dport = (uint16_t)remote};
				struct seen seen;

				send_by(IN, &out);
				assert_true(nat_see(OUT, &seen));
				assert_true(port == 0 || (port == seen.sport && strcmp(address, seen.src) == 0));
				port = seen.sport;
				memcpy(address, seen.src, sizeof(address));
			}
		}
		assert_int_equal(nat_mappings(), 20);
		nat_stop();
	}
}

#define MANY  100000
#define BATCH 250

/* Inside end, remote end, and what the outside sees of a flow of the many. */
struct flow {
	char inside[INET_ADDRSTRLEN], outside[INET_ADDRSTRLEN];
	uint16_t port;
};

static void inside_end(uint32_t n, char *address, uint16_t *port)
{
	snprintf(address, INET_ADDRSTRLEN, "10.1.%u.%u", n % 250 / 25, 1 + n % 250);
	*port = (uint16_t)(2000 + n / 250);
}

static void remote_end(uint32_t n, char *address, uint16_t *port)
{
	snprintf(address, INET_ADDRSTRLEN, "198.51.100.%u", 1 + n % 97);
	*port = (uint16_t)(1 + n % 1009);
}

static uint32_t number_in(const struct seen *seen)
{
	uint32_t n;

	memcpy(&n, seen->bytes + seen->l4 + 8, sizeof(n));
	return n;
}

/* Every flow's packet of one batch came out once; what is to be true of each is checked by `check`. */
static void take_batch(unsigned int port, uint32_t first, void (*check)(const struct seen *seen, uint32_t n))
{
	bool came[BATCH] = {false};
	struct seen seen;

	for (unsigned int k = 0; k < BATCH; k++) {
		uint32_t n;

		assert_true(nat_see(port, &seen));
		n = number_in(&seen);
		assert_in_range(n, first, first + BATCH - 1);
		assert_false(came[n - first]);
		came[n - first] = true;
		check(&seen, n);
	}
	assert_int_equal(lab_count(port), 0);
}

static struct flow many[MANY];
static uint8_t used[4][65536]; /* external address and port */

static void check_out(const struct seen *seen, uint32_t n)
{
	char remote[INET_ADDRSTRLEN];
	uint16_t port;
	unsigned int address;

	remote_end(n, remote, &port);
	assert_string_equal(seen->dst, remote);
	assert_int_equal(seen->dport, port);
	assert_int_equal(sscanf(seen->src, "203.0.113.%u", &address), 1);
	assert_in_range(address, 1, 4);
	assert_in_range(seen->sport, 1024, 65535);
	assert_int_equal(used[address - 1][seen->sport]++, 0);
	snprintf(many[n].outside, sizeof(many[n].outside), "203.0.113.%u", address);
	many[n].port = seen->sport;
}

static void check_back(const struct seen *seen, uint32_t n)
{
	char inside[INET_ADDRSTRLEN], remote[INET_ADDRSTRLEN];
	uint16_t port, remote_port;

	inside_end(n, inside, &port);
	remote_end(n, remote, &remote_port);
	assert_seen(seen, remote, remote_port, inside, port);
}

static void check_again(const struct seen *seen, uint32_t n)
{
	assert_string_equal(seen->src, many[n].outside);
	assert_int_equal(seen->sport, many[n].port);
}

static void send_flow(unsigned int port, uint32_t n)
{
	char inside[INET_ADDRSTRLEN], remote[INET_ADDRSTRLEN];
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .src = inside, .dst = remote, .payload = &n, .payload_len = sizeof(n)};
	struct sp_frame frame;

	inside_end(n, inside, &spec.sport);
	remote_end(n, remote, &spec.dport);
	if (port == OUT) {
		spec.src = remote;
		spec.dst = many[n].outside;
		spec.sport = spec.dport;
		spec.dport = many[n].port;
	}
	sp_frame_build(&frame, &spec);
	lab_send_frame(port, draw(lab.n_queues), &frame);
}

/* Each of 100,000 sessions: out, back, out again, on queues chosen by chance. Each packet is looked at. */
static void hundred_thousand_sessions(void **unused)
{
	(void)unused;
	memset(used, 0, sizeof(used));
	lab_start(&(struct lab_options){.n_workers = 2, .n_queues = 2, .max4 = 100000},
		NAT_RULES_OF("\"10 allow udp from inside\"",
			"{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"10.0.0.0/8\"; "
			"address = \"203.0.113.1-203.0.113.4\"; }"));
	for (unsigned int round = 0; round < 3; round++) {
		const unsigned int port = round == 1 ? OUT : IN;

		for (uint32_t first = 0; first < MANY; first += BATCH) {
			for (uint32_t n = first; n < first + BATCH; n++)
				send_flow(port, n);
			lab_run();
			take_batch(port ^ 1, first, round == 0 ? check_out : round == 1 ? check_back : check_again);
		}
		assert_int_equal(lab_sessions().created, MANY);
		assert_int_equal(lab_active(), MANY);
	}
	assert_int_equal(nat_mappings(), MANY);
	assert_int_equal(lab_stats().tx, 3 * MANY);
	for (unsigned int w = 0; w < 2; w++)
		assert_in_range(sessions_of(w), MANY / 4, MANY);
	lab_balance(0);
	lab_free();
}

/* The hosts of a network spread over the workers, whatever the secret is. */
static void neighbours_spread_over_the_workers(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 8}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	for (unsigned int secret = 0; secret < 256; secret++) {
		unsigned int hosts[8] = {0};

		assert_int_equal(sp_key_seed(), 0);
		for (unsigned int n = 0; n < 256; n++) {
			struct sp_addr addr = {.family = SP_FAMILY_IPV4, .b = {10, 0, 0, (uint8_t)n}};

			hosts[sp_nat_owner_of(lab.dataplane->nat, &addr)]++;
		}
		/* 32 on average, with a deviation of 5.3 */
		for (unsigned int w = 0; w < 8; w++)
			assert_in_range(hosts[w], 4, 72);
	}
	nat_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_reaches_its_session),
		cmocka_unit_test(one_mapping_for_all_workers),
		cmocka_unit_test(hundred_thousand_sessions),
		cmocka_unit_test(neighbours_spread_over_the_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
