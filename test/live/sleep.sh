#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sleep(1): a call with remaining time goes on where it was: not ended, not begun anew.
. "$TOP/test/lib/common.sh"

start a sleep 3
sleep 0.4
begin=$EPOCHREALTIME
cycle img "$PID"
[ "$(tr '\0' ' ' <"/proc/$PID/cmdline")" = "sleep 3 " ] || die "cmdline is lost"
[ "$(cat "/proc/$PID/comm")" = sleep ] || die "comm is lost"
wait_gone "$PID" 10 || die "sleep 3 does not end"
awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit !(b - a > 1.5) }' || die "sleep ended early"

# Restored as a child: its exit status is that of cr-restore.
start b sh -c 'sleep 0; exec sleep 1'
wait_for 2 grep -qx sleep "/proc/$PID/comm" || die "no sleep"
dump img2 "$PID"
wait_gone "$PID" || die "still there"
"$CR_RESTORE" -D img2 </dev/null || die "cr-restore exits with $?, sleep with 0"
