#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server is dumped, killed and restored while a peer outside of the checkpoint talks to it without a pause: no reset, no lost byte, no
# lock left behind; whatever happens to the tools in between.
# timeout: 240
. "$TOP/test/lib/common.sh"
need ip
[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare --net -- bash "$0" "$@"
ip link set lo up || die "cannot bring the loopback device up"
peer=$BIN/test/live/tcp_peer
est=--tcp-established
fast_dir img

tables() { "$peer" tables; }
no_tables() { [ "$(tables)" = 0 ]; }
locked() { [ "$(tables)" = 1 ] || die "$1: there are $(tables) tables"; }
beat() { cat talk/beat; }
# The conversation goes on.
grows() { [ "$(beat)" -gt "$1" ] || [ -e talk/verdict ]; }
goes_on() {
	local a
	wait_for 5 no_tables || die "$1: a lock is left"
	a=$(beat)
	wait_for "${2:-10}" grows "$a" || die "$1: the peer hears nothing more; the server is $(state_of "$SERVER")"
	[ ! -e talk/verdict ] || die "$1: $(cat talk/verdict)"
}
# address of the server, number of connections
begin() {
	rm -rf serve talk
	start serve "$peer" serve "$1" 4100
	SERVER=$PID
	wait_for 5 test -e serve/ready || die "the server is not ready"
	start talk "$peer" talk "$1" 4100 "$2"
	wait_for 5 test -e talk/ready || die "the peer is not ready: $(cat talk/verdict)"
	goes_on "at the beginning"
}
finish() {
	touch talk/go
	wait_for 20 test -e talk/verdict || die "no verdict; $(beat)"
	grep -q pass talk/verdict || die "$(cat talk/verdict)"
	kill "$SERVER"
	wait_gone "$SERVER" || die "the server does not end"
}

for where in 127.0.0.1 ::1; do
	begin $where 8
	rm -rf img/*
	refused 5 "TCP connection .*--tcp-established to keep it, or --tcp-close" "$CR_DUMP" -t "$SERVER" -D img
	goes_on "after a refused dump"
	for i in 1 2 3; do
		dump img/r$i "$SERVER" -R $est
		goes_on "dump -R"
	done
	for i in 1 2 3; do
		dump img/$i "$SERVER" $est
		wait_gone "$SERVER"
		locked "after the dump"
		refused 5 "TCP connection .*--tcp-established" "$CR_RESTORE" -D img/$i -d
		sleep 0.3
		locked "after a refused restore"
		restore img/$i $est
		goes_on "restored"
	done
	finish
done

# The tools die at the worst moments, or something fails there.
begin 127.0.0.1 20
for f in tcp:locked tcp:repair tcp:lock-kept; do
	for mode in -R ""; do
		rm -rf img/*
		# shellcheck disable=SC2086
		CR_FAULT=$f "$CR_DUMP" -t "$SERVER" -D img $est $mode >out 2>&1
		rc=$?
		[ "$rc" = 137 ] || [ "$mode" = -R ] || die "cr-dump with a death at $f exits with $rc: $(cat out)"
		wait_for 2 is_free "$SERVER" || die "death at $f: the server is not free"
		goes_on "death of cr-dump at $f"
	done
done
rm -rf img/*
dump img/kill "$SERVER" $est
wait_gone "$SERVER"
CR_FAULT=tcp:released "$CR_RESTORE" -D img/kill -d $est >out 2>&1
[ $? = 137 ] || die "cr-restore does not die at tcp:released: $(cat out)"
wait_gone "$SERVER" || die "a killed restore leaves the server"
sleep 0.1
locked "after a killed restore"
CR_FAULT=restore:before-detach=5 "$CR_RESTORE" -D img/kill -d $est >out 2>&1 && die "a failure is none"
locked "after a failed restore"
restore img/kill $est
goes_on "restored after failures"
# Killed right behind the kill of the server, or right behind its restore: the guard completes the work.
rm -rf img/*
CR_FAULT=tcp:killed "$CR_DUMP" -t "$SERVER" -D img $est >out 2>&1
[ $? = 137 ] || die "cr-dump does not die at tcp:killed: $(cat out)"
wait_gone "$SERVER" || die "the server is still there"
sleep 0.1
locked "after a dumper's death behind the kill"
CR_FAULT=tcp:restored "$CR_RESTORE" -D img -d $est >out 2>&1
[ $? = 137 ] || die "cr-restore does not die at tcp:restored: $(cat out)"
goes_on "cr-restore died when all was done"

# At random moments.
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
kill_after=$BIN/test/live/kill_after
for ((i = 0; i < ${CAMPAIGN:-60}; i++)); do
	rm -rf img/*
	us=$((1 + RANDOM % 12000))
	"$kill_after" $us "$CR_DUMP" -t "$SERVER" -D img -R $est >out 2>&1
	goes_on "cr-dump killed after $us us"
done
for ((i = 0; i < ${CAMPAIGN:-60} / 3; i++)); do
	rm -rf img/*
	us=$((1 + RANDOM % 20000))
	"$kill_after" $us "$CR_DUMP" -t "$SERVER" -D img $est >out 2>&1
	sleep 0.05
	if is_dead "$SERVER"; then
		wait_gone "$SERVER"
		us=$((1 + RANDOM % 12000))
		"$kill_after" $us "$CR_RESTORE" -D img -d $est >out 2>&1
		sleep 0.05
		is_dead "$SERVER" && { wait_gone "$SERVER"; restore img $est; }
	fi
	goes_on "killed after $us us"
done
finish

# Closed on purpose: the server lives, its peer hears the end.
begin 127.0.0.1 3
rm -rf img/*
dump img/c "$SERVER" --tcp-close
wait_gone "$SERVER"
wait_for 20 test -e talk/verdict || die "with --tcp-close the peer hears no end after $(beat): $(tables) tables, $(grep -v sl /proc/net/tcp)"
no_tables || die "--tcp-close locks"
restore img/c
wait_for 10 is_free "$SERVER" || die "the server does not live on: $(state_of "$SERVER")"
rm -rf talk
start talk "$peer" talk 127.0.0.1 4100 2
wait_for 30 test -e talk/ready || die "the restored server takes no connections: $(cat talk/verdict), it is $(state_of "$SERVER")"
goes_on "new connections after --tcp-close"
finish

# Closed only when it is restored, and restored without a lock of its own: the lock of the dump goes with either.
begin 127.0.0.1 3
rm -rf img/*
dump img/k "$SERVER" $est
wait_gone "$SERVER"
locked "after the dump"
CR_FAULT=restore:before-detach=5 "$CR_RESTORE" -D img/k -d --tcp-close >out 2>&1 && die "a failure is none"
locked "after a failed restore with --tcp-close"
kill "$PID" # the peer: it may wait for an answer for ever, as nobody tells it of the end
restore img/k --tcp-close
wait_for 5 no_tables || die "restored with --tcp-close: a lock is left"
wait_for 10 is_free "$SERVER" || die "the server does not live on: $(state_of "$SERVER")"
rm -rf talk
start talk "$peer" talk 127.0.0.1 4100 2
wait_for 30 test -e talk/ready || die "the restored server takes no connections: $(cat talk/verdict)"
rm -rf img/*
dump img/s "$SERVER" $est
wait_gone "$SERVER"
locked "after the dump"
CR_FAULT=restore:before-detach=5 "$CR_RESTORE" -D img/s -d $est --network-lock skip >out 2>&1 && die "a failure is none"
locked "after a failed restore with --network-lock skip"
restore img/s $est --network-lock skip
goes_on "restored with --network-lock skip"
rm -rf img/*
dump img/c "$SERVER" $est --network-lock skip
wait_gone "$SERVER"
no_tables || die "--network-lock skip locks"
restore img/c --tcp-close --network-lock skip
no_tables || die "a table that was not asked for"
kill "$SERVER"
wait_gone "$SERVER" || die "the server does not end"

# An address that is no longer here.
ip addr add 192.0.2.1/32 dev lo
begin 192.0.2.1 1
rm -rf img/*
dump img/a "$SERVER" $est
wait_gone "$SERVER"
ip addr del 192.0.2.1/32 dev lo
refused 1 "TCP connection 192.0.2.1:4100 -> .*the address of 192.0.2.1:4100 is not on this host" "$CR_RESTORE" -D img/a -d $est
ip addr add 192.0.2.1/32 dev lo
restore img/a $est
goes_on "the address is back"
finish
