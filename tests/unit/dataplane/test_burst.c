/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of one flow in one burst: what becomes of them must not depend on how they fall into bursts. Each scene is played twice, once
 * packet by packet and once as a single burst, and ends the same.
 */
#include "tests/unit/dataplane/worker_fixture.h"

#define INSPECTED                                                                                                                 \
	"version = 1; default = { action = \"drop\"; }; inspect = { p = { mode = \"block\"; patterns = ( { id = 7; msg = \"m\"; " \
	"pattern = \"attack\"; action = \"drop\"; } ); }; }; rules = ( \"10 allow tcp,udp inspect p\" );"

#define SCENE_MAX 16

struct step {
	bool back; /* a packet of the answering side, on the same port: a burst comes from one port */
	uint8_t flags;
	const char *payload;
	enum sp_drop_reason reason; /* NONE: passes */
};

struct scene {
	const char *name, *rules;
	uint8_t proto;
	bool closed; /* the flow begins as an old one in TIME-WAIT */
	struct step steps[SCENE_MAX];
	uint8_t state; /* of the session afterwards */
	uint64_t created;
};

static const struct scene scenes[] = {
	{.name = "a whole connection",
		.rules = RULES("\"10 allow tcp\""),
		.proto = IPPROTO_TCP,
		.steps = {{.flags = SYN}, {.back = true, .flags = SYN | ACK}, {.flags = ACK}, {.flags = PSH | ACK, .payload = "get"},
			{.back = true, .flags = PSH | ACK, .payload = "got"}, {.flags = FIN | ACK}, {.back = true, .flags = FIN | ACK},
			{.flags = ACK}},
		.state = SP_STATE_TCP_TIME_WAIT,
		.created = 1},
	{.name = "out of order",
		.rules = RULES("\"10 allow tcp\""),
		.proto = IPPROTO_TCP,
		.steps = {{.flags = ACK, .reason = SP_DROP_TCP_NO_SESSION},
			{.back = true, .flags = SYN | ACK, .reason = SP_DROP_TCP_NO_SESSION}, {.flags = SYN}, {.flags = SYN},
			{.flags = ACK, .reason = SP_DROP_TCP_STATE}, {.back = true, .flags = RST | ACK},
			{.flags = PSH | ACK, .payload = "x", .reason = SP_DROP_TCP_STATE}, {.flags = SYN}},
		.state = SP_STATE_TCP_SYN_SENT,
		.created = 2},
	{.name = "reopened from TIME-WAIT",
		.rules = RULES("\"10 allow tcp\""),
		.proto = IPPROTO_TCP,
		.closed = true,
		.steps = {{.flags = ACK}, {.back = true, .flags = FIN | ACK}, {.flags = SYN}, {.back = true, .flags = SYN | ACK},
			{.flags = ACK}, {.flags = PSH | ACK, .payload = "anew"}},
		.state = SP_STATE_TCP_ESTABLISHED,
		.created = 2},
	{.name = "reopened while late data is inspected",
		.rules = INSPECTED,
		.proto = IPPROTO_TCP,
		.closed = true,
		.steps = {{.flags = PSH | ACK, .payload = "late"}, {.flags = SYN}, {.flags = SYN}},
		.state = SP_STATE_TCP_SYN_SENT,
		.created = 2},
	{.name = "opened, closed and reopened",
		.rules = RULES("\"10 allow tcp\""),
		.proto = IPPROTO_TCP,
		.steps = {{.flags = SYN}, {.back = true, .flags = RST | ACK}, {.flags = SYN}, {.back = true, .flags = RST | ACK},
			{.flags = SYN}},
		.state = SP_STATE_TCP_SYN_SENT,
		.created = 3},
	{.name = "blocked by inspection",
		.rules = INSPECTED,
		.proto = IPPROTO_UDP,
		.steps = {{.payload = "fine"}, {.payload = "an attack", .reason = SP_DROP_INSPECT_MATCH},
			{.payload = "fine", .reason = SP_DROP_INSPECT_BLOCKED},
			{.back = true, .payload = "fine", .reason = SP_DROP_INSPECT_BLOCKED},
			{.payload = NULL, .reason = SP_DROP_INSPECT_BLOCKED}, {.payload = "an attack", .reason = SP_DROP_INSPECT_BLOCKED}},
		.state = SP_STATE_BLOCKED,
		.created = 1},
	{.name = "replies in the opening burst",
		.rules = RULES("\"10 allow udp\""),
		.proto = IPPROTO_UDP,
		.steps = {{.payload = "one"}, {.back = true, .payload = "two"}, {.payload = "three"}},
		.state = SP_STATE_UDP_REPLIED,
		.created = 1},
	{.name = "a source's second session",
		.rules = RULES("\"10 allow tcp max_per_source 1\""),
		.proto = IPPROTO_TCP,
		.steps = {{.flags = SYN}, {.back = true, .flags = RST | ACK}, {.flags = SYN}},
		.state = SP_STATE_TCP_SYN_SENT,
		.created = 2},
};

static struct sp_frame_spec packet_of(const struct scene *scene, const struct step *step)
{
	struct sp_frame_spec forth = {.proto = scene->proto}, spec = step->back ? lab_reply(&forth) : forth;

	spec.tcp_flags = step->flags;
	spec.payload = step->payload;
	spec.payload_len = step->payload == NULL ? 0 : strlen(step->payload);
	return spec;
}

static void close_flow(const struct scene *scene)
{
	static const struct step steps[] = {{.flags = SYN}, {.back = true, .flags = SYN | ACK}, {.flags = ACK}, {.flags = FIN | ACK},
		{.back = true, .flags = FIN | ACK}, {.flags = ACK}};

	for (size_t i = 0; i < RTE_DIM(steps); i++) {
		struct sp_frame_spec spec = packet_of(scene, &steps[i]);

		lab_send(IN, &spec);
		lab_run();
		assert_int_equal(lab_count(OUT), 1);
	}
}

static unsigned int length_of(const struct scene *scene)
{
	unsigned int n = 0;

	while (n < SCENE_MAX && (scene->steps[n].flags != 0 || scene->steps[n].payload != NULL || scene->steps[n].reason != SP_DROP_NONE))
		n++;
	return n;
}

static void assert_step(const struct scene *scene, unsigned int step, unsigned int i)
{
	const struct sp_burst *burst = &lab.dataplane->workers[0]->burst;

	if (burst->reason[i] != scene->steps[step].reason)
		fail_msg("%s, packet %u: %s, and not %s", scene->name, step, sp_drop_texts[burst->reason[i]].name,
			sp_drop_texts[scene->steps[step].reason].name);
	assert_int_equal(burst->verdict[i], burst->reason[i] == SP_DROP_NONE ? SP_VERDICT_ALLOW : SP_VERDICT_DROP);
}

static void assert_session(const struct scene *scene)
{
	const struct step first = {0};
	struct sp_frame_spec spec = packet_of(scene, &first);
	const struct sp_session_state *state;

	spec.tcp_flags = ACK;
	state = sp_session_state(lab.dataplane->workers[0]->sessions, lab_session_of(&spec));
	if (state->state != scene->state)
		fail_msg("%s ends in state %s", scene->name, sp_state_names[state->state]);
	assert_int_equal(lab_sessions().created, scene->created);
	assert_int_equal(lab_active(), 1);
	assert_int_equal(lab_quota(10), 1);
}

static void play(const struct scene *scene, unsigned int burst)
{
	unsigned int n = length_of(scene), passes = 0;

	lab_start(&(struct lab_options){0}, scene->rules);
	/* both sides of the flow come from one port, so its zone is that of both */
	memset(lab.dataplane->ports[OUT].zone, 0, sizeof(lab.dataplane->ports[OUT].zone));
	if (scene->closed)
		close_flow(scene);
	for (unsigned int i = 0; i < n; i++) {
		struct sp_frame_spec spec = packet_of(scene, &scene->steps[i]);

		lab_send(IN, &spec);
		passes += scene->steps[i].reason == SP_DROP_NONE;
		if ((i + 1) % burst != 0 && i + 1 != n)
			continue;
		lab_turn(0);
		for (unsigned int k = i - i % burst; k <= i; k++)
			assert_step(scene, k, k % burst);
	}
	assert_int_equal(lab_count(OUT), passes);
	assert_session(scene);
	lab_balance(0);
	lab_stop();
}

static void scenes_end_the_same_in_any_burst(void **unused)
{
	(void)unused;
	for (size_t s = 0; s < RTE_DIM(scenes); s++)
		for (unsigned int burst = 1; burst <= SCENE_MAX; burst++)
			play(&scenes[s], burst);
}

/* The order in which packets of one flow leave is that in which they came. */
static void order_is_kept_within_a_burst(void **unused)
{
	const struct sp_frame_spec open = {.proto = IPPROTO_UDP};
	struct rte_mbuf *mbuf;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	for (unsigned int n = 0; n < 100; n++) {
		struct sp_frame_spec spec = open;
		uint8_t number = (uint8_t)n;

		spec.payload = &number;
		spec.payload_len = 1;
		lab_send(IN, &spec);
	}
	lab_run();
	for (unsigned int n = 0; n < 100; n++) {
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		assert_int_equal(*rte_pktmbuf_mtod_offset(mbuf, uint8_t *, mbuf->pkt_len - 1), n);
		rte_pktmbuf_free(mbuf);
	}
	lab_stop();
}

/* A rule that only watches sees what a burst of one flow is: one opening, and not one a packet. */
static void monitor_rule_counts_openings_only(void **unused)
{
	const struct sp_frame_spec spec = {.proto = IPPROTO_UDP};

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"5 drop udp monitor log\", \"10 allow udp\""));
	for (unsigned int n = 0; n < 20; n++)
		lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_count(OUT), 20);
	assert_int_equal(lab_rule(10).hits, 1);
	assert_int_equal(lab_rule(5).hits, 1);
	assert_int_equal(lab.dataplane->workers[0]->events.posted, 1);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenes_end_the_same_in_any_burst),
		cmocka_unit_test(order_is_kept_within_a_burst),
		cmocka_unit_test(monitor_rule_counts_openings_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
