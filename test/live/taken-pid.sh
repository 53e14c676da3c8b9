#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pid that somebody has is named together with who has it, and nothing is left of the attempt.
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
refused '1|5' "$old.*sleep|sleep.*$old" "$CR_RESTORE" -D img -d
[ "$(tr '\0' ' ' </proc/$old/cmdline)" = "sleep 500 " ] || die "the holder was harmed"
kill "$old"
wait "$old" 2>/dev/null
wait_gone "$old" || die "the holder"
restore img
[ "$(tr '\0' ' ' </proc/$old/cmdline)" = "sleep 1000 " ] || die "not restored"
