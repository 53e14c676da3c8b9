#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever can be wrong about a target or a directory: one clear line, an exit code, nothing harmed, nothing left.
# timeout: 120
. "$TOP/test/lib/common.sh"
watchdog_start
fast_dir img
# All findings are told, not only the first.
failures=0
try() {
	(
		refused "$@"
		no_images img || die "images are left: $(ls img)"
		dog_well "$*"
	) || failures=$((failures + 1))
	rm -f img/*
}
# pids
try 1 '99999.*(no such|not exist|gone)' "$CR_DUMP" -t 99999 -D img
try 2 . "$CR_DUMP" -t 0 -D img
try 2 . "$CR_DUMP" -t -5 -D img
try 2 . "$CR_DUMP" -t 12x -D img
try 2 . "$CR_DUMP" -D img
try 2 'no-such-option' "$CR_DUMP" -t "$DOG" -D img --no-such-option
try '1|5' 'init' "$CR_DUMP" -t 1 -D img
self() { bash -c 'exec "$CR_DUMP" -t $$ -D img'; }
try '1|2|5' 'self|itself' self
thread=$(find "/proc/$DOG/task" -mindepth 1 -maxdepth 1 ! -name "$DOG" -printf "%f\n" | head -n 1)
try '1|2|5' "$thread|thread" "$CR_DUMP" -t "$thread" -D img
sleep 0 &
zombie=$!
# It stays a corpse as long as its parent does not look: a parent that never does.
start z perl -e 'if (!fork) { exit } open $f, ">", "ready"; close $f; sleep 100'
wait_for 5 test -e z/ready
zombie=$(cat "/proc/$PID/task/$PID/children")
wait_for 5 one_of "${zombie% }" Z || die "no zombie"
try '1|5' 'zombie|dead|exited' "$CR_DUMP" -t "${zombie% }" -D img
kill "$PID"

# directories
try '1|2' 'no-such-dir' "$CR_DUMP" -t "$DOG" -D no-such-dir
touch file
try '1|2' 'file' "$CR_DUMP" -t "$DOG" -D file
mkdir ro
mount -t tmpfs -o ro none ro || skip "no mounts"
try 1 '[Rr]ead-only' "$CR_DUMP" -t "$DOG" -D ro
umount ro
# full disks: of no room at all, room for the small images but not for the pages, room for no more names
for o in size=4k size=16k size=64k nr_inodes=2 nr_inodes=6; do
	mount -t tmpfs -o "$o" none ro
	(
		refused 1 'No space left' "$CR_DUMP" -t "$DOG" -D ro
		no_images ro || die "$o: images are left: $(ls ro)"
		dog_well "full disk, $o"
	) || failures=$((failures + 1))
	umount ro
done

# Somebody else traces it.
"$BIN/test/live/tracer" "$DOG" &
tracer=$!
wait_for 5 test -e traced || die "cannot trace"
out=$("$CR_DUMP" -t "$DOG" -D img -R 2>&1)
rc=$?
kill -9 "$tracer"
wait "$tracer" 2>/dev/null
[[ $rc =~ ^[15]$ ]] || die "traced: exit status $rc"
[ "$(printf '%s\n' "$out" | wc -l)" = 1 ] && printf '%s' "$out" | grep -q "trac.*$tracer\|$tracer.*trac" ||
	die "traced by $tracer: $out"
no_images img || die "images are left: $(ls img)"
dog_well "traced"

# Privileges that are missing are named.
cp "$CR_DUMP" "$CR_RESTORE" "$W/"
mkdir -m 777 theirs
if command -v setpriv >/dev/null; then
	refused '1|3' '[cC][aA][pP]_[A-Za-z_]+' env HOME=/ setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$W/cr-dump" -t "$DOG" -D theirs
	no_images theirs || die "images"
	dog_well "without privileges"
	dump img "$DOG" -R
	chmod -R a+rX img
	refused '1|3' '[cC][aA][pP]_[A-Za-z_]+' env HOME=/ setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$W/cr-restore" -D "$W/img" -d
	dog_well "restore without privileges"
	rm -rf img/*
fi
dog_ends

# A directory that is no checkpoint.
refused 4 'inventory' "$CR_RESTORE" -D img -d
refused '1|2|4' 'no-such-dir' "$CR_RESTORE" -D no-such-dir -d
[ "$failures" = 0 ] || die "$failures of these were not refused as they should be"
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
