/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/kernel/netlink_parse.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "rules/addr.h"

#define ATTRIBUTES 64 /* types below it are remembered; newer ones are not known here either */

/* The attributes of a message by their types; the last of a kind counts. */
struct attributes {
	const struct nlattr *of[ATTRIBUTES];
};

/* --- attributes ------------------------------------------------------------------------------------------------------------------- */

/* False when they do not fill the bytes exactly, but for less than an attribute's header of padding. */
static bool read_attributes(const void *at, size_t size, struct attributes *out)
{
	const struct nlattr *attribute = at;

	memset(out, 0, sizeof(*out));
	while (size >= sizeof(*attribute)) {
		size_t step;

		if (!mnl_attr_ok(attribute, size < INT32_MAX ? (int)size : INT32_MAX))
			return false;
		if (mnl_attr_get_type(attribute) < ATTRIBUTES)
			out->of[mnl_attr_get_type(attribute)] = attribute;
		step = MNL_ALIGN((size_t)attribute->nla_len);
		size = step < size ? size - step : 0;
		attribute = (const struct nlattr *)((const char *)attribute + step);
	}
	return true;
}

/* The fixed part of a message and the attributes behind it. NULL when they are not there. */
static const void *open_message(const struct nlmsghdr *message, size_t fixed, struct attributes *attributes)
{
	size_t size = message->nlmsg_len;

	if (size < NLMSG_HDRLEN + fixed)
		return NULL;
	size -= NLMSG_HDRLEN;
	fixed = NLMSG_ALIGN(fixed);
	if (!read_attributes((const char *)message + NLMSG_HDRLEN + fixed, size > fixed ? size - fixed : 0, attributes))
		return NULL;
	return (const char *)message + NLMSG_HDRLEN;
}

static size_t length(const struct nlattr *attribute)
{
	return attribute->nla_len - sizeof(*attribute);
}

/* A number that may be absent. False when it has another size. */
static bool get_u32(const struct attributes *attributes, unsigned int type, uint32_t *value)
{
	const struct nlattr *attribute = attributes->of[type];

	if (attribute == NULL)
		return true;
	if (length(attribute) != sizeof(*value))
		return false;
	memcpy(value, mnl_attr_get_payload(attribute), sizeof(*value));
	return true;
}

static unsigned int address_bytes(uint8_t family)
{
	return family == SP_FAMILY_IPV4 ? 4 : 16;
}

/* An address of exactly the family's size. */
static bool get_address(const struct nlattr *attribute, uint8_t family, uint8_t out[16])
{
	if (length(attribute) != address_bytes(family))
		return false;
	memset(out, 0, 16);
	memcpy(out, mnl_attr_get_payload(attribute), address_bytes(family));
	return true;
}

static uint8_t family_of(unsigned int af)
{
	return af == AF_INET ? SP_FAMILY_IPV4 : af == AF_INET6 ? SP_FAMILY_IPV6 : SP_FAMILY_NONE;
}

/* Six bytes are a MAC; others belong to interfaces that are none of ours. */
static bool get_mac(const struct nlattr *attribute, uint8_t mac[6])
{
	if (attribute == NULL || length(attribute) != 6)
		return false;
	memcpy(mac, mnl_attr_get_payload(attribute), 6);
	return true;
}

/* --- links, addresses, neighbours ---------------------------------------------------------------------------------------------------- */

static int parse_link(const struct nlmsghdr *message, struct sp_nl_message *into)
{
	struct attributes attributes;
	const struct ifinfomsg *info = open_message(message, sizeof(*info), &attributes);
	struct sp_nl_link *out = &into->link;
	const struct nlattr *name;

	if (info == NULL)
		return -EBADMSG;
	if (info->ifi_family != AF_UNSPEC) /* a port of a bridge */
		return 0;
	into->kind = SP_NL_LINK;
	if (info->ifi_index <= 0 || !get_u32(&attributes, IFLA_MTU, &out->mtu))
		return -EBADMSG;
	name = attributes.of[IFLA_IFNAME];
	if (name != NULL) {
		const char *text = mnl_attr_get_payload(name);

		if (length(name) == 0 || length(name) > sizeof(out->name) || text[length(name) - 1] != '\0')
			return -EBADMSG;
		memcpy(out->name, text, length(name));
	}
	out->gone = message->nlmsg_type == RTM_DELLINK;
	out->ifindex = (uint32_t)info->ifi_index;
	out->flags = info->ifi_flags;
	out->has_mac = get_mac(attributes.of[IFLA_ADDRESS], out->mac);
	return 0;
}

static int parse_address(const struct nlmsghdr *message, struct sp_nl_address *out)
{
	struct attributes attributes;
	const struct ifaddrmsg *info = open_message(message, sizeof(*info), &attributes);
	const struct nlattr *address;

	if (info == NULL)
		return -EBADMSG;
	out->family = family_of(info->ifa_family);
	if (out->family == SP_FAMILY_NONE)
		return 0;
	/* on a link with a peer IFA_ADDRESS is the peer's */
	address = attributes.of[IFA_LOCAL] != NULL ? attributes.of[IFA_LOCAL] : attributes.of[IFA_ADDRESS];
	out->flags = info->ifa_flags;
	if (address == NULL || !get_address(address, out->family, out->address) || info->ifa_prefixlen > 8 * address_bytes(out->family) ||
		info->ifa_index == 0 || !get_u32(&attributes, IFA_FLAGS, &out->flags))
		return -EBADMSG;
	out->gone = message->nlmsg_type == RTM_DELADDR;
	out->bits = info->ifa_prefixlen;
	out->scope = info->ifa_scope;
	out->ifindex = info->ifa_index;
	return 0;
}

static int parse_neighbour(const struct nlmsghdr *message, struct sp_nl_neighbour *out)
{
	struct attributes attributes;
	const struct ndmsg *info = open_message(message, sizeof(*info), &attributes);

	if (info == NULL)
		return -EBADMSG;
	out->family = family_of(info->ndm_family);
	if (out->family == SP_FAMILY_NONE)
		return 0;
	if (info->ndm_ifindex < 0 || attributes.of[NDA_DST] == NULL || !get_address(attributes.of[NDA_DST], out->family, out->address))
		return -EBADMSG;
	out->gone = message->nlmsg_type == RTM_DELNEIGH;
	out->proxy = (info->ndm_flags & NTF_PROXY) != 0;
	out->state = info->ndm_state;
	out->ifindex = (uint32_t)info->ndm_ifindex;
	out->has_mac = get_mac(attributes.of[NDA_LLADDR], out->mac);
	return 0;
}

/* --- hops ---------------------------------------------------------------------------------------------------------------------------- */

/* struct rtvia: a family and the address in it. */
static bool get_via(const struct nlattr *attribute, struct sp_nl_hop *hop)
{
	const char *payload = mnl_attr_get_payload(attribute);
	uint16_t af;
	uint8_t family;

	if (length(attribute) < sizeof(af))
		return false;
	memcpy(&af, payload, sizeof(af));
	family = family_of(af);
	if (family == SP_FAMILY_NONE) { /* a gateway of another world */
		hop->unusable = true;
		return true;
	}
	if (length(attribute) != sizeof(af) + address_bytes(family))
		return false;
	hop->family = family;
	memcpy(hop->gateway, payload + sizeof(af), address_bytes(family));
	return true;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Gateway and usability; the attributes of a route and of one of its hops have the same numbers. */
static bool read_hop(const struct attributes *attributes, uint8_t family, unsigned int flags, struct sp_nl_hop *hop)
{
	const struct nlattr *gateway = attributes->of[RTA_GATEWAY];

	if (gateway != NULL) {
		if (!get_address(gateway, family, hop->gateway))
			return false;
		hop->family = is_zero(hop->gateway, sizeof(hop->gateway)) ? SP_FAMILY_NONE : family;
	}
	if (attributes->of[RTA_VIA] != NULL && !get_via(attributes->of[RTA_VIA], hop))
		return false;
	hop->unusable |= (flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0 || attributes->of[RTA_ENCAP] != NULL;
	return true;
}

/* RTA_MULTIPATH: hops, each with attributes of its own. */
static bool read_hops(const struct nlattr *multipath, struct sp_nl_route *route)
{
	const char *at = mnl_attr_get_payload(multipath);
	size_t left = length(multipath);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *info = (const struct rtnexthop *)(const void *)at;
		struct attributes attributes;
		struct sp_nl_hop hop = {0};
		size_t step;

		if (info->rtnh_len < sizeof(*info) || info->rtnh_len > left || info->rtnh_ifindex < 0)
			return false;
		if (!read_attributes(at + sizeof(*info), info->rtnh_len - sizeof(*info), &attributes) ||
			!read_hop(&attributes, route->family, info->rtnh_flags, &hop))
			return false;
		hop.ifindex = (uint32_t)info->rtnh_ifindex;
		hop.weight = (uint16_t)(info->rtnh_hops + 1);
		if (route->n_hops < SP_NL_HOPS_MAX)
			route->hops[route->n_hops++] = hop;
		else
			route->cut = true;
		step = RTNH_ALIGN((size_t)info->rtnh_len);
		left = step < left ? left - step : 0;
		at += step;
	}
	return left == 0;
}

/* --- routes -------------------------------------------------------------------------------------------------------------------------- */

static bool host_bits_are_zero(const struct sp_nl_route *route)
{
	unsigned int whole = route->bits / 8;

	if (route->bits % 8 != 0 && (route->address[whole] & (0xff >> route->bits % 8)) != 0)
		return false;
	whole += route->bits % 8 != 0;
	return is_zero(route->address + whole, sizeof(route->address) - whole);
}

static bool read_destination(const struct rtmsg *info, const struct attributes *attributes, struct sp_nl_route *out)
{
	const struct nlattr *destination = attributes->of[RTA_DST];

	if (info->rtm_dst_len > 8 * address_bytes(out->family) || (destination == NULL && info->rtm_dst_len != 0))
		return false;
	if (destination != NULL && !get_address(destination, out->family, out->address))
		return false;
	out->bits = info->rtm_dst_len;
	return host_bits_are_zero(out);
}

static bool read_preference(const struct attributes *attributes, struct sp_nl_route *out)
{
	static const uint8_t ranks[] = {1, 0, 1, 2}; /* medium, high, reserved, low (RFC 4191, 2.1) */
	const struct nlattr *attribute = attributes->of[RTA_PREF];

	out->preference = 1;
	if (attribute == NULL)
		return true;
	if (length(attribute) != 1)
		return false;
	out->preference = ranks[*(const uint8_t *)mnl_attr_get_payload(attribute) & 3];
	return true;
}

static bool read_ways(const struct rtmsg *info, const struct attributes *attributes, struct sp_nl_route *out)
{
	struct sp_nl_hop *hop = &out->hops[0];

	if (attributes->of[RTA_MULTIPATH] != NULL)
		return read_hops(attributes->of[RTA_MULTIPATH], out);
	if (attributes->of[RTA_OIF] == NULL && attributes->of[RTA_GATEWAY] == NULL)
		return true;
	memset(hop, 0, sizeof(*hop));
	hop->weight = 1;
	out->n_hops = 1;
	return get_u32(attributes, RTA_OIF, &hop->ifindex) && read_hop(attributes, out->family, info->rtm_flags, hop);
}

static int parse_route(const struct nlmsghdr *message, struct sp_nl_route *out)
{
	struct attributes attributes;
	const struct rtmsg *info = open_message(message, sizeof(*info), &attributes);

	if (info == NULL)
		return -EBADMSG;
	out->family = family_of(info->rtm_family);
	if (out->family == SP_FAMILY_NONE)
		return 0;
	out->gone = message->nlmsg_type == RTM_DELROUTE;
	out->table = info->rtm_table;
	out->type = info->rtm_type;
	out->protocol = info->rtm_protocol;
	out->cloned = (info->rtm_flags & RTM_F_CLONED) != 0;
	out->foreign = info->rtm_tos != 0 || info->rtm_src_len != 0;
	if (!read_destination(info, &attributes, out) || !get_u32(&attributes, RTA_TABLE, &out->table) ||
		!get_u32(&attributes, RTA_PRIORITY, &out->metric) || !get_u32(&attributes, RTA_NH_ID, &out->nexthop) ||
		!read_preference(&attributes, out) || !read_ways(info, &attributes, out))
		return -EBADMSG;
	return 0;
}

/* --- next hop objects ---------------------------------------------------------------------------------------------------------------- */

static bool read_group(const struct nlattr *attribute, struct sp_nl_nexthop *out)
{
	const char *at = mnl_attr_get_payload(attribute);
	size_t n = length(attribute) / sizeof(struct nexthop_grp);

	if (n == 0 || length(attribute) % sizeof(struct nexthop_grp) != 0)
		return false;
	out->cut = n > SP_NL_HOPS_MAX;
	out->n_members = (unsigned int)(out->cut ? SP_NL_HOPS_MAX : n);
	for (unsigned int i = 0; i < out->n_members; i++) {
		const uint8_t *bytes = (const uint8_t *)at + i * sizeof(struct nexthop_grp);
		/* the upper half, since Linux 6.12, was reserved and zero before */
		uint32_t weight = (bytes[offsetof(struct nexthop_grp, weight)] | bytes[offsetof(struct nexthop_grp, weight) + 1] << 8) + 1u;

		memcpy(&out->members[i].id, bytes, sizeof(out->members[i].id));
		out->members[i].weight = (uint16_t)(weight < UINT16_MAX ? weight : UINT16_MAX);
	}
	return true;
}

static int parse_nexthop(const struct nlmsghdr *message, struct sp_nl_nexthop *out)
{
	struct attributes attributes;
	const struct nhmsg *info = open_message(message, sizeof(*info), &attributes);
	const struct nlattr *gateway;

	if (info == NULL || !get_u32(&attributes, NHA_ID, &out->id) || out->id == 0)
		return -EBADMSG;
	out->gone = message->nlmsg_type == RTM_DELNEXTHOP;
	out->blackhole = attributes.of[NHA_BLACKHOLE] != NULL;
	out->foreign = attributes.of[NHA_FDB] != NULL;
	out->family = family_of(info->nh_family);
	out->hop.weight = 1;
	out->hop.unusable = (info->nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0 || attributes.of[NHA_ENCAP] != NULL;
	if (attributes.of[NHA_GROUP] != NULL)
		return read_group(attributes.of[NHA_GROUP], out) ? 0 : -EBADMSG;
	gateway = attributes.of[NHA_GATEWAY];
	if (gateway != NULL) {
		if (out->family == SP_FAMILY_NONE || !get_address(gateway, out->family, out->hop.gateway))
			return -EBADMSG;
		out->hop.family = out->family;
	}
	return get_u32(&attributes, NHA_OIF, &out->hop.ifindex) ? 0 : -EBADMSG;
}

/* --- all of them --------------------------------------------------------------------------------------------------------------------- */

int sp_nl_parse(const struct nlmsghdr *message, struct sp_nl_message *out)
{
	int rc;

	memset(out, 0, offsetof(struct sp_nl_message, route) + offsetof(struct sp_nl_route, hops));
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return parse_link(message, out);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		out->kind = SP_NL_ADDRESS;
		rc = parse_address(message, &out->address);
		out->kind = out->address.family != SP_FAMILY_NONE ? SP_NL_ADDRESS : SP_NL_NONE;
		return rc;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		rc = parse_route(message, &out->route);
		out->kind = out->route.family != SP_FAMILY_NONE ? SP_NL_ROUTE : SP_NL_NONE;
		return rc;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		memset(&out->nexthop, 0, sizeof(out->nexthop));
		out->kind = SP_NL_NEXTHOP;
		return parse_nexthop(message, &out->nexthop);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		rc = parse_neighbour(message, &out->neighbour);
		out->kind = out->neighbour.family != SP_FAMILY_NONE ? SP_NL_NEIGHBOUR : SP_NL_NONE;
		return rc;
	default:
		return 0;
	}
}
