#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# python3 with threads: locks, conditions, a growing heap, and a digest that every thread computes on.
# timeout: 180
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"

cat >threads.py <<'END'
import hashlib, os, signal, threading, time
N, rounds, digests, stop = 6, [0] * 6, [b''] * 6, threading.Event()
cond, turn = threading.Condition(), [0]
def work(i):
    d = b'%d' % i
    while not stop.is_set():
        for _ in range(500):
            d = hashlib.sha256(d).digest()
        rounds[i] += 1
        digests[i] = (rounds[i], d)
        with cond:
            turn[0] += 1
            cond.notify_all()
            cond.wait(0.01)
ts = [threading.Thread(target=work, args=(i,)) for i in range(N)]
local = threading.local(); local.x = 'mine'
for t in ts: t.start()
told = []
signal.signal(signal.SIGUSR1, lambda *a: told.append(1))
while not told:
    time.sleep(0.02)
    with open('beat.new', 'w') as f: f.write(' '.join(map(str, rounds)) + '\n')
    os.rename('beat.new', 'beat')
stop.set()
for t in ts: t.join()
bad = []
for i in range(N):
    n, d = digests[i]; x = b'%d' % i
    for _ in range(n * 500): x = hashlib.sha256(x).digest()
    if x != d: bad.append(i)
with open('answer', 'w') as f: f.write('bad=%s local=%s threads=%d\n' % (bad, local.x, len(ts)))
END
start a "$py" "$W/threads.py"
wait_for 20 test -s a/beat || die "no beat: $(cat a/stderr)"
all_on() { paste -d' ' <(tr ' ' '\n' <a/beat) <(tr ' ' '\n' <<<"$before") | awk '$1 <= $2 { exit 1 }'; }
for i in 1 2 3; do
	cycle "img$i" "$PID"
	before=$(cat a/beat)
	wait_for 20 all_on || die "a thread does not go on after restore $i: $before; $(cat a/beat a/stderr)"
done
kill -USR1 "$PID"
wait_gone "$PID" 60 || die "python does not end: $(cat a/stderr)"
[ "$(cat a/answer)" = "bad=[] local=mine threads=6" ] || die "answer: $(cat a/answer a/stderr)"
