/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/health_notes.h"

#include <stdio.h>
#include <string.h>

#define SECOND_MS 1000

static void begin_second(struct sp_health_notes *notes, int64_t now_ms)
{
	notes->end_ms = now_ms + SECOND_MS;
	notes->left = SP_HEALTH_NOTES_MAX;
}

void sp_health_note(
	struct sp_health_notes *notes, const struct sp_health_entry *entry, const struct sp_health_backend *backend, int64_t now_ms)
{
	if (now_ms >= notes->end_ms)
		begin_second(notes, now_ms);
	if (notes->left == 0 || notes->n == SP_HEALTH_NOTES_MAX) {
		notes->lost++;
		return;
	}
	notes->left--;
	notes->v[notes->n++] = (struct sp_health_note){entry->id, backend->address, entry->port, backend->live, backend->failure};
}

bool sp_health_notes_take(struct sp_health_notes *notes, int64_t now_ms, struct sp_health_notes *out)
{
	bool over = now_ms >= notes->end_ms;

	out->n = notes->n;
	out->lost = over ? notes->lost : 0;
	out->unable = over ? notes->unable : 0;
	if (out->n == 0 && out->lost == 0 && out->unable == 0)
		return false;
	memcpy(out->v, notes->v, out->n * sizeof(out->v[0]));
	notes->n = 0;
	notes->lost -= out->lost;
	notes->unable -= out->unable;
	if (out->lost != 0 || out->unable != 0)
		begin_second(notes, now_ms);
	return true;
}

static void print_note(const struct sp_health_note *note)
{
	char address[48], port[16] = "", why[96];

	if (note->port != 0)
		snprintf(port, sizeof(port), " port %u", note->port);
	fprintf(stderr, "sallyport: nat entry %u: backend %s%s is %s%s\n", note->entry,
		sp_addr_format(&note->address, address, sizeof(address)), port,
		note->live ? "alive" : "dead: ", note->live ? "" : sp_check_failure_text(&note->failure, why, sizeof(why)));
}

void sp_health_notes_print(const struct sp_health_notes *notes)
{
	for (unsigned int i = 0; i < notes->n; i++)
		print_note(&notes->v[i]);
	if (notes->lost != 0)
		fprintf(stderr, "sallyport: nat: %u more backends came or went; GET /v1/nat lists them\n", notes->lost);
	if (notes->unable != 0)
		fprintf(stderr, "sallyport: nat: %u checks of backends could not be made: no free descriptor or no memory\n",
			notes->unable);
}
