#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --track-mem: what is written between two dumps is told by a process that stays until the next one. Whatever happens to it or to the tasks
# meanwhile, no page is wrong; nothing is left of it when it is not needed any more.
# timeout: 240
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
need python3 perl
"$CR_CHECK" --feature uffd-wp-async >/dev/null 2>&1 || skip "no write protection in the asynchronous way here"
fast_dir img
registered() { grep -qE '^VmFlags:.* (um|uw)' "/proc/$1/smaps"; }
written() { awk -F '  +' '$1 == "pages written" { print $2 + 0 }' "$1"; }
# d N [OPTION...]: one more dump, with the one before as its parent
d() {
	local n=$1
	shift
	mkdir -p "img/$n"
	"$CR_DUMP" -t "$PID" -D "img/$n" --display-stats "$@" >out 2>&1 || die "dump $n $*: $(cat out)"
	"$CR_IMAGE" check "img/$n" >check 2>&1 || die "dump $n $*: check: $(cat check)"
}
changing 32 1000
well() {
	wait_for 10 is_free "$PID" || die "$1: not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
}
fds=$(ls "/proc/$PID/fd")
"$CR_CHECK" --feature mem_dirty_track >/dev/null 2>&1 ||
	refused 3 'mem_dirty_track' "$CR_DUMP" -t "$PID" -D img -R --track=soft-dirty
no_images img || die "images of a refused dump"

# Stopped, they change nothing: how much they write does not hang on how fast this goes.
stop() { kill -STOP "$PID" "$CHILD" && wait_for 20 one_of "$PID" T && wait_for 20 one_of "$CHILD" T || die "not stopped"; }
stop
d 1 --pre-dump --track-mem
[ "$(trackers | wc -w)" = 1 ] || die "trackers: $(trackers)"
registered "$PID" || die "memory is not registered"
[ "$(ls "/proc/$PID/fd")" = "$fds" ] || die "a descriptor is left"
t1=$(trackers)
d 2 --prev-images-dir ../1 --track-mem -R
[ "$(trackers | wc -w)" = 1 ] && [ "$(trackers)" != "$t1" ] || die "trackers: $(trackers)"
[ "$(written out)" -lt 800 ] || die "much is written: $(cat out)"
# A check changes nothing, and does not take what is ours for the program's own.
t1=$(trackers)
"$CR_DUMP" -t "$PID" --check >out 2>&1 || die "check: $(cat out)"
[ "$(trackers)" = "$t1" ] || die "a check ends the tracking"
# It is killed: contents are compared.
kill -KILL "$t1"
wait_gone "$t1" || die "it does not go"
! registered "$PID" || die "memory stays registered without a tracker"
d 3 --prev-images-dir ../2 --track-mem -R
[ "$(written out)" -lt 800 ] || die "much is written: $(cat out)"
kill -CONT "$PID" "$CHILD"
well "killed tracker"
# It does not answer: nobody hangs, the target is unharmed.
kill -STOP "$(trackers)"
mkdir img/x
refused 5 'userfaultfd' "$CR_DUMP" -t "$PID" -D img/x --prev-images-dir ../3 -R
kill -CONT "$(trackers)"
well "stopped tracker"
# Another parent, and none at all: what was tracked says nothing about that.
d 4 --prev-images-dir ../3 --track-mem -R
d 5 --prev-images-dir ../2 --track-mem -R
d 6 -R
no_tracker || die "a tracker stays after a dump that needs none: $(trackers)"
! registered "$PID" || die "memory stays registered"
d 7 --prev-images-dir ../5 --track=content -R --track-mem
no_tracker || die "--track=content has a tracker"
# With --iterate: from what was tracked to the first round, and from the last one on.
d 8 --prev-images-dir ../7 --track-mem -R
d 9 --prev-images-dir ../8 --track-mem -R --iterate=2
[ "$(trackers | wc -w)" = 1 ] || die "trackers: $(trackers)"
d 10 --prev-images-dir ../9 --track-mem -R
well "iterate"
# Into a stream, from the same target, while somebody tracks it.
"$CR_DUMP" -t "$PID" -D - -R >s.tar 2>out || die "stream: $(cat out)"
well "stream"
no_tracker || die "a tracker stays after a stream"
# One that is unpacked begins a chain as well.
mkdir img/s
"$CR_DUMP" -t "$PID" -D - -R --track-mem 2>out | tar x -C img/s || die "tracked stream: $(cat out)"
[ "$(trackers | wc -w)" = 1 ] || die "trackers after a stream: $(trackers)"
d 11 --prev-images-dir ../s --track-mem -s --track=userfaultfd -v3
grep -q 'pages of pid .* were tracked since' out || die "a stream is not tracked on: $(cat out)"
kill -CONT "$PID" "$CHILD"
well "stopped"
kill -KILL "$PID"
wait_for 10 no_tracker || die "a tracker outlives its tasks"
wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
for i in 3 5 7 9 10 11; do
	restore "img/$i"
	kill -CONT "$PID" "$CHILD" 2>/dev/null
	well "restored from $i"
	! registered "$PID" || die "a restored task is registered"
	kill -KILL "$PID"
	wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
done

# A program becomes another one, forks, or is a new one with an old number.
cat >become.py <<'END'
import os, sys, signal, mmap, time
n, mark = int(sys.argv[1]), sys.argv[2]
m = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(2048):
    m[i * 4096:i * 4096 + 8] = b'%-3d%05d' % (n, i)
child = 0
def same(k):
    return all(m[i * 4096:i * 4096 + 8] == b'%-3d%05d' % (k, i) for i in range(2048))
def next_one(*a):
    os.execv(sys.executable, [sys.executable, sys.argv[0], str(n + 1), mark])
def born(*a):
    global child
    child = os.fork()
    if not child:
        for i in range(0, 2048, 2):
            m[i * 4096:i * 4096 + 8] = b'%-3d%05d' % (n + 50, i)
        open(mark + '.born', 'w').close()
        while True:
            time.sleep(0.05)
def verdict(*a):
    good = same(n)
    if not child and os.getppid() != 1 and os.path.exists(mark + '.born') and m[0:2] != b'%d' % n:
        good = all(m[i * 4096:i * 4096 + 8] == b'%-3d%05d' % (n + (0 if i % 2 else 50), i) for i in range(2048))
    with open('%s.%d' % (mark, os.getpid()), 'w') as f:
        f.write('pass %d\n' % n if good else 'fail\n')
for s in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.pthread_sigmask(signal.SIG_BLOCK, [s])
signal.signal(signal.SIGUSR1, verdict)
signal.signal(signal.SIGUSR2, next_one)
signal.signal(signal.SIGHUP, born)
open(mark + '.ready%d' % n, 'w').close()
for s in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [s])
while True:
    time.sleep(0.05)
END
cp become.py t/
start t python3 become.py 1 p
say() {
	rm -f "t/p.$1"
	kill -USR1 "$1"
	wait_for 20 test -s "t/p.$1" || die "no answer of $1"
	[ "$(cat "t/p.$1")" = "pass $2" ] || die "$1: $(cat "t/p.$1"), not pass $2"
}
wait_for 20 test -e t/p.ready1 || die "not ready: $(cat t/stderr)"
d a1 --pre-dump --track-mem
kill -USR2 "$PID"
wait_for 20 test -e t/p.ready2 || die "no second program"
d a2 --prev-images-dir ../a1 --track-mem -R
say "$PID" 2
kill -HUP "$PID"
wait_for 20 test -e t/p.born || die "no child"
d a3 --prev-images-dir ../a2 --track-mem -R
d a4 --prev-images-dir ../a3
CHILD=$(jq -r '.entries[1].pid' <("$CR_IMAGE" decode -i img/a4/pstree.img))
wait_gone "$PID" || die "it does not go"
wait_for 10 no_tracker || die "a tracker outlives its tasks"
for i in a4 a3 a2; do
	restore "img/$i"
	say "$PID" 2
	[ "$i" = a2 ] || say "$CHILD" 2
	[ "$i" = a2 ] || kill -KILL "$CHILD"
	kill -KILL "$PID"
	wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
done
