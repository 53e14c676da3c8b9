#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 64 threads busy in vector registers: three times through images, in both ways of loading them, and once left running.
# timeout: 180
. "$TOP/test/lib/common.sh"
start a "$BIN/test/live/vector"
ready() { [ -e a/ready ] || [ -e a/verdict ]; }
wait_for 60 ready || die "not ready"
! grep -q '^skip' a/verdict 2>/dev/null || skip "$(sed 's/^skip //' a/verdict)"
[ "$(ls "/proc/$PID/task" | wc -l)" = 65 ] || die "not 65 threads"
dump img0 "$PID" -R
cycle img1 "$PID"
cycle img2 "$PID"
# The other way of giving a thread its registers, for processors with more of them than the agent loads.
CR_FAULT=restore:fpu=1 cycle img3 "$PID"
[ "$(ls "/proc/$PID/task" | wc -l)" = 65 ] || die "not 65 threads any more"
touch a/go
wait_for 90 test -e a/verdict || die "no verdict: $(state_of "$PID")"
grep -q '^pass' a/verdict || die "$(cat a/verdict)"
