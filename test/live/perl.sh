#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# perl: an interpreter with a heap of its own, a hash of some size, a timer and a signal handler.
. "$TOP/test/lib/common.sh"
need perl

cat >counter.pl <<'END'
use strict; use Time::HiRes qw(ualarm);
my ($n, $ticks, %h) = (0, 0);
$SIG{ALRM} = sub { $ticks++ }; ualarm(10_000, 10_000);
$h{$_} = $_ ** 2 for 1 .. 200_000;
$SIG{USR1} = sub { my $sum = 0; $sum += $h{$_} for 1 .. 200_000;
	open my $o, '>', 'answer'; print $o "$n $ticks $sum\n"; close $o; rename 'answer', 'answer.whole'; exit 3 };
for (;;) { $n++; if ($n % 1000 == 0) { open my $b, '>', 'beat.new'; print $b "$n\n"; close $b; rename 'beat.new', 'beat'; } }
END
start a perl "$W/counter.pl"
wait_for 20 test -s a/beat || die "no beat"
went_on() { [ "$(cat a/beat)" -gt "$before" ]; }
for i in 1 2 3; do
	cycle "img$i" "$PID"
	before=$(cat a/beat)
	wait_for 10 went_on || die "perl does not count on after restore $i"
done
kill -USR1 "$PID"
wait_gone "$PID" 10 || die "perl does not answer"
read -r n ticks sum <a/answer.whole || die "no answer"
[ "$sum" = 2666686666700000 ] || die "the hash is damaged: $sum"
[ "$ticks" -gt 2 ] && [ "$n" -ge "$before" ] || die "n=$n ticks=$ticks"
