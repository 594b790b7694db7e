/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include "tests/unit/support/eal.h"

#define PLENTY 1000000u

/* Why the last session ended, and how many did. */
struct ends {
	unsigned int n[SP_END_COUNT];
};

static void count_end(void *context, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why)
{
	struct ends *ends = context;

	assert_true(sp_pool_live(&sessions->pool[sp_ref_pool(ref)], ref & SP_SESSION_INDEX));
	ends->n[why]++;
}

/* Every state, from clocks before and after the wrap: alive up to the time-out, gone two seconds later, with the right reason. */
static void each_state_ends_in_time(void **unused)
{
	const uint32_t starts[] = {0, 1, 999, 123456, UINT32_MAX, UINT32_MAX - 10000, INT32_MAX, UINT32_MAX - 7440000};
	(void)unused;

	for (unsigned int s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (uint8_t state = 0; state < SP_STATE_COUNT; state++) {
			struct sp_sessions *sessions = table_of(64, 64);
			struct sp_key key = key_of(s % 2 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_UDP, s);
			uint32_t start = starts[s], timeout = sp_state_default_sec[state] * 1000, ms;
			bool tcp = state >= SP_STATE_TCP_CLOSING && state <= SP_STATE_TCP_CLOSED;
			struct ends ends = {{0}};

			sp_sessions_on_end(sessions, count_end, &ends);
			sp_sessions_age(sessions, start, PLENTY);
			assert_int_not_equal(insert_key(sessions, &key, state, start), SP_SESSION_NONE);
			for (ms = 0; ms<timeout; ms += timeout> 60000 ? 777 : 83)
				sp_sessions_age(sessions, start + ms, PLENTY);
			sp_sessions_age(sessions, start + timeout - 1, PLENTY);
			assert_int_equal(sp_sessions_counters(sessions)->expired, 0);
			assert_int_not_equal(find_key(sessions, &key), SP_SESSION_NONE);
			sp_sessions_age(sessions, start + timeout + 2000, PLENTY);
			assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
			assert_int_equal(ends.n[tcp ? SP_END_TCP : state == SP_STATE_BLOCKED ? SP_END_INSPECTION : SP_END_TIMEOUT], 1);
			assert_consistent(sessions);
			sp_sessions_free(sessions);
		}
}

static void use_puts_the_end_off(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_UDP_NEW, 0), ms = 0;
	(void)unused;

	for (; ms < 100000; ms += 500) {
		if (ms % 29000 < 500)
			sp_session_state(sessions, ref)->last_ms = ms;
		sp_sessions_age(sessions, ms, PLENTY);
		assert_int_equal(find_key(sessions, &key), ref);
	}
	sp_session_state(sessions, ref)->last_ms = ms;
	sp_sessions_age(sessions, ms + 29999, PLENTY);
	assert_int_equal(find_key(sessions, &key), ref);
	sp_sessions_age(sessions, ms + 32000, PLENTY);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

static void a_budget_is_kept_and_the_rest_follows(void **unused)
{
	struct sp_sessions *sessions = table_of(1000, 1000);
	unsigned int calls = 0;
	(void)unused;

	for (uint32_t i = 0; i < 1000; i++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);

		insert_key(sessions, &key, SP_STATE_UDP_NEW, i);
		key = key_of(SP_FAMILY_IPV6, IPPROTO_UDP, i);
		insert_key(sessions, &key, SP_STATE_UDP_NEW, i);
	}
	assert_int_equal(sp_sessions_age(sessions, 40000, 0), 0);
	for (; sp_sessions_counters(sessions)->expired < 2000; calls++) {
		assert_in_range(calls, 0, 200);
		assert_int_equal(sp_sessions_age(sessions, 40000, 10), 10);
		if (calls % 16 == 0)
			assert_consistent(sessions);
	}
	assert_int_equal(sp_sessions_age(sessions, 40000, 10), 0);
	assert_consistent(sessions);
	sp_sessions_free(sessions);
}

static void jumps_of_the_clock_are_taken(void **unused)
{
	const uint32_t jumps[] = {60000, 1024000, 1025000, 86400000, 2147483000, 2147484000, 4233600000u};
	(void)unused;

	for (unsigned int j = 0; j < sizeof(jumps) / sizeof(jumps[0]); j++) {
		struct sp_sessions *sessions = table_of(1000, 64);
		uint32_t start = 0xffff0000u;

		for (uint32_t i = 0; i < 500; i++) {
			struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);

			insert_key(sessions, &key, SP_STATE_UDP_NEW, start + i);
			sp_sessions_age(sessions, start + i, PLENTY);
		}
		sp_sessions_age(sessions, start + jumps[j], PLENTY);
		assert_int_equal(sp_sessions_counters(sessions)->expired, 500);
		for (uint32_t i = 0; i < 500; i++) {
			struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);

			insert_key(sessions, &key, SP_STATE_UDP_NEW, start + jumps[j]);
		}
		sp_sessions_age(sessions, start + jumps[j] + 29999, PLENTY);
		assert_int_equal(sp_sessions_counters(sessions)->expired, 500);
		sp_sessions_age(sessions, start + jumps[j] + 32000, PLENTY);
		assert_int_equal(sp_sessions_counters(sessions)->expired, 1000);
		assert_consistent(sessions);
		sp_sessions_free(sessions);
	}
}

static void a_clock_that_steps_back_ends_nothing(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1);
	(void)unused;

	sp_sessions_age(sessions, 100000, PLENTY);
	insert_key(sessions, &key, SP_STATE_UDP_NEW, 100000);
	for (uint32_t back = 0; back < 60000; back += 100)
		sp_sessions_age(sessions, 100000 - back, PLENTY);
	sp_sessions_age(sessions, 129999, PLENTY);
	assert_int_equal(sp_sessions_counters(sessions)->expired, 0);
	sp_sessions_age(sessions, 132000, PLENTY);
	assert_int_equal(sp_sessions_counters(sessions)->expired, 1);
	sp_sessions_free(sessions);
}

static void a_shorter_state_moves_the_end_forward(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV6, IPPROTO_TCP, 1);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_ESTABLISHED, 1000);
	(void)unused;

	sp_sessions_age(sessions, 2000, PLENTY);
	sp_session_set_state(sessions, ref, SP_STATE_TCP_CLOSED, 5000);
	assert_int_equal(sp_session_state(sessions, ref)->last_ms, 5000);
	assert_int_equal(sp_session_timeout_ms(sessions, ref), 10000);
	assert_consistent(sessions);
	sp_sessions_age(sessions, 14999, PLENTY);
	assert_int_equal(find_key(sessions, &key), ref);
	sp_sessions_age(sessions, 17000, PLENTY);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);

	ref = insert_key(sessions, &key, SP_STATE_TCP_CLOSED, 20000);
	sp_session_set_state(sessions, ref, SP_STATE_TCP_ESTABLISHED, 21000);
	sp_sessions_age(sessions, 21000 + 7439999, PLENTY);
	assert_int_equal(find_key(sessions, &key), ref);
	sp_sessions_age(sessions, 21000 + 7442000, PLENTY);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

static void a_rule_overrides_what_is_established(void **unused)
{
	uint32_t override[4] = {0, 5, 31536000, 0};
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 0);
	(void)unused;

	sp_sessions_set_rule_timeouts(sessions, override);
	for (uint8_t state = 0; state < SP_STATE_COUNT; state++) {
		bool overridden = state == SP_STATE_UDP_REPLIED || state == SP_STATE_ICMP || state == SP_STATE_OTHER_REPLIED ||
				  state == SP_STATE_SCTP_ESTABLISHED || state == SP_STATE_TCP_ESTABLISHED;

		sp_session_state(sessions, ref)->state = state;
		sp_session_state(sessions, ref)->slot = 0;
		assert_int_equal(sp_session_timeout_ms(sessions, ref), sp_state_default_sec[state] * 1000);
		sp_session_state(sessions, ref)->slot = 1;
		assert_int_equal(sp_session_timeout_ms(sessions, ref), overridden ? 5000 : sp_state_default_sec[state] * 1000);
		sp_session_state(sessions, ref)->slot = 2;
		if (overridden)
			assert_int_equal(sp_session_timeout_ms(sessions, ref), SP_SESSION_TIMEOUT_CAP_SEC * 1000u);
	}
	sp_session_remove(sessions, ref, SP_END_KILLED);

	/* A reload shortens it while the session lives: at most one turn of the wheel later the session follows. */
	ref = insert_key(sessions, &key, SP_STATE_TCP_ESTABLISHED, 0);
	sp_session_state(sessions, ref)->slot = 3;
	override[3] = 60;
	for (uint32_t ms = 0; ms <= 1024000 + 62000; ms += 1000)
		sp_sessions_age(sessions, ms, PLENTY);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

static void the_longest_time_out_is_the_cap(void **unused)
{
	struct sp_sessions_config config = config_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1);
	struct sp_sessions *sessions;
	uint64_t ms = 0;
	(void)unused;

	config.timeout_sec[SP_STATE_UDP_NEW] = 31536000;
	sessions = sp_sessions_create(&config);
	insert_key(sessions, &key, SP_STATE_UDP_NEW, 0xf0000000u);
	for (; ms < SP_SESSION_TIMEOUT_CAP_SEC * 1000ull; ms += 3600000) {
		sp_sessions_age(sessions, (uint32_t)(0xf0000000u + ms), PLENTY);
		assert_int_not_equal(find_key(sessions, &key), SP_SESSION_NONE);
	}
	sp_sessions_age(sessions, (uint32_t)(0xf0000000u + ms + 2000), PLENTY);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

/* --- a million random steps beside a plain model ---------------------------------------------------------------------------------------
 */

#define MODEL_KEYS  1024 /* of each family */
#define MODEL_MAX4  400
#define MODEL_MAX6  300
#define MODEL_STEPS 1000000u

struct entry {
	bool live;
	uint32_t ref, timeout_ms;
	uint64_t last_ms;
};

struct model {
	struct sp_sessions *sessions;
	struct entry entry[2][MODEL_KEYS];
	uint16_t key_at[2][MODEL_MAX4]; /* key of each place in the pools */
	unsigned int live[2];
	uint64_t now_ms;
	bool ageing;
	uint64_t ended;
};

static void check_end(void *context, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why)
{
	struct model *model = context;
	unsigned int which = sp_ref_pool(ref);
	struct entry *entry = &model->entry[which][model->key_at[which][ref & SP_SESSION_INDEX]];

	assert_ptr_equal(sessions, model->sessions);
	assert_true(entry->live);
	assert_int_equal(entry->ref, ref);
	assert_int_equal(why == SP_END_KILLED, !model->ageing);
	if (model->ageing)
		assert_true(model->now_ms - entry->last_ms >= entry->timeout_ms);
	entry->live = false;
	model->live[which]--;
	model->ended++;
}

static void model_insert(struct model *model, unsigned int which, uint32_t number, const struct sp_key *key)
{
	static const uint32_t max[2] = {MODEL_MAX4, MODEL_MAX6};
	struct entry *entry = &model->entry[which][number];
	uint8_t state = (uint8_t)(next_random() % SP_STATE_COUNT);
	uint32_t ref = insert_key(model->sessions, key, state, (uint32_t)model->now_ms);

	if (entry->live || model->live[which] == max[which]) {
		assert_int_equal(ref, SP_SESSION_NONE);
		return;
	}
	assert_int_not_equal(ref, SP_SESSION_NONE);
	*entry = (struct entry){true, ref, sp_state_default_sec[state] * 1000, model->now_ms};
	model->key_at[which][ref & SP_SESSION_INDEX] = (uint16_t)number;
	model->live[which]++;
}

static void model_age(struct model *model)
{
	uint64_t r = next_random();

	model->now_ms += r % 64 == 0 ? (r >> 8) % 4000000 : (r >> 8) % 300;
	model->ageing = true;
	if (r % 16 == 1) {
		assert_in_range(sp_sessions_age(model->sessions, (uint32_t)model->now_ms, 3), 0, 3);
	} else {
		sp_sessions_age(model->sessions, (uint32_t)model->now_ms, PLENTY);
		for (unsigned int which = 0; which < 2; which++)
			for (unsigned int i = 0; i < MODEL_KEYS; i++) {
				const struct entry *entry = &model->entry[which][i];

				if (entry->live)
					assert_true(model->now_ms - entry->last_ms <= entry->timeout_ms + 2000ull);
			}
	}
	model->ageing = false;
}

static void model_step(struct model *model)
{
	uint64_t r = next_random();
	unsigned int which = r & 1;
	uint32_t number = (uint32_t)(r >> 8) % MODEL_KEYS;
	struct sp_key key = key_of(which == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_UDP, number);
	struct entry *entry = &model->entry[which][number];

	assert_int_equal(find_key(model->sessions, &key), entry->live ? entry->ref : SP_SESSION_NONE);
	assert_int_equal(find_reply(model->sessions, &key), entry->live ? entry->ref | SP_SESSION_REPLY : SP_SESSION_NONE);
	switch ((r >> 32) % 16) {
	case 0 ... 6:
		model_insert(model, which, number, &key);
		break;
	case 7 ... 8:
		if (entry->live)
			sp_session_remove(model->sessions, entry->ref, SP_END_KILLED);
		break;
	case 9 ... 11:
		if (entry->live) {
			sp_session_state(model->sessions, entry->ref)->last_ms = (uint32_t)model->now_ms;
			entry->last_ms = model->now_ms;
		}
		break;
	case 12 ... 14:
		if (entry->live) {
			uint8_t state = (uint8_t)((r >> 40) % SP_STATE_COUNT);

			sp_session_set_state(model->sessions, entry->ref, state, (uint32_t)model->now_ms);
			entry->last_ms = model->now_ms;
			entry->timeout_ms = sp_state_default_sec[state] * 1000;
		}
		break;
	default:
		model_age(model);
	}
}

static void a_million_steps_agree_with_a_model(void **unused)
{
	struct model *model = test_calloc(1, sizeof(*model));
	const struct sp_sessions_counters *counters;
	(void)unused;

	model->sessions = table_of(MODEL_MAX4, MODEL_MAX6);
	model->now_ms = UINT32_MAX - 100000;
	counters = sp_sessions_counters(model->sessions);
	sp_sessions_on_end(model->sessions, check_end, model);
	for (unsigned int step = 0; step < MODEL_STEPS; step++) {
		model_step(model);
		assert_int_equal(counters->active4, model->live[0]);
		assert_int_equal(counters->active6, model->live[1]);
		if (step % 4096 == 0)
			assert_consistent(model->sessions);
	}
	assert_int_equal(counters->expired + counters->killed, model->ended);
	print_message("%llu opened, %llu expired, %llu removed, %llu refused, over %llu days\n", (unsigned long long)counters->created,
		(unsigned long long)counters->expired, (unsigned long long)counters->killed, (unsigned long long)counters->refused,
		(unsigned long long)((model->now_ms - (UINT32_MAX - 100000)) / 86400000));
	assert_true(counters->expired > 10000 && counters->killed > 10000 && counters->refused > 10000);
	for (unsigned int which = 0; which < 2; which++)
		for (unsigned int i = 0; i < MODEL_KEYS; i++)
			if (model->entry[which][i].live)
				sp_session_remove(model->sessions, model->entry[which][i].ref, SP_END_KILLED);
	assert_consistent(model->sessions);
	assert_int_equal(entries_of(&model->sessions->index), 0);
	assert_int_equal(on_wheel(model->sessions), 0);
	sp_sessions_free(model->sessions);
	test_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_ends_in_time),
		cmocka_unit_test(use_puts_the_end_off),
		cmocka_unit_test(a_budget_is_kept_and_the_rest_follows),
		cmocka_unit_test(jumps_of_the_clock_are_taken),
		cmocka_unit_test(a_clock_that_steps_back_ends_nothing),
		cmocka_unit_test(a_shorter_state_moves_the_end_forward),
		cmocka_unit_test(a_rule_overrides_what_is_established),
		cmocka_unit_test(the_longest_time_out_is_the_cap),
		cmocka_unit_test(a_million_steps_agree_with_a_model),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
