#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The network lock of a checkpoint is taken away when it is restored, also under the names that other dumpers give it: some have
# the whole name of the run (that of CRIU 4.2 is cut, as ours is), those before CRIU 4.0 the pid of the root and say nothing of a run.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip nft
own_net
ip link set lo up || die "cannot bring the loopback device up"
nft add table inet probe 2>/dev/null || skip "no nftables here"
nft delete table inet probe
tables() { nft list tables | sed -n 's/^table inet //p'; }
rename() {
	nft list table inet "$1" | sed "s/$1/$2/" >table.nft && nft delete table inet "$1" && nft -f table.nft || die "cannot rename the table $1"
}
# KIND: what the table is called
run() {
	local old short
	rm -rf work img
	start work "$BIN/test/progs/tcp_pair"
	wait_for 20 test -e work/ready || die "$1: not ready"
	mkdir img
	dump img "$PID" --tcp-established
	old=$(tables)
	[[ $old == CRIU-????????-* ]] || die "$1: the lock is not there: $old"
	case $1 in
	whole) short=CRIU-$("$CR_IMAGE" decode -i img/inventory.img | sed -n 's/.*"dump_criu_run_id": *"\([^"]*\)".*/\1/p')
		[ "${short:0:26}" = "$old" ] || die "the table is called $old in the run $short" ;;
	pid) short=CRIU-$PID
		rm -f img/cr-manifest.json
		"$CR_IMAGE" decode -i img/inventory.img | sed -E 's/, *"dump_criu_run_id": *"[^"]*"//' >inventory.json
		! grep -q dump_criu_run_id inventory.json || die "the run has a name still"
		"$CR_IMAGE" encode -i inventory.json -o img/inventory.img || die "cannot write inventory.img" ;;
	esac
	rename "$old" "$short"
	[ "$(tables)" = "$short" ] || die "$1: tables: $(tables)"
	restore img --tcp-established
	[ -z "$(tables)" ] || die "$1: the lock $(tables) is still there"
	touch work/go
	wait_for 30 test -s work/verdict || die "$1: no verdict"
	grep -q '^pass' work/verdict || die "$1: $(cat work/verdict)"
}
run whole
run pid
