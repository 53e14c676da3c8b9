#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# node with worker threads that compute, share memory and send messages, and a child process with a channel to it.
# timeout: 120
. "$TOP/test/lib/common.sh"
need node

cat >workers.js <<'END'
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const { fork } = require('child_process');
const fs = require('fs');
const mask = (1n << 64n) - 1n;
const step = (v) => (v * 6364136223846793005n + 1442695040888963407n) & mask;
if (process.argv[2] === 'child') {
	process.on('message', (m) => process.send({ n: m.n, twice: m.n * 2 }));
} else if (!isMainThread) {
	let x = BigInt(workerData.id + 1), n = 0;
	const shared = new Int32Array(workerData.shared);
	const turn = () => {
		for (let k = 0; k < 1000; k++) x = step(x);
		n += 1000;
		Atomics.add(shared, 0, 1);
		parentPort.postMessage({ id: workerData.id, n, x });
		setTimeout(turn, 1);
	};
	turn();
} else {
	const N = 3, shared = new SharedArrayBuffer(4), seen = Array(N).fill(0), last = [], bad = [];
	let messages = 0, asked = 0, answered = 0;
	for (let id = 0; id < N; id++)
		new Worker(__filename, { workerData: { id, shared } }).on('message', (m) => {
			if (m.n !== seen[m.id] + 1000) bad.push('lost message of ' + m.id);
			seen[m.id] = m.n; last[m.id] = m.x; messages++;
		});
	const child = fork(__filename, ['child']);
	child.on('message', (m) => {
		if (m.n !== answered + 1 || m.twice !== m.n * 2) bad.push('answer ' + m.n);
		answered++;
		child.send({ n: ++asked });
	});
	child.send({ n: ++asked });
	setInterval(() => {
		fs.writeFileSync('beat.new', seen.join(' ') + ' ' + answered + '\n');
		fs.renameSync('beat.new', 'beat');
		if (!fs.existsSync('go')) return;
		for (let id = 0; id < N; id++) {
			let y = BigInt(id + 1);
			for (let k = 0; k < seen[id]; k++) y = step(y);
			if (y !== last[id]) bad.push('sum of ' + id);
		}
		if (Atomics.load(new Int32Array(shared), 0) < messages) bad.push('shared memory');
		fs.writeFileSync('answer', 'bad:' + bad.join(',') + '\n');
		child.kill();
		process.exit(0);
	}, 20);
}
END
start a node "$W/workers.js"
all_there() { [ -s a/beat ] && ! grep -q '\<0\>' a/beat; }
wait_for 40 all_there || die "no beat: $(cat a/stderr)"
all_on() { paste -d' ' <(tr ' ' '\n' <a/beat) <(tr ' ' '\n' <<<"$before") | awk '$1 <= $2 { exit 1 }'; }
for i in 1 2 3; do
	cycle "img$i" "$PID"
	before=$(cat a/beat)
	wait_for 20 all_on || die "somebody does not go on after restore $i: $before; $(cat a/beat a/stderr)"
done
touch a/go
wait_gone "$PID" 60 || die "node does not end: $(cat a/stderr)"
[ "$(cat a/answer)" = "bad:" ] || die "answer: $(cat a/answer a/stderr)"
