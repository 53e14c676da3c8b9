#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-restore --check tells of addresses and network interfaces that this host does not have, and of ports that are taken.
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip jq
own_net
ip link add away type veth peer name near 2>/dev/null || skip "no veth network devices"
ip addr add 10.98.76.54/24 dev away && ip link set away up || die "cannot configure the device"
start held "$py" -c '
import socket, time
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("10.98.76.54", 4000))
l = socket.socket(); l.bind(("10.98.76.54", 4001)); l.listen()
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"away\0")
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.bind(("127.0.0.1", 4000))
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); n.bind((777, 0))
open("ready", "w").close()
time.sleep(1000)'
wait_for 30 test -e held/ready || die "not ready: $(cat held/stderr)"
HELD=$PID
dump img "$PID"
wait_gone "$PID" || die "it is still there"
check() {
	"$CR_RESTORE" --check --json -D img >json 2>words
	rc=$?
	[ ! -s words ] || die "it says: $(cat words)"
}
count() { jq --arg r "$1" '[.[] | select(.reason | test($r))] | length' json; }
check
[ "$rc" = 0 ] && [ "$(cat json)" = "[]" ] || die "nothing is wrong, but: $(cat json)"
ip link del away || die "cannot remove the device"
check
[ "$rc" = 1 ] || die "exit status $rc"
[ "$(count 'has the address 10.98.76.54, which is not on this host')" = 2 ] || die "two sockets have that address: $(cat json)"
[ "$(count 'bound to the network interface away, which is not on this host')" = 1 ] || die "one socket is bound to it: $(cat json)"
[ "$(jq length json)" = 3 ] || die "and nothing else is wrong: $(cat json)"
refused '1|3' 'not on this host' "$CR_RESTORE" -D img -d
is_gone "$PID" || die "somebody was made"
ip link add away type veth peer name near && ip addr add 10.98.76.54/24 dev away && ip link set away up || die "cannot configure the device again"
# Ports that somebody else has.
start taken "$py" -c '
import socket, time
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("10.98.76.54", 4000))
l = socket.socket(); l.bind(("0.0.0.0", 4001)); l.listen()
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); n.bind((777, 0))
open("ready", "w").close()
time.sleep(1000)'
wait_for 30 test -e taken/ready || die "not ready: $(cat taken/stderr)"
check
[ "$rc" = 1 ] || die "exit status $rc"
[ "$(count 'address 10.98.76.54:4000 of UDP, which is in use on this host')" = 1 ] || die "the UDP port is taken: $(cat json)"
[ "$(count 'address 10.98.76.54:4001 of TCP, which is in use on this host')" = 1 ] || die "the TCP port is taken: $(cat json)"
[ "$(count 'port id 777 of protocol 0, which is in use on this host')" = 1 ] || die "the netlink port is taken: $(cat json)"
[ "$(jq length json)" = 3 ] || die "and nothing else is wrong: $(cat json)"
refused '1|3' 'in use on this host' "$CR_RESTORE" -D img -d
kill "$PID"
wait_gone "$PID" || die "who takes the ports does not end"
PID=$HELD
check
[ "$rc" = 0 ] && [ "$(cat json)" = "[]" ] || die "nothing is wrong any more, but: $(cat json)"
restore img
wait_for 5 is_free "$PID" || die "it is not restored"
kill "$PID"
