#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# PostgreSQL with its processes, shared memory and locks, and psql sessions in the same tree: one waits for a lock, one is within a
# transaction that goes on after the restore. The tables are right, and so is what a crash recovery makes of the files afterwards.
# timeout: 180
. "$TOP/test/lib/common.sh"
need setpriv psql ip
own_net
pg=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
[ -x "$pg/initdb" ] || skip "initdb is not installed"
id postgres >/dev/null 2>&1 || skip "there is no user postgres"

install -d -o postgres -m 700 db
chown postgres "$W/tmp"
as_postgres() { setpriv --reuid postgres --regid "$(id -g postgres)" --clear-groups env -i PATH="$pg:$PATH" HOME="$W/tmp" PGHOST="$W/tmp" PGDATABASE=postgres "$@"; }
as_postgres initdb -D "$W/db" -A trust -N --no-locale -E UTF8 >initdb.log 2>&1 || die "initdb: $(tail -3 initdb.log)"
cat >>db/postgresql.conf <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$W/tmp'
shared_buffers = 32MB
max_connections = 20
END
sql() { as_postgres psql -XAtq -v ON_ERROR_STOP=1 -c "$1" 2>&1; }

# The server, and the sessions that a user has with it.
cat >session.sh <<'END'
db=$1
postgres -D "$db" >server.log 2>&1 &
server=$!
for i in {1..500}; do psql -XAtqc 'select 1' >/dev/null 2>&1 && break; sleep 0.05; done
psql -XAtqv ON_ERROR_STOP=1 -c "create table t as select g as n, md5(g::text) as m from generate_series(1, 100000) g; create index on t (n); create table log (what text);" || exit 1
mkfifo one two
psql -XAtqv ON_ERROR_STOP=1 <one >one.out 2>&1 &
one=$!
psql -XAtqv ON_ERROR_STOP=1 <two >two.out 2>&1 &
two=$!
exec 7>one 8>two
echo "begin; insert into log values ('one'); update t set m = 'changed' where n <= 10; declare c cursor for select n from t where n > 10 order by n; fetch 3 from c; create temp table mine as select 42 as x;" >&7
while [ "$(wc -l <one.out)" != 3 ]; do sleep 0.02; done
# It waits for a row that the other has changed.
echo "update t set m = 'two' where n = 5;" >&8
until [ "$(psql -XAtqc "select count(*) from pg_stat_activity where wait_event_type = 'Lock'")" = 1 ]; do sleep 0.02; done
touch ready
while [ ! -e go ]; do sleep 0.02; done
echo "fetch 2 from c; select x from mine; commit;" >&7
exec 7>&-
wait $one
echo "one $?" >answer
echo "select m from t where n = 5; select n, m from t where n = 6;" >&8
exec 8>&-
wait $two
echo "two $?" >>answer
# As in a power failure.
kill -9 $server
while [ -e stay ]; do sleep 0.02; done
END
start a setpriv --reuid postgres --regid "$(id -g postgres)" --clear-groups env -i PATH="$pg:$PATH" HOME="$W/tmp" PGHOST="$W/tmp" PGDATABASE=postgres \
	bash "$W/session.sh" "$W/db"
wait_for 60 test -e a/ready || die "not ready: $(cat a/stdout a/stderr a/server.log)"
sums() { sql "select count(*), sum(n), md5(string_agg(m, ',' order by n)) from t"; }
before=$(sums)
case $before in 100000\|5000050000\|*) ;; *) die "the table: $before" ;; esac
fast_dir img
for i in 1 2 3; do
	cycle img/$i "$PID"
	rm -rf img/$i
	[ "$(sums)" = "$before" ] || die "the table after restore $i: $(sums) $(tail -3 a/server.log)"
	[ "$(sql "select count(*) from pg_stat_activity where wait_event_type = 'Lock'")" = 1 ] || die "nobody waits for the lock after restore $i"
	[ "$(sql "select count(*) from log")" = 0 ] || die "a transaction is over after restore $i"
done
# New backends, a checkpoint, a vacuum: all of its processes work.
[ -z "$(sql "create table u as select * from t; checkpoint")" ] || die "no checkpoint: $(tail -3 a/server.log)"
[ -z "$(sql "vacuum analyze u")" ] || die "no vacuum: $(tail -3 a/server.log)"
touch a/go
wait_gone "$PID" 30 || die "the sessions do not end: $(cat a/*.out)"
[ "$(cat a/answer)" = "one 0
two 0" ] || die "the sessions: $(cat a/answer a/*.out)"
[ "$(tr '\n' ' ' <a/one.out)" = "11 12 13 14 15 42 " ] || die "the transaction: $(cat a/one.out)"
[ "$(tr '\n' ' ' <a/two.out)" = "two 6|changed " ] || die "the session that waited: $(cat a/two.out)"
! grep -E 'PANIC|FATAL|TRAP|could not|corrupt' a/server.log | grep -v 'the database system is starting up' || die "the server's log"

# What is on the disk is what was said to be done.
for p in $(pgrep -x postgres); do wait_gone "$p" 20 || die "a backend outlives its server"; done
rm -f db/postmaster.pid "$W"/tmp/.s.PGSQL*
start again setpriv --reuid postgres --regid "$(id -g postgres)" --clear-groups env -i PATH="$pg:$PATH" HOME="$W/tmp" postgres -D "$W/db"
up() { [ "$(sql 'select 1')" = 1 ]; }
wait_for 30 up || die "no recovery: $(cat again/stderr)"
[ "$(sql "select count(*), sum(n), count(*) filter (where m = md5(n::text)), count(*) filter (where m = 'changed') from t; select what from log; select count(*) from u")" = "100000|5000050000|99990|9
one
100000" ] || die "after a recovery: $(sql 'select count(*), sum(n) from t; select what from log; select count(*) from u')"
# Clients over TCP, outside of the tree, who never connect again: what they were told is what is there.
if command -v pgbench >/dev/null || [ -x "$pg/pgbench" ]; then
	as_postgres pgbench -i -s 1 -q >bench.init 2>&1 || die "pgbench -i: $(tail -3 bench.init)"
	echo tcp-established >tcp.conf
	export CRIU_CONFIG_FILE=$W/tcp.conf
	# So many a second, or they are over on some machines before it is seen that they have begun.
	as_postgres PGHOST=127.0.0.1 pgbench -n -c 4 -t 60 -R 30 >bench.out 2>bench.err &
	bench=$!
	working() { [ "$(sql 'select count(*) > 10 from pgbench_history')" = t ]; }
	wait_for 20 working || die "pgbench does nothing: $(cat bench.err)"
	n=0
	while ! is_dead $bench && [ $n -lt 3 ]; do
		cycle img/b$n "$PID"
		n=$((n + 1))
		sleep 0.3
	done
	wait $bench || die "pgbench: $(cat bench.err)"
	[ "$n" -ge 1 ] || die "pgbench was over too early"
	grep -q 'processed: 240/240' bench.out || die "pgbench: $(cat bench.out)"
	[ "$(sql 'select count(*), sum(delta) = (select sum(abalance) from pgbench_accounts), sum(delta) = (select sum(bbalance) from pgbench_branches) from pgbench_history')" = "240|t|t" ] ||
		die "the accounts do not agree: $(sql 'select count(*), sum(delta) from pgbench_history')"
fi
kill -INT "$PID"
wait_gone "$PID" 20 || die "the server does not end"
