/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages as Linux sends them, for tests: each function begins a message in the buffer, the caller may put further attributes.
 */
#ifndef SP_TESTS_UNIT_MGMT_NETLINK_MAKE_H
#define SP_TESTS_UNIT_MGMT_NETLINK_MAKE_H

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define MESSAGE_BYTES 8192

struct message {
	char bytes[MESSAGE_BYTES] __attribute__((aligned(16)));
};

static inline struct nlmsghdr *make(struct message *message, uint16_t type, size_t header)
{
	struct nlmsghdr *it;

	memset(message, 0, sizeof(*message));
	it = mnl_nlmsg_put_header(message->bytes);
	it->nlmsg_type = type;
	mnl_nlmsg_put_extra_header(it, header);
	return it;
}

static inline int af_of(const char *text)
{
	return strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
}

static inline void put_address(struct nlmsghdr *it, uint16_t type, const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(af_of(text), text, bytes) == 1)
		mnl_attr_put(it, type, af_of(text) == AF_INET ? 4 : 16, bytes);
}

/* "ADDRESS/BITS" */
static inline struct nlmsghdr *make_route(struct message *message, uint16_t type, const char *prefix, uint32_t table, uint8_t kind)
{
	struct nlmsghdr *it = make(message, type, sizeof(struct rtmsg));
	struct rtmsg *info = mnl_nlmsg_get_payload(it);
	char text[64];
	char *slash;

	snprintf(text, sizeof(text), "%s", prefix);
	slash = strchr(text, '/');
	*slash = '\0';
	info->rtm_family = (uint8_t)af_of(text);
	info->rtm_dst_len = (uint8_t)atoi(slash + 1);
	info->rtm_table = (uint8_t)table;
	info->rtm_type = kind;
	info->rtm_protocol = RTPROT_STATIC;
	if (info->rtm_dst_len > 0)
		put_address(it, RTA_DST, text);
	mnl_attr_put_u32(it, RTA_TABLE, table);
	return it;
}

static inline void put_hop(struct nlmsghdr *it, int ifindex, const char *gateway)
{
	mnl_attr_put_u32(it, RTA_OIF, (uint32_t)ifindex);
	if (gateway != NULL)
		put_address(it, RTA_GATEWAY, gateway);
}

struct hop {
	int ifindex;
	const char *gateway;
	uint8_t weight, flags;
};

static inline void put_hops(struct nlmsghdr *it, const struct hop *hops, size_t n)
{
	struct nlattr *nest = mnl_attr_nest_start(it, RTA_MULTIPATH);

	for (size_t i = 0; i < n; i++) {
		struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(it);
		size_t begin = it->nlmsg_len;

		memset(hop, 0, sizeof(*hop));
		hop->rtnh_ifindex = hops[i].ifindex;
		hop->rtnh_hops = (uint8_t)(hops[i].weight - 1);
		hop->rtnh_flags = hops[i].flags;
		it->nlmsg_len += sizeof(*hop);
		if (hops[i].gateway != NULL)
			put_address(it, RTA_GATEWAY, hops[i].gateway);
		hop->rtnh_len = (uint16_t)(it->nlmsg_len - begin);
	}
	mnl_attr_nest_end(it, nest);
}

static inline struct nlmsghdr *make_neighbour(
	struct message *message, uint16_t type, int ifindex, const char *address, uint16_t state, const uint8_t *mac)
{
	struct nlmsghdr *it = make(message, type, sizeof(struct ndmsg));
	struct ndmsg *info = mnl_nlmsg_get_payload(it);

	info->ndm_family = (uint8_t)af_of(address);
	info->ndm_ifindex = ifindex;
	info->ndm_state = state;
	put_address(it, NDA_DST, address);
	if (mac != NULL)
		mnl_attr_put(it, NDA_LLADDR, 6, mac);
	return it;
}

static inline struct nlmsghdr *make_address(
	struct message *message, uint16_t type, int ifindex, const char *address, uint8_t bits, uint32_t flags)
{
	struct nlmsghdr *it = make(message, type, sizeof(struct ifaddrmsg));
	struct ifaddrmsg *info = mnl_nlmsg_get_payload(it);

	info->ifa_family = (uint8_t)af_of(address);
	info->ifa_prefixlen = bits;
	info->ifa_index = (uint32_t)ifindex;
	info->ifa_scope = strncmp(address, "fe80:", 5) == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	put_address(it, IFA_ADDRESS, address);
	mnl_attr_put_u32(it, IFA_FLAGS, flags);
	return it;
}

static inline struct nlmsghdr *make_link(struct message *message, uint16_t type, int ifindex, const char *name, uint32_t flags)
{
	struct nlmsghdr *it = make(message, type, sizeof(struct ifinfomsg));
	struct ifinfomsg *info = mnl_nlmsg_get_payload(it);

	info->ifi_index = ifindex;
	info->ifi_flags = flags;
	mnl_attr_put_strz(it, IFLA_IFNAME, name);
	return it;
}

static inline struct nlmsghdr *make_nexthop(struct message *message, uint16_t type, uint32_t id, int ifindex, const char *gateway)
{
	struct nlmsghdr *it = make(message, type, sizeof(struct nhmsg));
	struct nhmsg *info = mnl_nlmsg_get_payload(it);

	mnl_attr_put_u32(it, NHA_ID, id);
	info->nh_family = gateway != NULL ? (uint8_t)af_of(gateway) : AF_INET;
	if (ifindex != 0)
		mnl_attr_put_u32(it, NHA_OIF, (uint32_t)ifindex);
	if (gateway != NULL)
		put_address(it, NHA_GATEWAY, gateway);
	return it;
}

static inline struct nlmsghdr *make_group(struct message *message, uint32_t id, const struct nexthop_grp *members, size_t n)
{
	struct nlmsghdr *it = make(message, RTM_NEWNEXTHOP, sizeof(struct nhmsg));

	mnl_attr_put_u32(it, NHA_ID, id);
	mnl_attr_put(it, NHA_GROUP, n * sizeof(*members), members);
	return it;
}

#endif
