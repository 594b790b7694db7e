/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the management side, for the files of mgmt/ only.
 */
#ifndef SP_MGMT_STATE_H
#define SP_MGMT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mgmt/api.h"
#include "mgmt/control.h"
#include "mgmt/mgmt.h"
#include "mgmt/pulse.h"

/* Why the firewall is not as it should be, as far as it is remembered and not read off the dataplane: X(enumerator, code, text, remedy). */
#define SP_DEGRADED(X)                                                                                                                  \
	X(NOT_SAVED, "rules-not-saved", "the rules in force could not be written to the rule file: a restart brings the old ones back", \
		"make the rule file's folder writable, and put the rules again")                                                        \
	X(NOT_RETIRED, "rules-not-retired", "a worker did not let go of the old rules within 5 s; it may be stuck", "restart")          \
	X(NO_RULES, "no-rules", "the rule file did not load at start: everything is dropped",                                           \
		"mend the rule file (`sallyport check FILE`) and `sallyctl reload`, or put another")                                    \
	X(RELOAD_FAILED, "reload-failed", "the rule file has errors: the rules in force are older than the file",                       \
		"mend the rule file (`sallyport check FILE`) and `sallyctl reload`")                                                    \
	X(NO_TLS, "no-tls", "the API is not served over TLS", "mend that, then `sallyctl reload`")                                      \
	X(TLS_NOT_RENEWED, "tls-not-renewed", "the API goes on with its former certificate", "mend that, then `sallyctl reload`")       \
	X(TOKENS_FAULTY, "tokens-faulty", "only good lines of the token file let anybody in", "mend that, then `sallyctl reload`")

enum sp_degraded {
#define X(e, c, t, r) SP_DEGRADED_##e,
	SP_DEGRADED(X)
#undef X
		SP_DEGRADED_COUNT
};

struct sp_degraded_text {
	const char *code, *text, *remedy;
};

extern const struct sp_degraded_text sp_degraded_texts[SP_DEGRADED_COUNT];

/* What the rule file held when it was last loaded or written, to notice that somebody edited it since. */
struct sp_baseline {
	bool known;
	size_t size;
	uint64_t hash;
};

struct sp_events;
struct sp_captures;
struct sp_health;
struct sp_kernel;

struct sp_mgmt {
	struct sp_dataplane *dataplane;
	char *rules_path, *config_path, *mode; /* rules_path may be NULL: then PUT never persists and reload is refused */
	char *rules_folder;
	char *no_rules;              /* what SP_DEGRADED_NO_RULES is about; NULL: the rules at start were the file's */
	uint8_t on_change;           /* enum sp_on_change of changes that do not say one */
	void (*tick)(void *context); /* of the configuration; control thread */
	void (*working)(void *context, bool begins);
	void *tick_context;
	struct sp_notes notes; /* does not change */
	struct sp_control control;
	struct sp_api *api;
	struct sp_events *events;
	struct sp_captures *captures;
	struct sp_health *health;
	struct sp_kernel *kernel;    /* NULL in wire mode */
	struct sp_baseline baseline; /* control thread */
	struct sp_pulse pulse;
	uint32_t degraded; /* bit enum sp_degraded; control thread writes, relaxed readers */
};

static inline void sp_degraded_set(struct sp_mgmt *mgmt, enum sp_degraded what, bool on)
{
	if (on)
		__atomic_fetch_or(&mgmt->degraded, 1u << what, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&mgmt->degraded, ~(1u << what), __ATOMIC_RELAXED);
}

#endif
