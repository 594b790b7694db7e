/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bad cable between two interfaces, as tc's netem would make one, for kernels with and without it:
 *
 *     lossy_wire LEFT RIGHT DELAY_US SEED
 *
 * All frames are late by DELAY_US. Of those of each direction it loses 1 %, doubles 1 %, and holds 3 % back for up to HOLD_US so that later
 * ones overtake them. The same seed gives the same dice; with seed 0 there are none. Both interfaces are its own: whatever the kernel
 * receives on them must go nowhere else.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOLD_US    5000
#define LOST       10 /* of 1,000 frames */
#define DOUBLED    10
#define HELD       30
#define FRAME_MAX  2048
#define FRAMES_MAX 8192
#define BURST      64

struct frame {
	int64_t due_us;
	uint64_t number; /* of two that are due at once the older goes first */
	size_t size;
	uint8_t bytes[FRAME_MAX];
};

/* One direction: a heap of frames under way, the one that is due first on top. */
struct wire {
	int from, to;
	unsigned int n;
	struct frame *heap[FRAMES_MAX];
	uint64_t seen, lost, doubled, held, full;
};

static uint64_t dice_state; /* 0: no dice */
static int64_t delay_us;

/* A number below sides; without dice the highest, which is never bad luck. */
static uint32_t dice(uint32_t sides)
{
	if (dice_state == 0)
		return sides - 1;
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 32) % sides;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int open_end(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
	struct packet_mreq all = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, room = 16 << 20;

	/* the protocol comes with bind(): no frame of another interface is ever read */
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0) {
		perror(name);
		exit(2);
	}
	return fd;
}

static bool sooner(const struct frame *a, const struct frame *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void push(struct wire *wire, const uint8_t *bytes, size_t size, int64_t due_us)
{
	static uint64_t number;
	struct frame *frame = wire->n < FRAMES_MAX ? malloc(sizeof(*frame)) : NULL;
	unsigned int at = wire->n, up;

	if (frame == NULL) {
		wire->full++;
		return;
	}
	frame->due_us = due_us;
	frame->number = number++;
	frame->size = size;
	memcpy(frame->bytes, bytes, size);
	for (wire->n++; at > 0 && sooner(frame, wire->heap[up = (at - 1) / 2]); at = up)
		wire->heap[at] = wire->heap[up];
	wire->heap[at] = frame;
}

static struct frame *pop(struct wire *wire)
{
	struct frame *top = wire->heap[0], *last = wire->heap[--wire->n];
	unsigned int at = 0, down;

	while ((down = 2 * at + 1) < wire->n) {
		if (down + 1 < wire->n && sooner(wire->heap[down + 1], wire->heap[down]))
			down++;
		if (!sooner(wire->heap[down], last))
			break;
		wire->heap[at] = wire->heap[down];
		at = down;
	}
	wire->heap[at] = last;
	return top;
}

static void take(struct wire *wire)
{
	uint8_t bytes[FRAME_MAX];

	for (int i = 0; i < BURST; i++) {
		ssize_t size = recv(wire->from, bytes, sizeof(bytes), 0);
		int64_t due = now_us() + delay_us;

		if (size <= 0)
			return;
		wire->seen++;
		if (dice(1000) < LOST) {
			wire->lost++;
			continue;
		}
		if (dice(1000) < DOUBLED) {
			wire->doubled++;
			push(wire, bytes, (size_t)size, due + dice(HOLD_US));
		}
		if (dice(1000) < HELD) {
			wire->held++;
			due += dice(HOLD_US);
		}
		push(wire, bytes, (size_t)size, due);
	}
}

static void give(struct wire *wire)
{
	int64_t now = now_us();

	while (wire->n > 0 && wire->heap[0]->due_us <= now) {
		struct frame *frame = pop(wire);

		if (send(wire->to, frame->bytes, frame->size, 0) < 0)
			wire->full++;
		free(frame);
	}
}

static int64_t next_us(const struct wire *wire, int64_t sooner_us)
{
	return wire->n > 0 && wire->heap[0]->due_us < sooner_us ? wire->heap[0]->due_us : sooner_us;
}

int main(int argc, char **argv)
{
	static struct wire wires[2];
	int64_t told_us = 0;

	if (argc != 5)
		return 2;
	delay_us = atoll(argv[3]);
	dice_state = strtoull(argv[4], NULL, 10) * 0x9e3779b97f4a7c15u;
	wires[0].from = wires[1].to = open_end(argv[1]);
	wires[1].from = wires[0].to = open_end(argv[2]);
	for (;;) {
		struct pollfd ends[2] = {{.fd = wires[0].from, .events = POLLIN}, {.fd = wires[1].from, .events = POLLIN}};
		int64_t now = now_us(), until = next_us(&wires[1], next_us(&wires[0], now + 1000000));
		struct timespec wait = {
			.tv_nsec = until > now ? (until - now) % 1000000 * 1000 : 0, .tv_sec = until > now ? (until - now) / 1000000 : 0};

		ppoll(ends, 2, &wait, NULL);
		for (int i = 0; i < 2; i++) {
			take(&wires[i]);
			give(&wires[i]);
		}
		if (now - told_us > 200000) {
			told_us = now;
			for (int i = 0; i < 2; i++)
				printf("%s to %s: %lu seen, %lu lost, %lu doubled, %lu held, %lu too many\n", argv[1 + i], argv[2 - i],
					wires[i].seen, wires[i].lost, wires[i].doubled, wires[i].held, wires[i].full);
			fflush(stdout);
		}
	}
}
