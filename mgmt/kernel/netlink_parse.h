/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of rtnetlink as records. Pure functions: nothing is believed that the bytes do not hold, and a record is whole or not there.
 */
#ifndef SP_MGMT_KERNEL_NETLINK_PARSE_H
#define SP_MGMT_KERNEL_NETLINK_PARSE_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/routing.h"

#define SP_NL_HOPS_MAX SP_GROUP_MAX /* of a route or a group of next hops; what goes beyond is left out */

enum sp_nl_kind {
	SP_NL_NONE, /* of no concern */
	SP_NL_LINK,
	SP_NL_ADDRESS,
	SP_NL_ROUTE,
	SP_NL_NEXTHOP,
	SP_NL_NEIGHBOUR,
};

/* Addresses are in network byte order, IPv4 in the first four bytes and zeros behind; `family` is enum sp_family. */

struct sp_nl_link {
	bool gone;
	bool has_mac;
	uint8_t mac[6];
	uint32_t ifindex;
	uint32_t flags; /* IFF_ */
	uint32_t mtu;   /* 0: not said */
	char name[16];  /* "": not said */
};

struct sp_nl_address {
	bool gone;
	uint8_t family, bits, scope; /* scope: RT_SCOPE_ */
	uint8_t address[16];
	uint32_t ifindex;
	uint32_t flags; /* IFA_F_ */
};

/* Zeroed before it is filled, so that hops compare as bytes. */
struct sp_nl_hop {
	uint32_t ifindex; /* 0: none */
	uint8_t family;   /* of the gateway; SP_FAMILY_NONE: the destination itself is on the link */
	bool unusable;    /* dead, without carrier, or needs an encapsulation that nobody here does */
	uint16_t weight;  /* 1 and more */
	uint8_t gateway[16];
};

struct sp_nl_route {
	bool gone;
	bool cloned;  /* made by Linux from another one */
	bool foreign; /* depends on more than the destination: TOS or source */
	bool cut;     /* has more hops than fit */
	uint8_t family, bits;
	uint8_t type;       /* RTN_ */
	uint8_t protocol;   /* RTPROT_ */
	uint8_t preference; /* of RFC 4191: 0 high, 1 medium, 2 low */
	uint8_t address[16];
	uint32_t table, metric;
	uint32_t nexthop; /* id of the object that has the hops; 0: they are here */
	unsigned int n_hops;
	struct sp_nl_hop hops[SP_NL_HOPS_MAX];
};

struct sp_nl_member {
	uint32_t id;
	uint16_t weight; /* 1 and more */
};

struct sp_nl_nexthop {
	bool gone;
	bool blackhole;
	bool foreign; /* of a bridge */
	bool cut;
	uint8_t family; /* SP_FAMILY_NONE of groups */
	uint32_t id;
	struct sp_nl_hop hop;   /* when n_members is 0 */
	unsigned int n_members; /* of a group */
	struct sp_nl_member members[SP_NL_HOPS_MAX];
};

struct sp_nl_neighbour {
	bool gone;
	bool proxy;
	bool has_mac;
	uint8_t family;
	uint8_t mac[6];
	uint16_t state; /* NUD_ */
	uint8_t address[16];
	uint32_t ifindex;
};

struct sp_nl_message {
	enum sp_nl_kind kind;
	union {
		struct sp_nl_link link;
		struct sp_nl_address address;
		struct sp_nl_route route;
		struct sp_nl_nexthop nexthop;
		struct sp_nl_neighbour neighbour;
	};
};

/*
 * Reads one message, of which nlmsg_len bytes (at least a header) are there, at an address that is a multiple of four. 0, with kind
 * SP_NL_NONE for what is of no concern; -EBADMSG for one that lies about its lengths or holds impossible values, and then *out is not to be
 * read.
 */
int sp_nl_parse(const struct nlmsghdr *message, struct sp_nl_message *out);

#endif
