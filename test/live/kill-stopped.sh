#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-dump is killed while it asks tasks that are stopped: they leave the agent when they are continued. A dump before that says so; afterwards
# they are as they were.
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
start t "$py" -c 'import os, threading, time
p = os.fork()
threading.Thread(target=time.sleep, args=[1000]).start()
open("parent" if p else "child", "w").close()
while True: time.sleep(.01)'
wait_for 20 test -e t/parent -a -e t/child || die "not ready: $(cat t/stderr)"
child=$(cat "/proc/$PID/task/$PID/children")
maps() { cat "/proc/$PID/maps" "/proc/${child// /}/maps"; }
is_stopped() { [ "$(state_of "$PID")$(state_of "${child// /}")" = TT ]; }
# Each in a page of its own: what the agent is written to is written back by whoever leaves it.
before=$(maps) held=0
for at in in-mmap mapped holder-in holder-runs guest-in guest-runs guest-out in-munmap; do
	kill -STOP "$PID" $child
	wait_for 10 is_stopped || die "not stopped"
	mkdir -p "$at"
	CR_FAULT=dump:$at "$CR_DUMP" -t "$PID" -D "$at" -R >out 2>&1
	[ $? = 137 ] || die "$at: cr-dump was not killed: $(cat out)"
	wait_for 5 is_stopped || die "$at: they are not stopped any more"  # the kernel wakes whom a dead tracer leaves to let it stop by itself
	if ! "$CR_DUMP" -t "$PID" -D "$at" -R >out 2>&1; then
		grep -qE 'was stopped, and is still leaving an earlier dump.*continued \(kill -CONT [0-9]+\)' out || die "$at: $(cat out)"
		held=$((held + 1))
	fi
	kill -CONT "$PID" $child
	is_same() { [ "$(maps)" = "$before" ]; }
	wait_for 10 is_same || die "$at: other mappings: $(diff <(echo "$before") <(maps))"
	"$CR_DUMP" -t "$PID" -D "$at" -R >out 2>&1 || die "$at: the next dump: $(cat out)"
done
[ "$held" -gt 0 ] || die "nobody was held inside"
echo "$held of 8 were held inside"
kill -KILL "$PID" $child
