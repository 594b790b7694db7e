/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of netlink: messages as Linux sends them, read and put into the tables of the kernel thread, over the workers' real
 * ones. When all that they told of is swept away, nothing may be left. A message whose length goes beyond the input ends with it.
 */
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"
#include "tests/unit/support/eal.h"

#define FIRST_IFINDEX 2 /* as in a namespace of its own, behind lo */
#define LATER_MS      60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sp_dataplane dataplane;
static struct sp_kernel *kernel;

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void start(void)
{
	static const struct sp_route_config config = {.max4 = 1024, .max6 = 1024, .neighbours = 256};

	sp_test_eal();
	dataplane.routing = sp_routing_create(&config, NULL, SOCKET_ID_ANY);
	must(dataplane.routing != NULL, "start");
	dataplane.n_ports = 1;
	dataplane.ports[0].mtu = 1500;
	dataplane.ports[0].ethdev = UINT16_MAX;
	dataplane.ports[0].link_up = 1;
	for (unsigned int i = 0; i < 2; i++) {
		struct sp_link link = {.mtu = 1500};

		snprintf(link.name, sizeof(link.name), "link%u", i);
		must(sp_routing_add_link(dataplane.routing, &link) == 0, "a link");
	}
	kernel = sp_kernel_make(&dataplane, NULL);
	must(kernel != NULL, "tables");
}

/* As after a dump that had nothing, and long after. */
static void sweep(void)
{
	uint64_t objects = 0, routes4 = 0, routes6 = 0, neighbours = 0;

	kernel->epoch++;
	sp_kaddresses_sweep(kernel);
	while (!sp_kobjects_sweep(kernel, &objects) || !sp_kroutes_sweep(kernel, SP_FAMILY_IPV4, &routes4) ||
		!sp_kroutes_sweep(kernel, SP_FAMILY_IPV6, &routes6) || !sp_kneighbours_sweep(kernel, &neighbours))
		;
	while (sp_kprefixes_turn(kernel) || sp_kneighbours_hosts(kernel))
		;
	for (unsigned int i = 0; i < 3 * 16; i++) {
		kernel->now_ms += LATER_MS;
		sp_kneighbours_tick(kernel);
	}
	while (sp_kprefixes_turn(kernel))
		;
}

static void check_empty(void)
{
	const struct sp_routing_counters *counters = sp_routing_counters(dataplane.routing);

	must(kernel->n_routes[0] == 0 && kernel->n_routes[1] == 0, "no route is left");
	must(kernel->neighbours.n == 0, "no neighbour is left");
	must(kernel->objects.n == 0, "no object is left");
	must(kernel->hopsets.n == 0, "no set of hops is left");
	must(kernel->prefixes.n == 0, "no prefix is left");
	must(counters->routes4 == 0 && counters->routes6 == 0, "the FIB is empty");
}

static void take(const uint8_t *data, size_t size)
{
	struct nlmsghdr *message = malloc(size); /* of its own, so that a read past its end is seen */

	must(message != NULL, "memory");
	memcpy(message, data, size);
	message->nlmsg_len = (uint32_t)size;
	sp_knetlink_take(kernel, message);
	sp_kobjects_settle(kernel);
	while (sp_kprefixes_turn(kernel) || sp_kneighbours_hosts(kernel))
		;
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (kernel == NULL)
		start();
	for (unsigned int i = 0; i < 2; i++)
		kernel->links[i].ifindex = FIRST_IFINDEX + i;
	sp_klinks_index(kernel);
	while (size >= sizeof(struct nlmsghdr)) {
		uint32_t len;

		memcpy(&len, data, sizeof(len));
		len = len < sizeof(struct nlmsghdr) ? (uint32_t)sizeof(struct nlmsghdr) : len > size ? (uint32_t)size : len;
		take(data, len);
		len = NLMSG_ALIGN(len);
		size -= len < size ? len : size;
		data += len;
	}
	sweep();
	check_empty();
	return 0;
}
