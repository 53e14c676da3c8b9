#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The campaign against cr-restore: killed at hundreds of random moments, it leaves either nothing at all or the whole process, and the
# checkpoint can be restored again. CAMPAIGN=N kills so often instead; SEED=N repeats a campaign.
# timeout: 280
. "$TOP/test/lib/common.sh"
count=${CAMPAIGN:-200}
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
kill_after=$BIN/test/live/kill_after
watchdog_start
fast_dir img
dump img "$DOG"
wait_gone "$DOG" || die "still there"
cp -a dog dog.saved
back() { rm -f dog/verdict dog/go; cp dog.saved/beat beat.tmp; cat beat.tmp >dog/beat; }
end_dog() { kill -9 "$DOG"; wait_gone "$DOG" || die "cannot be killed"; back; }

usual=0 times=()
for i in 1 2 3 4 5; do
	out=$("$kill_after" 0 "$CR_RESTORE" -D img -d)
	[[ $out == "exit 0 after "* ]] || die "an undisturbed restore: $out"
	us=${out#exit 0 after }
	times+=("${us% us}")
	dog_well "an undisturbed restore"
	end_dog
done
usual=$(printf '%s\n' "${times[@]}" | sort -n | sed -n 3p)
echo "an undisturbed restore takes $usual us"
killed=0 came=0
for ((i = 1; i <= count; i++)); do
	us=$((1 + (RANDOM * 32768 + RANDOM) % (usual * 11 / 10)))
	out=$("$kill_after" "$us" "$CR_RESTORE" -D img -d 2>&1)
	case $out in
	killed) killed=$((killed + 1)) ;;
	"exit 0")
		# Quicker than it was: so are those to come, or the rest would prove nothing.
		[ "$us" -gt $((usual / 2)) ] || usual=$(((usual * 3 + us) / 4 + 100)) ;;
	*) die "run $i, $us us: $out" ;;
	esac
	# What was being made dies with its maker; that may take a moment. What is whole stays.
	if [ "$out" = killed ]; then
		sleep 0.03
		for ((t = 0; t < 50; t++)); do
			is_dead "$DOG" && break
			# The kernel lets go of a tracee just before it kills it: free is not yet alive.
			if is_free "$DOG"; then
				sleep 0.2
				break
			fi
			sleep 0.02
		done
	fi
	if [ "$out" = "exit 0" ] || ! is_dead "$DOG"; then
		came=$((came + 1))
		dog_well "run $i, cr-restore killed after $us us ($out)"
		end_dog
	fi
	wait_for 2 nobody_there || die "run $i, killed after $us us: somebody is left: $(ns_procs)"
done
echo "$killed of $count were killed, $came left the whole process"
[ "$killed" -gt $((count / 3)) ] || die "only $killed of $count restores were killed in time: the campaign proves nothing"
restore img
dog_well "the last restore"
dog_ends
