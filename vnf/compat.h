/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What DPDK 22.11 and 24.11 call differently, for this room. Nothing older is known to work.
 */
#ifndef SP_VNF_COMPAT_H
#define SP_VNF_COMPAT_H

#include <rte_version.h>

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
#error "Sallyport needs DPDK 22.11 or later"
#endif

#endif
