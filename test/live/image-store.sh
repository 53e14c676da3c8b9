#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What cr-dump writes is whole by cr-image check; a compressed, packed and unpacked checkpoint restores, and goes on where it was; what
# the manifest says is noticed by cr-restore.
# timeout: 120
. "$TOP/test/lib/common.sh"
cat >t.pl <<'END'
open my $r, '>', 'ready'; close $r; my %h = map { $_ => "value $_" x 50 } 1 .. 20000; my $n = 0; $| = 1;
for (;;) { my $k = 1 + $n % 20000; $h{$k} eq "value $k" x 50 or die "memory"; print $n++, "\n"; select undef, undef, undef, 0.002 }
END
start t perl "$W/t.pl"
wait_for 10 test -e t/ready || die "not ready"
dump plain "$PID"
wait_gone "$PID" || die "still there"
"$CR_IMAGE" check plain >out || die "findings in a fresh dump: $(cat out)"
grep -q 'as the manifest says' out || die "images without checksums: $(cat out)"
n=$(stat -c %s t/stdout)
"$CR_IMAGE" compress plain >/dev/null || die "compress"
[ -e plain/files.img.zst ] || die "files.img is not compressed"
"$CR_IMAGE" pack plain | "$CR_IMAGE" unpack moved || die "pack, unpack"
"$CR_IMAGE" check moved >out || die "findings after the way through a pipe: $(cat out)"
restore moved
sleep 0.3
[ "$(stat -c %s t/stdout)" -gt "$n" ] || die "restored from compressed images, the program does not go on"
n=$(wc -l <t/stdout)
seq 0 $((n - 1)) | cmp - <(head -n "$n" t/stdout) || die "not the output of one undisturbed run"
# Again, with checksums of all, into the same directory as an older checkpoint.
echo >moved/tty-info.img.zst
cp moved/fs-"$PID".img moved/fs-77777.img
"$CR_IMAGE" seal moved >/dev/null 2>&1 && die "sealed with a broken image"
rm moved/tty-info.img.zst
"$CR_IMAGE" seal moved >/dev/null || die "seal"
"$CR_DUMP" -t "$PID" -D moved || die "dump"
wait_gone "$PID" || die "still there"
[ ! -e moved/fs-77777.img ] || die "an image of the older checkpoint is left"
[ ! -e moved/files.img.zst ] || die "a compressed image of the older checkpoint is left"
"$CR_IMAGE" check --json moved | jq -e '.clean and .without_checksum == 0' >/dev/null || die "$("$CR_IMAGE" check moved)"
# Damage: one byte of an image, and one of the pages, which check sees.
cp -r moved bad
printf '\377' | dd of=bad/mm-"$PID".img bs=1 seek=20 conv=notrunc status=none
out=$("$CR_RESTORE" -D bad -d 2>&1) && die "a damaged image was restored"
[[ $out == *mm-"$PID".img*manifest* ]] || die "the manifest was not named: $out"
rm -rf bad; cp -r moved bad
rm bad/seccomp.img
out=$("$CR_RESTORE" -D bad -d 2>&1) && die "restored without an image that the manifest names"
[[ $out == *seccomp.img*manifest* ]] || die "the manifest was not named: $out"
pages=$(cd moved && ls -S pages-*.img | head -n 1)
cp moved/seccomp.img bad/
printf '\377' | dd of="bad/$pages" bs=1 seek=100000 conv=notrunc status=none
"$CR_IMAGE" check bad >out && die "a damaged page was not seen"
grep -q "^$pages: the content" out || die "$(cat out)"
# Compressed pages carry checksums of their own: damage there stops a restore.
rm -rf bad; cp -r moved bad
"$CR_IMAGE" compress bad >/dev/null || die "compress"
printf '\377\377\377' | dd of="bad/$pages.zst" bs=1 seek=30000 conv=notrunc status=none
out=$("$CR_RESTORE" -D bad -d 2>&1) && die "damaged compressed pages were restored"
[[ $out == *"$pages.zst"* ]] || die "not named: $out"
restore moved
kill -9 "$PID"
wait_gone "$PID" || die "cannot be killed"
