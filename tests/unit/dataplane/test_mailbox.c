/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <rte_memory.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/mailbox.h"
#include "tests/unit/support/eal.h"

/* A worker of this test: a thread that polls the mailbox until it is told to leave. */
struct poller {
	struct sp_mailbox *mailbox;
	long nap_ns; /* between two rounds of polls */
	uint32_t stop;
	pthread_t thread;
};

struct job {
	struct sp_request request;
	struct sp_worker *worker;
	uint32_t runs, in, out;
	unsigned int sleep_ms;
};

static void nap(unsigned int ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

static void run_job(struct sp_worker *worker, struct sp_request *request)
{
	struct job *job = (struct job *)(void *)request;

	job->worker = worker;
	job->runs++;
	if (job->sleep_ms != 0)
		nap(job->sleep_ms);
	job->out = job->in * 3;
}

/* The mailbox only hands the worker on; it never looks inside. */
static struct sp_worker *some_worker(void)
{
	static char place;

	return (struct sp_worker *)(void *)&place;
}

static void *poll_until_stopped(void *context)
{
	struct poller *poller = context;

	while (!__atomic_load_n(&poller->stop, __ATOMIC_RELAXED)) {
		for (unsigned int i = 0; i < 64; i++)
			sp_mailbox_poll(poller->mailbox, some_worker());
		nanosleep(&(struct timespec){.tv_nsec = poller->nap_ns}, NULL);
	}
	return NULL;
}

static void start(struct poller *poller, struct sp_mailbox *mailbox, long nap_ns)
{
	poller->nap_ns = nap_ns;
	poller->mailbox = mailbox;
	poller->stop = 0;
	assert_int_equal(pthread_create(&poller->thread, NULL, poll_until_stopped, poller), 0);
}

static void stop(struct poller *poller)
{
	__atomic_store_n(&poller->stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(poller->thread, NULL), 0);
}

static struct sp_mailbox open_mailbox(void)
{
	struct sp_mailbox mailbox = {0};

	assert_int_equal(sp_mailbox_init(&mailbox, 3, SOCKET_ID_ANY), 0);
	return mailbox;
}

static void a_request_runs_on_the_worker(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct poller poller;
	(void)unused;

	start(&poller, &mailbox, 10000);
	for (uint32_t i = 0; i < 200; i++) {
		struct job job = {.request = {run_job}, .in = i};

		assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 5000), 0);
		assert_int_equal(job.runs, 1);
		assert_int_equal(job.out, 3 * i);
		assert_ptr_equal(job.worker, some_worker());
	}
	stop(&poller);
	sp_mailbox_free(&mailbox);
}

static void without_a_worker_it_times_out(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct job *job = calloc(1, sizeof(*job));
	(void)unused;

	job->request.run = run_job;
	assert_int_equal(sp_mailbox_call(&mailbox, &job->request, 5), -ETIMEDOUT);
	assert_int_equal(sp_mailbox_call(&mailbox, &job->request, 0), -ETIMEDOUT);
	assert_int_equal(job->runs, 0);
	/* The memory is ours again, while its places in the ring still wait: the sanitizer sees a touch of it. */
	memset(job, 0xff, sizeof(*job));
	free(job);
	sp_mailbox_poll(&mailbox, some_worker());
	sp_mailbox_poll(&mailbox, some_worker());
	sp_mailbox_poll(&mailbox, some_worker());
	sp_mailbox_free(&mailbox);
}

static void a_full_mailbox_is_busy_until_the_worker_comes(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct job job = {.request = {run_job}};
	struct poller poller;
	(void)unused;

	for (unsigned int i = 0; i < SP_MAILBOX_SIZE; i++)
		assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 0), -ETIMEDOUT);
	assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 0), -EBUSY);
	sp_mailbox_poll(&mailbox, some_worker());
	assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 0), -ETIMEDOUT);
	assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 0), -EBUSY);
	for (unsigned int i = 0; i < SP_MAILBOX_SIZE; i++)
		sp_mailbox_poll(&mailbox, some_worker());
	assert_int_equal(job.runs, 0);
	start(&poller, &mailbox, 10000);
	assert_int_equal(sp_mailbox_call(&mailbox, &job.request, 5000), 0);
	assert_int_equal(job.runs, 1);
	stop(&poller);
	sp_mailbox_free(&mailbox);
}

static void a_request_that_runs_is_waited_for(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct job job = {.request = {run_job}, .in = 5, .sleep_ms = 200};
	struct poller poller;
	(void)unused;

	start(&poller, &mailbox, 10000);
	/* Either it began within its time, and then it is whole; or it never ran. */
	if (sp_mailbox_call(&mailbox, &job.request, 100) == 0)
		assert_int_equal(job.out, 15);
	else
		assert_int_equal(job.runs, 0);
	stop(&poller);
	sp_mailbox_free(&mailbox);
}

struct caller {
	struct sp_mailbox *mailbox;
	pthread_t thread;
	unsigned int seed, ran, timed_out, busy;
};

/* Calls with short time-outs from heap memory that is freed after each: what runs late would touch freed memory. */
static void *call_often(void *context)
{
	struct caller *caller = context;

	for (unsigned int i = 0; i < 1500; i++) {
		struct job *job = calloc(1, sizeof(*job));
		int rc;

		job->request.run = run_job;
		job->in = i;
		rc = sp_mailbox_call(caller->mailbox, &job->request, rand_r(&caller->seed) % 2);
		if (rc == 0 && job->runs == 1 && job->out == 3 * i)
			caller->ran++;
		else if (rc == -ETIMEDOUT && job->runs == 0)
			caller->timed_out++;
		else if (rc == -EBUSY && job->runs == 0)
			caller->busy++;
		free(job);
	}
	return NULL;
}

static void many_callers_race_with_their_deadlines(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct caller callers[6];
	struct poller poller;
	unsigned int ran = 0, timed_out = 0, busy = 0;
	(void)unused;

	/* As long as the callers wait: about half of them cancel just when the worker comes. */
	start(&poller, &mailbox, 900000);
	for (unsigned int i = 0; i < 6; i++) {
		callers[i] = (struct caller){.mailbox = &mailbox, .seed = i};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
	}
	for (unsigned int i = 0; i < 6; i++) {
		pthread_join(callers[i].thread, NULL);
		ran += callers[i].ran;
		timed_out += callers[i].timed_out;
		busy += callers[i].busy;
	}
	stop(&poller);
	print_message("%u ran, %u timed out, %u found it full\n", ran, timed_out, busy);
	assert_int_equal(ran + timed_out + busy, 6 * 1500);
	assert_true(ran > 0);
	assert_true(timed_out > 0);
	sp_mailbox_free(&mailbox);
}

static void *call_once(void *context)
{
	struct caller *caller = context;
	struct job job = {.request = {run_job}, .in = 1};

	caller->ran = sp_mailbox_call(caller->mailbox, &job.request, 10000) == 0;
	return NULL;
}

static void one_poll_runs_one_request(void **unused)
{
	struct sp_mailbox mailbox = open_mailbox();
	struct caller callers[3];
	(void)unused;

	for (unsigned int i = 0; i < 3; i++) {
		callers[i] = (struct caller){.mailbox = &mailbox};
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_once, &callers[i]), 0);
	}
	while (rte_ring_count(mailbox.ring) < 3)
		nap(1);
	for (unsigned int left = 3; left > 0; left--) {
		assert_int_equal(rte_ring_count(mailbox.ring), left);
		sp_mailbox_poll(&mailbox, some_worker());
	}
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].ran, 1);
	}
	sp_mailbox_free(&mailbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_runs_on_the_worker),
		cmocka_unit_test(without_a_worker_it_times_out),
		cmocka_unit_test(a_full_mailbox_is_busy_until_the_worker_comes),
		cmocka_unit_test(a_request_that_runs_is_waited_for),
		cmocka_unit_test(one_poll_runs_one_request),
		cmocka_unit_test(many_callers_race_with_their_deadlines),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
