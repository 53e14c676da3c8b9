#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Limits that were set for others: the tools say in a line what they lack, or do with little; no signal ends them.
. "$TOP/test/lib/common.sh"
need perl prlimit python3
start a perl -e '$b = "x" x (1 << 16); for (1 .. 20) { fork or last } sleep 1000'
sleep 0.2
mkdir img
refused 1 'File too large' bash -c 'ulimit -f 1; exec "$CR_DUMP" -t '"$PID"' -D img -R'
no_images img || die "images are left"
is_free "$PID" || die "the target is not free"
(ulimit -s 64 && "$CR_DUMP" -t "$PID" -D img -R) >words 2>&1 || die "a small stack: exit status $?: $(cat words)"
rm -r img
dump img "$PID"
wait_gone "$PID" || die "still there"
(ulimit -Ss 64 && "$CR_IMAGE" check img && "$CR_RESTORE" --check -D img) >words 2>&1 || die "a small stack: exit status $?: $(cat words)"
(ulimit -f 1 && "$CR_IMAGE" decode -i img/"mm-$PID.img" -o mm.json) >words 2>&1
[ $? -lt 128 ] || die "cr-image is killed: $(cat words)"
(ulimit -Ss 64 && "$CR_RESTORE" -D img -d) </dev/null >words 2>&1 || die "a small stack: cr-restore exits with $?: $(cat words)"
is_free "$PID" || die "not restored"

# Soft limits on what it writes and maps are no limits of what it restores; who comes after it has them again, and the tasks have theirs.
again() { kill -KILL -1; wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"; }
limits=$(cat "/proc/$PID/limits")
again
# Not where a sanitizer needs room of its own.
sanitized=
ldd "$CR_RESTORE" | grep -q libasan && sanitized=1
[ -n "$sanitized" ] || prlimit --fsize=1:unlimited --data=1000000:unlimited --nofile=100: "$CR_RESTORE" -D img --exec-cmd -- bash -c 'ulimit -Sf; ulimit -Sd; ulimit -Sn' \
	</dev/null 2>&1 | cat >words || die "soft limits: cr-restore exits with $?: $(cat words)"
[ -n "$sanitized" ] || [ "$(tr '\n' ' ' <words)" = "0 976 100 " ] || die "limits of who comes after it: $(cat words)"
[ -n "$sanitized" ] || [ "$(cat "/proc/$PID/limits")" = "$limits" ] || die "limits of the task: $(cat "/proc/$PID/limits")"
again
if command -v setpriv >/dev/null; then
	for c in --check -d; do
		setpriv --securebits +keep_caps_locked "$CR_RESTORE" -D img $c >words 2>&1 && die "locked securebits: $c succeeds"
		grep -q 'locked securebits (0x20)' words || die "locked securebits: $c says $(cat words)"
	done
fi
# Merging of pages is cr-restore's affair.
if python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(67, 1, 0, 0, 0))'; then
	python3 -c 'import ctypes, os, sys; ctypes.CDLL(None).prctl(67, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])' "$CR_RESTORE" -D img -d \
		</dev/null >words 2>&1 || die "cr-restore with merged memory exits with $?: $(cat words)"
	for p in $PID $(cat "/proc/$PID/task/$PID/children"); do
		! grep -q '^VmFlags:.* mg' "/proc/$p/smaps" || die "memory of $p is merged"
		! grep -qs 'ksm_merge_any: yes' "/proc/$p/ksm_stat" || die "memory of $p is to be merged"
	done
fi

# Too little room at all: a line that says how much was wanted and what is in the way.
start c perl -e '$x = "x" x (1 << 20); sleep 1000'
sleep 0.2
mkdir img-c
[ -n "$sanitized" ] || for kib in 7000 8000 10000 12000 15000 20000 30000; do
	for c in "$CR_DUMP -t $PID -D img-c -R" "$CR_IMAGE check img" "$CR_RESTORE --check -D img"; do
		# shellcheck disable=SC2086
		(ulimit -v $kib && exec $c) >words 2>&1 </dev/null
		rc=$?
		[ $rc -lt 128 ] || die "ulimit -v $kib: $c exits with $rc: $(cat words)"
		! grep -q 'out of memory' words || grep -qE '^cr-[a-z]*: out of memory.*ulimit -v' words || die "ulimit -v $kib: $c says $(cat words)"
		grep -q 'out of memory.*bytes.*ulimit' words && named=1
	done
	is_free "$PID" || die "ulimit -v $kib: the target is not free"
done
[ -n "${named:-}" ] || note "nobody ran out of memory at these limits"
kill "$PID"

# A target without room for the agent.
start b perl -e 'open $r, ">", "ready"; close $r; sleep 1000'
wait_for 5 test -e b/ready || die "not ready"
prlimit --as=4096 -p "$PID" || skip "no limit can be set"
mkdir img-b
refused 1 "$PID.*cannot map .* bytes for the agent.*RLIMIT_AS" "$CR_DUMP" -t "$PID" -D img-b -R
is_free "$PID" || die "the second target is not free"
prlimit --as=unlimited -p "$PID" 2>/dev/null
exit 0
