#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The pid of a session leader that others still have as their session or process group id: nobody can get it, and they are named.
. "$TOP/test/lib/common.sh"
need perl jq

# warned DIR PID WHAT NUMBER OUTSIDER OPTION...: the dump, and a check before it, tell of who stays, and of nothing else.
warned() {
	local dir=$1 pid=$2 line="warning: pid $5 (perl), which is not dumped, is in $3 $4 of the tree" c
	shift 5
	mkdir "$dir"
	for c in --check ''; do
		# shellcheck disable=SC2086
		"$CR_DUMP" $c -t "$pid" -D "$dir" "$@" >words 2>&1 || die "cr-dump $c exits with $?: $(cat words)"
		grep -qF "$line" words && [ "$(wc -l <words)" = 1 ] || die "cr-dump $c says: $(cat words)"
	done
}
# $1: what the orphan does about its group. It is init's child, so not of the tree.
try() {
	start "$1" perl -e '
		if (!fork) {
			if (!fork) {
				setpgrp(0, 0) if $ARGV[0] eq "session";
				open $o, ">", "orphan.new"; print $o $$; close $o; rename "orphan.new", "orphan";
				sleep 1000;
			}
			exit 0;
		}
		wait; sleep 1000' "$1"
	wait_for 5 test -e "$1/orphan" || die "not ready: $(cat "$1/stderr")"
	orphan=$(cat "$1/orphan")
	warned "img-$1" "$PID" session "$PID" "$orphan"
	wait_gone "$PID" || die "the root is still there"
	refused 1 "pid $PID is used as a session id by pid $orphan \\(perl\\)" "$CR_RESTORE" -D "img-$1" -d
	"$CR_RESTORE" --check --json -D "img-$1" >json 2>words
	[ $? = 1 ] || die "exit status of --check: $(cat json words)"
	jq -e --arg r "pid $PID is used as a session id by pid $orphan" 'length == 1 and (.[0].reason | contains($r))' json >/dev/null ||
		die "findings: $(cat json)"
	[ -e "/proc/$orphan" ] || die "the orphan was harmed"
	kill "$orphan"
	wait_gone "$orphan" || die "the orphan does not end"
	restore "img-$1"
	kill "$PID"
	wait_gone "$PID" || die "does not end"
}
try session
try group

# A group alone: a job of a session that goes on, which left a process behind.
start job perl -e '
	if (!fork) {
		setpgrp(0, 0);
		if (!fork) {
			if (!fork) { open $o, ">", "left.new"; print $o $$; close $o; rename "left.new", "left"; sleep 1000 }
			exit 0;
		}
		wait;
		open $o, ">", "new"; print $o $$; close $o; rename "new", "leader";
		exec "sleep", "1000";
	}
	wait; sleep 1000'
wait_for 5 test -s job/leader -a -s job/left || die "not ready: $(cat job/stderr)"
leader=$(cat job/leader)
left=$(cat job/left)
wait_for 5 grep -q sleep "/proc/$leader/comm" || die "no job"
warned img-job "$leader" "process group" "$leader" "$left" --shell-job
wait_gone "$leader" || die "the job is still there"
"$CR_RESTORE" --check --json --shell-job -D img-job >json 2>words
jq -e --arg r "pid $leader is used as a process group id by pid $left (perl)" 'any(.[]; .reason == $r)' json >/dev/null ||
	die "findings: $(cat json)"
kill "$left"
wait_gone "$left" || die "who was left does not end"
"$CR_RESTORE" --check --json --shell-job -D img-job >json 2>words
! grep -q "used as a process group" json || die "still: $(cat json)"
