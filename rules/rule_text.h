/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one-line form of a rule: `ID ACTION [PROTO] [from [ZONES] [ADDRESSES]] [to [ZONES] [ADDRESSES]] [FIELD VALUE | FLAG]…`
 * to and from field/value pairs. Knows the grammar and the field names; what a value means is fields.h.
 */
#ifndef SP_RULES_RULE_TEXT_H
#define SP_RULES_RULE_TEXT_H

#include <stddef.h>

#include "rules/policy.h"

struct sp_rule_value {
	int field;         /* enum sp_field */
	const char *value; /* unquoted text, in the arena; "true" for a flag */
	int column;        /* from 1 in the string; 0 when it came from a { } rule */
};

#define SP_RULE_VALUES_MAX SP_FIELD_COUNT

/*
 * Values with blanks stand in single quotes, where two quotes stand for one: name 'it''s ours'. A list behind from or to is one of
 * addresses when its first member starts with a digit, @ or !, or contains a colon, dot or slash; otherwise one of zones.
 *
 * Splits a rule string into pairs; values are copied into the policy's arena. A field said twice, an unknown word, a bare `port`,
 * a missing value or id is an error. Returns how many pairs (at most SP_RULE_VALUES_MAX), or -EINVAL with a diagnostic.
 */
int sp_rule_text_parse(struct sp_policy *policy, const char *text, const char *file, int line, struct sp_rule_value out[SP_RULE_VALUES_MAX],
	struct sp_diags *diags);

/* Writes the canonical one-line form of a rule's values into buf, NUL-terminated, cut at size. Returns the length it needs. With
 * only_own, fields that came from the rule's group are left out. */
size_t sp_rule_text_format(const struct sp_rule *rule, bool only_own, char *buf, size_t size);

#endif
