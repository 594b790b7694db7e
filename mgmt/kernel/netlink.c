/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Netlink: a socket with what changes in Linux, one by which all tables are read, one by which it is asked to find neighbours.
 *
 * Tables are read at the start, and again when messages were lost, or when Linux changes tables without a word. While that goes on, changes
 * wait in their socket: read afterwards they bring the tables forward from what was read, and none is lost in between. What a table did not
 * have (its epoch is older) goes when the table is in. Neighbours have a socket of their own, and wait only while theirs is read: packets
 * wait for them.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "mgmt/kernel/internal.h"

#define EVENTS_BYTES     (32 * 1024 * 1024) /* of messages that may wait in the socket */
#define NEIGHBOURS_BYTES (8 * 1024 * 1024)
#define DUMP_BYTES       (1024 * 1024)
#define DISCARD_MAX      4096 /* the same of messages that have lost their meaning */
#define EVENTS_MAX       16   /* datagrams of one turn */
#define TRIES_MAX        3    /* for a table that changes while it is read */
#define SILENT_MS        5000 /* Linux says nothing more: begin anew */
#define AGAIN_MS         1000 /* after a failure */
#define SPARE_FACTOR     1    /* reading everything takes at most half of the time */
#define SPARE_MIN_MS     100

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

static void set_buffer(const struct mnl_socket *sock, int bytes)
{
	int fd = mnl_socket_get_fd(sock);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static struct mnl_socket *open_socket(int bytes)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock == NULL)
		return NULL;
	set_buffer(sock, bytes);
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0)
		return sock;
	mnl_socket_close(sock);
	return NULL;
}

static int subscribe(const struct sp_knetlink *netlink)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEXTHOP, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH};

	for (size_t i = 0; i < RTE_DIM(groups); i++) {
		int group = groups[i];
		struct mnl_socket *sock = group == RTNLGRP_NEIGH ? netlink->neighbours : netlink->events;

		/* Linux before 5.3 has no nexthops */
		if (mnl_socket_setsockopt(sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0 && group != RTNLGRP_NEXTHOP)
			return -1;
	}
	return 0;
}

int sp_knetlink_open(struct sp_kernel *kernel, char *why, size_t why_size)
{
	struct sp_knetlink *netlink = &kernel->netlink;

	netlink->events = open_socket(EVENTS_BYTES);
	netlink->neighbours = open_socket(NEIGHBOURS_BYTES);
	netlink->dump = open_socket(DUMP_BYTES);
	netlink->asks = open_socket(DUMP_BYTES);
	if (netlink->events != NULL && netlink->neighbours != NULL && netlink->dump != NULL && netlink->asks != NULL &&
		subscribe(netlink) == 0)
		return 0;
	snprintf(why, why_size, "no netlink to Linux: %s", strerror(errno));
	sp_knetlink_close(kernel);
	return -1;
}

void sp_knetlink_close(struct sp_kernel *kernel)
{
	struct mnl_socket **const sockets[] = {
		&kernel->netlink.events, &kernel->netlink.neighbours, &kernel->netlink.dump, &kernel->netlink.asks};

	for (size_t i = 0; i < RTE_DIM(sockets); i++) {
		if (*sockets[i] != NULL)
			mnl_socket_close(*sockets[i]);
		*sockets[i] = NULL;
	}
}

/* --- messages --------------------------------------------------------------------------------------------------------------------- */

void sp_knetlink_take(struct sp_kernel *kernel, const struct nlmsghdr *message)
{
	struct sp_nl_message it;

	sp_count(&kernel->counters.messages, 1);
	if (sp_nl_parse(message, &it) != 0) {
		sp_count(&kernel->counters.malformed, 1);
		return;
	}
	switch (it.kind) {
	case SP_NL_LINK:
		sp_klinks_take(kernel, &it.link);
		break;
	case SP_NL_ADDRESS:
		sp_kaddresses_take(kernel, &it.address);
		break;
	case SP_NL_ROUTE:
		sp_kroutes_take(kernel, &it.route, message->nlmsg_flags);
		break;
	case SP_NL_NEXTHOP:
		sp_kobjects_take(kernel, &it.nexthop);
		break;
	case SP_NL_NEIGHBOUR:
		sp_kneighbours_take(kernel, &it.neighbour);
		break;
	default:
		break;
	}
}

/* One datagram of Linux's into the buffer: its bytes, 0 when there is none (or another process's), -errno. */
static ssize_t receive(struct sp_kernel *kernel, const struct mnl_socket *sock)
{
	struct sockaddr_nl from = {0};
	struct iovec vector = {kernel->netlink.buffer, sizeof(kernel->netlink.buffer)};
	struct msghdr header = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &vector, .msg_iovlen = 1};
	ssize_t n = recvmsg(mnl_socket_get_fd(sock), &header, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (header.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	return header.msg_namelen == sizeof(from) && from.nl_pid == 0 ? n : 0;
}

static void overrun(struct sp_kernel *kernel, int error)
{
	sp_count(&kernel->counters.overruns, 1);
	sp_klog(kernel, "messages of Linux were lost (%s): all of its tables are read again", strerror(error));
	sp_knetlink_want(kernel, 0);
	kernel->netlink.lossy = true;
}

/*
 * What waits in the socket is older than what was lost: it may make routes that are gone. And Linux puts nothing into the socket again
 * before it is empty. So it is emptied; everything is read after that. True when it is empty.
 */
static bool discard(struct sp_kernel *kernel, const struct mnl_socket *sock)
{
	for (unsigned int n = 0; n < DISCARD_MAX; n++)
		if (recv(mnl_socket_get_fd(sock), kernel->netlink.buffer, 1, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno == EAGAIN)
			return true;
	return false;
}

static bool take_events(struct sp_kernel *kernel, const struct mnl_socket *sock)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	unsigned int n = 0;

	for (; n < EVENTS_MAX; n++) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
		ssize_t bytes = receive(kernel, sock);
		int left = (int)bytes;

		if (bytes == 0)
			break;
		if (bytes < 0) {
			overrun(kernel, (int)-bytes);
			return true;
		}
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			sp_knetlink_take(kernel, message);
		if (left != 0)
			sp_count(&kernel->counters.malformed, 1);
	}
	return n > 0;
}

/* --- reading everything ------------------------------------------------------------------------------------------------------------- */

void sp_knetlink_want(struct sp_kernel *kernel, int64_t in_ms)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	int64_t took = netlink->ended_ms - netlink->begun_ms, spare = RTE_MAX(took * SPARE_FACTOR, (int64_t)SPARE_MIN_MS);
	int64_t at = kernel->now_ms + in_ms;

	if (netlink->ended_ms != 0)
		at = RTE_MAX(at, netlink->ended_ms + spare);
	netlink->wanted_ms = RTE_MIN(netlink->wanted_ms, at);
}

static const struct {
	uint16_t type;
	uint8_t family;
	size_t header;
} dumps[SP_KSTEP_END] = {
	[SP_KSTEP_LINKS] = {RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg)},
	[SP_KSTEP_ADDRESSES] = {RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg)},
	[SP_KSTEP_NEXTHOPS] = {RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg)},
	[SP_KSTEP_ROUTES4] = {RTM_GETROUTE, AF_INET, sizeof(struct rtmsg)},
	[SP_KSTEP_ROUTES6] = {RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg)},
	[SP_KSTEP_NEIGHBOURS] = {RTM_GETNEIGH, AF_UNSPEC, sizeof(struct ndmsg)},
};

static void set_resyncing(struct sp_kernel *kernel, bool on)
{
	__atomic_store_n(&kernel->resyncing, on, __ATOMIC_RELAXED);
}

static void begin(struct sp_kernel *kernel, enum sp_kstep step)
{
	struct sp_knetlink *netlink = &kernel->netlink;

	netlink->step = step;
	netlink->sweeping = false;
	netlink->interrupted = false;
	netlink->tries = 0;
	netlink->sequence = 0;
}

static void give_up(struct sp_kernel *kernel, const char *why)
{
	struct sp_knetlink *netlink = &kernel->netlink;

	sp_klog(kernel, "the tables of Linux cannot be read (%s): trying again", why);
	begin(kernel, SP_KSTEP_IDLE);
	netlink->ended_ms = kernel->now_ms;
	netlink->wanted_ms = kernel->now_ms + AGAIN_MS;
}

static void request(struct sp_kernel *kernel)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	char buffer[64] __attribute__((aligned(16))) = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtgenmsg *generic;

	message->nlmsg_type = dumps[netlink->step].type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = netlink->sequence = ++netlink->sequences;
	generic = mnl_nlmsg_put_extra_header(message, dumps[netlink->step].header);
	generic->rtgen_family = dumps[netlink->step].family;
	netlink->heard_ms = kernel->now_ms;
	netlink->interrupted = false;
	if (mnl_socket_sendto(netlink->dump, message, message->nlmsg_len) < 0)
		give_up(kernel, strerror(errno));
}

static void finish(struct sp_kernel *kernel)
{
	begin(kernel, SP_KSTEP_IDLE);
	kernel->netlink.ended_ms = kernel->now_ms;
	sp_count(&kernel->counters.resyncs, 1);
	set_resyncing(kernel, false);
	__atomic_store_n(&kernel->synced, 1, __ATOMIC_RELEASE);
}

static void next_step(struct sp_kernel *kernel)
{
	begin(kernel, kernel->netlink.step + 1);
	if (kernel->netlink.step == SP_KSTEP_END)
		finish(kernel);
	else
		request(kernel);
}

/* A part of the sweep; true at its end. */
static bool sweep(struct sp_kernel *kernel)
{
	uint64_t *cursor = &kernel->netlink.cursor;

	switch (kernel->netlink.step) {
	case SP_KSTEP_LINKS:
		sp_klinks_sweep(kernel);
		return true;
	case SP_KSTEP_ADDRESSES:
		sp_kaddresses_sweep(kernel);
		return true;
	case SP_KSTEP_NEXTHOPS:
		return sp_kobjects_sweep(kernel, cursor);
	case SP_KSTEP_ROUTES4:
		return sp_kroutes_sweep(kernel, SP_FAMILY_IPV4, cursor);
	case SP_KSTEP_ROUTES6:
		return sp_kroutes_sweep(kernel, SP_FAMILY_IPV6, cursor);
	default:
		return sp_kneighbours_sweep(kernel, cursor);
	}
}

/* The table is in: once more when it changed under way, but not for ever. */
static void table_is_in(struct sp_kernel *kernel)
{
	struct sp_knetlink *netlink = &kernel->netlink;

	if (netlink->interrupted && netlink->tries < TRIES_MAX) {
		netlink->tries++;
		request(kernel);
		return;
	}
	if (netlink->interrupted)
		sp_knetlink_want(kernel, AGAIN_MS);
	netlink->sweeping = true;
	netlink->cursor = 0;
}

/* Number of an error message, 0 for a mere acknowledgement. */
static int error_of(const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	return mnl_nlmsg_get_payload_len(message) < sizeof(*error) ? EBADMSG : -error->error;
}

/* One message of a dump; true when it was the last. */
static bool take_dumped(struct sp_kernel *kernel, const struct nlmsghdr *message)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	int error;

	netlink->interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (message->nlmsg_type == NLMSG_DONE) {
		table_is_in(kernel);
		return true;
	}
	if (message->nlmsg_type != NLMSG_ERROR) {
		sp_knetlink_take(kernel, message);
		return false;
	}
	error = error_of(message);
	if (netlink->step == SP_KSTEP_NEXTHOPS && (error == EOPNOTSUPP || error == EINVAL))
		next_step(kernel); /* an old Linux has none */
	else if (error != 0)
		give_up(kernel, strerror(error));
	return error != 0;
}

static bool take_dump(struct sp_kernel *kernel)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
	ssize_t bytes = receive(kernel, netlink->dump);
	uint32_t sequence = netlink->sequence;
	int left = (int)bytes;

	if (bytes < 0) {
		give_up(kernel, strerror((int)-bytes));
		return true;
	}
	if (bytes == 0 && netlink->step != SP_KSTEP_IDLE && kernel->now_ms - netlink->heard_ms >= SILENT_MS)
		give_up(kernel, "no answer");
	if (bytes == 0)
		return false;
	netlink->heard_ms = kernel->now_ms;
	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
		/* what answers an older request is not asked for any more */
		if (sequence != 0 && message->nlmsg_seq == sequence && take_dumped(kernel, message))
			break;
	return true;
}

static bool resync(struct sp_kernel *kernel)
{
	struct sp_knetlink *netlink = &kernel->netlink;

	if (!netlink->sweeping)
		return take_dump(kernel);
	if (sweep(kernel))
		next_step(kernel);
	return true;
}

/* --- what Linux is asked ------------------------------------------------------------------------------------------------------------ */

void sp_knetlink_mtu(struct sp_kernel *kernel, const struct sp_klink *link, uint16_t mtu)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	char buffer[128] __attribute__((aligned(16))) = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	if (netlink->asks == NULL || link->ifindex == 0)
		return;
	message->nlmsg_type = RTM_NEWLINK;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = ++netlink->sequences;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)link->ifindex;
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	if (mnl_socket_sendto(netlink->asks, message, message->nlmsg_len) < 0)
		sp_klog(kernel, "link %s: its MTU in Linux cannot be set: %s", link->link->name, strerror(errno));
}

/* --- neighbours --------------------------------------------------------------------------------------------------------------------- */

void sp_knetlink_ask(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	char buffer[128] __attribute__((aligned(16))) = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *info;

	neighbour->asked_ms = kernel->now_ms;
	if (netlink->asks == NULL)
		return;
	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
	message->nlmsg_seq = ++netlink->sequences;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = neighbour->family == SP_FAMILY_IPV4 ? AF_INET : AF_INET6;
	info->ndm_ifindex = (int)kernel->links[neighbour->link].ifindex;
	info->ndm_flags = NTF_USE;
	mnl_attr_put(message, NDA_DST, SP_FAMILY_BITS(neighbour->family) / 8, neighbour->address);
	sp_count(&kernel->counters.asked, 1);
	if (mnl_socket_sendto(netlink->asks, message, message->nlmsg_len) < 0)
		sp_count(&kernel->counters.ask_errors, 1);
}

/* Linux answers only what it does not do; the neighbour's time-out sees to the rest. */
static void take_refusals(struct sp_kernel *kernel)
{
	for (unsigned int n = 0; n < EVENTS_MAX; n++) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)kernel->netlink.buffer;
		ssize_t bytes = receive(kernel, kernel->netlink.asks);
		int left = (int)bytes;

		if (bytes == 0)
			return;
		if (bytes > 0 && mnl_nlmsg_ok(message, left) && message->nlmsg_type == NLMSG_ERROR && error_of(message) != 0) {
			sp_count(&kernel->counters.ask_errors, 1);
			sp_klog(kernel, "Linux refuses what it was asked (a neighbour, or an MTU): %s", strerror(error_of(message)));
		}
	}
}

/* --- the thread's part -------------------------------------------------------------------------------------------------------------- */

bool sp_knetlink_turn(struct sp_kernel *kernel)
{
	struct sp_knetlink *netlink = &kernel->netlink;
	bool some, found = false;

	take_refusals(kernel);
	if (!netlink->lossy && netlink->step != SP_KSTEP_NEIGHBOURS)
		found = take_events(kernel, netlink->neighbours);
	if (netlink->step != SP_KSTEP_IDLE) {
		some = resync(kernel);
	} else if (netlink->lossy) {
		netlink->lossy = !discard(kernel, netlink->events) || !discard(kernel, netlink->neighbours);
		return true;
	} else {
		some = take_events(kernel, netlink->events);
		some |= take_dump(kernel); /* the rest of one that was given up */
	}
	if (netlink->step == SP_KSTEP_IDLE && kernel->now_ms >= netlink->wanted_ms) {
		set_resyncing(kernel, true);
		kernel->epoch++;
		netlink->wanted_ms = INT64_MAX;
		netlink->begun_ms = kernel->now_ms;
		begin(kernel, SP_KSTEP_LINKS);
		request(kernel);
	}
	sp_kobjects_settle(kernel);
	return some || found;
}
