#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Tracked memory beside which a mapping is moved that the kernel makes one with it: its pages lose what tracks them and keep the marks of it.
# What is written to them later is seen all the same, in every round.
# timeout: 60
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
fast_dir img
cat >t.py <<'END'
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
PAGE, N = 4096, 16
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
def mmap(at, n):
    p = libc.mmap(ctypes.c_void_p(at), ctypes.c_size_t(n * PAGE), 3, 0x100022, -1, ctypes.c_long(0)) # fixed, private, anonymous
    if p != at: raise SystemExit('mmap')
    return p
a, spare = mmap(0x20000000000, N), mmap(0x30000000000, 4)
want, turn = [0] * N, 0
def put(i, v):
    ctypes.c_uint64.from_address(a + i * PAGE).value = want[i] = v
for i in range(N): put(i, 100 + i)
def step(*_):
    global turn, spare
    if turn == 0: # nobody has touched it: it becomes one with its neighbour
        to = a + N * PAGE
        if libc.mremap(ctypes.c_void_p(spare), ctypes.c_size_t(4 * PAGE), ctypes.c_size_t(4 * PAGE), 3, ctypes.c_void_p(to)) != to:
            raise SystemExit('mremap')
        merged = any(l.startswith('%x-%x ' % (a, to + 4 * PAGE)) for l in open('/proc/self/maps'))
        open('merged', 'w').write('%d\n' % merged)
    turn += 1
    put(5, 1000 * turn)
    open('step%d' % turn, 'w').close()
def verdict(*_):
    got = [ctypes.c_uint64.from_address(a + i * PAGE).value for i in range(N)]
    with open('verdict.new', 'w') as f: f.write('pass %d\n' % turn if got == want else 'fail: %s, not %s\n' % (got, want))
    os.rename('verdict.new', 'verdict')
signal.signal(signal.SIGUSR1, step)
signal.signal(signal.SIGUSR2, verdict)
open('ready', 'w').close()
while True: time.sleep(0.05)
END
start t "$py" "$W/t.py"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
step() { kill -USR1 "$PID"; wait_for 10 test -e "t/step$1" || die "step $1: $(cat t/stderr)"; }
well() {
	rm -f t/verdict
	kill -USR2 "$PID" || die "$1: it is not there"
	wait_for 10 test -s t/verdict || die "$1: no answer"
	[ "$(cat t/verdict)" = "pass $2" ] || die "$1: $(cat t/verdict), not pass $2"
}
dump img/1 "$PID" -R --track-mem
grep -qE '^VmFlags:.* uw' "/proc/$PID/smaps" || skip "memory is not tracked by a userfaultfd here"
step 1
[ "$(cat t/merged)" = 1 ] || note "this kernel keeps the two mappings apart"
dump img/2 "$PID" -R --track-mem --prev-images-dir ../1
step 2
dump img/3 "$PID" -R --track-mem --prev-images-dir ../2
step 3
dump img/4 "$PID" --prev-images-dir ../3
wait_gone "$PID" || die "it does not go"
for i in 1 2 3 4; do
	restore "img/$i"
	well "checkpoint $i" $((i - 1))
	kill -KILL "$PID"
	wait_gone "$PID" || die "it does not end"
done
