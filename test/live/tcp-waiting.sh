#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Clients of another host wait to be accepted while the server is looked at, copied, dumped, and restored: no reset, no lost byte, and in
# their order; whatever happens to the tools. Where the kernel or the privileges do not let it, that is said before anything is touched.
# timeout: 240
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip jq setpriv ss
own_net
est=--tcp-established
"$CR_CHECK" --feature tcp_waiting >words 2>&1 || skip "$(cat words)"
fast_dir img

far_host

cat >server.py <<'EOP'
import os, socket, sys, threading, time
l = socket.socket(socket.AF_INET6); l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
l.bind(("::", 4100)); l.listen(64)
open("ready", "w").close()
while not os.path.exists("go"): time.sleep(.01)
ports = []
def echo(s):
    while True:
        b = s.recv(65536)
        if not b: break
        s.sendall(b)
    s.close()
for i in range(int(sys.argv[1])):
    s, a = l.accept(); ports.append(str(a[1])); threading.Thread(target=echo, args=(s,)).start()
with open(".ports", "w") as f: f.write(" ".join(ports))
os.rename(".ports", "ports")
while not os.path.exists("end"): time.sleep(.01)
EOP
# Of four clients one says nothing, one something, one all that it has, and one more than there is room for.
cat >client.py <<'EOP'
import os, random, socket, sys, threading, time
socks, wrong = [], []
def data(i, n): return random.Random(i).randbytes(n)
def talk(i, s, said):
    try:
        size = (2000, 50000, 3000, 6 << 20)[i % 4]; b = data(i, size); got = bytearray()
        def say():
            if i % 4 < 2:
                while not os.path.exists("more"): time.sleep(.01)
            try: s.sendall(b[said:]); s.shutdown(socket.SHUT_WR)
            except OSError as e: wrong.append("%d: says: %s" % (i, e))
        t = threading.Thread(target=say); t.start()
        while True:
            r = s.recv(65536)
            if not r: break
            got += r
        t.join()
        if bytes(got) != b: wrong.append("%d: %d of %d bytes came back" % (i, len(got), size))
    except Exception as e: wrong.append("%d: hears: %s" % (i, e))
threads = []
for i in range(int(sys.argv[1])):
    s = socket.create_connection(("10.77.0.5" if i % 3 else "fd77::5", 4100)); socks.append(s)
    said = (0, 777, 0, 0)[i % 4]
    s.sendall(data(i, (2000, 50000, 3000, 6 << 20)[i % 4])[:said])
    threads.append(threading.Thread(target=talk, args=(i, s, said)))
with open("ports", "w") as f: f.write(" ".join(str(s.getsockname()[1]) for s in socks))
for t in threads: t.start()
time.sleep(.3)
open("ready", "w").close()
for t in threads: t.join()
with open(".verdict", "w") as f: f.write("; ".join(wrong) or "pass")
os.rename(".verdict", "verdict")
EOP
n=12
begin() {
	rm -rf img/* serve call
	start serve "$py" "$W/server.py" $n
	SERVER=$PID
	wait_for 20 test -e serve/ready || die "the server is not ready: $(cat serve/stderr)"
	start call nsenter -t "$FAR" -n -- "$py" "$W/client.py" $n
	wait_for 20 test -e call/ready || die "the clients are not ready: $(cat call/stderr)"
	[ "$(waiting)" = $n ] || die "$(waiting) connections wait"
}
waiting() { ss -Htln 'sport = 4100' | awk '{ print $2 }'; }
undisturbed() {
	[ ! -e call/verdict ] || die "$1: $(cat call/verdict)"
	[ "$(waiting)" = $n ] || die "$1: $(waiting) connections wait"
}
finish() {
	[ "$("$BIN/test/live/tcp_peer" tables)" = 0 ] || die "$1: a lock is left"
	undisturbed "$1"
	touch serve/go call/more
	wait_for 60 test -e call/verdict || die "$1: no verdict: $(cat serve/stderr call/stderr; ss -tnei; at ss -tnei)"
	[ "$(cat call/verdict)" = pass ] || die "$1: $(cat call/verdict)"
	[ "$(cat serve/ports)" = "$(cat call/ports)" ] || die "$1: another order: $(cat serve/ports), not $(cat call/ports)"
	touch serve/end
	wait_gone "$SERVER" 20 || die "$1: the server does not end"
}

# A look and copies leave them alone, and a copy is complete.
begin
"$CR_DUMP" --check -t "$SERVER" $est >words 2>&1 || die "the check finds: $(cat words)"
refused 5 "$n connections that the program has not accepted yet.*--tcp-established to keep.*--skip-in-flight" "$CR_DUMP" -t "$SERVER" -D img
for i in 1 2; do
	dump img/$i "$SERVER" -R $est
	undisturbed "a copy"
	"$CR_IMAGE" check img/$i >words 2>&1 || die "cr-image check: $(cat words)"
done
refused 5 'this kernel or these privileges do not bring back.*tcp_waiting' \
	setpriv --bounding-set=-bpf,-perfmon,-sys_admin --no-new-privs "$CR_DUMP" -t "$SERVER" -D img $est
undisturbed "a dump without privileges"
echo 0 >/proc/sys/net/ipv4/tcp_syncookies
refused 5 'tcp_syncookies is 0' "$CR_DUMP" -t "$SERVER" -D img $est
"$CR_CHECK" --feature tcp_waiting >words 2>&1
echo 1 >/proc/sys/net/ipv4/tcp_syncookies
undisturbed "a dump without syncookies"
finish "copies"

# The server is away while they go on, and twice.
begin
for i in 1 2; do
	dump img/$i "$SERVER" $est
	wait_gone "$SERVER"
	[ $i = 1 ] || touch call/more
	refused 5 "connections that wait to be accepted.*--tcp-established" "$CR_RESTORE" -D img/$i -d
	echo 0 >/proc/sys/net/ipv4/tcp_syncookies
	refused 3 'tcp_syncookies is 0' "$CR_RESTORE" -D img/$i -d $est
	"$CR_RESTORE" --check -D img/$i $est >words 2>&1 && die "a check of the restore finds nothing"
	grep -q 'tcp_syncookies is 0' words || die "a check of the restore says: $(cat words)"
	echo 1 >/proc/sys/net/ipv4/tcp_syncookies
	setpriv --bounding-set=-bpf,-sys_admin --no-new-privs "$CR_RESTORE" -D img/$i -d $est >words 2>&1 && die "restored without privileges"
	grep -q 'connections that wait to be accepted do not come back here' words || die "without privileges: $(cat words)"
	setpriv --bounding-set=-net_raw --no-new-privs "$CR_RESTORE" -D img/$i -d $est >words 2>&1 && die "restored without raw sockets"
	grep -q 'CAP_NET_RAW' words || die "without raw sockets: $(cat words)"
	wait_for 2 is_gone "$SERVER" || die "somebody was made"
	restore img/$i $est
	undisturbed "restored"
done
finish "restored"

# The tools die, or are gone for a while.
begin
CR_FAULT=tcp:locked "$CR_DUMP" -t "$SERVER" -D img $est >out 2>&1
[ $? = 137 ] || die "cr-dump does not die: $(cat out)"
wait_for 5 is_free "$SERVER" || die "the server is not free"
undisturbed "death of cr-dump"
mkdir img/1
CR_FAULT=tcp:killed "$CR_DUMP" -t "$SERVER" -D img/1 $est >out 2>&1
[ $? = 137 ] || die "cr-dump does not die at tcp:killed: $(cat out)"
wait_gone "$SERVER"
for f in tcp:waiting tcp:released; do
	CR_FAULT=$f "$CR_RESTORE" -D img/1 -d $est >out 2>&1
	[ $? = 137 ] || die "cr-restore does not die at $f: $(cat out)"
	wait_for 5 is_gone "$SERVER" || die "the server is there"
	[ ! -e call/verdict ] || die "death at $f: $(cat call/verdict)"
done
restore img/1 $est
finish "death of the tools"

# Without a lock, and with peers in the tree, some of which have reset their connections.
start work "$BIN/test/progs/tcp_waiting"
wait_for 20 test -e work/ready || die "not ready: $(cat work/stderr)"
dump img/3 "$PID" $est --network-lock skip
wait_gone "$PID"
restore img/3 $est
# And down a pipe.
"$CR_DUMP" -t "$PID" -D - $est --network-lock skip >img/s.tar 2>out || die "cr-dump -D -: $(cat out)"
wait_gone "$PID"
"$CR_RESTORE" -D - -d $est <img/s.tar >out 2>&1 || die "cr-restore -D -: $(cat out)"
touch work/go
wait_for 30 test -e work/verdict || die "no verdict: $(cat work/stderr)"
grep -q pass work/verdict || die "without a lock: $(cat work/verdict)"

# What an image may not say.
begin
dump img/1 "$SERVER" $est
wait_gone "$SERVER"
"$CR_IMAGE" decode -i img/1/files.img >files.json || die "files.img cannot be decoded"
bad() {
	rm -rf bad && cp -r img/1 bad && rm -f bad/cr-manifest.json
	jq "(.. | objects | select(.waiting)) |= ($1)" files.json >bad.json && "$CR_IMAGE" encode -i bad.json -o bad/files.img || die "$1: cannot be encoded"
	[ "${3:-}" = valid ] || ! "$CR_IMAGE" check bad >words 2>&1 || die "$1: cr-image check finds nothing"
	refused 4 "$2" "$CR_RESTORE" -D bad -d $est
	wait_for 2 is_gone "$SERVER" || die "$1: somebody was made"
}
bad '.state = "CLOSE"' 'does not listen'
bad '.waiting[0].dst_port = 0' 'an address that cannot be'
bad '.waiting[0].dst_addr = ["1.2.3.4"]' 'an address that cannot be'
bad '.waiting[0].snd_wscale = 15' 'options that cannot be' valid
bad '.waiting[0].mss_clamp = 1' 'segments of 1 bytes' valid
bad '.waiting[0].error = 7777' 'a wrong error: 7777'
bad '.waiting[0].unread = 4294967295' 'too much has come' valid
bad '.waiting[1].unread += 1' 'not what has come' valid
bad 'del(.waiting[0].timestamp)' 'without a clock' valid
restore img/1 --tcp-close
[ "$(waiting)" = 0 ] || die "--tcp-close: $(waiting) connections wait"
