#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Whatever happens to a stream: cut at every tenth, a bit flipped anywhere, members missing or twice: nothing is restored, and it says
# so. Readers that go away or are slow, and full disks, do the process no harm. Bits flipped in directories are found as well.
. "$TOP/test/lib/common.sh"
need perl tar zstd

cat >t.pl <<'END'
open my $r, '>', 'ready'; close $r; my %h = map { $_ => "value $_" x 50 } 1 .. 5000; my $n = 0; $| = 1;
for (;;) { my $k = 1 + $n % 5000; $h{$k} eq "value $k" x 50 or die "memory"; print $n++, "\n"; select undef, undef, undef, 0.002 }
END
start t perl "$W/t.pl"
wait_for 10 test -e t/ready || die "not ready"
grows() { [ "$(stat -c %s t/stdout)" -gt "$1" ]; }
unharmed() {
	is_free "$PID" || die "$1: the process is not free"
	wait_for 10 grows "$(stat -c %s t/stdout)" || die "$1: the process stands still"
}
one_line() { [ "$(grep -cv 'warning: ' err)" = 1 ] || die "$1: not one line: $(cat err)"; }

# Readers that go away: at once, in the middle.
for n in 0 1 10000 300000; do
	"$CR_DUMP" -t "$PID" -D - 2>err | head -c "$n" >/dev/null
	rc=("${PIPESTATUS[@]}")
	[ "${rc[0]}" = 1 ] || die "the reader went away after $n bytes: exit status ${rc[0]}: $(cat err)"
	one_line "reader that goes away"
	grep -q 'gone away' err || die "reader that goes away: $(cat err)"
	unharmed "reader that goes away"
done
"$CR_DUMP" -t "$PID" -D - --compress 2>err | head -c 1000 >/dev/null && die "pipefail: no failure"
one_line "compressed, reader that goes away"
unharmed "compressed, reader that goes away"
# One that is slow.
"$CR_DUMP" -t "$PID" -D - -R --timeout 1 2>err | { sleep 2; cat >slow.tar; } || die "a slow reader: $(cat err)"
unharmed "slow reader"
# Nobody, and a terminal.
"$CR_DUMP" -t "$PID" -D - 2>err >&- && die "no standard output, but a success"
unharmed "no standard output"
"$BIN/test/live/on_tty" "$CR_DUMP" -t "$PID" -D - >err 2>&1 && die "images on a terminal"
unharmed "terminal"
# Disks that are full after every tenth.
size=$(stat -c %s slow.tar)
mkdir disk
for i in 0 1 2 3 4 5 6 7 8 9; do
	full=$((size * i / 10 / 4096 * 4096))
	mount -t tmpfs -o "size=$((full ? full : 4096))" none disk || die "mount"
	"$CR_DUMP" -t "$PID" -D - 2>err >disk/s.tar && die "full disk at $i tenths: success"
	one_line "full disk, stream"
	unharmed "full disk, stream"
	rm disk/s.tar
	"$CR_DUMP" -t "$PID" -D disk 2>err && die "full disk at $i tenths: success"
	"$CR_DUMP" -t "$PID" -D disk --compress 2>err && [ ! -e disk/inventory.img ] && die "full disk at $i tenths: success without images"
	if [ -e disk/inventory.img ]; then # it is so much smaller
		wait_gone "$PID" || die "still there"
		"$CR_RESTORE" -D disk -d || die "full disk at $i tenths, compressed: does not come back"
		rm disk/*
	fi
	unharmed "full disk"
	[ -z "$(ls -A disk)" ] || die "full disk: left: $(ls -A disk)"
	umount disk
done

"$CR_DUMP" -t "$PID" -D - 2>err >s.tar || die "cr-dump: $(cat err)"
wait_gone "$PID"
zstd -q -1 s.tar -o s.zst
size=$(stat -c %s s.tar)
refused() { # what: the stream is standard input
	"$CR_RESTORE" -D - -d 2>err >/dev/null && die "$1: restored"
	one_line "$1"
	! [ -e "/proc/$PID" ] || die "$1: something is left of it: $(cat err)"
}
for i in 0 1 2 3 4 5 6 7 8 9; do
	head -c $((size * i / 10)) s.tar >cut.tar
	refused "cut at $i tenths" <cut.tar
	head -c $(($(stat -c %s s.zst) * i / 10)) s.zst >cut.zst
	refused "compressed, cut at $i tenths" <cut.zst
done
# No end record, though tar is content.
cp s.tar cut.tar
mkdir x
tar xf s.tar -C x
tar --delete -f cut.tar cr-manifest.json 2>/dev/null && refused "no end record" <cut.tar

# Bits: in each member of the stream, and all over the pages. Headers and the filling between members carry nothing of the process: only
# what is in a member must be found.
flip() { # FILE OFFSET
	perl -e 'open F, "+<", $ARGV[0] or die; binmode F; seek F, $ARGV[1], 0; read F, $b, 1; seek F, $ARGV[1], 0; print F chr(ord($b) ^ 1 << $ARGV[2])' "$1" "$2" "$((RANDOM % 8))"
}
tar tRf s.tar >list 2>/dev/null || die "tar tR"
while IFS=': ' read -r _ block name; do
	[ -f "x/$name" ] && [ "$name" != stats-dump ] && [ "$name" != cr-manifest.json ] || continue
	bytes=$(stat -c %s "x/$name")
	# The header is at the block, or after an extended one of two blocks.
	case $name in pages-*) head=3 tries=12 ;; *) head=1 tries=2 ;; esac
	for ((i = 0; i < tries; i++)); do
		cp s.tar bad.tar
		at=$((bytes * i / tries + RANDOM % (bytes / tries + 1)))
		[ "$at" -lt "$bytes" ] || at=$((bytes - 1))
		flip bad.tar $(((block + head) * 512 + at))
		cmp -s <(tar xOf bad.tar "$name" 2>/dev/null) "x/$name" && die "the test did not hit byte $at of $name"
		refused "bit flipped at byte $at of $name" <bad.tar
	done
done <list
for name in $(cd x && echo *.img); do
	bytes=$(stat -c %s "x/$name")
	case $name in pages-*) tries=12 ;; *) tries=2 ;; esac
	for ((i = 0; i < tries; i++)); do
		cp "x/$name" good
		at=$((bytes * i / tries))
		flip "x/$name" "$at"
		"$CR_RESTORE" -D x -d 2>err >/dev/null && die "directory, bit flipped at byte $at of $name: restored"
		! [ -e "/proc/$PID" ] || die "directory, bit flipped at byte $at of $name: something is left"
		cp good "x/$name"
	done
done
restore x
unharmed "after all"
kill -9 "$PID"
