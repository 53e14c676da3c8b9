#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that end in the moment in which they are let go, while others of their threads are still held: the restore is a success, and
# their end is theirs, whoever waits for it.
. "$TOP/test/lib/common.sh"
for kind in '' child; do
	rm -rf work img
	# Not to take both processors from the one who looks at it.
	start work nice -n 19 "$BIN/test/live/ends" $kind
	wait_for 20 test -e work/ready || die "not ready: $(cat work/stderr)"
	dump img "$PID"
	wait_gone "$PID" || die "still there"
	touch work/go
	for i in {1..15}; do
		out=$(timeout 20 "$CR_RESTORE" -D img -d 2>&1 </dev/null) || die "$kind run $i: cr-restore -d exits with $?: $out"
		wait_for 10 nobody_there || die "$kind run $i: somebody is left: $(ns_procs)"
		out=$(timeout 20 "$CR_RESTORE" -D img 2>&1 </dev/null)
		rc=$?
		[ "$rc" = 7 ] || die "$kind run $i: cr-restore exits with $rc: $out"
		wait_for 10 nobody_there || die "$kind run $i: somebody is left: $(ns_procs)"
	done
done
