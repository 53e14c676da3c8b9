#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Messages of POSIX message queues are taken and sent again while the tree stands still. They are all there after a dump that leaves
# the program running, after one that fails, and after one that is killed in the middle of it, even while all messages are taken;
# and who kills the process that has them loses none either.
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/taken.sh"
start work "$BIN/test/progs/ipc_mqueue"
wait_for 20 test -e work/ready || die "not ready: $(cat work/verdict work/stderr)"
grep -q '^skip' work/verdict 2>/dev/null && skip "$(cat work/verdict)"
mkdir img
read -ra tree <"/proc/$PID/task/$PID/children"
[ ${#tree[@]} = 2 ] || die "the target has ${#tree[@]} children"
# Nobody but the tree and this script.
alone() {
	local all pid comm
	all=$(ns_procs)
	others=
	while read -r pid comm; do
		case " $PID ${tree[*]} " in *" $pid "*) ;; *) others+="$pid $comm" ;; esac
	done <<<"$all"
	[ -z "$others" ]
}
# queued QUEUE: bytes of its messages. Mounted for the tree's namespace, by one who is in it for a moment.
queued() { nsenter -t "$PID" -i unshare -m sh -c 'mkdir -p mq && mount -t mqueue none mq && cat mq/'"$1" | sed 's/QSIZE:\([0-9]*\).*/\1/'; }
bytes=$(queued ordered)
[ "$bytes" = 138 ] || die "the queue holds $bytes bytes"
for ((i = 0; i < 5; i++)); do
	CR_FAULT=mqueue:taking "$CR_DUMP" -t "$PID" -D img -R >log 2>&1 && die "the dump did not die"
	wait_for 5 is_free "$PID" || die "the target is not free after a killed dump"
	no_images img || die "images of a killed dump"
	wait_for 5 alone || die "somebody outlives the dumper: $others" # who has the messages does so for a moment
	[ "$(queued ordered)" = "$bytes" ] || die "the queue holds $(queued ordered) bytes after a killed dump"
done

# The process that stops when it has all messages of a queue is the dumper's child.
taker() { local c; c=$(cat "/proc/$dumper/task/$dumper/children" 2>/dev/null); echo "${c%% *}"; }
stopped_one() { TAKER=$(taker); [ -n "$TAKER" ] && one_of "$TAKER" T; }
begin_and_stop() {
	CR_FAULT=mqueue:taken=stop "$CR_DUMP" -t "$PID" -D img -R >log 2>&1 &
	dumper=$!
	wait_for 10 stopped_one || die "nobody stops with the messages: $(cat log)"
}
all_queued() { echo $(($(queued ordered) + $(queued other) + $(queued full))); }
all=$(all_queued)
begin_and_stop
kill -9 "$dumper"
wait "$dumper" 2>/dev/null
wait_for 5 is_free "$PID" || die "the target is not free after a killed dump"
[ "$(all_queued)" -lt "$all" ] || die "no message was taken: the kill proves nothing"
kill -CONT "$TAKER"
wait_for 5 alone || die "somebody outlives the dumper: $others"
[ "$(all_queued)" = "$all" ] || die "the queues hold $(all_queued) bytes after a kill while they were taken"

# The other one dies: the dumper goes on with its work, so it is the one who stops now.
begin_and_stop
kill -9 "$TAKER"
wait_for 10 one_of "$dumper" T || die "the dumper does not go on for the dead: $(cat log)"
go_on() { kill -CONT "$dumper" "$(taker)" 2>/dev/null; is_dead "$dumper"; }
wait_for 20 go_on || die "the dump does not end"
wait "$dumper" || die "cr-dump exits with $?: $(cat log)"
[ -s img/inventory.img ] || die "no checkpoint"
rm -rf img

still_proves
