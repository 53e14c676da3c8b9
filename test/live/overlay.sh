#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files of overlayfs: of a lower layer, and removed or replaced above it, as a package upgrade in a container does; linked ones above.
. "$TOP/test/lib/common.sh"
need python3
mkdir t && mount -t tmpfs none t && mkdir t/lower t/upper t/work m || die "no tmpfs"
for f in gone replaced mapped; do echo "lower $f" >t/lower/$f; done
cp "$(command -v sleep)" t/lower/run
mount -t overlay overlay -o lowerdir=t/lower,upperdir=t/upper,workdir=t/work m || skip "no overlayfs here"
cat >o.py <<'END'
import mmap, os, sys, time
os.chdir('m')
if not os.fork(): os.execv('run', ['run', '1000'])
gone, replaced, mapped = (os.open(n, os.O_RDONLY) for n in ('gone', 'replaced', 'mapped'))
m = mmap.mmap(mapped, 12, prot=mmap.PROT_READ)
while not open('/proc/%s/comm' % open('/proc/self/task/%d/children' % os.getpid()).read().split()[0]).read() == 'run\n': time.sleep(0.01)
for n in ('gone', 'replaced', 'mapped', 'run'): os.unlink(n)
open('replaced', 'w').write('another\n')
linked = None
if len(sys.argv) > 1: # a file of the upper layer that has lost one of its names
    linked = os.open('one', os.O_RDWR | os.O_CREAT); os.mkdir('d'); os.link('one', 'd/two'); os.unlink('one')
open('../ready', 'w').close()
while not os.path.exists('../go'): time.sleep(0.02)
if linked is not None:
    os.write(linked, b'through\n')
    assert open('d/two').read() == 'through\n'
assert os.pread(gone, 20, 0) == b'lower gone\n' and os.pread(replaced, 20, 0) == b'lower replaced\n' and m[:12] == b'lower mapped'
assert open('replaced').read() == 'another\n'
assert sorted(os.listdir('.')) == (['d'] if linked is not None else []) + ['replaced'], os.listdir('.')
open('../proved', 'w').close()
END
for kind in '' linked; do
	rm -rf ready go proved img-*
	umount m && rm -rf t/upper t/work && mkdir t/upper t/work && mount -t overlay overlay -o lowerdir=t/lower,upperdir=t/upper,workdir=t/work m || die "mount"
	(close_inherited; exec env -i PATH="$PATH" setsid python3 o.py $kind) </dev/null >out 2>&1 &
	PID=$!
	disown "$PID"
	wait_for 10 test -e ready || die "not ready: $(cat out)"
	remap=
	if [ -n "$kind" ]; then
		refused 5 'm/one was removed.*--link-remap' "$CR_DUMP" -t "$PID" -D "$(mkdir img-r; echo img-r)" -R
		remap=--link-remap
	else
		"$CR_DUMP" --check -t "$PID" --ghost-limit 4M >words 2>&1 || die "check: $(cat words)"
	fi
	for cycle in 1 2; do
		dump "img-$cycle" "$PID" --ghost-limit 4M $remap
		wait_gone "$PID" || die "still there"
		restore "img-$cycle" $remap
	done
	touch go
	wait_for 10 test -e proved || die "state is lost: $(cat out)"
	kill -KILL -1
	wait_for 10 nobody_there || die "somebody is left: $(ns_procs)"
done
umount m
