#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Terminals with their whole session in the tree: an interactive bash under its emulator with a job in the background, vim in a
# tmux. Restored, they take keys and know their windows.
. "$TOP/test/lib/common.sh"
need bash
key() { printf '%b' "$1" >>keys; }
has() { grep -qF -- "$1" bash.log; }

# ---- bash ----
: >keys
setsid "$BIN/test/live/on_tty" 24 80 bash --norc --noprofile -i <keys >>bash.log 2>/dev/null &
on=$!
wait_for 5 grep -q . bash.log || die "no prompt"
[ "$(cut -d' ' -f6 "/proc/$on/stat")" = "$on" ] || on=$(cat "/proc/$on/task/$on/children")
key 'PS1="ready> "; sleep 1000 & x=42\n'
wait_for 5 has 'ready> ' || die "bash does not answer: $(cat bash.log)"
for cycle in 1 2; do
	dump "img$cycle" "$on"
	wait_gone "$on" || die "the emulator is still there"
	restore "img$cycle"
	key "echo cycle $cycle has \$x \$(stty size)\n"
	wait_for 5 has "cycle $cycle has 42 24 80" || die "bash does not answer after cycle $cycle: $(cat bash.log)"
done
key 'jobs; fg\n'
wait_for 5 has 'Running' || die "bash lost its job: $(cat bash.log)"
sleep 0.2
key '\x1a'
wait_for 5 has 'Stopped' || die "the job cannot be stopped by a key: $(cat bash.log)"
key 'kill %1; exit\n'
key 'exit\n'
wait_gone "$on" 5 || die "bash does not end: $(cat bash.log)"
