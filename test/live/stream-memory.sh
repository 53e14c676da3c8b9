#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
# What streams need of memory: both tools a few MiB, whatever the size of the process; and where pages must wait (shared memory; archives
# with the pages first; the same host), they are there once and not twice, which a memory cgroup sees to.
. "$TOP/test/lib/common.sh"
need tar
fast_dir img
fast_dir out

peak() { "$BIN/test/live/peak" "$@"; }

held() { # NAME KIND MIB
	start "$1" "$BIN/test/live/holder" "$2" "$3"
	wait_for 60 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
}
proves() { # NAME
	touch "$1/go"
	wait_for 60 test -s "$1/verdict" || die "$1: no verdict; the process is $(state_of "$PID")"
	grep -q '^pass' "$1/verdict" || die "$1: $(cat "$1/verdict")"
	wait_gone "$PID" 10 || die "$1: still there"
}

for way in '' --compress; do
	for mib in 32 256; do
		held "p$mib$way" private "$mib"
		# shellcheck disable=SC2086
		peak "$CR_DUMP" -t "$PID" -D - $way 3>dump.$mib >out/s || die "cr-dump"
		wait_gone "$PID" || die "still there"
		cat out/s | peak "$CR_RESTORE" -D - -d 3>restore.$mib || die "cr-restore"
		proves "p$mib$way"
	done
	for t in dump restore; do
		[ "$(cat $t.256)" -lt $(($(cat $t.32) + 8192)) ] || die "$t $way: $(cat $t.32) KiB of 32 MiB, $(cat $t.256) KiB of 256 MiB"
		note "cr-$t $way: $(cat $t.32) KiB for 32 MiB, $(cat $t.256) KiB for 256 MiB"
	done
done

# A cgroup of our own with a limit; of either version.
v1=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$v1" ]; then
	g=$v1/cr-test.$$.${W##*/} max=memory.limit_in_bytes
elif [ -n "$v2" ] && grep -qw memory "$v2/cgroup.controllers" 2>/dev/null && echo +memory >"$v2/cgroup.subtree_control" 2>/dev/null; then
	g=$v2/cr-test.$$.${W##*/} max=memory.max
else
	note "no memory cgroup: what waits is not limited"
	exit 0
fi
mkdir "$g" 2>/dev/null || { note "no memory cgroup can be made: what waits is not limited"; exit 0; }
ends() {
	local p
	# shellcheck disable=SC2013
	for p in $(cat "$g/cgroup.procs"); do kill -9 "$p"; done
	wait_for 10 rmdir "$g" 2>/dev/null || note "cannot remove $g"
}
trap ends EXIT
echo $((176 << 20)) >"$g/$max" || die "cannot limit memory"
limited() { (echo "$BASHPID" >"$g/cgroup.procs" && exec "$@"); }
for kind in shared memfd; do
	held "$kind" "$kind" 128
	"$CR_DUMP" -t "$PID" -D - >out/s || die "cr-dump of $kind"
	wait_gone "$PID" || die "still there"
	cat out/s | limited "$CR_RESTORE" -D - -d || die "$kind memory of 128 MiB from a stream does not come back within 176 MiB"
	proves "$kind"
	rm out/s
done
held first private 128
dump img/d "$PID"
wait_gone "$PID"
(cd img/d && tar cf ../../out/s pages-*.img cr-manifest.json --exclude='pages-*' --exclude=cr-manifest.json ./*) || die "tar"
rm -r img/d
cat out/s | limited "$CR_RESTORE" -D - -d || die "128 MiB in an archive with the pages first do not come back within 176 MiB"
proves first

# Rounds that write the same pages again and again: each is kept once, and leaves memory as it goes into the process.
echo $((256 << 20)) >"$g/$max" || die "cannot limit memory"
for kind in private shared; do
	rm -rf img/d
	mkdir -p img/d/iterate-1 img/d/iterate-2
	held "rounds.$kind" "$kind" 128
	written() { [ ! -e "rounds.$kind/more" ]; }
	writes() { touch "rounds.$kind/more" && wait_for 60 written || die "nothing is written"; }
	"$CR_DUMP" -t "$PID" -D img/d/iterate-1 -R --no-seal || die "cr-dump of $kind"
	writes
	"$CR_DUMP" -t "$PID" -D img/d/iterate-2 -R --prev-images-dir ../iterate-1 || die "cr-dump of $kind, the second"
	writes
	"$CR_DUMP" -t "$PID" -D img/d --prev-images-dir iterate-2 || die "cr-dump of $kind, the last"
	wait_gone "$PID" || die "still there"
	tar cf out/s -C img/d iterate-1 iterate-2 --exclude='iterate-*' . || die "tar"
	rm -r img/d
	[ "$(stat -c %s out/s)" -gt $((300 << 20)) ] || die "the rounds are $(stat -c %s out/s) bytes: too few to need the room"
	cat out/s | limited "$CR_RESTORE" -D - -d || die "128 MiB of $kind memory, most of it three times in the stream, do not come back within 256 MiB"
	proves "rounds.$kind"
done
