#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Somebody connects to a server that stands still, when its sockets were looked at already: the dump that would end the server and cut him off is
# refused, and he is served; a copy does not harm him.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip
own_net
cat >server.py <<'END'
import select, socket, sys
memory = bytes(range(1, 255)) * 120000 # 30 MB, which a pipe does not hold
t = socket.create_server(('127.0.0.1', 4600))
u = socket.socket(socket.AF_UNIX)
u.bind('sock')
u.listen(5)
open('ready', 'w').close()
while True:
    for l in select.select([t, u], [], [])[0]:
        c = l.accept()[0]
        c.sendall(b'hello ' + c.recv(100))
        c.close()
END
cat >client.py <<'END'
import socket, sys
s = socket.create_connection(('127.0.0.1', 4600)) if sys.argv[1] == 'tcp' else socket.socket(socket.AF_UNIX)
if sys.argv[1] == 'unix': s.connect('t/sock')
s.settimeout(30)
open('connected', 'w').close()
try:
    s.sendall(b'there')
    open('heard', 'wb').write(s.recv(100))
except OSError as e:
    open('heard', 'w').write(str(e))
END
start t "$py" "$W/server.py"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
# late HOW OPTION...: connects when the dump has come to the pages.
late() {
	local how=$1
	shift
	rm -f connected heard
	"$CR_DUMP" -t "$PID" -D - "$@" 2>err | {
		head -c 100000 >s.tar
		"$py" client.py "$how" >client.out 2>&1 &
		wait_for 10 test -e connected || die "no connection: $(cat client.out)"
		cat >>s.tar
	}
}
served() {
	wait_for 20 test -s heard || die "$1: the client hears nothing"
	[ "$(cat heard)" = 'hello there' ] || die "$1: the client hears: $(cat heard)"
}
for how in tcp unix; do
	late "$how" && die "$how: the dump cuts off who has connected"
	grep -qE 'a connection came while the program stood still.*try again' err && [ "$(wc -l <err)" = 1 ] || die "$how: $(cat err)"
	[ "$how" = unix ] || grep -q -- '--skip-in-flight' err || die "$how: $(cat err)"
	wait_for 10 is_free "$PID" || die "$how: the server is not free"
	served "$how"
	refused 4 'cut short|end record' sh -c '"$0" -D - -d <s.tar' "$CR_RESTORE"
	late "$how" -R || die "$how: a copy: $(cat err)"
	served "$how, a copy"
done
# Who says so drops him.
late tcp --skip-in-flight || die "--skip-in-flight: $(cat err)"
wait_gone "$PID" || die "it does not go"
wait_for 20 test -s heard || die "--skip-in-flight: the client hears nothing"
"$CR_RESTORE" -D - -d <s.tar >out 2>&1 || die "cr-restore: $(cat out)"
rm -f heard
"$py" client.py tcp >client.out 2>&1
served "restored"
