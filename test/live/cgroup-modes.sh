#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --manage-cgroups when the group of a process is gone: made again with a warning, missed by name, or left alone.
. "$TOP/test/lib/common.sh"

top=
for t in /sys/fs/cgroup/pids /sys/fs/cgroup/freezer /sys/fs/cgroup/unified /sys/fs/cgroup; do
	mkdir "$t/cr-modes-$$" 2>/dev/null && top=$t && break
done
[ "$top" ] || skip "no cgroup can be made here"
group=$top/cr-modes-$$
tidy() {
	# Who is left there goes home first.
	while read -r pid; do echo "$pid" >"$top/cgroup.procs"; done <"$group/cgroup.procs"
	rmdir "$group"
} 2>/dev/null
trap tidy EXIT

start a sleep 100
echo "$PID" >"$group/cgroup.procs" || skip "nobody can be moved there"
dump img "$PID"
wait_gone "$PID" || die "still there"
rmdir "$group" || die "somebody is left in the group"

"$CR_RESTORE" -D img -d --manage-cgroups=none 2>err && die "none made a group"
grep -q "cr-modes-$$" err || die "the missing group is not named: $(cat err)"
[ ! -e "$group" ] || die "none made the group"

"$CR_RESTORE" -D img -d --manage-cgroups=ignore 2>err || die "ignore: $(cat err)"
[ ! -e "$group" ] || die "ignore made the group"
! grep -q "cr-modes-$$" "/proc/$PID/cgroup" || die "ignore moved it"
kill "$PID"
wait_gone "$PID" || die "does not end"

"$CR_RESTORE" -D img -d 2>err || die "soft: $(cat err)"
grep -q "cr-modes-$$.*default settings" err || die "no warning about lost settings: $(cat err)"
grep -q "cr-modes-$$" "/proc/$PID/cgroup" || die "it is in another group"
kill "$PID"
wait_gone "$PID" || die "does not end"

# The group is there now, and what is set in it stays.
"$CR_RESTORE" -D img -d 2>err || die "again: $(cat err)"
! grep -q "default settings" err || die "a warning about a group that was there"
grep -q "cr-modes-$$" "/proc/$PID/cgroup" || die "it is in another group"
kill "$PID"
