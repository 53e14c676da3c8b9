#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Pages that processes share since fork are in the images once with --cow-pages; other readers are kept off, and the tools of ours
# know what they see.
# timeout: 120
. "$TOP/test/lib/common.sh"
fast_dir img
start t "$BIN/test/progs/mm_cow"
wait_for 20 test -e t/ready || die "not ready: $(cat t/stderr)"
dump img/all "$PID" -R
dump img/cow "$PID" -R --cow-pages
"$CR_IMAGE" decode -i img/all/inventory.img | jq -e '.entries[0].img_version == 2' >/dev/null || die "an ordinary dump is of another version"
"$CR_IMAGE" decode -i img/cow/inventory.img | jq -e '.entries[0].img_version == 3' >/dev/null || die "pages are left to parents, and the version does not say so"
"$CR_IMAGE" check img/cow >out || die "check: $(cat out)"
pages() { cat "$1"/pages-*.img | wc -c; }
all=$(pages img/all) cow=$(pages img/cow)
# Of five processes with 16 MiB each, little was written by each after it was made.
[ $((cow * 2)) -lt "$all" ] || die "with --cow-pages $cow bytes, without $all"
"$CR_IMAGE" decode -i "img/cow/pagemap-$PID.img" | grep '"flags": 65536' && die "the root has pages of a parent"
for f in img/cow/pagemap-*.img; do "$CR_IMAGE" decode -i "$f"; done >maps
grep -q '"flags": 65536' maps || die "no page is left to a parent: $(head -c 300 maps)"
check_images img/cow
# Views see what the processes see: neither holes nor less than in the other one.
"$CR_IMAGE" diff img/cow img/cow >out 2>&1 || die "it differs from itself: $(head -5 out)"
"$CR_IMAGE" diff --json img/all img/cow >out 2>&1
# Where a thread last ran is in its memory (rseq): a page of each may differ from dump to dump.
jq -e '[.. | objects | select(.what? == "pages")] | all(.[]; .pages == 1 and (has("unknown") | not))' out >/dev/null ||
	die "other pages: $(head -c 600 out)"
"$CR_IMAGE" x img/cow rss --json | jq -e '[.. | .missing? // 0] | add == 0' >/dev/null || die "pages are missing: $("$CR_IMAGE" x img/cow rss)"
for p in $("$CR_IMAGE" x img/all ps --json | jq -r ".[].pid"); do
	"$CR_IMAGE" core img/all --pid "$p" -o core.all && "$CR_IMAGE" core img/cow --pid "$p" -o core.cow || die "core of $p"
	[ "$(stat -c %s core.all)" = "$(stat -c %s core.cow)" ] && [ "$(cmp -l core.all core.cow | wc -l)" -lt 64 ] || die "the core files of $p differ"
done
# A run that nobody has
cp -r img/cow img/bad
"$CR_IMAGE" decode -i "img/bad/pagemap-$PID.img" | sed 's/"flags": 6/"flags": 65536/' >j && "$CR_IMAGE" encode -i j -o "img/bad/pagemap-$PID.img"
rm img/bad/cr-manifest.json
n=$(jq '[.entries[] | select(.flags == 65536)][0].nr_pages' j)
truncate -s "-$((n * 4096))" img/bad/pages-1.img
refused 4 'parent process' "$CR_RESTORE" -D img/bad -d
# The same in an image that says version 2
cp -r img/cow img/bad2
rm img/bad2/cr-manifest.json
"$CR_IMAGE" decode -i img/bad2/inventory.img | sed 's/"img_version": 3/"img_version": 2/' >j && "$CR_IMAGE" encode -i j -o img/bad2/inventory.img
refused 4 'unknown flags' "$CR_RESTORE" -D img/bad2 -d
# Without it nothing is lost: the program itself proves that (prog/mm_cow with --cow-pages).
kill -KILL "$PID"
wait_gone "$PID" || die "it does not go"
touch t/go
wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"
