#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-dump is killed when it has sent a thread into its agent, and that thread gets no processor for a long time: the others leave it
# what it needs to find its way out.
# timeout: 60
. "$TOP/test/lib/common.sh"
need taskset chrt
[ "$(nproc)" -ge 2 ] || skip "it takes two processors"
read -ra cpus < <(for c in /sys/devices/system/cpu/cpu[0-9]*; do c=${c##*cpu}; taskset -c "$c" true 2>/dev/null && printf '%s ' "$c"; done)
taskset -c "${cpus[1]}" chrt -f 50 true 2>/dev/null || skip "no real-time scheduling here"

watchdog_start
# The first thread has the memory of all, and a processor; the others are on one that somebody else is going to have.
taskset -a -p -c "${cpus[1]}" "$DOG" >/dev/null || die "cannot place the threads"
taskset -p -c "${cpus[0]}" "$DOG" >/dev/null || die "cannot place the first thread"
taskset -p -c "${cpus[0]}" $$ >/dev/null || die "cannot place the test"
# shellcheck disable=SC2034 # dog_well looks at it
DOG_STATUS=$(dog_status) # where it may run has changed
dog_well "placed"
busy() { [ "$(state_of "$burner")" = R ]; }
for ((round = 0; round < 3; round++)); do
	mkdir -p img
	CR_FAULT=dump:guest-expected=stop "$CR_DUMP" -t "$DOG" -D img -R >words 2>&1 &
	dumper=$!
	wait_for 20 one_of "$dumper" T || die "no thread is sent inside: $(cat words)"
	taskset -c "${cpus[1]}" chrt -f 50 bash -c 'while :; do :; done' &
	burner=$!
	wait_for 5 busy || die "nobody takes the processor"
	kill -KILL "$dumper"
	sleep 0.8
	kill -KILL "$burner"
	wait "$burner" "$dumper" 2>/dev/null
	dog_well "a thread was late, round $round"
	rm -rf img
done
dog_ends
