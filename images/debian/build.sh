#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: build.sh OUT
# Builds the source package that stage.py laid out in OUT/sallyport; the packages land in OUT. Objects of an earlier build with the same compiler, flags and
# DPDK are used again: all that dpkg-buildpackage would clean away besides, stage.py has removed.
set -eu
cd "$1/sallyport"
export LC_ALL=C.UTF-8 TZ=UTC DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=2}"

flags=$({ cat Makefile; sed -n /^FLAGS/p debian/rules; grep DEB_BUILD_ debian/rules; dpkg-buildflags; gcc -v; dpkg-query -W libdpdk-dev; } 2>&1 | sha256sum)
if [ "$flags" != "$(cat build/flags 2>/dev/null)" ]; then
	rm -rf build
	mkdir -p build
	echo "$flags" >build/flags
fi
rm -f ../*.deb ../*.buildinfo ../*.changes
dpkg-buildpackage -b -nc -us -uc
