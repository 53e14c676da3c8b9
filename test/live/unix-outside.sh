#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unix sockets whose other end is outside of the tree, and names that are taken: refused by name, or connected again when told to.
# timeout: 120
. "$TOP/test/lib/common.sh"
need setpriv
peer=$BIN/test/live/unixpeer
is_ready() { [ -e "$1/ready" ] || die "$1: $(cat "$1/stderr")"; }
begin() { # DIR WHAT NAME
	start "$1" "$peer" "$2" "$3"
	wait_for 5 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
}
counts() { local a; a=$(cat "$1/count"); wait_for 5 further "$1" "$a" || die "$1 does not go on: $(cat "$1/stderr")"; }
further() { [ "$(cat "$1/count")" -gt "$2" ]; }
inode_of() { stat -Lc %i "/proc/$1/fd/3"; }

for kind in dgram stream; do
	begin $kind-server $kind-server "$W/$kind.sock"
	server=$PID
	begin $kind $kind-client "$W/$kind.sock"
	client=$PID
	mkdir $kind-img
	refused 5 "fd 3.*not dumped.*pid $server \(unixpeer\)" "$CR_DUMP" -t "$client" -D $kind-img
	no_images $kind-img || die "a refused dump left images"
	counts $kind
	# Half a stream is nobody's wish by chance.
	if [ $kind = stream ]; then
		refused 5 '--external unix\[' "$CR_DUMP" -t "$client" -D $kind-img
		refused 5 'without this inode is for datagrams; --external unix\[' "$CR_DUMP" -t "$client" -D $kind-img --ext-unix-sk
		# The client's end has no name: of the server, none of these options helps, and that is said with all of them.
		for with in '' --ext-unix-sk "--external=unix[$(inode_of "$client")]"; do
			refused 5 "without a name\) is not dumped: pid $client \(unixpeer\) has it; --unix-close brings it back as if that had closed; .*dump a tree" \
				"$CR_DUMP" -t "$server" -D $kind-img ${with:+"$with"}
		done
		counts $kind
		peer_ino=$(inode_of "$client")
		allow=(--external "unix[$peer_ino]")
		sleep 0.01
	else
		refused 5 'ext-unix-sk' "$CR_DUMP" -t "$client" -D $kind-img
		allow=(--ext-unix-sk)
	fi
	# Data that is on its way at this moment cannot be sent again: another moment.
	for ((i = 0; i < 50; i++)); do
		"$CR_DUMP" -t "$client" -D $kind-img "${allow[@]}" >out 2>&1 && break
		grep -q 'with data that' out || die "$kind: $(cat out)"
	done
	wait_gone "$client" || die "$kind: not gone"
	[ $kind = stream ] && allow=(--ext-unix-sk)
	refused 5 'external' "$CR_RESTORE" -d -D $kind-img
	restore $kind-img "${allow[@]}"
	counts $kind
	kill "$client"
	wait_gone "$client"
	# Nobody there any more.
	kill "$server"
	wait_gone "$server"
	rm -f "$W/$kind.sock" $kind/client
	refused 1 "$W/$kind.sock, to connect to: does not exist" "$CR_RESTORE" -d -D $kind-img "${allow[@]}"
done

# Names: taken by a live socket, by another file, free again.
for name in "$W/path" "@${W##*/} abstract"; do
	begin first listener "$name"
	first=$PID
	dump first-img "$first"
	wait_gone "$first" || die "not gone"
	rm -rf first/ready "$W/path"
	begin second stream-server "$name"
	refused 1 "in use by pid $PID \(unixpeer\)" "$CR_RESTORE" -d -D first-img
	begin third stream-client "$name"
	third=$PID
	counts third
	kill "$third"
	kill "$PID" 2>/dev/null
	pid2=$(pgrep -f "stream-server $name" | head -1)
	kill "$pid2"
	wait_gone "$pid2"
	if [ "${name:0:1}" = / ]; then
		rm "$name"
		echo precious >"$name"
		refused 1 'is there, and is no socket' "$CR_RESTORE" -d -D first-img
		[ "$(cat "$name")" = precious ] || die "a file was harmed"
		rm "$name"
	fi
	restore first-img
	kill "$first"
	wait_gone "$first"
	rm -rf first first-img second third "$W/path"
done

# A pair made by somebody outside who lives on: his number is not to be had, so the peer shows another one.
start given "$peer" given x
maker=$PID
wait_for 5 test -s given/pid || die "no child with a pair: $(cat given/stderr)"
child=$(cat given/pid)
dump given-img "$child"
wait_for 5 is_dead "$child" || die "not gone"
"$CR_RESTORE" -d -D given-img </dev/null >out 2>&1 || die "restore: $(cat out)"
grep -q "was pid $maker, which cannot be had here (it is in use): they will see another number" out || die "not told: $(cat out)"
touch given/go
wait_for 5 test -e given/verdict || die "the pair is not what it was: $(cat given/stderr)"
is_dead "$maker" && die "the maker of the pair is gone"
kill "$maker"

# What cannot be seen.
begin early early "$W/early.sock"
mkdir early-img
refused 5 'sent data.*accepted.*CAP_BPF' setpriv --bounding-set=-all,+sys_ptrace,+checkpoint_restore "$CR_DUMP" -t "$PID" -D early-img
kill "$PID"
begin urgent urgent x
refused 5 'out-of-band' "$CR_DUMP" -t "$PID" -D early-img
kill "$PID"
no_images early-img || die "images are left"
