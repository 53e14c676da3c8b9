#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A tree that changes its memory all the time is dumped 50 times, each dump an increment of the one before; it comes back
# right from any of them. What a dump leaves to its parents is compared with whole dumps of the same instant.
# timeout: 300
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
fast_dir img
TRACK=${TRACK:-}
changing 8
mkdir -p img/0
# shellcheck disable=SC2086
"$CR_DUMP" -t "$PID" -D img/0 --pre-dump $TRACK >out 2>&1 || die "pre-dump: $(cat out)"
[ ! -s out ] || die "a pre-dump is not quiet: $(cat out)"
[ ! -e img/0/parent ] && [ ! -e img/0/core-"$PID".img ] && [ ! -e img/0/pstree.img ] || die "a pre-dump has more than memory: $(ls img/0)"
"$CR_IMAGE" check img/0 >out 2>&1 || die "check of a pre-dump: $(cat out)"
grep -q 'memory only: a pre-dump' out || die "check of a pre-dump: $(cat out)"
refused '3|4' 'pre-dump|no process tree|pstree' "$CR_RESTORE" -D img/0 -d
bytes() { cat "$1"/pages-*.img | wc -c; }
stopped() { kill -STOP "$PID" "$CHILD" && wait_for 5 one_of "$PID" T && wait_for 5 one_of "$CHILD" T || die "not stopped"; }
for i in {1..50}; do
	mkdir "img/$i"
	how=-R
	case $i in 3 | 4 | 20) how=--pre-dump ;; 10 | 14 | 30 | 50) stopped ;; esac
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$PID" -D "img/$i" $how --prev-images-dir "../$((i - 1))" --track-mem $TRACK >out 2>&1 || die "dump $i: $(cat out)"
	[ ! -s out ] || die "dump $i is not quiet: $(cat out)"
	[ "$(readlink "img/$i/parent")" = "../$((i - 1))" ] || die "dump $i: the link to its parent"
	case $i in
	15) # Nothing changed since the one before, however long it took.
		[ $(($(bytes img/15) * 20)) -lt "$(bytes img/0)" ] || die "dump 15 writes $(bytes img/15) bytes, the first one $(bytes img/0)"
		kill -CONT "$PID" "$CHILD"
		;;
	10 | 30 | 50)
		mkdir img/whole
		"$CR_DUMP" -t "$PID" -D img/whole -R >out 2>&1 || die "whole dump: $(cat out)"
		"$CR_IMAGE" check "img/$i" >out 2>&1 || die "check $i: $(cat out)"
		"$CR_IMAGE" flatten "img/$i" -o img/flat >out 2>&1 || die "flatten $i: $(cat out)"
		for p in "$PID" "$CHILD"; do
			for d in flat whole; do
				"$CR_IMAGE" decode -i "img/$d/pagemap-$p.img" >j
				n=$(jq '.entries[0].pages_id' j)
				# Entries may be cut in other places: one line for each page says where it is.
				jq -r '.entries[1:][] | "\(.vaddr) \(.nr_pages)"' j | while read -r a k; do
					for ((q = 0; q < k; q++)); do echo $((a + q * 4096)); done
				done >"map.$d"
				cp "img/$d/pages-$n.img" "pages.$d"
			done
			cmp map.flat map.whole || die "dump $i, pid $p: other pages than in a whole dump"
			cmp -l pages.flat pages.whole >differ || {
				q=$(head -n 1 differ | awk '{ print int(($1 - 1) / 4096) + 1 }')
				a=$(sed -n "${q}p" map.whole)
				die "dump $i, pid $p: other content than in a whole dump at $(printf %x "$a"): $(head -n 3 differ | tr '\n' ';')"
			}
		done
		rm -r img/whole img/flat
		kill -CONT "$PID" "$CHILD"
		;;
	esac
	sleep 0.02
done
ask verdict "$PID"
ask verdict.child "$CHILD"
kill -KILL "$PID"
wait_gone "$PID" || die "it does not go"
wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
for i in 1 2 5 21 50; do
	restore "img/$i"
	kill -CONT "$PID" "$CHILD" # the last dump was of stopped processes
	wait_for 10 is_free "$PID" || die "$i: not free: $(state_of "$PID") $(cat img/$i.restore.out t/verdict* t/stderr)"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
	sleep 0.2
	ask verdict "$PID"
	kill -KILL "$PID"
	wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
done
# A chain without one of its links
mv img/33 img/gone
refused '1|3|4' '33|parent' "$CR_RESTORE" -D img/50 -d
mkdir img/51
refused '1|2|3|4' 'prev-images-dir|no such|cannot' "$CR_DUMP" -t 1 -D img/51 --prev-images-dir ../33
no_images img/51 || die "images are left of a refused dump"
mv img/gone img/33
# Room is given back: the last one counts
restore img/50
kill -CONT "$PID" "$CHILD"
mkdir img/52
"$CR_DUMP" -t "$PID" -D img/52 --prev-images-dir ../50 --auto-dedup >out 2>&1 || die "auto-dedup: $(cat out)"
wait_gone "$PID" || die "it does not go"
"$CR_IMAGE" check img/52 >out 2>&1 || die "check after auto-dedup: $(cat out)"
restore img/52
ask verdict "$PID"
ask verdict.child "$CHILD"
kill -KILL "$PID"
