#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A tree with a waiting cr-restore in it, the parent of what it restored: the mappings of its own file are among those that come back.
. "$TOP/test/lib/common.sh"
need perl
mkdir one two
start a perl -e 'open $r, ">", "ready"; close $r; for (;;) { last if -e "go"; select undef, undef, undef, 0.02 } exit 7'
wait_for 10 test -e a/ready || die "not ready"
p=$PID
dump one "$p"
wait_gone "$p" || die "still there"
start b env CR_RESTORE="$CR_RESTORE" bash -c '"$CR_RESTORE" -D '"$W"'/one; echo $? >status'
b=$PID
wait_for 10 is_free "$p" || die "not restored"
for way in '' --cow-pages; do
	rm -rf two
	# shellcheck disable=SC2086
	dump two "$b" $way
	wait_gone "$b" && wait_gone "$p" || die "still there"
	restore two
	for q in "$b" "$p"; do wait_for 10 is_free "$q" || die "$q is not restored"; done
done
touch a/go
wait_for 10 test -s b/status || die "it does not end"
[ "$(cat b/status)" = 7 ] || die "its status is $(cat b/status)"
