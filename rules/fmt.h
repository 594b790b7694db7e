/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Canonical text of a rule file: four blanks a level, one rule a line, canonical rule strings, comments kept where they stand.
 * Works on the text, not on the policy, so that nothing the author wrote is lost. Formatting its own output changes nothing.
 */
#ifndef SP_RULES_FMT_H
#define SP_RULES_FMT_H

#include <stddef.h>

#include "rules/diag.h"

/* Returns malloc'ed NUL-terminated text, or NULL with diagnostics (the text does not scan) or errno ENOMEM. */
char *sp_fmt(const char *bytes, size_t size, const char *file, struct sp_diags *diags);

#endif
