#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# git cloning and packing, with its threads and processes on pipes: dumped at many moments; the repository is whole.
# timeout: 120
. "$TOP/test/lib/common.sh"
need git perl

export HOME=$W
git init -q --bare first.git
perl -e 'for $i (1 .. 400) {
	print "commit refs/heads/main\ncommitter A <a\@b> $i +0000\ndata 2\n$i\n" =~ s/data 2\n(\d+)/"data " . length($1) . "\n$1"/er;
	$t = join("", map { "line " . ($_ * $i % 97) . " of $_\n" } 1 .. 400 + $i);
	print "M 644 inline file" . ($i % 40) . "\ndata " . length($t) . "\n$t\n";
}' | git --git-dir=first.git fast-import --quiet || die "no repository"
head=$(git --git-dir=first.git rev-parse main)
start a bash -c "
	git clone -q --no-local --branch main '$W/first.git' repo || exit 1
	cd repo
	for i in 1 2 3; do git -c pack.threads=2 repack -adfq --depth=50 --window=80 || exit 1; done
	git fsck --full --strict >../fsck 2>&1
	echo \$? >../status"
fast_dir img
n=0
while [ ! -e a/status ] && ! is_dead "$PID" && [ $n -lt 25 ]; do
	mkdir img/$n
	if ! "$CR_DUMP" -t "$PID" -D img/$n >dump.log 2>&1; then
		is_dead "$PID" && break
		die "dump $n: $(cat dump.log)"
	fi
	wait_gone "$PID"
	restore img/$n
	rm -rf img/$n
	n=$((n + 1))
	sleep 0.1
done
[ $n -ge 3 ] || die "only $n dumps: $(cat a/stderr)"
wait_gone "$PID" 60 || die "git does not end"
[ "$(cat a/status)" = 0 ] || die "git fsck: $(cat a/fsck a/stderr)"
[ "$(git --git-dir=a/repo/.git rev-parse HEAD)" = "$head" ] || die "another head"
diff <(git --git-dir=first.git rev-list --objects --all | sort) <(git --git-dir=a/repo/.git rev-list --objects HEAD | sort) >/dev/null || die "other objects"
