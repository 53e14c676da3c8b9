#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Thousands of descriptors come back whether the kernel's own records tell of them or /proc and kcmp do; and so do those of a tree.
# timeout: 120
. "$TOP/test/lib/common.sh"
btf=/sys/kernel/btf/vmlinux
start many "$BIN/test/progs/file_many"
many=$PID
start tree "$BIN/test/progs/file_tree_shared"
tree=$PID
for t in many tree; do
	wait_for 60 test -e $t/ready -o -s $t/verdict || die "$t: not ready: $(cat $t/stderr)"
	! grep -q skip $t/verdict 2>/dev/null || skip "$t: $(cat $t/verdict)"
done
mkdir from-records from-files
"$CR_DUMP" -v4 -t "$many" -D from-records -R >records.out 2>&1 || die "$(cat records.out)"
[ ! -e $btf ] || mount --bind /dev/null $btf || skip "no mounts here" # this mount namespace is the test's own
"$CR_DUMP" -v4 -t "$many" -D from-files -R >files.out 2>&1 || die "without type information: $(cat files.out)"
if [ -e /proc/self/fd ] && [ "$(stat -c %s "/proc/$many/fd")" -gt 0 ]; then
	grep -q 'descriptors are read from /proc' files.out || die "without type information it says: $(cat files.out)"
fi
! grep 'descriptors are read from /proc' records.out >&2 || note "$(grep 'are read from /proc' records.out)"
# The same entries, but for the numbers that they have in the images.
for how in from-records from-files; do
	"$CR_IMAGE" decode -i $how/files.img | sed 's/"id": *[0-9]*,\{0,1\}//g' | tr -d ' \n' | sed 's/},{"type"/},\n{"type"/g' | sort >$how.txt
	"$CR_IMAGE" decode -i $how/pipes-data.img | sort >$how.data
	[ "$(wc -l <$how.txt)" -gt 3000 ] || die "$how: $(wc -l <$how.txt) lines"
done
diff from-records.txt from-files.txt >difference || die "files.img: $(head -c 2000 difference)"
cmp -s from-records.data from-files.data || die "pipes-data.img differs"
for how in from-files from-records; do
	rm -rf $how
	mkdir $how
	dump $how "$many"
	wait_gone "$many" || die "$how: it does not go"
	restore $how
	[ $how = from-records ] || [ ! -e $btf ] || umount $btf
done
dump from-tree "$tree"
restore from-tree
for t in many tree; do
	touch $t/go
	wait_for 60 test -s $t/verdict || die "$t: no verdict"
	grep -q pass $t/verdict || die "$t: $(cat $t/verdict)"
done
