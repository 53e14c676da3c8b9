#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is being restored is killed at a random moment: cr-restore says so in one line, or was done already; it never hangs and leaves nothing.
# timeout: 200
. "$TOP/test/lib/common.sh"
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
watchdog_start
fast_dir img
dump img "$DOG"
wait_gone "$DOG" || die "still there"
out=$("$BIN/test/live/kill_after" 0 "$CR_RESTORE" -D img -d </dev/null)
[[ $out == "exit 0 after "* ]] || die "an undisturbed restore: $out"
us=${out#exit 0 after }
us=${us% us}
kill -9 "$DOG"
wait_gone "$DOG" || die "still there"
died=0
for ((i = 1; i <= 80; i++)); do
	d=$(((RANDOM * 32768 + RANDOM) % us))
	timeout 20 "$CR_RESTORE" -D img -d </dev/null >out 2>&1 &
	tool=$!
	"$BIN/test/live/kill_after" $((d + 1)) sleep 10 >/dev/null
	for ((k = 0; k < 2000; k++)); do kill -9 "$DOG" 2>/dev/null && break; done
	wait "$tool"
	rc=$?
	if [ "$rc" != 0 ]; then
		died=$((died + 1))
		[ "$rc" = 1 ] || die "run $i, $d us: exit status $rc: $(cat out)"
		[ "$(wc -l <out)" = 1 ] || die "run $i, $d us: not one line: $(cat out)"
	fi
	kill -9 "$DOG" 2>/dev/null
	wait_gone "$DOG" || die "run $i: it is still there: $(state_of "$DOG")"
	wait_for 2 nobody_there || die "run $i: somebody is left: $(ns_procs)"
done
echo "$died of 80 restores saw the death"
[ "$died" -gt 5 ] || die "only $died restores were disturbed: the test proves nothing"
