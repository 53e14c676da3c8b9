#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A JVM with an HTTP server, its pool of threads, and a client that keeps its connection: selectors, both ends of TCP in one process; and a
# client outside.
# timeout: 180
. "$TOP/test/lib/common.sh"
need java curl ip
own_tmp # hsperfdata_root
java --list-modules 2>/dev/null | grep -q jdk.compiler || skip "this java cannot run a source file"
own_net

cat >Serve.java <<'END'
import com.sun.net.httpserver.*;
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
public class Serve {
	public static void main(String[] a) throws Exception {
		AtomicLong inside = new AtomicLong(), outside = new AtomicLong();
		HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", 8111), 50);
		s.createContext("/", x -> {
			byte[] b = ((x.getRequestURI().getPath().equals("/in") ? inside : outside).incrementAndGet() + "\n").getBytes();
			x.sendResponseHeaders(200, b.length);
			x.getResponseBody().write(b);
			x.close();
		});
		s.setExecutor(Executors.newFixedThreadPool(4));
		s.start();
		HttpClient c = HttpClient.newHttpClient();
		for (long want = 1; !Files.exists(Path.of("go")); want++) {
			String r = c.send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:8111/in")).build(), HttpResponse.BodyHandlers.ofString()).body();
			if (!r.equals(want + "\n")) { System.err.println("got " + r + ", not " + want); System.exit(1); }
			Files.writeString(Path.of("beat.new"), r);
			Files.move(Path.of("beat.new"), Path.of("beat"), StandardCopyOption.REPLACE_EXISTING);
			Thread.sleep(2);
		}
		Files.writeString(Path.of("answer"), "outside " + outside.get() + "\n");
		System.exit(0);
	}
}
END
start a java -Xmx64m -XX:-UsePerfData -Djava.io.tmpdir="$W/tmp" "$W/Serve.java"
wait_for 60 test -s a/beat || die "no beat: $(cat a/stdout a/stderr)"
further() { [ "$(cat a/beat)" -gt "$1" ]; }
echo tcp-established >tcp.conf
export CRIU_CONFIG_FILE=$W/tcp.conf
fast_dir img
for i in 1 2 3; do
	cycle img/$i "$PID"
	n=$(cat a/beat)
	wait_for 30 further "$n" || die "the connection inside stops at $n after restore $i: $(cat a/stderr)"
	[ "$(curl -s --max-time 30 http://127.0.0.1:8111/out)" = $i ] || die "no answer to somebody outside after restore $i"
done
touch a/go
wait_gone "$PID" 60 || die "the JVM does not end"
[ "$(cat a/answer)" = "outside 3" ] || die "answer: $(cat a/answer a/stderr)"
