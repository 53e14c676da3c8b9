#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files and pipes that are given: named by --external at the dump, brought by --inherit-fd at the restore.
. "$TOP/test/lib/common.sh"
need perl
mkdir -p img img2

# A program that copies lines from one pipe to another and into a file; the other ends are ours.
mkfifo up down
perl -e 'pipe R, W or die; pipe S, T or die; $^F = 99; $| = 1; select STDOUT;
	if (!fork) { close W; close S; open F, ">", "first.log" or die; select((select(F), $| = 1)[0]);
		open P, ">", "pid.new"; require POSIX; POSIX::setsid(); POSIX::dup2(fileno R, 10); POSIX::dup2(fileno T, 11); POSIX::dup2(fileno F, 12);
		print P $$; close P; rename "pid.new", "pid";
		POSIX::close($_) for (3 .. 9, 0); POSIX::close($_) for (1, 2);
		while (POSIX::read(10, my $l, 100)) { POSIX::write(11, "got $l", 4 + length $l); POSIX::write(12, $l, length $l) } exit }
	$SIG{CHLD} = "IGNORE"; close R; close T;
	open U, "<", "up" or die; open D, ">", "down" or die; select((select(D), $| = 1)[0]);
	while (<U>) { syswrite W, $_; sysread S, my $l, 100; print D $l } sleep 1000' &
outside=$!
exec 7>up 8<down
wait_for 10 test -s pid || die "no program"
p=$(cat pid)
echo one >&7
read -r -t 10 line <&8 && [ "$line" = "got one" ] || die "it does not answer"

in=$(readlink "/proc/$p/fd/10") out=$(readlink "/proc/$p/fd/11")
id() { printf '%x:%x' "$(sed -n 's/^mnt_id:[[:space:]]*//p' "/proc/$p/fdinfo/$1")" "$(stat -L -c %i "/proc/$p/fd/$1")"; }
i=$(id 10) o=$(id 11) f=$(id 12)

refused 5 "pipe.*--external file\[" "$CR_DUMP" -t "$p" -D img
is_free "$p" || die "not free after the refusal"
mkdir other
"$CR_DUMP" -t "$p" -D other -R --external "file[$i]" --external "file[$o]" --external "file[$f]" --external "file[1:2]" --external "mnt[/x]:y" \
	>msg 2>&1 || die "cr-dump: $(cat msg)"
grep -q 'warning: --external file\[1:2\]: none of the tasks' msg && grep -q 'warning: --external mnt\[/x\]: none of' msg && [ "$(wc -l <msg)" = 2 ] ||
	die "what nobody has is not named, or more: $(cat msg)"
dump img "$p" --external "file[$i]" --external "file[$o]" --external "file[$f]"
wait_gone "$p" || die "still there"
# The file is not looked for where it was.
rm first.log
refused 5 "inherit-fd 'fd\[N\]:" "$CR_RESTORE" -D img
all=(--inherit-fd "fd[20]:$in" --inherit-fd "fd[21]:$out" --inherit-fd "fd[22]:file[$f]")
refused 2 'open for reading only' "$CR_RESTORE" -D img --inherit-fd "fd[20]:$in" --inherit-fd "fd[21]:$out" \
	--inherit-fd "fd[22]:file[$f]" 20<"/proc/$outside/fd/4" 21<"/proc/$outside/fd/5" 22</dev/null
"$CR_RESTORE" -D img -d "${all[@]}" --inherit-fd "fd[22]:no/such/file" 20<>"/proc/$outside/fd/4" 21<>"/proc/$outside/fd/5" 22>second.log \
	</dev/null >msg 2>&1 || die "cr-restore: $(cat msg)"
grep -q 'fd\[22\]:no/such/file' msg || die "a key that nothing has is not named: $(cat msg)"
echo two >&7
read -r -t 10 line <&8 && [ "$line" = "got two" ] || die "it does not answer after the restore: $line"
wait_for 5 grep -qx two second.log || die "the given file has: $(cat second.log)"
[ "$(readlink "/proc/$p/fd/10")" = "$in" ] || die "another pipe"
kill "$p" "$outside"
