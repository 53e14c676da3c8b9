#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The campaign against cr-dump: killed at hundreds of random moments, it leaves a target that runs, is correct, and holds no trace of it;
# the directory holds a whole checkpoint or none. CAMPAIGN=N kills so often instead; SEED=N repeats a campaign.
# timeout: 280
. "$TOP/test/lib/common.sh"
count=${CAMPAIGN:-300}
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
kill_after=$BIN/test/live/kill_after
watchdog_start

fast_dir img
usual=0 times=()
for i in 1 2 3 4 5 6 7 8 9; do
	out=$("$kill_after" 0 "$CR_DUMP" -t "$DOG" -D img -R)
	[[ $out == "exit 0 after "* ]] || die "an undisturbed dump: $out"
	us=${out#exit 0 after }
	times+=("${us% us}")
	rm -rf img/*
done
usual=$(printf '%s\n' "${times[@]}" | sort -n | sed -n 5p)
echo "an undisturbed dump takes $usual us"

killed=0 whole=0
for ((i = 1; i <= count; i++)); do
	us=$((1 + (RANDOM * 32768 + RANDOM) % (usual * 11 / 10)))
	mode=-R
	out=$("$kill_after" "$us" "$CR_DUMP" -t "$DOG" -D img "$mode" 2>&1)
	case $out in
	killed) killed=$((killed + 1)) ;;
	"exit 0")
		# Quicker than it was: so are those to come, or the rest would prove nothing.
		[ "$us" -gt $((usual / 2)) ] || usual=$(((usual * 3 + us) / 4 + 100)) ;;
	*) die "run $i, $us us: $out" ;;
	esac
	dog_well "run $i, cr-dump killed after $us us ($out)"
	if [ -e img/inventory.img ]; then
		whole=$((whole + 1))
		[ $((whole % 10)) != 1 ] || check_images img
	else
		[ "$out" = killed ] || die "run $i: success without an inventory"
		for f in img/*; do
			[ ! -e "$f" ] || [ -s "$f" ] || [ "${f##*/}" = seccomp.img ] || die "run $i: a half-made ${f##*/}"
		done
	fi
	rm -rf img/*
	[ $((i % 50)) != 0 ] || [ -z "$(ls -A img)" ] || die "files are left: $(ls -A img)"
done
echo "$killed of $count were killed, $whole left a whole checkpoint"
[ "$killed" -gt $((count / 3)) ] || die "only $killed of $count dumps were killed in time: the campaign proves nothing"

# With the default, the target is gone only when its checkpoint is whole.
for ((i = 1; i <= count / 10; i++)); do
	us=$((usual / 2 + (RANDOM * 32768 + RANDOM) % usual))
	out=$("$kill_after" "$us" "$CR_DUMP" -t "$DOG" -D img 2>&1)
	if ! dog_lives "killing dump $i, after $us us"; then
		[ -e img/inventory.img ] || die "killing dump $i after $us us: the target is gone and there is no checkpoint ($out): $(dog_says) $(ls img)"
		wait_gone "$DOG" || die "a corpse"
		restore img
	fi
	dog_well "killing dump $i, cr-dump killed after $us us ($out)"
	rm -rf img/*
done
# After all that it can still be dumped and restored.
cycle img "$DOG"
dog_well "the last restore"
dog_ends
