/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The addresses that Linux would have a NIC let in: what a driver's set_rx_mode is given for a real one is listed for a TAP as entries of
 * its forwarding database, unicast and groups alike. They are asked for on a socket of their own, so that no other thread's tables wait.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "mgmt/kernel/internal.h"

#define ANSWER_MS    100
#define MESSAGES_MAX 4096 /* of one answer: what a TAP could have */
#define MAC_BYTES    6

int sp_kgroups_open(struct sp_kernel *kernel, char *why, size_t why_size)
{
	const struct timeval patience = {.tv_usec = ANSWER_MS * 1000};
	int strict = 1;

	kernel->groups = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (kernel->groups == NULL || mnl_socket_bind(kernel->groups, 0, MNL_SOCKET_AUTOPID) != 0 ||
		setsockopt(mnl_socket_get_fd(kernel->groups), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0) {
		snprintf(why, why_size, "no netlink socket to ask Linux for its groups: %s", strerror(errno));
		return -1;
	}
	/* Since Linux 4.20, which then lists one interface and not all. */
	(void)mnl_socket_setsockopt(kernel->groups, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return 0;
}

void sp_kgroups_close(struct sp_kernel *kernel)
{
	if (kernel->groups != NULL)
		mnl_socket_close(kernel->groups);
	kernel->groups = NULL;
}

/* --- one address ------------------------------------------------------------------------------------------------------------------- */

/* Into a sorted list without doubles; false when it is full. */
static bool insert(uint8_t (*list)[MAC_BYTES], unsigned int *n, unsigned int max, const uint8_t *address)
{
	unsigned int at = 0;
	int order = -1;

	while (at < *n && (order = memcmp(list[at], address, MAC_BYTES)) < 0)
		at++;
	if (at < *n && order == 0)
		return true;
	if (*n == max)
		return false;
	memmove(list[at + 1], list[at], (*n - at) * sizeof(list[0]));
	memcpy(list[at], address, MAC_BYTES);
	(*n)++;
	return true;
}

static void take(struct sp_kernel_groups *out, const uint8_t *address)
{
	if ((address[0] & 1) == 0)
		out->cut_addresses |= !insert(out->addresses, &out->n_addresses, SP_KERNEL_ADDRESSES_MAX, address);
	else
		out->cut |= !insert(out->groups, &out->n_groups, SP_KERNEL_GROUPS_MAX, address);
}

struct answer {
	uint32_t ifindex;
	struct sp_kernel_groups *out;
};

static int on_message(const struct nlmsghdr *message, void *context)
{
	const struct answer *answer = context;
	const struct ndmsg *entry = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(message) < sizeof(*entry) ||
		(uint32_t)entry->ndm_ifindex != answer->ifindex || (entry->ndm_flags & NTF_SELF) == 0)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*entry))
	{
		if (mnl_attr_get_type(attribute) == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == MAC_BYTES)
			take(answer->out, mnl_attr_get_payload(attribute));
	}
	return MNL_CB_OK;
}

/* --- one interface ----------------------------------------------------------------------------------------------------------------- */

static int send_request(struct sp_kernel *kernel, uint32_t ifindex, uint32_t sequence)
{
	char buffer[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *entry;

	message->nlmsg_type = RTM_GETNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = sequence;
	entry = mnl_nlmsg_put_extra_header(message, sizeof(*entry));
	entry->ndm_family = PF_BRIDGE;
	mnl_attr_put_u32(message, NDA_IFINDEX, ifindex);
	return mnl_socket_sendto(kernel->groups, message, message->nlmsg_len) < 0 ? -errno : 0;
}

/* What an earlier question is still answered with belongs to nobody. */
static int ask(struct sp_kernel *kernel, uint32_t ifindex, struct sp_kernel_groups *out)
{
	char buffer[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct answer answer = {.ifindex = ifindex, .out = out};
	uint32_t sequence = ++kernel->groups_sequence;
	int rc = send_request(kernel, ifindex, sequence);

	for (unsigned int i = 0; rc == 0 && i < MESSAGES_MAX; i++) {
		ssize_t n = mnl_socket_recvfrom(kernel->groups, buffer, sizeof(buffer));
		const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;

		if (n < 0)
			return -errno;
		if (!mnl_nlmsg_ok(message, (int)n) || message->nlmsg_seq != sequence)
			continue;
		/* mnl_cb_run: 0 at the end of a dump, -1 for an error that Linux tells */
		rc = mnl_cb_run(buffer, (size_t)n, sequence, mnl_socket_get_portid(kernel->groups), on_message, &answer);
		if (rc <= MNL_CB_STOP)
			return rc < 0 ? -errno : 0;
		rc = 0;
	}
	return rc != 0 ? rc : -EMSGSIZE;
}

static unsigned int interfaces_of(struct sp_kernel *kernel, uint16_t port, uint32_t ifindexes[SP_LINKS_MAX])
{
	unsigned int n = 0;

	__atomic_fetch_add(&kernel->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&kernel->lock);
	__atomic_fetch_sub(&kernel->waiting, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < kernel->n_links; i++)
		if (kernel->links[i].link->port == port && kernel->links[i].ifindex != 0)
			ifindexes[n++] = kernel->links[i].ifindex;
	pthread_mutex_unlock(&kernel->lock);
	return n;
}

int sp_kernel_groups(struct sp_kernel *kernel, uint16_t port, struct sp_kernel_groups *out)
{
	uint32_t ifindexes[SP_LINKS_MAX];
	unsigned int n = interfaces_of(kernel, port, ifindexes);
	int rc = 0;

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; rc == 0 && i < n; i++) {
		rc = ask(kernel, ifindexes[i], out);
		if (rc == -ENODEV)
			rc = 0; /* its TAP is gone since */
	}
	if (rc != 0)
		memset(out, 0, sizeof(*out));
	return rc;
}
