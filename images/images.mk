# SPDX-License-Identifier: BSD-3-Clause
# --- images: Debian packages, the VM image -----------------------------------------------------------------------------------------
