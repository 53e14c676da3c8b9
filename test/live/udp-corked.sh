#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Data that UDP sockets hold back: without the privileges to read it such a socket is refused, and a check says so; a dump that fails and a
# snapshot leave it where it is; images say nothing that no socket can hold.
. "$TOP/test/lib/common.sh"
need ip jq setpriv
own_net
start work "$BIN/test/progs/sock_udp_corked"
wait_for 20 test -e work/ready || die "not ready: $(cat work/stderr)"
less=(setpriv "--bounding-set=-bpf,-perfmon,-sys_admin" --no-new-privs)
mkdir img img2
refused 5 'data that was not sent yet' "${less[@]}" "$CR_DUMP" -t "$PID" -D img2
no_images img2 || die "a refused dump left images"
"${less[@]}" "$CR_DUMP" --check -t "$PID" >words 2>&1 && die "a check without privileges finds nothing"
grep -q 'data that was not sent yet' words || die "a check says: $(cat words)"
"$CR_DUMP" --check -t "$PID" >words 2>&1 || die "a check finds: $(cat words)"
"$CR_DUMP" -t "$PID" -D img2 --leave-running >out 2>&1 || die "a snapshot: $(cat out)"
"$CR_DUMP" -t "$PID" -D img >out 2>&1 || die "a dump: $(cat out)"
wait_for 5 is_gone "$PID" || die "the program is there"

# What an image may not say.
"$CR_IMAGE" decode -i img/files.img >files.json || die "files.img cannot be decoded"
bad() {
	rm -rf bad && cp -r img bad && rm -f bad/cr-manifest.json
	jq "([.. | objects | select(.corked)] | first | .id) as \$id | (.. | objects | select(.corked and .id == \$id)) |= ($1)" files.json >bad.json &&
		"$CR_IMAGE" encode -i bad.json -o bad/files.img || die "$1: cannot be encoded"
	refused 4 "$2" "$CR_RESTORE" -D bad -d
	wait_for 2 is_gone "$PID" || die "$1: somebody was made"
}
bad '.corked.data = ("A" * 65536 | @base64)' '65536 bytes that were not sent yet; at most 65527 are possible'
bad '.corked.v6 = true' 'an address that cannot be'
bad '.corked.from = "AAE="' 'an address that cannot be'
bad '.corked.to = "fwAAAQA=" | .corked.to_port = 1' 'an address that cannot be'
bad '.corked.to = "fwAAAQ==" | .corked.to_port = 65536' 'an address that cannot be'
bad '.corked.to = "fwAAAQ=="' 'an address that cannot be'
bad '.state = "CLOSE"' 'an address that cannot be'
bad '.corked.ttl = 256' 'a number out of range'
bad '.corked.tos = "0x100"' 'a number out of range'
bad '.corked.segment = 65536' 'a number out of range'
bad '.corked.ifindex = 2147483648' 'a number out of range'
bad '.error = 111' 'and an error'

"$CR_RESTORE" -D img -d >out 2>&1 || die "a restore: $(cat out)"
touch work/go
wait_for 20 test -e work/verdict || die "no verdict: $(cat work/stderr)"
grep -q pass work/verdict || die "$(cat work/verdict)"
