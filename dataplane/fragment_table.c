/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two hashed tables with chains, of datagrams and of their sources, and two kinds of list through the datagrams, by age: one of all, one of
 * each source. Time-outs are equal, so the list of all is in the order of deadlines. Everything is taken at start. The worker's alone.
 */
#include "dataplane/fragment_table.h"

#include <errno.h>
#include <rte_common.h>

#include "dataplane/alloc.h"
#include "dataplane/fragment_chain.h"

static uint64_t source_hash(uint64_t address, uint16_t port, uint8_t family)
{
	return sp_key_fold(address ^ sp_key_secret.endpoint[0], sp_key_secret.factor + ((uint64_t)port << 8 | family) * 2);
}

uint64_t sp_datagram_hash(const struct sp_datagram_key *name)
{
	uint64_t hash = sp_key_fold(sp_key_hash(&name->key) ^ sp_key_secret.endpoint[1], sp_key_secret.port + (uint64_t)name->id * 2);

	/* Identifications mostly count up: one product of them alone would be in steps of one length. */
	return sp_key_fold(hash ^ sp_key_secret.sum, sp_key_secret.factor);
}

static uint64_t source_address(const struct sp_key *key)
{
	uint64_t address;

	if (key->family == SP_FAMILY_IPV4)
		return key->v4.src;
	memcpy(&address, key->v6.src, sizeof(address));
	return address;
}

static uint32_t *source_link(const struct sp_fragments *fragments, const struct sp_key *key)
{
	uint64_t address = source_address(key);
	uint32_t *link = &fragments->source_head[source_hash(address, key->domain, key->family) & fragments->mask];

	while (*link != SP_DATAGRAM_NONE) {
		struct sp_fragment_source *source = &fragments->source[*link];

		if (source->address == address && source->port == key->domain && source->family == key->family)
			break;
		link = &source->hash_next;
	}
	return link;
}

uint32_t sp_datagram_find(const struct sp_fragments *fragments, const struct sp_datagram_key *name, uint64_t hash)
{
	uint32_t index = fragments->hash_head[hash & fragments->mask];

	while (index != SP_DATAGRAM_NONE) {
		const struct sp_datagram *datagram = &fragments->datagram[index];

		if (datagram->name.id == name->id && memcmp(&datagram->name.key, &name->key, sizeof(name->key)) == 0)
			break;
		index = datagram->hash_next;
	}
	return index;
}

uint32_t sp_datagram_victim(const struct sp_fragments *fragments, const struct sp_datagram_key *name, uint8_t *reason)
{
	uint32_t source = *source_link(fragments, &name->key);

	if (source != SP_DATAGRAM_NONE && fragments->source[source].n >= fragments->config.per_source) {
		*reason = SP_DROP_FRAG_SOURCE;
		return fragments->source[source].oldest;
	}
	*reason = SP_DROP_TABLE_FRAGMENTS_FULL;
	return fragments->n_free_datagrams == 0 ? fragments->oldest : SP_DATAGRAM_NONE;
}

static uint32_t acquire_source(struct sp_fragments *fragments, const struct sp_key *key)
{
	uint32_t *link = source_link(fragments, key);

	if (*link == SP_DATAGRAM_NONE) {
		/* No source is without a datagram, so there are as many as could be needed. */
		*link = fragments->free_source[--fragments->n_free_sources];
		fragments->source[*link] = (struct sp_fragment_source){.address = source_address(key),
			.port = key->domain,
			.family = key->family,
			.oldest = SP_DATAGRAM_NONE,
			.newest = SP_DATAGRAM_NONE,
			.hash_next = SP_DATAGRAM_NONE};
	}
	return *link;
}

static void release_source(struct sp_fragments *fragments, const struct sp_key *key)
{
	uint32_t *link = source_link(fragments, key), index = *link;

	if (--fragments->source[index].n > 0)
		return;
	*link = fragments->source[index].hash_next;
	fragments->free_source[fragments->n_free_sources++] = index;
}

static void append_lists(struct sp_fragments *fragments, uint32_t index)
{
	struct sp_datagram *datagram = &fragments->datagram[index];
	struct sp_fragment_source *source = &fragments->source[datagram->source];

	datagram->newer = datagram->source_newer = SP_DATAGRAM_NONE;
	datagram->older = fragments->newest;
	datagram->source_older = source->newest;
	if (fragments->newest != SP_DATAGRAM_NONE)
		fragments->datagram[fragments->newest].newer = index;
	else
		fragments->oldest = index;
	fragments->newest = index;
	if (source->newest != SP_DATAGRAM_NONE)
		fragments->datagram[source->newest].source_newer = index;
	else
		source->oldest = index;
	source->newest = index;
	source->n++;
}

static void leave_lists(struct sp_fragments *fragments, const struct sp_datagram *datagram)
{
	struct sp_fragment_source *source = &fragments->source[datagram->source];

	if (datagram->older != SP_DATAGRAM_NONE)
		fragments->datagram[datagram->older].newer = datagram->newer;
	else
		fragments->oldest = datagram->newer;
	if (datagram->newer != SP_DATAGRAM_NONE)
		fragments->datagram[datagram->newer].older = datagram->older;
	else
		fragments->newest = datagram->older;
	if (datagram->source_older != SP_DATAGRAM_NONE)
		fragments->datagram[datagram->source_older].source_newer = datagram->source_newer;
	else
		source->oldest = datagram->source_newer;
	if (datagram->source_newer != SP_DATAGRAM_NONE)
		fragments->datagram[datagram->source_newer].source_older = datagram->source_older;
	else
		source->newest = datagram->source_older;
}

uint32_t sp_datagram_open(struct sp_fragments *fragments, const struct sp_datagram_key *name, uint64_t hash, uint32_t now_ms, uint8_t zone)
{
	uint32_t index = fragments->free_datagram[--fragments->n_free_datagrams];
	uint32_t *head = &fragments->hash_head[hash & fragments->mask];
	struct sp_datagram *datagram = &fragments->datagram[index];

	datagram->name = *name;
	datagram->deadline_ms = now_ms + fragments->timeout_ms;
	datagram->bytes = datagram->end = 0;
	datagram->n = 0;
	datagram->zone = zone;
	datagram->refused = SP_DROP_NONE;
	datagram->hash_next = *head;
	*head = index;
	datagram->source = acquire_source(fragments, &name->key);
	append_lists(fragments, index);
	return index;
}

void sp_datagram_close(struct sp_fragments *fragments, uint32_t index)
{
	struct sp_datagram *datagram = &fragments->datagram[index];
	uint32_t *link = &fragments->hash_head[sp_datagram_hash(&datagram->name) & fragments->mask];

	while (*link != index)
		link = &fragments->datagram[*link].hash_next;
	*link = datagram->hash_next;
	leave_lists(fragments, datagram);
	release_source(fragments, &datagram->name.key);
	fragments->free_datagram[fragments->n_free_datagrams++] = index;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

static void *take(struct sp_fragments *fragments, const char *name, size_t bytes, int socket)
{
	fragments->size += bytes;
	return sp_alloc(name, bytes, RTE_CACHE_LINE_SIZE, socket);
}

static int make_tables(struct sp_fragments *fragments, int socket)
{
	uint32_t n = fragments->config.datagrams, heads = rte_align32pow2(2 * n);

	fragments->mask = heads - 1;
	fragments->datagram = take(fragments, "fragments", n * sizeof(fragments->datagram[0]), socket);
	fragments->source = take(fragments, "fragment_sources", n * sizeof(fragments->source[0]), socket);
	fragments->hash_head = take(fragments, "fragment_heads", heads * sizeof(uint32_t), socket);
	fragments->source_head = take(fragments, "fragment_source_heads", heads * sizeof(uint32_t), socket);
	fragments->free_datagram = take(fragments, "fragments_free", n * sizeof(uint32_t), socket);
	fragments->free_source = take(fragments, "fragment_sources_free", n * sizeof(uint32_t), socket);
	if (fragments->datagram == NULL || fragments->source == NULL || fragments->hash_head == NULL || fragments->source_head == NULL ||
		fragments->free_datagram == NULL || fragments->free_source == NULL)
		return -ENOMEM;
	memset(fragments->hash_head, 0xff, heads * sizeof(uint32_t));
	memset(fragments->source_head, 0xff, heads * sizeof(uint32_t));
	for (uint32_t i = 0; i < n; i++)
		fragments->free_datagram[i] = fragments->free_source[i] = i;
	fragments->n_free_datagrams = fragments->n_free_sources = n;
	fragments->oldest = fragments->newest = SP_DATAGRAM_NONE;
	return 0;
}

struct sp_fragments_config sp_fragments_share(const struct sp_fragments_config *all, unsigned int n_workers)
{
	struct sp_fragments_config share = {
		.datagrams = all->datagrams != 0 ? all->datagrams : SP_FRAGMENT_DATAGRAMS_DEFAULT,
		.buffers = all->buffers != 0 ? all->buffers : SP_FRAGMENT_BUFFERS_DEFAULT,
		.per_source = all->per_source != 0 ? all->per_source : SP_FRAGMENT_SOURCE_DEFAULT,
		.timeout_sec = all->timeout_sec != 0 ? all->timeout_sec : SP_FRAGMENT_TIMEOUT_DEFAULT,
	};

	share.datagrams = RTE_MAX(share.datagrams / n_workers, (uint32_t)SP_FRAGMENT_DATAGRAMS_MIN);
	share.buffers = RTE_MAX(share.buffers / n_workers, (uint32_t)SP_FRAGMENT_BUFFERS_MIN);
	/* The datagrams of a source fall on all workers alike. */
	share.per_source = (share.per_source + n_workers - 1) / n_workers;
	return share;
}

void sp_fragments_free(struct sp_fragments *fragments)
{
	if (fragments == NULL)
		return;
	if (fragments->datagram != NULL)
		for (uint32_t i = fragments->oldest; i != SP_DATAGRAM_NONE; i = fragments->datagram[i].newer)
			for (unsigned int p = 0; p < fragments->datagram[i].n; p++)
				rte_pktmbuf_free(fragments->datagram[i].piece[p].mbuf);
	sp_free(fragments->datagram);
	sp_free(fragments->source);
	sp_free(fragments->hash_head);
	sp_free(fragments->source_head);
	sp_free(fragments->free_datagram);
	sp_free(fragments->free_source);
	sp_free(fragments);
}

struct sp_fragments *sp_fragments_create(const struct sp_fragments_config *config, int socket)
{
	struct sp_fragments *fragments = sp_alloc("fragment_table", sizeof(*fragments), RTE_CACHE_LINE_SIZE, socket);
	int rc = fragments == NULL ? -ENOMEM : sp_datagram_register();

	if (rc == 0) {
		fragments->config = sp_fragments_share(config, 1);
		fragments->timeout_ms = fragments->config.timeout_sec * 1000;
		fragments->size = sizeof(*fragments);
		fragments->oldest = SP_DATAGRAM_NONE;
		rc = make_tables(fragments, socket);
	}
	if (rc == 0)
		return fragments;
	sp_fragments_free(fragments);
	errno = -rc;
	return NULL;
}

size_t sp_fragments_bytes(const struct sp_fragments *fragments)
{
	return fragments->size;
}

void sp_fragments_watch(struct sp_fragments *fragments, sp_fragment_fate_fn fn, void *context)
{
	fragments->fate = fn;
	fragments->fate_context = context;
}
