#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whose child a restored process is, and what its parent death signal makes of that.
# timeout: 60
. "$TOP/test/lib/common.sh"
need setpriv perl

asks_for_death() { [ "$("$CR_IMAGE" decode -i "$1/core-$2.img" | grep -c '"pdeath_sig": *15')" = 1 ]; }
start t setpriv --pdeathsig TERM sleep 1000
pid=$PID
wait_for 5 grep -qx sleep "/proc/$pid/comm" || die "not asleep"

# Detached: cr-restore exits, and that is not the death of a parent.
for i in 1 2; do
	cycle "img$i" "$pid"
	asks_for_death "img$i" "$pid" || die "the signal is not in the checkpoint $i"
	sleep 0.3
	! is_dead "$pid" || die "restored detached, it did not outlive cr-restore: $(state_of "$pid")"
done
# Not detached: cr-restore is the parent.
dump img3 "$pid"
wait_gone "$pid" || die "still there"
"$CR_RESTORE" -D img3 </dev/null >out 2>&1 &
parent=$!
wait_for 5 one_of "$pid" S || die "not restored: $(cat out)"
wait_for 5 is_free "$pid" || die "not free"
kill -9 "$parent"
wait "$parent" 2>/dev/null
wait_for 5 is_dead "$pid" || die "its parent died, it did not"
wait_gone "$pid" || die "a corpse is left"

# A sibling: the caller waits for it as for any child of its own, and its death is the parent's.
"$CR_RESTORE" -D img3 -d </dev/null >out 2>&1 || die "$(cat out)"
dump img4 "$pid"
wait_gone "$pid" || die "still there"
cat >caller.pl <<'END'
my ($tool, $dir, $pid, @more) = @ARGV;
system($tool, '-D', $dir, '-d', '-S', @more) == 0 or die "cr-restore: $?\n";
open my $f, '>', 'restored'; close $f;
waitpid($pid, 0) == $pid or die "no child of mine: $!\n";
printf "%d\n", $?;
END
rm -f restored
setsid perl caller.pl "$CR_RESTORE" img4 "$pid" </dev/null >caller.out 2>&1 &
caller=$!
wait_for 5 test -e restored || die "restore -S: $(cat caller.out)"
sleep 0.3
! is_dead "$pid" || die "restored as a sibling, it did not outlive cr-restore: $(cat caller.out)"
grep -q "^PPid:	$caller$" "/proc/$pid/status" || die "not the caller's: $(grep PPid "/proc/$pid/status")"
kill -USR1 "$pid"
wait "$caller" || die "the caller: $(cat caller.out)"
[ "$(cat caller.out)" = 10 ] || die "the caller sees status $(cat caller.out), not SIGUSR1 (10)"
rm -f restored
setsid perl caller.pl "$CR_RESTORE" img4 "$pid" </dev/null >caller.out 2>&1 &
caller=$!
wait_for 5 test -e restored || die "restore -S again: $(cat caller.out)"
kill -9 "$caller"
wait "$caller" 2>/dev/null
wait_for 5 is_dead "$pid" || die "the caller died, its child did not"
wait_gone "$pid" || die "a corpse is left"

# A caller that ignores SIGCHLD, as some daemons do; its children inherit that.
(trap '' CHLD; exec "$CR_RESTORE" -D img4 -d </dev/null >out 2>&1) || die "SIGCHLD ignored, detached: $(cat out)"
! is_dead "$pid" || die "SIGCHLD ignored, detached: it is $(state_of "$pid")"
kill -9 "$pid"
wait_gone "$pid" || die "still there"
(trap '' CHLD; exec "$CR_RESTORE" -D img4 </dev/null >out 2>&1) &
parent=$!
wait_for 5 one_of "$pid" S && wait_for 5 is_free "$pid" || die "SIGCHLD ignored: $(cat out)"
kill -USR1 "$pid"
wait "$parent"
rc=$?
[ "$rc" = 138 ] || die "SIGCHLD ignored: cr-restore exits with $rc, not 128 + SIGUSR1: $(cat out)"
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
