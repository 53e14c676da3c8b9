#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a process outside of the tree holds, too, would be two after a restore: it is refused, by the name of its holder, before anything
# is touched. When that lets go of it, all is well.
# timeout: 120
. "$TOP/test/lib/common.sh"
own_net
lender=$BIN/test/live/lender

begin() { # WHAT
	rm -rf "$1" "$1"-img*
	start "$1" "$lender" "$1"
	LENDER=$PID
	wait_for 5 test -s "$1/pid" || die "$1: no child: $(cat "$1/stderr")"
	CHILD=$(cat "$1/pid")
}
finish() {
	touch "$1/go"
	wait_for 5 test -e "$1/verdict" || die "$1 is not what it was: $(cat "$1/stderr")"
	is_dead "$LENDER" && die "$1: its lender is gone"
	kill "$LENDER"
	wait_gone "$LENDER"
}

# Where others have many descriptors, the kernel is asked for all at once.
crowd() {
	# shellcheck disable=SC2016
	start crowd bash -c 'ulimit -n 4096; for ((i = 20; i < 2000; i++)); do eval "exec $i</dev/null"; done; touch ready; sleep 1000'
	CROWD=$PID
	wait_for 20 test -e crowd/ready || die "no crowd: $(cat crowd/stderr)"
}

while read -r what object hint; do
	[ "$what" != crowd ] || { crowd; continue; }
	opts=()
	[ "$what" != connected ] || opts=(--tcp-established)
	begin "$what"
	mkdir "$what-img"
	re="fd [0-9]*: .*$object.*: pid $LENDER \(lender\), which is not dumped, holds it, too; $hint"
	refused 5 "$re" "$CR_DUMP" -t "$CHILD" -D "$what-img" "${opts[@]}"
	no_images "$what-img" || die "$what: images of a refused dump"
	wait_for 5 is_free "$CHILD" || die "$what: a refused dump leaves the child $(state_of "$CHILD")"
	"$CR_DUMP" --check -t "$CHILD" "${opts[@]}" >out 2>&1
	[ $? = 1 ] || die "$what: a check that finds nothing: $(cat out)"
	grep -qE "$re" out || die "$what: the check says: $(cat out)"
	touch "$what/release"
	wait_for 5 test -e "$what/released" || die "$what: the lender does not let go"
	dump "$what-img" "$CHILD" "${opts[@]}"
	wait_gone "$CHILD" || die "$what: the child is still there"
	# The number of who made a pair, or listens, is his.
	MAY_WARN=$([ "$what" != pair ] && [ "$what" != unix ] || echo yes) restore "$what-img" "${opts[@]}"
	finish "$what"
done <<'END'
pipe pipe:\[ --external
pipe-read pipe:\[ --external
fifo /fifo dump
listen listening.TCP.socket.127.0.0.1:7321 dump
udp UDP.socket.127.0.0.1:7321 dump
connected TCP.connection.127.0.0.1 dump
unix listening.unix.socket.@mine dump
datagram unix.socket.@mine dump
pair unix.socket dump
crowd
pipe-read pipe:\[ --external
fifo /fifo dump
connected TCP.connection.127.0.0.1 dump
pair unix.socket dump
netlink netlink dump
END
kill "$CROWD"

# A path is no opening, and sockets that never had an address are as good as new.
for what in fifo-path fresh; do
	begin "$what"
	cycle "$what-img" "$CHILD"
	finish "$what"
done

# A pipe that is given back is the outsider's as it was.
begin pipe
id=$(stat -Lc %i "/proc/$CHILD/fd/3")
mnt=$(sed -n 's/^mnt_id:\t//p' "/proc/$CHILD/fdinfo/3")
dump pipe-img "$CHILD" --external "file[$(printf %x "$mnt"):$(printf %x "$id")]"
wait_gone "$CHILD"
exec {given}<>"/proc/$LENDER/fd/3"
restore pipe-img --inherit-fd "fd[$given]:pipe:[$id]"
exec {given}>&-
finish pipe

# A connection that is not to come back may be anybody's.
begin connected
dump connected-img "$CHILD" --tcp-close
wait_gone "$CHILD"
restore connected-img
kill -9 "$CHILD" "$LENDER"
