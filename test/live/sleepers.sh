#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who sleeps in a call whose remaining time only the kernel has goes on sleeping, whatever a dump does: rounds, pre-dumps, tracking in all
# ways, checks, dumpers that die inside, and others that come before the threads are out again.
# timeout: 120
. "$TOP/test/lib/common.sh"
fast_dir img
begin() {
	rm -rf work
	start work "$BIN/test/progs/$1"
	wait_for 20 test -e work/ready || die "$1 is not ready: $(cat work/verdict work/stderr)"
	sleep 0.2
}
well() {
	wait_for 10 is_free "$PID" || die "$1: not free: $(state_of "$PID")"
	sleep 0.05
	[ ! -e work/verdict ] || die "$1: $(cat work/verdict)"
	! is_dead "$PID" || die "$1: it is dead: $(cat work/stderr)"
}
verdict() {
	touch work/go
	wait_for 30 test -s work/verdict || die "$1: no verdict: $(state_of "$PID")"
	grep -q pass work/verdict || die "$1: $(cat work/verdict)"
}
n=0
# how OPTION...: one more checkpoint that leaves the program running
how() {
	n=$((n + 1))
	mkdir "img/$n"
	"$CR_DUMP" -t "$PID" -D "img/$n" "$@" >out 2>&1 || die "$*: $(cat out)"
	well "$*"
}

begin thread_sleeps
for ways in -R --pre-dump "-R --iterate=1" "-R --iterate=3" "-R --iterate=3 --track=content"; do
	# shellcheck disable=SC2086
	how $ways
done
"$CR_CHECK" --feature uffd-wp-async >/dev/null 2>&1 && how -R --iterate=3 --track=userfaultfd
how --pre-dump --track-mem
how --pre-dump --track-mem --prev-images-dir "../$n"
how -R --prev-images-dir "../$n"
"$CR_DUMP" -t "$PID" --check >out 2>&1 || die "--check: $(cat out)"
well --check

# Its dumper dies while threads are inside, and the next one stops them on their way out.
mkdir img/none
for at in in-mmap mapped holder-ready holder-in holder-runs holder-ran guest-perhaps guest-in guest-expected guest-runs guest-ran guest-out in-munmap agent-left; do
	if CR_FAULT=dump:$at "$CR_DUMP" -t "$PID" -D img/none -R >out 2>&1; then die "$at: the dump did not die"; fi
	how -R
	well "died at $at"
	kill -STOP "$PID" && kill -CONT "$PID"
	if CR_FAULT=dump:$at "$CR_DUMP" -t "$PID" -D img/none -R >out 2>&1; then die "$at: the dump did not die"; fi
	kill -STOP "$PID" && sleep 0.01 && kill -CONT "$PID"
	sleep 0.3
	well "died at $at, then stopped"
done
verdict "left running"

# What syscall(3) was called for is told by its caller.
begin thread_syscalls
sleep 1.3
dump img/wrapped "$PID" --iterate=3
wait_gone "$PID" || die "it is still there"
restore img/wrapped
verdict "calls by syscall(3), after rounds"

# What rounds interrupted goes on after the restore.
for ways in --iterate=3 -R; do
	begin thread_sleeps
	[ "$ways" = --iterate=3 ] || how -R
	n=$((n + 1))
	if [ "$ways" = -R ]; then dump "img/$n" "$PID"; else dump "img/$n" "$PID" "$ways"; fi
	wait_gone "$PID" || die "it is still there"
	restore "img/$n"
	sleep 0.1
	well "restored, $ways"
	verdict "restored, $ways"
done
