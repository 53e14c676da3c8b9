#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --track-mem by the soft-dirty bits of kernels that have them: only what was written since the dump before is stored, no process stays
# for that, and what comes back from such a chain is what the tasks had.
# timeout: 120
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
"$CR_CHECK" --feature mem_dirty_track >/dev/null 2>&1 || skip "no soft-dirty bits here"
fast_dir img
# d N [OPTION...]: one more dump, with the one before as its parent
d() {
	local n=$1
	shift
	mkdir "img/$n"
	"$CR_DUMP" -t "$PID" -D "img/$n" --display-stats --track=soft-dirty "$@" >out 2>&1 || die "dump $n $*: $(cat out)"
	"$CR_IMAGE" check "img/$n" >check 2>&1 || die "dump $n $*: check: $(cat check)"
	written=$(awk -F '  +' '$1 == "pages written" { print $2 + 0 }' out)
}
changing 32 1000
well() {
	wait_for 10 is_free "$PID" || die "$1: not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
}
stop() { kill -STOP "$PID" "$CHILD" && wait_for 20 one_of "$PID" T && wait_for 20 one_of "$CHILD" T || die "not stopped"; }
stop
d 1 -R --track-mem
all=$written
no_tracker || die "a tracker is there"
d 2 -R --track-mem --prev-images-dir ../1
[ "$written" -lt $((all / 20)) ] || die "$written pages are written again, of $all"
kill -CONT "$PID" "$CHILD"
well "after two"
d 3 -R --track-mem --prev-images-dir ../2
[ "$written" -lt "$all" ] || die "all $all pages are written again"
well "after three"
stop
d 4 --track-mem --prev-images-dir ../3
wait_gone "$PID" || die "it is still there"
"$CR_RESTORE" -D img/4 -d || die "cr-restore"
kill -CONT "$PID" "$CHILD"
well "restored"
kill -KILL "$PID" "$CHILD"
