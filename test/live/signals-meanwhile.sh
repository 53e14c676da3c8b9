#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever signal reaches the target at whatever stage of its dump takes its course, once: a handler runs once, a stop stops, a
# continuation continues, a death ends the dump with one line.
# timeout: 280
. "$TOP/test/lib/common.sh"
fast_dir img
mapfile -t points < <(grep -rhoE '"dump:[a-z-]+"' "$TOP/common" --include=*.c | tr -d '"' | sort -u)
[ ${#points[@]} -gt 10 ] || die "only ${#points[@]} named points"
begin() { rm -rf t img/*; start t "$BIN/test/live/counter"; wait_for 5 test -e t/ready || die "not ready: $(cat t/stderr)"; }
beats() { local a i; a=$(cat t/beats); for ((i = 0; i < 300; i++)); do [ "$(cat t/beats)" = "$a" ] || return 0; sleep 0.01; done; return 1; }
terms() { [ "$(cat t/terms)" = "$1" ]; }
finish() { kill -9 "$PID"; wait_gone "$PID" || die "cannot be killed: $(state_of "$PID")"; }
# at POINT WHAT COMMAND OPTION...: a dump that halts at every passage of the point; the first time WHAT is done. Its status is $rc.
at() {
	local point=$1 what=$2 dumper i met=
	shift 2
	CR_FAULT=$point=stop "$CR_DUMP" -t "$PID" -D img "$@" >out 2>&1 &
	dumper=$!
	for ((i = 0; i < 1000; i++)); do
		case $(state_of "$dumper") in
		T)
			[ -n "$met" ] || $what
			met=1
			kill -CONT "$dumper" ;;
		Z | X | gone) break ;;
		*) sleep 0.002 ;;
		esac
	done
	[ "$i" -lt 1000 ] || die "$point: cr-dump hangs: $(cat "/proc/$dumper/stack" 2>/dev/null | tr '\n' ' ')"
	wait "$dumper"
	rc=$?
	[ -n "$met" ] || die "$point is not passed: $rc $(cat out)"
}
ok() { [ "$rc" = 0 ] || die "$1: cr-dump exits with $rc: $(cat out)"; [ ! -s out ] || die "$1: $(cat out)"; }
send() { kill "-$1" "$PID"; }
term() { send TERM; }
stop() { send STOP; }
cont() { send CONT; }
both() { send STOP; send CONT; }
# Those with which the agent itself tells its end, to the process and to each thread.
ours() { local s t; for s in URG WINCH CHLD; do send $s; for t in "/proc/$PID/task/"*; do "$BIN/test/live/tgkill" "$PID" "${t##*/}" $s; done; done; }
death() { send KILL; }

begin
n=0
for p in "${points[@]}"; do
	rm -rf img/*
	at "$p" term -R
	ok "SIGTERM at $p"
	n=$((n + 1))
	wait_for 5 terms "$n" || die "SIGTERM at $p: the handler ran $(cat t/terms) times, not $n"
	beats || die "SIGTERM at $p: it does not go on"
	terms "$n" || die "SIGTERM at $p: the handler ran $(cat t/terms) times, not $n"
	rm -rf img/*
	at "$p" stop -R
	ok "SIGSTOP at $p"
	wait_for 2 one_of "$PID" T || die "SIGSTOP at $p: it is $(state_of "$PID")"
	kill -CONT "$PID"
	wait_for 2 is_free "$PID" && beats || die "SIGSTOP at $p: it does not go on: $(state_of "$PID")"
	rm -rf img/*
	at "$p" ours -R
	ok "SIGURG at $p"
	beats || die "SIGURG at $p: it does not go on"
	rm -rf img/*
	at "$p" both -R
	ok "SIGSTOP and SIGCONT at $p"
	wait_for 2 is_free "$PID" && beats || die "SIGSTOP and SIGCONT at $p: it does not go on: $(state_of "$PID")"
	rm -rf img/*
	kill -STOP "$PID"
	wait_for 2 one_of "$PID" T || die "not stopped"
	at "$p" cont -R
	ok "SIGCONT at $p"
	wait_for 2 is_free "$PID" && beats || die "SIGCONT at $p: it does not go on: $(state_of "$PID")"
done
finish

for p in "${points[@]}"; do
	begin
	at "$p" death
	wait_gone "$PID" || die "SIGKILL at $p: it does not die: $(state_of "$PID")"
	case $p in dump:before-commit | dump:committed) ok "SIGKILL at $p"; continue ;; esac
	[ "$rc" = 1 ] || die "SIGKILL at $p: exit status $rc: $(cat out)"
	[ "$(wc -l <out)" = 1 ] && grep -q "pid $PID" out || die "SIGKILL at $p: not one line that names it: $(cat out)"
	no_images img || die "SIGKILL at $p: images are left: $(ls img)"
done

# A signal that comes while memory is copied, and the target goes: it is in the checkpoint.
begin
at dump:after-pages term
ok "SIGTERM at the end of a dump that kills"
wait_gone "$PID" || die "still there"
terms 0 || die "the handler ran in the frozen process"
restore img
wait_for 5 terms 1 || die "SIGTERM during the dump is lost"
beats && terms 1 || die "the handler ran $(cat t/terms) times"
finish

# Processes that end by themselves while they are dumped.
for ((i = 1; i <= 40; i++)); do
	rm -rf img/*
	sleep 0.0$((RANDOM % 10))$((RANDOM % 10)) &
	PID=$!
	"$CR_DUMP" -t "$PID" -D img -R >out 2>&1
	rc=$?
	case $rc in
	0) [ ! -s out ] || die "an ending process: $(cat out)" ;;
	1 | 5)
		[ "$(wc -l <out)" = 1 ] || die "an ending process: not one line: $(cat out)"
		no_images img || die "an ending process: images are left: $(ls img)" ;;
	*) die "an ending process: exit status $rc: $(cat out)" ;;
	esac
	wait "$PID"
	rc=$?
	[ "$rc" = 0 ] || die "a sleep that was dumped ends with $rc"
done
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
