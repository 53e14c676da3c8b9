#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --iterate by the soft-dirty bits of kernels that have them: pages that the kernel calls unwritten since the round before are not even
# read, while the tasks write all the time; what comes back is what they had, and nothing of the tracking is left.
# timeout: 120
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
"$CR_CHECK" --feature mem_dirty_track >/dev/null 2>&1 || skip "no soft-dirty bits here"
fast_dir img
# d N [OPTION...]: one more dump
d() {
	mkdir "img/$1"
	"$CR_DUMP" -t "$PID" -D "img/$1" --track=soft-dirty "${@:2}" >out 2>&1 || die "dump $*: $(cat out)"
	"$CR_IMAGE" check "img/$1" >check 2>&1 || die "dump $*: check: $(cat check)"
	no_tracker || die "dump $*: a tracker is there"
}
well() {
	wait_for 10 is_free "$PID" || die "$1: not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
}
changing 32 1000
for ((i = 1; i <= 3; i++)); do
	d "$i" -R --iterate=4
	well "after dump $i"
	d "$i.more" -R --prev-images-dir "../$i"
	well "after one more than $i"
done
for ((i = 4; i <= 6; i++)); do
	d "$i" --iterate=4
	wait_gone "$PID" || die "it is still there"
	"$CR_RESTORE" -D "img/$i" -d || die "cr-restore"
	well "restored from dump $i"
done
kill -KILL "$PID" "$CHILD"
