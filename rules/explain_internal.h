/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words that explain.c, explain_json.c and expect.c share; nobody else includes this.
 */
#ifndef SP_RULES_EXPLAIN_INTERNAL_H
#define SP_RULES_EXPLAIN_INTERNAL_H

#include "rules/explain.h"

/* What the packet has in the field, for a person (buf at least 96 bytes). */
void sp_explain_got(const struct sp_policy *policy, const struct sp_packet_text *packet, int field, char *buf, size_t size);

/* What the rule asks in the field; lives as long as the policy. */
const char *sp_explain_wanted(const struct sp_rule *rule, int field);

#endif
