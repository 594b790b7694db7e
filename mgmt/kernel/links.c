/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Links as Linux has them: its TAPs come and go up and down, get another MTU or MAC, and addresses. What is no TAP of ours is left alone.
 */
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <rte_ethdev.h>
#include <string.h>

#include "mgmt/kernel/internal.h"
#include "mgmt/ports.h"

#define DOWN_AGAIN_MS   50 /* Linux takes IPv4 routes of a link that goes down away and does not say so: everything is read again */
#define FLAGS_OF_ROUTES (IFF_UP | IFF_RUNNING | IFF_LOWER_UP) /* when they change, so may routes without a word */

/* --- which is which --------------------------------------------------------------------------------------------------------------- */

static_assert(SP_KLINK_SLOTS == 1u << (32 - 22), "slots by the upper bits");

static uint32_t slot_of(uint32_t ifindex)
{
	return (ifindex * 0x9e3779b1u) >> 22;
}

struct sp_klink *sp_klink_of(const struct sp_kernel *kernel, uint32_t ifindex)
{
	if (ifindex == 0)
		return NULL;
	for (uint32_t slot = slot_of(ifindex); kernel->slots[slot] != SP_NO_LINK; slot = (slot + 1) % SP_KLINK_SLOTS)
		if (kernel->links[kernel->slots[slot]].ifindex == ifindex)
			return &kernel->links[kernel->slots[slot]];
	return NULL;
}

void sp_klinks_index(struct sp_kernel *kernel)
{
	memset(kernel->slots, 0xff, sizeof(kernel->slots));
	for (unsigned int i = 0; i < kernel->n_links; i++) {
		uint32_t slot = slot_of(kernel->links[i].ifindex);

		if (kernel->links[i].ifindex == 0)
			continue;
		while (kernel->slots[slot] != SP_NO_LINK)
			slot = (slot + 1) % SP_KLINK_SLOTS;
		kernel->slots[slot] = (uint16_t)i;
	}
}

/* --- up and down ------------------------------------------------------------------------------------------------------------------- */

static const struct sp_port *port_of(const struct sp_kernel *kernel, const struct sp_klink *link)
{
	return &kernel->dataplane->ports[link->link->port];
}

static void set_up(struct sp_kernel *kernel, struct sp_klink *link)
{
	bool tap = __atomic_load_n(&link->tap_up, __ATOMIC_RELAXED) != 0;
	bool up = tap && link->carrier, was = __atomic_load_n(&link->link->up, __ATOMIC_RELAXED) != 0;

	if (up == was)
		return;
	__atomic_store_n(&link->link->up, up, __ATOMIC_RELAXED);
	sp_klog(kernel, "link %s is %s%s", link->link->name, up ? "up" : "down",
		up                   ? ""
		: link->ifindex == 0 ? ": its interface in Linux is gone"
		: !tap               ? ": it was taken down in Linux"
				     : ": its port has no carrier");
	sp_knetlink_want(kernel, DOWN_AGAIN_MS);
}

/* What Linux sent to a paused port would be lost, such as what it tells its neighbours of a new MAC. */
static bool has_carrier(const struct sp_port *port)
{
	return __atomic_load_n(&port->link_up, __ATOMIC_RELAXED) != 0 && __atomic_load_n(&port->paused, __ATOMIC_RELAXED) == 0;
}

void sp_klinks_tick(struct sp_kernel *kernel)
{
	for (unsigned int i = 0; i < kernel->n_links; i++) {
		struct sp_klink *link = &kernel->links[i];
		bool carrier = has_carrier(port_of(kernel, link));

		if (carrier == link->carrier)
			continue;
		link->carrier = carrier;
		sp_ktap_carrier(link, carrier);
		set_up(kernel, link);
	}
}

/* --- changes in Linux -------------------------------------------------------------------------------------------------------------- */

static void gone(struct sp_kernel *kernel, struct sp_klink *link)
{
	link->ifindex = 0;
	sp_klinks_index(kernel);
	sp_ktap_close(link);
	__atomic_store_n(&link->tap_up, 0, __ATOMIC_RELAXED);
	sp_klog(kernel, "link %s: its interface in Linux was removed; a restart of the firewall makes it anew", link->link->name);
	set_up(kernel, link);
}

/*
 * Frames to a MAC that the device does not have are to come in, too. Whether its port may be thought to do so. TAPs wait for us: a device
 * that is being restarted is asked once it runs, by sp_kernel_port_changed.
 */
static bool device_takes(const struct sp_port *port, const uint8_t mac[6])
{
	struct rte_ether_addr address;
	bool takes = true;

	memcpy(address.addr_bytes, mac, 6);
	if (!sp_port_lock_soon(port))
		return false;
	if (rte_eth_dev_is_valid_port(port->ethdev))
		takes = rte_eth_dev_mac_addr_add(port->ethdev, &address, 0) == 0;
	sp_port_unlock(port);
	return takes;
}

static void tell_mac(struct sp_kernel *kernel, const struct sp_klink *link, const uint8_t mac[6], const char *more)
{
	sp_klog(kernel, "link %s has the MAC %02x:%02x:%02x:%02x:%02x:%02x now%s", link->link->name, mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5], more);
}

/* Linux speaks from another MAC now: frames to it must come in, and go out from it. */
static void set_mac(struct sp_kernel *kernel, struct sp_klink *link, const uint8_t mac[6])
{
	const struct sp_port *port = port_of(kernel, link);
	uint64_t word = 0, before = link->mac_before;
	bool takes;

	sp_mac_store(&word, mac);
	if (word == before) /* said before the change was made */
		return;
	link->mac_before = 0;
	if (memcmp(link->link->mac, mac, 6) == 0)
		return;
	takes = device_takes(port, mac);
	link->own_mac = sp_mac_load(&port->mac_word) != sp_mac_load(&word);
	sp_mac_store(&link->link->mac_word, mac);
	tell_mac(kernel, link, mac, takes ? "" : "; its port does not say whether it receives for that");
}

static void set_mtu(struct sp_kernel *kernel, struct sp_klink *link, uint32_t mtu)
{
	uint16_t most = port_of(kernel, link)->mtu, wanted = mtu < most ? (uint16_t)mtu : most;

	if (__atomic_load_n(&link->link->mtu, __ATOMIC_RELAXED) == wanted)
		return;
	link->own_mtu = mtu < most;
	__atomic_store_n(&link->link->mtu, wanted, __ATOMIC_RELAXED);
	sp_klog(kernel, "link %s has an MTU of %u now%s", link->link->name, wanted, mtu > most ? ", the most that its port takes" : "");
}

/* --- changes of the device --------------------------------------------------------------------------------------------------------- */

static void follow_mac(struct sp_kernel *kernel, struct sp_klink *link, const struct sp_port *port)
{
	int rc;

	if (memcmp(link->link->mac, port->mac, 6) == 0 || sp_mac_load(&port->mac_word) == 0)
		return;
	if (link->own_mac) {
		device_takes(port, link->link->mac);
		return;
	}
	link->mac_before = link->link->mac_word;
	sp_mac_store(&link->link->mac_word, port->mac);
	rc = sp_ktap_mac(link, port->mac);
	if (rc != 0)
		link->mac_before = 0;
	link->announce = rc == 0;
	tell_mac(kernel, link, port->mac, rc == 0 ? ", as its device has" : "; Linux refuses it, and goes on with the old one");
}

static void follow_mtu(struct sp_kernel *kernel, struct sp_klink *link, const struct sp_port *port)
{
	uint16_t mtu = __atomic_load_n(&link->link->mtu, __ATOMIC_RELAXED);

	if (mtu == port->mtu || (link->own_mtu && mtu < port->mtu))
		return;
	link->own_mtu = false;
	__atomic_store_n(&link->link->mtu, port->mtu, __ATOMIC_RELAXED);
	sp_knetlink_mtu(kernel, link, port->mtu);
	sp_klog(kernel, "link %s has an MTU of %u now, as its device has", link->link->name, port->mtu);
}

void sp_kernel_port_changed(struct sp_kernel *kernel, const struct sp_port *port)
{
	__atomic_fetch_add(&kernel->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&kernel->lock);
	__atomic_fetch_sub(&kernel->waiting, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < kernel->n_links; i++)
		if (kernel->links[i].link->port == port->index) {
			follow_mac(kernel, &kernel->links[i], port);
			follow_mtu(kernel, &kernel->links[i], port);
		}
	pthread_mutex_unlock(&kernel->lock);
}

/* What Linux sent while there was no carrier is lost: it tells its neighbours again. */
static void announce(struct sp_klink *link)
{
	if (!link->announce || (link->flags & (IFF_RUNNING | IFF_LOWER_UP)) != (IFF_RUNNING | IFF_LOWER_UP) || !link->carrier)
		return;
	link->announce = false;
	(void)sp_ktap_mac(link, link->link->mac);
}

void sp_klinks_take(struct sp_kernel *kernel, const struct sp_nl_link *it)
{
	struct sp_klink *link = sp_klink_of(kernel, it->ifindex);

	if (link == NULL)
		return;
	if (it->gone) {
		gone(kernel, link);
		return;
	}
	link->epoch = kernel->epoch;
	if (((it->flags ^ link->flags) & FLAGS_OF_ROUTES) != 0)
		sp_knetlink_want(kernel, DOWN_AGAIN_MS);
	link->flags = it->flags;
	__atomic_store_n(&link->tap_up, (it->flags & IFF_UP) != 0, __ATOMIC_RELAXED);
	if (it->has_mac)
		set_mac(kernel, link, it->mac);
	if (it->mtu != 0)
		set_mtu(kernel, link, it->mtu);
	set_up(kernel, link);
	announce(link);
}

void sp_klinks_sweep(struct sp_kernel *kernel)
{
	for (unsigned int i = 0; i < kernel->n_links; i++)
		if (kernel->links[i].ifindex != 0 && kernel->links[i].epoch != kernel->epoch)
			gone(kernel, &kernel->links[i]);
}

/* --- addresses --------------------------------------------------------------------------------------------------------------------- */

static bool is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Which comes first: IPv4 primary ones, IPv6 global ones that are not deprecated. */
static unsigned int rank(const struct sp_kaddress *address)
{
	if (address->family == SP_FAMILY_IPV4)
		return (address->flags & IFA_F_SECONDARY) != 0;
	return (address->scope != RT_SCOPE_UNIVERSE ? 2 : 0) + ((address->flags & IFA_F_DEPRECATED) != 0);
}

static bool usable(const struct sp_kaddress *address)
{
	if (address->flags & IFA_F_DADFAILED)
		return false;
	return (address->flags & IFA_F_TENTATIVE) == 0 || (address->flags & IFA_F_OPTIMISTIC) != 0;
}

static void put(struct sp_link_addresses *out, const struct sp_kaddress *address)
{
	static const uint8_t none[16];

	if (address->family == SP_FAMILY_IPV4) {
		if (out->n4 < SP_LINK_ADDRESSES)
			memcpy(&out->v4[out->n4++], address->address, 4);
	} else if (is_link_local(address->address)) {
		if (memcmp(out->link_local, none, sizeof(none)) == 0)
			memcpy(out->link_local, address->address, 16);
	} else if (out->n6 < SP_LINK_ADDRESSES) {
		memcpy(out->v6[out->n6++], address->address, 16);
	}
}

static void publish(struct sp_kernel *kernel, struct sp_klink *link)
{
	struct sp_link_addresses addresses;

	memset(&addresses, 0, sizeof(addresses));
	for (unsigned int r = 0; r < 4; r++)
		for (unsigned int i = 0; i < link->n_addresses; i++)
			if (rank(&link->addresses[i]) == r && usable(&link->addresses[i]))
				put(&addresses, &link->addresses[i]);
	if (memcmp(&addresses, link->link->addresses, sizeof(addresses)) == 0)
		return;
	if (sp_link_set_addresses(kernel->routing, link->link->index, &addresses) != 0)
		sp_klog(kernel, "link %s: no memory for its addresses: the old ones stay", link->link->name);
}

static struct sp_kaddress *find(struct sp_klink *link, uint8_t family, const uint8_t *address, uint8_t bits)
{
	for (unsigned int i = 0; i < link->n_addresses; i++) {
		struct sp_kaddress *it = &link->addresses[i];

		if (it->family == family && it->bits == bits && memcmp(it->address, address, sizeof(it->address)) == 0)
			return it;
	}
	return NULL;
}

static void remove_address(struct sp_klink *link, struct sp_kaddress *address)
{
	unsigned int i = (unsigned int)(address - link->addresses);

	link->n_addresses--;
	memmove(address, address + 1, (link->n_addresses - i) * sizeof(*address));
}

static void tell_conflict(struct sp_kernel *kernel, const struct sp_klink *link, const struct sp_nl_address *it)
{
	struct sp_addr address = {.family = it->family};
	char text[48];

	memcpy(address.b, it->address, sizeof(address.b));
	sp_count(&kernel->counters.conflicts, 1);
	sp_klog(kernel, "link %s: somebody else has its address %s: it is not used until that is mended", link->link->name,
		sp_addr_format(&address, text, sizeof(text)));
}

void sp_kaddresses_take(struct sp_kernel *kernel, const struct sp_nl_address *it)
{
	struct sp_klink *link = sp_klink_of(kernel, it->ifindex);
	struct sp_kaddress *address = link != NULL ? find(link, it->family, it->address, it->bits) : NULL;

	/* with an address Linux takes routes away, too, and does not say so */
	if (it->gone && it->family == SP_FAMILY_IPV4)
		sp_knetlink_want(kernel, DOWN_AGAIN_MS);
	if (link == NULL || (it->gone && address == NULL))
		return;
	if (it->gone) {
		remove_address(link, address);
		publish(kernel, link);
		return;
	}
	if ((it->flags & IFA_F_DADFAILED) != 0 && (address == NULL || (address->flags & IFA_F_DADFAILED) == 0))
		tell_conflict(kernel, link, it);
	if (address == NULL && link->n_addresses == SP_KADDRESSES_MAX) {
		sp_klog(kernel, "link %s has more than %d addresses: others are not known as its own", link->link->name, SP_KADDRESSES_MAX);
		return;
	}
	if (address == NULL)
		address = &link->addresses[link->n_addresses++];
	*address = (struct sp_kaddress){
		.family = it->family, .bits = it->bits, .scope = it->scope, .flags = it->flags, .epoch = kernel->epoch};
	memcpy(address->address, it->address, sizeof(address->address));
	publish(kernel, link);
}

void sp_kaddresses_sweep(struct sp_kernel *kernel)
{
	for (unsigned int i = 0; i < kernel->n_links; i++) {
		struct sp_klink *link = &kernel->links[i];

		for (unsigned int k = link->n_addresses; k-- > 0;)
			if (link->addresses[k].epoch != kernel->epoch)
				remove_address(link, &link->addresses[k]);
		publish(kernel, link);
	}
}
