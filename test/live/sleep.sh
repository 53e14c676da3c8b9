#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sleep(1): a call with remaining time goes on where it was: not ended, not begun anew.
. "$TOP/test/lib/common.sh"

begin=$EPOCHREALTIME
start a sleep 6
sleep 0.4
cycle img "$PID"
[ "$(tr '\0' ' ' <"/proc/$PID/cmdline")" = "sleep 6 " ] || die "cmdline is lost"
[ "$(cat "/proc/$PID/comm")" = sleep ] || die "comm is lost"
wait_gone "$PID" 10 || die "sleep 6 does not end"
awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a >= 6) }' || die "sleep ended early"

# Restored as a child: its exit status is that of cr-restore.
start b sh -c 'sleep 0; exec sleep 8'
wait_for 7 grep -qsx sleep "/proc/$PID/comm" || die "no sleep"
dump img2 "$PID"
wait_gone "$PID" || die "still there"
"$CR_RESTORE" -D img2 </dev/null || die "cr-restore exits with $?, sleep with 0"
