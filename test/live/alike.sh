#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Many threads, of which some have their own of this and that, are written down in the same words whether the kernel's own records tell
# of them or each one is asked, and its files of /proc are read; and they come back from both. A dump leaves them as alike as they were.
# timeout: 120
. "$TOP/test/lib/common.sh"
start work "$BIN/test/progs/thread_crowd"
wait_for 60 test -e work/ready || die "not ready: $(cat work/verdict work/stderr 2>/dev/null)"
mkdir from-records again from-files
"$CR_DUMP" -v4 -t "$PID" -D from-records -R >records.out 2>&1 || die "$(cat records.out)"
"$CR_DUMP" -v4 -t "$PID" -D again -R >again.out 2>&1 || die "again: $(cat again.out)"
# This mount namespace is the test's own: a kernel without type information.
btf=/sys/kernel/btf/vmlinux
[ ! -e $btf ] || mount --bind /dev/null $btf || skip "no mounts here"
"$CR_DUMP" -v4 -t "$PID" -D from-files -R >files.out 2>&1 || die "without type information: $(cat files.out)"
grep -q 'all of each thread is read from /proc' files.out || die "without type information it says: $(cat files.out)"
if grep -q 'all of each thread is read from /proc' records.out; then
	note "$(grep 'is read from /proc' records.out)"
else
	alike=$(sed -n 's/.*: \([0-9]*\) of 600 threads have all.*/\1/p' records.out)
	[ "${alike:-0}" -ge 590 ] && [ "$alike" -le 595 ] || die "of 600 threads ${alike:-none} are alike: $(cat records.out)"
	grep -q " $alike of 600 threads have all" again.out || die "of 600 threads $alike were alike, and then: $(cat again.out)"
	for out in records.out again.out; do
		told=$(sed -n 's/.*: \([0-9]*\) of 600 threads need not be asked.*/\1/p' $out)
		[ "${told:-0}" -ge 570 ] && [ "$told" -le 597 ] || die "$out: of 600 threads ${told:-none} need not be asked: $(cat $out)"
	done
	grep -q ' 0 of 600 threads need not be asked' files.out || die "without type information: $(cat files.out)"
fi
n=0
for f in from-records/{core-*,ids-*,cgroup,seccomp,pstree}.img; do
	[ "${f##*/}" != "core-$PID.img" ] || continue # the first one sleeps again and again
	"$CR_IMAGE" decode -i "$f" >a.json && "$CR_IMAGE" decode -i "from-files/${f##*/}" >b.json || die "cannot decode $f"
	diff a.json b.json >difference || die "${f##*/}: $(head -c 2000 difference)"
	n=$((n + 1))
done
[ "$n" = 604 ] || die "$n images were compared"
for how in from-files from-records; do
	dump "$how" "$PID"
	wait_gone "$PID" || die "$how: it does not go"
	restore "$how"
	[ $how = from-records ] || [ ! -e $btf ] || umount $btf
done
touch work/go
wait_for 60 test -s work/verdict || die "no verdict: $(state_of "$PID")"
grep -q pass work/verdict || die "$(cat work/verdict)"
