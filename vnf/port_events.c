/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK reports events on its interrupt thread, where no control call may be made: there they only set a bit and wake the control thread,
 * which owns everything else here.
 *
 * A restart goes: pause the port; wait until every worker has ended the turn in which it may have used the device (QSBR); restart; end the
 * pause. What does not start is tried again, ever more slowly. A port that is gone stays paused.
 */
#include "vnf/port_events.h"

#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mgmt/ports.h"
#include "vnf/port.h"

#define QUIESCENT_POLL_NS 500000
#define QUIESCENT_POLLS   100 /* in one tick; the next goes on waiting */
#define RETRY_FIRST_MS    250
#define RETRY_DOUBLINGS   5     /* from the first wait to the longest, 8 s */
#define STEADY_MS         10000 /* after a link was up for so long, waits begin with the first again */
#define TELL_AGAIN_MS     60000 /* between two lines about one port that does not come back */
#define MAILBOX_WAIT_MS   1000  /* of DPDK's igb VF driver, for an answer of the PF */

enum happened { RESET = 1u << 0, REMOVED = 1u << 1 };

enum state { RUNS, PAUSES, RESTARTS, GONE };

struct watched {
	struct sp_port_events *events;
	struct sp_port *port;
	const struct sp_config_port *from;
	const struct sp_port_plan *plan;
	char device[RTE_DEV_NAME_MAX_LEN]; /* as its bus calls it */
	uint32_t happened;                 /* enum happened; set by DPDK's threads, taken by the control thread */
	enum state state;
	bool resets_silently; /* the driver shows a reset by the link only */
	bool wanted;          /* a restart is due */
	bool was_down;        /* the link, when last looked at */
	bool removed;
	uint64_t token;     /* of rte_rcu_qsbr_start, since the pause */
	unsigned int tries; /* since the link was last steady */
	int64_t not_before_ms, up_since_ms, told_ms;
};

struct sp_port_events {
	struct sp_launch *launch;
	struct sp_mgmt *mgmt; /* atomic */
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

/* The bus's view: the kernel asks for a device back that VFIO lent. */
static void on_device(const char *name, enum rte_dev_event_type event, void *context)
{
	(void)name;
	if (event == RTE_DEV_EVENT_REMOVE)
		note(context, REMOVED);
}

static const enum rte_eth_event_type events_heard[] = {
	RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_RECOVERY_FAILED};

#define N_EVENTS (sizeof(events_heard) / sizeof(events_heard[0]))

/* --- the control thread ---------------------------------------------------------------------------------------------------------- */

static void pause_port(struct watched *watched)
{
	__atomic_store_n(&watched->port->paused, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&watched->port->link_up, 0, __ATOMIC_RELAXED);
	watched->token = rte_rcu_qsbr_start(watched->events->launch->dataplane->qsbr);
	watched->state = PAUSES;
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

static void give_up(struct watched *watched)
{
	sp_ports_lock();
	sp_port_detach(watched->port);
	sp_ports_unlock();
	watched->state = GONE;
	fprintf(stderr, "sallyport: port %s (%s): the device was taken away; its traffic is dropped until the firewall is started anew\n",
		watched->port->name, watched->port->device);
}

/* sp_port_restart, and whether the PF answered: a driver with a mailbox waits a second for that, and then goes on as if nothing were. */
static int try_restart(struct watched *watched, char *why)
{
	int64_t began = now_ms();
	int rc;

	sp_ports_lock();
	rc = sp_port_restart(watched->port, watched->from, watched->plan, watched->events->launch->pool, why);
	sp_ports_unlock();
	if (rc == 0 && watched->resets_silently && now_ms() - began >= MAILBOX_WAIT_MS) {
		snprintf(why, SP_WHY_MAX, "port %s (%s): its PF does not answer", watched->port->name, watched->port->device);
		rc = -ETIMEDOUT;
	}
	return rc;
}

static void restart(struct watched *watched, int64_t now)
{
	unsigned int doublings = RTE_MIN(watched->tries, (unsigned int)RETRY_DOUBLINGS);
	char why[SP_WHY_MAX];
	int rc = try_restart(watched, why);

	watched->tries++;
	watched->not_before_ms = now_ms() + (RETRY_FIRST_MS << doublings);
	if (rc != 0) {
		__atomic_store_n(&watched->port->link_up, 0, __ATOMIC_RELAXED);
		if (watched->told_ms == 0 || now - watched->told_ms >= TELL_AGAIN_MS) {
			fprintf(stderr, "sallyport: %s; its traffic is dropped until a restart succeeds\n", why);
			watched->told_ms = now;
		}
		return;
	}
	fprintf(stderr, "sallyport: port %s (%s): restarted after a reset\n", watched->port->name, watched->port->device);
	watched->told_ms = 0;
	watched->up_since_ms = now;
	watched->was_down = false;
	watched->state = RUNS;
	__atomic_store_n(&watched->port->paused, 0, __ATOMIC_RELEASE);
}

static void watch_link(struct watched *watched, int64_t now)
{
	if (!__atomic_load_n(&watched->port->link_up, __ATOMIC_RELAXED)) {
		watched->up_since_ms = now;
		watched->was_down = true;
		return;
	}
	watched->wanted |= watched->was_down && watched->resets_silently;
	watched->was_down = false;
	if (now - watched->up_since_ms >= STEADY_MS)
		watched->tries = 0;
}

static void look(struct watched *watched)
{
	uint32_t happened = __atomic_exchange_n(&watched->happened, 0, __ATOMIC_ACQUIRE);
	int64_t now = now_ms();

	if (watched->state == GONE)
		return;
	watched->removed |= (happened & REMOVED) != 0;
	watched->wanted |= (happened & RESET) != 0;
	if (watched->state == RUNS)
		watch_link(watched, now);
	if (watched->state == RUNS && (watched->removed || (watched->wanted && now >= watched->not_before_ms))) {
		watched->wanted = false;
		pause_port(watched);
	}
	if (watched->state == PAUSES && left_alone(watched))
		watched->state = RESTARTS;
	if (watched->state != RESTARTS)
		return;
	if (watched->removed)
		give_up(watched);
	else if (now >= watched->not_before_ms)
		restart(watched, now);
}

void sp_port_events_tick(void *context)
{
	struct sp_port_events *events = context;

	for (unsigned int i = 0; i < events->n; i++)
		look(&events->ports[i]);
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

/*
 * The igb VF driver sets up no interrupt for its mailbox, so that a reset by the PF is not reported as an event. But the link goes down and
 * comes back with it, and until it is started anew after that, the VF's queues are dead.
 */
static bool resets_silently(const char *driver)
{
	return strcmp(driver, "net_e1000_igb_vf") == 0;
}

static void subscribe(struct watched *watched)
{
	struct rte_eth_dev_info info = {0};
	uint16_t ethdev = watched->port->ethdev;

	for (size_t e = 0; e < N_EVENTS; e++)
		rte_eth_dev_callback_register(ethdev, events_heard[e], on_event, watched);
	if (rte_eth_dev_info_get(ethdev, &info) != 0)
		return;
	watched->resets_silently = resets_silently(info.driver_name);
	if (info.device == NULL)
		return;
	snprintf(watched->device, sizeof(watched->device), "%s", rte_dev_name(info.device));
	rte_dev_event_callback_register(watched->device, on_device, watched);
}

struct sp_port_events *sp_port_events_begin(struct sp_launch *launch, const struct sp_config *config)
{
	struct sp_port_events *events = calloc(1, sizeof(*events));

	if (events == NULL)
		return NULL;
	events->launch = launch;
	events->n = launch->dataplane->n_ports;
	for (unsigned int i = 0, c = 0; i < events->n && c < config->n_ports; c++) {
		struct watched *watched = &events->ports[i];

		if (config->ports[c].parent >= 0)
			continue;
		*watched = (struct watched){.events = events,
			.port = &launch->dataplane->ports[i],
			.from = &config->ports[c],
			.plan = &launch->plans[i],
			.up_since_ms = now_ms()};
		subscribe(watched);
		i++;
	}
	return events;
}

void sp_port_events_wake(struct sp_port_events *events, struct sp_mgmt *mgmt)
{
	__atomic_store_n(&events->mgmt, mgmt, __ATOMIC_RELEASE);
}

/* A callback that runs at this moment cannot be taken off: it is short. */
static void unsubscribe(struct watched *watched)
{
	for (size_t e = 0; e < N_EVENTS && watched->state != GONE; e++)
		while (rte_eth_dev_callback_unregister(watched->port->ethdev, events_heard[e], on_event, watched) == -EAGAIN)
			rte_pause();
	while (watched->device[0] != '\0' && rte_dev_event_callback_unregister(watched->device, on_device, watched) == -EAGAIN)
		rte_pause();
}

void sp_port_events_end(struct sp_port_events *events)
{
	if (events == NULL)
		return;
	for (unsigned int i = 0; i < events->n; i++)
		unsubscribe(&events->ports[i]);
	free(events);
}
