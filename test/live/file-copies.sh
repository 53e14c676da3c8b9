#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copies of pages of a file that are equal to the file's are in no image and come back by every way that pages take; not when the file
# has other bytes by then; and what the images say of them is believed no more than anything else.
# timeout: 200
. "$TOP/test/lib/common.sh"
need python3
fast_dir c
fast_dir work # where pages of files are always in memory
target() { # [watch]
	rm -rf c/* work/*
	mkdir c/1 c/2
	start work "$BIN/test/progs/mm_file_copies" "$@"
	wait_for 10 test -e work/ready || is_dead "$PID" || die "not ready"
}
passes() { # HOW
	touch work/go
	wait_for 20 test -s work/verdict || die "$1: no verdict: $(state_of "$PID")"
	grep -q pass work/verdict || die "$1: $(cat work/verdict)"
	wait_gone "$PID" || die "$1: it does not end"
}
# What the program makes: 600 + 125 + 148 + 50 + 20 + 10 pages.
count() { sed -n 's/^pages of files *//p' out; }

# Kernels that lack something: RWF_NOWAIT, or PAGEMAP_SCAN; and what is not in memory (EAGAIN).
preadv2=327 ioctl=16 pagemap_scan=$((0xc0606610))
for way in plain compress increment flat rounds-here stream packed rounds rounds-packed archive cow watch waits words uncached; do
	a=''
	[ $way != watch ] || a=watch
	target $a
	with=()
	case $way in
	waits) with=("$BIN/test/live/withhold" 95 "$preadv2") ;;
	words) with=("$BIN/test/live/withhold" 25 "$ioctl:1=$pagemap_scan") ;;
	uncached) with=("$BIN/test/live/withhold" 11 "$preadv2") ;;
	esac
	case $way in
	plain | waits | words | uncached) options=(-D c/1) ;;
	watch) options=(-D c/1 -R) ;;
	compress) options=(-D c/1 --compress) ;;
	increment | flat)
		"$CR_DUMP" -t "$PID" -D c/2 --pre-dump >out 2>&1 || die "$way: $(cat out)"
		options=(-D c/1 --prev-images-dir ../2)
		;;
	rounds-here) options=(-D c/1 --iterate=2) ;;
	stream | archive) options=(-D -) ;;
	packed) options=(-D - --compress) ;;
	rounds) options=(-D - --iterate=2) ;;
	rounds-packed) options=(-D - --iterate=2 --compress) ;;
	cow) options=(-D c/1 --cow-pages) ;;
	esac
	"${with[@]}" "$CR_DUMP" -t "$PID" "${options[@]}" --display-stats >c/stream 2>out || die "$way: dump: $(cat out)"
	[[ $way == *stream* || $way == *rounds* || $way == packed || $way == archive ]] || cat c/stream >>out
	case $way in
	cow | watch | uncached) [ "$(count)" = 0 ] || die "$way: $(count) pages are left to files: $(cat out)" ;;
	*) [ "$(count)" -ge 953 ] || die "$way: only $(count) pages are left to files: $(cat out)" ;;
	esac
	[ $way = watch ] && passes $way && continue
	wait_gone "$PID" || die "$way: it does not go"
	[ $way != plain ] || [ "$(stat -c %s c/1/pages-1.img)" -lt $((900 * 4096)) ] || die "$(ls -l c/1)"
	case $way in
	flat) "$CR_IMAGE" flatten c/1 -o c/3 >out 2>&1 && "$CR_IMAGE" check c/3 >out 2>&1 && "$CR_RESTORE" -D c/3 -d >out 2>&1 ;;
	archive) tar x -C c/1 -f c/stream && tar c -C c/1 . | "$CR_RESTORE" -D - -d >out 2>&1 ;;
	stream | packed | rounds | rounds-packed) "$CR_RESTORE" -D - -d <c/stream >out 2>&1 ;;
	*) "$CR_RESTORE" -D c/1 --check >out 2>&1 && "$CR_RESTORE" -D c/1 -d >out 2>&1 ;;
	esac || die "$way: restore: $(cat out)"
	passes $way
done

# Another byte in the file: refused by name, with nothing left, and no longer when it is as it was.
target
dump c/1 "$PID"
wait_gone "$PID"
cp work/data data
printf x | dd of=work/data bs=1 seek=81925 conv=notrunc status=none
refused 1 'work/data: has changed in a page that the task has a copy of' "$CR_RESTORE" -D c/1 -d
is_gone "$PID" || die "somebody is left of a refused restore"
"$CR_RESTORE" -D c/1 --check >out 2>&1 && die "--check finds nothing"
grep -q "work/data: has changed in a page that task $PID has a copy of" out || die "--check: $(cat out)"
dd if=data of=work/data conv=notrunc status=none
restore c/1
passes "as it was"

# Down a pipe: found before the tasks that are sent are gone. Other bytes come into the file when it has been compared: the stream has begun.
changed() {
	dd bs=1 count=512 of=first status=none
	printf x | dd of=work/data bs=1 seek=81925 conv=notrunc status=none
	{ cat first && cat; } | "$@" >said 2>&1
}
for how in here elsewhere; do
	target
	cp work/data data
	with=()
	[ $how != elsewhere ] || with=(unshare -pf --mount-proc)
	"$CR_DUMP" -t "$PID" -D - 2>out | changed "${with[@]}" "$CR_RESTORE" -D - -d
	codes="${PIPESTATUS[*]}"
	[[ $codes != *" 0" && $codes != "0 "* ]] || die "$how: exit statuses $codes: $(cat out said)"
	grep -q 'work/data: has changed in a page' said || die "$how: $(cat said)"
	is_free "$PID" || die "$how: the target is $(state_of "$PID"): $(cat out)"
	dd if=data of=work/data conv=notrunc status=none
	passes "$how"
done

# Images that say what cannot be.
target
dump c/1 "$PID"
wait_gone "$PID"
"$CR_IMAGE" decode -i "c/1/mm-$PID.img" -o mm.json || die "no JSON"
# edit STATEMENT: of the mappings v, those with copies c, and the first of these with more than one range, some. jq(1) knows no 64-bit numbers.
edit() {
	python3 - "$1" >wrong.json <<-'END' || die "edit: $1"
		import json, sys
		j = json.load(open("mm.json"))
		v = j["entries"][0]["vmas"]
		c = [m["copies"] for m in v if "copies" in m]
		some = next(x for x in c if len(x["runs"]) > 2)
		exec(sys.argv[1])
		json.dump(j, sys.stdout)
	END
}
wrong() { # WHAT REGEX STATEMENT
	edit "$3"
	rm -rf c/2 && cp -r c/1 c/2 && rm -f c/2/cr-manifest* c/2/*manifest*
	"$CR_IMAGE" encode -i wrong.json -o "c/2/mm-$PID.img" || die "$1: encode"
	case $2 in
	*changed | stored*) "$CR_IMAGE" check c/2 >out 2>&1 || die "$1: check: $(cat out)" ;;
	*) "$CR_IMAGE" check c/2 >out 2>&1 && die "$1: check finds nothing" ;;
	esac
	refused '1|4' "$2" "$CR_RESTORE" -D c/2 -d
	is_gone "$PID" || die "$1: somebody is left"
}
wrong "one number" 'copies with' 'some["runs"].pop()'
wrong "none at all" 'copies with' 'some["runs"] = []'
wrong "no page" 'copies of 0 pages' 'some["runs"][1] = 0'
wrong "behind the end" 'copies of' 'some["runs"][1] = 1000000'
wrong "all there is" 'copies of' 'some["runs"][1] = 2**64 - 1'
wrong "stored pages too" 'stored too' 'some["runs"][1] += 1'
wrong "of no file" 'cannot have copies' 'next(m for m in v if m["status"] == 513)["copies"] = {"runs": [0, 1], "sum": 0}'
wrong "another sum" 'work/data: has changed' 'some["sum"] ^= 1'
wrong "other pages" 'work/data: has changed' 'next(x for x in c if x["runs"] == [0, 600])["runs"] = [0, 599]'
"$CR_IMAGE" diff c/1 c/1 >out 2>&1 || die "it differs from itself: $(cat out)"
edit 'next(x for x in c if x["runs"] == [0, 600])["sum"] ^= 1'
"$CR_IMAGE" encode -i wrong.json -o "c/2/mm-$PID.img" || die "encode"
"$CR_IMAGE" diff c/1 c/2 >out 2>&1
grep -q 'data.*0 of .* pages, others are not there to compare' out || die "diff of another sum: $(cat out)"
restore c/1
passes "the true one"
