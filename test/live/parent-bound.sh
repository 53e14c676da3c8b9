#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A checkpoint is bound to the one that it leaves pages to: another one in its place, an edited one, one whose pages were given back
# are refused by name; what is damaged is called whole by nobody.
# timeout: 200
. "$TOP/test/lib/common.sh"
need python3 jq
fast_dir c
cat >t.py <<'END'
import mmap, os, signal, time
N = 4096 # 16 MiB: several pieces of sums
m = mmap.mmap(-1, N * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
turn = 1
def put(first, step):
    for i in range(first, N, step):
        m[i * 4096:i * 4096 + 16] = b'%08d%08d' % (i, turn)
put(0, 1)
def change(*a):
    global turn
    turn += 1
    put(turn, 3)
    open('changed', 'w').close()
def say(*a):
    # The last turn that wrote a page is known from its number.
    bad = [i for i in range(N) if m[i * 4096:i * 4096 + 16] !=
           b'%08d%08d' % (i, max([1] + [t for t in range(2, turn + 1) if i >= t and (i - t) % 3 == 0]))]
    with open('said.new', 'w') as f:
        f.write('good %d\n' % turn if not bad else 'bad %s\n' % bad[:9])
    os.rename('said.new', 'said')
signal.signal(signal.SIGUSR1, change)
signal.signal(signal.SIGUSR2, say)
open('ready', 'w').close()
while True:
    time.sleep(0.05)
END
start t python3 "$W/t.py"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
turn() { rm -f t/changed; kill -USR1 "$PID"; wait_for 20 test -e t/changed || die "nothing changes"; }
well() { # WHAT TURN
	rm -f t/said
	kill -USR2 "$PID" || die "$1: not there"
	wait_for 20 test -e t/said || die "$1: no answer"
	[ "$(cat t/said)" = "good $2" ] || die "$1: $(cat t/said), not good $2"
}
gone() { kill -KILL "$PID" 2>/dev/null; wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"; }
d() {
	local n=$1
	shift
	mkdir -p "c/$n"
	"$CR_DUMP" -t "$PID" -D "c/$n" "$@" >out 2>&1 || die "dump $n $*: $(cat out)"
	[ ! -s out ] || die "dump $n is not quiet: $(cat out)"
}
back() { # DIR TURN: restores right
	"$CR_IMAGE" check "c/$1" >out 2>&1 || die "check of $1: $(cat out)"
	"$CR_RESTORE" --check -D "c/$1" >out 2>&1 || grep -qv 'pid' out || die "restore --check of $1: $(cat out)"
	restore "c/$1"
	well "$1" "$2"
	gone
}
no() { # DIR REGEX: refused by everybody
	refused 4 "$2" "$CR_RESTORE" -D "c/$1" -d
	if "$CR_RESTORE" --check -D "c/$1" >out 2>&1; then die "restore --check finds nothing in $1"; fi
	grep -qE "$2" out || die "restore --check of $1: $(cat out)"
	if "$CR_IMAGE" check "c/$1" >out 2>&1; then die "check finds nothing in $1"; fi
	grep -qE "$2" out || die "check of $1: $(cat out)"
	refused 4 "$2" "$CR_IMAGE" flatten "c/$1" -o c/flat
	[ ! -e c/flat/inventory.img ] || die "flatten makes a checkpoint of $1"
	rm -rf c/flat
	wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"
}
flip() { # DIR: one bit of a page that later turns did not write
	local f
	f=$(ls -S "c/$1"/pages-*.img | head -n 1)
	python3 -c "
import sys
d = bytearray(open(sys.argv[1], 'rb').read())
i = d.find(b'%08d%08d' % (4095 - 4095 % 3 - 3 + int(sys.argv[2]), 1)); assert i > 0
d[i + 100] ^= 4
open(sys.argv[1], 'wb').write(d)" "$f" "$2"
}
d 1 -R
turn
d 2 -R --prev-images-dir ../1
turn
d 3 --prev-images-dir ../2
wait_gone "$PID" || die "it does not go"
jq -e '.run and .state and .parent.run and .parent.state' c/2/cr-manifest.json >out || die "the manifest does not name the parent"
cp -a c all
for i in 1 2 3; do back $i $i; done

# Another dump in the parent's place.
restore c/3
d 1 -R
gone
back 1 3
no 2 'parent, .*/1, is not what'
no 3 'parent, .*/1, is not what'
rm -rf c/* && cp -a all/* c/
# An edited parent that was sealed; and the later one that accepts it.
flip 1 1
no 2 'content is not what|pages-'
"$CR_IMAGE" seal c/1 >out || die "seal"
no 2 'pages have changed'
"$CR_IMAGE" seal c/2 >out || die "seal"
"$CR_IMAGE" check c/2 >out 2>&1 || die "check of an accepted one: $(cat out)"
rm -rf c/* && cp -a all/* c/
# What changes no page changes nothing.
"$CR_IMAGE" compress c/1 >out || die "compress"
"$CR_IMAGE" dedup c/2 >out || die "dedup"
back 3 3
"$CR_IMAGE" decompress c/1 >out || die "decompress"
mv c/2 c/two && ln -s two c/2
back 3 3
rm -rf c/* && cp -a all/* c/

# Room is given back: older ones are whole no more, and say so; those above them are.
restore c/3
turn
d 4 -R --prev-images-dir ../3 --auto-dedup
turn
d 5 --prev-images-dir ../4
wait_gone "$PID" || die "it does not go"
for i in 1 2 3; do no $i 'not whole any more'; done
mkdir c/6
refused 4 'not whole any more' "$CR_DUMP" -t 1 -D c/6 --prev-images-dir ../2
back 4 4
back 5 5
"$CR_IMAGE" seal c/1 >out && no 1 'not whole any more'
rm -rf c/* && cp -a all/* c/
# The same by a restore; also of one above it.
restore c/3
turn
d 4 --prev-images-dir ../3
wait_gone "$PID" || die "it does not go"
restore c/3 --auto-dedup
well "auto-dedup" 3
gone
no 3 'inventory|given back'
no 2 'given back'
no 1 'given back'
no 4 'given back'
"$CR_IMAGE" dedup c/3 >out 2>&1 && die "dedup of what a restore has taken"
rm -rf c/* && cp -a all/* c/

# Damage of an older one is damage afterwards, too, and nothing is given away.
for where in 1 2; do
	restore c/3
	turn
	flip 1 $((where - 1))
	mkdir c/4
	"$CR_DUMP" -t "$PID" -D c/4 -R --prev-images-dir ../3 --auto-dedup --track=content >out 2>&1 && ! grep -q . out
	rc=$?
	is_free "$PID" || die "$where: it is not free"
	well "after a dump upon damage ($rc)" 4
	gone
	no 1 'content is not what|not whole'
	if [ -e c/4/inventory.img ] && "$CR_RESTORE" -D c/4 -d >out 2>&1; then
		well "restored from what does not need the damaged page" 4
		gone
	fi
	rm -rf c/* && cp -a all/* c/
done
# Dumpers that die in the middle of it: the newest one is whole all the same, the others are not.
for at in noted given; do
	restore c/3
	turn
	mkdir c/4
	CR_FAULT=give:$at "$CR_DUMP" -t "$PID" -D c/4 -R --prev-images-dir ../3 --auto-dedup >out 2>&1 && die "$at: it did not die"
	well "$at: after it died" 4
	gone
	back 4 4
	no 3 'not whole any more' # the first one that was touched
	rm -rf c/* && cp -a all/* c/
done
# Down a stream, unpacked, and one of its rounds replaced.
restore c/3
"$CR_DUMP" -t "$PID" -D - -R --iterate=2 >s.tar || die "stream"
mkdir c/s && tar x -C c/s -f s.tar
gone
back s 3
restore c/3
d s/iterate-1 -R
gone
no s 'is not what it was made upon'
