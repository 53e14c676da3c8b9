#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A filter kills for restart_syscall(2), by which who was stopped in a sleep goes on with it: pre-dumps, rounds, checks, refused dumps
# and dumpers that die leave its sleepers alive all the same.
# timeout: 60
. "$TOP/test/lib/common.sh"
fast_dir img
start work "$BIN/test/progs/thread_seccomp_restart"
wait_for 10 test -e work/ready || die "not ready: $(cat work/verdict work/stderr)"
well() {
	wait_for 5 is_free "$PID" || die "$1: not free: $(state_of "$PID")"
	sleep 0.02
	! is_dead "$PID" && [ ! -e work/verdict ] || die "$1: it is dead: $(state_of "$PID") $(cat work/verdict work/stderr)"
}
for how in --pre-dump --pre-dump\ --track=content --pre-dump\ --track-mem --iterate=3\ -R -R; do
	mkdir "img/$how"
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$PID" -D "img/$how" $how >out 2>&1 || die "$how: $(cat out)"
	well "$how"
done
"$CR_DUMP" -t "$PID" --check >out 2>&1 || die "--check: $(cat out)"
well --check
mkdir img/none
for at in frozen looked before-pages; do
	for how in -R --pre-dump; do
		[ "$at$how" != looked--pre-dump ] || continue # a point that it does not pass
		if CR_FAULT=dump:$at "$CR_DUMP" -t "$PID" -D img/none "$how" >out 2>&1; then die "$at: the dump did not die"; fi
		well "$at $how"
	done
done
# Refused before anybody has looked at its threads: its session is that of somebody who is not dumped.
start outer bash -c "cd '$W/work' && rm -f ready && '$BIN/test/progs/thread_seccomp_restart' & echo \$! >pid; wait"
wait_for 10 test -e work/ready || die "the second one is not ready"
PID=$(cat outer/pid)
refused 5 'session' "$CR_DUMP" -t "$PID" -D img/none -R
well "a refused dump"
touch work/go
wait_for 10 test -s work/verdict || die "no verdict"
grep -q pass work/verdict || die "$(cat work/verdict)"
