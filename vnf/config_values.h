/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to the configuration's reader: values of the types that keys have, and tables of keys. A fault is told with file, line and
 * remedy, and leaves what it would have set untouched, so that one run tells them all.
 */
#ifndef SP_VNF_CONFIG_VALUES_H
#define SP_VNF_CONFIG_VALUES_H

#include <libconfig.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/diag.h"
#include "rules/scan.h"
#include "vnf/config.h"

#define SP_CONFIG_DURATION_MAX 31536000 /* seconds: 365 days, the most that a text can say */

#define SP_CONFIG_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct sp_config_reader {
	struct sp_config *config;
	struct sp_diags *diags;
	struct sp_scan scan;
	const char *file;
	char folder[PATH_MAX]; /* of the file, where relative paths begin; "": the working directory */
};

/* One key of a group, and the member of the group's struct that it sets. */
struct sp_config_key {
	const char *name;
	/* into: the struct that the key's group is about, the same for all keys of a table. */
	void (*read)(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into);
	size_t offset, size; /* of the member, an unsigned integer of the host, a bool or a string */
	uint64_t min, max;   /* of numbers; of a path: max bytes with the final NUL; else unused */
	const char *unit;    /* of numbers, for messages: "" when they are counts of themselves */
	const void *names;   /* const char *const[n]: the choices; const struct sp_config_key[n]: keys of the group */
	size_t n;
};

typedef void sp_config_read_fn(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into);

/* What the tables are made of. The macros' names are also how tests/lint/man.sh finds the keys. */
#define SP_KEY(name, function)                          \
	{                                               \
		name, function, 0, 0, 0, 0, "", NULL, 0 \
	}
#define SP_KEY_WITHIN(name, function, min, max, unit)         \
	{                                                     \
		name, function, 0, 0, min, max, unit, NULL, 0 \
	}
#define SP_KEY_OF(type, member) offsetof(type, member), sizeof(((type *)NULL)->member)
#define SP_KEY_NUMBER(name, type, member, min, max, unit)                                    \
	{                                                                                    \
		name, sp_config_set_number, SP_KEY_OF(type, member), min, max, unit, NULL, 0 \
	}
#define SP_KEY_SECONDS(name, type, member, min, max)                                                \
	{                                                                                           \
		name, sp_config_set_duration, SP_KEY_OF(type, member), min, max, "seconds", NULL, 0 \
	}
#define SP_KEY_BOOL(name, type, member)                                              \
	{                                                                            \
		name, sp_config_set_bool, SP_KEY_OF(type, member), 0, 1, "", NULL, 0 \
	}
#define SP_KEY_CHOICE(name, type, member, names, n)                                     \
	{                                                                               \
		name, sp_config_set_choice, SP_KEY_OF(type, member), 0, 0, "", names, n \
	}
#define SP_KEY_PATH(name, function, type, member, bytes)                       \
	{                                                                      \
		name, function, SP_KEY_OF(type, member), 0, bytes, "", NULL, 0 \
	}
#define SP_KEY_GROUP(name, function, keys)                                   \
	{                                                                    \
		name, function, 0, 0, 0, 0, "", keys, SP_CONFIG_LENGTH(keys) \
	}

sp_config_read_fn sp_config_set_number;   /* an integer within min..max */
sp_config_read_fn sp_config_set_duration; /* an integer or a text with a unit, in seconds */
sp_config_read_fn sp_config_set_bool;
sp_config_read_fn sp_config_set_choice; /* index of the text among the names */
sp_config_read_fn sp_config_set_path;   /* relative to the file's folder; "" is NULL */
sp_config_read_fn sp_config_set_group;  /* the group's own keys, into the same struct */

/* Adds an error at the place of the setting. */
__attribute__((format(printf, 3, 4))) void sp_config_error(
	struct sp_config_reader *reader, const config_setting_t *s, const char *fmt, ...);

/* File and line of a setting, or of what is nearest to it. *file is the scan's, or reader->file. */
void sp_config_place(const struct sp_config_reader *reader, const config_setting_t *s, const char **file, int *line);

/* The functions below give false, NULL or -1 after telling what is wrong. `unit` is for the message. */
bool sp_config_number(
	struct sp_config_reader *reader, const config_setting_t *s, uint64_t min, uint64_t max, const char *unit, uint64_t *out);
bool sp_config_bool(struct sp_config_reader *reader, const config_setting_t *s, bool *out);
const char *sp_config_string(struct sp_config_reader *reader, const config_setting_t *s);

/* Reads every member of a group by its key; `where` is for the message about one that has none. */
void sp_config_read_keys(struct sp_config_reader *reader, const config_setting_t *group, const char *where,
	const struct sp_config_key *keys, size_t n, void *into);

/* Every key of a configuration, into struct sp_config (config_keys.c). */
extern const struct sp_config_key sp_config_keys[];
extern const size_t sp_config_n_keys;

sp_config_read_fn sp_config_read_ports; /* config_ports.c */

/* --- config_route.c ------------------------------------------------------------------------------------------------------------- */

#define SP_CONFIG_RPF_UNSET 0xff /* of a port, until the cross-checks: as the group says */
#define SP_CONFIG_RPF_NAMES 3
extern const char *const sp_config_rpf_names[SP_CONFIG_RPF_NAMES]; /* index: enum sp_rpf */

#define SP_CONFIG_ROUTE_KEYS 9
extern const struct sp_config_key sp_config_route_keys[SP_CONFIG_ROUTE_KEYS];

void sp_config_route_defaults(struct sp_config *config);

/* Cross-checks of route mode; adds the zone "self" as the last one. */
void sp_config_resolve_route(struct sp_config *config, struct sp_diags *diags);

#endif
