#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Lines that say what to do: about a pre-dump that is restored, directories that are missing, logs to what is open already, a small
# bounding set.
. "$TOP/test/lib/common.sh"
need setpriv
start a sleep 1000
mkdir pre img
"$CR_DUMP" -t "$PID" -D pre --pre-dump >words 2>&1 || die "cr-dump: $(cat words)"
refused 4 'no process tree; a pre-dump has memory only: restore the dump that was made upon it' "$CR_RESTORE" -D pre -d
refused 1 'none/iterate-1: .*make it first: mkdir none' "$CR_DUMP" -t "$PID" -D none --iterate -R
refused 1 'none: .*make it first: mkdir none' "$CR_DUMP" -t "$PID" -D none -R
"$CR_DUMP" -t "$PID" -D img -R -v4 -o /dev/stdout 2>words | grep -q 'debug: ' || die "no log on standard output: $(cat words)"
"$CR_DUMP" -t "$PID" -D img -R -v4 -o /dev/stderr 2>words >out || die "a log on standard error: $(cat words)"
grep -q 'debug: ' words && [ ! -s out ] || die "no log on standard error: $(cat words out)"
rm -r img
dump img "$PID"
wait_gone "$PID" || die "still there"
setpriv --bounding-set=-wake_alarm,-net_raw,-sys_boot,-sys_time,-sys_pacct,-lease "$CR_RESTORE" --check -D img >words 2>&1
grep -qE 'bounding set has( cap_[a-z_]+){4} and 2 more, which ours has lost: start cr-restore' words || die "bounding set: $(cat words)"
refused 3 'no permission: cap_net_raw .*; no permission: cap_sys_boot: .*setcap cap_net_raw,cap_sys_boot\+ep' \
	setpriv --bounding-set=-net_raw,-sys_boot "$CR_RESTORE" -D img -d
refused 3 '[0-9]+ capabilities are missing here' setpriv --bounding-set=-all,+checkpoint_restore,+sys_admin,+sys_ptrace "$CR_RESTORE" -D img -d
