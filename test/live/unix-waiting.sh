#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was sent on unix connections before anybody accepted them, and cannot be sent again, is refused by name; a sender who is gone and whom
# nobody asks for is not in the way.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
cat >hold.py <<'END'
import os, socket, sys, time
what = sys.argv[1]
l = socket.socket(socket.AF_UNIX)
l.bind('sock')
l.listen(5)
def ask(): l.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
if what == 'asked': ask()
c = socket.socket(socket.AF_UNIX)
c.connect('sock')
if what == 'rights': socket.send_fds(c, [b'x'], [0])
elif what == 'urgent': c.send(b'ab', socket.MSG_OOB)
elif what in ('asked', 'unasked'):
    p = os.fork()
    if not p: c.send(b'from a child'); os._exit(0)
    os.waitpid(p, 0)
elif what == 'named':
    n = socket.socket(socket.AF_UNIX); n.bind('name'); n.connect('sock'); n.close(); c.send(b'x')
elif what == 'later':
    c.send(b'x'); ask()
open('ready', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
s, _ = l.accept()
with open('heard.new', 'wb') as f: f.write(s.recv(99))
os.rename('heard.new', 'heard')
END
begin() {
	start "$1" "$py" "$W/hold.py" "$1"
	wait_for 10 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
}
mkdir img
while read -r what why; do
	begin "$what"
	refused 5 "fd [0-9]+.*$why" "$CR_DUMP" -t "$PID" -D img
	no_images img || die "$what: images are left"
	"$CR_DUMP" --check -t "$PID" >out 2>&1 && die "$what: a check finds nothing"
	grep -q "$why" out || die "$what: a check says: $(cat out)"
	touch "$what/go"
	wait_for 10 test -s "$what/heard" || die "$what: it did not go on: $(cat "$what/stderr")"
done <<'END'
rights before anybody accepted.*descriptors in it
urgent before anybody accepted.*out-of-band byte in it
asked before anybody accepted.*credentials of a process that is not dumped
named client has closed already: it had a name
later before anybody accepted.*when who listens had other options
END

begin unasked
"$CR_DUMP" -t "$PID" -D img >out 2>&1 || die "cannot dump what a child has sent: $(cat out)"
wait_gone "$PID" || die "not gone"
"$CR_RESTORE" -D img -d >out 2>&1 </dev/null || die "cannot restore what a child has sent: $(cat out)"
touch unasked/go
wait_for 10 test -e unasked/heard || die "nothing was heard: $(cat unasked/stderr)"
[ "$(cat unasked/heard)" = "from a child" ] || die "heard: $(cat unasked/heard)"
