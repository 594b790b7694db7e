/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/miss.h"

#include <string.h>

const int sp_residual_fields[SP_RESIDUAL_FIELDS] = {SP_FIELD_TCP_FLAGS, SP_FIELD_LENGTH, SP_FIELD_DSCP, SP_FIELD_SRC_MAC, SP_FIELD_BPF};

static enum sp_answer answer(bool yes)
{
	return yes ? SP_YES : SP_NO;
}

static bool flags_match(const struct sp_residual *residual, uint8_t flags)
{
	for (size_t i = 0; i < residual->n_tcp_flags; i++)
		if ((flags & residual->tcp_flags[i].mask) == residual->tcp_flags[i].value)
			return true;
	return false;
}

static bool mac_matches(const struct sp_residual *residual, const uint8_t mac[6])
{
	for (size_t i = 0; i < residual->n_src_mac; i++)
		if (memcmp(residual->src_mac[i], mac, 6) == 0)
			return true;
	return false;
}

/* pcap_offline_filter keeps no state, so any thread may run it; it reads caplen bytes and answers 0 past them. */
static bool bpf_matches(const struct bpf_program *program, const struct sp_packet_view *view)
{
	struct pcap_pkthdr header = {.caplen = view->frame_len, .len = view->wire_len};

	if ((view->known & SP_VIEW_LENGTH) == 0 || header.len < header.caplen)
		header.len = header.caplen;
	return pcap_offline_filter(program, &header, view->frame) != 0;
}

enum sp_answer sp_residual_field(const struct sp_residual *residual, const struct sp_packet_view *view, int field)
{
	switch (field) {
	case SP_FIELD_TCP_FLAGS:
		if (residual->n_tcp_flags == 0)
			return SP_YES;
		return view->known & SP_VIEW_TCP_FLAGS ? answer(flags_match(residual, view->tcp_flags)) : SP_UNKNOWN;
	case SP_FIELD_LENGTH:
		if (residual->length.n == 0)
			return SP_YES;
		return view->known & SP_VIEW_LENGTH ? answer(sp_rangelist_holds(&residual->length, view->wire_len)) : SP_UNKNOWN;
	case SP_FIELD_DSCP:
		if (residual->dscp.n == 0)
			return SP_YES;
		return view->known & SP_VIEW_DSCP ? answer(sp_rangelist_holds(&residual->dscp, view->dscp)) : SP_UNKNOWN;
	case SP_FIELD_SRC_MAC:
		if (residual->n_src_mac == 0)
			return SP_YES;
		return view->known & SP_VIEW_SRC_MAC ? answer(mac_matches(residual, view->src_mac)) : SP_UNKNOWN;
	case SP_FIELD_BPF:
		if (residual->bpf == NULL)
			return SP_YES;
		return view->known & SP_VIEW_FRAME && view->frame != NULL ? answer(bpf_matches(residual->bpf, view)) : SP_UNKNOWN;
	default:
		return SP_YES;
	}
}

enum sp_answer sp_residual_match(const struct sp_residual *residual, const struct sp_packet_view *view)
{
	enum sp_answer result = SP_YES;

	/* A field that fails settles it, whatever the unknown ones would say. */
	for (size_t i = 0; i < SP_RESIDUAL_FIELDS; i++) {
		enum sp_answer one = sp_residual_field(residual, view, sp_residual_fields[i]);

		if (one == SP_NO)
			return SP_NO;
		if (one == SP_UNKNOWN)
			result = SP_UNKNOWN;
	}
	return result;
}
