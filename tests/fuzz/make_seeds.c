/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the seeds of fuzz_parse, fuzz_packet and fuzz_route into folders of these names: make_seeds FOLDER. They come from the frames of
 * the unit tests, so that a protocol added there is fuzzed here.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/support/frames.h"

/* First byte of fuzz_parse. */
#define PARSE_CHECKSUM_OFF 2
#define PARSE_FIT          0x80 /* the length in the IP header follows the frame's */

/* Control bits of fuzz_packet, and of fuzz_route from the second record on. */
#define TURN         0x20 /* the worker turns behind this frame */
#define CHECKSUM_OFF 0x80 /* in the first record, so that damage is not caught by the IPv4 header checksum */

#define FROM_LINUX      0x40
#define NEIGHBOURS_LOST 0x81
#define NEIGHBOURS      0x80

struct seed {
	size_t len;
	uint8_t bytes[65536];
};

static void add(struct seed *seed, const void *bytes, size_t len)
{
	if (seed->len + len > sizeof(seed->bytes))
		return;
	memcpy(seed->bytes + seed->len, bytes, len);
	seed->len += len;
}

static void add_record(struct seed *seed, const struct sp_frame *frame, uint8_t control)
{
	const uint8_t header[4] = {control, 1, (uint8_t)frame->len, (uint8_t)(frame->len >> 8)};

	add(seed, header, sizeof(header));
	add(seed, frame->bytes, frame->len);
}

static int save(const char *folder, const char *target, const char *name, const struct seed *seed)
{
	char path[PATH_MAX];
	FILE *file;
	int rc;

	snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	for (char *p = path + strlen(folder); *p != '\0'; p++)
		if (*p == ' ')
			*p = '-';
	file = fopen(path, "wb");
	if (file == NULL)
		return -errno;
	rc = fwrite(seed->bytes, 1, seed->len, file) == seed->len ? 0 : -EIO;
	return fclose(file) == 0 ? rc : -EIO;
}

/* For both targets of the packet path. */
static int save_packets(const char *folder, const char *name, const struct seed *seed)
{
	int rc = save(folder, "fuzz_packet", name, seed);

	return rc != 0 ? rc : save(folder, "fuzz_route", name, seed);
}

/* A session as it goes: to port 0 from inside, to port 1 back. */
static void add_session(struct seed *seed, uint8_t family, const char *payload)
{
	static const struct {
		uint8_t flags;
		bool back, data;
	} steps[] = {{0x02, false, false}, {0x12, true, false}, {0x10, false, false}, {0x18, false, true}, {0x18, true, true},
		{0x11, false, false}, {0x11, true, false}, {0x10, false, false}};

	uint32_t sent[2] = {1000, 2000};

	for (size_t i = 0; i < RTE_DIM(steps); i++) {
		struct sp_frame_spec spec = {.family = family, .tcp_flags = steps[i].flags, .seq = sent[steps[i].back]};
		struct sp_frame frame;

		if (steps[i].flags & 0x10)
			spec.ack = sent[!steps[i].back];
		sent[steps[i].back] += (steps[i].data ? (uint32_t)strlen(payload) : 0) + (steps[i].flags & 3 ? 1 : 0);
		if (steps[i].back) {
			spec.src = family == 6 ? "2001:db8:2::2" : "198.51.100.2";
			spec.dst = family == 6 ? "2001:db8:1::1" : "192.0.2.1";
			spec.sport = 443;
			spec.dport = 40000;
		}
		if (steps[i].data) {
			spec.payload = payload;
			spec.payload_len = strlen(payload);
		}
		sp_frame_build(&frame, &spec);
		add_record(seed, &frame, (uint8_t)(TURN | steps[i].back));
	}
}

/* A datagram in pieces, with one more: `extra` bytes from `at`, which repeat or overlap others; from behind when `backward`. */
static void add_fragments(struct seed *seed, uint8_t family, size_t at, size_t extra, bool backward)
{
	struct sp_frame_spec spec = {.family = family, .proto = IPPROTO_UDP, .dport = 53, .payload_len = 100};
	struct sp_frame whole, fragment;

	sp_frame_build(&whole, &spec);
	for (size_t i = 0; i < 4; i++) {
		size_t from = (backward ? 3 - i : i) * 32;

		sp_frame_cut(&fragment, &whole, 7, from, RTE_MIN((size_t)32, sp_frame_ip_payload(&whole) - from), false);
		add_record(seed, &fragment, i == 1 ? TURN : 0);
		if (i == 1 && extra > 0) {
			sp_frame_cut(&fragment, &whole, 7, at, extra, false);
			add_record(seed, &fragment, 0);
		}
	}
}

/* An SCTP association from INIT to SHUTDOWN COMPLETE, and an ICMP error about each of its packets. */
static void add_association(struct seed *seed, uint8_t family)
{
	static const struct {
		bool back;
		uint8_t tag;
		uint8_t chunk[32];
		size_t len;
	} steps[] = {
		{false, 0, {1, 0, 0, 20, 0, 0, 0, 0xa, 0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1}, 20},
		{true, 0xa, {2, 0, 0, 20, 0, 0, 0, 0xb, 0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1}, 20},
		{false, 0xb, {10, 0, 0, 8, 1, 2, 3, 4}, 8},
		{true, 0xa, {11, 0, 0, 4}, 4},
		{false, 0xb, {0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'x'}, 20},
		{true, 0xa, {3, 0, 0, 16, 0, 0, 0, 1, 0, 1}, 16},
		{false, 0xb, {7, 0, 0, 8, 0, 0, 0, 1}, 8},
		{true, 0xa, {8, 0, 0, 4}, 4},
		{false, 0xb, {14, 0, 0, 4}, 4},
	};

	for (size_t i = 0; i < RTE_DIM(steps); i++) {
		struct sp_frame_spec spec = {
			.family = family, .proto = IPPROTO_SCTP, .payload = steps[i].chunk, .payload_len = steps[i].len};
		struct sp_frame frame, error;

		if (steps[i].back) {
			spec.src = family == 6 ? "2001:db8:2::2" : "198.51.100.2";
			spec.dst = family == 6 ? "2001:db8:1::1" : "192.0.2.1";
			spec.sport = 443;
			spec.dport = 40000;
		}
		sp_frame_build(&frame, &spec);
		memcpy(&frame.bytes[frame.l4 + 4], (const uint8_t[]){0, 0, 0, steps[i].tag}, 4);
		sp_frame_checksums(&frame);
		add_record(seed, &frame, (uint8_t)(TURN | steps[i].back));
		sp_frame_build_error(&error, &frame, family == 6 ? 1 : 3, 0, 64);
		add_record(seed, &error, (uint8_t)(TURN | !steps[i].back));
	}
}

/* What only a router does: no hop left, no route, too long, to itself, from Linux and back, a neighbour that comes and goes. */
static void add_routed(struct seed *seed, uint8_t family)
{
	const bool v6 = family == 6;
	const char *self = v6 ? "2001:db8:1::fe" : "192.0.2.254", *host = v6 ? "2001:db8:1::1" : "192.0.2.1";
	const struct {
		struct sp_frame_spec spec;
		uint8_t control;
	} steps[] = {
		{{.proto = IPPROTO_UDP}, TURN},
		{{.proto = IPPROTO_UDP, .ttl = 1}, TURN},
		{{.proto = IPPROTO_UDP, .dst = v6 ? "2001:db8:99::1" : "10.9.9.9"}, TURN},
		{{.proto = IPPROTO_UDP, .payload_len = 1400}, TURN},
		{{.proto = IPPROTO_UDP, .dst = v6 ? "2001:db8:2::77" : "198.51.100.77"}, TURN},
		{{.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .icmp_type = v6 ? 128 : 8, .dst = self}, TURN},
		{{.src = self, .dst = host, .dport = 179}, TURN | FROM_LINUX},
		{{.src = host, .dst = self, .sport = 179, .dport = 40000, .tcp_flags = 0x12}, TURN},
		{{.proto = IPPROTO_UDP}, NEIGHBOURS_LOST},
		{{.proto = IPPROTO_UDP}, TURN},
		{{.proto = IPPROTO_UDP}, TURN | NEIGHBOURS},
		{{.proto = IPPROTO_UDP, .src = v6 ? "2001:db8:1:1::5" : "192.0.2.200"}, TURN},
		{{.proto = IPPROTO_UDP, .src = "203.0.113.7", .family = 4, .n_tags = 1, .tci = {100}}, TURN},
	};

	for (size_t i = 0; i < RTE_DIM(steps); i++) {
		struct sp_frame_spec spec = steps[i].spec;
		struct sp_frame frame;

		if (spec.family == 0)
			spec.family = family;
		sp_frame_build(&frame, &spec);
		if (!v6 && frame.len > 1400) {
			frame.bytes[20] = 0; /* may be fragmented */
			sp_frame_checksums(&frame);
		}
		add_record(seed, &frame, steps[i].control);
	}
}

int main(int argc, char **argv)
{
	static struct seed seed, all;
	static const char *const targets[] = {"fuzz_parse", "fuzz_packet", "fuzz_route"};
	char path[PATH_MAX];
	struct sp_frame frame;
	const char *name;
	int rc = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	for (size_t i = 0; i < RTE_DIM(targets); i++) {
		snprintf(path, sizeof(path), "%s/%s", argv[1], targets[i]);
		if (mkdir(path, 0777) != 0 && errno != EEXIST) {
			perror(path);
			return 2;
		}
	}
	for (unsigned int i = 0; rc == 0 && sp_frame_sample(i, &frame, &name); i++) {
		const uint8_t header[2] = {(uint8_t)(PARSE_CHECKSUM_OFF | (i & 1 ? PARSE_FIT : 0) | (i & 3) << 2), 14};

		seed.len = 0;
		add(&seed, header, sizeof(header));
		add(&seed, frame.bytes, frame.len);
		rc = save(argv[1], "fuzz_parse", name, &seed);
		seed.len = 0;
		add_record(&seed, &frame, (uint8_t)((i & 6) | CHECKSUM_OFF));
		add_record(&seed, &frame, TURN | 1);
		rc = rc != 0 ? rc : save_packets(argv[1], name, &seed);
		add_record(&all, &frame, CHECKSUM_OFF);
	}
	rc = rc != 0 ? rc : save_packets(argv[1], "all of them", &all);
	for (uint8_t family = 4; rc == 0 && family <= 6; family += 2) {
		seed.len = 0;
		add_session(&seed, family, "abbbc");
		rc = save_packets(argv[1], family == 4 ? "session4" : "session6", &seed);
		seed.len = 0;
		add_association(&seed, family);
		rc = rc != 0 ? rc : save_packets(argv[1], family == 4 ? "association4" : "association6", &seed);
		seed.len = 0;
		add_session(&seed, family, "an attack");
		rc = rc != 0 ? rc : save_packets(argv[1], family == 4 ? "blocked4" : "blocked6", &seed);
		seed.len = 0;
		add_fragments(&seed, family, 0, 0, false);
		add_fragments(&seed, family, 0, 32, true);
		rc = rc != 0 ? rc : save_packets(argv[1], family == 4 ? "fragments4" : "fragments6", &seed);
		seed.len = 0;
		add_fragments(&seed, family, 24, 16, false);
		rc = rc != 0 ? rc : save_packets(argv[1], family == 4 ? "overlap4" : "overlap6", &seed);
	}
	for (uint8_t family = 4; rc == 0 && family <= 6; family += 2) {
		seed.len = 0;
		add_routed(&seed, family);
		rc = save(argv[1], "fuzz_route", family == 4 ? "routed4" : "routed6", &seed);
	}
	if (rc != 0)
		fprintf(stderr, "make_seeds: %s: %s\n", argv[1], strerror(-rc));
	return rc == 0 ? 0 : 2;
}
