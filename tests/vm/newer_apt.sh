#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: newer_apt.sh DIR APT-GET-ARGUMENT...
# apt-get that also knows the release's backports where QEMU is older than its igb device (Debian 12), from the mirror that the machine uses
# already. Lists and cache are kept in DIR: nothing is added to /etc/apt, and a download needs no root.
set -euo pipefail
dir=$(realpath -m "$1")
shift

# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
options=(-q -y -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o "Dir::Etc::SourceList=$dir/sources.list"
	-o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 -o APT::Install-Recommends=false)

cat /etc/apt/sources.list 2>/dev/null >"$dir/sources.list" || : >"$dir/sources.list"
if [ "$codename" = bookworm ]; then
	mirror=$(apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)" 'Identifier: Packages' | awk '$1 == "bookworm" && $2 == "main" { print $3; exit }')
	[ -n "$mirror" ] || { echo "newer_apt.sh: apt knows no mirror of bookworm main" >&2; exit 1; }
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" >>"$dir/sources.list"
	options+=(-t bookworm-backports)
fi

export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
if [ -z "$(find "$dir/updated" -mmin -600 2>/dev/null)" ]; then
	apt-get "${options[@]}" update >/dev/null
	touch "$dir/updated"
fi
exec apt-get "${options[@]}" "$@"
