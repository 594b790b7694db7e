#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The manual pages are sound, and know every key of a configuration, every time-out and every field of a rule.
set -u
man=images/man

unknown() { # PAGE: says which of the words on standard input the page does not have
	while IFS= read -r word; do
		grep -qw -- "$word" "$1" || echo "$1: says nothing of $word"
	done
}

found=$(
	for page in "$man"/*.[1-8]; do
		groff -mdoc -Tutf8 -ww -z "$page" 2>&1
	done
	# SP_KEY…("key", …) of the tables of keys
	grep -oh 'SP_KEY[A-Z_]*("[a-z_0-9]*"' vnf/config_*.c | cut -d'"' -f2 | unknown "$man/sallyport.conf.5"
	sed -n 's/.*X([A-Z_]*, "\([a-z_0-9]*\)", [0-9]*).*/\1/p' dataplane/session.h dataplane/routing.h | unknown "$man/sallyport.conf.5"
	sed -n 's/.*X([A-Z_]*, "\([a-z_0-9]*\)").*/\1/p' rules/policy.h rules/nat.h | unknown "$man/sallyport.rules.5"
)
[ -z "$found" ] || { echo "$found"; exit 1; }
