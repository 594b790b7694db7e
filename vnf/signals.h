/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals of the running firewall: a thread of their own takes them and passes them on, and sees to it that a process that was told to
 * leave does so within two seconds, whatever its main thread is doing.
 */
#ifndef SP_VNF_SIGNALS_H
#define SP_VNF_SIGNALS_H

#include <stdbool.h>

struct sp_launch;
struct sp_mgmt;

enum sp_phase { SP_PHASE_STARTING, SP_PHASE_CONTROL, SP_PHASE_CLOSING };

/*
 * Starts the thread. SIGTERM, SIGINT and SIGHUP are blocked in the caller from here on, and so in every thread made later: call it before
 * there are any. 0 or -errno. Main thread, as all that follow.
 */
int sp_signals_start(void);

/* Whether SIGTERM or SIGINT came. */
bool sp_signals_leaving(void);

/*
 * Where the main thread is. After SIGTERM or SIGINT it has 1.2 s to reach CLOSING and 1.9 s to end; then the process leaves without it.
 * Once that began, this call does not return.
 */
void sp_signals_phase(enum sp_phase phase);

/* Whose workers are to be drained when the process leaves in a hurry; NULL: none run. */
void sp_signals_workers(struct sp_launch *launch);

/* Whom signals are for; one that came before is passed on now. After sp_signals_mgmt(NULL) nothing is, and `mgmt` can be freed. */
void sp_signals_mgmt(struct sp_mgmt *mgmt);

/* Ends the thread. Signals stay blocked. */
void sp_signals_end(void);

#endif
