#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Groups of sockets that share an address: where somebody else has joined one whose members have datagrams waiting, nothing is restored and
# he gets none of them; without the order in the images, or the privileges to read it, they come back all the same; no order is refused.
. "$TOP/test/lib/common.sh"
need ip jq setpriv
own_net
mkdir img blind
begin() {
	start "$1" "$BIN/test/progs/sock_reuse"
	wait_for 20 test -e "$1/ready" || die "$1: not ready: $(cat "$1/stderr")"
}
begin unseen
unseen=$PID
setpriv "--bounding-set=-bpf,-perfmon,-sys_admin" --no-new-privs "$CR_DUMP" -t "$PID" -D blind >out 2>&1 ||
	die "a dump without privileges: $(cat out)"
wait_for 5 is_gone "$PID" || die "the program is there"
begin work
first=$PID
"$CR_DUMP" -t "$PID" -D img >out 2>&1 || die "a dump: $(cat out)"
wait_for 5 is_gone "$PID" || die "the program is there"
places() { "$CR_IMAGE" decode -i "$1/files.img" | jq -c '[.. | objects | .reuse_place? // empty] | unique'; }
[ "$(places img)" = "[0,1,2,3]" ] || die "places are $(places img)"
[ "$(places blind)" = "[]" ] || die "without privileges, places are $(places blind)"

begin other
refused 1 'nobody else has the address of a group.*Address already in use' "$CR_RESTORE" -D img -d
wait_for 2 is_gone "$first" || die "somebody was made"
touch other/go
wait_for 20 test -e other/verdict || die "the other one says nothing: $(cat other/stderr)"
grep -q pass other/verdict || die "the other one: $(cat other/verdict)"
wait_for 5 is_gone "$PID" || die "the other one is there"

comes_back() {
	"$CR_RESTORE" -D "$1" -d >out 2>&1 || die "$1: $(cat out)"
	kill -KILL "$2"
	wait_for 5 is_gone "$2" || die "$1: it does not end"
}
comes_back blind "$unseen"
"$CR_IMAGE" decode -i img/files.img >files.json || die "files.img cannot be decoded"
for place in 7 4294967295 '.id * 1000' '5000 - .id'; do
	rm -rf odd && cp -r img odd && rm -f odd/cr-manifest.json
	jq "(.. | objects | select(has(\"reuse_place\"))) |= (.reuse_place = ($place))" files.json >odd.json &&
		"$CR_IMAGE" encode -i odd.json -o odd/files.img || die "$place: cannot be encoded"
	comes_back odd "$first"
done
"$CR_RESTORE" -D img -d >out 2>&1 || die "a restore: $(cat out)"
touch work/go
wait_for 20 test -e work/verdict || die "no verdict: $(cat work/stderr)"
grep -q pass work/verdict || die "$(cat work/verdict)"
