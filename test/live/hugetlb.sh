#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Huge pages: test/progs/mm_hugetlb.c with as many as it takes; a host without any is told so before anything is made.
. "$TOP/test/lib/common.sh"
pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
[ -w $pool ] || skip "no huge pages of 2 MiB"
before=$(cat $pool)
trap 'echo "$before" >$pool' EXIT
free() { cat ${pool%nr_hugepages}free_hugepages; }
echo $((before + 12)) >$pool
[ "$(free)" -ge 12 ] || skip "this host has no room for 12 huge pages"
(V=1 "$TOP/test/lib/prog" mm_hugetlb) || die "huge pages do not come back"

mkdir less && cd less || die "cd"
W=$W/less
start work "$BIN/test/progs/mm_hugetlb"
wait_for 10 test -e work/ready || die "not ready"
dump images "$PID"
wait_gone "$PID" || die "still there"
echo "$before" >$pool
[ "$(free)" -lt 6 ] || exit 0 # somebody else's
"$CR_RESTORE" -d -D images 2>err && die "restored without huge pages"
grep -q 'huge pages' err && grep -q nr_hugepages err || die "the error does not help: $(cat err)"
echo $((before + 12)) >$pool
restore images
touch work/go
wait_for 10 grep -q pass work/verdict || die "after a second attempt: $(cat work/verdict work/stderr)"
