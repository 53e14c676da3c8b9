#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A tmux server with windows in which vim, a shell and a counter run: all comes back; keys reach vim, and the screens are the same.
# timeout: 120
. "$TOP/test/lib/common.sh"
need tmux vim top perl

export TERM=xterm TMUX_TMPDIR=$W/tmp
unset TMUX
mkdir -p a
# The server stays in the foreground of a session of its own.
start a env TERM=xterm TMUX_TMPDIR="$TMUX_TMPDIR" SHELL=/bin/bash tmux -f /dev/null -D
server=$PID
t() { tmux -f /dev/null "$@"; }
wait_for 10 test -S "$TMUX_TMPDIR/tmux-0/default" || skip "this tmux does not serve in the foreground: $(cat a/stderr)"
up() { t new-session -d -s s -x 80 -y 24 'bash --norc --noprofile' 2>/dev/null; }
wait_for 10 up || die "no session: $(cat a/stderr)"
printf 'one\ntwo\nthree\n' >text
t new-window -t s -n edit "vim -u NONE -N -n $W/text"
t new-window -t s -n count "bash -c 'n=0; while :; do n=\$((n + 1)); echo count \$n; sleep 0.02; done'"
t split-window -t s:count "cat"
t select-window -t s:edit
screen() { t capture-pane -p -t "$1" 2>&1; }
shows() { screen "$1" | grep -qF -- "$2"; }
wait_for 10 shows s:edit three || die "no vim: $(screen s:edit)"
t send-keys -t s:edit 'o' 'inserted'
wait_for 10 shows s:edit inserted || die "vim does not answer: $(screen s:edit)"
t send-keys -t s:0 "PS1='prom''pt> '; x=kept; cd /proc" Enter
wait_for 10 shows s:0 'prompt>' || die "no shell: $(screen s:0)"
panes() { t list-panes -s -t s -F '#{window_name} #{pane_id} #{pane_pid} #{pane_width}x#{pane_height} #{pane_current_command} #{cursor_x},#{cursor_y}' | grep -v '^count %2'; }
last() { screen s:count.0 | sed -n 's/^count //p' | tail -1; }
further() { local n; n=$(last); [ "${n:-0}" -gt "$1" ]; }
wait_for 10 further 5 || die "no count: $(screen s:count.0)"
for i in 1 2 3; do
	before=$(screen s:edit; screen s:0; panes)
	cycle "img$i" "$server"
	[ "$(screen s:edit; screen s:0; panes)" = "$before" ] || die "other screens after restore $i: $before; $(screen s:edit; screen s:0; panes)"
	n=$(last)
	wait_for 10 further "$n" || die "the count stops after restore $i: $(screen s:count.0)"
	t send-keys -t s:edit " $i"
	wait_for 10 shows s:edit " $i" || die "vim does not answer after restore $i: $(screen s:edit)"
	t send-keys -t s:count.1 "line $i" Enter
	wait_for 10 shows s:count.1 "line $i" || die "cat does not answer after restore $i"
	# The window gets another size: its programs are told.
	t resize-window -t s:edit -x $((80 + i)) -y $((24 - i))
	told() { [ "$(screen s:edit | wc -l)" = $((24 - i)) ] && shows s:edit '-- INSERT --'; }
	wait_for 30 told || die "vim does not draw in another size after restore $i: $(screen s:edit)"
done
t send-keys -t s:edit Escape ':wq' Enter
saved() { [ "$(cat text)" = "$(printf 'one\ninserted 1 2 3\ntwo\nthree')" ]; }
wait_for 10 saved || die "vim did not save: $(cat text)"
t send-keys -t s:0 'echo "$x $PWD"' Enter
wait_for 10 shows s:0 'kept /proc' || die "the shell forgot: $(screen s:0)"
t kill-server
wait_gone "$server" 10 || die "tmux does not end"

# In a terminal, as people use it: shell, client, server and what runs there are one tree, adopted by one that stays.
mkfifo keys
start b perl -e 'syscall(157, 36, 1, 0, 0, 0); system(@ARGV)' bash -c "exec '$BIN/test/live/on_tty' 24 80 env TERM=xterm TMUX_TMPDIR='$TMUX_TMPDIR' bash --norc -i <>'$W/keys'"
tree=$PID
key() { printf '%s\n' "$1" >keys; }
shown() { grep -qF -- "$1" b/stdout; }
# What is typed is shown, too: all that is waited for is written in another way than it is typed.
key "PS1='out''er> '; x=outside"
wait_for 10 shown 'outer>' || die "no shell on the terminal: $(cat b/stdout b/stderr)"
key 'tmux -L two -f /dev/null new -s y "top -d 0.1; PS1=in\"\"side: exec bash --norc"'
wait_for 10 shown 'Tasks:' || die "no top within tmux: $(tail -c 300 b/stdout)"
more_shown() { [ "$(stat -c %s b/stdout)" -gt $(($1 + 500)) ]; }
for i in 1 2 3; do
	cycle "attached$i" "$tree"
	n=$(stat -c %s b/stdout)
	wait_for 10 more_shown "$n" || die "top shows nothing more after restore $i"
done
# Keys go through the client to the server to top, and each gives the terminal back to whom it had it from.
printf q >keys
# A key for whom it is not meant is lost: top empties the queue when it ends, and so may a shell that begins.
wait_for 10 shown inside: || die "top does not hear the key: $(tail -c 300 b/stdout)"
key exit
wait_for 10 shown '[exited]' || die "tmux does not end: $(tail -c 300 b/stdout)"
key 'echo "still $x"'
wait_for 10 shown 'still outside' || die "the outer shell does not answer: $(tail -c 300 b/stdout)"
key exit
wait_gone "$tree" 10 || die "the terminal does not close"
