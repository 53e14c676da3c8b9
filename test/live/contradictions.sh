#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sound images that contradict each other or ask for what cannot be: what cr-image edits can make so. Each is one line that names image
# and object, exit code 4, and nobody was made.
# timeout: 240
. "$TOP/test/lib/common.sh"
need jq

# make_good PROGRAM: its checkpoint, in good. A fresh one of each is restored once, so that it is known to be sound.
make_good() {
	start "$1" "$BIN/test/progs/$1"
	wait_for 20 test -e "$1/ready" || die "$1 is not ready: $(cat "$1/stderr")"
	rm -rf good
	dump good "$PID"
	wait_gone "$PID" || die "$1 is still there"
	restore good
	kill -9 "$PID"
	wait_for 10 end_all || die "somebody is left: $(ns_procs)"
	rm good/cr-manifest.json # it would notice every edit before anybody reads one
}
end_all() {
	local left p
	left=$(ns_procs)
	while read -r p _; do [ -z "$p" ] || kill -9 "$p"; done <<<"$left"
	[ -z "$left" ]
}
# contradicts IMAGE FILTER REASON [CODE]: good, with the image changed by the jq filter.
contradicts() {
	local image filter=$2 reason=$3 code=${4:-4}
	image=$(cd good && echo $1)
	rm -rf bad
	cp -r good bad
	"$CR_IMAGE" edit "bad/$image" --filter "$filter" >words 2>&1 || die "$image: $filter: $(cat words)"
	cmp -s "good/$image" "bad/$image" && die "$image: $filter changes nothing"
	refused "$code" "$reason" timeout 20 "$CR_RESTORE" -D bad -d
	nobody_there || die "$image: $filter: somebody is left: $(ns_procs)"
	refused "$code" "$reason" timeout 20 "$CR_RESTORE" -D bad --plan
}

make_good file_epoll_lent
lent='(.entries[] | select(.epfd) | .epfd.tfd[] | select(.holder))'
contradicts files.img "$lent.holder = 99999" 'files.img: epoll [0-9]+: task 99999 has no descriptor [0-9]+ that is watched'
contradicts files.img "$lent.held_as = 4000000000" 'files.img: epoll [0-9]+: task [0-9]+ has no descriptor 4000000000 that is watched'

make_good ipc_mqueue
queue='.entries[0].mqueues[0]'
for name in '' . .. a/b "$(printf 'x%.0s' {1..256})"; do
	contradicts 'ipcns-var-*.img' "$queue.name = \"$name\"" "ipcns-var-[0-9]+.img: entry 0: a POSIX message queue cannot have the name \"$name\""
done
contradicts 'ipcns-var-*.img' "$queue.maxmsg = 0" 'ipcns-var-[0-9]+.img: entry 0: POSIX message queue /[a-z]+: 0 messages of 40 bytes'
contradicts 'ipcns-var-*.img' "$queue.msgsize = 3000000000" 'ipcns-var-[0-9]+.img: entry 0: POSIX message queue /[a-z]+: .* of 3000000000 bytes'
contradicts 'ipcns-var-*.img' "$queue.mode = 65535" 'ipcns-var-[0-9]+.img: entry 0: POSIX message queue /[a-z]+: .*mode 177777'
full='(.entries[0].mqueues[] | select(.messages))'
contradicts 'ipcns-var-*.img' "$full.maxmsg = 1" 'ipcns-var-[0-9]+.img: entry 0: POSIX message queue /[a-z]+: [0-9]+ messages, where 1 have room'
contradicts 'ipcns-var-*.img' "$full.msgsize = 1" 'ipcns-var-[0-9]+.img: entry 0: POSIX message queue /[a-z]+: a message of [0-9]+ bytes'
contradicts 'ipcns-var-*.img' "$full.messages[0].priority = 32768" 'ipcns-var-[0-9]+.img: entry 0: .* with priority 32768'
contradicts 'ipcns-var-*.img' '.entries[0].sem_ctls |= .[:3]' 'ipcns-var-[0-9]+.img: entry 0: 3 values of kernel.sem'

# What only a task can open, when it is there, cannot be in a message, which is sent before.
make_good unix_rights
p=$(jq -r '.entries[0].pid' <("$CR_IMAGE" decode -i good/pstree.img))
contradicts files.img "(.entries[] | select(.reg.name? == \"/proc/version\") | .reg.name) = \"/proc/$p/status\"" \
	'sk-queues.img: file [0-9]+ is in a message, and only a task' 5
contradicts files.img "(.entries[] | select(.pidfd) | .pidfd.nspid) = $p" 'sk-queues.img: file [0-9]+ is in a message, and only a task' 5

make_good tree_shape
contradicts pstree.img '.entries[1].ppid = 99999' 'pstree.img: entry 1: .*99999'
contradicts pstree.img '.entries[1].ppid = .entries[1].pid' 'pstree.img: entry 1: '
contradicts pstree.img '.entries[1].ppid = .entries[-1].pid' 'pstree.img: entry 1: '
contradicts pstree.img '.entries[0].ppid = .entries[1].pid' 'pstree.img: entry 0: '
contradicts pstree.img '.entries[1].pid = .entries[2].pid' 'pstree.img: .*twice'
