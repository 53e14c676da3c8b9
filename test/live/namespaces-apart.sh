#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Namespaces that are not those of cr-dump: where a whole tree lives in them it is said where to run it, and there it finds nothing in the
# way; where tasks of one tree live in different ones, that there is no such place, from wherever it is asked, and who they are.
. "$TOP/test/lib/common.sh"
need unshare nsenter
mkdir img
# begin DIR COMMAND...: its pid in $root, that of its last descendant in $last.
last_of() { local c; last=$1; while c=$(cat "/proc/$last/task/$last/children") && c=${c%% *} && [ -n "$c" ]; do last=$c; done; }
asleep() { last_of "$root"; [ "$(cat "/proc/$last/comm")" = sleep ]; }
begin() {
	start "$@"
	root=$PID
	wait_for 5 asleep || die "$1: no sleep below $root: $(cat "$1/stderr")"
}
end() { kill -9 "$root" "$last" "$@" 2>/dev/null; wait_gone "$root" || die "it does not end"; }
tried=0
for kind in net ipc uts mnt user cgroup pid; do
	option=--${kind/mnt/mount}
	unshare --fork "$option" true 2>/dev/null || { note "no $kind namespaces here"; continue; }
	names="pid [0-9]+ \\([a-z]+\\) and pid [0-9]+ \\([a-z]+\\) of the tree live in different $kind namespaces"
	begin "apart-$kind" sh -c "unshare --fork $option sleep 1000 & wait"
	# Whoever makes a pid namespace is refused for that of its children before.
	re="another $kind namespace than the dumper .*no place to run cr-dump helps: $names"
	[ $kind != pid ] || re='pid_for_children'
	refused 5 "$re" "$CR_DUMP" -t "$root" -D img
	"$CR_DUMP" --check -t "$root" >list
	[ $? = 1 ] || die "$kind: a check finds nothing"
	grep -q "another $kind namespace.* no place .* pid $root (sh) and pid " list || die "$kind: a check says: $(cat list)"
	! grep -q 'nsenter' list || die "$kind: advice that leads nowhere: $(cat list)"
	# The child's is not that place: of the root, the same is said there.
	if [ $kind = net ] || [ $kind = uts ]; then
		refused 5 "pid $root \\(sh\\): it lives in another $kind namespace .*no place .* pid $root \\(sh\\) and pid " \
			nsenter -t "$last" "$option" "$CR_DUMP" -t "$root" -D img
	fi
	wait_for 5 is_free "$root" && is_free "$last" || die "$kind: somebody is not free"
	end
	tried=$((tried + 1))
done
no_images img || die "a refused dump left images"

# One in which the root has left the dumper's IPC namespace and its child has not.
if unshare --ipc true 2>/dev/null; then
	begin back unshare --ipc sh -c "nsenter --ipc=/proc/$$/ns/ipc sleep 1000 & wait"
	refused 5 'another ipc namespace than the first of the tree .*no place ' "$CR_DUMP" -t "$root" -D img
	end
	# Somebody else lives with the root: where he does is no place either.
	begin shared unshare --ipc sh -c 'unshare --ipc sleep 1000 & wait'
	nsenter -t "$root" --ipc sleep 1000 &
	other=$!
	sees() { [ "$(readlink "/proc/$other/ns/ipc")" = "$(readlink "/proc/$root/ns/ipc")" ]; }
	wait_for 5 sees || die "nobody beside it"
	refused 5 "also that of pid $other, which is not in the tree; no place to run cr-dump helps: .*ipc namespaces" "$CR_DUMP" -t "$root" -D img
	end "$other"
fi

# All in one: where to go, and that it helps. A socket of elsewhere is another matter.
if unshare --net true 2>/dev/null; then
	begin whole unshare --net sh -c 'sleep 1000 & wait'
	refused 5 "another net namespace than the dumper .*: nsenter -t $root -a" "$CR_DUMP" -t "$root" -D img
	out=$(nsenter -t "$root" --net "$CR_DUMP" --check -t "$root" 2>&1) || die "inside of it: $out"
	[ -z "$out" ] || die "inside of it: $out"
	end
	tried=$((tried + 1))
fi
[ "$tried" -gt 0 ] || skip "no namespaces can be made here"
