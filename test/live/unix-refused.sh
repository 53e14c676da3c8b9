#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What waits in unix sockets and could not be sent again is refused before the target is harmed; clients that stay behind are told of.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
cat >hold.py <<'END'
import array, os, select, signal, socket, sys, time
def new(name=None):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if name: s.bind(name)
    return s
def creds(s, on): s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, on)
what, keep = sys.argv[1], []
if what == 'mixed':
    a, b = socket.socketpair()
    for on, text in ((1, b'with'), (0, b'without')):
        creds(b, on)
        a.send(text)
    creds(b, 1)
    keep += [a, b]
elif what == 'stranger':
    inbox, named = new('inbox'), new('named')
    creds(inbox, 1)
    named.sendto(b'hello', 'inbox')
    keep += [inbox, named]
elif what == 'third':
    a, b, c = new('a'), new('b'), new('c')
    c.sendto(b'hello', 'a')
    a.connect('b'); b.connect('a')
    keep += [a, b, c]
elif what in ('epoll', 'owner'):
    a, b = socket.socketpair()
    if what == 'epoll': e = select.epoll(); fd = os.dup(e.fileno()); e.close()
    else:
        import fcntl
        fd, w = os.pipe(); keep.append(w)
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    socket.send_fds(a, [b'x'], [fd])
    os.close(fd)
    keep += [a, b]
elif what in ('halves', 'queued'):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM if what == 'halves' else socket.SOCK_DGRAM)
    if what == 'halves': a.setsockopt(socket.SOL_SOCKET, 37, 1 << 7) # SO_TIMESTAMPING, SOF_TIMESTAMPING_OPT_ID
    else: a.bind('one'); os.link('one', 'two')
    a.send(b'hello')
    keep += [a, b]
elif what == 'server':
    keep += [new('inbox')]
elif what == 'client':
    s = new(); s.connect('../server/inbox'); keep += [s]
open('ready', 'w').close()
n = 0
while True:
    n += 1
    with open('count.new', 'w') as f: f.write('%d\n' % n)
    os.rename('count.new', 'count')
    time.sleep(0.01)
END
begin() {
	start "$1" "$py" "$W/hold.py" "$1"
	wait_for 10 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
}
further() { [ "$(cat "$1/count")" -gt "$2" ]; }
goes_on() { local a; a=$(cat "$1/count"); wait_for 5 further "$1" "$a" || die "$1 does not go on: $(cat "$1/stderr")"; }
mkdir img
no() {
	begin "$1"
	refused 5 "$2" "$CR_DUMP" -t "$PID" -D img
	no_images img || die "a refused dump left images"
	goes_on "$1"
	kill "$PID"
}
no mixed 'without credentials \(SCM_CREDENTIALS\) behind one'
no stranger 'credentials in a datagram from a socket with a name that is not connected'
no third 'a datagram from another socket'
no epoll 'an epoll instance is nowhere but in a message'
no owner 'a signal owner is nowhere but in a message'

# A pair of which one end is refused by itself: a check has nothing to say of the other one.
for kind in halves queued; do
	re='hard links'
	[ $kind = queued ] || re=SOF_TIMESTAMPING_OPT_ID
	begin $kind
	"$CR_DUMP" --check -t "$PID" >out 2>&1
	[ $? = 1 ] || die "$kind: a check finds nothing: $(cat out)"
	grep -q "fd 3: .*$re" out && [ "$(wc -l <out)" = 1 ] || die "$kind: a check says: $(cat out)"
	kill "$PID"
done

begin server
server=$PID
begin client
client=$PID
"$CR_DUMP" -t "$server" -D img >out 2>&1 || die "server: $(cat out)"
grep -qE "1 unix datagram socket outside.*pid $client .*must connect again" out || die "no word of the client: $(cat out)"
kill "$client"
