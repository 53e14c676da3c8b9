#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Images as CRIU 4.2 writes them where cr-dump writes something else: made of our own, and restored. live/peer has the real ones.
# timeout: 200
. "$TOP/test/lib/common.sh"
need ip python3
own_net
ip link set lo up || die "cannot bring the loopback device up"

# edit IMAGE CODE: CODE sees the entries of the image as `entries`, and counts what it changes in `changed`.
edit() {
	"$CR_IMAGE" decode -i "img/$1" -o image.json || die "cannot decode $1"
	python3 - "$2" <<-'END' || die "nothing is changed in $1"
		import json, sys
		image = json.load(open('image.json'))
		seen = {'entries': image['entries'], 'changed': 0}
		exec(sys.argv[1], seen)
		json.dump(image, open('image.json', 'w'))
		sys.exit(not seen['changed'])
	END
	"$CR_IMAGE" encode -i image.json -o "img/$1" || die "cannot encode $1"
}
# PROGRAM IMAGE CODE: dumped, changed, restored, asked.
run() {
	rm -rf work img
	start work "$BIN/test/progs/$1"
	wait_for 20 test -e work/ready || die "$1: not ready"
	mkdir img
	dump img "$PID" --tcp-established
	wait_gone "$PID" 30 || die "$1: pid $PID is still there"
	rm img/cr-manifest.json
	edit "$2" "$3"
	"$CR_IMAGE" check img >check.out 2>&1 || die "$1: $(cat check.out)"
	MAY_WARN=1 restore img --tcp-established
	touch work/go
	wait_for 60 test -s work/verdict || die "$1: no verdict"
	grep -q '^pass' work/verdict || die "$1: $(cat work/verdict)"
	kill -9 "$PID" 2>/dev/null
	wait_gone "$PID" 30
}
# A zombie's thread has any number.
run tree_shape pstree.img '
for e in entries:
    if e["threads"] == [0]:
        e["threads"] = [3000000000]
        changed += 1'
# A socket whose connection has ended is closed and has its addresses still.
run tcp_ended files.img '
for e in entries:
    i = e.get("isk")
    if i and "ended" in i and "error" not in i:
        end = i.pop("ended")
        i["src_port"], i["src_addr"], i["dst_port"], i["dst_addr"] = end["port"], end["addr"], 1, end["addr"]
        changed += 1'
# Netlink sockets have the state that the kernel tells.
run sock_options files.img '
for e in entries:
    if "nlsk" in e and e["nlsk"]["state"] == 7:
        e["nlsk"]["state"] = 0
        changed += 1'
