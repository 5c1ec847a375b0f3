#!/bin/sh
# SPDX-License-Identifier: MIT
# /etc/conntrackd/primary-backup.sh: keepalived calls it when this director becomes or ceases to be the one that works.
case "$1" in
primary)
	conntrackd -c # the connections of the other director become this kernel's
	conntrackd -f # what is known of them is out of date from now on
	conntrackd -R # this kernel's connections are what the other director is to know
	conntrackd -B
	;;
backup)
	conntrackd -t # connections that go by the other director expire here soon
	conntrackd -n # ask it for what it knows
	;;
fault)
	conntrackd -t
	;;
esac
