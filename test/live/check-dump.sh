#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-dump --check tells everything at once, of all tasks, threads and descriptors, and the target does not notice.
. "$TOP/test/lib/common.sh"
need jq perl
start many "$BIN/test/live/many_things"
wait_for 5 test -e many/ready -o -e many/verdict
[ -e many/ready ] || skip "cannot be prepared here: $(cat many/verdict many/stderr)"
root=$PID
read -r first second <many/ready
"$BIN/test/live/tracer" "$second" &
tracer=$!
wait_for 5 test -e traced || die "cannot trace"
look() { ls -l "/proc/$root/fd" | cut -d' ' -f9-; cut -d' ' -f1-5 "/proc/$root/maps"; grep -hE '^(Sig[PBIC]|Cap|Threads|Seccomp|TracerPid)' /proc/"$root"/task/*/status; }
before=$(look)

# No images directory is needed, and nothing is written anywhere.
mkdir empty && cd empty || die "mkdir"
"$CR_DUMP" --check --json -t "$root" >../json 2>../words
rc=$?
[ "$rc" = 1 ] || die "exit status $rc, $(cat ../words ../json)"
[ ! -s ../words ] || die "it says: $(cat ../words)"
[ -z "$(ls -A)" ] || die "it left $(ls -A)"
"$CR_DUMP" --check -t "$root" >../lines 2>../words
[ $? = 1 ] || die "exit status of the list"
cd .. || die "cd"

# has PID OBJECT REASON HINT: regular expressions.
has() {
	jq -e --argjson pid "$1" --arg o "$2" --arg r "$3" --arg h "$4" \
		'any(.[]; .pid == $pid and ((.object // "") | test($o)) and (.reason | test($r)) and ((.hint // "") | test($h)))' json >/dev/null ||
		die "no finding for $*: $(cat json)"
}
jq -e 'type == "array" and all(.[]; (.reason | type == "string" and length > 0))' json >/dev/null || die "not an array of findings: $(cat json)"
has "$root" '^fd [0-9]+$' 'userfaultfd' ''
has "$root" '^mapping ' 'userfaultfd' ''
has "$root" '^fd [0-9]+$' 'io_uring' 'do without it .*kernel.io_uring_disabled'
has "$root" '^fd [0-9]+$' 'POSIX lock' '--file-locks'
has "$root" '^fd [0-9]+$' 'flock' '--file-locks'
has "$root" '^fd [0-9]+$' 'TCP connection' '--tcp-established'
has "$root" '' 'thread [0-9]+ has a descriptor table of its own' ''
has "$second" '' "traced by pid $tracer \\(tracer\\)" 'detach'
[ "$(jq '[.[] | select(.reason | test("TCP connection"))] | length' json)" = 2 ] || die "both ends: $(cat json)"
jq -e --argjson pid "$first" 'all(.[]; .pid != $pid)' json >/dev/null || die "the other child holds nothing: $(cat json)"
[ "$(jq length json)" = "$(wc -l <lines)" ] || die "as many lines as findings: $(cat lines)"
while read -r line; do
	grep -qxF -- "$line" lines || die "no line '$line': $(cat lines)"
done < <(jq -r '.[] | "pid \(.pid) (\(.comm)): " + (if .object then .object + ": " else "" end) + .reason + (if .hint then "; " + .hint else "" end)' json)

# How long, on request.
"$CR_DUMP" --check -t "$root" -v >/dev/null 2>words
grep -qE 'frozen for [0-9]+ us' words || die "-v does not tell the time"

# The options that are named help. A dump says one thing, and where the others are.
"$CR_DUMP" --check -t "$root" --file-locks --json >json
jq -e 'all(.[]; .reason | test("lock") | not)' json >/dev/null || die "--file-locks"
mkdir img
kill -9 "$tracer"
wait "$tracer" 2>/dev/null
refused 5 "userfaultfd, pid $root fd [0-9]*: io_uring; many programs .*; cr-dump --check -t $root" "$CR_DUMP" -t "$root" -D img
"$CR_DUMP" --check -t "$root" --json >json
jq -e --argjson pid "$second" 'all(.[]; .pid != $pid)' json >/dev/null || die "it is traced no more"

# Whatever cannot be looked at at all is a finding as well.
"$CR_DUMP" --check --json -t 99999 >json
jq -e 'length == 1 and (.[0].reason | test("99999"))' json >/dev/null || die "nobody"
refused 2 '--json' "$CR_DUMP" -t "$root" -D img --json
refused 2 'tree' "$CR_DUMP" --check

# A killed check does no harm either.
for i in 1 2 3 4 5; do
	"$CR_DUMP" --check -t "$root" >/dev/null 2>&1 &
	sleep "0.00$i"
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
wait_for 2 is_free "$root" || die "the target is not free"
[ "$(look)" = "$before" ] || die "the target is another: $(diff <(echo "$before") <(look))"
touch many/go
wait_for 10 test -e many/verdict || die "no verdict"
grep -qx pass many/verdict || die "the target: $(cat many/verdict)"
kill "$first" "$second"

# Who would not survive a question is looked at from outside only.
start strict perl -e 'open $l, ">", "locked"; flock($l, 2); pipe $r, $w; $b = " "; open $f, ">", "ready"; close $f;
	syscall(157, 22, 1, 0, 0, 0); syscall(0, fileno($r), $b, 1)'
wait_for 5 grep -qs '^Seccomp:	1' "/proc/$PID/status" || die "no strict mode: $(cat strict/stderr)"
"$CR_DUMP" --check --json -t "$PID" >json
[ $? = 1 ] || die "strict mode: $(cat json)"
has "$PID" '' 'seccomp strict mode' '--suspend-seccomp'
has "$PID" '^fd [0-9]+$' 'flock' '--file-locks'
wait_for 2 is_free "$PID" || die "the one in strict mode is not free"
"$CR_DUMP" --check -t "$PID" --suspend-seccomp --file-locks >words 2>&1 || die "with the options that it named: $(cat words)"
wait_for 2 is_free "$PID" || die "the one in strict mode is not free"
kill "$PID"

# Nothing to say of one that can be dumped, which then is.
start plain sleep 1000
[ -z "$("$CR_DUMP" --check -t "$PID" 2>&1)" ] || die "of sleep: $("$CR_DUMP" --check -t "$PID" 2>&1)"
"$CR_DUMP" --check -t "$PID" || die "exit status $?"
[ "$("$CR_DUMP" --check --json -t "$PID")" = "[]" ] || die "an empty list"
cycle img "$PID"
