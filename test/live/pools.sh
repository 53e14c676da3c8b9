#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Pools of Python's multiprocessing, made in each of its ways: pipes, threads, named semaphores whose first names are gone, a
# fork server, a resource tracker; no result is lost or wrong.
# timeout: 200
. "$TOP/test/lib/common.sh"
need python3
cat >pool.py <<'END'
import multiprocessing as mp, os, sys
def square(x): return x * x
if __name__ == '__main__':
    mp.set_start_method(sys.argv[1])
    want, n = [i * i for i in range(40)], 0
    with mp.Pool(3) as pool:
        while not os.path.exists('go'):
            assert pool.map(square, range(40)) == want
            n += 1
            with open('beat.new', 'w') as f: f.write('%d\n' % n)
            os.rename('beat.new', 'beat')
        pool.close()
        pool.join()
    open('passed', 'w').close()
END
python=/usr/bin/python3
[ -x $python ] || python=python3
beats() { [ "$(cat "$way/beat")" -gt "$before" ]; }
for way in fork spawn forkserver; do
	start "$way" "$python" "$W/pool.py" "$way"
	wait_for 60 test -s "$way/beat" || die "$way: no beat: $(cat "$way/stderr")"
	for i in 1 2; do
		before=$(cat "$way/beat")
		dump "$way.$i" "$PID" -R
		wait_for 30 beats || die "$way does not go on after dump $i: $(cat "$way/stderr")"
		rm -r "$way.$i"
		cycle "$way.$i" "$PID"
		before=$(cat "$way/beat")
		wait_for 30 beats || die "$way does not go on after restore $i: $(cat "$way/stderr")"
	done
	touch "$way/go"
	wait_gone "$PID" 60 || die "$way does not end: $(cat "$way/stderr")"
	[ -e "$way/passed" ] || die "$way: $(cat "$way/stderr")"
done
