#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Checkpoints made by others: they restore, and the process proves itself. CR_CORPUS=directory with one folder for each.
# timeout: 120
. "$TOP/test/lib/common.sh"
need jq
corpus=${CR_CORPUS:-$TOP/../shared/criu-images}
[ -d "$corpus" ] || skip "no corpus of checkpoints in $corpus"
out=/tmp/cr-fixture.out
tried=0 why=
for pair in "perl-counter:COUNT 300000" "python-threads:threads=4 epoll=1 eventfd=7 shm=shared memfd=memfd-data timer=1"; do
	name=${pair%%:*} want=${pair#*:}
	[ -d "$corpus/$name" ] || continue
	# The same files must be here; cr-restore checks more than size, but then it is our matter.
	differs=$("$CR_IMAGE" decode -i "$corpus/$name/files.img" | jq -r '.entries[].reg | select(. != null and .size != null) | "\(.size) \(.name)"' |
		while read -r size file; do [ "$(stat -c %s "$file" 2>/dev/null)" = "$size" ] || { echo "$file"; break; }; done)
	if [ -n "$differs" ]; then
		why="$differs differs from that of the checkpoint"
		continue
	fi
	pid=$("$CR_IMAGE" decode -i "$corpus/$name/pstree.img" | jq -r '.entries[0].pid')
	cp -r "$corpus/$name" "$name.img"
	rm -f "$out"
	MAY_WARN=1 restore "$name.img" # its host had more memory, hence other limits; its clocks may have been ahead
	sleep 0.3
	is_free "$pid" || die "$name: pid $pid is $(state_of "$pid")"
	# What came from there goes through our own images, too; the verdict comes last, because some end with it.
	cycle "$name.ours" "$pid"
	sleep 0.3
	kill -USR1 "$pid"
	wait_for 10 test -s "$out" || die "$name: no verdict; state $(state_of "$pid")"
	sleep 0.1
	said=$(cat "$out")
	rm -f "$out"
	case $name in
	perl-counter)
		# shellcheck disable=SC2086
		set -- $said
		[ "$1" -gt 100 ] && [ "${2:-}" = 300000 ] || die "$name says: $said" ;;
	*) [[ $said == *"$want"* ]] || die "$name says: $said; not $want" ;;
	esac
	kill -9 "$pid"
	wait_gone "$pid" || die "cannot be killed"
	tried=$((tried + 1))
done
[ "$tried" -gt 0 ] || skip "${why:-no known folder in $corpus}"
[ -z "$why" ] || echo "not tried: $why"
