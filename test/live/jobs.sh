#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bash with job control: jobs in the background, one that is stopped, a pipeline with data in it, a command that waits for all of them.
# Then the same with Python's pool of processes.
# timeout: 180
. "$TOP/test/lib/common.sh"
need python3 perl sha256sum

cat >jobs.bash <<'END'
set -m -o pipefail
trap 'echo told >>told' USR1
# A pipeline that is never empty.
perl -e 'while () { print $n++, "\n"; last if $n % 20000 == 0 and -e "last" } print STDERR $n' 2>numbers | tr 0-9 a-j | cat | (sha256sum; echo "end $?") >sum &
pipeline=$!
bash -c 'n=0; while [ ! -e last ]; do n=$((n + 1)); echo $n >count.new; mv count.new count; sleep 0.01; done; exit 3' &
counter=$!
bash -c 'kill -STOP $$; echo continued >stopped; exit 4' &
stopped=$!
sleep 0.05 &
wait $!
until jobs -l %3 | grep -q Stopped; do sleep 0.02; done
jobs -l | sed 's/^\[\([0-9]\)\][+ -]* *\([0-9]*\) *\([A-Z][a-z]*\).*/\1 \2 \3/;t;d' | grep -v Done >jobs.before
echo $pipeline $counter $stopped >ready
while [ ! -e go ]; do read -t 0.2 -r x < <(sleep 0.1; echo x); : $((turn++)); done
jobs -l | sed 's/^\[\([0-9]\)\][+ -]* *\([0-9]*\) *\([A-Z][a-z]*\).*/\1 \2 \3/;t;d' | grep -v Done >jobs.after
touch last
fg %3 >/dev/null 2>&1
echo "stopped: $?" >answer
wait $counter
echo "counter: $?" >>answer
wait $pipeline
echo "pipeline: $?" >>answer
END
start a bash "$W/jobs.bash"
wait_for 20 test -e a/ready || die "not ready: $(cat a/stderr)"
read -r _ _ stopped <a/ready
more() { [ "$(cat a/count)" -gt "$1" ]; }
wait_for 10 test -s a/count || die "no count"
for i in 1 2 3; do
	cycle "img$i" "$PID"
	n=$(cat a/count)
	wait_for 10 more "$n" || die "the background job does not go on after restore $i: $(cat a/stderr)"
	[ "$(state_of "$stopped")" = T ] || die "the stopped job is $(state_of "$stopped") after restore $i"
done
kill -USR1 "$PID"
wait_for 5 test -s a/told || die "bash's trap is gone"
touch a/go
wait_gone "$PID" 90 || die "bash does not end: $(cat a/stderr)"
printf 'stopped: 4\ncounter: 3\npipeline: 0\n' | cmp -s - a/answer || die "other statuses: $(cat a/answer a/stderr)"
[ "$(cat a/stopped)" = continued ] || die "the stopped job did not continue"
cmp -s a/jobs.before a/jobs.after || die "other jobs: $(cat a/jobs.before a/jobs.after)"
[ "$(cat a/sum)" = "$(seq 0 $(($(cat a/numbers) - 1)) | tr 0-9 a-j | sha256sum)
end 0" ] || die "the data in the pipeline: $(cat a/sum)"

cat >pool.py <<'END'
import hashlib, multiprocessing as mp, os, time
def work(n):
    d = b'%d' % n
    for _ in range(3000): d = hashlib.sha256(d).digest()
    return n, d
if __name__ == '__main__':
    ctx = mp.get_context('fork')
    beat, lock, q = ctx.Value('q', 0), ctx.Lock(), ctx.JoinableQueue()
    def consume():
        while True:
            n = q.get()
            with lock: beat.value += n
            q.task_done()
    extra = [ctx.Process(target=consume, daemon=True) for _ in range(2)]
    for p in extra: p.start()
    done, want, n = [], 0, 0
    with ctx.Pool(3, maxtasksperchild=50) as pool:
        def tasks():
            i = 0
            while not os.path.exists('go'):
                i += 1
                yield i
                # not more than what is worked on now and a little
                while i > len(done) + 40 and not os.path.exists('go'): time.sleep(0.001)
        for i, d in pool.imap_unordered(work, tasks()):
            done.append((i, d))
            q.put(i); want += i
            with open('beat.new', 'w') as f: f.write('%d\n' % len(done))
            os.rename('beat.new', 'beat')
    q.join()
    bad = [i for i, d in done if work(i)[1] != d]
    same = sorted(i for i, _ in done) == list(range(1, len(done) + 1))
    with open('answer', 'w') as f: f.write('bad=%s all=%s sum=%s\n' % (bad, same, beat.value == want))
END
start p /usr/bin/python3 "$W/pool.py"
wait_for 20 test -s p/beat || die "the pool does nothing: $(cat p/stderr)"
pool_more() { [ "$(cat p/beat)" -gt "$1" ]; }
for i in 1 2 3; do
	cycle "pool$i" "$PID"
	n=$(cat p/beat)
	wait_for 20 pool_more "$n" || die "the pool does not go on after restore $i: $(cat p/stderr)"
done
touch p/go
wait_gone "$PID" 60 || die "the pool does not end: $(cat p/stderr)"
[ "$(cat p/answer)" = "bad=[] all=True sum=True" ] || die "the pool: $(cat p/answer p/stderr)"
