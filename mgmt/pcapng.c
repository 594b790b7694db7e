/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/pcapng.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET    6u
#define BYTE_ORDER_MARK 0x1a2b3c4du
#define LINK_ETHERNET   1u

/* Codes of options. */
#define OPTION_END      0
#define OPTION_COMMENT  1
#define SHB_APPLICATION 4
#define IF_NAME         2
#define IF_TSRESOL      9
#define IF_FILTER       11
#define EPB_FLAGS       2

#define FILTER_PCAP 0 /* first byte of if_filter: what follows is a pcap-filter expression */
#define TSRESOL_NS  9

struct block {
	uint8_t *out;
	size_t room, n;
	bool full;
};

static void put(struct block *block, const void *bytes, size_t n)
{
	if (block->full || n > block->room - block->n) {
		block->full = true;
		return;
	}
	if (n > 0)
		memcpy(block->out + block->n, bytes, n);
	block->n += n;
}

static void put16(struct block *block, uint16_t value)
{
	put(block, &value, sizeof(value));
}

static void put32(struct block *block, uint32_t value)
{
	put(block, &value, sizeof(value));
}

static void pad(struct block *block)
{
	static const uint8_t zero[4];

	put(block, zero, -block->n & 3);
}

static struct block begin(uint8_t *out, size_t room, uint32_t type)
{
	struct block block = {.out = out, .room = room};

	put32(&block, type);
	put32(&block, 0); /* the length, which end() knows */
	return block;
}

/* Every block says its length at both ends. */
static size_t end(struct block *block)
{
	uint32_t length = (uint32_t)block->n + sizeof(length);

	put32(block, length);
	if (block->full)
		return 0;
	memcpy(block->out + 4, &length, sizeof(length));
	return length;
}

static void put_option(struct block *block, uint16_t code, const void *value, uint16_t n)
{
	put16(block, code);
	put16(block, n);
	put(block, value, n);
	pad(block);
}

/* Length of the text, or of as much of it as `max` bytes hold without cutting a UTF-8 sequence in two. */
static uint16_t text_length(const char *text, uint16_t max)
{
	size_t n = strnlen(text, (size_t)max + 1);

	if (n <= max)
		return (uint16_t)n;
	n = max;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return (uint16_t)n;
}

static void put_text(struct block *block, uint16_t code, const char *text)
{
	if (text != NULL && text[0] != '\0')
		put_option(block, code, text, text_length(text, SP_PCAPNG_COMMENT_MAX));
}

size_t sp_pcapng_section(uint8_t *out, size_t room)
{
	static const uint8_t unknown_length[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct block block = begin(out, room, BLOCK_SECTION);

	put32(&block, BYTE_ORDER_MARK);
	put16(&block, 1); /* version 1.0 */
	put16(&block, 0);
	put(&block, unknown_length, sizeof(unknown_length));
	put_text(&block, SHB_APPLICATION, "sallyport " SP_VERSION);
	put32(&block, OPTION_END);
	return end(&block);
}

size_t sp_pcapng_interface(uint8_t *out, size_t room, const char *name, uint32_t snaplen, const char *filter)
{
	static const uint8_t resolution = TSRESOL_NS;
	struct block block = begin(out, room, BLOCK_INTERFACE);

	put16(&block, LINK_ETHERNET);
	put16(&block, 0);
	put32(&block, snaplen);
	put_text(&block, IF_NAME, name);
	put_option(&block, IF_TSRESOL, &resolution, sizeof(resolution));
	if (filter != NULL && filter[0] != '\0') {
		uint8_t value[1 + SP_PCAPNG_COMMENT_MAX] = {FILTER_PCAP};
		uint16_t n = text_length(filter, SP_PCAPNG_COMMENT_MAX);

		memcpy(value + 1, filter, n);
		put_option(&block, IF_FILTER, value, (uint16_t)(n + 1));
	}
	put32(&block, OPTION_END);
	return end(&block);
}

size_t sp_pcapng_packet(uint8_t *out, size_t room, const struct sp_pcapng_packet *packet)
{
	struct block block = begin(out, room, BLOCK_PACKET);
	uint32_t flags = packet->direction;

	put32(&block, packet->interface);
	put32(&block, (uint32_t)(packet->time_ns >> 32));
	put32(&block, (uint32_t)packet->time_ns);
	put32(&block, packet->captured);
	put32(&block, packet->length);
	put(&block, packet->data, packet->captured);
	pad(&block);
	put_option(&block, EPB_FLAGS, &flags, sizeof(flags));
	put_text(&block, OPTION_COMMENT, packet->comment);
	put32(&block, OPTION_END);
	return end(&block);
}
