#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A JVM: some twenty threads, compiled code, a garbage collector, memory mapped files.
# timeout: 240
. "$TOP/test/lib/common.sh"
need java
own_tmp # hsperfdata_root
java --list-modules 2>/dev/null | grep -q jdk.compiler || skip "this java cannot run a source file"

cat >Count.java <<'END'
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
public class Count {
	static final int N = 3;
	static final long[] rounds = new long[N];
	static final long[] state = new long[N];
	static volatile boolean stop;
	static long next(long x) { x ^= x << 13; x ^= x >>> 7; return x ^ x << 17; }
	public static void main(String[] a) throws Exception {
		List<Thread> ts = new ArrayList<>();
		Map<Integer, String> heap = new ConcurrentHashMap<>();
		for (int i = 0; i < 50000; i++) heap.put(i, "value " + i);
		for (int i = 0; i < N; i++) {
			final int n = i;
			state[n] = n + 1;
			Thread t = new Thread(() -> {
				while (!stop) {
					long x = state[n];
					for (int k = 0; k < 1000; k++) x = next(x);
					state[n] = x;
					rounds[n]++;
					byte[] garbage = new byte[4096];
					garbage[(int) (rounds[n] & 4095)] = 1;
				}
			});
			t.start();
			ts.add(t);
		}
		while (!Files.exists(Path.of("go"))) {
			Files.writeString(Path.of("beat.new"), rounds[0] + " " + rounds[1] + " " + rounds[2] + "\n");
			Files.move(Path.of("beat.new"), Path.of("beat"), StandardCopyOption.REPLACE_EXISTING);
			Thread.sleep(20);
		}
		stop = true;
		for (Thread t : ts) t.join();
		StringBuilder bad = new StringBuilder();
		for (int n = 0; n < N; n++) {
			long x = n + 1;
			for (long k = rounds[n] * 1000; k > 0; k--) x = next(x);
			if (x != state[n]) bad.append(" thread ").append(n);
		}
		for (int i = 0; i < 50000; i++) if (!heap.get(i).equals("value " + i)) bad.append(" heap ").append(i);
		System.gc();
		Files.writeString(Path.of("answer"), "bad:" + bad + "\n");
		System.exit(5);
	}
}
END
start a java -Xmx128m -Djava.io.tmpdir="$W/tmp" -XX:-UsePerfData "$W/Count.java"
wait_for 60 test -s a/beat || die "no beat: $(cat a/stdout a/stderr)"
all_on() { paste -d' ' <(tr ' ' '\n' <a/beat) <(tr ' ' '\n' <<<"$before") | awk '$1 <= $2 { exit 1 }'; }
for i in 1 2; do
	cycle "img$i" "$PID"
	before=$(cat a/beat)
	wait_for 20 all_on || die "a thread does not go on after restore $i: $before; $(cat a/beat a/stdout a/stderr)"
done
touch a/go
wait_gone "$PID" 60 || die "the JVM does not end: $(cat a/stdout a/stderr)"
[ "$(cat a/answer)" = "bad:" ] || die "answer: $(cat a/answer a/stdout a/stderr)"
