#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A line editor (readline) in the middle of a line: dumped on a terminal of 80 columns, restored on one of 60, it knows what was typed and
# where the cursor is, and breaks lines where the new terminal ends.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
"$py" -c 'import readline' 2>/dev/null || skip "there is no readline in Python"
export TERM=xterm
cat >edit.py <<'END'
import os, readline, signal
open("pid.new", "w").write(str(os.getpid())); os.rename("pid.new", "pid")
for i in range(2):
    line = input("> ")
    print("\n<%s|%s|%d columns>" % (line, readline.get_history_item(1), os.get_terminal_size()[0]), flush=True)
END
has() { grep -qF -- "$1" log; }
key() { printf '%b' "$1" >&7; }
terminal() {
	rm -f keys log
	mkfifo keys
	"$BIN/test/live/on_tty" "$1" "$2" bash --norc -c "set -m; $3" <keys >log 2>&1 &
	term=$!
	exec 7>keys
}
ended() { exec 7>&-; wait "$term"; }

terminal 24 80 "$py edit.py; touch dumped"
wait_for 30 test -s pid || die "no editor: $(cat log)"
job=$(cat pid)
wait_for 30 has '> ' || die "no prompt: $(cat log)"
key 'first\r'
wait_for 30 has '<first|first|80 columns>' || die "the editor does not work: $(cat log)"
# Cursor behind "ab", in front of "ef".
key 'abXef\033[D\033[D\177'
wait_for 30 grep -q 'ef' log || die "no echo: $(cat log)"
quiet() { local a; a=$(stat -c %s log); sleep 0.3; [ "$a" = "$(stat -c %s log)" ]; }
wait_for 30 quiet
mkdir img
dump img "$job" --shell-job
wait_for 30 test -e dumped || die "the shell does not go on: $(cat log)"
ended

terminal 30 60 "$CR_RESTORE -D img --shell-job; echo \"status \$?\""
wait_for 30 is_free "$job" || die "the editor is not back: $(cat log)"
# 70 more characters: in 60 columns the line breaks, in 80 it would not.
word=$(printf 'c%.0s' {1..70})
key "$word\\r"
wait_for 30 has "<ab${word}ef|first|60 columns>" || die "the line is not what was typed: $(cat log)"
wait_for 30 has 'status 0' || die "no status: $(cat log)"
ended
# The first line of it is full at column 60: "> ", "ab" and 56 more, and one that it prints there again.
grep -qE $'c{56,57}\rc{13,14}ef' log || die "the line does not break where the terminal ends: $(cat -v log)"
