/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/nat_query.h"

#include <string.h>

#include "dataplane/nat_internal.h"
#include "dataplane/stats.h"

static void fill(const struct sp_worker *worker, const struct sp_nat_mapping *mapping, struct sp_nat_mapping_row *row)
{
	const int32_t left_ms = (int32_t)(mapping->due_ms - worker->burst.now_ms);

	*row = (struct sp_nat_mapping_row){.inside = mapping->inside,
		.outside = mapping->slice->address,
		.inside_port = rte_be_to_cpu_16(mapping->inside_port),
		.outside_port = rte_be_to_cpu_16(mapping->port),
		.entry = mapping->entry,
		.sessions = mapping->refs,
		.held_ms = mapping->held && left_ms > 0 ? (uint32_t)left_ms : 0,
		.proto = mapping->proto};
}

static void fill_links(const struct sp_nat_worker *nat, struct sp_nat_query *query)
{
	query->n_links = 0;
	for (uint32_t i = 0; i < nat->n_interface && query->n_links < SP_NAT_QUERY_LINKS; i++) {
		const struct sp_nat_slice *slice = &nat->interface[i];
		struct sp_nat_pool_row *row = &query->links[query->n_links];

		if (slice->address.family == SP_FAMILY_NONE || (slice->refs == 0 && sp_nat_own_slice(nat, &slice->address) != slice))
			continue;
		*row = (struct sp_nat_pool_row){.address = slice->address, .ports = slice->n};
		memcpy(row->used, slice->used, sizeof(row->used));
		query->n_links++;
	}
}

/* On the worker. */
static void run_query(struct sp_worker *worker, struct sp_request *request)
{
	struct sp_nat_query *query = (struct sp_nat_query *)(void *)request;
	const struct sp_nat_worker *nat;

	query->n_rows = 0;
	query->n_links = 0;
	query->more = false;
	if (worker->dataplane->nat == NULL)
		return;
	nat = sp_nat_of(worker);
	fill_links(nat, query);
	for (unsigned int budget = SP_NAT_QUERY_WALK; query->cursor < nat->n_mappings && query->n_rows < query->limit && budget > 0;
		budget--) {
		const struct sp_nat_mapping *mapping = &nat->mapping[query->cursor++];

		if (mapping->slice != NULL)
			fill(worker, mapping, &query->rows[query->n_rows++]);
	}
	query->more = query->cursor < nat->n_mappings;
}

void sp_nat_query_init(struct sp_nat_query *query, uint64_t cursor, uint32_t limit)
{
	query->request.run = run_query;
	query->cursor = cursor;
	query->limit = limit == 0 || limit > SP_NAT_QUERY_ROWS ? SP_NAT_QUERY_ROWS : limit;
	query->n_rows = query->n_links = 0;
	query->more = true;
}

static const struct sp_nat_rules *rules_of(const struct sp_dataplane *dataplane)
{
	const struct sp_live *live = __atomic_load_n(&dataplane->live, __ATOMIC_ACQUIRE);

	return live != NULL ? live->nat : NULL;
}

size_t sp_nat_entries(const struct sp_dataplane *dataplane, struct sp_nat_entry_row *rows, size_t first, size_t n)
{
	const struct sp_nat_rules *rules = rules_of(dataplane);
	size_t total = rules != NULL ? rules->n : 0;

	for (size_t i = first; i < total && i - first < n; i++) {
		const struct sp_nat_rule *rule = &rules->rule[i];
		struct sp_nat_entry_row *row = &rows[i - first];

		*row = (struct sp_nat_entry_row){.entry = rule->entry->id, .type = rule->entry->type};
		for (unsigned int w = 0; w < dataplane->n_workers; w++) {
			row->sessions += sp_read(&rule->counters[w].sessions);
			row->exhausted += sp_read(&rule->counters[w].exhausted);
			row->refused += sp_read(&rule->counters[w].refused);
		}
	}
	return total;
}

static void sum_ports(const struct sp_dataplane *dataplane, const struct sp_nat_address *address, struct sp_nat_pool_row *row)
{
	row->address = address->address;
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		row->ports += address->slice[w]->n;
		for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
			row->used[p] += __atomic_load_n(&address->slice[w]->used[p], __ATOMIC_RELAXED);
	}
}

size_t sp_nat_pools(const struct sp_dataplane *dataplane, struct sp_nat_pool_row *rows, size_t first, size_t n)
{
	const struct sp_nat_rules *rules = rules_of(dataplane);
	size_t total = 0;

	for (uint32_t i = 0; rules != NULL && i < rules->n; i++) {
		const struct sp_nat_rule *rule = &rules->rule[i];

		for (uint32_t k = 0; k < rule->n_pool; k++, total++) {
			if (total < first || total - first >= n)
				continue;
			rows[total - first] = (struct sp_nat_pool_row){.entry = rule->entry->id};
			sum_ports(dataplane, rule->pool[k], &rows[total - first]);
		}
	}
	return total;
}

void sp_nat_sum(const struct sp_dataplane *dataplane, struct sp_nat_sum *out)
{
	const struct sp_nat *nat = __atomic_load_n(&dataplane->nat, __ATOMIC_ACQUIRE);

	*out = (struct sp_nat_sum){0};
	for (unsigned int w = 0; nat != NULL && w < nat->n_workers; w++) {
		const struct sp_nat_counters *counters = &nat->worker[w]->counters;

		out->mappings += sp_read(&counters->mappings);
		out->hosts += sp_read(&counters->hosts);
		out->blocks += sp_read(&counters->blocks);
		out->made += sp_read(&counters->made);
		out->exhausted += sp_read(&counters->exhausted);
		out->translated += sp_read(&counters->translated);
	}
}
