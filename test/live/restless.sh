#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that are caught in the middle of vfork, fork, clone and execve, of the first thread and of others: every dump succeeds.
# timeout: 240
. "$TOP/test/lib/common.sh"
fast_dir im
beat() { od -An -tu4 "$way/beat"; }
went_on() { [ "$(beat)" -gt "$before" ]; }
for way in spawn vfork fork threads exec exec-thread exec-race exec-crowd; do
	start "$way" "$BIN/test/live/restless" "$way"
	for ((i = 1; i <= 30; i++)); do
		rm -rf im/a && dump im/a "$PID" -R
	done
	before=$(beat)
	wait_for 30 went_on || die "$way does not go on after dumps: $(cat "$way/stderr")"
	for ((i = 1; i <= 4; i++)); do
		rm -rf im/a && cycle im/a "$PID"
		before=$(beat)
		wait_for 30 went_on || die "$way does not go on after restore $i: $(cat "$way/stderr")"
	done
	kill -KILL "$PID"
done
