#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tracking of much memory is ended by a process of its own: a dump that comes at once meets it, and what is left when it is killed is
# nothing at all.
# timeout: 120
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
fast_dir img
registered() { grep -qE '^VmFlags:.* (um|uw)' "/proc/$1/smaps"; }
not_registered() { ! registered "$1"; }
start t "$BIN/test/live/holder" private 192
wait_for 60 test -e t/ready || die "not ready: $(cat t/stderr)"
more() {
	touch t/more
	wait_for 20 test ! -e t/more || die "it does not change"
}
mkdir img/{0..9}
met=0
for i in 1 4 7; do
	"$CR_DUMP" -t "$PID" -D img/$((i - 1)) --pre-dump --track-mem >out 2>&1 || die "dump $((i - 1)): $(cat out)"
	registered "$PID" || die "its memory is not tracked"
	more
	"$CR_DUMP" -t "$PID" -D "img/$i" -R --prev-images-dir ../$((i - 1)) >out 2>&1 || die "dump $i: $(cat out)"
	case $i in
	1 | 4) # What follows at once
		! registered "$PID" || met=1
		"$CR_DUMP" -t "$PID" -D img/$((i + 1)) -R >out 2>&1 || die "a dump right after dump $i: $(cat out)"
		not_registered "$PID" || die "the dump after dump $i leaves it registered"
		;;
	7)
		for p in $(trackers); do
			met=1
			kill -KILL "$p" 2>/dev/null
		done
		;;
	esac
	wait_for 10 no_tracker || die "somebody keeps tracking after dump $i: $(trackers)"
	not_registered "$PID" || die "its memory is still registered after dump $i"
done
[ "$met" = 1 ] || note "always too quick to be met"
kill -KILL "$PID"
wait_gone "$PID" || die "it does not go"
restore img/7
touch t/go
wait_for 60 test -s t/verdict || die "no verdict; the process is $(state_of "$PID")"
grep -q '^pass' t/verdict || die "$(cat t/verdict)"
