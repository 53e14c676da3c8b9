#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What this host has against opening, watching and locking files is found before anything is made, each with its path: by --check, and
# by the restore itself.
. "$TOP/test/lib/common.sh"
need jq python3 chattr flock
cp "$(command -v sleep)" own-sleep && cp own-sleep other-sleep
for d in ro gone deleted noexec; do mkdir "$d" && mount -t tmpfs none "$d" || skip "cannot mount a tmpfs"; done
mkdir kept
cp own-sleep noexec/sleep
start a python3 -c '
import ctypes, fcntl, os, time
os.chdir("'"$W"'")
libc = ctypes.CDLL(None)
w = lambda name: os.open(name, os.O_RDWR | os.O_CREAT)
keep = [w("ro/file"), w("immutable"), w("appended"), os.open("appending", os.O_WRONLY | os.O_CREAT | os.O_APPEND), w("ranges"), w("whole"),
	w("deleted/x"), w("kept/y"), os.open("reads", os.O_RDONLY | os.O_CREAT)]
for name in ("deleted/x", "kept/y"): os.unlink(name)
os.mkdir("gone/watched")
i = libc.inotify_init()
assert libc.inotify_add_watch(i, b"gone/watched", 0x100) > 0
fcntl.lockf(keep[4], fcntl.LOCK_EX, 10, 5)
fcntl.flock(keep[5], fcntl.LOCK_EX)
for f in ("own-sleep", "other-sleep", "noexec/sleep"):
    if not os.fork(): os.execv(f, ["sleep", "1000"])
while sorted(open("/proc/%s/comm" % p).read() for p in open("/proc/self/task/%d/children" % os.getpid()).read().split()) != ["other-sleep\n", "own-sleep\n", "sleep\n"]:
    time.sleep(0.01)
open("a/ready", "w").close()
time.sleep(1000)'
wait_for 10 test -e a/ready || die "not ready: $(cat a/stderr)"
chattr +i reads 2>/dev/null && chattr -i reads || skip "no attributes of chattr in $W"
dump img "$PID" --file-locks
wait_gone "$PID" || die "still there"
nothing() { "$CR_RESTORE" --check -D img --file-locks >words 2>&1 || die "nothing is wrong, but: $(cat words)"; }
nothing

# Locks beside those of the checkpoint are in nobody's way.
python3 -c 'import fcntl, os, time
a, b = (os.open(n, os.O_RDWR) for n in ("ranges", "whole"))
fcntl.lockf(a, fcntl.LOCK_EX, 10, 15); fcntl.lockf(b, fcntl.LOCK_EX)
open("beside", "w").close()
time.sleep(1000)' &
beside=$!
wait_for 10 test -e beside || die "no lock beside"
chattr +i reads; chattr +a appending
nothing

mount -o remount,ro ro; mount -o remount,ro deleted
mount -o remount,noexec noexec
rmdir gone/watched
chmod a-x other-sleep
exec 9>>own-sleep
chattr +i immutable; chattr +a appended; chattr +a kept
python3 -c 'import fcntl, os, time
a, b = (os.open(n, os.O_RDWR) for n in ("ranges", "whole"))
fcntl.lockf(a, fcntl.LOCK_SH, 6, 0); fcntl.flock(b, fcntl.LOCK_SH)
open("across", "w").close()
time.sleep(1000)' &
across=$!
wait_for 10 test -e across || die "no lock"
"$CR_RESTORE" --check --json -D img --file-locks --skip-file-rwx-check >json 2>words
rc=$?
chattr -i immutable reads; chattr -a appended appending kept
[ "$rc" = 1 ] || die "exit status $rc: $(cat words json)"
has() { jq -e --arg o "$W/$1\$" --arg r "$2" 'any(.[]; ((.object // "") | test($o)) and (.reason | test($r)))' json >/dev/null ||
	die "no finding for $*: $(cat json)"; }
has ro/file 'read-only.*remount'
has immutable 'immutable.*chattr -i'
has appended 'appended.*chattr -a'
has deleted 'deleted file.*read-only.*remount'
has kept 'deleted file.*chattr'
has gone/watched 'inotify.*not exist'
has ranges "locked by pid $across \\(python3\\)"
has whole "locked by pid $across \\(python3\\)"
has noexec/sleep 'noexec.*remount'
has other-sleep 'may not be executed.*chmod'
has own-sleep 'open for writing'
[ "$(jq length json)" = 11 ] || die "more than that: $(cat json)"

exec 9>&-
chmod a+x other-sleep
mount -o remount,exec noexec
# The restore says the same, and makes nothing.
chattr +i immutable
refused 1 'immutable: is to be opened for writing, and is immutable here' "$CR_RESTORE" -D img -d --file-locks
chattr -i immutable
is_gone "$PID" || die "somebody was made"
kill "$across" "$beside"
wait "$across" "$beside" 2>/dev/null
mount -o remount,rw ro; mount -o remount,rw deleted
mkdir gone/watched
nothing
restore img --file-locks
kill -KILL -1
