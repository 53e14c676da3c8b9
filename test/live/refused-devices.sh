#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sockets and terminals whose state nobody can read or make again: each is refused by its name, with the option that helps where there
# is one, and the program goes on. A virtual console that is given comes back as what is given for it.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip
own_net
mkdir -p img

# try REGEX LINES: Python holds what the lines make; they may say skip("why").
tried=0
try() {
	local re=$1
	rm -rf held
	mkdir held
	cat >held/p.py <<END
import fcntl, os, signal, socket, sys, time
def skip(why):
    open("skip", "w").write(str(why)); sys.exit(0)
def attempt(f, *args):
    try: return f(*args)
    except OSError as e: skip(e)
$2
open("ready", "w").close()
time.sleep(1000)
END
	start held "$py" p.py
	wait_for 30 started_holding || die "not ready: $(cat held/stderr)"
	[ ! -e held/skip ] || { note "not here: $re: $(cat held/skip)"; return 1; }
	[ -e held/ready ] || die "$re: $(cat held/stderr)"
	refused 5 "$re" "$CR_DUMP" -t "$PID" -D img --tcp-established
	no_images img || die "images after a refusal"
	wait_for 5 is_free "$PID" || die "$re: the program is not free"
	tried=$((tried + 1))
	[ -n "${3:-}" ] || end
}
end() { kill "$PID"; wait_gone "$PID" || die "it does not end"; }
started_holding() { [ -e held/ready ] || [ -e held/skip ] || is_dead "$PID"; }

# ---- sockets ----
try 'AF_ALG|protocol family 38' 's = attempt(socket.socket, 38, socket.SOCK_SEQPACKET)'
try 'SCTP' 's = attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 132)'
try 'XDP' 's = attempt(socket.socket, 44, socket.SOCK_RAW)'
try 'MPTCP' 's = attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 262)'
try 'vsock' 's = attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)'
try 'SMC' 's = attempt(socket.socket, 43, socket.SOCK_STREAM)'
pair='
l = socket.socket(); l.bind(("127.0.0.1", 4300)); l.listen()
c = socket.socket(); c.connect(("127.0.0.1", 4300)); s, _ = l.accept()'
try '127.0.0.1:4300.*urgent data and SO_PEEK_OFF' "$pair
attempt(s.setsockopt, socket.SOL_SOCKET, 42, 0)
c.send(b'before'); c.send(b'!', socket.MSG_OOB); s.recv(1)
import select
select.select([], [], [s], 30)"
try '127.0.0.1:4300.*tls' "$pair
attempt(c.setsockopt, socket.IPPROTO_TCP, 31, b'tls')"

# ---- terminals ----
pty='
import pty, termios
m, s = pty.openpty()'
try 'vhangup' "$pty
keep = os.dup(s)
fcntl.ioctl(s, 0x5437)" # TIOCVHANGUP
try 'line discipline 2:' "$pty
attempt(fcntl.ioctl, s, 0x5423, (2).to_bytes(4, 'little'))" # TIOCSETD to N_MOUSE
try 'pty 0 is of another instance of devpts' '
import subprocess
os.mkdir("pts")
attempt(subprocess.check_call, ["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", "pts"])
m = os.open("pts/ptmx", os.O_RDWR | os.O_NOCTTY)
here = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)' && umount held/pts
for t in "console /dev/console" "virtual console /dev/tty7" "serial line /dev/ttyS0"; do
	dev=${t##* }
	[ -c "$dev" ] || { note "not here: $dev"; continue; }
	key=$(printf '%x:%x' $(($(stat -c '(0x%t << 8) | 0x%T' "$dev"))) "$(stat -c %d "$dev")")
	opened="
fd = attempt(os.open, '$dev', os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
try: fcntl.ioctl(fd, 0x5401, bytes(60))
except OSError as e: skip(e)
def say(*a): os.write(fd, b'hello')
if '$dev' == '/dev/tty7': signal.signal(signal.SIGUSR1, say)"
	try "^cr-dump: pid [0-9]+ \\(.*\\): fd 3: $t belongs to .* outside of the tree; use --external tty\\[$key\\], and --inherit-fd 'fd\\[N\\]:tty\\[$key\\]'" "$opened" stay || continue
	if [ "$dev" = /dev/tty7 ]; then
		dump img "$PID" --external "tty[$key]"
		wait_gone "$PID" || die "still there"
		refused 5 "tty\\[$key\\]" "$CR_RESTORE" -D img -d
		"$py" -c "
import os, pty, select, subprocess, sys
m, s = pty.openpty(); os.dup2(s, 9)
subprocess.check_call(['$CR_RESTORE', '-D', 'img', '-d', '--inherit-fd', 'fd[9]:tty[$key]'], pass_fds=(9,))
for i in range(300): # a signal in front of the sleep is seen behind it
    os.kill($PID, 10)
    if select.select([m], [], [], 0.1)[0]: break
else: sys.exit(1)
sys.exit(not os.read(m, 100).startswith(b'hello'))" || die "the terminal that is given is not the program's"
		rm -rf img && mkdir img
	fi
	end
done
[ "$tried" -ge 4 ] || skip "this kernel has only $tried of them"
