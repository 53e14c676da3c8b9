#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rounds of pre-dumps while the tree runs and changes its memory; the kernel tells what was written. What the dump leaves to
# the rounds is compared with a whole dump of the same instant, and comes back right.
# timeout: 200
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
fast_dir img
changing 32 "${PAUSE:-100}"
fds=$(ls "/proc/$PID/fd")
bytes() { cat "$1"/pages-*.img | wc -c; }
for n in 1 2 4 3 5 20ms auto 6; do
	d=img/$n
	mkdir "$d"
	"$CR_DUMP" -t "$PID" -D "$d" -R "--iterate=$n" --display-stats >out 2>&1 || die "--iterate=$n: $(cat out)"
	[ "$n" = 20ms ] || [ "$n" = auto ] || [ "$(grep -c ^round out)" -le "$n" ] || die "--iterate=$n: $(cat out)"
	grep -q '; the last one: ' out || die "no word about the end: $(cat out)"
	"$CR_IMAGE" check "$d" >check 2>&1 || die "check $n: $(cat check)"
	[ "$(ls "/proc/$PID/fd")" = "$fds" ] || die "--iterate=$n leaves a descriptor: $(ls -l "/proc/$PID/fd")"
	! grep -E '^VmFlags:.* (um|uw)' "/proc/$PID/smaps" "/proc/$CHILD/smaps" || die "memory stays registered"
	is_free "$PID" || wait_for 2 is_free "$PID" || die "not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
done
for n in 6 auto 20ms 5 2; do
	kill -KILL "$PID"
	wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
	restore "img/$n"
	wait_for 10 is_free "$PID" || die "not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
	sleep 0.3
	ask verdict "$PID"
done
refused 2 'neither' "$CR_DUMP" -t "$PID" -D img --iterate=3x
refused 2 'iterate' "$CR_DUMP" -t "$PID" -D img --iterate --pre-dump
kill -KILL "$PID"
