#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that are not what they were: one that grew, one that is gone, and a program of another build; with the size alone, and with the
# build-id, by which a restore tells. All is said before anything is made.
# timeout: 120
. "$TOP/test/lib/common.sh"
# One that writes nothing, not even now and then: a checkpoint is restored twice here.
cp "$(command -v sleep)" prog
readelf -n prog 2>/dev/null | grep -q 'Build ID' || skip "programs have no build-id here"
echo content >data
# shellcheck disable=SC2016
start t bash -c 'exec 5<"$1"; exec "$2" 100000' bash "$W/data" "$W/prog"
pid=$PID
sleeps() { grep -qx prog "/proc/$pid/comm" && grep -q nanosleep "/proc/$pid/wchan"; }
wait_for 30 sleeps || die "it does not sleep: $(cat t/stderr)"
dump img "$pid"
wait_gone "$pid" || die "still there"
cp data data.old
cp prog prog.old

echo more >>data
refused "1|3" "$W/data.*size is 13, was 8" "$CR_RESTORE" -D img -d
refused "1|3" "$W/data.*size is 13, was 8" "$CR_RESTORE" -D img -d --file-validation filesize
mv data away
refused "1|3" "$W/data.*does not exist" "$CR_RESTORE" -D img -d
mv away data
truncate -s 8 data

# The same size, and other bytes where the build-id is.
id=$(readelf -n prog | sed -n 's/.*Build ID: //p')
perl -0777 -pe 'BEGIN { $id = pack "H*", shift } s/\Q$id\E/"\xff" x length $id/e' "$id" prog.old >prog.new || die "cannot change the build-id"
cmp -s prog.old prog.new && die "the build-id is the same"
chmod --reference=prog.old prog.new
mv prog.new prog
refused "1|3" "$W/prog.*build-id differs" "$CR_RESTORE" -D img -d
restore img --file-validation filesize
one_of "$pid" S R || die "it is $(state_of "$pid")"
kill -9 "$pid"
wait_gone "$pid" || die "still there"
mv prog.old prog
restore img
kill -9 "$pid"
wait_gone "$pid" || die "still there"
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
