#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Clients of another host go on connecting while the server is dumped and restored, several times: each that was
# once connected gets its answer, and no dump is refused for those who came meanwhile. Who comes while there is no server is refused by
# the kernel, as always.
# timeout: 240
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need ip nft tc
own_net
est=--tcp-established
"$CR_CHECK" --feature tcp_waiting >words 2>&1 || skip "$(cat words)"
"$CR_CHECK" --feature network_lock_nftables >words 2>&1 || skip "$(cat words)"
fast_dir img

far_host
at tc qdisc add dev eth0 root netem delay 4ms 3ms 2>/dev/null || note "without delay: the kernel has no netem"

# One socket for all addresses of both families, one for one address.
cat >server.py <<'EOP'
import os, socket, threading
def serve(l):
    while True:
        s, a = l.accept()
        b = s.recv(100); s.sendall(b"<" + b + b">"); s.close()
both = socket.socket(socket.AF_INET6); one = socket.socket()
for l in both, one: l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); both.bind(("::", 4100)); both.listen(512)
one.bind(("10.77.0.5", 4101)); one.listen(512)
for l in both, one:
    for i in range(3): threading.Thread(target=serve, args=(l,)).start()
open("ready", "w").close()
EOP
# They come whether those before them have their answers or not.
cat >clients.py <<'EOP'
import asyncio, os, socket, time
wrong, served, refused, slow = [], 0, 0, 0
where = ("fd77::5", 4100), ("10.77.0.5", 4100), ("10.77.0.5", 4101)
async def talk(n):
    global served, refused, slow
    what = "connects"; start = time.monotonic()
    try:
        r, w = await asyncio.open_connection(*where[n % 3]); what = "asks"
        w.write(b"%d" % n); got = await r.read(); w.close()
        if got != b"<%d>" % n: wrong.append("%d: got %r" % (n, got))
        served += 1; slow += time.monotonic() - start > .5
    except ConnectionRefusedError: refused += 1
    except OSError as e: wrong.append("%d: %s: %s" % (n, what, e))
def tell(name, text):
    with open("." + name, "w") as f: f.write(text)
    os.rename("." + name, name)
async def main():
    n, tasks = 0, set()
    while not os.path.exists("end"):
        for i in range(4):
            n += 1; t = asyncio.create_task(talk(n)); tasks.add(t); t.add_done_callback(tasks.discard)
        tell("served", str(served)); await asyncio.sleep(.005)
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    tell("verdict", "%s: %d answers, %d refused, %d late\n%s" % ("wrong" if wrong else "fine", served, refused, slow, "\n".join(wrong[:5])))
asyncio.run(main())
EOP
start server "$py" ../server.py
SERVER=$PID
wait_for 10 test -e server/ready || die "no server: $(cat server/stderr)"
start clients nsenter -t "$FAR" -n -- "$py" ../clients.py
no_table() { ! nft list tables | grep cr-; }
answers() { cat clients/served 2>/dev/null || echo 0; }
some_more() { [ "$(answers)" -gt "$((before + 100))" ]; }
# A segment that another processor was at when they were stopped may still become a connection: once in a very long while.
copy() { # DIR
	mkdir -p "$1"
	"$CR_DUMP" -t "$SERVER" -D "$1" $est >"$1.dump.out" 2>&1 && return
	grep -q 'a connection came while' "$1.dump.out" || die "cr-dump: $(cat "$1.dump.out")"
	MAY_WARN=yes dump "$1" "$SERVER" $est
}
# A death of cr-dump lets them come again at once.
CR_FAULT=dump:before-commit "$CR_DUMP" -t "$SERVER" -D img $est >out 2>&1
[ $? = 137 ] || die "cr-dump does not die: $(cat out)"
wait_for 5 no_table || die "a table stays behind a dead cr-dump"
before=$(answers)
wait_for 10 some_more || die "the server answers no more: $(answers), it is $(state_of "$SERVER")"
for i in 1 2 3 4 5 6 7 8; do
	before=$(answers)
	wait_for 30 some_more || die "round $i: the server answers no more: $(answers), it is $(state_of "$SERVER")"
	copy "img/$i"
	wait_gone "$SERVER" || die "round $i: it is still there"
	MAY_WARN=yes restore "img/$i" $est
done
before=$(answers)
wait_for 30 some_more || die "the server answers no more"
touch clients/end
wait_for 90 test -e clients/verdict || die "the clients do not end"
cat clients/verdict
grep -q '^fine' clients/verdict || die "$(cat clients/verdict)"

wait_for 5 no_table || die "a table stays"

# One whose acknowledgement is late: the server speaks of it to nobody until it comes, while the tree stands still.
cat >late.py <<'EOP'
import os, socket, sys, time
s = socket.create_connection(("10.77.0.5", 4101)); open("connected", "w").close()
while not os.path.exists("ask"): time.sleep(.002)
s.sendall(b"late"); s.settimeout(20); got = b""
try:
    while r := s.recv(100): got += r
except OSError as e: got = str(e).encode()
with open(".verdict", "w") as f: f.write(got.decode())
os.rename(".verdict", "verdict")
EOP
hold() { at nft "add table ip late; add chain ip late out { type filter hook output priority 0; }; add rule ip late out tcp dport 4101 tcp flags & (syn|ack) == ack drop"; }
began() { # DIR: a client that the server takes for half connected
	hold || die "no rule can be made there"
	start "$1" nsenter -t "$FAR" -n -- "$py" ../late.py
	wait_for 10 test -e "$1/connected" || die "$1: $(cat "$1/stderr")"
}
for i in 1 2 3 4 5 6; do
	began "late$i"
	{ sleep 0.05; at nft delete table ip late; touch "late$i/ask"; } &
	MAY_WARN=yes dump "img/late$i" "$SERVER" $est
	wait "$!"
	wait_gone "$SERVER"
	MAY_WARN=yes restore "img/late$i" $est
	wait_for 30 test -e "late$i/verdict" || die "late $i: no answer"
	[ "$(cat "late$i/verdict")" != "<late>" ] || break
	grep -q 'handshakes that do not go on' "img/late$i".*out || die "late $i: got $(cat "late$i/verdict")"
done
[ "$(cat "late$i/verdict")" = "<late>" ] || die "six times it came too late"

# One whose acknowledgement never comes does not hold up the dump for long.
began never
MAY_WARN=yes dump img/never "$SERVER" $est
grep -qE '10.77.0.5:4101: handshakes that do not go on \(1\) are left to their clients' img/never.*out || die "not a word of it: $(cat img/never.*out)"
wait_gone "$SERVER"
at nft delete table ip late
restore img/never $est
touch never/ask
kill -9 "$SERVER"
