#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every image that cr-dump writes, read by Debian's crit: it reads back identically, byte for byte, and it says what cr-image says.
# timeout: 180
. "$TOP/test/lib/common.sh"
need crit jq
/usr/bin/python3 -c 'import pycriu' 2>/dev/null || skip "there is no pycriu for /usr/bin/python3"
watchdog_start
dump dog.img "$DOG"
cat >t.py <<'END'
import mmap, os, socket, time, tempfile
a, b = os.pipe(); os.write(b, b'queued bytes')
f = tempfile.TemporaryFile(dir='.'); f.write(b'ghost' * 1000); f.flush()
m = mmap.mmap(-1, 1 << 20); m[5000:5004] = b'here'
g = open('file', 'w+'); g.write('x' * 9000); g.flush(); n = mmap.mmap(g.fileno(), 8192)
open('ready', 'w').close()
while True: time.sleep(1)
END
start t /usr/bin/python3 "$W/t.py"
wait_for 10 test -e t/ready || die "not ready: $(cat t/stderr)"
dump t.img "$PID"
cat >cross.py <<'END'
import io, json, subprocess, sys, os, pycriu
bad = seen = 0
def more(ours, theirs, path):
    """Paths at which ours says more; raises where they contradict each other."""
    out = []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for k in theirs:
            if k not in ours: raise ValueError('%s/%s is missing' % (path, k))
            out += more(ours[k], theirs[k], path + '/' + k)
        out += [path + '/' + k for k in ours if k not in theirs]
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(ours) != len(theirs): raise ValueError('%s: %d entries, not %d' % (path, len(ours), len(theirs)))
        for i, (o, t) in enumerate(zip(ours, theirs)): out += more(o, t, '%s/%d' % (path, i))
    elif ours != theirs:
        raise ValueError('%s: %r, not %r' % (path, ours, theirs))
    return out
for d in sys.argv[2:]:
    for f in sorted(os.listdir(d)):
        if f.startswith('pages-') or not f.endswith('.img'): continue
        p = os.path.join(d, f); raw = open(p, 'rb').read()
        try:
            theirs = json.loads(subprocess.run(['/usr/bin/crit', 'decode', '-i', p], check=True, capture_output=True).stdout)
            ours = json.loads(subprocess.run([sys.argv[1], 'decode', '-i', p], check=True, capture_output=True).stdout)
            # The pagemap's count moved to a wider field; the old crit knows only the one that is left for old readers.
            for e in ours['entries'] if ours['magic'] == 'PAGEMAP' else []:
                if 'nr_pages' in e:
                    e['wide_nr_pages'] = e.pop('nr_pages'); e['nr_pages'] = e.pop('compat_nr_pages')
            extra = more(ours, theirs, f)
            back = subprocess.run(['/usr/bin/crit', 'encode'], input=json.dumps(theirs).encode(), check=True, capture_output=True).stdout
            # This crit is older than the format: what it does not know it drops, and only then the bytes may differ.
            if back != raw and not extra: raise ValueError('crit decode | crit encode gives other bytes')
            subprocess.run(['/usr/bin/crit', 'show', p], check=True, capture_output=True)
            seen += 1
        except subprocess.CalledProcessError as e:
            bad += 1; print('%s: %s' % (p, (e.stderr or b'').decode()[-300:]))
        except ValueError as e:
            bad += 1; print('%s: %s' % (p, e))
print('%d images, %d bad' % (seen + bad, bad))
sys.exit(bad > 0 or seen < 12)
END
/usr/bin/python3 cross.py "$CR_IMAGE" dog.img t.img || die "crit and cr-image disagree"
