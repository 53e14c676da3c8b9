#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What waits in terminals is read and put back while the program stands still. It is all there after a dump that leaves the program
# running, after one that fails, and after one that is killed in the middle of it.
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/taken.sh"
start work "$BIN/test/progs/tty_pair"
wait_for 20 test -e work/ready || die "not ready: $(cat work/verdict work/stderr)"
grep -q '^skip' work/verdict 2>/dev/null && skip "no ptys"
mkdir img
alone() { ! ns_procs | grep -qv "^$PID "; }
for ((i = 0; i < 5; i++)); do
	CR_FAULT=tty:reading "$CR_DUMP" -t "$PID" -D img -R >log 2>&1 && die "the dump did not die"
	wait_for 5 is_free "$PID" || die "the target is not free after a killed dump"
	no_images img || die "images of a killed dump"
	wait_for 5 alone || die "somebody outlives the dumper: $(ns_procs)" # what reads for it does so for a moment
done
still_proves
