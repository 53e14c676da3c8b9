# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What all test scripts share. Sourced by a script that runs as pid 1 of its own pid namespace (test/lib/in-ns), so pids are
# its own, never collide with those of other tests, and everything dies with it.
#
# The environment gives: TOP (source tree), BIN (build directory, absolute), W (an empty directory of this test).

set -u -o pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

CR_DUMP=$BIN/cr-dump CR_RESTORE=$BIN/cr-restore CR_IMAGE=$BIN/cr-image CR_CHECK=$BIN/cr-check CR_CONFIG=$BIN/cr-config
export CR_DUMP CR_RESTORE CR_IMAGE CR_CHECK CR_CONFIG
cd "$W" || exit 1

# Terminals of its own, too: their numbers are part of what comes back; and named shared memory, where others use the same names.
if [ -n "${OWN_PIDS:-}" ]; then
	mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts 2>/dev/null || true
	# Not where the work directory is in there: figures are taken in memory.
	case $W/ in /dev/shm/*) ;; *) mount -t tmpfs -o mode=1777 none /dev/shm 2>/dev/null || true ;; esac
fi
# For programs that insist on /tmp and name files there by pid: one of its own, where W, TOP and BIN are still seen if they are in there.
own_tmp() {
	local d w t b
	exec {w}<"$W" {t}<"$TOP" {b}<"$BIN"
	mount -t tmpfs -o mode=1777 none /tmp || die "cannot mount a tmpfs"
	for d in "$t:$TOP" "$b:$BIN" "$w:$W"; do
		[ ! -e "${d#*:}" ] || continue
		mkdir -p "${d#*:}" && mount -c --bind "/proc/self/fd/${d%%:*}" "${d#*:}" || die "cannot bind ${d#*:}"
	done
	exec {w}<&- {t}<&- {b}<&-
	cd "$W" || exit 1
}

note() { printf '%s\n' "$*"; }
# The last line that a test prints is its verdict in words; before it, what everybody did at that moment.
die() {
	[ -n "${OWN_PIDS:-}" ] && "$TOP/test/lib/who" | tail -n 25
	printf 'FAIL: %s\n' "$*"
	exit 1
}
skip() { printf 'SKIP: %s\n' "$*"; exit 77; }
need() { local c; for c; do command -v "$c" >/dev/null || skip "$c is not installed"; done; }

# median FILE: of the first numbers of its lines; 0 when there are none.
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'; }

# wait_for SECONDS COMMAND...: until the command succeeds. A busy machine gets half a minute, however short it is on an idle one.
wait_for() {
	# Names that no caller has: what is waited for sees ours before its own.
	local wait_tries wait_limit=$((($1 < 30 ? 30 : $1) * 50))
	shift
	for ((wait_tries = 0; wait_tries < wait_limit; wait_tries++)); do
		"$@" && return 0
		sleep 0.02
	done
	return 1
}

state_of() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || { echo gone; return; }; s=${s##*) }; echo "${s:0:1}"; }
is_gone() { [ ! -e "/proc/$1" ]; }
# Neither running nor anything but a corpse that its parent has yet to see. A first thread may end before the others.
is_dead() {
	local -a threads
	case $(state_of "$1") in gone | X) return 0 ;; Z) ;; *) return 1 ;; esac
	threads=("/proc/$1/task/"*)
	[ "${#threads[@]}" -lt 2 ]
}
# A network of this test's own, with a loopback device: the script starts again in it.
own_net() {
	[ -n "${OWN_NET:-}" ] || OWN_NET=1 exec unshare --net -- bash "$0"
	ip link set lo up || die "cannot bring the loopback device up"
}
wait_gone() { wait_for "${2:-5}" is_gone "$1"; }
one_of() { local s; s=$(state_of "$1"); shift; case " $* " in *" $s "*) return 0 ;; esac; return 1; }
# Runs or sleeps, is not stopped and has no tracer.
is_free() {
	local t
	[ -d "/proc/$1/task" ] || return 1
	for t in "/proc/$1/task/"*; do
		grep -q '^TracerPid:	0$' "$t/status" 2>/dev/null || return 1
		! grep -q '^State:	[tTZX]' "$t/status" 2>/dev/null || return 1
	done
	return 0
}

# Descriptors that make or a terminal left open here are nobody's business there.
close_inherited() {
	local fd
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-"
	done
}
# start NAME COMMAND...: a session of its own in directory NAME; its pid in $PID. Output in NAME/stdout and NAME/stderr.
start() {
	local d=$1
	shift
	mkdir -p "$d" && chmod 1777 "$d"
	(cd "$d" && close_inherited && exec env -i PATH="$PATH" HOME=/ LANG=C.UTF-8 TMPDIR="$W/tmp" setsid "$@") </dev/null >"$d/stdout" 2>"$d/stderr" &
	PID=$!
	disown "$PID" # no words about its end
	# One that has ended already did start; whoever waits for its word will see.
	wait_for 5 started_or_ended "$PID" || die "$1 does not start: $(cat "$d/stderr")"
}
started_or_ended() { started "$1" || is_dead "$1"; }
# setsid(1) has become the program: its own session.
started() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- "$1" $s; [ "$5" = "$1" ] && [ "$(cat "/proc/$1/comm")" != setsid ]; }

# dump DIR PID OPTION...: must succeed with nothing to say.
dump() {
	local d=$1 p=$2
	shift 2
	mkdir -p "$d"
	"$CR_DUMP" -t "$p" -D "$d" "$@" >"$d.dump.out" 2>&1 || die "cr-dump exits with $?: $(cat "$d.dump.out")"
	[ ! -s "$d.dump.out" ] || { [ -n "${MAY_WARN:-}" ] && ! grep -qv 'warning: ' "$d.dump.out"; } ||
		die "cr-dump is not quiet: $(cat "$d.dump.out")"
	[ -s "$d/inventory.img" ] || die "cr-dump succeeded without inventory.img"
}
# restore DIR OPTION...: must succeed; warnings are fine where MAY_WARN is set (checkpoints of other hosts).
restore() {
	local d=$1
	shift
	"$CR_RESTORE" -D "$d" -d "$@" </dev/null >"$d.restore.out" 2>&1 || die "cr-restore exits with $?: $(cat "$d.restore.out")"
	[ -n "${MAY_WARN:-}" ] && ! grep -qv 'warning: ' "$d.restore.out" && return
	[ ! -s "$d.restore.out" ] || die "cr-restore is not quiet: $(cat "$d.restore.out")"
}
# The target is dumped, gone, and comes back with the same pid: cycle DIR PID OPTION...
cycle() {
	dump "$@"
	wait_gone "$2" || die "pid $2 is still there after the dump: state $(state_of "$2")"
	restore "$1"
	[ -d "/proc/$2" ] || die "pid $2 is not there after the restore"
}
# refused CODES REGEX COMMAND...: exits with one of CODES (an extended regular expression) and says exactly one line that matches.
refused() {
	local code=$1 re=$2 out rc
	shift 2
	out=$("$@" 2>&1 >/dev/null </dev/null)
	rc=$?
	[[ $rc =~ ^($code)$ ]] || die "exit status $rc, not $code: $* said: $out"
	[ "$(printf '%s\n' "$out" | wc -l)" = 1 ] || die "not one line: $* said: $out"
	printf '%s\n' "$out" | grep -qE -- "$re" || die "no line like '$re': $* said: $out"
}
# A directory for images that costs no disk: campaigns make hundreds of checkpoints. The mount is private to this test.
fast_dir() { mkdir -p "$1" && mount -t tmpfs none "$1" || die "cannot mount a tmpfs"; }
no_images() { ! ls "$1"/*.img >/dev/null 2>&1; }

# Every image but raw ones as JSON, and byte for byte back; of big trees, some tasks of all.
check_images() {
	local f k n=0
	local -A seen=()
	for f in "$1"/*.img; do
		k=${f##*/} k=${k%%-*}
		case $k in pages) continue ;; esac
		seen[$k]=$((${seen[$k]:-0} + 1))
		[ "${seen[$k]}" -le 20 ] || continue
		"$CR_IMAGE" decode -i "$f" -o "$f.json" || die "cr-image cannot decode ${f##*/}"
		"$CR_IMAGE" encode -i "$f.json" -o "$f.again" || die "cr-image cannot encode ${f##*/} again"
		cmp -s "$f" "$f.again" || die "${f##*/} does not come back from its JSON byte for byte"
		rm -f "$f.json" "$f.again"
		n=$((n + 1))
	done
	[ "$n" -gt 5 ] || die "only $n images in $1"
}

# ---- the target of the campaigns (test/live/watchdog.c) ----
watchdog_start() {
	start dog "$BIN/test/live/watchdog"
	wait_for 10 test -e dog/ready || die "the watchdog is not ready: $(cat dog/verdict dog/stderr 2>/dev/null)"
	DOG=$PID
	DOG_MAPS=$(dog_maps) DOG_THREADS=$(ls "/proc/$DOG/task") DOG_FDS=$(ls "/proc/$DOG/fd")
	DOG_STATUS=$(dog_status)
}
dog_maps() { cut -d' ' -f1-5 "/proc/$DOG/maps"; }
dog_status() { grep -hE '^(Umask|Uid|Gid|Groups|Threads|Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp|Cpus_allowed|VmLck|Name):?' "/proc/$DOG/status"; }
dog_says() { cat dog/verdict dog/stderr 2>/dev/null; }
# dog_beats: every thread goes on.
dog_beats() {
	local a b i
	a=$(cat dog/beat)
	# shellcheck disable=SC2086
	for ((i = 0; i < 3000; i++)); do
		[ ! -e dog/verdict ] || return 1
		b=$(cat dog/beat)
		set -- $a $b
		[ "$1" = "$7" ] || [ "$2" = "$8" ] || [ "$3" = "$9" ] || [ "$4" = "${10}" ] || [ "$5" = "${11}" ] || [ "$6" = "${12}" ] || return 0
		! is_dead "$DOG" || return 1
		sleep 0.01
	done
	return 1
}
dog_same_status() { [ "$(dog_status)" = "$DOG_STATUS" ]; }
# dog_lives WHAT: whether it goes on or is dead, once that is decided: who dies with the tool looks free for a moment.
dog_lives() {
	dog_beats && return
	is_dead "$DOG" || die "$1: the target neither lives nor dies: state $(state_of "$DOG"): $(dog_says)"
	return 1
}
# It runs, is correct, and nothing of a dumper is left in it. $1 says what was done.
dog_well() {
	wait_for 1 is_free "$DOG" || die "$1: the target is not free: $(grep -hE '^(State|TracerPid|Pid):' "/proc/$DOG"/task/*/status | tr '\n' ' ') $(dog_says)"
	dog_beats || die "$1: the target does not go on: state $(state_of "$DOG"): $(dog_says) $(cat dog/beat) $(head -n 1 /proc/"$DOG"/task/*/syscall 2>&1 | tr '\n' ' ')"
	[ "$(ls "/proc/$DOG/task")" = "$DOG_THREADS" ] || die "$1: other threads: $(ls "/proc/$DOG/task" | tr '\n' ' ') $(dog_says)"
	[ "$(ls "/proc/$DOG/fd")" = "$DOG_FDS" ] || die "$1: other descriptors: $(dog_says) $(ls -l "/proc/$DOG/fd")"
	[ "$(dog_maps)" = "$DOG_MAPS" ] || die "$1: other mappings: $(dog_says) $(diff <(echo "$DOG_MAPS") <(dog_maps))"
	# In a handler it has another mask for a moment.
	wait_for 5 dog_same_status || die "$1: other status: $(dog_says) $(diff <(echo "$DOG_STATUS") <(dog_status))"
}
dog_ends() {
	touch dog/go
	wait_for 10 test -e dog/verdict || die "the watchdog gives no verdict"
	grep -q '^pass' dog/verdict || die "the watchdog: $(dog_says)"
}
# All that lives in this namespace but the script itself and what it just runs.
ns_procs() {
	local d
	for d in /proc/[0-9]*; do
		d=${d#/proc/}
		[ "$d" = 1 ] || [ "$d" = "$BASHPID" ] || [ "$(state_of "$d")" = gone ] || [ "$(cut -d' ' -f4 "/proc/$d/stat" 2>/dev/null)" = "$BASHPID" ] ||
			echo "$d $(cat "/proc/$d/comm" 2>/dev/null)"
	done
}
nobody_there() { [ -z "$(ns_procs)" ]; }
# A program that was started in `held` says what became of it, and ends: proves WHAT VERDICT
proves() {
	touch held/go
	wait_for 30 test -e held/verdict || die "$1: no verdict: $(cat held/stderr)"
	[ "$(cat held/verdict)" = "$2" ] || die "$1: '$(cat held/verdict)', not '$2'"
	kill "$PID"
	wait_gone "$PID" || die "$1: it does not end"
	rm held/go held/verdict
}

# Another host, which is process $FAR, 10.77.0.9 and fd77::9; we are .5 and ::5 to it. at COMMAND...: runs it there.
far_host() {
	unshare --net sleep 1000 </dev/null >/dev/null 2>&1 &
	FAR=$!
	disown "$FAR"
	own=$(readlink /proc/self/ns/net)
	wait_for 5 other || die "the other host has no network of its own"
	ip link add v0 type veth peer name eth0 netns "$FAR" || skip "no veth can be made"
	ip addr add 10.77.0.5/24 dev v0 && ip -6 addr add fd77::5/64 dev v0 nodad && ip link set v0 up || die "cannot configure the device"
	at ip addr add 10.77.0.9/24 dev eth0 && at ip -6 addr add fd77::9/64 dev eth0 nodad && at ip link set eth0 up || die "cannot configure the device"
}
at() { nsenter -t "$FAR" -n -- "$@"; }
other() { [ "$(readlink "/proc/$FAR/ns/net")" != "$own" ]; }
