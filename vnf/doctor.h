/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport doctor: from facts to findings, and findings to text. Checks are pure: they look at facts only, and say what they find with
 * the command or the text that mends it.
 */
#ifndef SP_VNF_DOCTOR_H
#define SP_VNF_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "vnf/doctor_facts.h"

#define SP_FINDINGS_MAX 512 /* further ones are counted only */

enum sp_level {
	SP_LEVEL_OK,      /* as it should be */
	SP_LEVEL_NOTE,    /* worth knowing; all works */
	SP_LEVEL_WARNING, /* works, but slower or less safely than it could */
	SP_LEVEL_ERROR,   /* does not work */
	SP_LEVELS
};

enum sp_topic { SP_TOPIC_CONFIG, SP_TOPIC_DEVICES, SP_TOPIC_IOMMU, SP_TOPIC_MEMORY, SP_TOPIC_CPU, SP_TOPIC_BOOT, SP_TOPICS };

extern const char *const sp_level_names[SP_LEVELS];
extern const char *const sp_topic_names[SP_TOPICS];

struct sp_finding {
	enum sp_topic topic;
	enum sp_level level;
	const char *id; /* never changes its meaning: programs may look for it */
	char about[40]; /* device, file or thing; never "" */
	char text[400];
	char fix[1024]; /* command, or text for a file, in one or more lines without an end of line; "": nothing to mend */
};

struct sp_findings {
	struct sp_finding v[SP_FINDINGS_MAX];
	unsigned int n, left_out;
	unsigned int count[SP_LEVELS]; /* those left out included */
};

/* Adds a finding without a fix. The result is for sp_finding_fix; NULL when there is no room, which that tolerates. `id` must stay. */
struct sp_finding *sp_finding_add(struct sp_findings *findings, enum sp_topic topic, enum sp_level level, const char *id, const char *about,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void sp_finding_fix(struct sp_finding *finding, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The fix by arguments of the kernel, which last: by a file of their own, called `name`, where GRUB's configuration is made of such. */
void sp_finding_fix_kernel(const struct sp_facts *facts, struct sp_finding *finding, const char *name, const char *args);

/* Every check, in the order of the topics. Freed by free(); NULL without memory. */
struct sp_findings *sp_doctor_check(const struct sp_facts *facts);

void sp_doctor_check_config(const struct sp_facts *facts, struct sp_findings *findings);  /* files, and the devices they name */
void sp_doctor_check_devices(const struct sp_facts *facts, struct sp_findings *findings); /* PFs and VFs on a host, VFs in a guest */
void sp_doctor_check_iommu(const struct sp_facts *facts, struct sp_findings *findings);   /* IOMMU, groups, VFIO */
void sp_doctor_check_memory(const struct sp_facts *facts, struct sp_findings *findings);
void sp_doctor_check_cpu(const struct sp_facts *facts, struct sp_findings *findings);
void sp_doctor_check_boot(const struct sp_facts *facts, struct sp_findings *findings); /* cloud-init */

/* What the configuration says of this device: its port, NULL when it names it not. By PCI address, or by a MAC address that shows. */
const struct sp_config_port *sp_doctor_port_of(const struct sp_facts *facts, const struct sp_nic *nic);

/* The driver that gives the device to DPDK on this machine. */
const char *sp_doctor_driver_for(const struct sp_facts *facts, const struct sp_nic *nic);

/* The shell's words that give the device to the driver until the next boot, from whatever has it now. */
#define SP_BINDING_MAX 320
void sp_doctor_binding(char out[SP_BINDING_MAX], const char *driver, const struct sp_nic *nic);

/* Numbers as a list of ranges ("0-3,8"), cut with "..." where it does not fit. is(context, i) tells for each below n. */
void sp_doctor_ranges(char *out, size_t size, unsigned int n, bool (*is)(const void *context, unsigned int i), const void *context);

/* --- output ------------------------------------------------------------------------------------------------------------------------- */

struct sp_doctor_style {
	bool colour;
	unsigned int width; /* columns at which text is wrapped; 0: nowhere */
};

void sp_doctor_print(const struct sp_facts *facts, const struct sp_findings *findings, const struct sp_doctor_style *style, FILE *out);

/* Only what is to be mended: errors, then warnings, a line each and one for its fix. Nothing at all when there is none. */
void sp_doctor_print_brief(const struct sp_findings *findings, const struct sp_doctor_style *style, FILE *out);

/* One JSON object and an end of line. 0 or -ENOMEM. */
int sp_doctor_print_json(const struct sp_facts *facts, const struct sp_findings *findings, FILE *out);

/*
 * A first configuration for the VFs that are there: routed, ports named by MAC address where it shows, else by PCI address; sized by the
 * memory and the CPUs. Freed by the caller; NULL without memory. *n_ports says how many ports it has.
 */
char *sp_doctor_conf(const struct sp_facts *facts, unsigned int *n_ports);

/* MB of memory that `run` would take with that text; 0 when it does not read. */
uint32_t sp_doctor_conf_need(const struct sp_facts *facts, const char *text);

#endif
