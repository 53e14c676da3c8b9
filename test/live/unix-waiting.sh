#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was sent on unix connections before anybody accepted them, and cannot be sent again, is refused by name; a sender who is gone and whom
# nobody asks for is not in the way.
# timeout: 120
. "$TOP/test/lib/common.sh"
need setpriv
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
cat >hold.py <<'END'
import os, socket, struct, sys, time
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
elif what == 'departed':
    c.close()
    p = os.fork()
    if not p:
        c = socket.socket(socket.AF_UNIX); c.connect('sock'); c.send(b'from %d' % os.getpid())
        os._exit(0)
    os.waitpid(p, 0)
elif what == 'later':
    c.send(b'x'); ask()
open('ready', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
s, _ = l.accept()
if what == 'departed':
    s, _ = l.accept()
    u = struct.unpack('3i', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if s.recv(99) != b'from %d' % u[0] or s.recv(99): sys.exit('it is not what the child said')
    s.close()
    c = socket.socket(socket.AF_UNIX); c.connect('sock'); c.send(b'from a child')
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

for what in unasked departed; do
	begin $what
	[ $what = unasked ] || refused 5 'client has closed already.*CAP_BPF' setpriv --bounding-set=-all,+sys_ptrace,+checkpoint_restore \
		"$CR_DUMP" -t "$PID" -D img
	"$CR_DUMP" -t "$PID" -D img >out 2>&1 || die "$what: cannot dump what a child has sent: $(cat out)"
	wait_gone "$PID" || die "$what: not gone"
	"$CR_RESTORE" -D img -d >out 2>&1 </dev/null || die "$what: cannot restore what a child has sent: $(cat out)"
	touch $what/go
	wait_for 10 test -e $what/heard || die "$what: nothing was heard: $(cat $what/stderr)"
	[ "$(cat $what/heard)" = "from a child" ] || die "$what: heard: $(cat $what/heard)"
	rm -r img
	mkdir img
done
