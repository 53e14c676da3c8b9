#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-restore of a whole tree killed at random moments, and at all named points: nothing is left, or the tree is there, whole and untraced.
# timeout: 200
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/campaign.sh"
fast_dir img
start t "$BIN/test/progs/tree_shape"
ROOT=$PID
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr t/verdict 2>/dev/null)"
members() {
	local d
	for d in /proc/[0-9]*; do
		[ "$(cat "$d/comm" 2>/dev/null)" = tree_shape ] && echo "${d#/proc/}:$(cut -d' ' -f4-6 "$d/stat")"
	done | sort
}
whole=$(members | sed 's/^\([0-9]*\):[0-9]* /\1:/') # the root has another parent afterwards
dump img "$ROOT"
wait_gone "$ROOT" || die "still there"
wait_for 10 nobody_there || die "somebody is left of the dumped tree: $(ns_procs)"
is_whole() {
	local p
	[ "$(members | sed 's/^\([0-9]*\):[0-9]* /\1:/')" = "$whole" ] || return 1
	for p in $(members | cut -d: -f1); do grep -q '^TracerPid:	0$' "/proc/$p/status" || return 1; done
}
end_tree() {
	local p
	for p in $(members | cut -d: -f1); do kill -KILL "$p" 2>/dev/null; done
	wait_for 10 nobody_there || die "$1: cannot be ended: $(ns_procs)"
}
# One outcome or the other, a moment after the tool's end.
settled() { nobody_there || is_whole; }

came=0
after_run() {
	wait_for 5 settled || die "$1: neither whole nor gone: $(ns_procs | tr '\n' ' ')"
	[ "$2" != "exit 0" ] || is_whole || die "$1: $(diff <(echo "$whole") <(members))"
	nobody_there && return
	came=$((came + 1))
	end_tree "$1"
}
campaign 60 3 "$CR_RESTORE" -D img -d
echo "$came left the whole tree"

for point in restore:controller-step restore:after-clone restore:after-program restore:before-detach; do
	CR_FAULT=$point "$CR_RESTORE" -D img -d >out 2>&1 </dev/null && die "$point is not reached"
	wait_for 5 nobody_there || die "$point: somebody is left: $(ns_procs)"
	CR_FAULT=$point=5 "$CR_RESTORE" -D img -d >out 2>&1 </dev/null && die "$point=5 does not fail"
	wait_for 5 nobody_there || die "$point=5: somebody is left: $(ns_procs)"
done
# And none of that hurt the checkpoint.
"$CR_RESTORE" -D img -d </dev/null || die "the last restore"
touch t/go
wait_for 20 test -e t/verdict || die "no verdict"
grep -q '^pass' t/verdict || die "$(cat t/verdict)"
