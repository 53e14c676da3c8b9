#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cr-dump that dies while it asks inside a task below a filter: the suspended filter is in force again at once, and the
# agent must find its way out under it. Shown with the self-proving programs, which go on and pass.
# timeout: 60
. "$TOP/test/lib/common.sh"
for at in in-mmap mapped holder-ready holder-in holder-runs holder-ran guest-perhaps guest-in guest-expected guest-runs guest-ran guest-out in-munmap agent-left; do
	rm -rf "work" img && mkdir img
	start work "$BIN/test/progs/thread_seccomp"
	wait_for 10 test -e work/ready || die "$at: not ready"
	if CR_FAULT=dump:$at "$CR_DUMP" -t "$PID" -D img -R >log 2>&1; then die "$at: the dump did not die"; fi
	touch work/go
	wait_for 10 test -s work/verdict || die "$at: no verdict: $(state_of "$PID")"
	grep -q pass work/verdict || die "$at: $(cat work/verdict)"
done
