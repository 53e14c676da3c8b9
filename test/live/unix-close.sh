#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server with local clients that are not dumped: told to close those connections, it comes back with what they had sent and then their end,
# as if they had gone, and serves new ones.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"

cat >server.py <<'EOP'
import os, socket, sys, time
kind = getattr(socket, sys.argv[1])
l = socket.socket(socket.AF_UNIX, kind); l.bind("../%s.sock" % sys.argv[1]); l.listen(8)
a, b = l.accept()[0], l.accept()[0]
inside, pair = socket.socketpair(socket.AF_UNIX, kind); inside.send(b"kept")
a.send(b"never read")
open("ready", "w").close()
while not os.path.exists("go"): time.sleep(.02)
def says(f):
    try: return f()
    except OSError as e: return e.strerror
got = [pair.recv(99), says(lambda: a.recv(99)), says(lambda: a.recv(99)), says(lambda: a.send(b"x")),
       b.recv(99), b.recv(99), says(lambda: b.send(b"x")), b.getpeername()]
with open(".verdict", "w") as f: f.write(repr(got))
os.rename(".verdict", "verdict")
c = l.accept()[0]; c.send(b"new")
while True: time.sleep(1)
EOP
# The first one leaves something unread; the second has sent something; the third is not accepted.
cat >clients.py <<'EOP'
import os, socket, sys, time
kind = getattr(socket, sys.argv[1]); socks = []
for i in range(3):
    s = socket.socket(socket.AF_UNIX, kind); s.connect("../%s.sock" % sys.argv[1]); socks.append(s)
    if i < 2: time.sleep(.05)
socks[0].send(b"one"); socks[1].send(b"two"); socks[2].send(b"three")
open("ready", "w").close()
try: socks[1].recv(1)
except ConnectionResetError: pass
open("ended", "w").close()
while True: time.sleep(1)
EOP
for kind in SOCK_STREAM SOCK_SEQPACKET; do
	start $kind-server "$py" ../server.py $kind
	server=$PID
	wait_for 10 test -S $kind.sock || die "$kind: no server: $(cat $kind-server/stderr)"
	start $kind-clients "$py" ../clients.py $kind
	clients=$PID
	wait_for 10 test -e $kind-server/ready -a -e $kind-clients/ready || die "$kind: not ready: $(cat $kind-server/stderr $kind-clients/stderr)"
	mkdir $kind-img
	refused 5 'not dumped' "$CR_DUMP" -t "$server" -D $kind-img
	refused 5 'not dumped' "$CR_DUMP" -t "$server" -D $kind-img --ext-unix-sk
	no_images $kind-img || die "a refused dump left images"
	"$CR_DUMP" --check -t "$server" --unix-close || die "$kind: a check finds what is no obstacle"
	[ ! -e $kind-clients/ended ] || die "$kind: a refused dump ends a connection"
	dump $kind-img "$server" --unix-close
	wait_gone "$server"
	wait_for 5 test -e $kind-clients/ended || die "$kind: the client does not hear the end"
	kill "$clients"
	wait_gone "$clients"
	restore $kind-img
	touch $kind-server/go
	wait_for 10 test -e $kind-server/verdict || die "$kind: no verdict: $(cat $kind-server/stderr)"
	# Of packets the error comes first.
	first="b'one', 'Connection reset by peer'"
	[ $kind = SOCK_STREAM ] || first="'Connection reset by peer', b'one'"
	want="[b'kept', $first, 'Broken pipe', b'two', b'', 'Broken pipe', '']"
	[ "$(cat $kind-server/verdict)" = "$want" ] || die "$kind: $(cat $kind-server/verdict)"
	new=$("$py" -c "import socket; s = socket.socket(socket.AF_UNIX, socket.$kind); s.settimeout(10); s.connect('$kind.sock'); print(s.recv(9))")
	[ "$new" = "b'new'" ] || die "$kind: a new client gets $new"
	kill -9 "$server"
	wait_gone "$server"
	rm $kind.sock
done
