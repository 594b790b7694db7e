/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What PFs say of their VFs: RTM_GETLINK with the VFs' part (IFLA_EXT_MASK, RTEXT_FILTER_VF), by libmnl.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vnf/doctor_facts.h"
#include "vnf/doctor_read.h"

#define MESSAGE_BYTES (1u << 18) /* a message of a PF with 256 VFs is some 60 KB */
#define ANSWER_MAX    4096       /* datagrams */
#define COPY_MAX      (8u << 20)

static struct sp_nic *find_pf(const struct sp_facts *facts, const char *netdev)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (facts->nics[i].netdev[0] != '\0' && strcmp(facts->nics[i].netdev, netdev) == 0)
			return &facts->nics[i];
	return NULL;
}

static struct sp_nic *find_vf(const struct sp_facts *facts, const struct sp_nic *pf, uint32_t number)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (facts->nics[i].vf >= 0 && (uint32_t)facts->nics[i].vf == number && strcmp(facts->nics[i].pf, pf->pci) == 0)
			return &facts->nics[i];
	return NULL;
}

/* A driver that has no such thing answers -1. */
static void take_switch(uint32_t setting, bool *has, bool *is)
{
	*has = setting != UINT32_MAX;
	*is = setting == 1;
}

/* One attribute of a VF. All begin with the VF's number; *number is set by the first that does. */
static void take_attribute(const struct nlattr *attr, struct sp_vf_state *state, int64_t *number)
{
	const void *payload = mnl_attr_get_payload(attr);
	size_t n = mnl_attr_get_payload_len(attr);
	uint32_t word;

	if (n < sizeof(word) || (mnl_attr_get_type(attr) != IFLA_VF_MAC && n < sizeof(struct ifla_vf_spoofchk)))
		return;
	memcpy(&word, payload, sizeof(word));
	switch (mnl_attr_get_type(attr)) {
	case IFLA_VF_MAC:
		if (n < sizeof(struct ifla_vf_mac))
			return;
		memcpy(state->mac, ((const struct ifla_vf_mac *)payload)->mac, sizeof(state->mac));
		break;
	case IFLA_VF_VLAN:
		if (n < sizeof(struct ifla_vf_vlan))
			return;
		state->vlan = (uint16_t)((const struct ifla_vf_vlan *)payload)->vlan;
		break;
	case IFLA_VF_SPOOFCHK:
		take_switch(((const struct ifla_vf_spoofchk *)payload)->setting, &state->has_spoofchk, &state->spoofchk);
		break;
	case IFLA_VF_TRUST:
		take_switch(((const struct ifla_vf_trust *)payload)->setting, &state->has_trust, &state->trust);
		break;
	case IFLA_VF_LINK_STATE:
		state->link = (uint8_t)((const struct ifla_vf_link_state *)payload)->link_state;
		break;
	case IFLA_VF_RATE:
		if (n < sizeof(struct ifla_vf_rate))
			return;
		state->rate = ((const struct ifla_vf_rate *)payload)->max_tx_rate;
		break;
	default:
		return;
	}
	*number = word;
}

static void take_vfs(struct sp_facts *facts, const struct sp_nic *pf, const struct nlattr *list)
{
	const struct nlattr *info, *attr;

	mnl_attr_for_each_nested(info, list)
	{
		struct sp_vf_state state = {.known = true};
		struct sp_nic *vf;
		int64_t number = -1;

		if (mnl_attr_get_type(info) != IFLA_VF_INFO)
			continue;
		mnl_attr_for_each_nested(attr, info)
		{
			take_attribute(attr, &state, &number);
		}
		vf = number >= 0 ? find_vf(facts, pf, (uint32_t)number) : NULL;
		if (vf != NULL)
			vf->state = state;
	}
}

static void take_link(struct sp_facts *facts, const struct nlmsghdr *message)
{
	const struct nlattr *attr, *list = NULL;
	const struct sp_nic *pf;
	char name[16] = "";

	if (message->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
		return;
	mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			snprintf(name, sizeof(name), "%.*s", (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
		else if (mnl_attr_get_type(attr) == IFLA_VFINFO_LIST)
			list = attr;
	}
	sp_read_clean(name);
	pf = find_pf(facts, name);
	if (pf != NULL && list != NULL)
		take_vfs(facts, pf, list);
}

bool sp_facts_take_links(struct sp_facts *facts, const void *messages, size_t n)
{
	const char *at = messages;

	/* mnl_nlmsg_ok believes a length of more than 2 GB. */
	while (n >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)at;
		size_t length = message->nlmsg_len, step = MNL_ALIGN(length);

		if (length < sizeof(*message) || length > n || message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE)
			return true;
		take_link(facts, message);
		step = step < n ? step : n;
		at += step;
		n -= step;
	}
	return false;
}

/* --- asking ------------------------------------------------------------------------------------------------------------------------- */

static bool ask(struct mnl_socket *sock, char *buffer)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_VF);
	return mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0 && mnl_socket_sendto(sock, message, message->nlmsg_len) > 0;
}

static void read_kernel(struct sp_facts *facts)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	const struct timeval patience = {.tv_sec = 5};
	char *buffer = malloc(MESSAGE_BYTES);
	ssize_t n = -1;

	if (sock != NULL && buffer != NULL && ask(sock, buffer)) {
		/* An answer that never comes must not hang a login. */
		setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		for (unsigned int i = 0; i < ANSWER_MAX && (n = mnl_socket_recvfrom(sock, buffer, MESSAGE_BYTES)) > 0; i++)
			if (sp_facts_take_links(facts, buffer, (size_t)n))
				break;
	}
	free(buffer);
	if (sock != NULL)
		mnl_socket_close(sock);
}

void sp_facts_links(struct sp_facts *facts, const char *root)
{
	size_t size = 0;
	char *copy;

	if (facts->live) {
		read_kernel(facts);
		return;
	}
	copy = sp_read_all(root, COPY_MAX, &size, "/netlink");
	if (copy != NULL)
		sp_facts_take_links(facts, copy, size);
	free(copy);
}
