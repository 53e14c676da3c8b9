#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr-restore --check tells everything at once that this host has against a checkpoint, and makes nothing.
. "$TOP/test/lib/common.sh"
need jq perl
cp "$(command -v sleep)" own-sleep
start a perl -e '
	open $l, "+>", "locked"; flock($l, 2);
	open $gone, ">", "gone"; open $grown, ">", "grown"; print $grown "abc"; $grown->flush;
	if (!fork) { exec "'"$W"'/own-sleep", "1000" }
	open $r, ">", "ready"; close $r; sleep 1000'
root=$PID
wait_for 5 test -e a/ready || die "not ready: $(cat a/stderr)"
child=$(cat "/proc/$root/task/$root/children")
child=${child% }
wait_for 5 test "$(cat "/proc/$child/comm")" = own-sleep

# In a group of its own, where there are groups.
group=
mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$mount" ] && mkdir "$mount/check-restore.$$" 2>/dev/null; then
	group=$mount/check-restore.$$
	echo "$child" >"$group/cgroup.procs" || die "cannot join $group"
fi
dump img "$root" --file-locks
wait_gone "$root" || die "the root is still there"
wait_gone "$child" || die "the child is still there"
[ -z "$group" ] || wait_for 2 rmdir "$group" || die "rmdir $group"

"$CR_RESTORE" --check -D img --file-locks >words 2>&1 || die "nothing is wrong, but: $(cat words)"
[ ! -s words ] || die "it says: $(cat words)"
[ "$("$CR_RESTORE" --check --json -D img --file-locks)" = "[]" ] || die "an empty list"

# All at once: the pid of the child, a file that is gone, one that has grown, a program of another mode, locks, a group.
echo $((child - 1)) >/proc/sys/kernel/ns_last_pid 2>/dev/null || skip "ns_last_pid cannot be set"
sleep 500 &
holder=$!
[ "$holder" = "$child" ] || skip "the pid $child was not given out again"
rm a/gone
echo more >>a/grown
chmod 700 own-sleep
list() { find img a -type f -exec cksum {} + | sort; }
before=$(list)
"$CR_RESTORE" --check --json -D img --manage-cgroups=none >json 2>words
rc=$?
[ "$rc" = 1 ] || die "exit status $rc: $(cat words json)"
[ ! -s words ] || die "it says: $(cat words)"
has() {
	jq -e --arg o "$1" --arg r "$2" --arg h "$3" \
		'any(.[]; ((.object // "") | test($o)) and (.reason | test($r)) and ((.hint // "") | test($h)))' json >/dev/null ||
		die "no finding for $*: $(cat json)"
}
has '' "pid $child is taken by pid $holder \\(sleep\\)" 'end it'
has '/gone$' 'does not exist' ''
has '/grown$' 'size is 8, was 3' ''
has '/own-sleep$' 'mode is' ''
has '' 'holds a file lock' '--file-locks'
[ -z "$group" ] || has 'check-restore' 'does not exist' ''
jq -e --argjson pid "$child" 'any(.[]; .pid == $pid and .comm == "own-sleep")' json >/dev/null || die "whose pid: $(cat json)"
"$CR_RESTORE" --check -D img --manage-cgroups=none >lines 2>words
[ $? = 1 ] || die "exit status of the list"
[ "$(jq length json)" = "$(wc -l <lines)" ] || die "as many lines as findings: $(cat lines)"
grep -qE "^pid $child \\(own-sleep\\): pid $child is taken by pid $holder \\(sleep\\); end it" lines || die "lines: $(cat lines)"
[ "$(list)" = "$before" ] || die "something was changed"
[ -z "$group" ] || [ ! -e "$group" ] || die "$group was made"
is_gone "$root" || die "somebody was made"

# A damaged image besides: the rest is still told.
cp img/"core-$root.img" core
printf 'x' | dd of=img/"core-$root.img" bs=1 seek=40 conv=notrunc status=none
"$CR_RESTORE" --check --json -D img --file-locks >json 2>words
[ $? = 1 ] || die "damaged: $(cat words json)"
has "core-$root" '' ''
has '' "pid $child is taken" ''
mv img/files.img .
"$CR_RESTORE" --check --json -D img --file-locks >json 2>words
[ $? = 1 ] || die "without files.img: $(cat words json)"
has 'files.img|manifest' '' ''
has "core-$root" '' ''
has '' "pid $child is taken" ''
mv files.img img
mkdir none
"$CR_RESTORE" --check --json -D none >json 2>words
[ $? = 1 ] || die "an empty directory: $(cat words json)"
has '^none' 'no image' ''
"$CR_RESTORE" --check --json -D no-such >json 2>words
[ $? = 1 ] || die "no directory: $(cat words json)"
has 'no-such' '' ''
refused 2 'json' "$CR_RESTORE" -D img --json
refused 2 'plan' "$CR_RESTORE" -D img --check --plan
kill "$holder"

# The CPU that it comes from had what this one lacks: bounds registers (MPX), which Linux saves no more.
grep -qw mpx /proc/cpuinfo && exit 0
rm img/cr-manifest.json
mv core img/"core-$root.img"
"$CR_IMAGE" edit img/"core-$root.img" --filter '.entries[0].thread_info.fpregs.xsave |=
	(.bndreg_state = [1, 2, 3, 4, 5, 6, 7, 8] | if .xstate_bv / 8 % 2 < 1 then .xstate_bv += 8 else . end)' >words 2>&1 || die "$(cat words)"
"$CR_RESTORE" --check --json -D img --file-locks >json 2>words
[ $? = 1 ] || die "a CPU that lacks something: $(cat words json)"
has '' "this CPU lacks MPX bound registers \\(xstate bit 3\\), which thread $root uses" ''
refused 3 'this CPU lacks MPX bound registers .*thread' "$CR_RESTORE" -D img -d --file-locks
