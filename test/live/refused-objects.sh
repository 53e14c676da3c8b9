#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What has no way back and no test of its own: each is refused by its name, before anything is touched, and the program goes on.
# timeout: 120
. "$TOP/test/lib/common.sh"
mkdir img
settled() { [ -e held/ready ] || [ -e held/skip ] || is_dead "$PID"; }
tried=0
# try KIND REGEX OPTION...
try() {
	local kind=$1 re=$2
	shift 2
	rm -rf held
	start held "$BIN/test/live/hopeless" "$kind"
	wait_for 20 settled || die "$kind: not ready"
	[ ! -e held/skip ] || { note "not here: $kind: $(cat held/skip)"; return; }
	[ -e held/ready ] || die "$kind: $(cat held/stderr)"
	# shellcheck disable=SC2046
	tree=$(echo "$PID" $(cat "/proc/$PID/task/$PID/children"))
	refused 5 "$re" "$CR_DUMP" -t "$PID" -D img "$@"
	no_images img || die "$kind: images after a refusal"
	"$CR_DUMP" --check -t "$PID" "$@" >list
	[ $? = 1 ] && grep -qE -- "$re" list || die "$kind: a check says: $(cat list)"
	for p in $tree; do wait_for 5 is_free "$p" || die "$kind: pid $p is not free"; done
	# shellcheck disable=SC2086
	kill -KILL $tree
	wait_gone "$PID" || die "$kind: it does not end"
	tried=$((tried + 1))
}
try listener 'seccomp'
try bpf 'BPF map'
try lease 'leased: a lease on it is being broken' --file-locks
try secret 'secret'
try dispatch 'PR_SET_SYSCALL_USER_DISPATCH'
try fanotify 'fanotify.* holds events that were not read yet'
try fanotify-all 'fanotify mark on a whole file system'
try busy-poll 'epoll with busy polling'
try perf-ring 'perf_event'
try cookie 'core scheduling cookie'
try pidfd 'pidfd of process 1, which is not in the tree'
try keyring 'has a process keyring'
try uts 'another uts namespace'
try thread-directory 'thread [0-9]+ has a working directory and root of its own'
[ "$tried" -gt 5 ] || die "only $tried of these were there to be refused"
