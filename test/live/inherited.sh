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
kill -9 "$PID"
wait_gone "$PID"

# But not to the dead: whoever was ordinary is that again.
start z "$BIN/test/progs/tree_zombie_ids"
wait_for 20 test -e z/ready -o -e z/verdict || die "not ready"
if grep -q ^skip z/verdict 2>/dev/null; then skip "$(cat z/verdict)"; fi
"$TOP/test/lib/state" "$PID" >before
dump img2 "$PID"
wait_gone "$PID"
nice -n 5 chrt -b 0 setpriv --groups 77 "$CR_RESTORE" -D img2 -d >out 2>&1 </dev/null || die "cr-restore exits with $?: $(cat out)"
"$TOP/test/lib/state" "$PID" >after
diff before after || die "not as it was"
touch z/go
wait_for 20 test -s z/verdict || die "no verdict"
grep -q ^pass z/verdict || die "$(cat z/verdict)"
