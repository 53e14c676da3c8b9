#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What cr-restore has from whoever started it and cannot take off, all that it restores has as well: it says so.
. "$TOP/test/lib/common.sh"
need setpriv
start t sleep 1000
dump img "$PID"
wait_gone "$PID"
restore img
kill -9 "$PID"
wait_gone "$PID"
setpriv --no-new-privs "$CR_RESTORE" -D img -d >out 2>&1 </dev/null || die "cr-restore exits with $?: $(cat out)"
grep -q 'warning: .*no_new_privs' out || die "without a word: $(cat out)"
[ "$(wc -l <out)" = 1 ] || die "more than a warning: $(cat out)"
grep -q '^NoNewPrivs:.1' "/proc/$PID/status" || die "the warning is not true"
