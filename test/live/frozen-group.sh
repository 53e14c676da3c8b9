#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes of a frozen control group: named before anything is waited for; and when the group is frozen in the middle of a dump, that
# ends in time, and the process goes on as if nothing had been when it is thawed.
# timeout: 300
. "$TOP/test/lib/common.sh"
groups=()
tidy() {
	local g pid
	for g in "${groups[@]}"; do
		thaw "$g"
		while read -r pid; do kill -KILL "$pid"; done <"$g/cgroup.procs"
		wait_for 5 rmdir "$g"
	done
} 2>/dev/null
trap tidy EXIT
ice() { if [ -e "$1/cgroup.freeze" ]; then echo 1 >"$1/cgroup.freeze"; else echo FROZEN >"$1/freezer.state"; fi; }
thaw() { if [ -e "$1/cgroup.freeze" ]; then echo 0 >"$1/cgroup.freeze"; else echo THAWED >"$1/freezer.state"; fi; }
is_ice() { grep -qsE '^frozen 1|^FROZEN' "$1/cgroup.events" "$1/freezer.state"; }
# Where it is no group but a folder beside the hierarchies, it goes at once.
make() {
	mkdir "$1" 2>/dev/null || return
	if [ -e "$1/cgroup.freeze" ] || [ -e "$1/freezer.state" ]; then groups+=("$1"); else rmdir "$1" && false; fi
}
# Some points are passed several times, and each is a stop.
ends() { kill -CONT "$1" 2>/dev/null; is_dead "$1"; }
says='its control group .*cr-frozen-.* is frozen; thaw it'

watchdog_start
tried=0
for top in /sys/fs/cgroup/unified /sys/fs/cgroup /sys/fs/cgroup/freezer; do
	g=$top/cr-frozen-$$
	make "$g" || continue
	tried=$((tried + 1))
	echo "$DOG" >"$g/cgroup.procs" || die "cannot join $g"
	ice "$g"
	wait_for 5 is_ice "$g" || die "$g does not freeze"
	mkdir -p img
	refused 5 "$DOG.*$says" timeout 20 "$CR_DUMP" -t "$DOG" -D img -R
	refused 5 "$DOG.*$says" timeout 20 "$CR_DUMP" -t "$DOG" -D img -R --manage-cgroups=ignore
	timeout 20 "$CR_DUMP" --check -t "$DOG" >words 2>&1
	rc=$?
	[ "$rc" = 1 ] && grep -qE "$says" words || die "--check exits with $rc: $(cat words)"
	no_images img || die "images are left"
	thaw "$g"
	dog_well "a frozen group was refused"

	# A child in a group of its own is named, too.
	start a bash -c 'sleep 1000 & echo $! >child; wait'
	wait_for 5 test -s a/child || die "no child"
	make "$g-child" || die "no second group"
	cat a/child >"$g-child/cgroup.procs" || die "the child cannot join"
	ice "$g-child"
	wait_for 5 is_ice "$g-child" || die "the child's group does not freeze"
	refused 5 "$(cat a/child).*$says" timeout 30 "$CR_DUMP" -t "$PID" -D img -R --timeout 1
	no_images img || die "images are left"
	thaw "$g-child"
	dump img "$PID"
	wait_gone "$PID" || die "still there"

	# Nor can anybody be restored there.
	ice "$g-child"
	refused 1 'this cgroup is frozen.*thaw it' timeout 30 "$CR_RESTORE" -D img -d
	thaw "$g-child"
	restore img
	kill -KILL "$(cat a/child)"
	wait_gone "$PID" || die "the shell does not end"
	rm -rf img a

	# Frozen when the dump has begun: at points of the agent's way.
	if [ -e "$g/cgroup.freeze" ]; then
		for point in frozen looked agent-written in-mmap mapped holder-ready holder-in guest-perhaps guest-in guest-expected in-munmap; do
			mkdir -p img
			CR_FAULT=dump:$point=stop "$CR_DUMP" -t "$DOG" -D img -R --timeout 1 >words 2>&1 &
			dumper=$!
			wait_for 20 one_of "$dumper" T || die "$point is never reached"
			ice "$g"
			wait_for 40 ends "$dumper" || die "$point: the dump does not end"
			wait "$dumper"
			rc=$?
			case $rc in
			0) [ -e img/inventory.img ] || die "$point: success, and no images" ;;
			1 | 5) grep -qE "$says" words || die "$point: it says $(cat words)"
				no_images img || die "$point: images are left" ;;
			*) die "$point: exit status $rc: $(cat words)" ;;
			esac
			thaw "$g"
			dog_well "frozen at $point (exit status $rc)"
			rm -rf img
		done
	fi
	echo "$DOG" >"${g%/*}/cgroup.procs" || die "cannot leave $g"
done
[ "$tried" -gt 0 ] || skip "no control group with a freezer can be made here"
dump img "$DOG" -R
dog_well "in the end"
