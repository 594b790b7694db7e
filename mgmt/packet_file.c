/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/packet_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

struct text {
	char *buf;
	size_t size, n;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	if (text->n + 1 >= text->size)
		return;
	va_start(args, fmt);
	n = vsnprintf(text->buf + text->n, text->size - text->n, fmt, args);
	va_end(args);
	if (n > 0)
		text->n = RTE_MIN(text->n + (size_t)n, text->size - 1);
}

static void put_rule(struct text *text, const struct sp_dataplane *dataplane, uint32_t id)
{
	const struct sp_rule *rule = sp_published_rule(dataplane, id);

	if (id == 0)
		put(text, " rule=default");
	else
		put(text, " rule=%u", id);
	if (rule != NULL && rule->file != NULL)
		put(text, " (%s:%d)", rule->file, rule->line);
}

void sp_packet_file_comment(const struct sp_dataplane *dataplane, const struct sp_capture_packet *about, char *buf, size_t size)
{
	struct text text = {buf, size, 0};

	switch (about->point) {
	case SP_CAPTURE_RX:
		put(&text, "rx");
		break;
	case SP_CAPTURE_TX:
		put(&text, about->built ? "tx built by the firewall" : "tx");
		break;
	default:
		put(&text, "%s reason=%s", about->rejected ? "reject" : "drop",
			about->reason < SP_DROP_COUNT ? sp_drop_texts[about->reason].name : "?");
	}
	if (about->has_rule)
		put_rule(&text, dataplane, about->rule);
	if (about->n_trace > 0 && text.n + 64 < size) {
		put(&text, " trace [");
		text.n += sp_trace_format(
			dataplane, about->trace, RTE_MIN(about->n_trace, (uint8_t)SP_TRACE_ITEMS), buf + text.n, size - text.n - 1);
		put(&text, "]");
	}
}
