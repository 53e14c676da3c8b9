#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sqlite3 within a write transaction, with its locks on the database and its journal half written: committed after the restore; others
# are kept out in the meantime. Then the same with a write-ahead log and its shared memory.
# timeout: 120
. "$TOP/test/lib/common.sh"
need sqlite3

for mode in delete wal; do
	mkdir -m 777 $mode
	db=$W/$mode/db
	sqlite3 "$db" "pragma journal_mode=$mode; create table t (n integer primary key, m text); with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000) insert into t select n, hex(n) from c;" >/dev/null || die "no database"
	sum=$(sqlite3 "$db" "select count(*), sum(n), sum(length(m)) from t")
	mkfifo $mode/in
	# Descriptor 0 is opened for reading and writing: nobody outside of the tree has an end of it.
	start $mode/shell bash -c "exec sqlite3 -batch -bail '$db' <>'$W/$mode/in'"
	shell=$PID
	tell() { printf '%s\n' "$*" >$mode/in; }
	says() { [ "$(tail -1 $mode/shell/stdout)" = "$1" ]; }
	# A cache of some pages: what is changed goes to the file, or the log, before the commit.
	tell "pragma cache_size=5; pragma cache_spill=1; begin immediate; update t set m = m || 'x' where n % 2 = 0; insert into t values (20001, 'new'); select 'changed ' || changes();"
	wait_for 20 says 'changed 1' || die "$mode: sqlite3 does not answer: $(cat $mode/shell/stdout $mode/shell/stderr)"
	if [ $mode = delete ]; then
		[ -s "$db-journal" ] || die "no journal"
	fi
	mkdir $mode/refused
	refused 5 "pid $shell \(sqlite3\): fd [0-9]+: .*lock.*--file-locks" "$CR_DUMP" -t "$shell" -D $mode/refused
	no_images $mode/refused || die "images are left"
	echo file-locks >locks.conf
	export CRIU_CONFIG_FILE=$W/locks.conf
	for i in 1 2 3; do
		cycle $mode/img$i "$shell"
		out=$(sqlite3 "$db" "update t set m = '' where n = 1" 2>&1) && die "$mode: another writer gets in after restore $i"
		[[ $out == *locked* ]] || die "$mode: another writer is told: $out"
		[ $mode = delete ] || [ "$(sqlite3 "$db" "select count(*), sum(n), sum(length(m)) from t")" = "$sum" ] || die "a reader sees what was not committed"
		tell "update t set m = m || 'y' where n = 3; select 'turn $i';"
		wait_for 20 says "turn $i" || die "$mode: sqlite3 does not go on: $(cat $mode/shell/stdout $mode/shell/stderr)"
	done
	tell "commit; select 'committed';"
	wait_for 20 says committed || die "$mode: no commit: $(cat $mode/shell/stdout $mode/shell/stderr)"
	[ "$(sqlite3 "$db" "select count(*), sum(m = hex(n) || 'x'), sum(m = hex(n)) from t; select m = hex(3) || 'yyy' from t where n = 3; pragma integrity_check;")" = "20001|10000|9999
1
ok" ] || die "$mode: the database: $(sqlite3 "$db" "select count(*), sum(m = hex(n) || 'x'), sum(m = hex(n)) from t; pragma integrity_check;")"
	sqlite3 "$db" "update t set m = '' where n = 1" || die "$mode: the lock is not given up"
	tell ".quit"
	wait_gone "$shell" 10 || die "$mode: sqlite3 does not end"
	unset CRIU_CONFIG_FILE
done
