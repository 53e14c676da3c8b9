#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# redis-server with 200,000 keys, under load from clients that keep their connections: dumped and restored ten times, and no client sees
# an error; all keys are right.
# timeout: 180
. "$TOP/test/lib/common.sh"
need redis-server redis-cli redis-benchmark ip
own_net
fast_dir img

start a redis-server --port 6379 --bind 127.0.0.1 --save '' --appendonly no --dir . --io-threads 2 --enable-debug-command yes --unixsocket sock
redis=$PID
cli() { redis-cli "$@" 2>&1; }
up() { [ "$(cli ping)" = PONG ]; }
wait_for 10 up || die "redis does not answer: $(cat a/stdout a/stderr)"
cli debug populate 200000 key 30 >/dev/null || die "no keys"
cli set mine 'a value' >/dev/null
digest=$(cli debug digest)
[ "$(cli dbsize)" = 200001 ] && [ ${#digest} -ge 40 ] || die "not filled: $(cli dbsize) $digest"

cycle img/quiet "$redis"
up || die "redis does not answer after a restore: $(cat a/stdout a/stderr)"
[ "$(cli debug digest)" = "$digest" ] || die "other keys after a restore"

echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
# Clients that write, read, and never connect again: an error or an end of a connection is an exit status.
start load redis-benchmark -h 127.0.0.1 -c 20 -n 100000000 -t set,get -r 1000 -q
load=$PID
start sums bash -c 'set -o pipefail; i=0; while [ ! -e go ]; do i=$((i + 1)); echo "incr counter"; [ $((i % 50)) != 0 ] || sleep 0.01; done | redis-cli -h 127.0.0.1 >answers; echo $? >status'
commands() { cli info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p"; }
more() { local n; n=$(commands set); [ "${n:-0}" -gt "$1" ] || is_dead "$load"; }
wait_for 20 more 2000 || die "no load: $(cat load/stdout load/stderr)"
for i in 1 2 3 4 5 6 7 8 9 10; do
	cycle "img/$i" "$redis"
	rm -rf "img/$i"
	wait_for 20 up || die "no answer after restore $i: $(cat a/stdout)"
	n=$(commands set)
	wait_for 20 more $((n + 1000)) || die "the load stops after restore $i: $(cat load/stdout load/stderr)"
	! is_dead "$load" || die "a client ended after restore $i: $(cat load/stdout load/stderr)"
done
kill "$load"
wait_gone "$load"
grep -qi 'error' load/stdout load/stderr && die "a client saw an error: $(cat load/stdout load/stderr)"
touch sums/go
wait_for 20 test -s sums/status || die "the counting client does not end"
[ "$(cat sums/status)" = 0 ] || die "the counting client: $(tail -3 sums/answers sums/stderr)"
# Each reply came once and in order.
awk '$1 != NR { exit 1 }' sums/answers || die "lost or wrong replies: $(awk '$1 != NR { print NR, $0; exit }' sums/answers)"
[ "$(wc -l <sums/answers)" = "$(cli get counter)" ] || die "the counter is $(cli get counter), of $(wc -l <sums/answers)"
cli eval "for _, k in ipairs(redis.call('keys', 'key:__rand_int__*')) do redis.call('del', k) end" 0 >/dev/null
cli --scan --pattern 'key:0000000*' | xargs -r redis-cli del >/dev/null
cli del counter >/dev/null
[ "$(cli dbsize)" = 200001 ] || die "other keys at the end: $(cli dbsize)"
[ "$(cli debug digest)" = "$digest" ] || die "the keys have other values at the end"
cli shutdown nosave
wait_gone "$redis" 10 || die "redis does not end"
