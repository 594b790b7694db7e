/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What read_nat.c (keys), read_nat_address.c (addresses) and read_nat_health.c share; nobody else includes this.
 */
#ifndef SP_RULES_READ_NAT_H
#define SP_RULES_READ_NAT_H

#include "rules/fields_internal.h"
#include "rules/nat.h"
#include "rules/read_internal.h"

/* One entry on its way from settings to values. */
struct sp_nat_reader {
	struct sp_reader *reader;
	const config_setting_t *setting;
	const config_setting_t *member[SP_NAT_KEY_COUNT]; /* NULL: not given */
	struct sp_nat_entry *entry;
	struct sp_rule rule;  /* what entries have in common with rules */
	struct sp_resolver r; /* its place is that of the key at hand */
	uint32_t given;       /* bit k: key k stands in the entry */
	uint32_t bad;         /* bit k: its value was refused */
	bool typed;           /* entry->type is set */
};

/* Puts the place of messages at a key, or at the entry when the key was not given. */
void sp_nat_stand_at(struct sp_nat_reader *r, int key);

/* `address` into entry->address, n_address and n_hosts, or interface or none. 0, or -EINVAL with a diagnostic. */
int sp_nat_set_address(struct sp_nat_reader *r, const char *text);

/* entry->inside and outside of STATIC and PREFIX: as long as each other, disjoint, prefixes; sets prefix_bits. */
void sp_nat_check_pair(struct sp_nat_reader *r);

/* The group `health`. 0, or -EINVAL with diagnostics. */
int sp_nat_read_health(struct sp_reader *reader, const config_setting_t *group, struct sp_nat_health *out);

#endif
