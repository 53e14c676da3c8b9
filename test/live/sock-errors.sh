#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Errors that wait in sockets: a check, a snapshot, a dump that fails and one that may not look leave them where they are; what cannot be made
# again is refused by name; a restore on a host whose loopback device is down says so; images say nothing that no socket can have.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip jq setpriv ss
own_net
ip link add d0 type veth peer name d1 2>/dev/null || skip "no veth network devices"
ip addr add 198.51.100.1/24 dev d0 && ip link set d0 up && ip link set d1 up || die "cannot configure the device"
cat >target.py <<'EOP'
import errno, os, select, socket, struct, sys, time
T, here = socket.IPPROTO_TCP, "198.51.100.1"
def say(name, text):
    with open("." + name, "w") as f: f.write(text)
    os.rename("." + name, name)
def wait(s):
    p = select.poll(); p.register(s, 0)
    if not p.poll(30000): sys.exit("no error comes")
def reset(s): s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
def pair():
    l = socket.socket(); l.bind((here, 0)); l.listen()
    c = socket.socket(); c.connect(l.getsockname()); s, _ = l.accept(); l.close()
    return c, s
def refused_datagram(s):
    o = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); o.bind((here, 0)); s.connect(o.getsockname())
    return o
what, socks = sys.argv[1], []
if what == "good" or what == "tcp":
    c, s = pair(); s.send(b"hello")
    while c.recv(9, socket.MSG_PEEK) != b"hello": pass
    reset(s); wait(c); socks.append(c)
    o = socket.socket(); o.bind((here, 0)); c = socket.socket(); c.setblocking(False); c.connect_ex(o.getsockname()); wait(c); socks.append(c)
if what == "good" or what == "udp":
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); o = refused_datagram(c); o.close(); c.send(b"x"); wait(c); socks.append(c)
if what == "reports":
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.setsockopt(socket.IPPROTO_IP, 11, 1) # IP_RECVERR
    refused_datagram(c).close(); c.send(b"x"); wait(c); socks.append(c)
if what == "datagrams":
    c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); o = refused_datagram(c); c.send(b"x"); o.connect(c.getsockname()); o.send(b"y")
    select.select([c], [], []); o.close(); c.send(b"x"); wait(c); socks.append(c)
if what == "dissolved":
    c, s = pair(); import ctypes; ctypes.CDLL(None).connect(c.fileno(), struct.pack("HxxxxxxxxxxxxxxQ", 0, 0), 16); wait(c); socks.append(c)
if what == "peeked":
    c, s = pair(); s.send(b"hello")
    while c.recv(9, socket.MSG_PEEK) != b"hello": pass
    c.setsockopt(socket.SOL_SOCKET, 42, 5); reset(s); wait(c); socks.append(c) # SO_PEEK_OFF
if what == "netlink": # too much for its buffer
    c = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2); c.bind((0, 1)); c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    o = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)
    for i in range(100):
        try: o.sendto(struct.pack("IHHII", 16 + 2000, 77, 0, 0, 0) + bytes(2000), (0, 1))
        except ConnectionRefusedError: pass # nobody but the group
    wait(c); socks.append(c)
say("ready", "")
while not os.path.exists("go"): time.sleep(.01)
def tell(s):
    error = lambda: errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "0")
    return error() + " " + error()
say("verdict", ", ".join(tell(s) for s in socks))
time.sleep(1000)
EOP
begin() {
	rm -rf img held
	start held "$py" ../target.py "$1"
	wait_for 30 test -e held/ready || die "$1: not ready: $(cat held/stderr)"
}
proves() {
	touch held/go
	wait_for 30 test -e held/verdict || die "no verdict: $(cat held/stderr)"
	[ "$(cat held/verdict)" = "$1" ] || die "'$(cat held/verdict)', not '$1'"
	kill "$PID"
	wait_gone "$PID" || die "it does not end"
}

# However often it is looked at, and from a snapshot, too.
begin good
good='ECONNRESET 0, ECONNREFUSED 0, ECONNREFUSED 0'
"$CR_DUMP" --check -t "$PID" >words 2>&1 || die "the check finds: $(cat words)"
dump img "$PID" -R
dump img2 "$PID" -R
mkdir -p img3
CR_FAULT=dump:before-commit "$CR_DUMP" -t "$PID" -D img3 2>words
[ $? = 137 ] || die "cr-dump does not die: $(cat words)"
wait_for 5 is_free "$PID" || die "the target is not free"
refused 5 'an error that waits to be read, and this kernel or these privileges do not tell which .*CAP_BPF' \
	setpriv --bounding-set=-bpf,-perfmon,-sys_admin --no-new-privs "$CR_DUMP" -t "$PID" -D img3
no_images img3 || die "a refused dump left images"
wait_for 5 is_free "$PID" || die "the target is not free"
proves "$good"
rm held/go held/verdict
refused 3 'no permission: cap_net_raw' setpriv --bounding-set=-net_raw "$CR_RESTORE" -D img -d
refused 3 'no permission: cap_net_admin' setpriv --bounding-set=-net_admin "$CR_RESTORE" -D img -d
wait_for 2 is_gone "$PID" || die "somebody was made"
restore img
[ -z "$(ss -Htan)" ] || die "something is left: $(ss -Htan)"
proves "$good"

# What an image may not say.
"$CR_IMAGE" check img >words 2>&1 || die "the images are good, but: $(cat words)"
"$CR_IMAGE" decode -i img/files.img >files.json || die "files.img cannot be decoded"
bad() {
	rm -rf bad && cp -r img bad && rm -f bad/cr-manifest.json
	jq "(.. | objects | select(.ended.port // .error | . != null)) |= ($1)" files.json >bad.json && "$CR_IMAGE" encode -i bad.json -o bad/files.img ||
		die "$1: cannot be encoded"
	"$CR_IMAGE" check bad >words 2>&1 && die "$1: cr-image check finds nothing"
	grep -q 'INETSK' words || die "$1: cr-image check says $(cat words)"
	refused 4 "$2" "$CR_RESTORE" -D bad -d
	wait_for 2 is_gone "$PID" || die "$1: somebody was made"
}
bad '.error = 9999' 'an error that it cannot have: 9999'
bad '.error = 0' 'an error that it cannot have: 0'
bad 'if .ended then .ended.attempt = true | .ended.fin = true else . end' 'an error that it cannot have'

# The loopback device carries all of it.
for kind in tcp udp; do
	begin "$kind"
	dump img "$PID"
	wait_gone "$PID" || die "it is still there"
	ip link set lo down || die "cannot take the loopback device down"
	refused 1 'loopback device' "$CR_RESTORE" -D img -d
	wait_for 2 is_gone "$PID" || die "somebody was made"
	ip link set lo up
	restore img
	case $kind in tcp) proves 'ECONNRESET 0, ECONNREFUSED 0' ;; udp) proves 'ECONNREFUSED 0' ;; esac
done

# By name, and they are still there.
cannot() {
	begin "$1"
	mkdir -p img
	refused 5 "$2" "$CR_DUMP" -t "$PID" -D img
	"$CR_DUMP" --check -t "$PID" >words 2>&1 && die "$1: the check finds nothing"
	grep -qE "$2" words || die "$1: the check says $(cat words)"
	no_images img || die "a refused dump left images"
	proves "$3"
}
cannot reports 'MSG_ERRQUEUE' 'ECONNREFUSED 0'
cannot datagrams 'an error that waits to be read \(Connection refused\), and datagrams in its queue' 'ECONNREFUSED 0'
cannot dissolved 'TCP socket without a connection: an error that waits to be read \(Connection reset by peer\), and cannot be made again' 'ECONNRESET 0'
cannot peeked 'unread data and SO_PEEK_OFF' 'ECONNRESET 0'
cannot netlink 'an error that waits to be read' 'ENOBUFS 0'
