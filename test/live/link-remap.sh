#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Names that --link-remap gives: nobody leaves one who is killed while images are written or who fails at any point; a snapshot leaves
# it for the restore, which takes it when nothing can fail any more.
. "$TOP/test/lib/common.sh"
fast_dir img
names() { find . -name 'link_remap.*'; }
start t "$BIN/test/progs/file_link_remap"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
for at in dump:looked dump:before-pages dump:after-pages dump:before-commit image-write; do
	CR_FAULT=$at "$CR_DUMP" -t "$PID" -D img -R --link-remap >out 2>&1
	[ $? = 137 ] || die "killed at $at: $(cat out)"
	[ -z "$(names)" ] || die "killed at $at leaves $(names)"
	no_images img || die "killed at $at leaves images"
	wait_for 5 is_free "$PID" || die "the process is not free"
done
for at in image-write image-link image-inventory; do
	refused 1 'Input/output error' env CR_FAULT=$at=5 "$CR_DUMP" -t "$PID" -D img -R --link-remap
	[ -z "$(names)" ] || die "failed at $at leaves $(names)"
done
# A stream whose reader goes away
"$CR_DUMP" -t "$PID" -D - -R --link-remap 2>out | head -c 1000 >/dev/null
[ -s out ] || die "nobody reads, and it says nothing"
[ -z "$(names)" ] || die "a broken stream leaves $(names)"
"$CR_DUMP" --check -t "$PID" --link-remap || die "the check"
[ -z "$(names)" ] || die "a check leaves $(names)"
dump img/a "$PID" -R --link-remap
[ "$(names | wc -l)" = 1 ] || die "a snapshot leaves these names: $(names)"
# Side by side, in one directory
dump img/b "$PID" --link-remap
[ "$(names | wc -l)" = 2 ] || die "two checkpoints have these names: $(names)"
wait_gone "$PID" || die "still there"
# A restore that fails or dies, however late, leaves the checkpoint with all that it needs.
refused 1 'restore:before-detach' env CR_FAULT=restore:before-detach=5 "$CR_RESTORE" -D img/b -d --link-remap
CR_FAULT=restore:before-detach "$CR_RESTORE" -D img/b -d --link-remap
[ $? = 137 ] || die "not killed at restore:before-detach"
wait_gone "$PID" || die "still there after a restore that was killed"
[ "$(names | wc -l)" = 2 ] || die "failed restores leave these names: $(names)"
restore img/b --link-remap
[ "$(names | wc -l)" = 1 ] || die "a restore leaves these names: $(names)"
kill -KILL "$PID"
wait_gone "$PID" || die "still there"
restore img/a --link-remap
[ -z "$(names)" ] || die "both restores leave $(names)"
touch t/go
wait_for 20 test -s t/verdict || die "no verdict"
grep -q ^pass t/verdict || die "$(cat t/verdict t/stderr)"
