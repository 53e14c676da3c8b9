#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# System V shared memory: a restore that fails leaves no segment; one whose id is taken says by what.
. "$TOP/test/lib/common.sh"
ipcs -m >/dev/null 2>&1 || skip "no ipcs"
unshare --ipc true 2>/dev/null || skip "no IPC namespaces"
[ -n "${CR_TEST_IPC:-}" ] || CR_TEST_IPC=1 exec unshare --ipc bash "$0"
segments() { ipcs -m | grep -c '^0x'; }

start work "$BIN/test/progs/mm_sysv"
wait_for 10 test -e work/ready || die "not ready"
dump images "$PID"
wait_gone "$PID" || die "still there"
ipcs -m | awk '/^0x/ { print $2 }' | xargs -rn1 ipcrm -m
[ "$(segments)" = 0 ] || die "segments are left"
CR_FAULT=restore:after-program=5 "$CR_RESTORE" -d -D images 2>err && die "the fault was not met"
[ "$(segments)" = 0 ] || die "a failed restore leaves segments: $(ipcs -m)"
# Something else has the id.
id=$(ipcmk -M 4096 | grep -o '[0-9]*$')
wanted=$("$CR_IMAGE" decode images/ipcns-shm-3.img | grep -o '"id": *[0-9]*' | grep -o '[0-9]*$' | head -1)
echo "$wanted" >/proc/sys/kernel/shm_next_id
other=$(ipcmk -M 8192 | grep -o '[0-9]*$')
[ "$other" = "$wanted" ] || die "id $other instead of $wanted"
"$CR_RESTORE" -d -D images 2>err && die "restored over a segment of others"
grep -q "id $wanted is there already" err || die "the error does not tell: $(cat err)"
[ "$(segments)" = 2 ] || die "a refused restore changes segments: $(ipcs -m)"
ipcrm -m "$other" -m "$id"
restore images
touch work/go
wait_for 10 test -s work/verdict
grep -q pass work/verdict || die "$(cat work/verdict work/stderr)"
