#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A check, and a dump that leaves a program running, are nothing that the program could see in its own watches.
. "$TOP/test/lib/common.sh"
cp "$BIN/test/progs/file_inotify_self" watcher
start work "$W/watcher"
wait_for 20 test -e work/ready || die "not ready: $(cat work/verdict work/stderr)"
"$CR_DUMP" --check -t "$PID" || die "cr-dump --check exits with $?"
dump img/1 "$PID" -R
dump img/2 "$PID" --pre-dump
dump img/3 "$PID" -R
wait_for 5 is_free "$PID" || die "the target is not free"
touch work/go
wait_for 20 test -e work/verdict || die "no verdict"
grep -q '^pass' work/verdict || die "$(cat work/verdict)"
