#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A tree that does whatever can be done to memory, at random, while it is dumped again and again in all ways: checkpoints upon each
# other, tracked, compressed, in rounds, down a stream. Whichever of them it is restored from, as it is, flattened, deduplicated or
# packed, each page is what its task knows it to be. SEED=N repeats a campaign, ROUNDS=N makes a longer one, TASKS=N of so many.
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/campaign.sh"
SEED=$RANDOM TASKS=${TASKS:-2} ROUNDS=${ROUNDS:-12}
fast_dir img
echo "of wild_memory: $SEED"
start t "$BIN/test/live/wild_memory" "$SEED" "$TASKS" 300

count() { cat "$@" 2>/dev/null | wc -c; }
all_say() { [ "$(count t/"$1".*)" -ge "$TASKS" ]; }
wait_for 20 all_say ready || die "not ready: $(cat t/verdict.* t/stderr)"
read -ra MEMBERS <<<"$PID $(cat "/proc/$PID/task/$PID/children")"
# A child of a moment may be among them, and one of us may be waiting for it.
for ((i = ${#MEMBERS[@]} - 1; i > 0; i--)); do [ -e "t/ready.${MEMBERS[i]}" ] || unset "MEMBERS[i]"; done
MEMBERS=("${MEMBERS[@]}")
[ "${#MEMBERS[@]}" = "$TASKS" ] || die "not $TASKS members: ${MEMBERS[*]}"

# Each looks at all of its memory. $1 says what was done.
well() {
	local p
	rm -f t/verdict.*
	kill -USR1 "${MEMBERS[@]}" || die "$1: who is not there?"
	for p in "${MEMBERS[@]}"; do
		wait_for 20 test -s "t/verdict.$p" || die "$1: $p says nothing"
		grep -q ^pass "t/verdict.$p" || die "$1: $p: $(cat "t/verdict.$p")"
	done
}
end_all() {
	local p
	while ! nobody_there; do
		for p in $(ns_procs | cut -d' ' -f1); do kill -KILL "$p" 2>/dev/null; done
		sleep 0.02
	done
}
must() {
	local what=$1
	shift
	"$@" >out 2>&1 || die "$what: $(cat out)"
}
# Pages and what is true of them; whether the kernel has made neighbours one mapping says nothing. Nor do marks of tracking, of guards that may
# once have been there (gu), and of memory that is accounted for though nobody may write to it any more (ac).
maps() {
	local p
	for p in "${MEMBERS[@]}"; do
		echo "$p"
		awk '/^[0-9a-f]+-[0-9a-f]+ / { m = $1 " " $2 " " $3 " " $6 } /^VmFlags:/ { print m, $0 }' "/proc/$p/smaps" |
			sed -E 's/ (sd|um|uw|gu|ac)\b//g' | joined
	done
}
joined() {
	local range perms offset rest end='' next='' known='' start=''
	while read -r range perms offset rest; do
		if [ "${range%-*}" = "$end" ] && [ "$perms $rest" = "$known" ] && { [[ $rest != /* ]] || [ $((16#$offset)) = "$next" ]; }; then
			end=${range#*-}
		else
			[ -z "$known" ] || echo "$start-$end $known"
			start="${range%-*} $offset" end=${range#*-} known="$perms $rest"
		fi
		next=$((16#$offset + 16#$end - 16#${range%-*}))
	done
	echo "$start-$end $known"
}

# ---- dumps, while it goes on ----
well "at the beginning"
last='' whole=()
for ((r = 1; r <= ROUNDS; r++)); do
	options=(-R)
	[ -z "$last" ] || options+=(--prev-images-dir "../$last")
	case $((RANDOM % 7)) in
	0 | 1) options+=(--track-mem) ;;
	2) options+=(--compress) ;;
	3) options+=(--track=content) ;;
	4) options+=(--iterate=2) ;;
	5) options+=(--pre-dump) ;;
	esac
	mkdir "img/$r"
	must "dump $r ${options[*]}" "$CR_DUMP" -t "$PID" -D "img/$r" "${options[@]}"
	must "check of $r" "$CR_IMAGE" check "img/$r"
	[[ " ${options[*]} " == *" --pre-dump "* ]] || whole+=("$r")
	last=$r
	[ $((r % 4)) != 0 ] || well "after dump $r ${options[*]}"
done

# ---- the last one: it stands still, so that its mappings can be compared ----
kill -USR2 "${MEMBERS[@]}"
wait_for 20 all_say paused || die "they do not stand still"
maps >before
mkdir img/last
must "last dump" "$CR_DUMP" -t "$PID" -D img/last --prev-images-dir "../$last"
wait_gone "$PID"
must "check of the last" "$CR_IMAGE" check img/last
must "restore of the last" "$CR_RESTORE" -D img/last -d
maps >after
diff before after >differences || die "other mappings: $(head -n 40 differences)"
well "restored from the last"
kill -USR2 "${MEMBERS[@]}"
sleep 0.2
well "some time after the restore"
end_all

# ---- any of them, in any way, and from there down a stream ----
whole+=(last)
for way in plain flat dedup pack; do
	r=${whole[RANDOM % ${#whole[@]}]}
	case $way in
	plain) must "restore of $r" "$CR_RESTORE" -D "img/$r" -d ;;
	flat)
		must "flatten $r" "$CR_IMAGE" flatten "img/$r" -o img/flat
		must "check of $r made flat" "$CR_IMAGE" check img/flat
		must "restore of $r made flat" "$CR_RESTORE" -D img/flat -d ;;
	dedup)
		[ "$r" != 1 ] || r=last # the first has nothing below
		cp -a img copy
		must "dedup of $r" "$CR_IMAGE" dedup "copy/$r"
		must "check of $r and what it gave back" "$CR_IMAGE" check "copy/$r"
		must "restore of $r that gave back" "$CR_RESTORE" -D "copy/$r" -d
		rm -rf copy ;;
	pack)
		must "flatten $r" "$CR_IMAGE" flatten "img/$r" -o img/packed
		"$CR_IMAGE" pack img/packed 2>out >stream || die "pack $r: $(cat out)"
		must "restore of $r from a stream" "$CR_RESTORE" -D - -d <stream ;;
	esac
	well "restored from $r, $way"
	[ "$r" != last ] || kill -USR2 "${MEMBERS[@]}"
	sleep 0.2
	options=(--iterate=3 --compress=1)
	[ $((RANDOM % 2)) = 0 ] || options=(--cow-pages)
	"$CR_DUMP" -t "$PID" -D - -R "${options[@]}" 2>out >stream || die "dump down a stream, ${options[*]}: $(cat out)"
	well "after the dump down a stream"
	end_all
	must "restore from a stream, ${options[*]}" "$CR_RESTORE" -D - -d <stream
	well "restored from $r, $way, and then from a stream, ${options[*]}"
	end_all
done
