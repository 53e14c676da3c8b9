#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An editor that a shell started on a terminal: refused with a line that says whose terminal it is; dumped with the option in a
# file; restored on the same terminal, on one of another size, stopped and continued there; and the shell has its terminal back
# after all that, and after restores that fail.
. "$TOP/test/lib/common.sh"
need stty perl
mkdir -p img
export CRIU_CONFIG_FILE=$W/job.conf
: >"$CRIU_CONFIG_FILE"
has() { grep -qF -- "$1" log; }
key() { printf '%s' "$1" >&7; }
# terminal ROWS COLUMNS SCRIPT: bash runs the script with job control there. Keys go to descriptor 7, output to log.
terminal() {
	rm -f keys log after before editor.pid
	mkfifo keys
	"$BIN/test/live/on_tty" "$1" "$2" bash --norc -c "set -m; stty -g >before; $3" <keys >log 2>&1 &
	term=$!
	exec 7>keys
}
ended() { exec 7>&-; wait "$term"; }

terminal 24 80 "$BIN/test/live/editor; echo \"status \$?\"; stty sane; stty -g >before; touch dumped; while [ ! -e go ]; do sleep 0.02; done
	$CR_RESTORE -D img; echo \"status \$?\"; stty -g >after"
wait_for 10 test -s editor.pid || die "no editor: $(cat log)"
wait_for 5 has '<24x80>' || die "no size: $(cat log)"
job=$(cat editor.pid)
key a
wait_for 5 has '[a]' || die "the editor does not answer: $(cat log)"
shell=$(cut -d' ' -f6 "/proc/$job/stat")
refused 5 "^cr-dump: pid $job \(editor\): .*terminal /dev/pts/[0-9]+ belongs to session $shell \(bash\) outside of the tree.*--shell-job" \
	"$CR_DUMP" -t "$job" -D img
is_free "$job" || die "the editor is not free after the refusal"
key b
wait_for 5 has '[b]' || die "the editor does not answer after the refusal: $(cat log)"
echo shell-job >"$CRIU_CONFIG_FILE"
dump img "$job" -R
key c
wait_for 5 has '[c]' || die "the editor does not answer after a dump that left it running: $(cat log)"
rm -rf img && dump img "$job"
wait_for 5 test -e dumped || die "the shell does not go on: $(cat log)"
cp -r img img2

# ---- the same terminal ----
: >"$CRIU_CONFIG_FILE"
refused 5 "/dev/pts/[0-9]+ was the terminal of session $shell.*--shell-job" "$CR_RESTORE" -D img
echo shell-job >"$CRIU_CONFIG_FILE"
refused 1 'standard input must be a terminal' "$CR_RESTORE" -D img
touch go
wait_for 5 [ -d "/proc/$job" ] || die "no restored editor: $(cat log)"
key d
wait_for 5 has '[d]' || die "the restored editor does not answer: $(cat log)"
[ "$(grep -c '<24x80>' log)" = 1 ] || die "the size has not changed: $(cat log)"
key q
wait_for 5 has 'status 7' || die "cr-restore does not give its status: $(cat log)"
ended
cmp -s before after || die "the terminal's settings are not the shell's: $(cat before after)"

# ---- another terminal, of another size; stopped there, and continued ----
terminal 30 100 "$CR_RESTORE -D img2; echo \"status \$?\"; stty -g >middle; fg >/dev/null; echo \"status \$?\"; stty -g >after"
wait_for 5 has '<30x100>' || die "no SIGWINCH for another size: $(cat log)"
key e
wait_for 5 has '[e]' || die "the editor does not answer on another terminal: $(cat log)"
kill -TSTP "$job"
wait_for 5 has 'status 1' || die "the shell does not see that the job stopped: $(cat log)"
wait_for 5 is_free "$job" || die "the job does not continue: $(state_of "$job") $(cat log)"
cmp -s before middle || die "a stopped job keeps its settings: $(cat before middle)"
key f
wait_for 5 has '[f]' || die "the editor does not answer when continued: $(cat log)"
key q
wait_for 5 has 'status 7' || die "no status: $(cat log)"
ended
cmp -s before after || die "other settings at the end: $(cat before after)"

# ---- restores that fail ----
terminal 24 80 "CR_FAULT=restore:before-detach=5 $CR_RESTORE -D img2; echo \"status \$?\"; stty -g >after
	CR_FAULT=restore:after-program=5 $CR_RESTORE -D img2; echo \"status \$?\"; stty -g >>after; read -r line; echo \"line \$line\""
wait_for 10 eval '[ "$(cat after 2>/dev/null | wc -l)" = 2 ]' || die "the shell does not go on after failures: $(cat log)"
[ "$(sort -u before after | wc -l)" = 1 ] || die "other settings after a failure: $(cat before after)"
key 'hello
'
wait_for 5 has 'line hello' || die "the shell is not in the foreground after a failure: $(cat log)"
ended
is_gone "$job" || die "a failed restore left the job"

# ---- jobs that were not in the foreground, and a restore that is not ----
# As a person at an interactive shell, where each line of keys is a command or goes to who has the terminal.
cat >echo.pl <<'E2'
$| = 1; open my $f, '>', 'echo.new'; print $f "$$\n"; close $f; rename 'echo.new', 'echo.pid'; print "<$_>\n" while chomp($_ = <STDIN> // exit 3);
E2
shell() { # ROWS COLUMNS: an interactive one
	rm -f keys log
	mkfifo keys
	PS1='you: ' "$BIN/test/live/on_tty" "$1" "$2" bash --norc --noprofile --noediting -i <keys >log 2>&1 &
	term=$!
	exec 7>keys
	wait_for 5 has 'you: ' || die "no shell: $(cat log)"
}
leaves() { # its terminal is gone at once
	exec 7>&-
	kill -9 "$term"
	wait "$term" 2>/dev/null
	true
}
line() { key "$1"$'\n'; }
has_line() { tr -d '\r' <log | grep -qE -- "$1"; }
stopped_job() { [ "$(state_of "$job")" = T ]; }
# SIGTTIN of a job in the background, or ^Z.
for how in stopped background; do
	rm -rf img3 echo.pid
	shell 24 80
	if [ $how = stopped ]; then
		line "perl echo.pl"
		wait_for 5 test -s echo.pid || die "$how: no job: $(cat log)"
		line before
		wait_for 5 has_line '<before>' || die "$how: the job does not answer: $(cat log)"
		key $'\x1a'
	else
		line "perl echo.pl &"
		wait_for 5 test -s echo.pid || die "$how: no job: $(cat log)"
	fi
	job=$(cat echo.pid)
	wait_for 5 stopped_job || die "$how: the job is $(state_of "$job"): $(cat log)"
	dump img3 "$job"
	leaves
	for restore in "$CR_RESTORE -D img3" "$CR_RESTORE -D img3 &"; do
		shell 24 80
		line "$restore"
		wait_for 5 [ -d "/proc/$job" ] || die "$how, $restore: no restored job: $(cat log)"
		# Restored in the foreground, one that wants to read gets the terminal; one that was stopped by ^Z stays so.
		if [ $how = stopped ] || [[ $restore == *\& ]]; then
			wait_for 5 stopped_job || die "$how, $restore: the job is $(state_of "$job"): $(cat log)"
			line 'echo shell $((6 * 7))'
			wait_for 5 has_line '^(you: )?shell 42' || die "$how, $restore: the shell has no terminal: $(cat log)"
			line fg
			wait_for 5 one_of "$job" S R || die "$how, $restore: fg leaves the job $(state_of "$job"): $(cat log)"
		fi
		line "one, $how"
		wait_for 5 has_line "<one, $how>" || die "$how, $restore: the job has no terminal after fg: $(state_of "$job") $(cat log)"
		key $'\x1a'
		wait_for 5 stopped_job || die "$how, $restore: ^Z leaves the job $(state_of "$job"): $(cat log)"
		line 'echo shell $((7 * 7))'
		wait_for 5 has_line '^(you: )?shell 49' || die "$how, $restore: the shell has no terminal after ^Z: $(cat log)"
		line bg # it reads, and stops again
		line 'echo shell $((8 * 7))'
		wait_for 5 has_line '^(you: )?shell 56' || die "$how, $restore: the shell has no terminal after bg: $(cat log)"
		line fg
		line "two, $how"
		wait_for 5 has_line "<two, $how>" || die "$how, $restore: no terminal after the second fg: $(state_of "$job") $(cat log)"
		key $'\x04'
		wait_gone "$job" || die "$how, $restore: the job does not end: $(cat log)"
		line 'echo status $? shell $((9 * 7))'
		wait_for 5 has_line '^(you: )?status 3 shell 63' || die "$how, $restore: no status, or no terminal at the end: $(cat log)"
		leaves
	done
done
# In the background from its beginning to its end: the terminal is the shell's all the time.
rm -rf img3 echo.pid
shell 24 80
line 'perl -e "open f, q(>), q(echo.pid); print f \$\$; close f; select undef, undef, undef, 0.05 until -e q(end)" &'
wait_for 5 test -s echo.pid || die "no job: $(cat log)"
job=$(cat echo.pid)
dump img3 "$job"
line "$CR_RESTORE -D img3 &"
wait_for 5 [ -d "/proc/$job" ] || die "background: no restored job: $(cat log)"
touch end
wait_gone "$job" || die "background: the job does not end"
line 'wait; echo shell $((6 * 7))'
wait_for 5 has_line '^(you: )?shell 42' || die "background: the shell lost its terminal: $(cat log)"
leaves
