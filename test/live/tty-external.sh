#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A terminal that is given: named by --external at the dump, brought by --inherit-fd at the restore. What nobody gives is refused.
. "$TOP/test/lib/common.sh"
need perl
mkdir -p img img2

# emulator NAME: a terminal that nobody reads but us; its name in $pts, what is written to it in NAME.log, keys into NAME.keys.
emulator() {
	: >"$1.keys"
	"$BIN/test/live/on_tty" 24 80 bash --norc -c "stty raw -echo; tty >$1.tty; exec sleep 1000" <"$1.keys" >"$1.log" 2>&1 &
	wait_for 10 test -s "$1.tty" || die "no terminal: $(cat "$1.log")"
	pts=$(cat "$1.tty")
}
emulator a
a=$pts
key=$(printf '%x:%x' $(((136 << 8) | ${a##*/})) "$(stat -c %d "$a")")
setsid perl -e '$| = 1; open F, ">", "pid.new"; print F $$; close F; rename "pid.new", "pid"; while (<STDIN>) { print "got $_" }' \
	<>"$a" >&0 2>/dev/null &
wait_for 10 test -s pid || die "no program"
p=$(cat pid)
# bash's own process on that terminal would take the keys as well; it sleeps and reads nothing.
printf 'one\n' >>a.keys
wait_for 5 grep -q 'got one' a.log || die "the program does not answer: $(cat a.log)"

refused 5 "terminal $a belongs to .*--external tty\[$key\]" "$CR_DUMP" -t "$p" -D img
is_free "$p" || die "not free after the refusal"
dump img "$p" --external "tty[$key]"
wait_gone "$p" || die "still there"
refused 5 "$a .*--inherit-fd 'fd\[N\]:tty\[$key\]'" "$CR_RESTORE" -D img
refused 2 'fd\[77\]' "$CR_RESTORE" -D img --inherit-fd "fd[77]:tty[$key]"
emulator b
"$CR_RESTORE" -D img -d --inherit-fd "fd[5]:tty[$key]" 5<>"$pts" </dev/null >out 2>&1 || die "cr-restore: $(cat out)"
printf 'two\n' >>b.keys
wait_for 5 grep -q 'got two' b.log || die "the program does not answer on the other terminal: $(cat b.log)"
[ "$(readlink "/proc/$p/fd/0")" = "$pts" ] || die "standard input is $(readlink "/proc/$p/fd/0")"
kill "$p"

# ---- half a pty ----
start half perl -e 'require "sys/ioctl.ph" if 0; open M, "+<", "/dev/ptmx" or die; my $n = pack "i", 0; ioctl M, 0x40045431, $n or die;
	ioctl M, 0x80045430, $n or die; $n = unpack "i", $n; open F, ">", "n.new"; print F $n; close F; rename "n.new", "n"; sleep 1000'
wait_for 10 test -s half/n || die "no pty: $(cat half/stderr)"
# shellcheck disable=SC2217 # it only holds the terminal
sleep 1000 <"/dev/pts/$(cat half/n)" &
reader=$!
wait_for 5 [ "$(readlink /proc/$reader/fd/0)" = "/dev/pts/$(cat half/n)" ]
refused 5 "/dev/pts/$(cat half/n), is held by pid $reader" "$CR_DUMP" -t "$PID" -D img2
kill "$reader"
dump img2 "$PID"
wait_gone "$PID"
# Somebody takes the number.
perl -e 'for (0 .. 50) { open my $m, "+<", "/dev/ptmx" or die; push @m, $m } open F, ">", "taken"; close F; sleep 1000' &
taker=$!
wait_for 5 test -e taken
refused 1 "/dev/pts/$(cat half/n) is in use by pid $taker \(perl\)" "$CR_RESTORE" -D img2
kill "$taker"
wait_gone "$taker" 1 || wait "$taker" 2>/dev/null
restore img2
is_free "$PID" || die "the holder of the master is not back"
