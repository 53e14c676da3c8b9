#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The campaign against cr-restore: killed at hundreds of random moments, it leaves either nothing at all or the whole process, and the
# checkpoint can be restored again.
# timeout: 280
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/campaign.sh"
watchdog_start
fast_dir img
dump img "$DOG"
wait_gone "$DOG" || die "still there"
cp -a dog dog.saved
back() { rm -f dog/verdict dog/go; cp dog.saved/beat beat.tmp; cat beat.tmp >dog/beat; }
end_dog() { kill -9 "$DOG"; wait_gone "$DOG" || die "cannot be killed"; back; }

came=0
after_run() {
	# What was being made dies with its maker; that may take a moment. What is whole stays.
	if [ "$2" = "exit 0" ] || dog_lives "$1"; then
		came=$((came + 1))
		dog_well "$1"
		end_dog
	fi
	wait_for 2 nobody_there || die "$1: somebody is left: $(ns_procs)"
}
campaign 200 5 "$CR_RESTORE" -D img -d
echo "$came left the whole process"
restore img
dog_well "the last restore"
dog_ends
