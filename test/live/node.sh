#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# node computing: a JIT, worker threads of V8 and libuv, timers and promises.
# timeout: 180
. "$TOP/test/lib/common.sh"
need node

cat >count.js <<'END'
const fs = require('fs');
let n = 0, x = 1n, ticks = 0;
const mask = (1n << 64n) - 1n;
const step = (v) => (v * 6364136223846793005n + 1442695040888963407n) & mask;
setInterval(() => { ticks++; }, 5);
const objects = Array.from({ length: 50000 }, (_, i) => ({ i, s: 'object ' + i }));
function turn() {
	for (let k = 0; k < 2000; k++) x = step(x);
	n += 2000;
	fs.writeFileSync('beat.new', n + ' ' + ticks + '\n');
	fs.renameSync('beat.new', 'beat');
	if (fs.existsSync('go')) {
		let y = 1n, bad = '';
		for (let k = 0; k < n; k++) y = step(y);
		if (x !== y) bad += ' sum';
		objects.forEach((o, i) => { if (o.i !== i || o.s !== 'object ' + i) bad += ' ' + i; });
		fs.writeFileSync('answer', 'bad:' + bad + '\n');
		process.exit(0);
	}
	setTimeout(turn, 1);
}
turn();
END
start a node "$W/count.js"
wait_for 30 test -s a/beat || die "no beat: $(cat a/stderr)"
went_on() { paste -d' ' <(tr ' ' '\n' <a/beat) <(tr ' ' '\n' <<<"$before") | awk '$1 <= $2 { exit 1 }'; }
sleep 0.3
for i in 1 2; do
	cycle "img$i" "$PID"
	before=$(cat a/beat)
	wait_for 20 went_on || die "node does not go on after restore $i: $before; $(cat a/beat a/stderr)"
done
touch a/go
wait_gone "$PID" 60 || die "node does not end: $(cat a/stderr)"
[ "$(cat a/answer)" = "bad:" ] || die "answer: $(cat a/answer a/stderr)"
