/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread's work: jobs that other threads hand in, reload on request, the watch on port links.
 */
#ifndef SP_MGMT_CONTROL_H
#define SP_MGMT_CONTROL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mgmt/reply.h"

#define SP_JOBS_MAX 8 /* waiting; one more may run */

enum sp_job_kind { SP_JOB_NONE, SP_JOB_PUT_RULES, SP_JOB_RELOAD };

/* Who called over the unix socket, as the kernel knew it when the connection was made. */
struct sp_peer {
	bool known;
	uint32_t uid, gid;
	int32_t pid; /* 0: of another pid namespace */
	bool remote; /* over TLS: instead of the above */
	char token[32], address[46];
};

/* {"uid", "gid", "pid"}, or {"token", "address"} of a remote one, for audit lines; JSON null for NULL and for an unknown one. NULL on
 * ENOMEM. */
json_t *sp_peer_json(const struct sp_peer *peer);

/* Work for the control thread. Its maker owns it again, and `reply` is filled, once `done` was called (on the control thread). */
struct sp_job {
	enum sp_job_kind kind;
	const char *body; /* PUT: the rule file; the maker's, unchanged until done */
	size_t size;
	bool dry_run, force;
	bool has_generation;
	uint32_t generation; /* If-Match: only when this generation is in force */
	bool has_on_change;
	uint8_t on_change; /* enum sp_on_change; without it the configuration's */
	struct sp_peer by;
	struct sp_reply reply;
	void (*done)(struct sp_job *job);
	void *context; /* the maker's */
};

struct sp_control { /* part of struct sp_mgmt */
	int wake;   /* eventfd */
	int quit;   /* 0 or 1, atomic, also by signal handlers */
	int reload; /* the same */
	pthread_mutex_t lock;
	struct sp_job *jobs[SP_JOBS_MAX]; /* first in, first out; under lock */
	unsigned int n_jobs;
	bool closed; /* under lock: no more jobs are taken */
};

struct sp_mgmt;

/* 0 or -errno. */
int sp_control_init(struct sp_control *control);
void sp_control_free(struct sp_control *control);

/* Hands a job in. 0; -EAGAIN when SP_JOBS_MAX wait, -ESHUTDOWN when the process is leaving: the job was not taken and done is not called.
 * Any thread; does not wait. */
int sp_control_submit(struct sp_control *control, struct sp_job *job);

/* Takes no more jobs and answers those that wait with a 503 problem. After sp_mgmt_control returned. */
void sp_control_close(struct sp_control *control);

/* Whether the loop was asked to return. Any thread. */
bool sp_control_quitting(const struct sp_control *control);

#endif
