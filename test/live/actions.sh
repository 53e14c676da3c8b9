#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 180
# Who is told of the stages: scripts in their order with what they are to find, a byte and lines on descriptors; a script that fails, hangs
# or dies stops what can be stopped and harms nothing.
. "$TOP/test/lib/common.sh"
own_net

# What it is told, whether the task stands still, and which descriptors it has; then what the test wants of it.
cat >hook <<'END2'
#!/bin/bash
n=${0##*/}
t=$CRTOOLS_INIT_PID
read -r s < <(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$t/status" 2>/dev/null)
# A task that is being made sleeps in a place of which its program knows nothing: in a mapping that has gone when it runs.
case ${s:-gone} in
t) s=still ;;
Z | X) s=gone ;; # until its parent takes note
R | S) [ "$(grep -c . "/proc/$t/maps")" = "$(cat "$W/maps")" ] && s=runs || s=still ;;
esac
inv=no
[ ! -e "$CRTOOLS_IMAGE_DIR/inventory.img" ] || inv=yes
fds=$(cd /proc/self/fd && echo *)
echo "$n $CRTOOLS_SCRIPT_ACTION $CRTOOLS_IMAGE_DIR $t ${s:-gone} $inv" >>"$W/told"
# ls of this directory has it open, and bash its script.
for f in /proc/$$/fd/*; do case ${f##*/} in 0 | 1 | 2 | 255) ;; *) [ ! -e "$f" ] || echo "$n has $f: $(readlink "$f")" >>"$W/leaks" ;; esac; done
[ "$(readlink /proc/$$/fd/0)" = /dev/null ] || echo "$n: standard input" >>"$W/leaks"
[ "$CRTOOLS_SCRIPT_ACTION" != status-ready ] || echo "noise of $n"
f=$W/do.$n.$CRTOOLS_SCRIPT_ACTION
[ ! -e "$f" ] || . "$f"
exit 0
END2
chmod +x hook
ln -s hook one
ln -s hook two
export W
said() { # LINE...: exactly these, in this order
	printf '%s\n' "$@" >want
	cmp -s want told || die "$what: other stages than wanted: $(diff want told)"
	[ ! -e leaks ] || die "$what: $(cat leaks)"
	rm -f told
}
start s sleep 100000
p=$PID
grep -c . "/proc/$p/maps" >maps
mkdir img

what='a dump'
"$CR_DUMP" -t "$p" -D img --action-script "$W/one" --action-script "$W/two" --status-fd 7 --phase-fd 8 --pidfile "$W/pid" \
	7>byte 8>lines >out 2>err || die "$what: $(cat err)"
said "one pre-dump $W/img $p runs no" "two pre-dump $W/img $p runs no" "one post-dump $W/img $p still yes" \
	"two post-dump $W/img $p still yes" "one status-ready $W/img $p gone yes" "two status-ready $W/img $p gone yes"
[ "$(od -An -tx1 byte)" = ' 00' ] || die "$what: not one zero byte: $(od -c byte)"
[ "$(cat lines)" = "pre-dump $p
post-dump $p
status-ready $p" ] || die "$what: lines: $(cat lines)"
[ ! -s out ] || die "$what: a script writes to our standard output: $(cat out)"
grep -q 'noise of one' err || die "$what: what a script says is lost: $(cat err)"

what='a restore'
"$CR_RESTORE" -D img -d --action-script "$W/one" --status-fd 7 --phase-fd 8 7>byte 8>lines >out 2>err || die "$what: $(cat err)"
said "one pre-restore $W/img $p gone yes" "one post-restore $W/img $p still yes" "one pre-resume $W/img $p still yes" \
	"one post-resume $W/img $p runs yes" "one status-ready $W/img $p runs yes"
[ "$(od -An -tx1 byte)" = ' 00' ] || die "$what: not one zero byte: $(od -c byte)"
[ "$(cut -d' ' -f1 lines | tr '\n' ' ')" = 'pre-restore post-restore pre-resume post-resume status-ready ' ] || die "$what: lines: $(cat lines)"
is_free "$p" || die "$what: not free"
for f in "/proc/$p/fd/"*; do case ${f##*/} in 0 | 1 | 2) ;; *) die "$what: the task has $f" ;; esac; done

what='streams'
"$CR_DUMP" -t "$p" -D - -R --action-script "$W/one" --status-fd 7 7>byte 2>err >s.tar || die "$what: $(cat err)"
said "one pre-dump - $p runs no" "one post-dump - $p still no" "one status-ready - $p runs no"
tar tf s.tar >/dev/null || die "$what: something else is in the stream"
kill -9 "$p"
wait_gone "$p"
cat s.tar | "$CR_RESTORE" -D - -d --action-script "$W/one" 2>err || die "$what: $(cat err)"
said "one pre-restore - $p gone no" "one post-restore - $p still no" "one pre-resume - $p still no" "one post-resume - $p runs no" \
	"one status-ready - $p runs no"
refused 2 'standard output' "$CR_DUMP" -t "$p" -D - --status-fd 1

what='options from a file, and PATH'
rm -rf img; mkdir img
printf 'action-script one\naction-script two\n' >f.conf
PATH=$W:$PATH "$CR_DUMP" -t "$p" -D img -R --config f.conf 2>err || die "$what: $(cat err)"
[ "$(wc -l <told)" = 6 ] || die "$what: $(cat told)"
rm told
refused 2 'no such descriptor' "$CR_DUMP" -t "$p" -D img -R --status-fd 77
refused 2 'cannot run the action script' "$CR_DUMP" -t "$p" -D img -R --action-script "$W/f.conf"
refused 2 'no action script' "$CR_DUMP" -t "$p" -D img -R --action-script nothing-like-that
[ ! -e told ] || die "a script was run"

# ---- failures ----
what='pre-dump fails'
rm -rf img; mkdir img
echo 'exit 3' >do.one.pre-dump
refused 1 'one failed at pre-dump with status 3' "$CR_DUMP" -t "$p" -D img --action-script "$W/one"
no_images img || die "$what: images"
is_free "$p" || die "$what: not free"
rm do.one.pre-dump told

what='post-dump fails'
echo 'kill -9 $$' >do.one.post-dump
"$CR_DUMP" -t "$p" -D img --status-fd 7 --action-script "$W/one" --action-script "$W/two" 7>byte 2>err && die "$what: status 0"
grep -q 'one was killed by signal 9 at post-dump' err || die "$what: $(cat err)"
[ ! -s byte ] || die "$what: a byte"
is_free "$p" || die "$what: not free: $(state_of "$p")"
[ -e img/inventory.img ] || die "$what: the images are gone"
[ "$(tail -n 1 told | cut -d' ' -f1,2)" = 'two post-dump' ] || die "$what: the other script was not told: $(cat told)"
rm do.one.post-dump told

what='a script that does not end'
echo 'sleep 1000 & echo $! >"$W/straggler"; wait' >do.one.post-dump
"$CR_DUMP" -t "$p" -D img --action-timeout 1 --action-script "$W/one" 2>err && die "$what: status 0"
grep -q 'took longer than 1 s' err || die "$what: $(cat err)"
is_free "$p" || die "$what: not free"
wait_for 10 is_dead "$(cat straggler)" || die "$what: something of it is left"
rm do.one.post-dump told

what='restore, failing'
kill -9 "$p"; wait_gone "$p"
for stage in pre-restore post-restore; do
	echo 'exit 1' >"do.one.$stage"
	refused 1 "one failed at $stage with status 1" "$CR_RESTORE" -D img -d --action-script "$W/one"
	is_gone "$p" || die "$what: $stage: something was made"
	rm "do.one.$stage"
done
rm told
what='restore, failing where nothing can be stopped'
echo 'exit 1' >do.one.pre-resume
echo 'exit 1' >do.one.post-resume
"$CR_RESTORE" -D img -d --action-script "$W/one" --status-fd 7 7>byte 2>err || die "$what: $(cat err)"
is_free "$p" || die "$what: not free"
[ -s byte ] || die "$what: no byte"
rm do.* told

what='nobody listens'
mkfifo pipe
cat pipe >/dev/null 2>&1 &
reader=$!
exec 9>pipe
kill -9 "$reader"; wait "$reader" 2>/dev/null
"$CR_DUMP" -t "$p" -D img -R --phase-fd 9 2>err || die "$what: exit status $?: $(cat err)"
exec 9>&-
kill -9 "$p"; wait_gone "$p"

# ---- connections ----
what='connections'
start tcp "$BIN/test/progs/tcp_pair"
wait_for 20 test -e tcp/ready || die "tcp_pair is not ready: $(cat tcp/stderr)"
p=$PID
grep -c . "/proc/$p/maps" >maps
rm -rf img; mkdir img
"$CR_DUMP" -t "$p" -D img --tcp-established --action-script "$W/one" 2>err || die "$what: $(cat err)"
said "one pre-dump $W/img $p runs no" "one network-lock $W/img $p still no" "one post-dump $W/img $p still yes" "one status-ready $W/img $p gone yes"
"$CR_RESTORE" -D img -d --tcp-established --action-script "$W/one" 2>err || die "$what: $(cat err)"
[ "$(cut -d' ' -f2 told | tr '\n' ' ')" = 'pre-restore post-restore pre-resume network-unlock post-resume status-ready ' ] || die "$what: $(cat told)"
rm told
"$CR_DUMP" -t "$p" -D img --tcp-established -R --action-script "$W/one" 2>err || die "$what: $(cat err)"
[ "$(cut -d' ' -f2 told | tr '\n' ' ')" = 'pre-dump network-lock network-unlock post-dump status-ready ' ] || die "$what: $(cat told)"
echo 'exit 1' >do.one.network-lock
rm told
refused 1 'network-lock' "$CR_DUMP" -t "$p" -D img --tcp-established --action-script "$W/one"
[ "$(cut -d' ' -f2 told | tr '\n' ' ')" = 'pre-dump network-lock network-unlock ' ] || die "$what: $(cat told)"
is_free "$p" || die "$what: not free"
touch tcp/go
wait_for 20 test -s tcp/verdict || die "$what: no verdict"
grep -q '^pass' tcp/verdict || die "$what: $(cat tcp/verdict)"
