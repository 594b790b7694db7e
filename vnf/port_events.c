/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK reports events on its interrupt thread, where no control call may be made: there they only set a bit and wake the control thread,
 * which owns everything else here.
 *
 *   RUNS --- reset, or taken away ---> PAUSES --- every worker has ended its turn (QSBR) ---> RESTARTS --- it starts ---> RUNS
 *                                                                                             RESTARTS --- taken away ---> ABSENT
 *                                                                                             ABSENT --- it opens ---> RUNS
 *
 * What does not start or open is tried again, ever more slowly; an absent device that comes to be seen, at once. A driver may take half a
 * minute for one step: in one tick one port's device is worked on, and the service manager is told that it may last.
 */
#include "vnf/port_events.h"

#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "mgmt/interface.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/port_state.h"
#include "mgmt/ports.h"
#include "vnf/port.h"
#include "vnf/port_attach.h"
#include "vnf/port_filters.h"
#include "vnf/rss.h"

#define QUIESCENT_POLL_NS 500000
#define QUIESCENT_POLLS   100 /* in one tick; the next goes on waiting */
#define RETRY_FIRST_MS    250
#define RETRY_DOUBLINGS   5     /* from the first wait to the longest, 8 s */
#define STEADY_MS         10000 /* after a link was up for so long, waits begin with the first again */
#define TELL_AGAIN_MS     60000 /* between two lines about one port that does not come back */
#define MAILBOX_WAIT_MS   1000  /* of DPDK's igb VF driver, for an answer of the PF */
#define LOOK_MS           1000  /* between two looks at whether a device is there, and at its MAC */

enum happened { RESET = 1u << 0, REMOVED = 1u << 1, APPEARED = 1u << 2 };

enum state { RUNS, PAUSES, RESTARTS, ABSENT };

struct watched {
	struct sp_port_events *events;
	struct sp_port *port;
	unsigned int index;
	const struct sp_config_port *from;
	char device[RTE_DEV_NAME_MAX_LEN]; /* as its bus calls it; "": not subscribed */
	unsigned int interface;            /* of Linux, that the device is or belongs to; 0: none */
	uint32_t happened;                 /* enum happened; set by DPDK's threads, taken by the control thread */
	enum state state;
	bool wanted;           /* a restart is due */
	bool was_down;         /* the link, when last looked at */
	bool settling;         /* the link was not seen up since the device was started */
	bool link_told;        /* the link as last told */
	bool removed;          /* taken away, for the reason in `why` */
	char why[128];         /* that it was taken away, or is restarted */
	char told[SP_WHY_MAX]; /* the last line about an absent device */
	uint64_t sight;        /* of its device (device.h) */
	uint8_t mac_there[6];  /* of `interface`, when the device was opened */
	bool mac_known;        /* it was asked */
	uint64_t token;        /* of rte_rcu_qsbr_start, since the pause */
	unsigned int tries;    /* since the link was last steady, or the device was last seen to change */
	int64_t not_before_ms, up_since_ms, told_ms, looked_ms, ran_ms;
	int64_t opened_ms; /* when it was last opened anew; 0: never */
};

struct sp_port_events {
	struct sp_launch *launch;
	const struct sp_config *config;
	struct sp_kernel *kernel;
	struct sp_port_filters *filters;
	struct sp_rss_watch *rss;
	struct sp_mgmt *mgmt; /* atomic */
	bool listens;         /* to devices that come */
	bool worked;          /* in this tick a device was worked on */
	unsigned int first;   /* of the next tick */
	unsigned int n;
	struct watched ports[SP_PORTS_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- DPDK's threads -------------------------------------------------------------------------------------------------------------- */

static void note(struct watched *watched, uint32_t happened)
{
	struct sp_mgmt *mgmt = __atomic_load_n(&watched->events->mgmt, __ATOMIC_ACQUIRE);

	__atomic_fetch_or(&watched->happened, happened, __ATOMIC_RELEASE);
	if (mgmt != NULL)
		sp_mgmt_wake(mgmt);
}

static int on_event(uint16_t ethdev, enum rte_eth_event_type event, void *context, void *unused)
{
	(void)ethdev;
	(void)unused;
	/* A change of link needs no bit: a control loop that is awake looks at every link. */
	note(context, event == RTE_ETH_EVENT_INTR_RESET ? RESET : event == RTE_ETH_EVENT_INTR_LSC ? 0 : REMOVED);
	return 0;
}

/* The bus's view: the kernel asks for a device back that VFIO lent, or removes one. */
static void on_device(const char *name, enum rte_dev_event_type event, void *context)
{
	(void)name;
	if (event == RTE_DEV_EVENT_REMOVE)
		note(context, REMOVED);
}

static void on_any_device(const char *name, enum rte_dev_event_type event, void *context)
{
	struct sp_port_events *events = context;

	(void)name;
	for (unsigned int i = 0; event == RTE_DEV_EVENT_ADD && i < events->n; i++)
		note(&events->ports[i], APPEARED);
}

static const enum rte_eth_event_type events_heard[] = {
	RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_RECOVERY_FAILED};

#define N_EVENTS (sizeof(events_heard) / sizeof(events_heard[0]))

/* --- telling --------------------------------------------------------------------------------------------------------------------- */

/* A line and an event; the reason is printed with printf's format, NULL: there is none to tell. */
__attribute__((format(printf, 4, 5))) static void tell(
	struct watched *watched, enum sp_port_event what, const char *line, const char *fmt, ...)
{
	struct sp_mgmt *mgmt = __atomic_load_n(&watched->events->mgmt, __ATOMIC_ACQUIRE);
	char reason[SP_WHY_MAX] = "";
	va_list args;

	if (fmt != NULL) {
		va_start(args, fmt);
		vsnprintf(reason, sizeof(reason), fmt, args);
		va_end(args);
	}
	fprintf(stderr, "sallyport: port %s (%s): %s%s%s\n", watched->port->name, watched->port->device, line, fmt != NULL ? ": " : "",
		reason);
	if (mgmt != NULL)
		sp_mgmt_port_event(mgmt, watched->port, what, fmt != NULL ? reason : NULL);
}

static void tell_link(struct watched *watched)
{
	bool up = __atomic_load_n(&watched->port->link_up, __ATOMIC_RELAXED) != 0;

	if (watched->state != RUNS || up == watched->link_told)
		return;
	watched->link_told = up;
	tell(watched, up ? SP_PORT_LINK_UP : SP_PORT_LINK_DOWN, up ? "link up" : "link down", NULL);
}

/* --- listening ------------------------------------------------------------------------------------------------------------------- */

/* The MAC of an interface of Linux, zeroes when it is not there; whether that is known. */
static bool interface_mac(unsigned int interface, uint8_t mac[6])
{
	struct ifreq request;
	int rc = sp_interface_ask(interface, SIOCGIFHWADDR, &request);

	memset(mac, 0, 6);
	if (rc == 0)
		memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return rc == 0 || rc == -ENODEV;
}

static void subscribe(struct watched *watched)
{
	struct rte_eth_dev_info info = {0};
	uint16_t ethdev = watched->port->ethdev;

	watched->interface = 0;
	for (size_t e = 0; e < N_EVENTS; e++)
		rte_eth_dev_callback_register(ethdev, events_heard[e], on_event, watched);
	if (rte_eth_dev_info_get(ethdev, &info) != 0 || info.device == NULL)
		return;
	watched->interface = info.if_index;
	watched->mac_known = interface_mac(watched->interface, watched->mac_there);
	snprintf(watched->device, sizeof(watched->device), "%s", rte_dev_name(info.device));
	rte_dev_event_callback_register(watched->device, on_device, watched);
	watched->sight = sp_device_sight_open(&watched->from->device, watched->device);
}

/* A callback that runs at this moment cannot be taken off: it is short. */
static void unsubscribe(struct watched *watched)
{
	for (size_t e = 0; e < N_EVENTS && rte_eth_dev_is_valid_port(watched->port->ethdev); e++)
		while (rte_eth_dev_callback_unregister(watched->port->ethdev, events_heard[e], on_event, watched) == -EAGAIN)
			rte_pause();
	while (watched->device[0] != '\0' && rte_dev_event_callback_unregister(watched->device, on_device, watched) == -EAGAIN)
		rte_pause();
	watched->device[0] = '\0';
}

/* --- a port that runs ------------------------------------------------------------------------------------------------------------- */

static void set_state(struct watched *watched, enum sp_port_state state, const char *what, const char *why)
{
	char text[SP_WHY_MAX + 64];

	snprintf(text, sizeof(text), "port %s (%s): %s%s%s", watched->port->name, watched->port->device, what, why[0] != '\0' ? ": " : "",
		why);
	sp_port_state_set(watched->port, state, state == SP_PORT_RUNNING ? NULL : text);
}

static void pause_port(struct watched *watched)
{
	__atomic_store_n(&watched->port->paused, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&watched->port->link_up, 0, __ATOMIC_RELAXED);
	watched->token = rte_rcu_qsbr_start(watched->events->launch->dataplane->qsbr);
	watched->state = PAUSES;
	set_state(watched, SP_PORT_RESTARTING, "its device is being restarted", watched->why);
}

/* Whether no worker uses the device any more. */
static bool left_alone(const struct watched *watched)
{
	const struct timespec pause = {.tv_nsec = QUIESCENT_POLL_NS};

	for (unsigned int i = 0; i < QUIESCENT_POLLS; i++) {
		if (rte_rcu_qsbr_check(watched->events->launch->dataplane->qsbr, watched->token, false) == 1)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* The device runs: what depends on it follows, and the workers take it. */
static void run_port(struct watched *watched, const uint8_t mac_before[6])
{
	static const uint8_t none[6];
	struct sp_port *port = watched->port;
	const uint8_t *mac = port->mac;

	watched->told_ms = 0;
	watched->told[0] = '\0';
	watched->up_since_ms = watched->ran_ms = now_ms();
	watched->settling = true;
	watched->was_down = watched->wanted = watched->removed = false;
	watched->why[0] = '\0';
	watched->state = RUNS;
	if (memcmp(mac, mac_before, 6) != 0 && memcmp(mac_before, none, 6) != 0)
		tell(watched, SP_PORT_MAC_CHANGED, "its MAC changed",
			"%02x:%02x:%02x:%02x:%02x:%02x now, %02x:%02x:%02x:%02x:%02x:%02x before", mac[0], mac[1], mac[2], mac[3], mac[4],
			mac[5], mac_before[0], mac_before[1], mac_before[2], mac_before[3], mac_before[4], mac_before[5]);
	if (watched->events->kernel != NULL)
		sp_kernel_port_changed(watched->events->kernel, port);
	sp_port_state_set(port, SP_PORT_RUNNING, NULL);
	__atomic_store_n(&port->paused, 0, __ATOMIC_RELEASE);
}

/* The next try, later each time. */
static void count_try(struct watched *watched)
{
	unsigned int doublings = RTE_MIN(watched->tries, (unsigned int)RETRY_DOUBLINGS);

	watched->tries++;
	watched->not_before_ms = now_ms() + (RETRY_FIRST_MS << doublings);
}

/* A step that a driver may take long for, unless another port had one in this tick: then it is for the next. */
static void work(struct watched *watched, void (*step)(struct watched *watched))
{
	struct sp_port_events *events = watched->events;
	struct sp_mgmt *mgmt = __atomic_load_n(&events->mgmt, __ATOMIC_ACQUIRE);
	bool told;

	if (events->worked)
		return;
	events->worked = true;
	events->first = watched->index + 1;
	told = sp_mgmt_wait_begin(mgmt);
	step(watched);
	sp_mgmt_wait_end(mgmt, told);
}

/* sp_port_restart, and whether the PF answered: a driver with a mailbox waits a second for that, and then goes on as if nothing were. */
static int try_restart(struct watched *watched, char *why)
{
	struct sp_launch *launch = watched->events->launch;
	const struct sp_port_plan *plan = &launch->plans[watched->index];
	int64_t began = now_ms();
	int rc;

	sp_port_lock(watched->port);
	rc = sp_port_restart(watched->port, watched->from, plan, launch->pool, why);
	sp_port_unlock(watched->port);
	if (rc == 0 && plan->quirks->resets == SP_RESETS_LINK && now_ms() - began >= MAILBOX_WAIT_MS) {
		snprintf(why, SP_WHY_MAX, "port %s (%s): its PF does not answer; check that it is up on the host", watched->port->name,
			watched->port->device);
		rc = -ETIMEDOUT;
	}
	return rc;
}

static void close_device(struct watched *watched)
{
	sp_port_lock(watched->port);
	sp_port_detach(watched->port);
	sp_port_unlock(watched->port);
}

/*
 * sp_port_attach, and whether the PF answered: a driver with a mailbox goes on without, after a second or at once, and gives the device a
 * MAC address of its own making, another one each time. So one that is new must come twice. How long it took says nothing: on a VM that
 * gets little of its CPUs, a good attach takes seconds, too. -ETIMEDOUT: the PF did not answer, and the port has no device.
 */
static int open_device(struct watched *watched, char *why)
{
	struct sp_port_events *events = watched->events;
	struct sp_port *port = watched->port;
	uint8_t known[6], seen[6];
	int rc;

	memcpy(known, port->mac, sizeof(known));
	rc = sp_port_attach(events->launch, events->config, watched->from, watched->index, why);
	if (rc != 0 || events->launch->plans[watched->index].quirks->resets != SP_RESETS_LINK)
		return rc;
	memcpy(seen, port->mac, sizeof(seen));
	if (memcmp(seen, known, sizeof(seen)) == 0)
		return 0;
	close_device(watched);
	sp_mac_store(&port->mac_word, known);
	rc = sp_port_attach(events->launch, events->config, watched->from, watched->index, why);
	if (rc != 0)
		return rc;
	if (memcmp(seen, port->mac, sizeof(seen)) == 0)
		return 0;
	close_device(watched);
	sp_mac_store(&port->mac_word, known);
	snprintf(why, SP_WHY_MAX, "port %s (%s): its PF does not answer; check that it is up on the host", port->name, port->device);
	return -ETIMEDOUT;
}

/*
 * A driver that does not tell of resets does not read its MAC anew either, unless its device is opened anew: once the PF answers, that is
 * done as well. Its link may go down and up with that, which looks like the next reset: so not again until it is steady. -ETIMEDOUT: the
 * PF did not answer meanwhile; the port has no device, and this is to be tried again.
 */
static int reopen(struct watched *watched, char *why)
{
	struct sp_port_events *events = watched->events;
	int rc;

	if (rte_eth_dev_is_valid_port(watched->port->ethdev)) {
		/* One that is named by its MAC would not be found by it any more: it stays as it is. */
		if (watched->from->device.kind == SP_DEVICE_MAC)
			return 0;
		if (events->launch->plans[watched->index].quirks->resets != SP_RESETS_LINK ||
			(watched->opened_ms != 0 && now_ms() - watched->opened_ms < STEADY_MS))
			return 0;
		unsubscribe(watched);
		close_device(watched);
	}
	rc = open_device(watched, why);
	watched->opened_ms = now_ms();
	if (rc == 0)
		subscribe(watched);
	return rc;
}

/* What was reopened and does not open is looked for, as a device that was taken away. */
static void lose(struct watched *watched, const char *why)
{
	watched->state = ABSENT;
	watched->link_told = watched->removed = watched->wanted = false;
	watched->sight = 0;
	sp_port_state_set(watched->port, SP_PORT_ABSENT, why);
	tell(watched, SP_PORT_GONE, "the device does not open anew after a reset", "%s", why);
}

static void restart(struct watched *watched)
{
	char why[SP_WHY_MAX];
	uint8_t mac[6];
	int64_t now;
	int rc;

	memcpy(mac, watched->port->mac, sizeof(mac));
	rc = rte_eth_dev_is_valid_port(watched->port->ethdev) ? try_restart(watched, why) : 0;
	count_try(watched);
	if (rc == 0) {
		rc = reopen(watched, why);
		if (rc != 0 && rc != -ETIMEDOUT) {
			lose(watched, why);
			return;
		}
	}
	if (rc == 0) {
		run_port(watched, mac);
		tell(watched, SP_PORT_RESTARTED, "restarted after a reset", NULL);
		return;
	}
	__atomic_store_n(&watched->port->link_up, 0, __ATOMIC_RELAXED);
	sp_port_state_set(watched->port, SP_PORT_RESTARTING, why);
	now = now_ms();
	if (watched->told_ms == 0 || now - watched->told_ms >= TELL_AGAIN_MS) {
		fprintf(stderr, "sallyport: %s; its traffic is dropped until a restart succeeds\n", why);
		watched->told_ms = now;
	}
}

static void watch_link(struct watched *watched, int64_t now)
{
	const struct sp_quirks *quirks = watched->events->launch->plans[watched->index].quirks;

	if (!__atomic_load_n(&watched->port->link_up, __ATOMIC_RELAXED)) {
		watched->up_since_ms = now;
		/* A link that comes up some time after our own restart is no sign of another reset. */
		watched->was_down = !watched->settling || now - watched->ran_ms >= STEADY_MS;
		return;
	}
	watched->settling = false;
	if (watched->was_down && quirks->resets == SP_RESETS_LINK) {
		watched->wanted = true;
		snprintf(watched->why, sizeof(watched->why), "its link came back, and its driver does not tell of resets");
	}
	watched->was_down = false;
	if (now - watched->up_since_ms >= STEADY_MS)
		watched->tries = 0;
}

/* --- a device that is taken away, and one that comes ---------------------------------------------------------------------------------- */

static void remove_for(struct watched *watched, const char *why)
{
	if (!watched->removed)
		snprintf(watched->why, sizeof(watched->why), "%s", why);
	watched->removed = true;
}

/* What no driver reports: that its device is gone from Linux, or has another MAC there. */
static void look_at_device(struct watched *watched, int64_t now)
{
	uint64_t sight;
	uint8_t mac[6];

	if (now - watched->looked_ms < LOOK_MS || watched->device[0] == '\0')
		return;
	watched->looked_ms = now;
	sight = sp_device_sight_open(&watched->from->device, watched->device);
	if (watched->sight == SP_SIGHT_UNKNOWN)
		watched->sight = sight;
	if (sight != watched->sight && sight != SP_SIGHT_UNKNOWN)
		remove_for(watched, "it is not there any more, or another driver has it");
	if (watched->interface == 0 || watched->removed || !interface_mac(watched->interface, mac))
		return;
	if (!watched->mac_known)
		memcpy(watched->mac_there, mac, sizeof(mac));
	watched->mac_known = true;
	if (memcmp(mac, watched->mac_there, sizeof(mac)) != 0)
		remove_for(watched, "it was given another MAC");
}

static void give_up(struct watched *watched)
{
	unsubscribe(watched);
	close_device(watched);
	watched->state = ABSENT;
	watched->link_told = false;
	watched->removed = watched->wanted = false;
	watched->sight = 0;
	watched->tries = 0;
	watched->not_before_ms = watched->looked_ms = 0;
	set_state(watched, SP_PORT_ABSENT, "the device was taken away; it is used again when it is back", watched->why);
	tell(watched, SP_PORT_GONE, "the device was taken away; its traffic is dropped until it is back", "%s", watched->why);
}

static void attach(struct watched *watched)
{
	char why[SP_WHY_MAX];
	uint8_t mac[6];
	int rc;

	memcpy(mac, watched->port->mac, sizeof(mac));
	rc = open_device(watched, why);
	count_try(watched);
	if (rc == 0) {
		__atomic_store_n(&watched->happened, 0, __ATOMIC_RELAXED); /* of the former device */
		subscribe(watched);
		run_port(watched, mac);
		tell(watched, SP_PORT_ATTACHED, "the device is there: the port runs", NULL);
		sp_port_print(watched->port, stderr);
		return;
	}
	sp_port_state_set(watched->port, SP_PORT_ABSENT, why);
	if (strcmp(why, watched->told) != 0)
		fprintf(stderr, "sallyport: %s\n", why);
	snprintf(watched->told, sizeof(watched->told), "%s", why);
}

static void look_for_device(struct watched *watched, int64_t now, bool at_once)
{
	uint64_t sight;

	if (now - watched->looked_ms < LOOK_MS && !at_once)
		return;
	watched->looked_ms = now;
	sight = sp_device_sight(&watched->from->device);
	if (sight == SP_SIGHT_UNKNOWN)
		return;
	if (sight != watched->sight) {
		watched->sight = sight;
		watched->tries = 0;
		watched->not_before_ms = 0;
	}
	/* One that is not there is tried once, so that the reason is told as it is now. */
	if (now >= watched->not_before_ms && (sight != 0 || watched->tries == 0))
		work(watched, attach);
}

/* --- the control thread ---------------------------------------------------------------------------------------------------------- */

static void look(struct watched *watched)
{
	int64_t now = now_ms();
	uint32_t happened;

	/* What happened to an absent one asks for work at once: it waits for its turn. */
	if (watched->state == ABSENT && watched->events->worked)
		return;
	happened = __atomic_exchange_n(&watched->happened, 0, __ATOMIC_ACQUIRE);
	if (watched->state == ABSENT) {
		look_for_device(watched, now, (happened & APPEARED) != 0);
		return;
	}
	if (happened & REMOVED)
		remove_for(watched, "the kernel, or the host, asked for it");
	if (happened & RESET) {
		watched->wanted = true;
		snprintf(watched->why, sizeof(watched->why), "it was reset by its PF or its host");
	}
	look_at_device(watched, now);
	if (watched->state == RUNS)
		watch_link(watched, now);
	if (watched->state == RUNS && (watched->removed || (watched->wanted && now >= watched->not_before_ms))) {
		if (!watched->removed)
			tell(watched, SP_PORT_RESET, "restarting", "%s", watched->why);
		watched->wanted = false;
		pause_port(watched);
	}
	if (watched->state == PAUSES && left_alone(watched))
		watched->state = RESTARTS;
	if (watched->state != RESTARTS)
		return;
	if (watched->removed)
		work(watched, give_up);
	else if (now >= watched->not_before_ms)
		work(watched, restart);
}

void sp_port_events_tick(void *context)
{
	struct sp_port_events *events = context;
	struct sp_mgmt *mgmt = __atomic_load_n(&events->mgmt, __ATOMIC_ACQUIRE);
	unsigned int first = events->first;

	events->worked = false;
	for (unsigned int i = 0; i < events->n; i++) {
		struct watched *watched = &events->ports[(first + i) % events->n];

		look(watched);
		tell_link(watched);
	}
	sp_port_filters_tick(events->filters, mgmt);
	sp_rss_tick(events->rss);
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

static void begin_port(struct sp_port_events *events, unsigned int index, const struct sp_config_port *from)
{
	struct watched *watched = &events->ports[index];

	*watched = (struct watched){.events = events,
		.port = &events->launch->dataplane->ports[index],
		.index = index,
		.from = from,
		.state = RUNS,
		.up_since_ms = now_ms()};
	watched->link_told = watched->port->link_up != 0;
	if (sp_port_state_why(watched->port, watched->told) == SP_PORT_ABSENT) {
		watched->state = ABSENT;
		watched->sight = sp_device_sight(&from->device);
		count_try(watched);
	} else {
		subscribe(watched);
	}
}

/* Linux tells of PCI devices that come and go. Where it does not, there is the look that is taken every second. */
static void listen_to_bus(struct sp_port_events *events)
{
	bool hardware = false;

	for (unsigned int i = 0; i < events->n; i++)
		hardware |= events->ports[i].from->device.kind != SP_DEVICE_VDEV;
	if (!hardware)
		return;
	/* Without an IOMMU a device's registers may be gone before that is told. */
	if (sp_eal_uses_physical())
		rte_dev_hotplug_handle_enable();
	events->listens = rte_dev_event_monitor_start() == 0;
	rte_dev_event_callback_register(NULL, on_any_device, events);
}

struct sp_port_events *sp_port_events_begin(struct sp_launch *launch, const struct sp_config *config, struct sp_kernel *kernel)
{
	struct sp_port_events *events = calloc(1, sizeof(*events));

	if (events == NULL)
		return NULL;
	events->filters = sp_port_filters_begin(launch, kernel);
	events->rss = sp_rss_begin(launch->dataplane);
	if (events->filters == NULL || events->rss == NULL) {
		sp_port_filters_end(events->filters);
		sp_rss_end(events->rss);
		free(events);
		return NULL;
	}
	events->launch = launch;
	events->config = config;
	events->kernel = kernel;
	events->n = launch->dataplane->n_ports;
	for (unsigned int i = 0, c = 0; i < events->n && c < config->n_ports; c++)
		if (config->ports[c].parent < 0)
			begin_port(events, i++, &config->ports[c]);
	listen_to_bus(events);
	return events;
}

void sp_port_events_wake(struct sp_port_events *events, struct sp_mgmt *mgmt)
{
	__atomic_store_n(&events->mgmt, mgmt, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < events->n; i++)
		if (events->ports[i].state == ABSENT)
			sp_mgmt_port_event(mgmt, events->ports[i].port, SP_PORT_GONE, events->ports[i].told);
}

void sp_port_events_end(struct sp_port_events *events)
{
	if (events == NULL)
		return;
	while (rte_dev_event_callback_unregister(NULL, on_any_device, events) == -EAGAIN)
		rte_pause();
	if (events->listens)
		rte_dev_event_monitor_stop();
	for (unsigned int i = 0; i < events->n; i++)
		unsubscribe(&events->ports[i]);
	sp_port_filters_end(events->filters);
	sp_rss_end(events->rss);
	free(events);
}
