# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Sourced with $n, the number of PFs: commands from the second serial line, each answered with its output, its tag and its exit code.

# Kept open from here on: what arrives while nobody has it open is lost.
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo "guest: up, ${n:?} PFs" >&3
while read -r tag line <&3; do
	(eval "$line") </dev/null >&3 2>&1
	echo "$tag $?" >&3
done
