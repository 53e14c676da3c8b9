#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The campaign of kill-dump against increments: cr-dump is killed at random moments of pre-dumps, of increments, and of the rounds of --iterate,
# into a directory and into a pipe. The target runs, is correct, and no memory of it stays registered; a directory holds a whole checkpoint or
# none; older ones are as they were. CAMPAIGN=N kills so often; SEED=N repeats a campaign.
# timeout: 280
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
count=${CAMPAIGN:-40}
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
kill_after=$BIN/test/live/kill_after
watchdog_start
fast_dir img
unregistered() { ! grep -qE '^VmFlags:.* (um|uw)' "/proc/$DOG/smaps"; }
# One that is wanted may be forked already when cr-dump dies, and not bear its name yet.
end_trackers() {
	local t
	for t in $(trackers); do kill -KILL "$t"; done
	no_tracker
}
freed() {
	local t
	if [ "$way" = tracked ]; then
		for t in $(trackers); do kill -KILL "$t"; done
	fi
	unregistered
}
dump img/base "$DOG" -R
sums=$(cd img/base && sha256sum ./*)

declare -A ways=(
	[pre-dump]='-D img/new --pre-dump'
	[tracked]='-D img/new --pre-dump --track-mem --prev-images-dir ../base'
	[increment]='-D img/new -R --prev-images-dir ../base'
	[iterate]='-D img/new -R --iterate=3 --prev-images-dir ../base'
	[stream]='-D - -R --iterate=3'
)
for way in "${!ways[@]}"; do
	read -ra options <<<"${ways[$way]}"
	usual=
	for i in 1 2 3 4 5; do
		mkdir img/new
		out=$("$kill_after" 0 sh -c 'exec "$0" "$@" >/dev/null 2>said' "$CR_DUMP" -t "$DOG" "${options[@]}")
		[[ $out == "exit 0 after "* ]] || die "an undisturbed dump, $way: $out: $(cat said)"
		us=${out#exit 0 after } us=${us% us}
		[ -n "$usual" ] && [ "$us" -ge "$usual" ] || usual=$us
		rm -rf img/new
		wait_for 30 end_trackers || die "it does not go: $(trackers)"
		wait_for 30 freed || die "$way: memory stays registered"
	done
	# A tracker that stays is what was asked for.
	killed=0
	for ((i = 1; i <= count; i++)); do
		us=$((1 + (RANDOM * 32768 + RANDOM) % usual))
		mkdir img/new
		out=$("$kill_after" "$us" sh -c 'exec "$0" "$@" >/dev/null 2>said' "$CR_DUMP" -t "$DOG" "${options[@]}")
		case $out in
		killed) killed=$((killed + 1)) ;;
		"exit 0") [ "$us" -gt $((usual / 2)) ] || usual=$(((usual * 3 + us) / 4 + 100)) ;; # quicker than it was: so are those to come
		*) die "$way, $us us: $out: $(cat said)" ;;
		esac
		if ! no_tracker; then
			[ "$way" = tracked ] || die "$way, $us us: a tracker: $(trackers)"
			wait_for 30 end_trackers || die "it does not go: $(trackers)"
		fi
		dog_well "$way, cr-dump killed after $us us ($out)"
		wait_for 30 freed || die "$way, $us us: memory stays registered: $(grep -E '^VmFlags:.* (um|uw)' "/proc/$DOG/smaps" | head -n 3)"
		if [ -e img/new/inventory.img ]; then
			"$CR_IMAGE" check img/new >check 2>&1 || die "$way, $us us: $(cat check)"
		fi
		for f in img/new/iterate-*; do
			[ ! -e "$f/inventory.img" ] || "$CR_IMAGE" check "$f" >check 2>&1 || die "$way, $us us: $f: $(cat check)"
		done
		rm -rf img/new
	done
	echo "$way: an undisturbed dump takes $usual us; $killed of $count were killed"
	[ "$killed" -gt $((count / 4)) ] || die "$way: only $killed of $count were killed in time: the campaign proves nothing"
done
[ "$(cd img/base && sha256sum ./*)" = "$sums" ] || die "the parent has changed"
# After all that an increment can still be made and restored.
mkdir img/new
"$CR_DUMP" -t "$DOG" -D img/new --iterate --prev-images-dir ../base >out 2>&1 || die "iterate: $(cat out)"
wait_gone "$DOG" || die "still there"
restore img/new
dog_well "the last restore"
dog_ends
