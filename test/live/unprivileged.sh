#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Users without all privileges: what suffices, and that everything missing is named in one line before anything is touched.
# timeout: 120
. "$TOP/test/lib/common.sh"
need setpriv setcap ip
own_net
cp "$CR_DUMP" "$CR_RESTORE" . && chmod 755 . cr-dump cr-restore || die "cannot copy the tools"
export HOME=$W/home
mkdir -m 755 home

# as CAPS COMMAND...: user 65534 with exactly these capabilities (names, separated by commas; "" = none), handed on.
as() {
	local caps=${1:+,+${1//,/,+}}
	shift
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps="-all$caps" --ambient-caps="-all$caps" "$@"
}
images() { rm -rf "$1" && mkdir -m 777 "$1"; }
# Files that a shell opened for them must be theirs to open again.
theirs() { wait_for 5 grep -qx sleep "/proc/$2/comm" || die "not asleep"; chmod 666 "$1"/std*; }
status() { grep -hE '^(Uid|Gid|Groups|Cap|NoNewPrivs)' "/proc/$1/status"; }
kill_it() { kill -9 "$1" && wait_gone "$1" || die "it cannot be killed"; }
# lacks NAMES COMMAND...: exits with 3, and the one line names exactly these.
lacks() {
	local names=$1 out
	shift
	refused 3 'setcap [a-z_,]+' "$@"
	out=$("$@" 2>&1 </dev/null | grep -oE 'setcap [a-z_,]+' | grep -oE 'cap_[a-z_]+' | sort -u | tr '\n' ' ')
	[ "${out^^}" = "$names " ] || die "missing are said to be $out, not $names: $*"
}

start own setpriv --reuid 65534 --regid 65534 --clear-groups sleep 1000
own=$PID
theirs own "$own"
before=$(status "$own")
# A plain process of one's own.
images a
lacks CAP_CHECKPOINT_RESTORE as '' ./cr-dump -t "$own" -D a
no_images a && is_free "$own" || die "a refused dump touched something"
as checkpoint_restore ./cr-dump -t "$own" -D a || die "CAP_CHECKPOINT_RESTORE does not suffice to dump"
wait_gone "$own" || die "it is still there"
lacks CAP_CHECKPOINT_RESTORE as '' ./cr-restore -D a -d
is_gone "$own" || die "a refused restore made something"
as checkpoint_restore ./cr-restore -D a -d || die "CAP_CHECKPOINT_RESTORE does not suffice to restore"
[ "$(status "$own")" = "$before" ] || die "other credentials: $(diff <(echo "$before") <(status "$own"))"
# The same by capabilities of the files, which make a process that is not dumpable.
if setcap cap_checkpoint_restore+ep cr-dump 2>/dev/null && setcap cap_checkpoint_restore+ep cr-restore; then
	images b
	as '' ./cr-dump -t "$own" -D b || die "file capabilities do not suffice to dump"
	wait_gone "$own" || die "it is still there"
	as '' ./cr-restore -D b -d || die "file capabilities do not suffice to restore"
	[ "$(status "$own")" = "$before" ] || die "other credentials: $(diff <(echo "$before") <(status "$own"))"
	[ "$(stat -c %u "/proc/$own")" = 65534 ] || die "restored, it is not dumpable any more"
	setcap -r cr-dump && setcap -r cr-restore
else
	note "no file capabilities here"
fi
kill_it "$own"

# A process of somebody else: all that is missing, together; of what suffices, nothing superfluous.
start root sleep 1000
root=$PID
images c
lacks 'CAP_CHECKPOINT_RESTORE CAP_DAC_OVERRIDE CAP_KILL CAP_SYS_PTRACE' as '' ./cr-dump -t "$root" -D c
lacks 'CAP_DAC_OVERRIDE CAP_KILL CAP_SYS_PTRACE' as checkpoint_restore ./cr-dump -t "$root" -D c
lacks 'CAP_DAC_OVERRIDE CAP_KILL' as checkpoint_restore,sys_ptrace ./cr-dump -t "$root" -D c
is_free "$root" && no_images c || die "a refused dump touched something"
kill_it "$root"
start other setpriv --reuid 65533 --regid 65532 --groups 65531 --bounding-set -sys_boot sleep 1000
other=$PID
theirs other "$other"
before=$(status "$other")
as checkpoint_restore,sys_ptrace,dac_override,kill ./cr-dump -t "$other" -D c || die "capabilities do not suffice to dump another user's process"
wait_gone "$other" || die "it is still there"
lacks 'CAP_SETGID CAP_SETPCAP CAP_SETUID' as checkpoint_restore ./cr-restore -D c -d
lacks 'CAP_SETGID' as checkpoint_restore,setuid,setpcap ./cr-restore -D c -d
is_gone "$other" || die "a refused restore made something"
# However long it takes until it is held: it does not become that user before.
CR_FAULT=restore:born=stop as checkpoint_restore,setgid,setuid,setpcap ./cr-restore -D c -d >out 2>&1 </dev/null &
job=$! slow=''
slow_stops() { # the task to be is called so, too
	for slow in $(pgrep -x cr-restore); do [ "$(state_of "$slow")" != T ] || return 0; done
	return 1
}
wait_for 5 slow_stops || die "restore:born is not reached: $(cat out)"
sleep 0.3
kill -CONT "$slow"
wait_for 10 is_free "$other" || die "a process that was held late: $(cat out) $(ns_procs)"
wait "$job" || die "cr-restore exits with $?: $(cat out)"
[ "$(status "$other")" = "$before" ] || die "held late: $(diff <(echo "$before") <(status "$other"))"
as checkpoint_restore,sys_ptrace,dac_override,kill ./cr-dump -t "$other" -D c || die "it cannot be dumped again"
wait_gone "$other" || die "it is still there"
as checkpoint_restore,setgid,setuid,setpcap ./cr-restore -D c -d || die "capabilities do not suffice to restore another user's process"
[ "$(status "$other")" = "$before" ] || die "other credentials: $(diff <(echo "$before") <(status "$other"))"
kill_it "$other"

# Privileges of the process itself, and its scheduling, are not given away by who has them not.
start caps nice -n -5 setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all,+net_raw,+chown --ambient-caps=-all,+net_raw,+chown sleep 1000
caps=$PID
theirs caps "$caps"
images d
as checkpoint_restore,sys_ptrace ./cr-dump -t "$caps" -D d || die "cannot dump a process with capabilities"
wait_gone "$caps" || die "it is still there"
lacks 'CAP_CHOWN CAP_NET_RAW CAP_SETPCAP CAP_SYS_NICE' as checkpoint_restore ./cr-restore -D d -d
lacks 'CAP_NET_RAW' as checkpoint_restore,chown,setpcap,sys_nice ./cr-restore -D d -d
as checkpoint_restore,chown,net_raw,sys_nice ./cr-restore -D d -d || die "the capabilities of the process itself do not suffice"
kill_it "$caps"

# Sockets of one's own, and a name for one: nothing more. What waits in a queue may take more to be sent again, and that is said before
# anything is made, by --check as well.
sockets() { # NAME PERL: a program of that user, which has made them
	mkdir -m 777 "$1"
	printf '%s\n' "use Socket; $2; open my \$f, '>', 'ready'; close \$f; sleep 1000" >"$1/t.pl"
	start "$1" setpriv --reuid 65534 --regid 65534 --clear-groups perl "$W/$1/t.pl"
	wait_for 10 test -e "$1/ready" || die "$1: not ready: $(cat "$1/stderr")"
	chmod 666 "$1"/std*
}
# comes_back NAME CAPS MORE: dumped with CAPS; the restore lacks exactly MORE ("" = nothing), as --check says, and comes back with it.
comes_back() {
	local all=$2${3:+,$3} upper
	images "img.$1"
	as "$2" ./cr-dump -t "$PID" --check >out 2>&1 || die "$1: dump --check: $(cat out)"
	as "$2" ./cr-dump -t "$PID" -D "img.$1" >out 2>&1 || die "$1: dump: $(cat out)"
	wait_gone "$PID" || die "$1: still there"
	if [ -n "$3" ]; then
		upper=CAP_${3//,/ CAP_}
		lacks "${upper^^}" as "$2" ./cr-restore -D "img.$1" -d
		as "$2" ./cr-restore -D "img.$1" --check </dev/null >out 2>&1 && die "$1: --check finds nothing"
		grep -q "cap_${3#*,}" out || die "$1: --check says: $(cat out)"
		is_gone "$PID" || die "$1: a refused restore made something"
	fi
	as "$all" ./cr-restore -D "img.$1" --check </dev/null >out 2>&1 || die "$1: --check with $all: $(cat out)"
	as "$all" ./cr-restore -D "img.$1" -d </dev/null >out 2>&1 || die "$1: restore with $all: $(cat out)"
	is_free "$PID" || die "$1: not free"
	kill_it "$PID"
}
if command -v perl >/dev/null && unshare --net true; then
	sockets named "socket my \$s, AF_UNIX, SOCK_STREAM, 0; bind \$s, pack_sockaddr_un('$W/named/here') or die; listen \$s, 1; socketpair my \$a, my \$b, AF_UNIX, SOCK_STREAM, 0; syswrite \$a, 'x'"
	comes_back named checkpoint_restore ''
	sockets inet "socket my \$t, AF_INET, SOCK_STREAM, 0; bind \$t, sockaddr_in(4301, INADDR_LOOPBACK) or die; listen \$t, 3; socket my \$u, AF_INET6, SOCK_DGRAM, 0"
	comes_back inet checkpoint_restore ''
	sockets queue "socket my \$u, AF_INET, SOCK_DGRAM, 0; bind \$u, sockaddr_in(4302, INADDR_LOOPBACK) or die; socket my \$v, AF_INET, SOCK_DGRAM, 0; send \$v, 'q', 0, sockaddr_in(4302, INADDR_LOOPBACK) or die"
	comes_back queue checkpoint_restore net_admin,net_raw
	sockets signed "socketpair my \$a, my \$b, AF_UNIX, SOCK_DGRAM, 0; setsockopt \$_, SOL_SOCKET, 16, 1 for \$a, \$b; send \$a, 'x', 0 or die"
	comes_back signed checkpoint_restore sys_admin
	sockets large "socketpair my \$a, my \$b, AF_UNIX, SOCK_DGRAM, 0; setsockopt \$a, SOL_SOCKET, SO_SNDBUF, 100000"
	comes_back large checkpoint_restore net_admin
	# What the lock of the network takes, and no more, is asked for by --check, too.
	sockets tcp "socket my \$l, AF_INET, SOCK_STREAM, 0; bind \$l, sockaddr_in(4303, INADDR_LOOPBACK) or die; listen \$l, 3; socket my \$c, AF_INET, SOCK_STREAM, 0; connect \$c, sockaddr_in(4303, INADDR_LOOPBACK) or die; accept my \$a, \$l"
	as checkpoint_restore,net_admin ./cr-dump -t "$PID" --check --tcp-established >out 2>&1 || die "a connection, with CAP_NET_ADMIN: $(cat out)"
	as checkpoint_restore ./cr-dump -t "$PID" --check --tcp-established >out 2>&1 && die "a connection without CAP_NET_ADMIN: nothing found"
	grep -qi 'cap_net_admin' out || die "a connection without CAP_NET_ADMIN: $(cat out)"
	is_free "$PID" || die "a check leaves a connection's program traced"
	kill_it "$PID"
else
	note "no sockets here: perl is missing, or namespaces are"
fi
wait_for 2 nobody_there || die "somebody is left: $(ns_procs)"
