#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# System calls that a kernel lacks or a container forbids: both tools name the feature with the sentence of cr-check, and
# leave everything as it was.
# timeout: 120
. "$TOP/test/lib/common.sh"
withhold=$BIN/test/live/withhold
ENOSYS=38 EPERM=1
"$withhold" $ENOSYS 999 true || skip "no seccomp filters here"
watchdog_start
# said FEATURE: the line names the feature, and cr-check says the same of it.
said() {
	grep -qE "(missing|no permission|unknown): $1 \(" out || die "$1 is not named: $(cat out)"
	[ "$(wc -l <out)" = 1 ] || die "not one line: $(cat out)"
}
without_dump() { # FEATURE ERRNO CALL
	mkdir -p img
	"$withhold" "$2" "$3" "$CR_DUMP" -t "$DOG" -D img >out 2>&1
	rc=$?
	[ "$rc" = 3 ] || die "without $1: exit status $rc: $(cat out)"
	said "$1"
	no_images img || die "images are left: $(ls img)"
	dog_well "dump without $1"
}
without_dump pidfd_getfd $ENOSYS 438
without_dump pidfd_getfd $EPERM 438
without_dump kcmp $ENOSYS 312
without_dump kcmp $EPERM 312
without_dump ptrace_seize $ENOSYS 101
without_dump process_vm_readv $ENOSYS 310

start t "$BIN/test/live/watchdog"
wait_for 10 test -e t/ready || die "not ready"
pid=$PID
dump img2 "$pid"
wait_gone "$pid" || die "still there"
# What withholds is a seccomp filter, of which cr-restore warns.
restores() {
	"$withhold" "$@" >all 2>&1 </dev/null
	rc=$?
	grep -v 'warning: cr-restore runs below a seccomp filter' all >&2
	return $rc
}
without_restore() { # FEATURE ERRNO CALL
	restores "$2" "$3" "$CR_RESTORE" -D img2 -d 2>out
	rc=$?
	[ "$rc" = 3 ] || die "without $1: exit status $rc: $(cat out)"
	said "$1"
	is_gone "$pid" || die "restore without $1 leaves pid $pid: $(state_of "$pid")"
}
without_restore clone3_set_tid $ENOSYS 435
without_restore clone3_set_tid $EPERM 435
without_restore prctl_mm_map $EPERM 157:1=14
# What fails for another reason is not blamed on the kernel.
refused 1 'No space left' restores 28 157:1=14 "$CR_RESTORE" -D img2 -d
# However long it takes until we trace it: nothing of it is done before.
halted() {
	CR_FAULT=restore:born=stop "$withhold" 28 157:1=14 "$CR_RESTORE" -D img2 </dev/null >out 2>&1 &
	restorer=$!
	wait_for 10 one_of "$restorer" T || die "cr-restore does not halt: $(cat out)"
	sleep 0.1
	wait_for 2 one_of "$pid" S || die "it does not wait to be traced: $(state_of "$pid")"
}
goes_on() { # WORDS
	kill -CONT "$restorer"
	wait "$restorer"
	rc=$?
	[ "$rc" = 1 ] && grep -q "$1" out || die "traced late, $1: exit status $rc: $(cat out)"
	is_gone "$pid" || die "traced late, $1: a corpse is left"
}
halted
goes_on 'No space left'
# Also when it is dead before that.
halted
kill -9 "$pid"
wait_for 10 one_of "$pid" Z || die "it does not die: $(state_of "$pid")"
goes_on 'killed by signal 9\|ended'
restore img2
wait_for 2 is_free "$pid" || die "not free"
touch t/go
wait_for 10 grep -q '^pass' t/verdict || die "the restored watchdog: $(cat t/verdict)"
dog_ends
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
