#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-dump of a tree, of which several tasks are inside the agent at once: killed at random moments and at all named points, or failing because
# one of the tasks cannot be asked, it leaves every task as it was: free, going on, with its own mappings.
# timeout: 200
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/campaign.sh"
cat >tree.pl <<'END'
# Each of 40 counts, checks what it has counted, sleeps in its own way, and tells how far it is.
use strict;
$SIG{TERM} = sub { exit 0 };
sub work {
	my $me = shift;
	my ($n, $sum) = (0, 0);
	open my $beat, '>', "beat.$me" or die;
	pipe my $r, my $w;
	for (;;) {
		$n++;
		$sum += $n for 1 .. 3;
		die "sum" unless $sum == 3 * $n * ($n + 1) / 2;
		if ($me % 3 == 0) { select undef, undef, undef, 0.004 }
		elsif ($me % 3 == 1) { my $v = ''; vec($v, fileno $r, 1) = 1; my $k = select $v, undef, undef, 0.003; die "ready $k" if $k }
		else { syswrite $w, 'x'; sysread $r, my $byte, 1; die "byte" unless $byte eq 'x'; select undef, undef, undef, 0.002 }
		sysseek $beat, 0, 0;
		syswrite $beat, sprintf "%d\n", $n;
	}
}
for my $i (1 .. 39) { my $p = fork; if (!$p) { work($i); exit 1 } }
$SIG{CHLD} = sub { open my $f, '>', 'verdict'; print $f "a child has ended\n" };
open my $f, '>', 'ready'; close $f;
work(0);
END
start t perl "$W/tree.pl"
ROOT=$PID
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
all() { echo "$ROOT"; cat "/proc/$ROOT/task/$ROOT/children"; }
read -ra TASKS < <(all | tr '\n' ' ')
[ ${#TASKS[@]} = 40 ] || die "${#TASKS[@]} tasks"
# Perl gets memory as it goes on: what has a name must be the same, and nothing else be there that may be executed.
FILES=("${TASKS[@]/#//proc/}")
maps() { awk '$6 != "" && $6 != "[heap]" || $2 ~ /x/ { print FILENAME, $1, $2, $6 }' "${FILES[@]/%//maps}"; }
MAPS=$(maps) COUNT=0
beats() { cat t/beat.*; }
free_all() {
	[ "$(grep -c '^TracerPid:	0$' "${FILES[@]/%//status}" | grep -c ':1$')" = 40 ] && ! grep -q '^State:	[tTZX]' "${FILES[@]/%//status}"
}
all_beat() {
	mapfile -t BEATS < <(beats)
	[ ${#BEATS[@]} = 40 ]
}
go_on() {
	local i a=("${BEATS[@]}") b
	mapfile -t b < <(beats)
	for i in "${!a[@]}"; do [ "${a[i]}" != "${b[i]}" ] || return 1; done
}
well() {
	local n
	wait_for 3 free_all || die "$1: not all are free: $(grep -hE '^(State|TracerPid|Pid):' /proc/*/status | tr '\n' ' ')"
	wait_for 5 all_beat || die "$1: ${#BEATS[@]} beats"
	wait_for 10 go_on || die "$1: not all go on: $(cat t/verdict t/stderr 2>/dev/null) ${BEATS[*]} now $(beats | tr '\n' ' ')"
	[ ! -e t/verdict ] || die "$1: $(cat t/verdict t/stderr)"
	[ "$(maps)" = "$MAPS" ] || die "$1: other mappings: $(diff <(echo "$MAPS") <(maps))"
	# An agent's memory is one mapping more in each task that has one; after the first looks nobody needs more than he has.
	n=$(cat "${FILES[@]/%//maps}" | wc -l)
	[ "$COUNT" = 0 ] || [ "$n" -le "$COUNT" ] || die "$1: $n mappings, there were $COUNT"
	[ "$1" != "before all" ] || COUNT=$n
}
fast_dir img
well "before all"
after_run() {
	well "$1"
	rm -rf img/*
}
campaign 80 3 "$CR_DUMP" -t "$ROOT" -D img -R

for point in dump:agent-written dump:in-mmap dump:mapped dump:holder-ready dump:holder-in dump:holder-runs dump:holder-ran dump:in-munmap dump:agent-left; do
	CR_FAULT=$point "$CR_DUMP" -t "$ROOT" -D img -R >out 2>&1 </dev/null && die "$point is not reached"
	well "killed at $point"
	rm -rf img/*
done
# One of them has no room for the agent: those before and behind it are inside then.
for i in 1 12 39; do
	p=${TASKS[i]}
	prlimit --pid "$p" --as=1000000: || die "prlimit"
	! "$CR_DUMP" -t "$ROOT" -D img -R >out 2>&1 </dev/null || die "a task without room for the agent is dumped"
	prlimit --pid "$p" --as=unlimited: || die "prlimit"
	grep -q "pid $p .*cannot map .* RLIMIT_AS" out || die "task $i: $(cat out)"
	well "task $i has no room"
done
cycle img "$ROOT"
well "after the restore"
kill "${TASKS[@]}"
