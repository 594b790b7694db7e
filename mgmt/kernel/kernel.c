/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread: a turn moves packets, then what Linux and the workers ask for, each a bounded number, and sleeps until a TAP or a socket has
 * something, or for a millisecond or two, because rings wake nobody.
 */
#define _GNU_SOURCE 1 /* setns, ppoll, pthread_setname_np */
#include "mgmt/kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <rte_cycles.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/kernel/internal.h"

#define BUSY_NS    (500 * 1000)
#define IDLE_NS    (2 * 1000 * 1000)
#define IDLE_TURNS 16 /* without anything to do, until the longer sleep */
#define TICK_MS    100
#define LOG_LINES  10 /* a second */
#define YIELD_NS   (50 * 1000)
#define YIELDS_MAX 200 /* that the thread lets others have the tables for, at a time */
#define WHY_MAX    256

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SP_MS_PER_SEC + now.tv_nsec / 1000000;
}

uint32_t sp_kclock_sec(const struct sp_kernel *kernel)
{
	const struct sp_dataplane *dataplane = kernel->dataplane;

	/* As workers have it (sp_nexthop.used): of a millisecond clock that wraps. */
	return dataplane->tsc_hz != 0 ? (uint32_t)((rte_rdtsc() - dataplane->tsc_start) / (dataplane->tsc_hz / 1000)) / 1000 : 0;
}

/* Lines are counted by the second; what one was too many for is said when it is over. */
static void begin_log(struct sp_kernel *kernel)
{
	if (kernel->now_ms - kernel->log_ms < SP_MS_PER_SEC)
		return;
	if (kernel->log_lines > LOG_LINES)
		fprintf(stderr, "sallyport: %u more lines about links, routes and neighbours\n", kernel->log_lines - LOG_LINES);
	kernel->log_ms = kernel->now_ms;
	kernel->log_lines = 0;
}

void sp_klog(struct sp_kernel *kernel, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list args;

	begin_log(kernel);
	if (kernel->log_lines++ >= LOG_LINES)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stderr, "sallyport: %s\n", text);
}

/* --- the thread -------------------------------------------------------------------------------------------------------------------- */

/* Whoever waits for the tables gets them now: a mutex alone would let the thread take them again and again. */
static void yield(struct sp_kernel *kernel)
{
	static const struct timespec pause = {.tv_nsec = YIELD_NS};

	for (unsigned int n = 0; n < YIELDS_MAX && __atomic_load_n(&kernel->waiting, __ATOMIC_RELAXED) != 0; n++)
		nanosleep(&pause, NULL);
}

static void tick(struct sp_kernel *kernel)
{
	if (kernel->now_ms - kernel->tick_ms < TICK_MS)
		return;
	kernel->tick_ms = kernel->now_ms;
	begin_log(kernel);
	sp_klinks_tick(kernel);
	sp_kneighbours_tick(kernel);
}

static bool turn(struct sp_kernel *kernel)
{
	bool some;

	kernel->now_ms = clock_ms();
	some = sp_ktap_write(kernel);
	some |= sp_ktap_read(kernel);
	yield(kernel);
	pthread_mutex_lock(&kernel->lock);
	some |= sp_kneighbours_resolve(kernel);
	some |= sp_knetlink_turn(kernel);
	some |= sp_kprefixes_turn(kernel);
	some |= sp_kneighbours_hosts(kernel);
	tick(kernel);
	pthread_mutex_unlock(&kernel->lock);
	return some;
}

/* Sleeps until a TAP or a socket has something, or the time is up; learns which TAPs have. */
static void wait(struct sp_kernel *kernel, long ns)
{
	struct timespec time = {.tv_nsec = ns};
	struct pollfd fds[SP_LINKS_MAX + 3];
	nfds_t n = kernel->n_links;

	/* a TAP that is gone has no descriptor, and what cannot be taken need not wake anybody */
	for (unsigned int i = 0; i < kernel->n_links; i++)
		fds[i] = (struct pollfd){.fd = kernel->blocked ? -1 : kernel->links[i].fd, .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = mnl_socket_get_fd(kernel->netlink.events), .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = mnl_socket_get_fd(kernel->netlink.neighbours), .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = mnl_socket_get_fd(kernel->netlink.dump), .events = POLLIN};
	if (ppoll(fds, n, &time, NULL) < 0)
		return;
	for (unsigned int i = 0; i < kernel->n_links; i++)
		kernel->links[i].readable |= (fds[i].revents & POLLIN) != 0;
}

static void *run(void *arg)
{
	struct sp_kernel *kernel = arg;
	unsigned int idle = 0;

	while (!__atomic_load_n(&kernel->stop, __ATOMIC_ACQUIRE)) {
		idle = turn(kernel) ? 0 : idle + 1;
		wait(kernel, idle == 0 ? 0 : idle < IDLE_TURNS ? BUSY_NS : IDLE_NS);
	}
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

static int make_links(struct sp_kernel *kernel)
{
	struct sp_routing *routing = kernel->routing;

	kernel->n_links = routing->n_links;
	kernel->links = calloc(routing->n_links + 1, sizeof(*kernel->links));
	if (kernel->links == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < kernel->n_links; i++) {
		struct sp_klink *link = &kernel->links[i];

		link->link = &routing->links[i];
		link->fd = -1;
		for (unsigned int f = 0; f < 2; f++)
			if (sp_nexthop_create(routing, (uint16_t)i, f == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, NULL, &link->glean[f]) != 0)
				return -ENOSPC;
	}
	sp_klinks_index(kernel);
	return 0;
}

struct sp_kernel *sp_kernel_make(struct sp_dataplane *dataplane, struct rte_mempool *pool)
{
	struct sp_kernel *kernel = calloc(1, sizeof(*kernel));
	const struct sp_route_config *config = &dataplane->routing->config;
	int rc;

	if (kernel == NULL)
		return NULL;
	pthread_mutex_init(&kernel->lock, NULL);
	kernel->dataplane = dataplane;
	kernel->routing = dataplane->routing;
	kernel->pool = pool;
	kernel->dirty_end = &kernel->dirty;
	kernel->epoch = 1;
	kernel->now_ms = clock_ms();
	rc = sp_map_init(&kernel->prefixes, config->max4 + config->max6 + config->neighbours);
	if (rc == 0)
		rc = sp_map_init(&kernel->neighbours, config->neighbours);
	if (rc == 0)
		rc = sp_map_init(&kernel->hopsets, SP_NEXTHOP_GROUPS_MAX + config->neighbours);
	if (rc == 0)
		rc = sp_map_init(&kernel->objects, SP_KOBJECT_CHAINS);
	if (rc == 0)
		rc = make_links(kernel);
	if (rc == 0)
		return kernel;
	sp_kernel_free(kernel);
	errno = -rc;
	return NULL;
}

static void free_prefixes(struct sp_kernel *kernel)
{
	for (uint32_t chain = 0; kernel->prefixes.chains != NULL && chain <= kernel->prefixes.mask; chain++)
		while (kernel->prefixes.chains[chain] != NULL) {
			struct sp_kprefix *prefix = SP_CONTAINER(kernel->prefixes.chains[chain], struct sp_kprefix, node);

			sp_kroutes_free(kernel, prefix);
			sp_hopset_put(kernel, prefix->installed);
			sp_map_remove(&kernel->prefixes, &prefix->node);
			free(prefix);
		}
}

static void free_neighbours(struct sp_kernel *kernel)
{
	for (uint32_t chain = 0; kernel->neighbours.chains != NULL && chain <= kernel->neighbours.mask; chain++)
		while (kernel->neighbours.chains[chain] != NULL) {
			struct sp_kneighbour *neighbour = SP_CONTAINER(kernel->neighbours.chains[chain], struct sp_kneighbour, node);

			sp_map_remove(&kernel->neighbours, &neighbour->node);
			free(neighbour);
		}
}

static void free_objects(struct sp_kernel *kernel)
{
	for (uint32_t chain = 0; kernel->objects.chains != NULL && chain <= kernel->objects.mask; chain++)
		while (kernel->objects.chains[chain] != NULL)
			sp_kobject_free(kernel, SP_CONTAINER(kernel->objects.chains[chain], struct sp_kobject, node));
}

/* The workers' tables stay as they are: whoever made them frees them. */
void sp_kernel_free(struct sp_kernel *kernel)
{
	for (unsigned int i = 0; kernel->links != NULL && i < kernel->n_links; i++)
		sp_ktap_close(&kernel->links[i]);
	sp_knetlink_close(kernel);
	sp_kgroups_close(kernel);
	free_prefixes(kernel);
	free_objects(kernel);
	free_neighbours(kernel);
	sp_map_end(&kernel->prefixes);
	sp_map_end(&kernel->hopsets);
	sp_map_end(&kernel->objects);
	sp_map_end(&kernel->neighbours);
	free(kernel->links);
	pthread_mutex_destroy(&kernel->lock);
	free(kernel);
}

/* Goes into a namespace; *home is the way back, -1 when there was none to go to. */
static int enter(const char *namespace, int *home, char *why, size_t why_size)
{
	int there, rc = -1;

	*home = -1;
	if (namespace == NULL)
		return 0;
	there = open(namespace, O_RDONLY | O_CLOEXEC);
	*home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (there < 0)
		snprintf(why, why_size, "network namespace %s: %s; make it with `ip netns add`, or mend route.namespace", namespace,
			strerror(errno));
	else if (*home < 0 || setns(there, CLONE_NEWNET) != 0)
		snprintf(why, why_size, "network namespace %s cannot be entered: %s", namespace, strerror(errno));
	else
		rc = 0;
	if (there >= 0)
		close(there);
	if (rc != 0 && *home >= 0)
		close(*home);
	return rc;
}

static int leave(int home, char *why, size_t why_size)
{
	int rc = home >= 0 ? setns(home, CLONE_NEWNET) : 0;

	if (rc != 0)
		snprintf(why, why_size, "no way back from the network namespace: %s", strerror(errno));
	if (home >= 0)
		close(home);
	return rc;
}

static int open_all(struct sp_kernel *kernel, char *why, size_t why_size)
{
	for (unsigned int i = 0; i < kernel->n_links; i++)
		if (sp_ktap_open(kernel, &kernel->links[i], why, why_size) != 0)
			return -1;
	sp_klinks_index(kernel);
	if (sp_kgroups_open(kernel, why, why_size) != 0)
		return -1;
	return sp_knetlink_open(kernel, why, why_size);
}

struct sp_kernel *sp_kernel_create(
	struct sp_dataplane *dataplane, struct rte_mempool *pool, const char *namespace, char *why, size_t why_size)
{
	struct sp_kernel *kernel = sp_kernel_make(dataplane, pool);
	char ignored[WHY_MAX];
	int home, rc;

	if (kernel == NULL) {
		snprintf(why, why_size, "no memory for the tables of Linux: %s", strerror(errno));
		return NULL;
	}
	if (enter(namespace, &home, why, why_size) != 0)
		goto err_free;
	rc = open_all(kernel, why, why_size);
	if (rc != 0) {
		leave(home, ignored, sizeof(ignored));
		goto err_free;
	}
	if (leave(home, why, why_size) == 0)
		return kernel;

err_free:
	sp_kernel_free(kernel);
	return NULL;
}

int sp_kernel_start(struct sp_kernel *kernel)
{
	sigset_t all, before;
	int rc;

	/* signals are for the control thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&kernel->thread, NULL, run, kernel);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return -rc;
	kernel->started = true;
	pthread_setname_np(kernel->thread, "kernel");
	return 0;
}

static void empty(struct rte_ring *ring)
{
	void *mbuf;

	while (rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

void sp_kernel_stop(struct sp_kernel *kernel)
{
	if (kernel == NULL)
		return;
	__atomic_store_n(&kernel->stop, 1, __ATOMIC_RELEASE);
	if (kernel->started)
		pthread_join(kernel->thread, NULL);
	empty(kernel->routing->to_kernel);
	empty(kernel->routing->from_kernel);
	sp_kernel_free(kernel);
}
