#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An empty message of a unix socket is hidden from the next look once it was looked at: that a check and a snapshot came before costs a
# queue none that is the first one.
. "$TOP/test/lib/common.sh"
need perl
cat >t.pl <<'E2'
use Socket; my @p;
for my $type (SOCK_DGRAM, SOCK_SEQPACKET) {
	socketpair my $a, my $b, AF_UNIX, $type, 0 or die; push @p, $a, $b; send $a, '', 0; send $a, 'text', 0;
}
open my $f, '>', 'ready'; close $f; select undef, undef, undef, 0.02 until -e 'go'; my $bad = '';
for (1, 3) { for my $want ('', 'text') { my $m; $bad .= "lost: '$want'; " unless defined recv($p[$_], $m, 9, MSG_DONTWAIT) && $m eq $want } }
open $f, '>', 'verdict'; print $f $bad || 'pass'; close $f;
E2
start t perl "$W/t.pl"
wait_for 10 test -e t/ready || die "not ready"
mkdir img
"$CR_DUMP" -t "$PID" --check || die "check"
dump snapshot "$PID" -R
cycle img "$PID"
touch t/go
wait_for 10 test -s t/verdict || die "no verdict: $(cat t/stderr)"
[ "$(cat t/verdict)" = pass ] || die "$(cat t/verdict)"
