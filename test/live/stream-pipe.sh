#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
# Streams through everything that pipes go through: files, zstd, tee, tar in both directions, another pid namespace; what the program
# writes is always that of one undisturbed run.
. "$TOP/test/lib/common.sh"
need perl zstd tar

cat >t.pl <<'END'
open my $r, '>', 'ready'; close $r; my %h = map { $_ => "value $_" x 50 } 1 .. 20000; my $n = 0; $| = 1;
for (;;) { my $k = 1 + $n % 20000; $h{$k} eq "value $k" x 50 or die "memory"; print $n++, "\n"; select undef, undef, undef, 0.002 }
END
start t perl "$W/t.pl"
wait_for 10 test -e t/ready || die "not ready"

goes_on() { # what was done to it
	local n
	n=$(stat -c %s t/stdout)
	wait_for 10 grows "$n" || die "$1: the program does not go on"
	n=$(wc -l <t/stdout)
	seq 0 $((n - 1)) | cmp -s - <(head -n "$n" t/stdout) || die "$1: not the output of one undisturbed run"
	is_free "$PID" || die "$1: somebody traces it"
}
grows() { [ "$(stat -c %s t/stdout)" -gt "$1" ]; }
from() { "$CR_RESTORE" -D - -d 2>err || die "$1: cr-restore: $(cat err)"; [ ! -s err ] || die "$1: $(cat err)"; goes_on "$1"; }

sleep 0.3
# A file.
"$CR_DUMP" -t "$PID" -D - >s.tar 2>err || die "cr-dump -D -: $(cat err)"
[ ! -s err ] || die "cr-dump is not quiet: $(cat err)"
wait_gone "$PID" || die "still there"
tar tf s.tar >list 2>&1 || die "tar t: $(cat list)"
[ "$(head -n 1 list)" = inventory.img ] || die "the inventory is not first: $(cat list)"
[ "$(tail -n 1 list)" = cr-manifest.json ] || die "the manifest is not last: $(cat list)"
from "from a file" <s.tar
kill -9 "$PID"
wait_gone "$PID"
# What the file says is one moment; output goes on from there.
truncate -s "$(tar xOf s.tar files.img >f.img; "$CR_IMAGE" decode -i f.img | grep -oE '"pos": *[0-9]+' | grep -oE '[0-9]+' | sort -n | tail -n 1)" t/stdout

# tar x makes a directory for every tool, tar c a stream of it, in any order.
mkdir x
tar xf s.tar -C x || die "tar x"
"$CR_IMAGE" check x >out || die "check of what tar made: $(cat out)"
grep -q 'as the manifest says' out || die "check: $(cat out)"
restore x
goes_on "from tar x"
"$CR_DUMP" -t "$PID" -D - | { rm -rf y; mkdir y; tar x -C y; } || die "cr-dump | tar x"
(cd y && tar cf - pages-*.img cr-manifest.json --exclude='pages-*' --exclude=cr-manifest.json ./*) >pages-first.tar
tar tf pages-first.tar >list
[[ $(head -n 1 list) == pages-* ]] || die "pages are not first: $(cat list)"
grep -q inventory.img list || die "no inventory: $(cat list)"
wait_gone "$PID" || die "still there"
from "pages first" <pages-first.tar
"$CR_DUMP" -t "$PID" -D - | { rm -rf z; mkdir z; "$CR_IMAGE" unpack z; } || die "cr-dump | cr-image unpack"
wait_gone "$PID" || die "still there"
"$CR_IMAGE" compress z >/dev/null || die "compress"
"$CR_IMAGE" pack z | from "packed, compressed images" || exit 1

# One host: the dumper ends the process when all is taken.
"$CR_DUMP" -t "$PID" -D - | from "the same host" || exit 1
"$CR_DUMP" -t "$PID" -D - --compress | from "the same host, compressed" || exit 1
"$CR_DUMP" -t "$PID" -D - | zstd -q -T0 | cat | zstd -dc | from "zstd on the way" || exit 1
"$CR_DUMP" -t "$PID" -D - | zstd -q | from "zstd, unpacked by us" || exit 1
"$CR_DUMP" -t "$PID" -D - --compress=3 | zstd -dc | from "compressed by us, unpacked by zstd" || exit 1
"$CR_DUMP" -t "$PID" -D - | tee archive.tar | from "tee" || exit 1
"$CR_DUMP" -t "$PID" -D - --compress | tee archive.tar.zst | from "tee, compressed" || exit 1
zstd -qt archive.tar.zst || die "zstd does not like the stream"
zstd -dc archive.tar.zst | tar t >list || die "tar t of the unpacked stream"
"$CR_DUMP" -t "$PID" -D d 2>/dev/null && die "no such directory, but dumped"
mkdir d
"$CR_DUMP" -t "$PID" -D d --compress || die "--compress to a directory"
wait_gone "$PID" || die "still there"
ls d/pages-*.img.zst >/dev/null || die "pages are not compressed: $(ls d)"
! ls d/pages-*.img >/dev/null 2>&1 || die "pages are plain too"
zstd -qt d/pages-*.img.zst || die "zstd does not like the pages"
"$CR_IMAGE" check d >out || die "check: $(cat out)"
grep -q 'as the manifest says' out || die "check: $(cat out)"
restore d
goes_on "from compressed pages"
# Over them, plain, and the other way round.
"$CR_DUMP" -t "$PID" -D d || die "dump over a compressed checkpoint"
! ls d/*.zst >/dev/null 2>&1 || die "compressed images of the older checkpoint are left"
wait_gone "$PID"
restore d
goes_on "over compressed ones"
"$CR_DUMP" -t "$PID" -D d --compress || die "compressed, over a plain checkpoint"
! ls d/pages-*.img >/dev/null 2>&1 || die "plain pages of the older checkpoint are left"
wait_gone "$PID"
restore d
goes_on "over plain ones"

# Who takes nothing of it, and goes when all of it is in the pipe, takes nobody's life.
takes_nothing() { sleep 1; }
"$CR_DUMP" -t "$PID" -D - 2>out | takes_nothing
[ "${PIPESTATUS[0]}" = 1 ] || die "cr-dump to nobody: $(cat out)"
grep -q 'gone away before its end' out || die "cr-dump to nobody says: $(cat out)"
goes_on "to nobody"

# Another host: the pids are free there, and pages go from the pipe into the process. It is as if ssh were between.
"$CR_DUMP" -t "$PID" -D - -R --compress=1 >/dev/null || die "dump -R"
goes_on "-R"
"$CR_DUMP" -t "$PID" -D - --compress=1 >there.zst || die "dump"
wait_gone "$PID"
n=$(stat -c %s t/stdout)
there() { # where small pids have been used by others
	truncate -s "$n" t/stdout
	"$TOP/test/lib/in-ns" sh -c "i=0; while [ \$i -lt 50 ]; do /bin/true; i=\$((i + 1)); done
		\"$CR_RESTORE\" -D - -d 2>&1 || exit 1; i=0
		while [ \$i -lt 300 ] && [ \$(stat -c %s t/stdout) -le $n ]; do sleep 0.1; i=\$((i + 1)); done; kill -9 $PID" >out || die "there: $(cat out)"
	grows "$n" || die "there: it does not go on"
}
there <there.zst
mkdir unpacked
"$CR_IMAGE" unpack unpacked <there.zst || die "cr-image unpack of a compressed archive"
"$CR_IMAGE" check unpacked >out || die "unpacked: $(cat out)"
zstd -dc there.zst | there || exit 1
# Somebody who has the pipe, too, told it not to block, and its writer is slow.
slowly() { zstd -dc there.zst | perl -e '$/ = \300000; $| = 1; while (<STDIN>) { print; select undef, undef, undef, 0.05 }'; }
slowly | perl -e 'use Fcntl; fcntl(STDIN, F_SETFL, O_NONBLOCK) or die; exec "cat"' >out 2>&1 && die "it blocks: this proves nothing"
slowly | { perl -e 'use Fcntl; fcntl(STDIN, F_SETFL, O_NONBLOCK) or die'; there; } || exit 1
zstd -dc there.zst | zstd -q -1 | there || exit 1
