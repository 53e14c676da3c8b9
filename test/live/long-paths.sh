#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Paths near and beyond the length by which anything can be opened: what is too long is refused before anybody is harmed.
. "$TOP/test/lib/common.sh"
need python3
cat >deep.py <<'END'
import os, sys, time
length, what = int(sys.argv[1]), sys.argv[2]
base = os.open('.', os.O_RDONLY)
os.mkdir('deep'); os.chdir('deep')
at = len(os.getcwd())
while at < length:
    n = min(200, length - at - 1)
    n -= 2 if length - at - 1 - n in (1, 2) else 0 # no rest that is too short for a name
    os.mkdir('D' * n); os.chdir('D' * n); at += n + 1
f = os.open('file', os.O_RDWR | os.O_CREAT)
if what != 'cwd': # a deleted file whose name another one has
    os.unlink('file'); open('file', 'w').write('another')
    os.write(f, b'deleted')
os.chdir('/') if what != 'cwd' else None
os.close(os.open('ready', os.O_CREAT | os.O_WRONLY, dir_fd=base))
while not os.access('go', os.F_OK, dir_fd=base): time.sleep(0.02)
if what != 'cwd':
    assert os.pread(f, 20, 0) == b'deleted' and os.fstat(f).st_nlink == 0
os.close(os.open('done', os.O_CREAT | os.O_WRONLY, dir_fd=base))
END
at=0
begin() {
	at=$((at + 1))
	start "t$at" python3 "$W/deep.py" "$@"
	wait_for 10 test -e "t$at/ready" || die "not ready: $(cat "t$at/stderr")"
	mkdir "img$at"
}
finish() {
	touch "t$at/go"
	wait_for 10 test -e "t$at/done" || die "$1: $(cat "t$at/stderr")"
}
begin 4045 ghost
dump "img$at" "$PID"
wait_gone "$PID" || die "still there"
restore "img$at"
finish "a deleted file"
for case in '4065 ghost path.of.its.directory.is.too.long' '4300 cwd longer.than.4095'; do
	read -r length what why <<<"$case"
	begin "$length" "$what"
	refused 5 "$why.*shorter name" "$CR_DUMP" -t "$PID" -D "img$at"
	no_images "img$at" || die "images are left"
	is_free "$PID" || die "not free"
	"$CR_DUMP" --check -t "$PID" >words 2>&1 && die "--check finds nothing"
	grep -q "$why" words || die "--check: $(cat words)"
	finish "$case"
done
