#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits that were set for others: the tools say in a line what they lack, or do with little; no signal ends them.
. "$TOP/test/lib/common.sh"
need perl prlimit
start a perl -e '$b = "x" x (1 << 16); for (1 .. 20) { fork or last } sleep 1000'
sleep 0.2
mkdir img
refused 1 'File too large' bash -c 'ulimit -f 1; exec "$CR_DUMP" -t '"$PID"' -D img -R'
no_images img || die "images are left"
is_free "$PID" || die "the target is not free"
(ulimit -s 64 && "$CR_DUMP" -t "$PID" -D img -R) >words 2>&1 || die "a small stack: exit status $?: $(cat words)"
rm -r img
dump img "$PID"
wait_gone "$PID" || die "still there"
(ulimit -Ss 64 && "$CR_IMAGE" check img && "$CR_RESTORE" --check -D img) >words 2>&1 || die "a small stack: exit status $?: $(cat words)"
(ulimit -f 1 && "$CR_IMAGE" decode -i img/"mm-$PID.img" -o mm.json) >words 2>&1
[ $? -lt 128 ] || die "cr-image is killed: $(cat words)"
(ulimit -Ss 64 && "$CR_RESTORE" -D img -d) </dev/null >words 2>&1 || die "a small stack: cr-restore exits with $?: $(cat words)"
is_free "$PID" || die "not restored"

# A target without room for the agent.
start b perl -e 'open $r, ">", "ready"; close $r; sleep 1000'
wait_for 5 test -e b/ready || die "not ready"
prlimit --as=4096 -p "$PID" || skip "no limit can be set"
mkdir img-b
refused 1 "$PID.*cannot map .* bytes for the agent.*RLIMIT_AS" "$CR_DUMP" -t "$PID" -D img-b -R
is_free "$PID" || die "the second target is not free"
prlimit --as=unlimited -p "$PID" 2>/dev/null
exit 0
