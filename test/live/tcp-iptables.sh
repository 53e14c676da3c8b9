#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --network-lock iptables holds connections all the same; a checkpoint whose dumper held them by rules of iptables comes back, and only
# those rules are gone then.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip ss iptables iptables-save iptables-restore ip6tables jq
[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare --net -- bash "$0" "$@"
ip link set lo up || die "cannot bring the loopback device up"
iptables -t filter -I INPUT -p tcp -m mark --mark 5 -j DROP 2>err || skip "iptables does not work here: $(head -1 err)"
peer=$BIN/test/live/tcp_peer
est=--tcp-established
fast_dir img

tables() { iptables-save -t filter; ip6tables-save -t filter; }
rules() { tables | grep -- "--mark 0xc114" | sort; }
beat() { cat talk/beat; }
grows() { [ "$(beat)" -gt "$1" ] || [ -e talk/verdict ]; }
goes_on() {
	local a
	a=$(beat)
	wait_for 30 grows "$a" || die "$1: the peer hears nothing more; the server is $(state_of "$SERVER")"
	[ ! -e talk/verdict ] || die "$1: $(cat talk/verdict)"
}
# What a dumper does that knows only iptables: two rules for each connection of the server.
hold() {
	local t=$1 port
	for port in $(ss -Htn state established "sport = :4100" | sed 's/.*:\([0-9]*\) *$/\1/'); do
		"$t" -t filter -I INPUT -p tcp -m mark ! --mark 0xC114 --source "$2" --sport "$port" --destination "$2" --dport 4100 -j DROP &&
			"$t" -t filter -I OUTPUT -p tcp -m mark ! --mark 0xC114 --source "$2" --sport 4100 --destination "$2" --dport "$port" -j DROP ||
			die "$t does not take a rule"
	done
}

# Dumped by a dumper that knows only iptables.
by_rules() {
	hold $t $where
	dump "$1" "$SERVER" $est --network-lock skip
	wait_gone "$SERVER" || die "the server is not gone"
	"$CR_IMAGE" decode -i "$1/inventory.img" | jq '.entries[0].network_lock_method = 0' >inventory.json || die "cannot change the inventory"
	rm "$1/cr-manifest.json"
	"$CR_IMAGE" encode -i inventory.json -o "$1/inventory.img" || die "cannot encode the inventory"
}

for where in 127.0.0.1 ::1; do
	t=iptables
	[ $where = ::1 ] && t=ip6tables
	rm -rf serve talk img/*
	start serve "$peer" serve $where 4100
	SERVER=$PID
	wait_for 30 test -e serve/ready || die "the server is not ready"
	start talk "$peer" talk $where 4100 4
	wait_for 30 test -e talk/ready || die "the peer is not ready"
	goes_on "at the beginning"

	dump img/1 "$SERVER" $est --network-lock iptables
	wait_gone "$SERVER" || die "the server is not gone"
	[ "$("$peer" tables)" -gt 0 ] || die "nothing locks"
	restore img/1 $est --network-lock iptables
	goes_on "restored"

	# Of the other dumper: the rules are there before ours would be, and the images say so.
	$t -t filter -I INPUT -p tcp -m mark ! --mark 0xC114 --source $where --sport 1 --destination $where --dport 4100 -j DROP
	other=$(rules)
	none=$("$peer" tables)
	hold $t $where
	[ "$(rules | wc -l)" = 9 ] || die "not two rules for each of four connections: $(rules)"
	dump img/2 "$SERVER" $est --network-lock skip
	wait_gone "$SERVER" || die "the server is not gone"
	"$CR_IMAGE" decode -i img/2/inventory.img | jq '.entries[0].network_lock_method = 0' >inventory.json || die "cannot change the inventory"
	rm img/2/cr-manifest.json
	"$CR_IMAGE" encode -i inventory.json -o img/2/inventory.img || die "cannot encode the inventory"

	# A restore that fails leaves them held; without the programs nothing is restored.
	refused 3 "rules of iptables, and ${t}-save cannot be run.*--network-lock skip" env PATH=/nowhere "$CR_RESTORE" -D img/2 -d $est
	[ "$(rules | wc -l)" = 9 ] || die "a failure changes rules: $(rules)"
	CR_FAULT=restore:before-detach=5 "$CR_RESTORE" -D img/2 -d $est >out 2>&1 && die "a failure is none"
	sleep 0.3
	[ ! -e talk/verdict ] || die "after failures: $(cat talk/verdict)"
	restore img/2 $est
	goes_on "restored from under rules of iptables"
	[ "$(rules)" = "$other" ] || die "rules are left, or others are gone: $(rules)"

	# Not to be locked: rules of another dumper go all the same.
	by_rules img/3
	restore img/3 $est --network-lock skip
	goes_on "restored with --network-lock skip from under rules of iptables"
	[ "$(rules)" = "$other" ] || die "--network-lock skip: rules are left, or others are gone: $(rules)"

	touch talk/go
	wait_for 30 test -e talk/verdict || die "no verdict; $(beat)"
	grep -q pass talk/verdict || die "$(cat talk/verdict)"
	# Connections that are not restored: nothing holds them any more.
	rm -rf talk
	start talk "$peer" talk $where 4100 2
	wait_for 30 test -e talk/ready || die "the peer is not ready"
	by_rules img/4
	kill "$PID"
	restore img/4 --tcp-close
	[ "$(rules)" = "$other" ] || die "--tcp-close: rules are left, or others are gone: $(rules)"
	[ "$("$peer" tables)" = "$none" ] || die "a table is left"
	$t -D INPUT -p tcp -m mark ! --mark 0xC114 --source $where --sport 1 --destination $where --dport 4100 -j DROP || die "cannot remove it"

	kill "$SERVER"
	wait_gone "$SERVER" || die "the server does not end"
done
iptables-save -t filter | grep -q -- '--mark 0x5' || die "a rule of somebody else is gone"
