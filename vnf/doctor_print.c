/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Findings as text for people: a table of the devices, then each topic with one line a finding and, indented, what mends it.
 */
#include <stdio.h>
#include <string.h>

#include "vnf/doctor.h"

#define ABOUT_WIDTH 16
#define LEVEL_WIDTH 8

static const char *const colours[SP_LEVELS] = {
	[SP_LEVEL_OK] = "\033[32m", [SP_LEVEL_NOTE] = "\033[36m", [SP_LEVEL_WARNING] = "\033[33m", [SP_LEVEL_ERROR] = "\033[1;31m"};

static void begin(const struct sp_doctor_style *style, const char *colour, FILE *out)
{
	if (style->colour)
		fputs(colour, out);
}

static void end(const struct sp_doctor_style *style, FILE *out)
{
	if (style->colour)
		fputs("\033[0m", out);
}

/* Prints words from column `from` on, and goes on below it where a line is full. */
static void print_wrapped(const char *text, unsigned int from, unsigned int width, FILE *out)
{
	unsigned int column = from;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (width > from && column > from && column + word > width) {
			fprintf(out, "\n%*s", (int)from, "");
			column = from;
		}
		fprintf(out, "%.*s", (int)word, text);
		column += (unsigned int)word;
		text += word;
		if (*text == ' ') {
			text++;
			column++;
			if (*text != '\0' && !(width > from && column + strcspn(text, " ") > width))
				fputc(' ', out);
		}
	}
	fputc('\n', out);
}

/* --- the machine and its devices ------------------------------------------------------------------------------------------------------ */

static void print_place(const struct sp_facts *facts, FILE *out)
{
	fputs(facts->host ? "host" : "guest", out);
	if (facts->hypervisor[0] != '\0')
		fprintf(out, " on %s", facts->hypervisor);
	if (facts->product[0] != '\0')
		fprintf(out, " (%s)", facts->product);
	fprintf(out, ", %u CPU%s, %llu MB, Linux %s\n", facts->n_cpus, facts->n_cpus == 1 ? "" : "s",
		(unsigned long long)(facts->memory_kb / 1024), facts->release);
}

static const char *const kinds[SP_NIC_KINDS] = {[SP_NIC_PF] = "PF", [SP_NIC_VF] = "VF", [SP_NIC_NIC] = "NIC", [SP_NIC_VIRTIO] = "virtio"};

static void format_mac(char out[18], const struct sp_nic *nic)
{
	static const uint8_t zero[6];
	const uint8_t *mac = nic->has_mac ? nic->mac : nic->state.mac;

	if (!nic->has_mac && memcmp(mac, zero, sizeof(zero)) == 0)
		snprintf(out, 18, "-");
	else
		snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* What else there is to say of it, in words. */
static void print_rest(const struct sp_facts *facts, const struct sp_nic *nic, FILE *out)
{
	const struct sp_config_port *port = sp_doctor_port_of(facts, nic);
	const struct sp_nic *pf = sp_facts_nic(facts, nic->pf);
	const char *comma = "";

#define SAY(...)                           \
	do {                               \
		fputs(comma, out);         \
		fprintf(out, __VA_ARGS__); \
		comma = ", ";              \
	} while (0)
	if (port != NULL)
		SAY("port %s", port->name);
	if (nic->vf >= 0)
		SAY("%s vf %d", pf != NULL && pf->netdev[0] != '\0' ? pf->netdev : nic->pf, nic->vf);
	if (nic->total_vfs > 0)
		SAY("%u of %u VFs", nic->vfs, nic->total_vfs);
	if (nic->netdev[0] != '\0')
		SAY("%s", !nic->up ? "down" : nic->carrier ? "up" : "no carrier");
	if (nic->default_route)
		SAY("default route");
	if (nic->master[0] != '\0')
		SAY("in %s", nic->master);
	if (nic->state.has_trust)
		SAY("trust %s", nic->state.trust ? "on" : "off");
	if (nic->state.has_spoofchk)
		SAY("spoofchk %s", nic->state.spoofchk ? "on" : "off");
	if (nic->state.vlan != 0)
		SAY("vlan %u", nic->state.vlan);
	if (nic->state.rate != 0)
		SAY("%u Mbit/s", nic->state.rate);
	if (nic->holder_pid != 0)
		SAY("open in %s (%d)", nic->holder, nic->holder_pid);
#undef SAY
}

static void number_or_dash(char out[12], int number)
{
	if (number < 0)
		snprintf(out, 12, "-");
	else
		snprintf(out, 12, "%d", number);
}

static void print_nics(const struct sp_facts *facts, const struct sp_doctor_style *style, FILE *out)
{
	if (facts->n_nics == 0)
		return;
	fputc('\n', out);
	begin(style, "\033[1m", out);
	fprintf(out, "  %-13s%-7s%-16s%-10s%-18s%5s%6s", "PCI", "kind", "driver", "netdev", "MAC", "NUMA", "group");
	end(style, out);
	fputc('\n', out);
	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *nic = &facts->nics[i];
		char mac[18], numa[12], group[12];

		format_mac(mac, nic);
		number_or_dash(numa, nic->numa);
		number_or_dash(group, nic->group);
		fprintf(out, "  %-13s%-7s%-16s%-10s%-18s%5s%6s  ", nic->pci, kinds[nic->kind], nic->driver[0] != '\0' ? nic->driver : "-",
			nic->netdev[0] != '\0' ? nic->netdev : "-", mac, numa, group);
		print_rest(facts, nic, out);
		fputc('\n', out);
	}
	if (facts->more_nics > 0)
		fprintf(out, "  and %u more, which are not looked at\n", facts->more_nics);
}

/* --- findings ------------------------------------------------------------------------------------------------------------------------- */

static void print_fix(const char *fix, unsigned int indent, const struct sp_doctor_style *style, FILE *out)
{
	/* Never wrapped: it is to be copied. */
	for (const char *line = fix; *line != '\0'; line += *line == '\n') {
		size_t n = strcspn(line, "\n");

		fprintf(out, "%*s", (int)indent, "");
		begin(style, "\033[1m", out);
		fprintf(out, "%s%.*s", line == fix ? "-> " : "   ", (int)n, line);
		end(style, out);
		fputc('\n', out);
		line += n;
	}
}

static void print_finding(const struct sp_finding *finding, const struct sp_doctor_style *style, FILE *out)
{
	unsigned int about = (unsigned int)strlen(finding->about), from = 2 + LEVEL_WIDTH + 1 + ABOUT_WIDTH + 1;

	fputs("  ", out);
	begin(style, colours[finding->level], out);
	fprintf(out, "%-*s", LEVEL_WIDTH, sp_level_names[finding->level]);
	end(style, out);
	fprintf(out, " %-*s ", ABOUT_WIDTH, finding->about);
	print_wrapped(finding->text, about > ABOUT_WIDTH ? from + about - ABOUT_WIDTH : from, style->width, out);
	print_fix(finding->fix, from, style, out);
}

static void print_count(const struct sp_findings *findings, FILE *out)
{
	static const enum sp_level order[] = {SP_LEVEL_ERROR, SP_LEVEL_WARNING, SP_LEVEL_NOTE};
	const char *comma = "\n";

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		unsigned int n = findings->count[order[i]];

		if (n == 0)
			continue;
		fprintf(out, "%s%u %s%s", comma, n, sp_level_names[order[i]], n == 1 ? "" : "s");
		comma = ", ";
	}
	if (findings->left_out > 0)
		fprintf(out, " (%u not shown)", findings->left_out);
	fputs(comma[0] == '\n' ? "\nnothing to mend\n" : "\n", out);
}

void sp_doctor_print(const struct sp_facts *facts, const struct sp_findings *findings, const struct sp_doctor_style *style, FILE *out)
{
	print_place(facts, out);
	print_nics(facts, style, out);
	for (int topic = 0; topic < SP_TOPICS; topic++) {
		bool headed = false;

		for (unsigned int i = 0; i < findings->n; i++) {
			if (findings->v[i].topic != (enum sp_topic)topic)
				continue;
			if (!headed) {
				fputc('\n', out);
				begin(style, "\033[1m", out);
				fputs(sp_topic_names[topic], out);
				end(style, out);
				fputc('\n', out);
			}
			headed = true;
			print_finding(&findings->v[i], style, out);
		}
	}
	print_count(findings, out);
}

/* One line: of a text for a file or the VM's XML only what it is for. */
static void print_brief_fix(const char *fix, const struct sp_doctor_style *style, FILE *out)
{
	size_t n = strcspn(fix, "\n");
	char line[sizeof(((struct sp_finding *)NULL)->fix) + 32];

	if (fix[n] == '\0') {
		print_fix(fix, 2, style, out);
		return;
	}
	snprintf(line, sizeof(line), "%.*s see `sallyport doctor`", (int)n, fix);
	print_fix(line, 2, style, out);
}

void sp_doctor_print_brief(const struct sp_findings *findings, const struct sp_doctor_style *style, FILE *out)
{
	for (int level = SP_LEVEL_ERROR; level >= SP_LEVEL_WARNING; level--) {
		for (unsigned int i = 0; i < findings->n; i++) {
			const struct sp_finding *finding = &findings->v[i];

			if (finding->level != (enum sp_level)level)
				continue;
			begin(style, colours[level], out);
			fputs(sp_level_names[level], out);
			end(style, out);
			fprintf(out, ": %s: %s\n", finding->about, finding->text);
			print_brief_fix(finding->fix, style, out);
		}
	}
}
