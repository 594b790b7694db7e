#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What no compiler checks: includes go one way (rules <- dataplane <- mgmt <- vnf), files stay under 1,000 lines, every source names its licence.
set -u
fail=0
say() {
	echo "$*"
	fail=1
}

forbid() { # ROOM FORBIDDEN…: no file of ROOM includes a header of the rooms named
	local room=$1 other
	shift
	for other in "$@"; do
		hits=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]+[\"<](\.\./)*${other}/" "$room" -r --include='*.[ch]')
		[ -z "$hits" ] || say "$hits: $room/ may not include $other/"
	done
}
forbid rules dataplane mgmt vnf
forbid dataplane mgmt vnf
forbid mgmt vnf
hits=$(grep -rnE '^#include "(rules|dataplane|vnf)/' mgmt/ctl 2>/dev/null)
[ -z "$hits" ] || say "$hits: the client stands alone"

while IFS= read -r file; do
	lines=$(wc -l <"$file")
	[ "$lines" -le 1000 ] || say "$file: $lines lines; split it by what happens in it"
	head -3 "$file" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' || say "$file:1: no SPDX line"
done < <(git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.py' '*.sh' 'Makefile' '*.mk')
exit $fail
