#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two processes that connect, send, read, shut down and close at random are dumped and restored again and again, whatever their connections
# are at, or looked at and left. Each byte arrives once; a refusal is of a kind that is allowed, and changes nothing.
# CONVERSATIONS=N[:SEED] does more, or another.
# timeout: 200
. "$TOP/test/lib/common.sh"
own_net
fast_dir img
many=${CONVERSATIONS:-2} first=1
case $many in *:*) first=${many#*:} many=${many%%:*} ;; esac
# What comes while the tree stands still. Resets of which the program has not heard yet come back, and what waits to be accepted.
allowed='its handshake is not complete|try again'
"$CR_CHECK" --feature tcp_waiting >words 2>&1 || allowed="$allowed|the program has not accepted yet"
declare -A refusals=()
done=0
say() { cat talk/verdict talk/stderr 2>/dev/null; }
for ((seed = first; seed < first + many; seed++)); do
	rm -rf talk
	RANDOM=$seed
	start talk "$BIN/test/live/converse" "$seed"
	wait_for 30 test -e talk/ready || die "not ready: $(say)"
	for ((round = 0; round < 16 || (done == 0 && round < 300); round++)); do
		sleep "0.0$((RANDOM % 90 + 10))"
		rm -rf img/*
		[ ! -e talk/verdict ] || die "seed $seed, round $round: $(say)"
		# Some are only looked at, or left as they are.
		case $((RANDOM % 6)) in
		0) how=(--check) ;;
		1) how=(-R) ;;
		*) how=() ;;
		esac
		if "$CR_DUMP" -t "$PID" -D img --tcp-established "${how[@]}" >out 2>&1; then
			[ ${#how[@]} = 0 ] || continue
			done=$((done + 1))
			wait_gone "$PID" 20 || die "it is still there"
			restore img --tcp-established
			continue
		fi
		# A check tells of all that it finds.
		[ -s out ] && ! grep -qvE "$allowed" out && { [ "${how[*]}" = --check ] || [ "$(wc -l <out)" = 1 ]; } ||
			die "seed $seed, round $round: $(cat out)"
		kind=$(grep -oE "$allowed" out | head -1)
		refusals[$kind]=$((${refusals[$kind]:-0} + 1))
		no_images img || die "a refused dump left images"
	done
	touch talk/go
	wait_for 120 test -e talk/verdict || die "seed $seed: no verdict: $(say)"
	grep -q '^pass' talk/verdict || die "seed $seed: $(say)"
	wait_gone "$PID" || die "it does not end"
	note "seed $seed: $(cat talk/verdict)"
done
for kind in "${!refusals[@]}"; do note "refused ${refusals[$kind]} times: $kind"; done
note "$done restores"
[ "$done" -gt 0 ] || die "not a single dump"
