/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network namespace of the test's own, for tests that need Linux's interfaces.
 */
#ifndef SP_TESTS_UNIT_SUPPORT_NETNS_H
#define SP_TESTS_UNIT_SUPPORT_NETNS_H

/* Moves the process into a new network namespace; an ordinary user becomes root of a user namespace for that. Before threads, so before
 * EAL. Aborts with a message when the kernel lets nobody do so. */
void sp_test_netns(void);

/* Runs a shell command there; aborts with a message when it fails. */
void sp_test_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
