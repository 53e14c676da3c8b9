#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# redis-server with 256 MiB (MIB=N) that is being written to goes through a pipe while it works: less than a tenth of what a plain dump writes is
# left for the freeze, no client sees an error, and all keys are right after.
# timeout: 300
. "$TOP/test/lib/common.sh"
need redis-server redis-cli redis-benchmark ip
own_net
mib=${MIB:-256}

start a redis-server --port 6379 --bind 127.0.0.1 --save '' --appendonly no --dir . --enable-debug-command yes --unixsocket sock
redis=$PID
cli() { redis-cli "$@" 2>&1; }
up() { [ "$(cli ping)" = PONG ]; }
wait_for 30 up || die "redis does not answer: $(cat a/stdout a/stderr)"
keys=$((mib * 225))
cli debug populate "$keys" key 4096 >/dev/null || die "no keys"
digest=$(cli debug digest)
[ "$(cli dbsize)" = "$keys" ] && [ ${#digest} -ge 40 ] || die "not filled: $(cli dbsize) $digest"

echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
# As fast as they can, but the same thousand keys again and again, as programs do.
start load redis-benchmark -h 127.0.0.1 -c 4 -n 1000000000 -t set -r 1000 -d 1000 -q
load=$PID
start sums bash -c 'set -o pipefail; i=0; while [ ! -e go ]; do i=$((i + 1)); echo "incr counter"; [ $((i % 50)) != 0 ] || sleep 0.01; done | redis-cli -h 127.0.0.1 >answers; echo $? >status'
commands() { cli info commandstats | sed -n "s/^cmdstat_set:calls=\([0-9]*\),.*/\1/p"; }
more() { local n; n=$(commands); [ "${n:-0}" -gt "$1" ] || is_dead "$load"; }
well() {
	local n
	wait_for 30 up || die "$1: no answer: $(cat a/stdout)"
	n=$(commands)
	wait_for 30 more $((${n:-0} + 500)) || die "$1: the load stops: $(cat load/stdout load/stderr)"
	! is_dead "$load" || die "$1: a client ended: $(cat load/stdout load/stderr)"
}
field() { awk -F '  +' -v name="$1" '$1 == name { print $2 + 0 }' "$2"; }
well "the load"

"$CR_DUMP" -t "$redis" -D - -R --display-stats 2>plain </dev/null | cat >/dev/null || die "plain: $(cat plain)"
well "a plain dump"
for i in 1 2; do
	"$CR_DUMP" -t "$redis" -D - --iterate --display-stats 2>"iterate" </dev/null | "$CR_RESTORE" -D - -d >out 2>&1 || die "migration $i: $(cat iterate out)"
	well "migration $i"
	all=$(field 'pages written' plain) last=$(field 'pages written' iterate)
	echo "migration $i: $(field frozen plain) ms frozen for $all pages, then $(field frozen iterate) ms for $last pages"
	cat iterate
	[ $((last * 10)) -lt "$all" ] || die "$last pages are left for the freeze, of $all: $(cat iterate)"
done
kill "$load"
wait_gone "$load"
grep -qi 'error' load/stdout load/stderr && die "a client saw an error: $(cat load/stdout load/stderr)"
touch sums/go
wait_for 30 test -s sums/status || die "the counting client does not end"
[ "$(cat sums/status)" = 0 ] || die "the counting client: $(tail -3 sums/answers sums/stderr)"
awk '$1 != NR { exit 1 }' sums/answers || die "lost or wrong replies: $(awk '$1 != NR { print NR, $0; exit }' sums/answers)"
[ "$(wc -l <sums/answers)" = "$(cli get counter)" ] || die "the counter is $(cli get counter), of $(wc -l <sums/answers)"
cli --scan --pattern 'key:0000000*' | xargs -r redis-cli del >/dev/null
cli del counter >/dev/null
[ "$(cli dbsize)" = "$keys" ] || die "other keys at the end: $(cli dbsize)"
[ "$(cli debug digest)" = "$digest" ] || die "the keys have other values at the end"
cli shutdown nosave
wait_gone "$redis" 30 || die "redis does not end"
