#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Three hosts on one bridge, with delay and loss: a server moves from the first to the second with its address; a client on the
# third never notices.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip
[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare --net -- bash "$0" "$@"
peer=$BIN/test/live/tcp_peer
est=--tcp-established
fast_dir img
declare -A host
at() { local h=$1; shift; nsenter -t "${host[$h]}" -n -- "$@"; }

ip link set lo up
ip link add br0 type bridge && ip link set br0 up || skip "no bridge can be made"
for h in a b c; do
	unshare --net sleep 1000 </dev/null >/dev/null 2>&1 &
	host[$h]=$!
	disown "${host[$h]}"
	own=$(readlink /proc/self/ns/net)
	other() { [ "$(readlink "/proc/${host[$h]}/ns/net")" != "$own" ]; }
	wait_for 5 other || die "host $h has no network of its own"
	ip link add v$h type veth peer name eth0 netns "${host[$h]}" || skip "no veth can be made"
	at $h ip link set lo up
	ip link set v$h up
done
# The address moves with its link address, as a virtual machine's does: nobody needs to learn a new one.
for h in a b; do at $h ip link set eth0 address 02:00:00:00:00:05; done
at c ip addr add 10.77.0.9/24 dev eth0
for h in a b c; do at $h ip link set eth0 up; done
at a ip addr add 10.77.0.5/24 dev eth0
ip link set va master br0
ip link set vc master br0
# Where the kernel has no netem, the bridge loses the packets.
lossy() {
	nft 'add table bridge loss; add chain bridge loss c { type filter hook forward priority 0; }; add rule bridge loss c ip protocol tcp numgen random mod 1000 < 5 drop' 2>/dev/null
}
tc qdisc add dev vc root netem delay 1ms loss 0.5% 2>/dev/null || lossy || note "neither netem nor nft: without delay and loss"

start serve nsenter -t "${host[a]}" -n -- "$peer" serve 10.77.0.5 4100
SERVER=$PID
wait_for 5 test -e serve/ready || die "the server is not ready: $(cat serve/stderr)"
start talk nsenter -t "${host[c]}" -n -- "$peer" talk 10.77.0.5 4100 4
wait_for 10 test -e talk/ready || die "the client is not ready: $(cat talk/verdict)"
grows() { [ "$(cat talk/beat)" -gt "$1" ] || [ -e talk/verdict ]; }
goes_on() {
	local a
	a=$(cat talk/beat)
	wait_for 20 grows "$a" || die "$1: the client hears nothing more"
	[ ! -e talk/verdict ] || die "$1: $(cat talk/verdict)"
}
goes_on "at the beginning"

at a "$CR_DUMP" -t "$SERVER" -D img $est >out 2>&1 || die "cr-dump: $(cat out)"
wait_gone "$SERVER"
[ "$(at a "$peer" tables)" = 1 ] || die "no lock on the old host"
ip link set va nomaster
at b ip addr add 10.77.0.5/24 dev eth0
at b "$CR_RESTORE" -D img -d $est </dev/null >out 2>&1 || die "cr-restore: $(cat out)"
[ "$(at b "$peer" tables)" = 0 ] || die "a lock is left on the new host"
ip link set vb master br0
goes_on "on the new host"
touch talk/go
wait_for 30 test -e talk/verdict || die "no verdict: $(cat talk/beat)"
grep -q pass talk/verdict || die "$(cat talk/verdict)"
