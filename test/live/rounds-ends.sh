#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Children that come and go while rounds are read, and processes that share their memory: pre-dumps and rounds go on, and what they make is right.
# timeout: 200
. "$TOP/test/lib/common.sh"
need python3
fast_dir c
cat >t.py <<'END'
import os, random, signal, time
N = 512
b = bytearray(N * 4096)
want = [0] * N
rand = random.Random(1)
def put():
    for k in range(8):
        i, v = rand.randrange(N), rand.randrange(1, 256)
        b[i * 4096] = want[i] = v
def say(*a):
    with open('said.new', 'w') as f:
        f.write('good\n' if all(b[i * 4096] == want[i] for i in range(N)) else 'bad\n')
    os.rename('said.new', 'said')
signal.signal(signal.SIGUSR1, say)
open('ready', 'w').close()
while True:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    put()
    pid = os.fork()
    if not pid:
        for k in range(50):
            put()
        time.sleep(rand.random() * 0.003)
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    time.sleep(rand.random() * 0.004)
    if rand.random() < 0.5:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
END
start t python3 "$W/t.py"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
well() {
	rm -f t/said
	kill -USR1 "$PID" || die "$1: not there"
	wait_for 20 test -e t/said || die "$1: no answer"
	[ "$(cat t/said)" = good ] || die "$1: its memory is wrong"
}
gone() { kill -KILL -- "-$PID"; wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"; }
prev=''
for i in {1..30}; do
	mkdir "c/$i"
	how='--pre-dump --track-mem'
	case $i in 10 | 20 | 30) how='-R --track-mem' ;; 11) how='--pre-dump --track=content' ;; esac
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$PID" -D "c/$i" $how $prev >out 2>&1 || die "dump $i, $how: $(cat out)"
	prev="--prev-images-dir ../$i"
done
for i in {1..15}; do
	mkdir "c/i$i"
	"$CR_DUMP" -t "$PID" -D "c/i$i" -R --iterate=3 >out 2>&1 || die "--iterate, $i: $(cat out)"
	"$CR_DUMP" -t "$PID" -D - -R --iterate=3 2>out >"c/s$i" || die "--iterate down a stream, $i: $(cat out)"
done
well "after all"
for i in 10 20 30 i1 i8 i15; do
	gone
	"$CR_IMAGE" check "c/$i" >out 2>&1 || die "check of $i: $(cat out)"
	restore "c/$i"
	well "$i"
done
for i in s1 s15; do
	gone
	"$CR_RESTORE" -D - -d <"c/$i" >out 2>&1 || die "$i: $(cat out)"
	well "$i"
done
gone

start s "$BIN/test/progs/tree_shared_vm"
wait_for 20 test -e s/ready || die "not ready: $(cat s/stderr)"
mkdir v v/1 v/2 v/3 v/4
"$CR_DUMP" -t "$PID" -D v/1 --pre-dump --track-mem >out 2>&1 || die "shared memory, the first: $(cat out)"
"$CR_DUMP" -t "$PID" -D v/2 --pre-dump --track-mem --prev-images-dir ../1 >out 2>&1 || die "shared memory, the second: $(cat out)"
"$CR_DUMP" -t "$PID" -D v/3 -R --iterate=2 >out 2>&1 || die "shared memory, --iterate: $(cat out)"
! grep -E '^VmFlags:.* (um|uw)' /proc/[0-9]*/smaps || die "memory stays registered"
"$CR_DUMP" -t "$PID" -D v/2 -R --track-mem >out 2>&1 || die "shared memory, tracked: $(cat out)"
"$CR_DUMP" -t "$PID" -D v/4 --prev-images-dir ../2 >out 2>&1 || die "shared memory, the last one: $(cat out)"
wait_gone "$PID" || die "it does not go"
restore v/4
touch s/go
wait_for 20 test -s s/verdict || die "no verdict: $(state_of "$PID")"
grep -q pass s/verdict || die "$(cat s/verdict)"
