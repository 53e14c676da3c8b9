#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory that is unmapped while a round is on its way down a stream: what lies around it goes on counting as it is.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
cat >t.py <<'END'
import ctypes, mmap, os, signal, time
N = 8192 # pages; every 16th of the second half goes
libc = ctypes.CDLL(None)
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
m = mmap.mmap(-1, N * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = ctypes.addressof(ctypes.c_char.from_buffer(m))
word = lambda i: (i * 2654435761 + 1) & 0xffffffffffff
there = lambda i: ctypes.c_uint64.from_address(at + i * 4096 + 8)
for i in range(N):
    there(i).value = word(i)
gone = set()
def unmap(*a):
    for i in range(N // 2, N, 16):
        if libc.munmap(at + i * 4096, 4096): raise SystemExit('munmap')
        gone.add(i)
    open('unmapped', 'w').close()
def verdict(*a):
    bad = [i for i in range(N) if i not in gone and there(i).value != word(i)]
    with open('verdict.new', 'w') as f:
        f.write('fail: %d pages, the first is %d\n' % (len(bad), bad[0]) if bad else 'pass %d gone\n' % len(gone))
    os.rename('verdict.new', 'verdict')
signal.signal(signal.SIGUSR1, unmap)
signal.signal(signal.SIGUSR2, verdict)
open('ready', 'w').close()
while True:
    time.sleep(0.05)
END
well() {
	rm -f t/verdict
	kill -USR2 "$PID" || die "$1: it is not there"
	wait_for 10 test -s t/verdict || die "$1: no answer"
	[ "$(cat t/verdict)" = "pass 256 gone" ] || die "$1: $(cat t/verdict)"
}
end() { kill -KILL "$PID"; wait_gone "$PID" || die "it does not end"; }
start t "$py" "$W/t.py"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
# The first round has listed its pages, and waits for the pipe: what it has yet to read is unmapped in part.
unmap() { kill -USR1 "$PID"; wait_for 10 test -e t/unmapped; }
"$CR_DUMP" -t "$PID" -D - -R --iterate=3 2>err | { head -c 1000000; unmap; cat; } >s.tar || die "cr-dump: $(cat err)"
[ -e t/unmapped ] || die "nothing is unmapped"
well "after the dump"
end
"$CR_RESTORE" -D - -d <s.tar >out 2>&1 || die "cr-restore: $(cat out)"
well "from the stream"
end
