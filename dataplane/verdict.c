/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/verdict.h"

const struct sp_drop_text sp_drop_texts[SP_DROP_COUNT] = {
#define X(e, n, m, c) [SP_DROP_##e] = {n, m, c},
	SP_DROP_REASONS(X)
#undef X
};
