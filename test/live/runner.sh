#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The runner itself: it can fail, it counts, it ends what hangs, it notices what is left behind.
. "$TOP/test/lib/common.sh"
t=$W/tree
mkdir -p "$t/test/check" "$t/build/test/progs"
cp -r "$TOP/test/run" "$TOP/test/lib" "$t/test/"
script() { printf '#!/bin/bash\n%s\n' "$2" >"$t/test/check/$1" && chmod +x "$t/test/check/$1"; }
expect() { # expect STATUS LAST-LINE ARGUMENT...
	local rc want=$1 last=$2
	shift 2
	out=$(cd "$t" && env -u V -u KEEP -u TIMES BUILD=build TMPDIR="$W/tmp" test/run "$@" 2>&1)
	rc=$?
	[ "$(printf '%s\n' "$out" | tail -n 1)" = "$last" ] || die "the last line is not '$last': $out"
	[ "$rc" = "$want" ] || die "exit status $rc, not $want: $out"
}
script good 'exit 0'
script lazy 'echo "SKIP: no reason at all"; exit 77'
expect 0 '2 passed, 0 failed, 1 skipped'
[[ $out == *"skip style/lazy: no reason at all"* ]] || die "the reason of a skip is not told: $out"
script bad 'echo "something is wrong"; exit 1'
expect 1 '2 passed, 1 failed, 1 skipped'
[[ $out == *"something is wrong"* ]] || die "the log of a failure is not shown: $out"
expect 0 '1 passed, 0 failed, 0 skipped' good
expect 0 '1 passed, 0 failed, 0 skipped' style/good
expect 1 '0 passed, 1 failed, 0 skipped' bad
expect 2 'test/run: no test is named nothing' nothing
rm "$t/test/check/bad"
script leaves 'cd "$W" && mkdir inside && cd inside && setsid sleep 5 >/dev/null 2>&1 & sleep 0.2'
expect 1 '2 passed, 1 failed, 1 skipped'
[[ $out == *"process "*sleep* ]] || die "a process that is left is not named: $out"

# Programs: the same through dump and restore, with tools that do nothing: the runner must not believe them.
rm "$t/test/check/leaves"
mkdir -p "$t/test/progs"
cp "$TOP/test/progs/test.h" "$t/test/progs/"
for p in cr-dump cr-restore cr-image; do printf '#!/bin/sh\nexit 0\n' >"$t/build/$p" && chmod +x "$t/build/$p"; done
printf '#include "test.h"\nint main(void) { test_ready(); pass(); }\n' >"$t/test/progs/simple.c"
printf '#include "test.h"\nint main(void) { TEST_SKIP("not on a Sunday"); }\n' >"$t/test/progs/skips.c"
printf '#include "test.h"\nint main(void) { CHECK_EQ(1 + 1, 3); }\n' >"$t/test/progs/wrong.c"
for p in simple skips wrong; do gcc -D_GNU_SOURCE -o "$t/build/test/progs/$p" "$t/test/progs/$p.c" || die "cannot compile $p.c"; done
expect 1 '0 passed, 1 failed, 0 skipped' prog/simple
[[ $out == *"without inventory.img"* ]] || die "a dump without images was believed: $out"
expect 0 '0 passed, 0 failed, 1 skipped' prog/skips
[[ $out == *"not on a Sunday"* ]] || die "the reason of a program's skip is not told: $out"
expect 1 '0 passed, 1 failed, 0 skipped' prog/wrong
[[ $out == *"wrong.c:2: 1 + 1 is 2"* ]] || die "the program's words are not told: $out"

# Interrupted, to its process group as a terminal does it, or alone: what it started ends with it, and its directory goes.
mkdir "$t/test/live"
printf '. "$TOP/test/lib/common.sh"\nstart a sleep 1234\ntouch "%s/hangs"\nwhile :; do date >>"$W/more"; done\n' "$W" >"$t/test/live/hang.sh"
sleepers() { pgrep -fx 'sleep 1234'; }
for how in "-INT -" "-TERM -" "-TERM "; do
	rm -f hangs
	(cd "$t" && exec setsid env --default-signal=INT BUILD=build TMPDIR="$W/tmp" test/run hang) >out 2>&1 </dev/null &
	run=$!
	wait_for 20 test -e hangs || die "the test does not start: $(cat out)"
	sleepers >/dev/null || die "nobody sleeps"
	# shellcheck disable=SC2086
	kill ${how% *} -- "${how#* }$run"
	wait "$run" && die "interrupted by ${how% *}, it passes"
	! sleepers >/dev/null || die "interrupted by ${how% *}, somebody is left: $(pgrep -fa 'sleep 1234')"
	[ -z "$(ls "$W/tmp")" ] || die "interrupted by ${how% *}, files are left: $(ls "$W"/tmp/*)"
done
