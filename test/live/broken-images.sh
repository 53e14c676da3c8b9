#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Damaged checkpoints: whatever is wrong, one line that names the image, exit code 4, and no process was made. Random damage may go unseen in
# what has no meaning, but never crashes, hangs or leaves anything.
# timeout: 240
. "$TOP/test/lib/common.sh"
RANDOM=${SEED:-$(($(date +%s) % 32768))}
echo "SEED=$RANDOM"
# Images that ask for harm (O_TRUNC on a library) meet a read-only world.
mount -t tmpfs none "$W" && cd "$W" && mount -o remount,bind,ro / || skip "cannot make / read-only here"
mkdir tmp
cat >t.pl <<'END'
open my $r, '>', 'ready'; close $r; $SIG{USR1} = 'IGNORE'; my %h = map { $_ => 'x' x $_ } 1 .. 200;
pipe my $a, my $b; syswrite $b, 'queued'; for (;;) { select undef, undef, undef, 0.01 }
END
start t perl "$W/t.pl"
wait_for 5 test -e t/ready || die "not ready"
dump good "$PID"
# The manifest would notice all damage before the model has a look at it.
"$CR_IMAGE" check good >/dev/null || die "cr-image check has findings: $("$CR_IMAGE" check good)"
rm good/cr-manifest.json
wait_gone "$PID" || die "still there"
restore good
kill -9 "$PID"
wait_gone "$PID" || die "cannot be killed"
umask 022

broken() { # broken WHAT IMAGE: restore of ./bad must fail over it
	local what=$1 f=$2 out rc
	out=$(timeout 20 "$CR_RESTORE" -D bad -d 2>&1 </dev/null)
	rc=$?
	[ "$rc" = 4 ] || die "$f $what: exit status $rc: $out"
	[ "$(printf '%s\n' "$out" | wc -l)" = 1 ] || die "$f $what: not one line: $out"
	printf '%s' "$out" | grep -qF "${f%.img}" || die "$f $what: the line does not name it: $out"
	wait_for 2 nobody_there || die "$f $what: somebody is left: $(ns_procs)"
}
for f in good/*.img; do
	f=${f##*/}
	size=$(stat -c %s "good/$f")
	for what in missing magic cut; do
		rm -rf bad
		cp -r good bad
		case $what:$f in
		# These may be absent by the format: no descriptors, no queued data.
		missing:seccomp.img | missing:timens* | missing:stats* | missing:fdinfo* | missing:pipes-data*) continue ;;
		missing:*) rm "bad/$f" ;;
		magic:pages-*) continue ;;
		magic:*) printf 'ABCDEFGH' | dd of="bad/$f" conv=notrunc status=none ;;
		cut:seccomp.img) [ "$size" -gt 9 ] || continue; truncate -s $((size - 1)) "bad/$f" ;;
		cut:*) truncate -s $((size - 1)) "bad/$f" ;;
		esac
		case $f in timens* | stats*) continue ;; esac # nothing that a restore of one process depends on
		broken "$what" "$f"
	done
done

# Random damage of the small images.
mapfile -t small < <(cd good && find . -name '*.img' ! -name 'pages-*' -printf '%P\n' | sort)
for ((i = 0; i < ${CAMPAIGN:-150}; i++)); do
	rm -rf bad
	cp -r good bad
	f=${small[RANDOM % ${#small[@]}]}
	size=$(stat -c %s "good/$f")
	[ "$size" -gt 8 ] || continue
	for ((k = 0; k <= RANDOM % 3; k++)); do
		# shellcheck disable=SC2059
		printf "\\x$(printf %02x $((RANDOM % 256)))" | dd of="bad/$f" bs=1 seek=$((8 + RANDOM % (size - 8))) conv=notrunc status=none
	done
	out=$(timeout 20 "$CR_RESTORE" -D bad -d 2>&1 </dev/null)
	rc=$?
	[ "$rc" -le 5 ] || die "run $i: $f damaged: exit status $rc: $out; $(base64 -w0 "bad/$f")"
	if [ "$rc" = 0 ]; then
		left=$(ns_procs) # not in a pipe, whose other end would be on the list
		while read -r p _; do [ -z "$p" ] || kill -9 "$p"; done <<<"$left"
	else
		[ "$(printf '%s\n' "$out" | grep -vc 'warning: ')" = 1 ] || die "run $i: $f damaged: not one line: $out"
	fi
	wait_for 2 nobody_there || die "run $i: $f damaged ($rc): somebody is left: $(ns_procs)"
done
