#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# AIO contexts come back by every way that pages take: compressed files, chains, streams, rounds down a stream, archives.
# timeout: 120
. "$TOP/test/lib/common.sh"
fast_dir c
for way in compress increment stream packed rounds rounds-packed archive; do
	rm -rf c/* work
	mkdir c/1 c/2
	start work "$BIN/test/progs/mm_aio"
	wait_for 10 test -e work/ready || is_dead "$PID" || die "$way: not ready"
	! grep -q '^skip' work/verdict 2>/dev/null || skip "$(cut -c6- work/verdict)"
	case $way in
	compress) options=(-D c/1 --compress) ;;
	increment)
		"$CR_DUMP" -t "$PID" -D c/2 --pre-dump >out 2>&1 || die "$way: $(cat out)"
		options=(-D c/1 --prev-images-dir ../2)
		;;
	stream | archive) options=(-D -) ;;
	packed) options=(-D - --compress) ;;
	rounds) options=(-D - --iterate=2) ;;
	rounds-packed) options=(-D - --iterate=2 --compress) ;;
	esac
	"$CR_DUMP" -t "$PID" "${options[@]}" >c/stream 2>out || die "$way: dump: $(cat out)"
	wait_gone "$PID" || die "$way: it does not go"
	case $way in
	compress | increment) "$CR_RESTORE" -D c/1 -d >out 2>&1 ;;
	archive) tar x -C c/1 -f c/stream && tar c -C c/1 . | "$CR_RESTORE" -D - -d >out 2>&1 ;;
	*) "$CR_RESTORE" -D - -d <c/stream >out 2>&1 ;;
	esac || die "$way: restore: $(cat out)"
	touch work/go
	wait_for 20 test -s work/verdict || die "$way: no verdict: $(state_of "$PID")"
	grep -q pass work/verdict || die "$way: $(cat work/verdict)"
done
