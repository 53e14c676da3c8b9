#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What becomes of the target, on both sides: -R, -s, the default; -d, a parent that waits, --pidfile, -S, --exec-cmd.
# timeout: 120
. "$TOP/test/lib/common.sh"

watchdog_start
dump running "$DOG" -R
dog_well "dump -R"
dump stopped "$DOG" -s
wait_for 2 one_of "$DOG" T || die "dump -s leaves it in state $(state_of "$DOG")"
grep -q '^TracerPid:	0' "/proc/$DOG/status" || die "dump -s leaves a tracer"
kill -CONT "$DOG"
dog_well "dump -s and SIGCONT"
# A target that was stopped stays so, and comes back so.
kill -STOP "$DOG"
wait_for 2 one_of "$DOG" T || die "SIGSTOP"
dump was "$DOG"
wait_gone "$DOG" || die "the default does not kill"
restore was
wait_for 2 one_of "$DOG" T || die "a stopped task comes back in state $(state_of "$DOG")"
kill -CONT "$DOG"
dog_well "a stopped task, restored and continued"
dump again "$DOG"
wait_gone "$DOG" || die "the default does not kill"
restore again -s
wait_for 2 one_of "$DOG" T || die "restore -s leaves it in state $(state_of "$DOG")"
kill -CONT "$DOG"
dog_well "restore -s and SIGCONT"
dump more "$DOG"
wait_gone "$DOG" || die "the default does not kill"
restore more --pidfile "$W/pidfile"
[ "$(cat pidfile)" = "$DOG" ] || die "pidfile says $(cat pidfile), not $DOG"
dog_well "restore --pidfile"
# -S: the restored process belongs to whoever called cr-restore, not to init.
dump sib "$DOG"
wait_gone "$DOG" || die "the default does not kill"
setsid perl -e 'system(@ARGV) == 0 or die; open F, ">", "restored"; close F; sleep 1000' "$CR_RESTORE" -D sib -d -S </dev/null >sib.out 2>&1 &
parent=$!
wait_for 10 test -e restored || die "restore -S: $(cat sib.out)"
[ "$(awk '/^PPid:/ { print $2 }' "/proc/$DOG/status")" = "$parent" ] || die "restore -S: the parent is $(grep PPid "/proc/$DOG/status"), not $parent"
kill -9 "$parent"
wait "$parent" 2>/dev/null
dog_well "restore -S"
# --exec-cmd: the command takes the place of cr-restore, as the parent of what was restored.
dump cmd "$DOG"
wait_gone "$DOG" || die "the default does not kill"
"$CR_RESTORE" -D cmd --exec-cmd -- sh -c 'cat /proc/$$/task/$$/children >kids; exec sleep 0.2' </dev/null >cmd.out 2>&1 || die "--exec-cmd: $(cat cmd.out)"
grep -qw "$DOG" kids || die "--exec-cmd: the children of the command are: $(cat kids), not $DOG"
dog_well "restore --exec-cmd"
dog_ends

# Statuses: cr-restore in front of a program ends as the program does.
cat >ends.pl <<'END'
open my $r, '>', 'ready'; close $r;
select undef, undef, undef, 0.01 until -e 'go';
kill 'TERM', $$ if -e 'signal'; exit 42;
END
start c perl "$W/ends.pl"
wait_for 5 test -e c/ready || die "not ready"
dump status "$PID"
wait_gone "$PID" || die "still there"
touch c/go
"$CR_RESTORE" -D status </dev/null
rc=$?
[ "$rc" = 42 ] || die "cr-restore exits with $rc, the program with 42"
touch c/signal
"$CR_RESTORE" -D status </dev/null
rc=$?
[ "$rc" = 143 ] || die "cr-restore exits with $rc, the program died of SIGTERM (128 + 15)"
