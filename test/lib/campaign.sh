# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Killing a tool at random moments of the time that it usually takes. CAMPAIGN=N kills so often instead; SEED=N repeats a campaign.
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"

# campaign COUNT LOOKS COMMAND...: COUNT runs that are killed, after LOOKS that are not and tell how long one takes. After each of them
# the caller's after_run WHAT OUTCOME ("killed", "exit 0") judges and clears what is there. $killed says how many did not finish.
campaign() {
	local count=${CAMPAIGN:-$1} looks=$2 i us usual=0 out times=()
	shift 2
	for ((i = 1; i <= looks; i++)); do
		out=$("$BIN/test/live/kill_after" 0 "$@")
		[[ $out == "exit 0 after "* ]] || die "an undisturbed run: $out"
		us=${out#exit 0 after }
		times+=("${us% us}")
		after_run "an undisturbed run" "exit 0"
	done
	usual=$(printf '%s\n' "${times[@]}" | sort -n | sed -n "$(((looks + 1) / 2))p")
	echo "an undisturbed run takes $usual us"
	killed=0
	for ((i = 1; i <= count; i++)); do
		us=$((1 + (RANDOM * 32768 + RANDOM) % (usual * 11 / 10)))
		out=$("$BIN/test/live/kill_after" "$us" "$@" 2>&1)
		case $out in
		killed) killed=$((killed + 1)) ;;
		"exit 0")
			# Quicker than it was: so are those to come, or the rest would prove nothing.
			[ "$us" -gt $((usual / 2)) ] || usual=$(((usual * 3 + us) / 4 + 100)) ;;
		*) die "run $i, $us us: $out" ;;
		esac
		after_run "run $i, killed after $us us ($out)" "$out"
	done
	[ "$killed" -gt $((count / 4)) ] || die "only $killed of $count were killed in time: the campaign proves nothing"
	echo "$killed of $count were killed"
}
