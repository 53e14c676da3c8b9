#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A shell alone: it counts in a builtin loop, keeps variables, a trap and an open file, and ends with a status of its own.
. "$TOP/test/lib/common.sh"

cat >counter.bash <<'END'
declare -A table=([seven]=sieben)
f() { echo "n=$n ${table[seven]} $IFS_SAVED" >answer; exit 7; }
IFS_SAVED=kept n=0
trap f USR1
exec 3>log
while :; do n=$((n + 1)); [ $((n % 1000)) != 0 ] || { echo "$n" >&3; echo "$n" >beat; }; done
END
start a bash "$W/counter.bash"
wait_for 5 test -s a/beat || die "no beat"
cycle img "$PID"
before=$(cat a/beat)
went_on() { local n; n=$(cat a/beat) && [ -n "$n" ] && [ "$n" -gt "${before:-0}" ]; }
wait_for 10 went_on || die "bash does not count on"
cycle img2 "$PID"
kill -USR1 "$PID"
wait_gone "$PID" || die "the trap is lost"
grep -qE '^n=[0-9]+ sieben kept$' a/answer || die "answer: $(cat a/answer)"
# The log must have no hole and nothing twice.
awk '$1 != last + 1000 { print "after " last " comes " $1; exit 1 } { last = $1 }' a/log || die "the log is damaged"
