/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Token buckets as GCRA (ITU-T I.371): a bucket is one number, the theoretical arrival time (TAT) at which it is full again. Taking units
 * moves it into the future; more than `burst` units ahead of now is refused. Nothing is refilled by anyone.
 *
 * Sources live in two tables of 16-byte entries, one for rates and one for counts: {fingerprint, value}, both halves changed by one 128-bit
 * compare-and-swap, so an entry can be taken back and given to another source at any moment without a lock. The fingerprint is 63 bits of
 * SipHash-1-3 over slot, prefix and address under a secret of this table: nobody outside can aim at a bucket or at another source's entry.
 * A source has eight possible places in two cache lines. Created by the control thread, used by every worker.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "dataplane/limit.h"

#include <errno.h>
#include <rte_atomic.h>
#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_pause.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "dataplane/siphash.h"
#include "dataplane/verdict.h"

#define SOURCES_MAX (1u << 28)

/*
 * A TAT counts 1/256 ns and wraps: times are compared by signed difference. At 100 Gbit/s the rounding of a 64-byte frame is below 0.04 %.
 * TAT_FULL is a bucket that was never used.
 */
#define TAT_SECOND ((uint64_t)1000 * 1000 * 1000 << 8)
#define TAT_FULL   0
/* Longest time from empty to full, 104 days: a larger burst is cut to what the rate gives in it. A TAT further ahead is one that wrapped.
 */
#define TAT_SPAN_MAX ((uint64_t)1 << 61)
/* Workers' clocks differ by less than this; a TAT further ahead than the burst allows is from before a reload lowered the burst. */
#define TAT_SKEW TAT_SECOND

/* Compare-and-swaps that lose before the packet is refused: each loss is another worker's progress on the same source. */
#define TRIES 256
/* A count must not be lost, so giving back tries longer; no number of workers makes this many steps between two of one. */
#define TRIES_RELEASE (1u << 20)

#define LINE_ENTRIES 4
#define PLACES       8 /* of one source: two lines */

/* In a fingerprint: its entry is being inserted, and nobody but other inserters of the same source may look at it. */
#define TENTATIVE 1u

struct entries {
	rte_int128_t *v; /* val[0]: fingerprint, 0: free; val[1]: TAT or count */
	uint32_t mask;   /* lines - 1 */
	size_t bytes;
};

struct sp_limit_table {
	struct entries rates, counts;
	uint64_t secret[2];
};

/* --- the bucket -------------------------------------------------------------------------------------------------------------- */

struct gcra {
	uint64_t now, cost, span; /* in TAT units; span: empty to full */
};

/* Time in which the limit's rate gives `units`, rounded to nearest, at most TAT_SPAN_MAX. */
static uint64_t duration(uint64_t units, const struct sp_limit *limit)
{
	uint64_t period = TAT_SECOND * (limit->period_sec > 1 ? limit->period_sec : 1), rate = limit->rate;
	unsigned __int128 t;

	if (units < UINT64_MAX / period / 2 && rate < UINT64_MAX / 2)
		t = (units * period + rate / 2) / rate;
	else
		t = ((unsigned __int128)units * period + rate / 2) / rate;
	return t > TAT_SPAN_MAX ? TAT_SPAN_MAX : (uint64_t)t;
}

/* Whether the bucket gives the cost. *next is what it becomes; refused, it differs from `tat` only when that was beyond reason. */
static bool gcra_take(const struct gcra *g, uint64_t tat, uint64_t *next)
{
	int64_t ahead = (int64_t)(tat - g->now);
	bool admit;

	*next = tat;
	if (tat == TAT_FULL || ahead <= 0 || (uint64_t)ahead > TAT_SPAN_MAX + TAT_SKEW) {
		ahead = 0;
	} else if ((uint64_t)ahead > g->span + TAT_SKEW) {
		ahead = (int64_t)g->span;
		*next = g->now + g->span;
	}
	admit = (uint64_t)ahead + g->cost <= g->span;
	if (admit)
		*next = g->now + (uint64_t)ahead + g->cost;
	if (*next == TAT_FULL && tat != TAT_FULL)
		*next = TAT_FULL + 1;
	return admit;
}

static uint8_t take_shared(uint64_t *bucket, const struct gcra *g)
{
	uint64_t tat = __atomic_load_n(bucket, __ATOMIC_RELAXED), next;

	for (unsigned int i = 0; i < TRIES; i++) {
		bool admit = gcra_take(g, tat, &next);

		if (next == tat || __atomic_compare_exchange_n(bucket, &tat, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return admit ? SP_DROP_NONE : SP_DROP_LIMIT;
		rte_pause();
	}
	return SP_DROP_LIMIT;
}

/* --- fingerprints ------------------------------------------------------------------------------------------------------------ */

/* The source of a rule: its address cut to the prefix. Never 0, TENTATIVE never set. */
static uint64_t fingerprint(
	const struct sp_limit_table *table, uint32_t slot, const struct sp_addr *src, unsigned int bits4, unsigned int bits6)
{
	unsigned int bits = src->family == SP_FAMILY_IPV4 ? RTE_MIN(bits4, 32u) : RTE_MIN(bits6, 128u);
	uint8_t masked[16] = {0};
	uint64_t words[3], hash;

	memcpy(masked, src->b, bits / 8);
	if (bits % 8 != 0)
		masked[bits / 8] = src->b[bits / 8] & (uint8_t)(0xff00 >> bits % 8);
	memcpy(words, masked, sizeof(masked));
	words[2] = slot | (uint64_t)src->family << 32 | (uint64_t)bits << 40;
	hash = sp_siphash_rounds(table->secret, words, RTE_DIM(words), 1, 3) & ~(uint64_t)TENTATIVE;
	return hash != 0 ? hash : TENTATIVE << 1;
}

/* --- entries ----------------------------------------------------------------------------------------------------------------- */

static int entries_init(struct entries *entries, uint32_t sources)
{
	/* Four times the room: with the emptier of two lines to go to, one of 10^9 sources or so finds both lines full. */
	size_t n = (size_t)rte_align32pow2(sources) * 4;

	n = RTE_MAX(n, (size_t)2 * LINE_ENTRIES);
	entries->bytes = n * sizeof(*entries->v);
	entries->mask = (uint32_t)(n / LINE_ENTRIES - 1);
	entries->v = mmap(NULL, entries->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (entries->v == MAP_FAILED) {
		entries->v = NULL;
		return -ENOMEM;
	}
	/* Sources are spread at random: with large pages a look-up costs half. Where there are none it stays as it is. */
	(void)madvise(entries->v, entries->bytes, MADV_HUGEPAGE);
	return 0;
}

/* The k-th place of a source; all eight are different. */
static rte_int128_t *place(const struct entries *entries, uint64_t print, unsigned int k)
{
	uint32_t line = (uint32_t)(print >> 8) & entries->mask, other = (uint32_t)(print >> 36) & entries->mask;

	if (k < LINE_ENTRIES)
		return &entries->v[(size_t)line * LINE_ENTRIES + k];
	if (other == line)
		other ^= 1;
	return &entries->v[(size_t)other * LINE_ENTRIES + k - LINE_ENTRIES];
}

static inline uint64_t load(const rte_int128_t *entry, unsigned int half)
{
	return __atomic_load_n(&entry->val[half], __ATOMIC_ACQUIRE);
}

/* Changes both halves when both are as expected. A full barrier. */
static bool swap(rte_int128_t *entry, uint64_t print, uint64_t value, uint64_t new_print, uint64_t new_value)
{
	rte_int128_t expected = {.val = {print, value}}, wanted = {.val = {new_print, new_value}};

	return rte_atomic128_cmp_exchange(entry, &expected, &wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) != 0;
}

static rte_int128_t *find(const struct entries *entries, uint64_t print)
{
	for (unsigned int k = 0; k < PLACES; k++) {
		rte_int128_t *entry = place(entries, print, k);

		if (load(entry, 0) == print)
			return entry;
	}
	return NULL;
}

/* Whether an entry says nothing any more: a full bucket, a count of zero. */
static bool reusable(const struct sp_limit_table *table, const struct entries *entries, uint64_t print, uint64_t value, uint64_t now)
{
	int64_t ahead;

	if (print == 0)
		return true;
	if (print & TENTATIVE)
		return false;
	if (entries == &table->counts)
		return value == 0;
	ahead = (int64_t)(value - now);
	return ahead <= 0 || (uint64_t)ahead > TAT_SPAN_MAX + TAT_SKEW;
}

/* Claims a reusable place in the emptier line; its number, or -1: there is none, or -2: it was lost to somebody else. */
static int claim(struct sp_limit_table *table, struct entries *entries, uint64_t print, uint64_t value, uint64_t now)
{
	uint64_t was[PLACES][2];
	unsigned int room[2] = {0, 0};
	int first[2] = {-1, -1}, k;

	for (k = PLACES - 1; k >= 0; k--) {
		const rte_int128_t *entry = place(entries, print, (unsigned int)k);

		was[k][0] = load(entry, 0);
		was[k][1] = load(entry, 1);
		if (reusable(table, entries, was[k][0], was[k][1], now)) {
			first[k / LINE_ENTRIES] = k;
			room[k / LINE_ENTRIES]++;
		}
	}
	k = first[room[1] > room[0]];
	if (k < 0)
		return -1;
	return swap(place(entries, print, (unsigned int)k), was[k][0], was[k][1], print | TENTATIVE, value) ? k : -2;
}

enum inserted { INSERTED, LOST, NO_ROOM };

/*
 * Inserts a source with its first value. Two workers may try at once in different places; one entry must remain, because two would admit
 * twice. So an entry is tentative until its inserter has seen that no other place has the source: of two tentative ones the lower place
 * goes on and removes the other, and a settled one always wins (Purcell and Harris, Non-blocking hashtables with open addressing, 2005).
 */
static enum inserted insert(struct sp_limit_table *table, struct entries *entries, uint64_t print, uint64_t value, uint64_t now)
{
	const uint64_t tentative = print | TENTATIVE;
	int mine = claim(table, entries, print, value, now);
	rte_int128_t *entry;

	if (mine < 0)
		return mine == -1 ? NO_ROOM : LOST;
	entry = place(entries, print, (unsigned int)mine);
	for (int k = 0; k < PLACES; k++) {
		rte_int128_t *rival = place(entries, print, (unsigned int)k);
		uint64_t seen = load(rival, 0);

		if (k == mine || (seen | TENTATIVE) != tentative)
			continue;
		if (seen == tentative && k > mine && swap(rival, tentative, load(rival, 1), 0, 0))
			continue;
		/* It is settled, goes before us, or changed this moment: the caller looks again. */
		(void)swap(entry, tentative, value, 0, 0);
		return LOST;
	}
	return swap(entry, tentative, value, print, value) ? INSERTED : LOST;
}

static uint8_t take_source(struct sp_limit_table *table, uint64_t print, const struct gcra *g)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		rte_int128_t *entry = find(&table->rates, print);
		uint64_t tat = entry ? load(entry, 1) : TAT_FULL, next;
		bool admit = gcra_take(g, tat, &next);

		if (!entry) {
			enum inserted inserted;

			if (!admit)
				return SP_DROP_LIMIT;
			inserted = insert(table, &table->rates, print, next, g->now);
			if (inserted != LOST)
				return inserted == INSERTED ? SP_DROP_NONE : SP_DROP_TABLE_LIMITS_FULL;
		} else if (next == tat ? load(entry, 0) == print : swap(entry, print, tat, print, next)) {
			return admit ? SP_DROP_NONE : SP_DROP_LIMIT;
		}
		rte_pause();
	}
	return SP_DROP_LIMIT;
}

/* --- what others call -------------------------------------------------------------------------------------------------------- */

struct sp_limit_table *sp_limit_table_create(uint32_t sources)
{
	struct sp_limit_table *table;

	if (sources == 0 || sources > SOURCES_MAX) {
		errno = EINVAL;
		return NULL;
	}
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	if (getrandom(table->secret, sizeof(table->secret), 0) != (ssize_t)sizeof(table->secret)) {
		free(table);
		return NULL;
	}
	if (entries_init(&table->rates, sources) != 0 || entries_init(&table->counts, sources) != 0) {
		sp_limit_table_free(table);
		errno = ENOMEM;
		return NULL;
	}
	return table;
}

void sp_limit_table_free(struct sp_limit_table *table)
{
	if (!table)
		return;
	if (table->counts.v)
		munmap(table->counts.v, table->counts.bytes);
	if (table->rates.v)
		munmap(table->rates.v, table->rates.bytes);
	free(table);
}

uint8_t sp_limit_take(struct sp_limit_table *table, struct sp_rule_shared *shared, uint32_t slot, const struct sp_limit *limit,
	const struct sp_addr *src, uint64_t units, uint64_t now_ns)
{
	struct gcra g;

	if (limit->rate == 0)
		return SP_DROP_LIMIT;
	g.now = now_ns << 8;
	g.cost = duration(units, limit);
	g.span = duration(limit->burst, limit);
	if (!limit->per_src)
		return take_shared(&shared->limit_tat, &g);
	return take_source(table, fingerprint(table, slot, src, limit->src_bits4, limit->src_bits6), &g);
}

uint8_t sp_source_acquire(struct sp_limit_table *table, uint32_t slot, const struct sp_addr *src, uint32_t max)
{
	uint64_t print = fingerprint(table, slot, src, 32, 64);

	if (max == 0)
		return SP_DROP_LIMIT;
	for (unsigned int i = 0; i < TRIES; i++) {
		rte_int128_t *entry = find(&table->counts, print);

		if (!entry) {
			enum inserted inserted = insert(table, &table->counts, print, 1, 0);

			if (inserted != LOST)
				return inserted == INSERTED ? SP_DROP_NONE : SP_DROP_TABLE_LIMITS_FULL;
		} else {
			uint64_t count = load(entry, 1);

			if (count >= max ? load(entry, 0) == print : swap(entry, print, count, print, count + 1))
				return count >= max ? SP_DROP_LIMIT : SP_DROP_NONE;
		}
		rte_pause();
	}
	return SP_DROP_LIMIT;
}

void sp_source_release(struct sp_limit_table *table, uint32_t slot, const struct sp_addr *src)
{
	uint64_t print = fingerprint(table, slot, src, 32, 64);

	for (unsigned int i = 0; i < TRIES_RELEASE; i++) {
		rte_int128_t *entry = find(&table->counts, print);
		uint64_t count = entry ? load(entry, 1) : 0;

		if (count != 0 && swap(entry, print, count, print, count - 1))
			return;
		rte_pause();
	}
}
