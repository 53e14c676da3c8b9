#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pid that somebody has is named together with who has it, and nothing is left of the attempt.
# timeout: 120
. "$TOP/test/lib/common.sh"
start a sleep 1000
old=$PID
dump img "$old"
wait_gone "$old" || die "still there"
# The next process with that very number.
echo $((old - 1)) >/proc/sys/kernel/ns_last_pid 2>/dev/null || skip "ns_last_pid cannot be set"
sleep 500 &
if [ "$!" != "$old" ]; then
	kill "$!"
	skip "the pid $old was not given out again"
fi
wait_for 5 grep -q sleep "/proc/$old/comm" || die "it does not start"
refused '1|5' "$old.*sleep|sleep.*$old" "$CR_RESTORE" -D img -d
[ "$(tr '\0' ' ' </proc/$old/cmdline)" = "sleep 500 " ] || die "the holder was harmed"
kill "$old"
wait "$old" 2>/dev/null
wait_gone "$old" || die "the holder"
restore img
[ "$(tr '\0' ' ' </proc/$old/cmdline)" = "sleep 1000 " ] || die "not restored"

# A tree that still runs, with many who are dead: those are waited for together, if at all (seconds for each were minutes).
start dead perl -e '
	for (1 .. 300) { fork || exit 3 }
	sleep 1;
	open $o, ">", "ready"; sleep 1000'
wait_for 20 test -e dead/ready || die "not ready: $(cat dead/stderr)"
dump img-dead "$PID" -R
"$CR_RESTORE" --check -D img-dead >out 2>&1
[ "$(grep -c 'is taken by' out)" = 301 ] || die "not all are named: $(head -5 out)"
# A file is at its end: nobody is about to end who has the pid. (Down a pipe somebody may be: half a minute.)
"$CR_DUMP" -t "$PID" -D - -R >stream || die "no stream"
timeout 20 "$CR_RESTORE" -D - -d <stream >out 2>&1
[ $? = 1 ] || die "a stream whose pids are taken: $(cat out)"
