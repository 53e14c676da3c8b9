#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Trees of processes, dumped and left running: all of them are found, however they are made, and all go on; what cannot come
# back is refused by name.
# timeout: 180
. "$TOP/test/lib/common.sh"
fast_dir img
# family KIND [N]: the tree stands, its root is $PID
family() {
	start "tree-$1" "$BIN/test/live/family" "$@"
	wait_for 20 test -e "tree-$1/ready" || die "$1: not ready: $(cat "tree-$1/stderr")"
}
# Everybody below and with $1, from /proc. One process for all of them: there may be hundreds.
members() {
	perl -e 'sub visit { my $p = shift; print "$p\n"; for my $f (glob "/proc/$p/task/*/children") { open my $h, "<", $f or next; visit($_) for split " ", <$h> // "" } } visit(shift)' "$1"
}
# all_are REGEX PID...: their states, once they have settled
all_are() {
	local re=$1
	shift
	wait_for 5 perl -e 'my $re = shift; for (@ARGV) { open my $h, "<", "/proc/$_/status" or exit 1; my $s = join "", <$h>; $s =~ /^State:\s($re)/m && ($s =~ /^TracerPid:\s0$/m || $s =~ /^State:\sZ/m) or exit 1 }' "$re" "$@"
}
no_member() { perl -e 'for (@ARGV) { open my $h, "<", "/proc/$_/stat" or next; <$h> =~ /.*\) [ZX]/ or exit 1 }' "$@"; }
end() {
	local all
	# Nobody is missed while they still fork.
	for _ in 1 2 3; do
		all=$(members "$1")
		# shellcheck disable=SC2086
		kill -STOP $all 2>/dev/null
	done
	# shellcheck disable=SC2086
	kill -KILL $all 2>/dev/null
	# shellcheck disable=SC2086
	wait_for 10 no_member $all || die "cannot end the tree of $1"
	rm -rf img/*
}
pids_in() { "$CR_IMAGE" x img ps | awk 'NR > 1 { print $1 }'; }
all_free() { all_are '[RSDZ]' "$@" || die "they are not free: $(for p; do grep -hE '^(Pid|State|TracerPid)' "/proc/$p/status" | tr '\n' ' '; done)"; }
# take COUNT: a dump has exactly so many processes, in an order that readers accept, and hurts nobody
take() {
	local n
	dump img "$PID" -R --timeout 60
	n=$(pids_in | wc -l)
	[ "$n" = "$1" ] || die "$n processes in the images, not $1"
	"$CR_IMAGE" check img >check.out 2>&1 || die "check: $(cat check.out)"
	# shellcheck disable=SC2046
	all_free $(members "$PID")
}

family wide 120
take 121
[ "$(pids_in | sort -n | tr '\n' ' ')" = "$(members "$PID" | sort -n | tr '\n' ' ')" ] || die "other processes than those that live"
# What they all inherited is in the images once: three descriptors, two ends of a pipe, and the files of the process itself.
[ "$("$CR_IMAGE" x img fds | awk '$2 ~ /^[0-9]+$/ { print $7 }' | sort -u | wc -l)" -le 6 ] || die "inherited descriptions are there several times"
# Without -R nobody is left.
all=$(members "$PID")
rm -rf img/*
dump img "$PID"
# shellcheck disable=SC2086
wait_for 10 no_member $all || die "some outlive the dump"
# The same with -s: all stand still, and go on together.
rm -rf img/*
family deep 60
take 61
rm -rf img/*
dump img "$PID" -s
# shellcheck disable=SC2046
all_are T $(members "$PID") || die "dump -s does not leave all of them stopped"
# shellcheck disable=SC2046
kill -CONT $(members "$PID")
# shellcheck disable=SC2046
all_free $(members "$PID")
end "$PID"

family dead
take 4
"$CR_IMAGE" x img ps | grep -c zombie | grep -qx 3 || die "not three zombies: $("$CR_IMAGE" x img ps)"
got=$(for p in $(cat "/proc/$PID/task/$PID/children"); do "$CR_IMAGE" decode -i "img/core-$p.img" | jq -r '.entries[0].tc | "\(.task_state) \(.exit_code % 128)"'; done | sort | tr '\n' ' ')
want=$(printf '%s\n' "2 0" "2 9" "2 11" | sort | tr '\n' ' ')
[ "$got" = "$want" ] || die "zombies are: $got"
end "$PID"

# A child that was stopped is found, and stays so.
family wide 2
child=$(cut -d' ' -f1 "/proc/$PID/task/$PID/children")
kill -STOP "$child"
wait_for 2 one_of "$child" T || die "cannot stop"
dump img "$PID" -R
wait_for 2 one_of "$child" T || die "a stopped child is $(state_of "$child") after the dump"
[ "$("$CR_IMAGE" decode -i "img/core-$child.img" | jq -c '.entries[0].tc | [.task_state, .stop_signo]')" = '[3,19]' ] || die "it is not stopped in its image"
rm -rf img/*
kill -CONT "$child"
# A child that somebody traces
"$BIN/test/live/tracer" "$child" &
tracer=$!
wait_for 5 test -e traced || die "cannot trace"
refused 5 "$child.*traced.*$tracer" "$CR_DUMP" -t "$PID" -D img
no_images img || die "images are left"
kill "$tracer"
# shellcheck disable=SC2046
all_free $(members "$PID")
end "$PID"

family files
take 2
[ "$(for f in img/ids-*.img; do "$CR_IMAGE" decode -i "$f" | jq .entries[0].files_id; done | sort -u | wc -l)" = 1 ] || die "not one table"
[ "$(ls img/fdinfo-*.img | wc -l)" = 1 ] || die "tables: $(ls img)"
end "$PID"
family vm
take 2
[ "$(for f in img/ids-*.img; do "$CR_IMAGE" decode -i "$f" | jq .entries[0].vm_id; done | sort -u | wc -l)" = 1 ] || die "not one address space"
[ "$(ls img/mm-*.img | wc -l)" = 1 ] || die "address spaces: $(ls img)"
end "$PID"
family vfork
refused 5 "$PID.*vfork" "$CR_DUMP" -t "$PID" -D img --timeout 1
# shellcheck disable=SC2046
all_free $(members "$PID" | grep -vx "$PID")
end "$PID"

# The dumper below its own target
refused 5 'dumper itself' setsid -w sh -c '"$1" -t $$ -D img; exit $?' sh "$CR_DUMP"

# Children that become somebody else's at any moment
family orphans
for _ in 1 2 3; do
	dump img "$PID" -R
	"$CR_IMAGE" check img >check.out 2>&1 || die "orphans: $(cat check.out)"
	rm -rf img/*
done
end "$PID"

# A fork bomb, as far as its cgroup lets it
cg=$(awk '$3 == "cgroup" && $4 ~ /(^|,)pids(,|$)/ { print $2; exit }' /proc/mounts)
cg2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$cg" ] || { grep -qw pids "${cg2:-/none}/cgroup.subtree_control" 2>/dev/null && cg=$cg2; }
if [ -n "$cg" ] && mkdir "$cg/cr-test-$CR_TEST_RUN-$$-bomb" 2>/dev/null; then
	cg=$cg/cr-test-$CR_TEST_RUN-$$-bomb
	# It goes whatever happens here.
	trap 'kill -KILL $(cat "$cg/cgroup.procs") 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9; do rmdir "$cg" 2>/dev/null && break; sleep 0.1; done' EXIT
	echo 150 >"$cg/pids.max"
	start tree-bomb sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" bomb' sh "$cg" "$BIN/test/live/family"
	wait_for 10 test -e tree-bomb/ready || die "bomb: $(cat tree-bomb/stderr)"
	# At any moment: from the first fork to the last
	dump img "$PID" -R --timeout 60
	rm -rf img/*
	full() { [ "$(cat "$cg/pids.current")" -ge 149 ]; }
	wait_for 20 full || die "the bomb stops at $(cat "$cg/pids.current")"
	take 150
	rm -rf img/*
	dump img "$PID" --timeout 60
	burnt() { [ "$(cat "$cg/pids.current")" = 0 ]; }
	wait_for 10 burnt || die "$(cat "$cg/pids.current") of the bomb outlive a dump"
else
	note "no pids cgroup here"
fi
