#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The target dies at a random moment of its dump: cr-dump says so in one line, or was done already; it never hangs, never leaves half a
# checkpoint.
# timeout: 180
. "$TOP/test/lib/common.sh"
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
fast_dir img
out=$(start t "$BIN/test/live/watchdog"; wait_for 5 test -e t/ready; "$BIN/test/live/kill_after" 0 "$CR_DUMP" -t "$PID" -D img -R; kill -9 "$PID")
[[ $out == "exit 0 after "* ]] || die "an undisturbed dump: $out"
us=${out#exit 0 after }
us=${us% us}
died=0
for ((i = 1; i <= 60; i++)); do
	rm -rf img/* t
	start t "$BIN/test/live/watchdog"
	wait_for 5 test -e t/ready || die "not ready"
	d=$(((RANDOM * 32768 + RANDOM) % us))
	timeout 20 "$CR_DUMP" -t "$PID" -D img -R >out 2>&1 &
	dumper=$!
	"$BIN/test/live/kill_after" $((d + 1)) sleep 10 >/dev/null
	kill -9 "$PID"
	wait "$dumper"
	rc=$?
	if [ "$rc" = 0 ]; then
		[ -e img/inventory.img ] || die "run $i, $d us: success without an inventory"
	else
		died=$((died + 1))
		[[ $rc =~ ^[15]$ ]] || die "run $i, $d us: exit status $rc: $(cat out)"
		[ "$(wc -l <out)" = 1 ] || die "run $i, $d us: not one line: $(cat out)"
		no_images img || die "run $i, $d us: images are left: $(ls img)"
	fi
	wait_gone "$PID" || die "run $i: the target cannot die: $(state_of "$PID")"
done
echo "$died of 60 dumps saw the death"
