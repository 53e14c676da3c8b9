#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A browser: a dozen processes with some hundred threads, shared memory, sealed files, sockets within sockets. Its page keeps counting,
# remembers what it had, and talks to a server outside that never sees a new connection by its fault.
# timeout: 180
. "$TOP/test/lib/common.sh"
need python3 ip
for b in chromium chromium-browser google-chrome; do command -v $b >/dev/null && browser=$b && break; done
[ -n "${browser:-}" ] || skip "no chromium is installed"
own_net

cat >page.html <<'END'
<html><body><script>
const words = Array.from({ length: 20000 }, (_, i) => 'word ' + i);
const worker = new Worker(URL.createObjectURL(new Blob(['let n = 0; onmessage = (m) => { n += m.data; postMessage(n); }'])));
let n = 0, sum = 0, back = 0;
worker.onmessage = (m) => { back = m.data; };
const check = () => words.every((w, i) => w === 'word ' + i) ? 'right' : 'wrong';
setInterval(async () => {
	if (back !== sum) return;
	const k = ++n;
	sum += k; worker.postMessage(k);
	const r = await fetch('/beat?' + k + '&' + back + '&' + check());
	if (await r.text() !== 'heard ' + k) fetch('/failed?' + k);
}, 50);
</script></body></html>
END
cat >serve.py <<'END'
import http.server, os, socket
connections = 0
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def setup(self):
        super().setup()
        global connections
        connections += 1
    def do_GET(self):
        what, _, args = self.path.partition('?')
        if what == '/beat':
            with open('beat.new', 'w') as f: f.write('%s %d\n' % (args.replace('&', ' '), connections))
            os.rename('beat.new', 'beat')
            body = b'heard ' + args.split('&')[0].encode()
        else:
            if what == '/failed':
                with open('failed', 'w') as f: f.write(args + '\n')
            body = open('../page.html', 'rb').read()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Content-Type', 'text/html')
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 20
S(('127.0.0.1', 8000), H).serve_forever()
END
start s python3 "$W/serve.py"
start c perl -e 'syscall(157, 36, 1, 0, 0, 0); system(@ARGV)' "$browser" --headless=new --no-sandbox --disable-gpu --no-first-run \
	--user-data-dir="$W/tmp/profile" --disable-background-networking http://127.0.0.1:8000/page.html
tree=$PID
beat() { cut -d' ' -f1 s/beat 2>/dev/null || echo 0; }
further() { [ "$(beat)" -gt "$1" ]; }
wait_for 60 further 10 || skip "this browser shows no page here: $(tail -3 c/stderr)"
for o in tcp-established file-locks link-remap 'ghost-limit 64M'; do echo "$o"; done >browser.conf
export CRIU_CONFIG_FILE=$W/browser.conf
fast_dir img
for i in 1 2 3; do
	cycle "img/$i" "$tree"
	rm -rf "img/$i"
	n=$(beat)
	wait_for 60 further $((n + 10)) || die "the page does not go on after restore $i: $(cat s/beat) $(grep -v DEBUG c/stderr | tail -5)"
	awk '$3 != "right" || $2 != $1 * ($1 - 1) / 2 { exit 1 }' s/beat && [ ! -e s/failed ] || die "the page has other values after restore $i: $(cat s/beat s/failed)"
done
# It ends as it should: all of its processes hear of it.
kill "$(cat "/proc/$tree/task/$tree/children" | cut -d' ' -f1)"
wait_gone "$tree" 20 || die "the browser does not end: $(ps -e -o pid,ppid,stat,args | cut -c1-100)"
