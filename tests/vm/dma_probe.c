/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Usage: dma_probe [--physical] PCI-ADDRESS
 * Drives the rings of an 82576 VF by hand, to see what the IOMMU lets it reach. One region of memory is the VF's; it is told to send a
 * frame from it, then one from an address outside; to receive one frame into it, then one at an address outside. What went well is printed;
 * the kernel that owns the IOMMU reports the rest as DMA faults.
 *
 * Through VFIO the region is what is mapped. With --physical, in a guest without an IOMMU of its own, the VF is driven from its BAR in
 * sysfs, by guest-physical addresses: the region is a huge page, outside is what lies beyond the guest's RAM, and the hypervisor's IOMMU is
 * asked.
 *
 * Registers: Intel 82576EB datasheet, sections 8.26 (virtual function registers) and 7.1, 7.2 (descriptors).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	VTCTRL = 0x0000,
	VMBMEM = 0x0800,
	V2PMAILBOX = 0x0c40,
	RDBAL = 0x2800,
	RDBAH = 0x2804,
	RDLEN = 0x2808,
	SRRCTL = 0x280c,
	RDH = 0x2810,
	RDT = 0x2818,
	RXDCTL = 0x2828,
	TDBAL = 0x3800,
	TDBAH = 0x3804,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
	TXDCTL = 0x3828,
};

#define VTCTRL_RESET     (1u << 26)
#define MAILBOX_REQ      (1u << 0) /* a message for the PF lies in VMBMEM */
#define MAILBOX_ACK      (1u << 1)
#define MAILBOX_VFU      (1u << 2) /* the buffer is the VF's */
#define MESSAGE_RESET    0x00000001u
#define MESSAGE_ACK      0x80000000u
#define QUEUE_ENABLE     (1u << 25)
#define SRRCTL_2KB       (2u | QUEUE_ONE_BUFFER)
#define QUEUE_ONE_BUFFER (1u << 25) /* SRRCTL.DESCTYPE 1: advanced, one buffer */

#define TX_DATA      (3u << 20)
#define TX_EOP       (1u << 24)
#define TX_IFCS      (1u << 25)
#define TX_RS        (1u << 27)
#define TX_ADVANCED  (1u << 29)
#define TX_DONE      1u
#define TX_PAYLEN(n) ((uint32_t)(n) << 14)
#define RX_DONE      1u

#define N_DESCRIPTORS 32
#define RING_BYTES    (N_DESCRIPTORS * 16)
#define FRAME_BYTES   60

#define MAPPED_IOVA  0x10000000u /* what is mapped through VFIO: MAPPED_BYTES from here */
#define MAPPED_BYTES 65536u
#define HUGE_BYTES   (2u << 20)
#define RX_RING      0x1000u /* offsets in the region */
#define TX_RING      0x2000u
#define TX_FRAME     0x4000u
#define RX_FRAME     0x6000u

/* Of VFIO: nowhere. Of guest-physical addresses: RAM of a hypervisor of 2 GB and more, beyond that of a guest of up to 1 GB. */
#define OUTSIDE_READ           0xdead0000u
#define OUTSIDE_WRITE          0xbeef0000u
#define OUTSIDE_READ_PHYSICAL  0x70000000u
#define OUTSIDE_WRITE_PHYSICAL 0x78000000u

struct descriptor {
	uint32_t word[4];
};

struct vf {
	int container, group, device;
	volatile uint32_t *registers;
	uint8_t *memory;
	uint64_t bus; /* address of `memory` as the VF says it */
	uint32_t outside_read, outside_write;
};

static _Noreturn void fail(const char *what)
{
	printf("dma_probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_register(struct vf *vf, unsigned int at, uint32_t value)
{
	vf->registers[at / 4] = value;
}

static uint32_t read_register(struct vf *vf, unsigned int at)
{
	return vf->registers[at / 4];
}

static void pause_ms(unsigned int ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

static void open_group(struct vf *vf, const char *address)
{
	char path[128], target[256], group[160];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.40s/iommu_group", address);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		fail(path);
	target[n] = '\0';
	snprintf(group, sizeof(group), "/dev/vfio/%.100s", basename(target));
	vf->container = open("/dev/vfio/vfio", O_RDWR);
	vf->group = open(group, O_RDWR);
	if (vf->container < 0 || vf->group < 0)
		fail(group);
	if (ioctl(vf->group, VFIO_GROUP_SET_CONTAINER, &vf->container) != 0 || ioctl(vf->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) != 0)
		fail("VFIO type 1");
}

/* PCI command: memory space and bus master */
static void enable(int fd, off_t config)
{
	uint16_t command;

	if (pread(fd, &command, sizeof(command), config + 4) != sizeof(command))
		fail("configuration space");
	command |= 0x6;
	if (pwrite(fd, &command, sizeof(command), config + 4) != sizeof(command))
		fail("configuration space");
}

static void open_device(struct vf *vf, const char *address)
{
	struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};
	struct vfio_region_info config = {.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};

	vf->device = ioctl(vf->group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (vf->device < 0 || ioctl(vf->device, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0 ||
		ioctl(vf->device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0)
		fail("the device");
	vf->registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, vf->device, (off_t)bar.offset);
	if (vf->registers == MAP_FAILED)
		fail("BAR 0");
	enable(vf->device, (off_t)config.offset);
}

static void map_memory(struct vf *vf)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE, .iova = MAPPED_IOVA, .size = MAPPED_BYTES};

	vf->memory = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (vf->memory == MAP_FAILED)
		fail("memory");
	map.vaddr = (uintptr_t)vf->memory;
	if (ioctl(vf->container, VFIO_IOMMU_MAP_DMA, &map) != 0)
		fail("VFIO_IOMMU_MAP_DMA");
	vf->bus = MAPPED_IOVA;
	vf->outside_read = OUTSIDE_READ;
	vf->outside_write = OUTSIDE_WRITE;
	printf("mapped: 0x%x to 0x%x\n", MAPPED_IOVA, MAPPED_IOVA + MAPPED_BYTES - 1);
}

static int open_in_sysfs(const char *address, const char *file)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.40s/%s", address, file);
	fd = open(path, O_RDWR | O_SYNC);
	if (fd < 0)
		fail(path);
	return fd;
}

/* The device's registers, without a driver. */
static void open_in_place(struct vf *vf, const char *address)
{
	enable(open_in_sysfs(address, "config"), 0);
	vf->device = open_in_sysfs(address, "resource0");
	vf->registers = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, vf->device, 0);
	if (vf->registers == MAP_FAILED)
		fail("BAR 0");
}

/* A huge page stays where it is, and is in one piece. */
static void take_huge_page(struct vf *vf)
{
	int map = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	vf->memory = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (vf->memory == MAP_FAILED)
		fail("a huge page");
	memset(vf->memory, 0, HUGE_BYTES);
	if (map < 0 || pread(map, &entry, sizeof(entry), (off_t)((uintptr_t)vf->memory / 4096 * sizeof(entry))) != sizeof(entry))
		fail("/proc/self/pagemap");
	vf->bus = (entry & ((UINT64_C(1) << 55) - 1)) * 4096;
	vf->outside_read = OUTSIDE_READ_PHYSICAL;
	vf->outside_write = OUTSIDE_WRITE_PHYSICAL;
	printf("own page: 0x%llx\n", (unsigned long long)vf->bus);
}

/* The PF enables a VF's queues when it answers the reset message. */
static void reset_vf(struct vf *vf)
{
	write_register(vf, VTCTRL, VTCTRL_RESET);
	pause_ms(20);
	write_register(vf, V2PMAILBOX, MAILBOX_VFU);
	write_register(vf, VMBMEM, MESSAGE_RESET);
	write_register(vf, V2PMAILBOX, MAILBOX_REQ);
	for (unsigned int i = 0; i < 100 && read_register(vf, VMBMEM) != (MESSAGE_RESET | MESSAGE_ACK); i++)
		pause_ms(10);
	printf("mailbox: %s\n", read_register(vf, VMBMEM) == (MESSAGE_RESET | MESSAGE_ACK) ? "the PF answers" : "no answer");
	write_register(vf, V2PMAILBOX, MAILBOX_ACK);
}

static void start_queues(struct vf *vf)
{
	write_register(vf, RDBAL, (uint32_t)(vf->bus + RX_RING));
	write_register(vf, RDBAH, (uint32_t)(vf->bus >> 32));
	write_register(vf, RDLEN, RING_BYTES);
	write_register(vf, SRRCTL, SRRCTL_2KB);
	write_register(vf, RXDCTL, QUEUE_ENABLE);
	write_register(vf, TDBAL, (uint32_t)(vf->bus + TX_RING));
	write_register(vf, TDBAH, (uint32_t)(vf->bus >> 32));
	write_register(vf, TDLEN, RING_BYTES);
	write_register(vf, TXDCTL, QUEUE_ENABLE);
	pause_ms(20);
	write_register(vf, RDH, 0);
	write_register(vf, TDH, 0);
	write_register(vf, TDT, 0);
}

/* Tells the VF to send what lies at the address `from` as descriptor i; whether it reports the descriptor done. */
static int send_from(struct vf *vf, unsigned int i, uint64_t from)
{
	volatile struct descriptor *d = (volatile struct descriptor *)(vf->memory + TX_RING) + i;

	d->word[0] = (uint32_t)from;
	d->word[1] = (uint32_t)(from >> 32);
	d->word[2] = FRAME_BYTES | TX_DATA | TX_EOP | TX_IFCS | TX_RS | TX_ADVANCED;
	d->word[3] = TX_PAYLEN(FRAME_BYTES);
	__sync_synchronize();
	write_register(vf, TDT, i + 1);
	for (unsigned int ms = 0; ms < 300 && (d->word[3] & TX_DONE) == 0; ms += 10)
		pause_ms(10);
	return (d->word[3] & TX_DONE) != 0;
}

static void probe_reads(struct vf *vf)
{
	static const uint8_t header[] = {0x02, 0, 0, 0, 0xaa, 1, 0x02, 0, 0, 0, 0, 0x10, 0x88, 0xb5}; /* IEEE local experimental */

	memcpy(vf->memory + TX_FRAME, header, sizeof(header));
	memcpy(vf->memory + TX_FRAME + sizeof(header), "FROM-MAPPED-MEMORY", 18);
	printf("read inside: %s\n", send_from(vf, 0, vf->bus + TX_FRAME) ? "done" : "not done");
	send_from(vf, 1, vf->outside_read);
	printf("read outside: told to send from 0x%x\n", vf->outside_read);
}

/* Gives the VF two buffers; the caller of this program has two frames sent to it once "armed" is printed. */
static void probe_writes(struct vf *vf)
{
	volatile struct descriptor *d = (volatile struct descriptor *)(vf->memory + RX_RING);
	static const uint8_t empty[FRAME_BYTES];

	memset((void *)(vf->memory + RX_RING), 0, RING_BYTES);
	d[0].word[0] = (uint32_t)(vf->bus + RX_FRAME);
	d[0].word[1] = (uint32_t)(vf->bus >> 32);
	d[1].word[0] = vf->outside_write;
	__sync_synchronize();
	write_register(vf, RDT, 2);
	printf("armed\n");
	for (unsigned int ms = 0; ms < 8000 && read_register(vf, RDH) < 2; ms += 20)
		pause_ms(20);
	printf("write inside: %s\n", memcmp(vf->memory + RX_FRAME, empty, sizeof(empty)) != 0 ? "done" : "not done");
	printf("write outside: %s to write to 0x%x\n", read_register(vf, RDH) >= 2 ? "tried" : "not tried", vf->outside_write);
}

int main(int argc, char **argv)
{
	bool physical = argc == 3 && strcmp(argv[1], "--physical") == 0;
	const char *address = argv[argc - 1];
	struct vf vf = {0};

	if (argc != (physical ? 3 : 2)) {
		printf("usage: dma_probe [--physical] PCI-ADDRESS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (physical) {
		open_in_place(&vf, address);
		take_huge_page(&vf);
	} else {
		open_group(&vf, address);
		open_device(&vf, address);
		map_memory(&vf);
	}
	reset_vf(&vf);
	start_queues(&vf);
	probe_reads(&vf);
	probe_writes(&vf);
	printf("end\n");
	return 0;
}
