/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/routes, /v1/neighbours and what else route mode adds to the API, over tables that messages of Linux have filled.
 */
#include "mgmt/kernel/internal.h"
#include "mgmt/state.h"

#include "tests/unit/mgmt/api_fixture.h"
#include "tests/unit/mgmt/netlink_make.h"

#define WAN 7 /* ifindex */

static struct sp_kernel *kernel;
static struct message message;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};

static void take(struct nlmsghdr *header)
{
	header->nlmsg_flags = NLM_F_CREATE;
	sp_knetlink_take(kernel, header);
	while (sp_kprefixes_turn(kernel) || sp_kneighbours_hosts(kernel))
		;
}

static void add_route(const char *prefix, const char *gateway)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, prefix, RT_TABLE_MAIN, RTN_UNICAST);

	put_hop(header, WAN, gateway);
	take(header);
}

static int setup_routes(void **state)
{
	const struct sp_route_config config = {.max4 = 4096, .max6 = 1024, .neighbours = 64};
	struct sp_link link = {.name = "wan", .mtu = 1500, .vlan = 20};
	struct sp_dataplane *dataplane = &fixture.dataplane;

	setup(state);
	dataplane->n_ports = 1;
	snprintf(dataplane->ports[0].name, sizeof(dataplane->ports[0].name), "east");
	dataplane->ports[0].mtu = 1500;
	dataplane->ports[0].ethdev = UINT16_MAX;
	dataplane->ports[0].link_up = 1;
	dataplane->ports[0].peer = SP_NO_PORT;
	dataplane->routing = sp_routing_create(&config, dataplane->qsbr, SOCKET_ID_ANY);
	assert_non_null(dataplane->routing);
	assert_int_equal(sp_routing_add_link(dataplane->routing, &link), 0);
	kernel = sp_kernel_make(dataplane, NULL);
	assert_non_null(kernel);
	kernel->links[0].ifindex = WAN;
	sp_klinks_index(kernel);
	__atomic_store_n(&mgmt->kernel, kernel, __ATOMIC_SEQ_CST);
	return 0;
}

static int teardown_routes(void **state)
{
	struct sp_routing *routing = fixture.dataplane.routing;

	teardown(state);
	sp_kernel_free(kernel);
	sp_routing_free(routing);
	return 0;
}

static void test_wire_mode_has_none(void **state)
{
	json_t *json;

	(void)state;
	refused("GET", "/v1/routes", "", NULL, 404, "not-routing");
	refused("GET", "/v1/neighbours", "", NULL, 404, "not-routing");
	json = get("/v1/ports");
	assert_null(json_object_get(json, "links"));
	json_decref(json);
}

static void test_rows(void **state)
{
	json_t *json, *row, *hop;

	(void)state;
	add_route("192.0.2.0/24", NULL);
	add_route("198.51.100.0/24", "192.0.2.1");
	json = get("/v1/routes?prefix=198.51.0.0/16");
	assert_int_equal(json_array_size(json_object_get(json, "routes")), 1);
	assert_true(json_is_null(json_object_get(json, "next")));
	row = json_array_get(json_object_get(json, "routes"), 0);
	assert_string_equal(string(row, "prefix"), "198.51.100.0/24");
	assert_string_equal(string(row, "type"), "unicast");
	assert_string_equal(string(row, "protocol"), "static");
	assert_string_equal(string(row, "table"), "main");
	assert_true(json_is_true(json_object_get(row, "used")));
	hop = json_array_get(json_object_get(row, "hops"), 0);
	assert_string_equal(string(hop, "gateway"), "192.0.2.1");
	assert_string_equal(string(hop, "link"), "wan");
	assert_true(json_is_true(json_object_get(hop, "usable")));
	json_decref(json);
	json = get("/v1/routes?address=192.0.2.77");
	row = json_array_get(json_object_get(json, "routes"), 0);
	assert_string_equal(string(row, "prefix"), "192.0.2.0/24");
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(row, "hops"), 0), "gateway")));
	json_decref(json);
	json = get("/v1/routes?family=6");
	assert_int_equal(json_array_size(json_object_get(json, "routes")), 0);
	json_decref(json);
}

static void test_neighbours(void **state)
{
	json_t *json, *row;

	(void)state;
	add_route("198.51.100.0/24", "192.0.2.1");
	take(make_neighbour(&message, RTM_NEWNEIGH, WAN, "192.0.2.1", NUD_STALE, mac));
	json = get("/v1/neighbours?link=wan&family=4");
	assert_int_equal(json_array_size(json_object_get(json, "neighbours")), 1);
	row = json_array_get(json_object_get(json, "neighbours"), 0);
	assert_string_equal(string(row, "address"), "192.0.2.1");
	assert_string_equal(string(row, "state"), "resolved");
	assert_string_equal(string(row, "linux"), "stale");
	assert_string_equal(string(row, "mac"), "02:00:00:00:00:07");
	assert_true(json_is_true(json_object_get(row, "gateway")));
	assert_true(json_is_null(json_object_get(row, "used_sec")));
	json_decref(json);
}

static void test_pages(void **state)
{
	char prefix[32], target[64] = "/v1/routes?limit=7";
	unsigned int n = 0, calls = 0;
	bool more;

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(prefix, sizeof(prefix), "10.0.%u.0/24", i);
		add_route(prefix, "192.0.2.1");
	}
	do {
		json_t *json = get(target), *next = json_object_get(json, "next");

		n += (unsigned int)json_array_size(json_object_get(json, "routes"));
		more = json_is_string(next);
		if (more)
			snprintf(target, sizeof(target), "/v1/routes?limit=7&cursor=%s", json_string_value(next));
		json_decref(json);
	} while (more && ++calls < 100);
	assert_int_equal(n, 100);
	assert_true(calls >= 14);
}

static void test_bad_parameters(void **state)
{
	static const char *const targets[] = {"/v1/routes?family=5", "/v1/routes?prefix=10.0.0.1/8", "/v1/routes?prefix=ten",
		"/v1/routes?address=10.0.0.0/8", "/v1/routes?limit=0", "/v1/routes?cursor=zz",
		"/v1/routes?cursor=", "/v1/neighbours?link=x", "/v1/neighbours?family=0", "/v1/neighbours?prefix=10.0.0.0/8"};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(targets); i++)
		refused("GET", targets[i], "", NULL, 400, i + 1 == RTE_DIM(targets) ? "unknown-parameter" : "bad-parameter");
	json_decref(get("/v1/routes?cursor=ffffffffffffffff"));
	json_decref(get("/v1/routes?cursor=fffffffffffffffe"));
	json_decref(get("/v1/neighbours?cursor=1234567800000000"));
}

static void test_status(void **state)
{
	(void)state;
	assert_non_null(degraded_code("netlink-resync")); /* nothing has been read yet */
	refused("GET", "/v1/ready", "", NULL, 503, "not-ready");
	assert_non_null(degraded_code("tap-down"));
	__atomic_store_n(&kernel->synced, 1, __ATOMIC_SEQ_CST);
	assert_null(degraded_code("netlink-resync"));
	__atomic_store_n(&kernel->links[0].tap_up, 1, __ATOMIC_SEQ_CST);
	assert_null(degraded_code("tap-down"));
	__atomic_store_n(&kernel->resyncing, 1, __ATOMIC_SEQ_CST);
	assert_non_null(degraded_code("netlink-resync"));
}

static void test_links_and_metrics(void **state)
{
	struct answer answer;
	json_t *json, *link;

	(void)state;
	add_route("198.51.100.0/24", "192.0.2.1");
	json = get("/v1/ports");
	link = json_array_get(json_object_get(json, "links"), 0);
	assert_string_equal(string(link, "name"), "wan");
	assert_string_equal(string(link, "port"), "east");
	assert_int_equal(integer(link, "vlan"), 20);
	assert_int_equal(integer(json_object_get(link, "kernel"), "to_kernel"), 0);
	json_decref(json);
	answer = client_call(fixture.socket, "GET", "/metrics", "", NULL, 0);
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.body, "\nsallyport_routes{family=\"ipv4\"} 1\n"));
	assert_non_null(strstr(answer.body, "\nsallyport_neighbours{state=\"unknown\"} 1\n"));
	assert_non_null(strstr(answer.body, "\nsallyport_kernel_netlink_messages_total 1\n"));
	assert_non_null(strstr(answer.body, "\nsallyport_link_to_kernel_packets_total{link=\"wan\"} 0\n"));
	answer_free(&answer);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_routes, teardown_routes)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wire_mode_has_none, setup, teardown),
		TEST(test_rows),
		TEST(test_neighbours),
		TEST(test_pages),
		TEST(test_bad_parameters),
		TEST(test_status),
		TEST(test_links_and_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
