# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The core file that cr-image makes of a checkpoint, beside the one that gdb's gcore made of the same process just before: the same
# threads with the same backtraces, registers and memory.
. "$TOP/test/lib/common.sh"
need gdb gcore gcc readelf python3

cat >threads.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
char data[3 * 4096] = "initialised", *heap, *shared, *hole;
static __attribute__((noinline)) void deep(int n) { volatile int k = n; if (n) deep(n - 1); else pause(); k++; }
static void *thread(void *arg) { deep((int)(long)arg); return NULL; }
int main(void)
{
	heap = malloc(300000);
	memset(heap, 0xa5, 300000);
	strcpy(data + 4096, "second page");
	shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(shared + 4096, "shared page");
	hole = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole[32 << 20] = 'h';
	for (long i = 1; i < 6; i++) { pthread_t t; pthread_create(&t, NULL, thread, (void *)(i * 3)); }
	fclose(fopen("ready", "w"));
	deep(7);
}
C
gcc -O1 -g -pthread -o threads threads.c || die "the program does not compile"
start run "$W/threads"
wait_for 10 test -e run/ready || die "not ready: $(cat run/stderr)"
# All of them, in pause().
asleep() { ! cut -d' ' -f1 "/proc/$PID/task"/*/syscall | grep -qvx 34; }
wait_for 10 asleep || die "not asleep: $(cat "/proc/$PID/task"/*/syscall)"
gcore -o live "$PID" >gcore.out 2>&1 || skip "gcore cannot take a core here: $(tail -1 gcore.out)"
dump img "$PID"
"$CR_IMAGE" core img -o ours || die "cr-image core fails"
"$CR_IMAGE" core img >piped && cmp ours piped || die "through a pipe the core file is another one"

readelf -hln ours >readelf.out 2>&1 || die "readelf: $(tail -1 readelf.out)"
grep -qi 'warning\|error' readelf.out && die "readelf: $(grep -i 'warning\|error' readelf.out)"
for n in PRSTATUS PRPSINFO AUXV FILE SIGINFO FPREGSET X86_XSTATE; do grep -q "NT_$n" readelf.out || die "no note $n"; done
[ "$(grep -c NT_PRSTATUS readelf.out)" = 6 ] || die "not 6 threads"

look() {
	gdb -nx -batch -ex 'set pagination off' -ex 'set height 0' -ex 'thread apply all bt' -ex 'thread apply all p $rsp' \
		-ex 'thread apply all p $fs_base' -ex 'thread apply all p $xmm0' -ex 'p data' -ex 'x/s data+4096' -ex 'p heap[299999]' \
		-ex 'x/s shared+4096' -ex 'p hole[32<<20]' -ex 'p hole[1]' -ex 'info proc cmdline' "$W/threads" -c "$1" >"$1.gdb" 2>"$1.err"
	# A call that is to be repeated is shown at its instruction here, and behind it there: the image has it so.
	sed -i -E 's/0x[0-9a-f]+ in (__libc_)?pause/pause/; s/^(#0 +)0x[0-9a-f]+/\1/; /^Core was generated/d; /^Program terminated/d; /^\[Current thread/d; /^#0 /d; /^29\t/d; /^\[New LWP/d; /^\[Thread debugging/d; /^Using host/d' "$1.gdb"
}
look "live.$PID"
look ours
grep -q 'too small\|too big\|truncated' ours.err && die "gdb: $(cat ours.err)"
[ "$(grep -c ' in deep\|deep (n' ours.gdb)" -ge 40 ] || die "no backtraces: $(cat ours.gdb ours.err)"
grep -q 'second page' ours.gdb && grep -q 'shared page' ours.gdb || die "no memory: $(tail -20 ours.gdb)"
diff "live.$PID.gdb" ours.gdb || die "gdb shows other things (< of gcore, > of cr-image)"

# Every writable byte that gcore has is there and the same, but for the rseq area of each thread (20 bytes in one page), where the kernel
# notes on which processor the thread ran last: all threads sleep, but being traced they come to run.
python3 - "live.$PID" ours <<'P' || die "the memory differs"
import struct, sys
def load(path):
    d = open(path, "rb").read()
    off, n = struct.unpack_from("<Q", d, 32)[0], struct.unpack_from("<H", d, 56)[0]
    segs = []
    for i in range(n):
        t, flags, o, va, _, fs, ms, _ = struct.unpack_from("<IIQQQQQQ", d, off + i * 56)
        if t == 1 and fs:
            segs.append((va, fs, o, flags))
    return d, segs
(a, sa), (b, sb) = load(sys.argv[1]), load(sys.argv[2])
pages = {va + i: o + i for va, fs, o, _ in sb for i in range(0, fs, 4096)}
same = missing = other = rseq = 0
for va, fs, o, flags in sa:
    if not flags & 2:
        continue
    for i in range(0, fs, 4096):
        p = pages.get(va + i)
        if p is None:
            missing += a[o + i:o + i + 4096].count(0) != 4096  # an unchanged page of a file is left to the file
        elif sum(x != y for x, y in zip(a[o + i:o + i + 4096], b[p:p + 4096])) <= 20:
            same += a[o + i:o + i + 4096] == b[p:p + 4096]
            rseq += a[o + i:o + i + 4096] != b[p:p + 4096]
        else:
            other += 1
            print("page %#x differs" % (va + i))
print(same, "pages are the same,", rseq, "but for rseq,", other, "differ,", missing, "are left to files")
sys.exit(other > 0 or rseq > 6 or same < 100 or missing > 20)
P
