#!/bin/sh
# SPDX-License-Identifier: MIT
# /etc/conntrackd/primary-backup.sh: keepalived calls it when this director becomes or ceases to be the one that works.
case "$1" in
primary)
	conntrackd -R # this kernel's connections are what the other director is to know
	conntrackd -B
	;;
backup | fault)
	# The other director ends and renews connections that this one has served. What this one would say of them when they
	# are over here is wrong there: it forgets which were its own.
	conntrackd -f internal
	conntrackd -n # ask the other director for what it knows
	;;
esac
