/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Findings and devices for programs: one JSON object.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <string.h>

#include "vnf/doctor.h"

/* Diagnostics quote files, which may hold bytes that are no UTF-8. */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	char clean[1100];

	if (json != NULL)
		return json;
	snprintf(clean, sizeof(clean), "%s", text);
	for (char *c = clean; *c != '\0'; c++)
		if ((unsigned char)*c > 0x7e)
			*c = '?';
	return json_string(clean);
}

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? text_json(text) : json_null();
}

static json_t *number_or_null(int number)
{
	return number >= 0 ? json_integer(number) : json_null();
}

static json_t *mac_json(const uint8_t mac[6])
{
	static const uint8_t zero[6];
	char text[18];

	if (memcmp(mac, zero, sizeof(zero)) == 0)
		return json_null();
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_string(text);
}

static json_t *finding_json(const struct sp_finding *finding)
{
	json_t *fix = text_or_null(finding->fix);

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "id", finding->id, "level", sp_level_names[finding->level], "topic",
		sp_topic_names[finding->topic], "about", text_json(finding->about), "text", text_json(finding->text), "fix", fix);
}

static json_t *switch_json(bool has, bool is)
{
	return has ? json_boolean(is) : json_null();
}

/* What the PF says. */
static json_t *state_json(const struct sp_vf_state *state)
{
	static const char *const links[] = {
		[IFLA_VF_LINK_STATE_AUTO] = "auto", [IFLA_VF_LINK_STATE_ENABLE] = "enable", [IFLA_VF_LINK_STATE_DISABLE] = "disable"};

	if (!state->known)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:i, s:s, s:I}", "mac", mac_json(state->mac), "trust",
		switch_json(state->has_trust, state->trust), "spoofchk", switch_json(state->has_spoofchk, state->spoofchk), "vlan",
		state->vlan, "link", state->link < sizeof(links) / sizeof(links[0]) ? links[state->link] : "unknown", "rate_mbit",
		(json_int_t)state->rate);
}

static json_t *nic_json(const struct sp_facts *facts, const struct sp_nic *nic)
{
	static const char *const kinds[SP_NIC_KINDS] = {
		[SP_NIC_PF] = "pf", [SP_NIC_VF] = "vf", [SP_NIC_NIC] = "nic", [SP_NIC_VIRTIO] = "virtio"};
	const struct sp_config_port *port = sp_doctor_port_of(facts, nic);
	char id[10];
	json_t *json;

	snprintf(id, sizeof(id), "%04x:%04x", nic->vendor, nic->device);
	json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pci", nic->pci, "kind", kinds[nic->kind], "id", id,
		"driver", text_or_null(nic->driver), "netdev", text_or_null(nic->netdev), "mac",
		nic->has_mac ? mac_json(nic->mac) : mac_json(nic->state.mac), "numa", number_or_null(nic->numa), "iommu_group",
		number_or_null(nic->group), "pf", text_or_null(nic->pf), "vf", number_or_null(nic->vf), "vf_state",
		state_json(&nic->state));
	if (json == NULL)
		return NULL;
	json_object_set_new(json, "port", port != NULL ? text_json(port->name) : json_null());
	json_object_set_new(json, "link", nic->netdev[0] == '\0' ? json_null() : json_boolean(nic->up && nic->carrier));
	if (nic->total_vfs > 0) {
		json_object_set_new(json, "vfs", json_integer(nic->vfs));
		json_object_set_new(json, "total_vfs", json_integer(nic->total_vfs));
	}
	if (nic->holder_pid != 0)
		json_object_set_new(json, "held_by", json_pack("{s:i, s:o}", "pid", nic->holder_pid, "name", text_json(nic->holder)));
	return json;
}

static json_t *memory_json(const struct sp_facts *facts)
{
	json_t *pages = json_array();

	for (unsigned int i = 0; i < facts->n_pages; i++)
		json_array_append_new(pages,
			json_pack("{s:i, s:I, s:I, s:I}", "node", (int)facts->pages[i].node, "size_kb", (json_int_t)facts->pages[i].size_kb,
				"total", (json_int_t)facts->pages[i].total, "free", (json_int_t)facts->pages[i].free));
	return json_pack("{s:I, s:I, s:o, s:o}", "total_mb", (json_int_t)(facts->memory_kb / 1024), "available_mb",
		(json_int_t)(facts->available_kb / 1024), "need_mb",
		facts->conf.need_mb != 0 ? json_integer(facts->conf.need_mb) : json_null(), "huge_pages", pages);
}

static json_t *workers_json(const struct sp_facts *facts)
{
	json_t *workers = json_array();

	for (unsigned int w = 0; w < facts->conf.n_workers; w++)
		json_array_append_new(workers, json_integer(facts->conf.workers[w]));
	return workers;
}

int sp_doctor_print_json(const struct sp_facts *facts, const struct sp_findings *findings, FILE *out)
{
	json_t *list = json_array(), *nics = json_array(), *json;
	int rc;

	for (unsigned int i = 0; i < findings->n; i++)
		json_array_append_new(list, finding_json(&findings->v[i]));
	for (unsigned int i = 0; i < facts->n_nics; i++)
		json_array_append_new(nics, nic_json(facts, &facts->nics[i]));
	json = json_pack("{s:s, s:o, s:o, s:i, s:b, s:b, s:o, s:o, s:i, s:o, s:o}", "place", facts->host ? "host" : "guest", "hypervisor",
		text_or_null(facts->hypervisor), "kernel", text_or_null(facts->release), "cpus", (int)facts->n_cpus, "iommu",
		facts->n_iommus > 0, "interrupt_remapping", facts->remapping, "memory", memory_json(facts), "workers", workers_json(facts),
		"left_out", (int)findings->left_out, "findings", list, "devices", nics);
	if (json == NULL)
		return -ENOMEM;
	rc = json_dumpf(json, out, JSON_INDENT(1));
	json_decref(json);
	fputc('\n', out);
	return rc == 0 ? 0 : -ENOMEM;
}
