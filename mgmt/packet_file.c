/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/packet_file.h"

#include <string.h>

#include "dataplane/text.h"
#include "mgmt/publish.h"

size_t sp_packet_file_head(const struct sp_dataplane *dataplane, uint32_t snaplen, const char *filter, uint8_t *out, size_t room)
{
	size_t n = sp_pcapng_section(out, room);

	for (unsigned int p = 0; p < dataplane->n_ports && n != 0; p++) {
		size_t block = sp_pcapng_interface(out + n, room - n, dataplane->ports[p].name, snaplen, filter);

		n = block != 0 ? n + block : 0;
	}
	return n;
}

static void put_rule(struct sp_text *text, const struct sp_dataplane *dataplane, uint32_t id)
{
	const struct sp_rule *rule = sp_published_rule(dataplane, id);

	if (id == 0)
		sp_text_put(text, " rule=default");
	else
		sp_text_put(text, " rule=%u", id);
	if (rule != NULL && rule->file != NULL)
		sp_text_put(text, " (%s:%d)", rule->file, rule->line);
}

void sp_packet_file_comment(const struct sp_dataplane *dataplane, const struct sp_capture_packet *about, char *buf, size_t size)
{
	struct sp_text text = {buf, size, 0};

	switch (about->point) {
	case SP_CAPTURE_RX:
		sp_text_put(&text, "rx");
		break;
	case SP_CAPTURE_TX:
		sp_text_put(&text, about->built ? "tx built by the firewall" : "tx");
		break;
	default:
		sp_text_put(&text, "%s reason=%s", about->rejected ? "reject" : "drop",
			about->reason < SP_DROP_COUNT ? sp_drop_texts[about->reason].name : "?");
	}
	if (about->has_rule)
		put_rule(&text, dataplane, about->rule);
	if (about->n_trace > 0 && text.n + 64 < size) {
		sp_text_put(&text, " trace [");
		text.n += sp_trace_format(
			dataplane, about->trace, RTE_MIN(about->n_trace, (uint8_t)SP_TRACE_ITEMS), buf + text.n, size - text.n - 1);
		sp_text_put(&text, "]");
	}
}
