#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What somebody meets who tries this for the first time: a TCP client and its server as jobs on a terminal. The dump is refused with a
# line that names --tcp-established; with that in the configuration file, with one that names --shell-job; with both it works. The
# restore is on the same terminal, and the count goes on. First the client alone, then the server alone, then both as one job.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip stty
own_net
pingpong=$BIN/test/live/pingpong
mkdir -p home/.criu
conf=$W/home/.criu/default.conf
export HOME=$W/home

# The terminal: a shell with job control that does what comes in on its keyboard.
terminal() {
	rm -f keys
	mkfifo keys
	"$BIN/test/live/on_tty" 24 80 bash --norc --noprofile -i <keys >log 2>&1 &
	term=$!
	exec 7>keys
	line "PS1=; stty -echo; cd $W"
}
line() { printf '%s\n' "$*" >&7; }
has() { grep -qF -- "$1" log; }
last_of() { grep -aoE "$1 [0-9]+" log | tail -1 | cut -d' ' -f2; }
further() { local n; n=$(last_of ping); [ "${n:-0}" -gt "$1" ] || has 'Exit'; }
counts() {
	local n
	n=$(last_of ping)
	wait_for 10 further "${n:-0}" || die "$1: the count stops at $n: $(tail -5 log)"
	! has 'connection ends' && ! has 'not the answer' && ! has 'Connection reset' || die "$1: $(grep -aE 'connection|answer' log)"
}
# No number is printed twice and none is left out.
in_order() { grep -aoE "$1 [0-9]+" log | awk '{ if (NR > 1 && $2 != want) { print "after " want - 2 " comes " $2; exit 1 } want = $2 + 2 }' || die "$1"; }
pid_of() { pgrep -fx "$pingpong $1.*" | head -1; }
begun() { [ -n "$(pid_of "$1")" ]; }
ended() { exec 7>&-; kill -KILL "$term" 2>/dev/null; wait "$term" 2>/dev/null || :; }

# the_story PID: the three steps.
the_story() {
	rm -rf img && mkdir img
	: >"$conf"
	refused 5 "pid $1 \(pingpong\): fd [0-9]+: established TCP connection [0-9.:]+ -> [0-9.:]+; use --tcp-established" "$CR_DUMP" -t "$1" -D img
	counts "a refused dump"
	echo tcp-established >"$conf"
	refused 5 "pid $1 \(pingpong\).*terminal /dev/pts/[0-9]+ .*--shell-job" "$CR_DUMP" -t "$1" -D img
	counts "a dump that is refused again"
	no_images img || die "images are left"
	echo shell-job >>"$conf"
	dump img "$1"
	wait_gone "$1" || die "the job is still there"
}

for who in client server; do
	terminal
	line "$pingpong server 4200 &"
	wait_for 10 has listens || die "no server: $(cat log)"
	line "$pingpong client 127.0.0.1 4200 &"
	counts "$who: at the beginning"
	job=$(pid_of $who)
	for _ in 1 2; do
		the_story "$job"
		n=$(last_of ping)
		# As the shell's job, in its background.
		line "$CR_RESTORE -D img &"
		wait_for 10 test -e "/proc/$job" || die "$who: no restore: $(tail -5 log)"
		wait_for 10 further "$n" || die "$who: the count stops at $n: $(tail -5 log)"
		counts "$who: restored"
	done
	kill "$(pid_of client)"
	kill "$(pid_of server)" 2>/dev/null # it may have seen the end already
	wait_for 10 eval '! begun client && ! begun server' || die "$who: they do not end"
	in_order ping
	in_order pong
	ended
done

# Both, as one job in the foreground.
terminal
line "sh -c '$pingpong server 4300 & sleep 0.3; $pingpong client 127.0.0.1 4300; echo status \$?' "
counts "both: at the beginning"
client=$(pid_of client)
job=$(cut -d' ' -f4 "/proc/$client/stat")
for _ in 1 2; do
	rm -rf img && mkdir img
	: >"$conf"
	refused 5 "pid [0-9]+ \(pingpong\): fd [0-9]+: established TCP connection .*--tcp-established" "$CR_DUMP" -t "$job" -D img
	echo tcp-established >"$conf"
	refused 5 "terminal /dev/pts/[0-9]+ .*--shell-job" "$CR_DUMP" -t "$job" -D img
	counts "both: refused"
	echo shell-job >>"$conf"
	dump img "$job"
	wait_gone "$job" || die "the job is still there"
	line "$CR_RESTORE -D img"
	n=$(last_of ping)
	wait_for 10 test -e "/proc/$client" || die "both: no restore: $(tail -5 log)"
	wait_for 10 further "$n" || die "both: the count stops at $n: $(tail -5 log)"
done
in_order ping
in_order pong
# The foreground is theirs: a key ends them, and the shell has its terminal back.
printf '\003' >&7
wait_gone "$client" || die "^C does not end the job"
line 'echo "still here"'
wait_for 5 has 'still here' || die "the shell does not answer: $(tail -5 log)"
kill "$(pid_of server)" 2>/dev/null
ended
