#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Numbers of processes are used again in no time while a tree is frozen and looked at: there are but few, and a tree of makers uses them
# up over and over. Every checkpoint is whole, and holds nobody twice; the tree goes on.
# timeout: 150
. "$TOP/test/lib/common.sh"
# Since 6.14 each pid namespace has its own highest number; this is the test's own namespace.
before=$(cat /proc/sys/kernel/pid_max)
unshare --pid --fork --mount-proc sh -c 'echo 350 >/proc/sys/kernel/pid_max' 2>/dev/null || skip "the highest pid cannot be set here"
[ "$(cat /proc/sys/kernel/pid_max)" = "$before" ] || { echo "$before" >/proc/sys/kernel/pid_max; skip "pid namespaces have no highest number of their own"; }
echo 350 >/proc/sys/kernel/pid_max || skip "the highest pid cannot be set here"
cat >makers.pl <<'P'
$SIG{CHLD} = 'DEFAULT';
my @made;
for (1 .. 4) {
	my $pid = fork // exit 1;
	next if $pid;
	for (my $n = 0;; $n++) {
		my $child = fork // do { select undef, undef, undef, 0.001; next };
		if (!$child) {
			# Some leave a child behind, which init or the next subreaper gets.
			fork || select undef, undef, undef, 0.002 if $n % 5 == 0;
			exit 0;
		}
		waitpid $child, 0;
		if ($n % 200 == 0) { open my $f, '>', "beat.$$"; print $f $n }
	}
}
sleep 1000 while 1;
P
start t perl "$W/makers.pl"
pid=$PID
beats() { cat t/beat.* 2>/dev/null | tr '\n' ' '; }
going_on() { [ "$(beats)" != "$was" ]; }
beating() { [ "$(ls t/beat.* 2>/dev/null | wc -l)" = 4 ]; }
wait_for 20 beating || die "the makers do not make: $(cat t/stderr)"
fast_dir img
for i in 1 2 3 4 5 6 7 8 9 10; do
	dump img "$pid" -R
	"$CR_IMAGE" check img >check.out 2>&1 || die "checkpoint $i: $(cat check.out)"
	twice=$("$CR_IMAGE" decode -i img/pstree.img | grep -o '"pid": [0-9]*' | sort | uniq -d)
	[ -z "$twice" ] || die "checkpoint $i has twice: $twice"
	was=$(beats)
	wait_for 20 going_on || die "after checkpoint $i the makers stand still"
	rm -rf img/*
done
kill -9 -- "-$pid"
wait_gone "$pid" || die "still there"
