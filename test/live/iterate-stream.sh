#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rounds of pre-dumps down a pipe, while the tree changes its memory: what was sent before is not sent again, and the other end has it all.
# timeout: 200
. "$TOP/test/lib/common.sh"
. "$TOP/test/lib/changing.sh"
need zstd
fast_dir img
changing 32 "${PAUSE:-100}"
well() {
	wait_for 10 is_free "$PID" || die "$1: not free"
	ask verdict "$PID"
	ask verdict.child "$CHILD"
	! grep -E '^VmFlags:.* (um|uw)' "/proc/$PID/smaps" "/proc/$CHILD/smaps" || die "$1: memory stays registered"
}
gone() { kill -KILL "$PID" && wait_for 5 nobody_there || die "somebody is left: $(ns_procs)"; }
# From end to end: the same pids, so the reader takes all of it before they go.
for way in '' --compress '' --compress; do
	# shellcheck disable=SC2086
	"$CR_DUMP" -t "$PID" -D - --iterate=4 --display-stats $way 2>err | "$CR_RESTORE" -D - -d >out 2>&1 || die "iterate=4 $way: $(cat err out)"
	[ ! -s out ] || die "cr-restore is not quiet: $(cat out)"
	grep -q '; the last one: ' err || die "no word about the end: $(cat err)"
	well "iterate=4 $way"
done
"$CR_DUMP" -t "$PID" -D - -R --iterate=3 >s.tar 2>err || die "cr-dump: $(cat err)"
[ ! -s err ] || die "cr-dump is not quiet: $(cat err)"
well "a copy"
gone
# Later rounds are smaller, and so is the dump that ends them.
tar tvf s.tar >list || die "tar does not read it"
bytes() { awk -v d="$1" '$6 ~ "^" d "pages-[0-9]*.img$" { n += $3 } END { print n + 0 }' list; }
[ $(($(bytes iterate-1/) / 4)) -gt "$(bytes '')" ] || die "the last part has $(bytes ''), the first round $(bytes iterate-1/)"
"$CR_RESTORE" -D - -d <s.tar >out 2>&1 || die "restore from a file: $(cat out)"
well "from a file"
gone
# The same as a directory, made by tar and by cr-image.
mkdir img/tar && tar xf s.tar -C img/tar || die "tar x"
"$CR_IMAGE" unpack img/un <s.tar >out 2>&1 || die "unpack: $(cat out)"
rm img/un/iterate-1/cr-manifest.json.zst 2>/dev/null
diff -r img/tar img/un || die "tar and cr-image unpack differ"
"$CR_IMAGE" check img/un >out 2>&1 || die "check: $(cat out)"
"$CR_IMAGE" flatten img/un -o img/flat >out 2>&1 || die "flatten: $(cat out)"
for d in un flat; do
	restore "img/$d"
	well "$d"
	gone
done
tar c -C img/tar . | "$CR_RESTORE" -D - -d >out 2>&1 || die "tar c of it: $(cat out)"
well "tar c of it"
gone
# Cut anywhere, or with a link that leads out or back: nothing is restored.
size=$(stat -c %s s.tar)
for at in 1000 $((size / 3)) $((size * 9 / 10)) $((size - 12000)); do
	head -c "$at" s.tar >cut.tar
	refused 4 'cut short|end record|image' sh -c '"$0" -D - -d <"$1"' "$CR_RESTORE" cut.tar
	nobody_there || die "cut at $at: somebody is left"
	rm -rf img/cut
	"$CR_IMAGE" unpack img/cut <cut.tar >out 2>&1 && die "unpack takes a stream that is cut at $at"
	[ -z "$(ls -A img/cut)" ] || die "unpack leaves $(ls -A img/cut)"
done
for link in ../x iterate-0 iterate-101 ../../etc /etc iterate-1/..; do
	rm -rf img/bad && cp -r img/tar img/bad && ln -sfn "$link" img/bad/parent
	tar c -C img/bad . >bad.tar
	refused 4 'cr-image|not in the stream' sh -c '"$0" -D - -d <"$1"' "$CR_RESTORE" bad.tar
	rm -rf img/cut
	"$CR_IMAGE" unpack img/cut <bad.tar >out 2>&1 && die "unpack takes a link to $link"
done
# What one needs, the other has taken the place of.
rm -rf img/bad && cp -r img/tar img/bad && cp -r img/bad/iterate-2 img/bad/iterate-77
tar c -C img/bad . >bad.tar
refused 4 'need the pages of' sh -c '"$0" -D - -d <"$1"' "$CR_RESTORE" bad.tar
rm -rf img/bad && cp -r img/tar img/bad && rm img/bad/iterate-2/pages-1.img && tar c -C img/bad . >bad.tar
refused 4 'iterate-2|pages-1.img' sh -c '"$0" -D - -d <"$1"' "$CR_RESTORE" bad.tar
nobody_there || die "somebody is left"
