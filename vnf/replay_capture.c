/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/replay_capture.h"

#include <errno.h>
#include <net/ethernet.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_BYTES 14
#define NS_PER_SEC  1000000000u

/* Magic numbers of captures that have microseconds (pcap/savefile.h), in both byte orders; all others are kept in nanoseconds. */
#define MAGIC_US         0xa1b2c3d4u
#define MAGIC_US_SWAPPED 0xd4c3b2a1u

struct sp_replay_capture {
	pcap_t *pcap;
	int link_type;
	bool us; /* microseconds in the file */
	uint64_t truncated;
	uint8_t frame[SP_CAPTURED_MAX]; /* with the header that we made */
};

struct sp_replay_capture_writer {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	bool us;
};

static bool understood(int link_type)
{
	switch (link_type) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_NULL:
	case DLT_LOOP:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
		return true;
	default:
		return false;
	}
}

struct sp_replay_capture *sp_replay_capture_open(const char *path, char *why, size_t why_size)
{
	struct sp_replay_capture *capture = malloc(sizeof(*capture));
	char error[PCAP_ERRBUF_SIZE];
	FILE *file;
	uint32_t magic = 0;

	if (capture == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (file == NULL) {
		snprintf(why, why_size, "cannot open %s: %s", path, strerror(errno));
		free(capture);
		return NULL;
	}
	if (file != stdin && fread(&magic, sizeof(magic), 1, file) == 1)
		rewind(file);
	capture->us = file == stdin || magic == MAGIC_US || magic == MAGIC_US_SWAPPED;
	capture->truncated = 0;
	capture->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (capture->pcap == NULL) {
		snprintf(why, why_size, "%s is no capture: %s", path, error);
		if (file != stdin)
			fclose(file);
		free(capture);
		return NULL;
	}
	capture->link_type = pcap_datalink(capture->pcap);
	if (!understood(capture->link_type)) {
		const char *name = pcap_datalink_val_to_name(capture->link_type);

		snprintf(why, why_size,
			"%s was taken on link type %s (%d); Ethernet, raw IP, loopback and Linux cooked captures can be replayed", path,
			name != NULL ? name : "unknown", capture->link_type);
		sp_replay_capture_close(capture);
		return NULL;
	}
	return capture;
}

void sp_replay_capture_close(struct sp_replay_capture *capture)
{
	if (capture == NULL)
		return;
	pcap_close(capture->pcap);
	free(capture);
}

uint64_t sp_replay_capture_truncated(const struct sp_replay_capture *capture)
{
	return capture->truncated;
}

/* --- an Ethernet header for packets without one ---------------------------------------------------------------------------------- */

/* A locally administered address that is the same for the same IP address; the group's own for multicast and broadcast. */
static void mac_of(uint8_t mac[6], const uint8_t *address, size_t bytes)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	memset(mac, 0, 6);
	if (bytes == 4 && memcmp(address, broadcast, 4) == 0) {
		memset(mac, 0xff, 6);
	} else if (bytes == 4 && (address[0] & 0xf0) == 0xe0) {
		const uint8_t group[6] = {0x01, 0x00, 0x5e, address[1] & 0x7f, address[2], address[3]};

		memcpy(mac, group, 6);
	} else if (bytes == 16 && address[0] == 0xff) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, address + 12, 4);
	} else {
		mac[0] = 0x02;
		mac[1] = (uint8_t)bytes;
		for (size_t i = 0; i < bytes; i++)
			mac[2 + i % 4] = (uint8_t)((uint8_t)(mac[2 + i % 4] << 1 | mac[2 + i % 4] >> 7) ^ address[i]);
	}
}

/* Addresses of an IP packet when there are enough bytes for them; returns the EtherType by the version, 0 when it is no IP. */
static uint16_t ip_header(uint8_t header[ETHER_BYTES], const uint8_t *ip, uint32_t len)
{
	unsigned int version = len > 0 ? ip[0] >> 4 : 0;

	if (version == 4 && len >= 20) {
		mac_of(header, ip + 16, 4);
		mac_of(header + 6, ip + 12, 4);
	} else if (version == 6 && len >= 40) {
		mac_of(header, ip + 24, 16);
		mac_of(header + 6, ip + 8, 16);
	} else {
		static const uint8_t nobody[12] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2};

		memcpy(header, nobody, sizeof(nobody));
	}
	return version == 4 ? ETHERTYPE_IP : version == 6 ? ETHERTYPE_IPV6 : 0;
}

/* Bytes of the capture's own header in front of the packet, and the EtherType it names (0: by the IP version). */
static uint32_t own_header(int link_type, const uint8_t *data, uint32_t len, uint16_t *type)
{
	*type = 0;
	switch (link_type) {
	case DLT_NULL:
	case DLT_LOOP:
		return 4;
	case DLT_LINUX_SLL:
		if (len >= 16)
			*type = (uint16_t)(data[14] << 8 | data[15]);
		return 16;
	case DLT_LINUX_SLL2:
		if (len >= 2)
			*type = (uint16_t)(data[0] << 8 | data[1]);
		return 20;
	default:
		return 0;
	}
}

static void add_header(struct sp_replay_capture *capture, struct sp_replay_frame *frame)
{
	uint16_t type, by_version;
	uint32_t skip = own_header(capture->link_type, frame->data, frame->len, &type);
	uint32_t len = frame->len > skip ? frame->len - skip : 0;
	const uint8_t *packet = len > 0 ? frame->data + skip : NULL;

	if (len > SP_CAPTURED_MAX - ETHER_BYTES)
		len = SP_CAPTURED_MAX - ETHER_BYTES;
	by_version = ip_header(capture->frame, packet, len);
	if (type == 0)
		type = by_version;
	if (type != 0 && type < 0x0600) /* Linux's own numbers for 802.3: the field is a length there */
		type = (uint16_t)(len < 1500 ? len : 1500);
	capture->frame[12] = (uint8_t)(type >> 8);
	capture->frame[13] = (uint8_t)type;
	if (len > 0)
		memcpy(capture->frame + ETHER_BYTES, packet, len);
	frame->data = capture->frame;
	frame->len = len + ETHER_BYTES;
}

int sp_replay_capture_next(struct sp_replay_capture *capture, struct sp_replay_frame *frame, char *why, size_t why_size)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int rc = pcap_next_ex(capture->pcap, &header, &data);

	if (rc == PCAP_ERROR_BREAK)
		return 0;
	if (rc != 1) {
		snprintf(why, why_size, "the capture is broken: %s", pcap_geterr(capture->pcap));
		return -EIO;
	}
	frame->data = data;
	frame->len = header->caplen;
	frame->ns = (uint64_t)header->ts.tv_sec * NS_PER_SEC + (uint64_t)header->ts.tv_usec;
	if (frame->len > SP_CAPTURED_MAX)
		frame->len = SP_CAPTURED_MAX;
	if (frame->len < header->len)
		capture->truncated++;
	if (capture->link_type != DLT_EN10MB)
		add_header(capture, frame);
	return 1;
}

/* --- writing --------------------------------------------------------------------------------------------------------------------- */

struct sp_replay_capture_writer *sp_replay_capture_create(
	const char *path, const struct sp_replay_capture *like, char *why, size_t why_size)
{
	struct sp_replay_capture_writer *writer = calloc(1, sizeof(*writer));

	if (writer == NULL) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	writer->us = like->us;
	writer->pcap = pcap_open_dead_with_tstamp_precision(
		DLT_EN10MB, SP_CAPTURED_MAX, writer->us ? PCAP_TSTAMP_PRECISION_MICRO : PCAP_TSTAMP_PRECISION_NANO);
	if (writer->pcap != NULL)
		writer->dumper = pcap_dump_open(writer->pcap, path);
	if (writer->dumper != NULL)
		return writer;
	snprintf(why, why_size, "cannot write %s: %s", path, writer->pcap != NULL ? pcap_geterr(writer->pcap) : "out of memory");
	if (writer->pcap != NULL)
		pcap_close(writer->pcap);
	free(writer);
	return NULL;
}

void sp_replay_capture_write(struct sp_replay_capture_writer *writer, const struct sp_replay_frame *frame)
{
	struct pcap_pkthdr header = {.caplen = frame->len, .len = frame->len};

	header.ts.tv_sec = (time_t)(frame->ns / NS_PER_SEC);
	header.ts.tv_usec = (suseconds_t)(frame->ns % NS_PER_SEC / (writer->us ? 1000 : 1));
	pcap_dump((u_char *)writer->dumper, &header, frame->data);
}

int sp_replay_capture_finish(struct sp_replay_capture_writer *writer)
{
	int rc = 0;

	if (pcap_dump_flush(writer->dumper) != 0 || ferror(pcap_dump_file(writer->dumper)))
		rc = errno != 0 ? -errno : -EIO;
	pcap_dump_close(writer->dumper);
	pcap_close(writer->pcap);
	free(writer);
	return rc;
}
