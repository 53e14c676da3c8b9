#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# Trees through a stream, where pages go from the pipe into each task as it comes: with memory that processes share by fork, and by a
# memfd; plain, compressed, and with --cow-pages.
. "$TOP/test/lib/common.sh"
need perl zstd

cat >t.pl <<'END'
use strict;
my %h = map { $_ => "value $_" x 50 } 1 .. 20000;
for my $i (1 .. 4) {
	next if fork;
	my $mine = "child $i " x 300000;
	open my $o, '>', "beat$i"; syswrite $o, sprintf("%010d\n", 0);
	open my $r, '>', "ready$i"; close $r;
	my $n = 0;
	for (;;) {
		my $k = 1 + $n++ % 20000;
		$h{$k} eq "value $k" x 50 && $mine eq "child $i " x 300000 or exit 1;
		sysseek $o, 0, 0; syswrite $o, sprintf("%010d\n", $n); # one file of one size: the same stream is restored twice
		select undef, undef, undef, 0.01;
	}
}
my $dead = 0;
$SIG{CHLD} = sub { open my $o, '>', 'dead' };
open my $r, '>', 'ready'; close $r;
sleep 1 while 1;
END
start t perl "$W/t.pl"
for i in 1 2 3 4; do wait_for 20 test -e "t/ready$i" || die "child $i is not ready"; done # the sizes of their files are final
wait_for 20 test -e t/ready || die "not ready"
# Where small pids have been used by others: restored, each child writes another beat than its last one. What is there then ends with us.
cat >there.sh <<'END'
. "$TOP/test/lib/common.sh"
for ((i = 0; i < 50; i++)); do /bin/true; done
declare -A was
for i in 1 2 3 4; do was[$i]=$(cat "t/beat$i"); done
"$CR_RESTORE" -D - -d 2>&1 || exit 1
beats() { [ -s "t/beat$1" ] && [ "$(cat "t/beat$1")" != "${was[$1]}" ]; }
for i in 1 2 3 4; do wait_for 20 beats "$i" || die "child $i does not go on: it is at $(cat "t/beat$i"), and was at ${was[$i]}"; done
END
there() {
	"$TOP/test/lib/in-ns" bash there.sh >out || die "$1: $(cat out)"
	[ ! -e t/dead ] || die "$1: a child died"
}
for way in '' --compress --cow-pages; do
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$PID" -D - $way >s.tar 2>err || die "cr-dump $way: $(cat err)"
	wait_gone "$PID" || die "still there"
	there "tree $way" <s.tar
	"$CR_RESTORE" -D - -d <s.tar >out 2>&1 || die "restore $way: $(cat out)"
done
kill -9 "$PID"

# Small ones read by themselves what they share.
for program in 'fork' 'fork; fork' '$x = "a" x 3e6; fork or $x .= "b"'; do
	start small perl -e "$program; open \$r, '>', qq{ready\$\$}; close \$r; sleep 1000"
	wait_for 10 test -e "small/ready$PID" || die "not ready"
	before=$(ps -A -o pid=,ppid=,args= | grep -c '[p]erl -e')
	wait_for 10 test "$(ls small/ready* | wc -l)" -ge "$before" || die "children are not ready"
	"$CR_DUMP" -t "$PID" -D - --cow-pages >s.tar 2>err || die "cr-dump of $program: $(cat err)"
	wait_gone "$PID" || die "still there"
	timeout 60 "$CR_RESTORE" -D - -d <s.tar >out 2>&1 || die "restore of $program: exit status $?: $(cat out)"
	[ "$(ps -A -o pid=,ppid=,args= | grep -c '[p]erl -e')" = "$before" ] || die "not all of $program are there"
	kill -KILL -1
	wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"
	rm small/ready*
done
