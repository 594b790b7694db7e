/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blast SEND TO RECEIVE COUNT RATE FLOWS: sends an Ethernet frame (read from standard input) COUNT times from the unix datagram socket SEND
 * to TO, RATE a second (0: as fast as they are taken), with FLOWS different UDP source ports, and counts the UDP frames of these ports that
 * arrive at RECEIVE. Ends when as many have arrived, or none for two seconds. Prints one line of JSON; seconds go from the first sent to
 * the last received.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX   1514
#define SOURCE_PORT 34 /* offset in an untagged IPv4 frame without options */
#define FIRST_PORT  10000
#define IDLE_MS     2000
#define PAUSE_US    20

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

static int bound(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 4 << 20;

	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		perror(path);
		exit(2);
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static bool is_ours(const uint8_t *frame, ssize_t len, unsigned int flows)
{
	unsigned int port;

	if (len < SOURCE_PORT + 8 || frame[12] != 0x08 || frame[13] != 0x00 || frame[23] != 17)
		return false;
	port = (unsigned int)frame[SOURCE_PORT] << 8 | frame[SOURCE_PORT + 1];
	return port >= FIRST_PORT && port < FIRST_PORT + flows;
}

static unsigned int drain(int fd, unsigned int flows)
{
	uint8_t frame[65536];
	unsigned int n = 0;
	ssize_t len;

	while ((len = recv(fd, frame, sizeof(frame), 0)) >= 0)
		n += is_ours(frame, len, flows);
	return n;
}

struct load {
	uint8_t frame[FRAME_MAX];
	size_t len;
	struct sockaddr_un to;
	unsigned int count, rate, flows, sent;
};

/* Sends the next frame if it is due and the other side takes it. */
static bool send_next(struct load *load, int fd, int64_t began)
{
	unsigned int port = FIRST_PORT + load->sent % load->flows;

	if (load->sent == load->count || (load->rate != 0 && now_ns() < began + (int64_t)load->sent * 1000000000 / load->rate))
		return false;
	load->frame[SOURCE_PORT] = (uint8_t)(port >> 8);
	load->frame[SOURCE_PORT + 1] = (uint8_t)port;
	if (sendto(fd, load->frame, load->len, 0, (struct sockaddr *)&load->to, sizeof(load->to)) == (ssize_t)load->len) {
		load->sent++;
		return true;
	}
	if (errno != EAGAIN && errno != ENOBUFS) {
		perror(load->to.sun_path);
		exit(2);
	}
	return false;
}

static void run(struct load *load, int out, int in)
{
	int64_t began = now_ns(), last = began;
	unsigned int received = 0;

	while (received < load->count && now_ns() - last < IDLE_MS * INT64_C(1000000)) {
		bool went = send_next(load, out, began);
		unsigned int n = drain(in, load->flows);

		received += n;
		if (n > 0 || went)
			last = now_ns();
		else
			usleep(PAUSE_US);
	}
	drain(out, load->flows); /* what came back */
	printf("{\"sent\": %u, \"received\": %u, \"seconds\": %.6f}\n", load->sent, received, (double)(last - began) / 1e9);
}

int main(int argc, char **argv)
{
	struct load load = {0};
	ssize_t len = read(STDIN_FILENO, load.frame, sizeof(load.frame));

	if (argc != 7 || len < SOURCE_PORT + 8 || strtoul(argv[6], NULL, 10) == 0) {
		fputs("usage: blast SEND TO RECEIVE COUNT RATE FLOWS <FRAME\n", stderr);
		return 2;
	}
	load.len = (size_t)len;
	load.to = address_of(argv[2]);
	load.count = (unsigned int)strtoul(argv[4], NULL, 10);
	load.rate = (unsigned int)strtoul(argv[5], NULL, 10);
	load.flows = (unsigned int)strtoul(argv[6], NULL, 10);
	run(&load, bound(argv[1]), bound(argv[3]));
	return 0;
}
