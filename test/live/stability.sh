#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two dumps of a target that did nothing in between say the same, but for times, which have their own places.
# timeout: 180
. "$TOP/test/lib/common.sh"
need jq
# Not a sleep: interrupted, that writes the time that remains to the process's own memory.
need perl
start a perl -e 'sleep while 1'
asleep() { grep -q '^34 ' "/proc/$PID/syscall"; }
wait_for 10 asleep || die "it does not sleep: $(cat "/proc/$PID/syscall")"
dump one "$PID" -R
dump two "$PID" -R
same() {
	[ "$(ls "$1")" = "$(ls "$2")" ] || die "other images: $(diff <(ls "$1") <(ls "$2"))"
	for f in "$1"/*.img; do
		f=${f##*/}
		case $f in
		pages-*)
			# The kernel writes the number of the CPU to the rseq area: some bytes in all.
			[ "$(stat -c %s "$1/$f")" = "$(stat -c %s "$2/$f")" ] || die "$f has another size in $1 than in $2"
			[ "$(cmp -l "$1/$f" "$2/$f" | wc -l)" -le 8 ] || die "$f differs between $1 and $2" ;;
		*)
			for d in "$1" "$2"; do
				# The rest of a sleep, clocks, cpu times, the run's own name and the kernel's flags of a
				# task (which tell that it never called exec) are allowed to move.
				"$CR_IMAGE" decode -i "$d/$f" | jq -S 'del(.. | .dump_uptime?, .dump_criu_run_id?, .remaining_ns?,
					.time_boot?, .monotonic?, .boottime?, .dump_uptime?) | del(.entries[]?.tc?.flags?)' >"$d.json" || die "cannot decode $d/$f"
			done
			diff "$1.json" "$2.json" || die "$f differs between $1 and $2" ;;
		esac
	done
}
same one two
# A restored one is the same again.
dump three "$PID"
same one three
wait_gone "$PID" || die "still there"
restore three
# Where it slept before: on a busy machine it may not have come there again yet.
wait_for 10 asleep || die "it does not sleep again: $(cat "/proc/$PID/syscall")"
dump four "$PID" -R
same three four
