#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Urgent data of TCP connections where something is in the way: a tool dies while it looks, a packet filter drops what would say it again,
# images that tell of what cannot be; and where the urgent pointer is that of the standard.
# timeout: 120
. "$TOP/test/lib/common.sh"
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
need jq nft
own_net
est=--tcp-established
cat >urgent.py <<'EOP'
import fcntl, os, signal, socket, struct, sys, time
heard = 0
def hear(*a):
    global heard
    heard += 1
signal.signal(signal.SIGURG, hear)
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.socket(); c.connect(l.getsockname()); s, _ = l.accept()
fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())
c.send(b"abc"); c.send(b"X", socket.MSG_OOB); c.send(b"def")
for i in range(6000):
    try:
        if s.recv(1, socket.MSG_OOB | socket.MSG_PEEK): break
    except OSError: pass
    time.sleep(.005)
def say(name, text):
    with open("." + name, "w") as f: f.write(text)
    os.rename("." + name, name)
say("ready", "")
while not os.path.exists("go"): time.sleep(.01)
inline = s.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
off = s.getsockopt(socket.SOL_SOCKET, 42) # SO_PEEK_OFF
got = [s.recv(100), s.recv(1, socket.MSG_OOB), s.recv(100)]
say("verdict", "%d %d %d %s" % (heard, inline, off, b" ".join(got).decode()))
time.sleep(1000)
EOP
begin() {
	rm -rf img held
	mkdir img
	start held "$py" ../urgent.py
	wait_for 30 test -e held/ready || die "not ready: $(cat held/stderr)"
}

begin
CR_FAULT=tcp:urgent "$CR_DUMP" -t "$PID" -D img $est 2>words
[ $? = 137 ] || die "cr-dump with CR_FAULT=tcp:urgent does not die: $(cat words)"
wait_for 5 is_free "$PID" || die "the target is not free"
proves "a dump dies" "1 0 -1 abc X def"

begin
dump img "$PID" $est
wait_gone "$PID" || die "it is still there"
cp -r img good
wrong=0
for f in img/tcp-stream-*.img; do
	f=${f##*/}
	"$CR_IMAGE" decode -i "img/$f" | jq -e '.entries[0] | has("urgent")' >/dev/null || continue
	for filter in '.entries[0].urgent = 100000' '.entries[0].urgent = 4294967295' '.entries[0].urgent = 7 | .entries[0].urgent_read = true' \
		'.entries[0].urgent_sent = 1' 'del(.entries[0].snd_wnd)'; do
		"$CR_IMAGE" edit "img/$f" --filter "$filter" >words 2>&1 || die "$f: $filter: $(cat words)"
		refused 4 "$f: .*(urgent|queues)" "$CR_RESTORE" -D img -d $est
		wait_for 2 is_gone "$PID" || die "somebody was made"
		rm -rf img
		cp -r good img
		wrong=$((wrong + 1))
	done
done
[ "$wrong" = 5 ] || die "$wrong wrong images of urgent data, not 5"
nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }; add rule inet deaf in meta l4proto tcp drop' || die "no rule can be made"
refused 1 'does not hear of its urgent data' "$CR_RESTORE" -D img -d $est
wait_for 2 is_gone "$PID" || die "somebody was made"
nft delete table inet deaf
echo 1 >/proc/sys/net/ipv4/tcp_stdurg
restore img $est
echo 0 >/proc/sys/net/ipv4/tcp_stdurg
proves "the standard's pointer" "1 0 -1 abc X def"
