# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Trees that change their memory all the time (test/live/changing), and who keeps track of what they write.

# changing MIB [PAUSE]: starts one in t; its pid in $PID, that of its child in $CHILD.
changing() {
	# On one processor: the kernel writes its number into the memory of threads (rseq) whenever it changes.
	start t taskset -c 0 "$BIN/test/live/changing" "$@"
	wait_for 20 test -e t/ready -a -e t/ready.child || die "not ready: $(cat t/stderr)"
	CHILD=$(cat "/proc/$PID/task/$PID/children") CHILD=${CHILD% }
}
# ask FILE PID: is its memory what it wrote? It answers with a file in t.
ask() {
	rm -f "t/$1"
	kill -USR1 "$2"
	wait_for 20 test -s "t/$1" || die "$1: no answer from $2"
	grep -q ^pass "t/$1" || die "$(cat "t/$1")"
}
trackers() {
	local d
	for d in /proc/[0-9]*; do
		[ "$(cat "$d/comm" 2>/dev/null)" != cr-tracker ] || echo "${d#/proc/}"
	done
}
no_tracker() { [ -z "$(trackers)" ]; }
