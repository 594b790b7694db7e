/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/fields.h"
#include "rules/file.h"

#define NESTING_MAX     64         /* sets within sets */
#define RANGES_MAX      (1u << 22) /* ranges read and copied for all sets of a policy: bounds doubling by nested sets */
#define FILE_LINES_MAX  1000000
#define FILE_FAULTS_MAX 16 /* messages about one list file */
#define PORT_WORDS      (65536 / 64)
#define SHOWN_MAX       80

enum progress { NEW, BUSY, DONE, FAILED };

/* Finds a set by its name: open addressing, at most half full; slot is index + 1. In the arena. */
struct sets_index {
	size_t mask;
	uint32_t slots[];
};

/* What a set's members add up to while they are read: [0] is put in, [1] taken out. */
struct build {
	struct sp_addrset addrs[2];
	uint64_t *ports[2]; /* bit maps of PORT_WORDS, NULL until a port comes */
	bool typed;         /* kind is known */
	bool has_plus;
	unsigned int depth;
};

struct resolver {
	struct sp_policy *policy;
	const struct sp_set_source *sources;
	const struct sp_read_options *options;
	struct sp_diags *diags;
	uint8_t *progress;
	size_t ranges;
};

/* One member, as it stands, for messages. */
struct member {
	const char *text;
	size_t len;
	const char *file;
	int line;
	bool minus;
	bool hidden; /* stands in a file that whoever sent the rules may not read: no message shows it */
};

static int resolve_set(struct resolver *r, size_t index, unsigned int depth);

static size_t hash_name(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 32));
}

const struct sp_set *sp_set_find(const struct sp_policy *policy, const char *name, size_t len)
{
	const struct sets_index *index = policy->sets_index;

	if (!index)
		return NULL;
	for (size_t at = hash_name(name, len) & index->mask; index->slots[at]; at = (at + 1) & index->mask) {
		const struct sp_set *set = &policy->sets[index->slots[at] - 1];

		if (strlen(set->name) == len && memcmp(set->name, name, len) == 0)
			return set;
	}
	return NULL;
}

static int index_sets(struct resolver *r, size_t n)
{
	struct sp_policy *policy = r->policy;
	struct sets_index *index;
	size_t slots = 4;
	int rc = 0;

	while (slots < n * 2)
		slots *= 2;
	index = sp_policy_alloc(policy, sizeof(*index) + slots * sizeof(index->slots[0]));
	policy->sets = sp_policy_alloc(policy, n * sizeof(*policy->sets));
	if (!index || !policy->sets)
		return -ENOMEM;
	index->mask = slots - 1;
	policy->sets_index = index;
	for (size_t i = 0; i < n; i++) {
		const struct sp_set_source *source = &r->sources[i];
		size_t len = strlen(source->name);
		size_t at = hash_name(source->name, len) & index->mask;

		if (sp_set_find(policy, source->name, len)) {
			sp_diag_error(r->diags, source->file, source->line, "set '%s' is defined twice", source->name);
			rc = -EINVAL;
		}
		while (index->slots[at])
			at = (at + 1) & index->mask;
		index->slots[at] = (uint32_t)i + 1;
		policy->sets[i].name = sp_policy_strndup(policy, source->name, len);
		if (!policy->sets[i].name)
			return -ENOMEM;
		policy->sets[i].line = source->line;
		policy->n_sets = i + 1;
	}
	return rc;
}

static int shown(size_t len)
{
	return len > SHOWN_MAX ? SHOWN_MAX : (int)len;
}

#define member_error(r, m, set, fmt, ...)                                                                                        \
	sp_diag_error((r)->diags, (m)->file, (m)->line, "set '%s': '%.*s' " fmt, (set)->name, shown((m)->hidden ? 3 : (m)->len), \
		(m)->hidden ? "..." : (m)->text, ##__VA_ARGS__)

static const char *kind_name(int kind)
{
	return kind == SP_SET_ADDRESSES ? "addresses" : kind == SP_SET_PORTS ? "ports" : "names";
}

/* The first member tells what the set holds; the others must agree. */
static int check_kind(struct resolver *r, struct build *b, struct sp_set *set, const struct member *m, int kind)
{
	if (!b->typed) {
		set->kind = kind;
		b->typed = true;
	}
	if ((int)set->kind != kind) {
		member_error(r, m, set, "is of %s, but the set holds %s: a set holds one kind", kind_name(kind), kind_name(set->kind));
		return -EINVAL;
	}
	return 0;
}

static int count_ranges(struct resolver *r, const struct sp_set *set, const struct member *m, size_t n)
{
	if (n > RANGES_MAX - r->ranges) {
		member_error(r, m, set, "makes the sets too large: at most %u ranges in all of them together", RANGES_MAX);
		return -EINVAL;
	}
	r->ranges += n;
	return 0;
}

static int add_ports(struct build *b, bool minus, unsigned int lo, unsigned int hi)
{
	uint64_t **map = &b->ports[minus];

	if (!*map)
		*map = calloc(PORT_WORDS, sizeof(**map));
	if (!*map)
		return -ENOMEM;
	for (unsigned int word = lo / 64; word <= hi / 64; word++) {
		uint64_t bits = UINT64_MAX;

		if (word == lo / 64)
			bits &= UINT64_MAX << (lo % 64);
		if (word == hi / 64)
			bits &= UINT64_MAX >> (63 - hi % 64);
		(*map)[word] |= bits;
	}
	return 0;
}

static int add_reference(struct resolver *r, struct build *b, struct sp_set *set, const struct member *m)
{
	const struct sp_set *other = sp_set_find(r->policy, m->text + 1, m->len - 1);
	size_t index;
	int rc;

	if (!other) {
		member_error(r, m, set, "names no set of this file");
		return -EINVAL;
	}
	index = (size_t)(other - r->policy->sets);
	if (r->progress[index] == BUSY) {
		member_error(r, m, set, "contains the set itself: sets cannot form a cycle");
		return -EINVAL;
	}
	if (b->depth >= NESTING_MAX) {
		member_error(r, m, set, "is nested more than %d sets deep", NESTING_MAX);
		return -EINVAL;
	}
	rc = resolve_set(r, index, b->depth + 1);
	if (!rc)
		rc = check_kind(r, b, set, m, other->kind);
	if (!rc)
		rc = count_ranges(r, set, m, other->addrs.n + other->ports.n);
	for (size_t i = 0; !rc && i < other->addrs.n; i++)
		rc = sp_addrset_add(&b->addrs[m->minus], &other->addrs.v[i]);
	for (size_t i = 0; !rc && i < other->ports.n; i++)
		rc = add_ports(b, m->minus, other->ports.v[i].lo, other->ports.v[i].hi);
	return rc;
}

static int add_address(struct resolver *r, struct build *b, struct sp_set *set, const struct member *m)
{
	struct sp_addr_range range;
	const char *why;
	int rc;

	if (sp_addr_range_parse(m->text, m->len, &range, &why)) {
		member_error(r, m, set, "is no address%s%s", m->hidden ? "" : ": ", m->hidden ? "" : why);
		return -EINVAL;
	}
	rc = check_kind(r, b, set, m, SP_SET_ADDRESSES);
	if (!rc)
		rc = count_ranges(r, set, m, 1);
	return rc ? rc : sp_addrset_add(&b->addrs[m->minus], &range);
}

/* "443", "https" or "8000-8100". */
static bool parse_ports(const char *text, size_t len, int *lo, int *hi)
{
	const char *dash = memchr(text, '-', len);

	*lo = sp_port_parse(text, len);
	*hi = *lo;
	if (*lo < 0 && dash) { /* a name may have a dash of its own: tried whole first */
		*lo = sp_port_parse(text, (size_t)(dash - text));
		*hi = sp_port_parse(dash + 1, len - (size_t)(dash - text) - 1);
	}
	return *lo >= 0 && *hi <= UINT16_MAX && *lo <= *hi;
}

static bool looks_like_port(const struct member *m)
{
	for (size_t i = 0; i < m->len; i++) {
		if ((m->text[i] < '0' || m->text[i] > '9') && m->text[i] != '-')
			return false;
	}
	return true;
}

static bool looks_like_name(const struct member *m)
{
	bool letter = false;

	for (size_t i = 0; i < m->len; i++) {
		char c = m->text[i];

		letter |= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
			    (c == '*' && i == 0)))
			return false;
	}
	return letter;
}

static int add_value(struct resolver *r, struct build *b, struct sp_set *set, const struct member *m)
{
	int lo, hi;
	int rc;

	if (parse_ports(m->text, m->len, &lo, &hi)) {
		rc = check_kind(r, b, set, m, SP_SET_PORTS);
		if (!rc)
			rc = count_ranges(r, set, m, 1);
		return rc ? rc : add_ports(b, m->minus, (unsigned int)lo, (unsigned int)hi);
	}
	if (looks_like_port(m)) {
		member_error(r, m, set, "is neither a port nor a range of ports: they run from 0 to 65535");
		return -EINVAL;
	}
	if (looks_like_name(m))
		return check_kind(r, b, set, m, SP_SET_NAMES);
	return add_address(r, b, set, m);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* One line of a list file: an address, prefix or range, perhaps a comment after #. */
static int add_file_line(struct resolver *r, struct build *b, struct sp_set *set, struct member *m)
{
	const char *hash = memchr(m->text, '#', m->len);

	if (hash)
		m->len = (size_t)(hash - m->text);
	while (m->len && is_blank(m->text[0])) {
		m->text++;
		m->len--;
	}
	while (m->len && is_blank(m->text[m->len - 1]))
		m->len--;
	return m->len ? add_address(r, b, set, m) : 0;
}

static int add_file_lines(
	struct resolver *r, struct build *b, struct sp_set *set, const char *file, const char *bytes, size_t size, bool minus)
{
	const char *p = bytes, *end = bytes + size;
	int faults = 0, rc = 0;

	for (int line = 1; p < end; line++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		struct member m = {.text = p, .file = file, .line = line, .minus = minus, .hidden = r->options->api_body};

		m.len = (size_t)((newline ? newline : end) - p);
		p = newline ? newline + 1 : end;
		if (line > FILE_LINES_MAX) {
			sp_diag_error(r->diags, file, line, "list of more than %d lines", FILE_LINES_MAX);
			return -EINVAL;
		}
		if (add_file_line(r, b, set, &m)) {
			rc = -EINVAL;
			if (++faults >= FILE_FAULTS_MAX)
				break;
		}
	}
	return rc;
}

static int add_file(struct resolver *r, struct build *b, struct sp_set *set, const struct member *m)
{
	const struct sp_read_options *options = r->options;
	char *folder, *from, *name, *shown_as = NULL, *path = NULL, *bytes = NULL;
	char why[SP_FILE_WHY_BYTES] = "out of memory";
	size_t size;
	int rc;

	rc = check_kind(r, b, set, m, SP_SET_ADDRESSES);
	if (rc)
		return rc;
	if (options->api_body && !options->folder) {
		member_error(r, m, set, "cannot be read here: write the addresses themselves");
		return -EINVAL;
	}
	from = options->api_body ? strdup(options->folder) : sp_file_folder(m->file ? m->file : "");
	folder = options->folder ? strdup(options->folder) : sp_file_folder(options->file ? options->file : "");
	name = strndup(m->text + 5, m->len - 5);
	if (from && folder && name) {
		shown_as = sp_file_join(from, name);
		path = sp_file_resolve(folder, from, name, why);
	}
	if (!shown_as || !path || sp_file_load(path, &bytes, &size, why)) {
		member_error(r, m, set, "cannot be read: %s", why);
		rc = -EINVAL;
	} else {
		rc = add_file_lines(r, b, set, shown_as, bytes, size, m->minus);
	}
	free(bytes);
	free(path);
	free(shown_as);
	free(name);
	free(folder);
	free(from);
	return rc;
}

static int add_member(struct resolver *r, struct build *b, struct sp_set *set, struct member *m)
{
	m->minus = m->len && m->text[0] == '!';
	if (m->minus) {
		m->text++;
		m->len--;
	}
	b->has_plus |= !m->minus;
	if (m->len == 0) {
		sp_diag_error(r->diags, m->file, m->line, "set '%s': empty member", set->name);
		return -EINVAL;
	}
	if (m->text[0] == '@')
		return add_reference(r, b, set, m);
	if (m->len > 5 && memcmp(m->text, "file:", 5) == 0)
		return add_file(r, b, set, m);
	return add_value(r, b, set, m);
}

/* The ranges of what is put in and not taken out; at most `room`, and one more than that when there are more. */
static size_t port_ranges(const struct build *b, struct sp_range *v, size_t room)
{
	bool inside = false;
	size_t n = 0;

	for (unsigned int word = 0; word < PORT_WORDS; word++) {
		uint64_t bits = b->ports[0] ? b->ports[0][word] : 0;

		if (b->ports[1])
			bits &= ~b->ports[1][word];
		if (bits == 0) {
			inside = false;
			continue;
		}
		for (unsigned int bit = 0; bit < 64; bit++) {
			bool in = (bits >> bit) & 1;

			if (in && !inside) {
				if (n == room)
					return room + 1;
				v[n++].lo = (uint16_t)(word * 64 + bit);
			}
			if (in)
				v[n - 1].hi = (uint16_t)(word * 64 + bit);
			inside = in;
		}
	}
	return n;
}

static int keep_ports(struct resolver *r, const struct sp_set_source *source, struct sp_set *set, const struct build *b)
{
	struct sp_range v[SP_RANGES_MAX];
	size_t n = port_ranges(b, v, SP_RANGES_MAX);

	if (n > SP_RANGES_MAX) {
		sp_diag_error(r->diags, source->file, source->line, "set '%s' has more than %d ranges of ports", set->name, SP_RANGES_MAX);
		return -EINVAL;
	}
	set->ports.v = sp_policy_alloc(r->policy, n * sizeof(*v));
	if (!set->ports.v)
		return -ENOMEM;
	memcpy(set->ports.v, v, n * sizeof(*v));
	set->ports.n = n;
	return 0;
}

static int keep_addresses(struct sp_policy *policy, struct sp_set *set, struct build *b)
{
	int rc;

	sp_addrset_normalize(&b->addrs[0]);
	sp_addrset_normalize(&b->addrs[1]);
	rc = sp_addrset_subtract(&b->addrs[0], &b->addrs[1]);
	if (rc)
		return rc;
	set->addrs = b->addrs[0];
	set->addrs.v = sp_policy_alloc(policy, b->addrs[0].n * sizeof(*set->addrs.v));
	if (!set->addrs.v) {
		memset(&set->addrs, 0, sizeof(set->addrs));
		return -ENOMEM;
	}
	if (b->addrs[0].n)
		memcpy(set->addrs.v, b->addrs[0].v, b->addrs[0].n * sizeof(*set->addrs.v));
	return 0;
}

static int finish_set(struct resolver *r, const struct sp_set_source *source, struct sp_set *set, struct build *b)
{
	int rc = 0;

	if (source->n == 0) {
		sp_diag_error(r->diags, source->file, source->line, "set '%s' is empty: name members, or a file: list, which may be empty",
			set->name);
		return -EINVAL;
	}
	if (!b->has_plus) {
		sp_diag_error(r->diags, source->file, source->line,
			"set '%s' only takes out: name first what to take it from, such as \"0.0.0.0/0\", \"::/0\" or \"0-65535\"",
			set->name);
		return -EINVAL;
	}
	if (set->kind == SP_SET_PORTS)
		rc = keep_ports(r, source, set, b);
	else if (set->kind == SP_SET_ADDRESSES)
		rc = keep_addresses(r->policy, set, b);
	return rc;
}

/* Depth first. -EINVAL with a diagnostic, which comes once for each set, however often it is named. */
static int resolve_set(struct resolver *r, size_t index, unsigned int depth)
{
	const struct sp_set_source *source = &r->sources[index];
	struct sp_set *set = &r->policy->sets[index];
	struct build b = {.depth = depth};
	int rc = 0;

	if (r->progress[index] != NEW)
		return r->progress[index] == DONE ? 0 : -EINVAL;
	r->progress[index] = BUSY;
	for (size_t i = 0; i < source->n; i++) {
		struct member m = {
			.text = source->members[i], .len = strlen(source->members[i]), .file = source->file, .line = source->lines[i]};
		int fault = add_member(r, &b, set, &m);

		rc = rc ? rc : fault;
	}
	if (!rc)
		rc = finish_set(r, source, set, &b);
	r->progress[index] = rc ? FAILED : DONE;
	for (int i = 0; i < 2; i++) {
		sp_addrset_free(&b.addrs[i]);
		free(b.ports[i]);
	}
	if (rc == -ENOMEM)
		sp_diag_error(r->diags, source->file, source->line, "set '%s': out of memory", source->name);
	return rc ? -EINVAL : 0;
}

int sp_sets_resolve(struct sp_policy *policy, const struct sp_set_source *sources, size_t n, const struct sp_read_options *options,
	struct sp_diags *diags)
{
	struct resolver r = {.policy = policy, .sources = sources, .options = options, .diags = diags};
	int rc;

	if (n == 0)
		return 0;
	r.progress = calloc(n, 1);
	rc = r.progress ? index_sets(&r, n) : -ENOMEM;
	if (rc == -ENOMEM)
		sp_diag_error(diags, options->file, 0, "out of memory");
	for (size_t i = 0; rc != -ENOMEM && i < n; i++) {
		if (resolve_set(&r, i, 0))
			rc = -EINVAL;
	}
	free(r.progress);
	return rc ? -EINVAL : 0;
}
