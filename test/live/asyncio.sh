#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server on Python's asyncio with an executor's threads, a child on pipes and a watched directory, under clients that never connect
# again.
# timeout: 120
. "$TOP/test/lib/common.sh"
need ip
py=/usr/bin/python3
[ -x "$py" ] || skip "there is no $py"
own_net

cat >server.py <<'END'
import asyncio, ctypes, hashlib, os, signal
async def main():
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # A child that turns lines around, one question at a time.
    rev = await asyncio.create_subprocess_exec('/usr/bin/python3', '-uc', 'import sys\nfor l in iter(sys.stdin.readline, ""): print(l.rstrip("\\n")[::-1])',
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    turn = asyncio.Lock()
    async def serve(r, w):
        d = b''
        while line := await r.readline():
            async with turn:
                rev.stdin.write(line)
                await rev.stdin.drain()
                back = (await rev.stdout.readline()).strip()
            d = await loop.run_in_executor(None, lambda: hashlib.sha256(d + back).digest())
            await asyncio.sleep(0.001)
            w.write(d.hex().encode() + b'\n')
            await w.drain()
        w.close()
    server = await asyncio.start_server(serve, ['127.0.0.1', '::1'], 4500)
    unix = await asyncio.start_unix_server(serve, 'sock')
    libc, seen = ctypes.CDLL(None), set()
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if libc.inotify_add_watch(watch, b'.', 0x100) < 0: raise SystemExit('no watch')
    def created():
        for name in os.read(watch, 65536).split(b'\0'):
            if b'touched' in name: seen.add(name[name.index(b'touched'):].decode())
    loop.add_reader(watch, created)
    open('ready', 'w').close()
    await ended.wait()
    server.close()
    rev.stdin.close()
    with open('answer', 'w') as f: f.write('child %d, %s\n' % (await rev.wait(), ' '.join(sorted(seen))))
asyncio.run(main())
END
cat >clients.py <<'END'
import asyncio, hashlib, os
counts = [0] * 6
async def talk(i):
    r, w = await asyncio.open_connection(['127.0.0.1', '::1'][i % 2], 4500)
    d = b''
    while not os.path.exists('go'):
        line = b'client %d line %d' % (i, counts[i])
        w.write(line + b'\n')
        d = hashlib.sha256(d + line[::-1]).digest()
        back = await r.readline()
        if back != d.hex().encode() + b'\n': raise SystemExit('client %d, line %d: %r' % (i, counts[i], back))
        counts[i] += 1
        with open('beat.new', 'w') as f: f.write(' '.join(map(str, counts)) + '\n')
        os.rename('beat.new', 'beat')
    w.close()
async def main():
    await asyncio.gather(*(talk(i) for i in range(6)))
    with open('answer', 'w') as f: f.write('all right\n')
asyncio.run(main())
END
start a "$py" "$W/server.py"
server=$PID
wait_for 20 test -e a/ready || die "no server: $(cat a/stderr)"
start c "$py" "$W/clients.py"
client=$PID
before='0 0 0 0 0 0'
all_on() { is_dead "$client" || { [ -s c/beat ] && paste -d' ' <(tr ' ' '\n' <c/beat) <(tr ' ' '\n' <<<"$before") | awk '$1 <= $2 { exit 1 }'; }; }
wait_for 20 all_on && ! is_dead "$client" || die "no talk: $(cat a/stderr c/stderr)"
echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
for i in 1 2 3; do
	cycle "img$i" "$server"
	touch a/touched$i
	before=$(cat c/beat)
	wait_for 20 all_on && ! is_dead "$client" || die "a client does not go on after restore $i: $before; $(cat c/beat c/stderr a/stderr)"
done
touch c/go
wait_gone "$client" 20 || die "the clients do not end"
[ "$(cat c/answer)" = "all right" ] || die "the clients: $(cat c/stderr)"
kill "$server"
wait_gone "$server" 20 || die "the server does not end: $(cat a/stderr)"
[ "$(cat a/answer)" = "child 0, touched1 touched2 touched3" ] && [ ! -s a/stderr ] || die "the server: $(cat a/answer a/stderr)"
