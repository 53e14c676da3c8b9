#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# As much memory as this machine lets a test have, up to 8 GiB, through a stream: its pages then need a longer header than tar had at
# first. Every word of it is proven.
. "$TOP/test/lib/common.sh"
avail=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
for mib in 8200 4096 2048 1024 0; do [ "$avail" -le $((mib * 2 + 3072)) ] || break; done
[ "$mib" != 0 ] || skip "$avail MiB of memory are free, and it needs 5 GiB"
fast_dir out
mount -o remount,size=$((mib + 64))M out || die "cannot make room"
held() {
	start "$1" "$BIN/test/live/holder" private "$mib"
	wait_for 120 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
}
proves() {
	touch "$1/go"
	wait_for 120 test -s "$1/verdict" || die "$1: no verdict; the process is $(state_of "$PID")"
	grep -q '^pass' "$1/verdict" || die "$1: $(cat "$1/verdict")"
	wait_gone "$PID" 10 || die "$1: still there"
}
held stream
"$CR_DUMP" -t "$PID" -D - >out/s.tar || die "cr-dump -D -"
wait_gone "$PID" 30 || die "still there"
"$CR_RESTORE" -D - -d <out/s.tar || die "cr-restore -D -"
tar tf out/s.tar >list || die "tar t"
rm out/s.tar
proves stream
note "$mib MiB"
