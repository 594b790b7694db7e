/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The classifier: "the first rule at or after index i whose indexed fields match", in bulk.
 *
 * Behind it: rte_acl contexts, one a family and segment. rte_acl returns only the best rule of a context, so a segment ends soon after a
 * rule that may pass a packet on (residual fields, monitor). Zones and address lists become ranges of numbers, not bits: an address list of
 * more than a few prefixes is looked up first and stands in the key as a class, so large sets are never multiplied into rules. A rule whose
 * lists multiply beyond measure all the same is walked linearly, and so are frames other than IP, over the rules that can match them.
 *
 * Immutable once built; lookup from any thread with its own scratch, no locks, no allocation.
 */
#ifndef SP_RULES_CLASSIFIER_H
#define SP_RULES_CLASSIFIER_H

#include "rules/diag.h"
#include "rules/match.h"
#include "rules/policy.h"

#define SP_CLASSIFY_MAX 64  /* keys of one lookup */
#define SP_SEGMENTS_MAX 256 /* more segments than this is a compile error */

struct sp_classifier;

/*
 * Builds for the policy, which must outlive it and stay as it is. NULL with a diagnostic: too many segments, address sets that overlap in
 * more than 65,535 ways, rte_acl refuses, no memory. Needs EAL, whose heap holds the contexts; 10,000 rules take about a second, 100,000 up
 * to half a minute. Silences rte_acl's own log for the process. One thread at a time.
 */
struct sp_classifier *sp_classifier_build(const struct sp_policy *policy, struct sp_diags *diags);

/*
 * For each of n <= SP_CLASSIFY_MAX keys, of any mix of families: result[i] = index of the first enabled rule at or after from[i] that
 * matches, or SP_RULE_NONE. result may be from.
 */
void sp_classifier_lookup(const struct sp_classifier *classifier, const struct sp_match *const keys[], const uint32_t from[],
	uint32_t result[], unsigned int n);

/* Bytes that the contexts and tables hold; right to the extent that nothing else used EAL's heap during the build. */
size_t sp_classifier_bytes(const struct sp_classifier *classifier);

void sp_classifier_free(struct sp_classifier *classifier);

#endif
