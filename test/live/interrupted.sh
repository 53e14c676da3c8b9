#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A signal that comes while a task stands still, or before it is let go, ends the system call that it sleeps in, as at any other time:
# not the handler first and then the sleep.
# timeout: 180
. "$TOP/test/lib/common.sh"
cat >signal <<'END'
#!/bin/bash
case $CRTOOLS_SCRIPT_ACTION in "$STAGE") kill -USR1 "$CRTOOLS_INIT_PID" ;; esac
END
chmod +x signal
is_in() { [ "$(state_of "$PID")" = S ] && grep -q "^$NR " "/proc/$PID/syscall"; }
ended() { is_dead "$PID" || is_gone "$PID"; }
proves() { # WHEN
	wait_for 30 ended || die "$call: $1: the signal does not end it: $(cat "/proc/$PID/syscall")"
	[ "$(cat t/stdout)" = pass ] || die "$call: $1: $(cat t/stdout t/stderr)"
}
for c in pause:34 select:270 poll:7 ppoll:271 epoll_wait:232 read:0 futex:202 nanosleep:230 clock_nanosleep:230 wait4:61; do
	call=${c%:*} NR=${c#*:}
	rm -rf t img
	mkdir img
	start t "$BIN/test/live/interrupted" "$call"
	wait_for 30 is_in || die "$call: not in it: $(cat "/proc/$PID/syscall")"
	STAGE=post-dump "$CR_DUMP" -t "$PID" -D img -R --action-script "$W/signal" 2>err || die "$call: $(cat err)"
	proves "a dump with -R"
	rm -rf t img
	mkdir img
	start t "$BIN/test/live/interrupted" "$call"
	wait_for 30 is_in || die "$call: not in it: $(cat "/proc/$PID/syscall")"
	dump img "$PID"
	STAGE=pre-resume "$CR_RESTORE" -D img -d --action-script "$W/signal" 2>err || die "$call: $(cat err)"
	proves "a restore"
done
