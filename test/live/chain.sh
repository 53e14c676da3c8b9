#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chains of checkpoints: compressed members, a tree whose processes share pages and memory, a disk that is full in the middle, what cr-image makes of
# them, and room that is given back.
# timeout: 200
. "$TOP/test/lib/common.sh"
need python3
fast_dir img
cat >t.py <<'END'
import os, sys, signal, mmap, time
# Private memory that children share by fork and change in parts, and memory that all of them share.
N = 1024
own = mmap.mmap(-1, N * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
all_ = mmap.mmap(-1, 256 * 4096)
want = [0] * N
def put(i, v):
    own[i * 4096:i * 4096 + 16] = b'%08d%08d' % (i, v)
    want[i] = v
for i in range(N):
    put(i, 1)
who = 0
for k in (1, 2):
    if not os.fork():
        who = k
        break
shared = [0] * 256
turn = 1
def verdict(*a):
    good = all(own[i * 4096:i * 4096 + 16] == b'%08d%08d' % (i, want[i]) for i in range(N))
    good = good and all(all_[i * 4096:i * 4096 + 8] == b'%08d' % shared[i] for i in range(who, 256, 3) if shared[i])
    with open('verdict%d' % who, 'w') as f:
        f.write('pass %d\n' % turn if good else 'fail\n')
def change(*a):
    global turn
    turn += 1
    for i in range(turn * 7 + who, N, 50):
        put(i, turn * 10 + who)
    for i in range(who, 256, 3):
        if (i + turn) % 5 == 0:
            shared[i] = turn * 10 + who
            all_[i * 4096:i * 4096 + 8] = b'%08d' % shared[i]
    if turn % 2: # comes back as zeros
        own.madvise(mmap.MADV_DONTNEED, 4096 * 100, 4096 * 4)
        for i in range(100, 104):
            put(i, turn)
    open('changed%d' % who, 'w').close()
signal.signal(signal.SIGUSR1, verdict)
signal.signal(signal.SIGUSR2, change)
open('ready%d' % who, 'w').close()
while True:
    time.sleep(0.05)
END
start t python3 "$W/t.py"
for i in 0 1 2; do wait_for 20 test -e t/ready$i || die "not ready: $(cat t/stderr)"; done
read -ra PIDS <<<"$PID $(cat "/proc/$PID/task/$PID/children")"
turn() {
	local i
	rm -f t/changed*
	kill -USR2 "${PIDS[@]}"
	for i in 0 1 2; do wait_for 20 test -e t/changed$i || die "$1: nothing changes"; done
}
well() { # WHAT TURN
	local i
	rm -f t/verdict*
	kill -USR1 "${PIDS[@]}" || die "$1: not there"
	for i in 0 1 2; do
		wait_for 20 test -s t/verdict$i || die "$1: no answer of $i"
		[ "$(cat t/verdict$i)" = "pass $2" ] || die "$1: $i: $(cat t/verdict$i), not pass $2"
	done
}
gone() { kill -KILL "${PIDS[@]}" 2>/dev/null; wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"; }
d() {
	local n=$1
	shift
	mkdir -p "img/$n"
	"$CR_DUMP" -t "$PID" -D "img/$n" "$@" >out 2>&1 || die "dump $n $*: $(cat out)"
	[ ! -s out ] || die "dump $n is not quiet: $(cat out)"
	"$CR_IMAGE" check "img/$n" >check 2>&1 || die "dump $n: $(cat check)"
}
bytes() { cat "img/$1"/pages-* | wc -c; }
d 1 -R --compress
turn 2
d 2 -R --prev-images-dir ../1
turn 3
d 3 -R --prev-images-dir ../2 --compress=3 --track-mem
turn 4
"$CR_IMAGE" compress img/2 >/dev/null || die "compress"
d 4 -R --prev-images-dir ../3
[ $(($(bytes 4) * 3)) -lt "$(bytes 1)" ] || [ $(($(bytes 4) * 5)) -lt $((3 * 1024 * 4096)) ] || die "4 has $(bytes 4) bytes"
turn 5
# A full disk in the middle of a chain: nothing new is left, older ones are whole, the tree goes on.
sums=$(cd img && find 1 2 3 4 -type f -exec sha256sum {} + | sort)
full=0
mkdir small && mount -t tmpfs -o size=3m none small
for k in 256 512 1024 1536 2048 2560; do
	mkdir -p small/new
	ln -sfn "$W/img" small/img
	dd if=/dev/zero of=small/fill bs=1024 count=$((3072 - k)) status=none 2>/dev/null
	for how in '' --pre-dump --iterate=2 --track-mem; do
		options=(-R)
		[ "$how" = --iterate=2 ] || options+=(--prev-images-dir ../img/4)
		[ -z "$how" ] || options+=("$how")
		if "$CR_DUMP" -t "$PID" -D small/new "${options[@]}" >out 2>&1; then
			rm -rf small/new/*
			continue
		fi
		full=$((full + 1))
		grep -q 'No space left' out || die "$k KiB: $(cat out)"
		[ "$(wc -l <out)" = 1 ] || die "$k KiB: $(cat out)"
		[ -z "$(find small/new -type f -o -type l)" ] || die "$k KiB, $how: left: $(find small/new)"
		well "$k KiB $how" 5
	done
	rm -f small/fill
done
[ "$full" -gt 4 ] || die "only $full dumps met a full disk"
echo "$full dumps met a full disk"
[ "$(cd img && find 1 2 3 4 -type f -exec sha256sum {} + | sort)" = "$sums" ] || die "older checkpoints have changed"
d 5 --prev-images-dir ../4
wait_gone "$PID" || die "it does not go"
for i in 1 2 3 4 5; do
	restore "img/$i"
	well "restore of $i" "$i"
	gone
done
# What cr-image makes of it is the same process.
for i in 3 5; do
	"$CR_IMAGE" flatten "img/$i" -o "img/flat$i" >out 2>&1 || die "flatten $i: $(cat out)"
	[ ! -e "img/flat$i/parent" ] || die "flatten leaves a parent"
	restore "img/flat$i"
	well "flat $i" "$i"
	# and the parent of further ones
	turn $((i + 1))
	d "after$i" -R --prev-images-dir "../flat$i"
	[ $(($(bytes "after$i") * 4)) -lt "$(bytes "flat$i")" ] || die "after flat$i: $(bytes "after$i") bytes"
	gone
	restore "img/after$i"
	well "after flat $i" $((i + 1))
	gone
done
"$CR_IMAGE" pack img/flat5 | "$CR_RESTORE" -D - -d >out 2>&1 || die "a packed one: $(cat out)"
well "packed" 5
gone
cp -r img/flat5 img/twin && ln -s ../flat5 img/twin/parent
"$CR_IMAGE" dedup img/twin >out 2>&1 || die "dedup: $(cat out)"
[ "$(bytes twin)" -lt 4096 ] || die "dedup leaves $(bytes twin) bytes"
"$CR_IMAGE" check img/twin >out 2>&1 || die "check after dedup: $(cat out)"
restore img/twin
well "dedup" 5
# Room that is given back: to the checkpoints before by a dump, and by a restore of what it has taken.
blocks() { du -k --total "$@" | tail -n 1 | cut -f1; }
# left WHY: the older one is refused, for that alone, and what it still has is as its manifest says
left() {
	if "$CR_IMAGE" check img/old >out 2>&1; then die "check of what is left finds nothing"; fi
	grep -q "$1" out && [ "$(wc -l <out)" = 2 ] && grep -q 'as the manifest says; 1 finding' out || die "check of what is left: $(cat out)"
	refused 4 "$1" "$CR_RESTORE" -D img/old -d
}
cp -a img/flat5 img/old
d give1 -R --prev-images-dir ../old
turn 6
was=$(blocks img/old/pages-*)
d give2 --prev-images-dir ../give1 --auto-dedup
[ "$(blocks img/old/pages-*)" -lt "$was" ] || die "auto-dedup of a dump gives nothing back"
left "not whole any more"
wait_gone "$PID" || die "it does not go"
was=$(blocks img/old/pages-*)
restore img/give2 --auto-dedup
well "auto-dedup" 6
[ $(($(blocks img/old/pages-*) * 4)) -lt "$was" ] && [ "$(blocks img/give2/pages-*)" = 0 ] || die "auto-dedup of a restore: $(du -k img/old/pages-* img/give2/pages-*)"
[ ! -e img/give2/inventory.img ] || die "it still looks like a checkpoint"
refused 4 'inventory' "$CR_RESTORE" -D img/give2 -d
left "given back"
gone
# A damaged page of an older checkpoint is found before anything runs.
cp -a img img.bad 2>/dev/null
f=$(ls -S img.bad/flat5/pages-*.img | head -n 1)
printf '\377' | dd of="$f" bs=1 seek=20000 conv=notrunc status=none
refused 4 'pages-' "$CR_RESTORE" -D img.bad/twin -d
wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
umount small
