#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What of connections that wait to be accepted cannot come back is refused by name, by a check, too, and they are still there; --skip-in-flight
# drops them all the same. A host that lacks something says so.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip
own_net
est=--tcp-established
"$CR_CHECK" --feature tcp_waiting >words 2>&1 || skip "$(cat words)"
ip link add d0 type veth peer name d1 2>/dev/null || skip "no veth network devices"
ip addr add 198.51.100.1/24 dev d0 && ip link set d0 up && ip link set d1 up || die "cannot configure the device"
cat >target.py <<'EOP'
import os, socket, struct, sys, time
T, S = socket.IPPROTO_TCP, socket.SOL_SOCKET
def say(name):
    open("." + name, "w").close(); os.rename("." + name, name)
what, n = sys.argv[1], 1
l = socket.socket(); here = "127.0.0.1"; l.bind((here, 0))
if what == "syn": l.setsockopt(T, 27, 1) # TCP_SAVE_SYN
if what == "fastopen": l.setsockopt(T, 23, 5) # TCP_FASTOPEN
l.listen(8)
c = socket.socket()
if what == "fastopen":
    open("/proc/sys/net/ipv4/tcp_fastopen", "w").write("519") # no cookies
    # Nobody acknowledges it: its answer is lost.
    os.system("nft 'add table ip lose; add chain ip lose o { type filter hook output priority 0; }; add rule ip lose o tcp flags & (syn|ack) == (syn|ack) drop'")
    try: c.setblocking(False); c.sendto(b"first", 0x20000000, l.getsockname()) # MSG_FASTOPEN
    except BlockingIOError: pass
else:
    if what == "options": c.setsockopt(0, 4, b"\x07\x07\x04\x00\x00\x00\x00\x00") # IP_OPTIONS: record route
    if what == "small": c.setsockopt(T, socket.TCP_MAXSEG, 400)
    c.connect(l.getsockname())
if what == "urgent": c.send(b"x", socket.MSG_OOB)
if what == "lowat": l.setsockopt(S, socket.SO_RCVLOWAT, 7)
if what == "keepidle": l.setsockopt(T, socket.TCP_KEEPIDLE, 77)
if what == "device": l.setsockopt(S, socket.SO_BINDTODEVICE, b"d0")
time.sleep(.05)
say("ready")
while not os.path.exists("go"): time.sleep(.01)
if what == "device": l.setsockopt(S, socket.SO_BINDTODEVICE, b"")
l.settimeout(10)
l.accept(); say("verdict")
time.sleep(1000)
EOP
cannot() {
	rm -rf held img
	mkdir img
	start held "$py" ../target.py "$1"
	wait_for 30 test -e held/ready || die "$1: not ready: $(cat held/stderr)"
	[ "$(ss -Htln | awk 'NR == 1 { print $2 }')" = 1 ] || { note "$1: nothing waits here: $(cat held/stderr)"; kill "$PID"; return; }
	refused 5 "connections that wait to be accepted: .*$2" "$CR_DUMP" -t "$PID" -D img $est
	no_images img || die "$1: a refused dump left images"
	"$CR_DUMP" --check -t "$PID" $est >words 2>&1 && die "$1: the check finds nothing"
	grep -qE "$2" words || die "$1: the check says $(cat words)"
	wait_for 5 is_free "$PID" || die "$1: the target is not free"
	touch held/go
	wait_for 30 test -e held/verdict || die "$1: it is not there any more: $(cat held/stderr)"
	kill "$PID"
	wait_gone "$PID" || die "it does not end"
}
cannot syn 'TCP_SAVE_SYN'
cannot options 'options of IP'
cannot small 'segments of (400|388) bytes'
cannot urgent 'urgent data'
cannot lowat 'another low-water mark .SO_RCVLOWAT'
cannot keepidle 'another TCP_KEEPIDLE'
cannot device 'another device .SO_BINDTODEVICE'
if command -v nft >/dev/null; then
	cannot fastopen 'TCP_FASTOPEN'
	nft delete table ip lose
fi

# What a host lacks.
rm -rf held img
start held "$py" ../target.py plain
wait_for 30 test -e held/ready || die "not ready: $(cat held/stderr)"
dump img "$PID" $est
wait_gone "$PID"
lacks() {
	local was
	was=$(cat "/proc/sys/net/$1")
	echo "$2" >"/proc/sys/net/$1"
	refused 1 "listening TCP socket .*$3" "$CR_RESTORE" -D img -d $est
	wait_for 2 is_gone "$PID" || die "$1: somebody was made"
	echo "$was" >"/proc/sys/net/$1"
}
lacks ipv4/tcp_timestamps 0 tcp_timestamps
lacks ipv4/tcp_sack 0 tcp_sack
lacks ipv4/tcp_window_scaling 0 tcp_window_scaling
lacks ipv4/tcp_fwmark_accept 1 tcp_fwmark_accept
ip link set lo down
refused 1 'loopback device' "$CR_RESTORE" -D img -d $est
wait_for 2 is_gone "$PID" || die "somebody was made"
ip link set lo up
restore img $est
touch held/go
wait_for 30 test -e held/verdict || die "it is not there any more: $(cat held/stderr)"
