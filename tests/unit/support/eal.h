/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL for unit tests: as an ordinary user, without huge pages or devices, any number of tests at the same time.
 */
#ifndef SP_TESTS_UNIT_SUPPORT_EAL_H
#define SP_TESTS_UNIT_SUPPORT_EAL_H

/* Starts EAL on one core with 1 GiB of ordinary memory; later calls of the same process do nothing. Aborts with a message when EAL does
 * not start, for nothing can be tested then. */
void sp_test_eal(void);

#endif
