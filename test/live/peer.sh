#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Where a CRIU is installed that works on this kernel (CRIU=another than that in the PATH): what it dumps is restored by cr-restore, and what
# cr-dump dumps is restored by it. Each program proves its state itself.
# timeout: 300
. "$TOP/test/lib/common.sh"
need ip nft
own_net
ip link set lo up || die "cannot bring the loopback device up"
criu=$(command -v "${CRIU:-criu}") || skip "there is no criu here"
"$criu" check >/dev/null 2>&1 || skip "this criu does not work on this kernel: $("$criu" check 2>&1 | head -1)"

# DUMPER RESTORER PROGRAM OPTION...
trip() {
	local dumper=$1 restorer=$2 name=$3 log
	shift 3
	rm -rf work img logs
	mkdir img logs
	start work "$BIN/test/progs/$name"
	wait_for 20 test -e work/ready || die "$name: not ready"
	case $dumper in
	ours) dump img "$PID" "$@" ;;
	theirs) "$criu" dump -t "$PID" -D img -W logs -o dump.log --network-lock nftables "$@" >logs/out 2>&1 ||
			die "$name: criu dump: $(grep -h Error logs/dump.log | tail -3)" ;;
	esac
	wait_gone "$PID" 30 || die "$name: pid $PID is still there"
	case $restorer in
	ours) MAY_WARN=1 restore img "$@" ;;
	theirs) "$criu" restore -D img -W logs -o restore.log -d "$@" >logs/out 2>&1 ||
			die "$name: criu restore: $(grep -h Error logs/restore.log | head -3)" ;;
	esac
	touch work/go
	wait_for 60 test -s work/verdict || die "$dumper to $restorer, $name: no verdict, the program is $(state_of "$PID")"
	grep -q '^pass' work/verdict || die "$dumper to $restorer, $name: $(cat work/verdict)"
	log=$(nft list tables | grep CRIU-) && die "$dumper to $restorer, $name: a network lock is left: $log"
	kill -9 "$PID" 2>/dev/null
	wait_gone "$PID" 30
}
for name in thread_registers thread_rseq mm_shared mm_shared_views file_regular file_epoll_tree file_socketpair tree_shape tree_signals \
	tcp_pair tcp_closing tcp_ended task_timers; do
	[ $name = file_epoll_tree ] || trip theirs ours $name --tcp-established
	case $name in
	tree_shape | mm_shared_views | file_epoll_tree | tcp_ended) ;; # it does not know all of that
	*) trip ours theirs $name --tcp-established ;;
	esac
done
