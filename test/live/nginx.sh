#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# nginx, a master with two workers, on a port and on a unix socket: requests before and after; a connection that is kept, and a slow
# download that is in the middle, whose clients see nothing of it; a reload after all that.
# timeout: 120
. "$TOP/test/lib/common.sh"
need nginx curl ip python3
own_net

mkdir -m 755 www
head -c 20000000 /dev/urandom >www/big
echo hello >www/index.html
sum=$(sha256sum <www/big)
cat >nginx.conf <<END
user nobody nogroup;
daemon off;
worker_processes 2;
pid $W/nginx.pid;
error_log $W/error.log;
events { worker_connections 64; }
http {
	access_log $W/access.log;
	client_body_temp_path $W/tmp/body; proxy_temp_path $W/tmp/proxy; fastcgi_temp_path $W/tmp/fastcgi;
	uwsgi_temp_path $W/tmp/uwsgi; scgi_temp_path $W/tmp/scgi;
	server { listen 127.0.0.1:8080; listen [::1]:8080; listen unix:$W/http.sock; root $W/www; keepalive_timeout 600s; keepalive_requests 1000000; }
}
END
# A client that keeps its connection, asks all the time, and ends with the first thing that is not as it should be.
cat >keep.py <<'END'
import http.client, os, time
c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=30)
c.connect()
c.auto_open = 0  # a second connection is a failure
n = 0
while not os.path.exists('go'):
    c.request('GET', '/index.html')
    r = c.getresponse()
    body = r.read()
    if r.status != 200 or body != b'hello\n':
        raise SystemExit('answer %d %r' % (r.status, body))
    n += 1
    with open('beat.new', 'w') as f: f.write('%d\n' % n)
    os.rename('beat.new', 'beat')
    time.sleep(0.005)
with open('answer', 'w') as f: f.write('kept\n')
END
start a nginx -c "$W/nginx.conf"
nginx=$PID
works() {
	local to
	for to in http://127.0.0.1:8080/ http://[::1]:8080/; do
		[ "$(curl -s --max-time 20 "$to")" = hello ] || { echo "$to"; return 1; }
	done
	[ "$(curl -s --max-time 20 --unix-socket http.sock http://x/big | sha256sum)" = "$sum" ] || { echo "the unix socket"; return 1; }
}
answers() { works >out; }
workers_of() { cat "/proc/$nginx/task/$nginx/children"; }
wait_for 10 test -S http.sock && wait_for 10 answers || die "nginx does not answer: $(cat a/stderr error.log)"
workers=$(workers_of)

# Nobody is connected.
for i in 1 2; do
	cycle "quiet$i" "$nginx"
	works >out || die "no answer from $(cat out) after restore $i: $(cat error.log)"
done

echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
start keep python3 "$W/keep.py"
keep=$PID
wait_for 10 test -s keep/beat || die "no connection to keep: $(cat keep/stderr)"
start slow curl -s --limit-rate 4M -o got http://127.0.0.1:8080/big
wait_for 10 test -s slow/got || die "no download"
further() { [ "$(cat keep/beat)" -gt "$1" ] || is_dead "$keep"; }
for i in 1 2 3; do
	[ $i != 1 ] || [ "$(stat -c %s slow/got)" -lt 20000000 ] || die "the download is over too early"
	cycle "busy$i" "$nginx"
	before=$(cat keep/beat)
	wait_for 20 further "$before" && ! is_dead "$keep" || die "the connection ends: $(cat keep/stderr error.log)"
done
wait_gone "$PID" 30 || die "the download does not end: $(stat -c %s slow/got)"
[ "$(sha256sum <slow/got)" = "$sum" ] || die "the download is not the file: $(stat -c %s slow/got) bytes"
touch keep/go
wait_gone "$keep" 20 || die "the client does not end"
[ "$(cat keep/answer)" = kept ] || die "the client: $(cat keep/stderr)"
works >out || die "no answer from $(cat out) after all: $(cat error.log)"

# The master still is one: new workers by SIGHUP, and an end of all by SIGQUIT.
[ "$(workers_of)" = "$workers" ] || die "other workers than before"
kill -HUP "$nginx"
new_workers() {
	local c w
	c=$(workers_of)
	[ -n "$c" ] || return 1
	for w in $workers; do case " $c " in *" $w "*) return 1 ;; esac; done
}
wait_for 20 new_workers || die "no new workers: $(cat error.log)"
wait_for 10 answers || die "no answer after a reload: $(cat error.log)"
kill -QUIT "$nginx"
wait_gone "$nginx" 20 || die "nginx does not end"
! grep -qE 'emerg|alert|crit' error.log || die "$(cat error.log)"
