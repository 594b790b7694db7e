/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TAPs: the links' other ends in Linux. Linux puts checksums into what it sends, and hands over no packets larger than a frame.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mgmt/interface.h"
#include "mgmt/kernel/internal.h"

#define WRITE_MAX  64 /* packets of one turn */
#define READ_MAX   32 /* of one TAP in one turn */
#define SEGS_MAX   64
#define HEADER_LEN 14

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

static int attach(struct sp_klink *link, char *why, size_t why_size)
{
	const char *name = link->link->name;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	link->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (link->fd < 0) {
		snprintf(why, why_size, "/dev/net/tun: %s; route mode needs it: `modprobe tun`, or let the container have the device",
			strerror(errno));
		return -1;
	}
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(link->fd, TUNSETIFF, &request) == 0)
		return 0;
	if (errno == EINVAL)
		snprintf(why, why_size,
			"port \"%s\": Linux has an interface of this name that is no TAP; rename the port, or `ip link set %s name OTHER`",
			name, name);
	else
		snprintf(why, why_size, "port \"%s\": no TAP in Linux: %s%s", name, strerror(errno),
			errno == EBUSY   ? "; another process has it: is the firewall running already?"
			: errno == EPERM ? "; run as root, or with CAP_NET_ADMIN"
					 : "");
	return -1;
}

/*
 * The interface has the device's MAC; one without a device keeps what Linux gave it. It is set only when it differs: setting it costs Linux
 * the neighbours of the interface, permanent ones included.
 */
static int set_mac(struct sp_link *link, int fd, struct ifreq *request)
{
	if (ioctl(fd, SIOCGIFHWADDR, request) != 0)
		return -1;
	if (sp_mac_load(&link->mac_word) == 0)
		sp_mac_store(&link->mac_word, (const uint8_t *)request->ifr_hwaddr.sa_data);
	if (memcmp(request->ifr_hwaddr.sa_data, link->mac, sizeof(link->mac)) == 0)
		return 0;
	request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request->ifr_hwaddr.sa_data, link->mac, sizeof(link->mac));
	return ioctl(fd, SIOCSIFHWADDR, request);
}

/* An interface that was there before may have been given a smaller MTU than its port takes: that stays. */
static int set_mtu(struct sp_klink *link, bool existed, int fd, struct ifreq *request)
{
	uint16_t most = link->link->mtu;

	if (ioctl(fd, SIOCGIFMTU, request) != 0)
		return -1;
	link->own_mtu = existed && request->ifr_mtu < most;
	if (link->own_mtu)
		link->link->mtu = (uint16_t)request->ifr_mtu;
	if (link->own_mtu || request->ifr_mtu == most)
		return 0;
	request->ifr_mtu = most;
	return ioctl(fd, SIOCSIFMTU, request);
}

static int set_up(struct sp_klink *link, bool existed, int fd, struct ifreq *request)
{
	if (set_mac(link->link, fd, request) != 0 || set_mtu(link, existed, fd, request) != 0 || ioctl(fd, SIOCGIFFLAGS, request) != 0)
		return -1;
	if (request->ifr_flags & IFF_UP)
		return 0;
	request->ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, request);
}

/* Neighbours are told when the MAC changes. Without the right to write there they find out when their entry ages. */
static void announce_changes(const char *name)
{
	static const char *const switches[] = {"/proc/sys/net/ipv4/conf/%s/arp_notify", "/proc/sys/net/ipv6/conf/%s/ndisc_notify"};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		char path[96];
		int fd;

		snprintf(path, sizeof(path), switches[i], name);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && write(fd, "1", 1) != 1)
			errno = 0;
		if (fd >= 0)
			close(fd);
	}
}

static int configure(struct sp_kernel *kernel, struct sp_klink *link, bool existed)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link->link->name);
	rc = ioctl(fd, SIOCGIFINDEX, &request);
	link->ifindex = rc == 0 ? (uint32_t)request.ifr_ifindex : 0;
	link->carrier = __atomic_load_n(&kernel->dataplane->ports[link->link->port].link_up, __ATOMIC_RELAXED) != 0;
	sp_ktap_carrier(link, link->carrier);
	announce_changes(link->link->name);
	if (rc == 0)
		rc = set_up(link, existed, fd, &request);
	if (rc == 0)
		rc = ioctl(link->fd, TUNSETPERSIST, 1UL);
	close(fd);
	return rc;
}

int sp_ktap_open(struct sp_kernel *kernel, struct sp_klink *link, char *why, size_t why_size)
{
	bool existed = sp_interface_exists(link->link->name);

	if (attach(link, why, why_size) != 0)
		return -1;
	if (ioctl(link->fd, TUNSETOFFLOAD, 0UL) == 0 && configure(kernel, link, existed) == 0)
		return 0;
	snprintf(why, why_size, "port \"%s\": its TAP in Linux cannot be set up (MAC, MTU %u): %s", link->link->name, link->link->mtu,
		strerror(errno));
	return -1;
}

void sp_ktap_close(struct sp_klink *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

void sp_ktap_carrier(struct sp_klink *link, bool up)
{
	int value = up;

	/* since Linux 4.20; without it Linux routes on to a port without carrier, whose packets workers drop */
	if (link->fd >= 0)
		(void)ioctl(link->fd, TUNSETCARRIER, &value);
}

int sp_ktap_mac(struct sp_klink *link, const uint8_t mac[6])
{
	struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	return link->fd < 0 || ioctl(link->fd, SIOCSIFHWADDR, &request) == 0 ? 0 : -errno;
}

/* --- up to Linux ------------------------------------------------------------------------------------------------------------------- */

static void write_one(struct sp_kernel *kernel, struct rte_mbuf *mbuf)
{
	struct sp_klink *link = mbuf->port < kernel->n_links ? &kernel->links[mbuf->port] : NULL;
	struct iovec vector[SEGS_MAX];
	unsigned int n = 0;
	bool taken;

	for (struct rte_mbuf *seg = mbuf; seg != NULL && n < SEGS_MAX; seg = seg->next)
		vector[n++] = (struct iovec){rte_pktmbuf_mtod(seg, void *), seg->data_len};
	taken = link != NULL && link->fd >= 0 && mbuf->nb_segs <= SEGS_MAX && writev(link->fd, vector, (int)n) == (ssize_t)mbuf->pkt_len;
	if (link != NULL)
		sp_count(taken ? &link->to_kernel : &link->write_errors, 1);
}

bool sp_ktap_write(struct sp_kernel *kernel)
{
	struct rte_mbuf *mbufs[WRITE_MAX];
	unsigned int n = rte_ring_dequeue_burst(kernel->routing->to_kernel, (void **)mbufs, WRITE_MAX, NULL);

	for (unsigned int i = 0; i < n; i++)
		write_one(kernel, mbufs[i]);
	rte_pktmbuf_free_bulk(mbufs, n);
	return n > 0;
}

/* --- down from Linux --------------------------------------------------------------------------------------------------------------- */

/*
 * One frame into the ring. False when there is none, or no room for it: then it stays in the TAP, whose queue is Linux's own.
 */
static bool read_one(struct sp_kernel *kernel, struct sp_klink *link)
{
	struct rte_mbuf *mbuf = rte_ring_full(kernel->routing->from_kernel) ? NULL : rte_pktmbuf_alloc(kernel->pool);
	struct iovec vector[2];
	char beyond;
	ssize_t n;

	kernel->blocked = mbuf == NULL;
	if (mbuf == NULL)
		return false;
	vector[0] = (struct iovec){rte_pktmbuf_mtod(mbuf, void *), rte_pktmbuf_tailroom(mbuf)};
	vector[1] = (struct iovec){&beyond, sizeof(beyond)};
	n = readv(link->fd, vector, 2);
	if (n < HEADER_LEN || (size_t)n > vector[0].iov_len) {
		rte_pktmbuf_free(mbuf);
		if (n >= 0)
			sp_count(&link->read_drops, 1);
		return n > 0;
	}
	mbuf->data_len = (uint16_t)n;
	mbuf->pkt_len = (uint32_t)n;
	mbuf->port = (uint16_t)(SP_PORTS_MAX + link->link->index);
	if (rte_ring_enqueue(kernel->routing->from_kernel, mbuf) != 0) {
		rte_pktmbuf_free(mbuf);
		sp_count(&link->read_drops, 1);
		return false;
	}
	sp_count(&link->from_kernel, 1);
	return true;
}

bool sp_ktap_read(struct sp_kernel *kernel)
{
	bool some = false;

	kernel->blocked = false;
	for (unsigned int i = 0; i < kernel->n_links; i++) {
		struct sp_klink *link = &kernel->links[(kernel->next_link + i) % kernel->n_links];
		unsigned int n = 0;

		while (link->readable && !kernel->blocked && link->fd >= 0 && n < READ_MAX && read_one(kernel, link))
			n++;
		link->readable = link->readable && (n == READ_MAX || kernel->blocked);
		some |= n > 0;
	}
	kernel->next_link = kernel->n_links > 0 ? (kernel->next_link + 1) % kernel->n_links : 0;
	return some;
}
