/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file of the process (sallyport.conf): read once at start, checked whole, then only read.
 *
 * Every key has a default that works, but `ports`, which names the machine's own devices.
 */
#ifndef SP_VNF_CONFIG_H
#define SP_VNF_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/dataplane.h"
#include "dataplane/defence.h"
#include "dataplane/fragment.h"
#include "dataplane/routing.h"
#include "dataplane/session.h"
#include "mgmt/api_tls.h"
#include "rules/diag.h"
#include "rules/policy.h"
#include "rules/ruleset.h"
#include "vnf/device.h"

#define SP_CONFIG_DEFAULT_PATH        "/etc/sallyport/sallyport.conf"
#define SP_CONFIG_DEFAULT_RULES       "/etc/sallyport/rules.d/main.rules"
#define SP_CONFIG_DEFAULT_SOCKET      "/run/sallyport/api.sock"
#define SP_CONFIG_DEFAULT_SESSIONS    262144 /* both families together */
#define SP_CONFIG_DEFAULT_SOURCES     65536
#define SP_CONFIG_DEFAULT_ICMP_ERRORS 10   /* a second and session */
#define SP_CONFIG_DEFAULT_REJECTS     1000 /* a second and worker */
#define SP_CONFIG_DEFAULT_ROTATE      256  /* MB */
#define SP_CONFIG_DEFAULT_KEEP        4
#define SP_CONFIG_DEFAULT_LOG_RATE    1000 /* a second, rule, kind and worker */
#define SP_CONFIG_DEFAULT_ROUTES4     131072
#define SP_CONFIG_DEFAULT_ROUTES6     32768
#define SP_CONFIG_DEFAULT_NEIGHBOURS  8192
#define SP_CONFIG_DEFAULT_QUEUE       16   /* packets for one neighbour */
#define SP_CONFIG_DEFAULT_WAITING     1024 /* packets of each worker */
#define SP_CONFIG_DEFAULT_ERRORS      100  /* ICMP errors a second */

/* Ports and VLANs of ports together. */
#define SP_CONFIG_PORTS_MAX 4096

enum sp_huge { SP_HUGE_AUTO, SP_HUGE_YES, SP_HUGE_NO };

/* One entry of `ports`: a device, or a VLAN of one (parent >= 0, and then only name, vlan, zone and rpf are set). */
struct sp_config_port {
	const char *file; /* where it stands; the configuration's string */
	int line;
	char name[32];
	struct sp_device device; /* kind NONE for a VLAN */
	char peer_name[32], parent_name[32];
	int peer;             /* index into ports, -1 before resolution and in route mode */
	int parent;           /* index into ports of the device a VLAN belongs to; -1: a device itself */
	uint16_t vlan;        /* 1..4094 for a VLAN, 0 for a device */
	uint16_t domain;      /* number of the wire pair, from 0 in file order; in route mode 0, as a session may go between any two */
	uint8_t zone;         /* index into zones, SP_MATCH_NO_ZONE */
	uint8_t checksum;     /* enum sp_checksum_policy */
	uint8_t rpf;          /* route mode: enum sp_rpf, that of the group `route` when it does not say */
	uint16_t queues;      /* rx queues wanted; 0: one a worker */
	uint16_t mtu;         /* 0: as the device has it */
	uint16_t descriptors; /* of each queue; 0: default */
};

struct sp_config {
	const char *file;                     /* as named */
	uint8_t mode;                         /* enum sp_mode */
	unsigned int workers[SP_WORKERS_MAX]; /* CPU numbers */
	unsigned int n_workers;               /* 0: all CPUs but the first */
	enum sp_huge huge;
	uint32_t memory_mb; /* 0: by need */
	uint32_t buffers;   /* packet buffers at least; 0: by need */
	struct sp_config_port *ports;
	unsigned int n_ports;  /* VLANs included */
	struct sp_zones zones; /* closed; in route mode "self" is the last one */
	uint8_t zone_self;     /* route mode: its index, else SP_MATCH_NO_ZONE */
	struct sp_route_config route;
	const char *netns;  /* route mode: path of the network namespace that has the TAPs; NULL: the process's own */
	const char *rules;  /* path */
	const char *socket; /* path; NULL: no API */
	const char *group;  /* of the socket; NULL: as the process */
	mode_t socket_mode;
	struct sp_tls_config tls;      /* the API over TCP; listen NULL: it is not */
	const char *captures;          /* folder of captures; NULL: the default one */
	const char *eve;               /* path; NULL: no events are written */
	uint32_t rotate_mb;            /* size at which that file is rotated; 0: never */
	uint32_t keep;                 /* rotated files that stay */
	uint32_t log_rate;             /* events of one rule and kind that a worker posts a second; 0: all */
	uint32_t stats_interval_sec;   /* of stats events; 0: none */
	uint32_t sessions4, sessions6; /* of all workers together */
	uint32_t timeout_sec[SP_STATE_COUNT];
	uint32_t icmp_error_rate; /* ICMP errors about one session that pass a second; 0: all */
	uint8_t on_change;        /* enum sp_on_change: sessions when rules change */
	uint32_t limit_sources;
	struct sp_fragments_config fragments; /* of all workers together */
	struct sp_flood_config floods;        /* the same; thresholds are 0 before resolution when none was given */
	struct sp_pressure_config pressure;
	uint32_t reject_rate; /* answers a second and worker */
	struct sp_tcp_config tcp;
	bool adaptive, hardening;
	void *strings; /* owns the strings above */
};

/*
 * Reads and checks a configuration file. NULL with at least one error in diags (every fault found, each with file, line and remedy);
 * warnings are possible with a result. Blocks on the file; needs no EAL.
 */
struct sp_config *sp_config_read_file(const char *path, struct sp_diags *diags);

/* The same from bytes; `file` is for messages, and its folder is where relative paths begin. */
struct sp_config *sp_config_read(const char *bytes, size_t size, const char *file, struct sp_diags *diags);

/*
 * A configuration without ports for a file that does not read: all defaults, but for what is right in its group `api`, so that the socket
 * is where it is looked for. NULL without memory.
 */
struct sp_config *sp_config_rescue(const char *path);

/* NULL is fine. */
void sp_config_free(struct sp_config *config);

/* Whether a text that scans looks like a configuration (and not like a rule file): by its settings at the top level. */
bool sp_config_is(const char *bytes, size_t size);

/* Inside of config.c and config_read.c: cross-checks after all keys are read. Adds errors to diags. */
void sp_config_resolve(struct sp_config *config, struct sp_diags *diags);

/* A copy of the string that lives as long as the configuration; NULL on ENOMEM. */
char *sp_config_strdup(struct sp_config *config, const char *text);

#endif
