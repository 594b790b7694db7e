/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/policy.h"

#include <ctype.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/*
 * The arena: a list of zeroed chunks. Structs grow from a chunk's front, strings from its back, so strings need no padding.
 * Nothing is freed alone. Under ASan each allocation is a chunk of its own, so that a read past its end is seen.
 */
#ifdef SP_ASAN
#define CHUNK_BYTES_MIN 0u
#define CHUNK_BYTES_MAX 0u
#else
#define CHUNK_BYTES_MIN (16u << 10)
#define CHUNK_BYTES_MAX (1u << 20)
#endif

struct chunk {
	struct chunk *next;
	size_t front, back; /* bytes[front..back) is free */
	alignas(max_align_t) char bytes[];
};

const char *const sp_field_names[SP_FIELD_COUNT] = {
#define X(e, n) [SP_FIELD_##e] = n,
	SP_FIELDS(X)
#undef X
};

int sp_field_by_name(const char *name, size_t len)
{
	for (int i = 0; i < SP_FIELD_COUNT; i++) {
		if (strlen(sp_field_names[i]) == len && memcmp(sp_field_names[i], name, len) == 0)
			return i;
	}
	return -1;
}

/* A chunk with `size` free bytes, at the list's head unless a large block would waste the room left in the present head. */
static struct chunk *chunk_with(struct sp_policy *policy, size_t size)
{
	struct chunk *head = policy->arena;
	struct chunk *chunk;
	size_t bytes;

	if (head && head->back - head->front >= size)
		return head;
	if (size > SIZE_MAX / 2)
		return NULL;
	bytes = head ? CHUNK_BYTES_MAX : CHUNK_BYTES_MIN;
	bytes = size > bytes ? size : bytes;
	chunk = calloc(1, sizeof(*chunk) + bytes);
	if (!chunk)
		return NULL;
	chunk->back = bytes;
	if (head && bytes == size) {
		chunk->next = head->next;
		head->next = chunk;
	} else {
		chunk->next = head;
		policy->arena = chunk;
	}
	return chunk;
}

void *sp_policy_alloc(struct sp_policy *policy, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct chunk *chunk;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = size ? size : 1;
#ifndef SP_ASAN
	size = (size + align - 1) & ~(align - 1);
#else
	(void)align;
#endif
	chunk = chunk_with(policy, size);
	if (!chunk)
		return NULL;
	p = chunk->bytes + chunk->front;
	chunk->front += size;
	return p;
}

char *sp_policy_strndup(struct sp_policy *policy, const char *s, size_t len)
{
	struct chunk *chunk;
	char *p;

	if (len > SIZE_MAX / 4)
		return NULL;
	chunk = chunk_with(policy, len + 1);
	if (!chunk)
		return NULL;
	chunk->back -= len + 1;
	p = chunk->bytes + chunk->back;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

struct sp_policy *sp_policy_new(void)
{
	struct sp_policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		errno = ENOMEM;
	return policy;
}

void sp_policy_free(struct sp_policy *policy)
{
	struct chunk *chunk, *next;

	if (!policy)
		return;
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (policy->rules[i].residual.bpf)
			pcap_freecode(policy->rules[i].residual.bpf);
	}
	for (chunk = policy->arena; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(policy);
}

static bool zone_name_valid(const char *name, size_t len)
{
	if (len == 0 || len >= sizeof(((struct sp_zones *)0)->name[0]))
		return false;
	if (!isalpha((unsigned char)name[0]) && name[0] != '_')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
			return false;
	}
	return sp_field_by_name(name, len) < 0;
}

int sp_zone_index(struct sp_zones *zones, const char *name, size_t len)
{
	if (!zone_name_valid(name, len))
		return -EINVAL;
	for (unsigned int i = 0; i < zones->n; i++) {
		if (strlen(zones->name[i]) == len && memcmp(zones->name[i], name, len) == 0)
			return (int)i;
	}
	if (zones->closed)
		return -ENOENT;
	if (zones->n >= SP_ZONES_MAX)
		return -ENOSPC;
	memcpy(zones->name[zones->n], name, len);
	zones->name[zones->n][len] = '\0';
	return (int)zones->n++;
}
