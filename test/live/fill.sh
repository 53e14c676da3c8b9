#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Large memory is filled through a userfaultfd, wherever its pages come from: without UFFDIO_COPY the restore fails and says so. It is
# filled in the other way where nobody gives us one, or it refuses the memory.
# timeout: 200
. "$TOP/test/lib/common.sh"
withhold=$BIN/test/live/withhold
EPERM=1 ENOSYS=38 EINVAL=22 ENOMEM=12
USERFAULTFD=323 PIDFD_GETFD=438
API=16:1=$((0xc018aa3f)) REGISTER=16:1=$((0xc020aa00)) COPY=16:1=$((0xc028aa03))
"$withhold" $ENOSYS 999 true || skip "no seccomp filters here"
"$CR_CHECK" --feature uffd >/dev/null 2>&1 || skip "no userfaultfd here"
fast_dir img

# dirs: of all programs that are in the checkpoint.
all_have() { local d; for d in "${dirs[@]}"; do [ -e "$d/$1" ] || return 1; done; }
all_have_said() { local d; for d in "${dirs[@]}"; do [ -s "$d/verdict" ] || return 1; done; }
begin() { # NAME COMMAND...: the command, in a directory of that name
	start "$@"
	target=$PID
	wait_for 60 all_have ready || die "$1: not ready: $(cat "$1/stderr")"
}
proves() { # HOW
	touch "${dirs[@]/%//go}"
	wait_for 60 all_have_said || die "$1: no verdict; it is $(state_of "$target")"
	! grep -hv '^pass' "${dirs[@]/%//verdict}" || die "$1: a program fails"
	rm "${dirs[@]/%//go}" "${dirs[@]/%//verdict}"
	wait_gone "$target" 10 || die "$1: it does not end"
}
needs_copy() { # HOW COMMAND...
	local how=$1
	shift
	"$withhold" $ENOMEM "$COPY" "$@" >out 2>&1 && die "$how: not filled by UFFDIO_COPY"
	grep -q UFFDIO_COPY out || die "$how: $(cat out)"
	wait_gone "$target" 10 || die "$how: a failed restore leaves it: $(state_of "$target")"
}

dirs=(one)
begin one "$BIN/test/progs/mm_large"
mkdir img/pre img/dir img/zst img/chain
"$CR_DUMP" -t "$target" -D img/pre --pre-dump || die "pre-dump"
"$CR_DUMP" -t "$target" -D img/chain -R --prev-images-dir ../pre || die "increment"
"$CR_DUMP" -t "$target" -D img/zst -R --compress || die "dump --compress"
"$CR_DUMP" -t "$target" -D - -R >img/stream || die "dump -D -"
"$CR_DUMP" -t "$target" -D img/dir || die "dump"
wait_gone "$target" 10 || die "still there"
for how in dir chain zst; do
	needs_copy $how "$CR_RESTORE" -D img/$how -d
	"$CR_RESTORE" -D img/$how -d >out 2>&1 || die "$how: $(cat out)"
	proves $how
done
needs_copy stream "$CR_RESTORE" -D - -d <img/stream
"$CR_RESTORE" -D - -d <img/stream >out 2>&1 || die "stream: $(cat out)"
proves stream
for without in "$EPERM $USERFAULTFD" "$ENOSYS $USERFAULTFD" "$EPERM $PIDFD_GETFD" "$EINVAL $API" "$EINVAL $REGISTER"; do
	# shellcheck disable=SC2086
	"$withhold" $without "$CR_RESTORE" -D img/dir -d >out 2>&1 || die "without $without: $(cat out)"
	proves "without $without"
done

# A tree: pages are written when all are there.
mkdir -p two/a two/b
dirs=(two/a two/b)
begin two sh -c "(cd a && exec $BIN/test/progs/mm_large) & (cd b && exec $BIN/test/progs/mm_large) & wait"
mkdir img/tree
"$CR_DUMP" -t "$target" -D img/tree || die "dump of a tree"
wait_gone "$target" 10 || die "still there"
needs_copy tree "$CR_RESTORE" -D img/tree -d
"$CR_RESTORE" -D img/tree -d >out 2>&1 || die "tree: $(cat out)"
proves tree
