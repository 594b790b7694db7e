/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the translator has, as members of GET /v1/nat. API thread.
 */
#ifndef SP_MGMT_NAT_JSON_H
#define SP_MGMT_NAT_JSON_H

#include <jansson.h>

#include "mgmt/res.h"

/* Sets entries, pools (with how many were left out, and whether those of links are `complete`), counters, and mappings with `next`, by the
 * parameters limit and cursor. False with a problem as the answer. */
bool sp_nat_json(struct sp_call *call, json_t *json);

#endif
