#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ended TCP connections where something is in the way: their address is gone, a packet filter drops what would end them anew, a tool dies
# in between. And one that ends while it is being dumped.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip jq nft
own_net
ip addr add 10.98.76.54/24 dev lo || die "cannot add an address"
cat >ended.py <<'EOF'
import os, socket, struct, sys, time
def state(s): return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]
def wait(what):
    for i in range(6000):
        if what(): return
        time.sleep(.005)
    sys.exit("it does not come")
def unread(s):
    try: return len(s.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError: return 0
what, c = sys.argv[1], socket.socket()
if what == "meanwhile": # the peer is another process, which ends later
    c.connect(("10.98.76.54", int(sys.argv[2])))
    c.shutdown(socket.SHUT_WR)
    wait(lambda: state(c) == 5 and unread(c) == 5)
else:
    l = socket.socket(); l.bind(("10.98.76.54", 0)); l.listen()
    c.connect(l.getsockname()); s, _ = l.accept(); l.close()
    if what == "unread": s.send(b"hello")
    s.shutdown(socket.SHUT_WR); wait(lambda: state(c) == 8); c.shutdown(socket.SHUT_WR)
    wait(lambda: state(c) == 7 and state(s) == 7 and unread(c) == (5 if what == "unread" else 0)); s.close()
def say(name, text):
    with open("." + name, "w") as f: f.write(text)
    os.rename("." + name, name)
say("ready", c.getsockname()[0] + ":%d" % c.getsockname()[1])
while not os.path.exists("go"): time.sleep(.01)
inline = c.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
name, got = c.getsockname()[0] + ":%d" % c.getsockname()[1], c.recv(100)
say("verdict", "%s %s %s %d %d" % (name, got.decode(), c.recv(100).decode(), inline, state(c)))
time.sleep(1000)
EOF
begin() {
	rm -rf img held
	start held "$py" ../ended.py "$@"
	wait_for 30 test -e held/ready || die "not ready: $(cat held/stderr)"
	NAME=$(cat held/ready)
}
checked() {
	"$CR_RESTORE" --check --json -D img >json 2>words
	[ ! -s words ] || die "it says: $(cat words)"
	jq --arg r "$1" '[.[] | select(.reason | test($r))] | length' json
}

begin unread
mkdir -p img
CR_FAULT=tcp:unread "$CR_DUMP" -t "$PID" -D img 2>words
[ $? = 137 ] || die "cr-dump with CR_FAULT=tcp:unread does not die: $(cat words)"
wait_for 5 is_free "$PID" || die "the target is not free"
rm -rf img
dump img "$PID"
wait_gone "$PID" || die "it is still there"
[ "$(checked .)" = 0 ] || die "nothing is wrong, but: $(cat json)"
ip addr del 10.98.76.54/24 dev lo
[ "$(checked 'not on this host, and 5 bytes wait')" = 1 ] || die "its address is gone: $(cat json)"
refused '1|3' 'TCP connection of 10.98.76.54:.*not on this host, and 5 bytes wait' "$CR_RESTORE" -D img -d
wait_for 2 is_gone "$PID" || die "somebody was made"
restore img --tcp-close
proves "dropped" "0.0.0.0:0   0 7"
ip addr add 10.98.76.54/24 dev lo
nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }; add rule inet deaf in meta l4proto tcp drop' || die "no rule can be made"
refused 1 'does not hear that its connection has ended' "$CR_RESTORE" -D img -d
wait_for 2 is_gone "$PID" || die "somebody was made"
nft delete table inet deaf
CR_FAULT=tcp:ended "$CR_RESTORE" -D img -d 2>words && die "nobody died"
wait_for 2 is_gone "$PID" || die "somebody was made"
restore img
proves "restored" "$NAME hello  0 7"
[ -z "$(ss -Htan 2>/dev/null | grep -v TIME-WAIT)" ] || die "something is left: $(ss -Htan)"

# Nothing unread: it comes back in any case, here without its name.
begin nothing
dump img "$PID"
wait_gone "$PID" || die "it is still there"
ip addr del 10.98.76.54/24 dev lo
restore img
proves "without its address" "0.0.0.0:0   0 7"
ip addr add 10.98.76.54/24 dev lo
restore img
proves "with its address" "$NAME   0 7"

# It is open when it is looked at first, and over when the network is to be locked.
start peer "$py" -c '
import os, socket, time
l = socket.socket(); l.bind(("10.98.76.54", 0)); l.listen()
with open(".ready", "w") as f: f.write(str(l.getsockname()[1]))
os.rename(".ready", "ready")
s, _ = l.accept(); s.send(b"hello")
time.sleep(1000)'
PEER=$PID
wait_for 30 test -e peer/ready || die "no peer: $(cat peer/stderr)"
begin meanwhile "$(cat peer/ready)"
cat >script <<EOF
#!/bin/bash
[ "\$CRTOOLS_SCRIPT_ACTION" = network-lock ] || exit 0
kill -9 $PEER
for ((i = 0; i < 1000; i++)); do
	grep -q '^State:	[^Z]' /proc/$PEER/status 2>/dev/null || exit 0
	sleep 0.01
done
exit 1
EOF
chmod +x script
dump img "$PID" --tcp-established --action-script "$PWD/script"
wait_gone "$PID" || die "it is still there"
"$CR_IMAGE" decode -i img/files.img | jq -e '[.. | objects | select(.ended.unread == 5)] | length == 1' >/dev/null || die "it has not ended: $("$CR_IMAGE" decode -i img/files.img)"
restore img
proves "ended meanwhile" "$NAME hello  0 7"
