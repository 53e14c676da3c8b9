# SPDX-License-Identifier: GPL-2.0-or-later
# What cr-image shows of a checkpoint: of a live process, of damaged images, and of the corpus of another program (CR_CORPUS).
bats_require_minimum_version 1.5.0

setup() {
	BIN=${BIN:-$BATS_TEST_DIRNAME/../../build}
	IMAGE=$BIN/cr-image
	CORPUS=${CR_CORPUS:-$BATS_TEST_DIRNAME/../../../shared/criu-images}
	export HOME=$BATS_TEST_TMPDIR
	unset CRIU_CONFIG_FILE
	cd "$BATS_TEST_TMPDIR" || exit 1
}
teardown() {
	[ -z "${pid:-}" ] || kill -9 "$pid" 2>/dev/null || true
}
need_corpus() { [ -d "$CORPUS" ] || skip "no image corpus at $CORPUS (set CR_CORPUS)"; }

# A checkpoint of one task of pid 77: four pages at 10000, of which the first and the third are stored (the third in the parent when
# $1 is a directory), and two of a file at 20000.
small_checkpoint() {
	local d=$1 third=${2:-4}
	mkdir -p "$d"
	"$IMAGE" encode -o "$d/inventory.img" <<<'{"magic":"INVENTORY","entries":[{"img_version":2}]}'
	"$IMAGE" encode -o "$d/pstree.img" <<<'{"magic":"PSTREE","entries":[{"pid":77,"ppid":0,"pgid":77,"sid":77,"threads":[77]},{"pid":78,"ppid":77,"pgid":77,"sid":77,"threads":[0]}]}'
	"$IMAGE" encode -o "$d/core-77.img" <<<'{"magic":"CORE","entries":[{"mtype":"AARCH64","tc":{"task_state":1,"exit_code":0,"personality":0,"flags":0,"blk_sigset":0,"comm":"small"}}]}'
	"$IMAGE" encode -o "$d/core-78.img" <<<'{"magic":"CORE","entries":[{"mtype":"AARCH64","tc":{"task_state":2,"exit_code":1792,"personality":0,"flags":0,"blk_sigset":0,"comm":"gone"}}]}'
	"$IMAGE" encode -o "$d/mm-77.img" <<<'{"magic":"MM","entries":[{"mm_start_code":0,"mm_end_code":0,"mm_start_data":0,"mm_end_data":0,"mm_start_stack":0,"mm_start_brk":0,"mm_brk":0,"mm_arg_start":65536,"mm_arg_end":65546,"mm_env_start":65546,"mm_env_end":65554,"exe_file_id":1,"vmas":[{"start":65536,"end":81920,"pgoff":0,"shmid":0,"prot":3,"flags":34,"status":513,"fd":-1},{"start":131072,"end":139264,"pgoff":8192,"shmid":1,"prot":5,"flags":2,"status":65,"fd":-1}]}]}'
	"$IMAGE" encode -o "$d/files.img" <<<'{"magic":"FILES","entries":[{"type":"REG","id":1,"reg":{"id":1,"flags":0,"pos":0,"fown":{"uid":0,"euid":0,"signum":0,"pid_type":0,"pid":0},"name":"/bin/<b>&\u001b"}}]}'
	"$IMAGE" encode -o "$d/pagemap-77.img" <<<"{\"magic\":\"PAGEMAP\",\"entries\":[{\"pages_id\":1},{\"vaddr\":65536,\"compat_nr_pages\":0,\"nr_pages\":1,\"flags\":4},{\"vaddr\":73728,\"compat_nr_pages\":0,\"nr_pages\":1,\"flags\":$third}]}"
	{ printf 'prog\0-arg\0A=b\0C=d\0'; head -c 4078 /dev/zero; } >"$d/pages-1.img"
	[ "$third" != 4 ] || { printf 'third page'; head -c 4086 /dev/zero; } >>"$d/pages-1.img"
}

@test "x: all views of the corpus, as tables and as JSON" {
	need_corpus
	for d in "$CORPUS"/*/; do
		for v in ps fds mems rss sockets mounts env timers; do
			"$IMAGE" x "$d" $v >table
			"$IMAGE" x --json "$d" $v >json
			[ "$(jq length json)" = "$(($(wc -l <table) - 1))" ]
		done
		[ "$("$IMAGE" x --json "$d" ps | jq length)" = "$("$IMAGE" show "$d/pstree.img" | jq '.entries | length')" ]
		# Stored bytes by mapping are the bytes of the pages.
		for p in "$d"/pagemap-[0-9]*.img; do
			n=${p##*-}
			"$IMAGE" x --json --pid "${n%.img}" "$d" mems | jq -e '[.[] | select(.perms | endswith("p")) | .stored] | add > 0'
		done
	done
	"$IMAGE" x "$CORPUS/perl-objects" ps | grep -q 'zombie.*defunct'
	"$IMAGE" x "$CORPUS/runc-busybox" mounts | grep -q '/sys/firmware'
	"$IMAGE" x "$CORPUS/python-threads" timers | grep -q itimer
	[ "$("$IMAGE" x --json "$CORPUS/perl-objects" ps | jq -c '[.[] | .depth]')" = '[0,1,1]' ]
	run -2 "$IMAGE" x "$CORPUS/bash-loop" nosuch
	run -2 "$IMAGE" x --pid 1 "$CORPUS/bash-loop" ps
}

@test "a checkpoint of another architecture, with a parent, a file and a zombie" {
	small_checkpoint one
	small_checkpoint two 1
	ln -s ../one two/parent
	for d in one two; do
		"$IMAGE" x --json $d ps | jq -e '.[0].command == "prog -arg" and .[1].exit_status == 7 and .[1].depth == 1'
		[ "$("$IMAGE" x --json $d env | jq -r '.[] | .name + "=" + .value' | tr '\n' ' ')" = "A=b C=d " ]
		"$IMAGE" mem $d 12000+10 | grep -q '|third page|'
		[ "$("$IMAGE" mem --raw $d 10000-14000 | wc -c)" = 16384 ]
		run -2 "$IMAGE" mem $d 10000-22000
		"$IMAGE" mem $d 20000-22000 | grep -q 'unchanged page of the mapped file.*at byte 8192'
		run -4 --separate-stderr "$IMAGE" mem --raw $d 20000-22000
		[[ $stderr == *"read the file at byte 8192"* ]] && [ -z "$output" ]
		"$IMAGE" search $d --text third | grep -q '0000000000012000'
		run -1 "$IMAGE" search $d --text nowhere
		run -4 "$IMAGE" core $d
	done
	"$IMAGE" x --json two mems | jq -e '.[0].stored == 4096 and .[0].parent == 4096 and .[0].zero == 8192 and .[1].file == 8192'
	"$IMAGE" diff one two
	# As long a chain as there may be, longer than the kernel follows links.
	small_checkpoint 2 1
	ln -s ../one 2/parent
	for ((i = 3; i <= 60; i++)); do
		cp -r two $i
		ln -sfn ../$((i - 1)) $i/parent
	done
	"$IMAGE" mem 60 12000+10 | grep -q '|third page|'
	"$IMAGE" diff one 60
	# Without its parent the page is missing, and a chain that comes back to itself is an error.
	rm two/parent
	"$IMAGE" x --json two mems | jq -e '.[0].missing == 4096'
	run -4 "$IMAGE" mem --raw two 12000
	ln -s . two/parent
	run -4 "$IMAGE" x two mems
	[[ $output == *"comes back to itself"* ]]
}

@test "search: across borders of pages, by text, bytes and pattern" {
	small_checkpoint c
	# 'hal' ends the first page when the second is 'f of it'.
	"$IMAGE" encode -o c/pagemap-77.img <<<'{"magic":"PAGEMAP","entries":[{"pages_id":1},{"vaddr":65536,"compat_nr_pages":0,"nr_pages":1,"flags":4},{"vaddr":69632,"compat_nr_pages":0,"nr_pages":1,"flags":4},{"vaddr":77824,"compat_nr_pages":0,"nr_pages":1,"flags":4}]}'
	{ head -c 4093 /dev/zero | tr '\0' x; printf hal; printf 'f of it'; head -c 4089 /dev/zero; head -c 4096 /dev/zero | tr '\0' y; } >c/pages-1.img
	for how in '--text half' '--hex 68616c66' '--hex 0x68616c66' '--regex x+half' '--regex [^x]alf'; do
		"$IMAGE" search c $how >out
		[ "$(wc -l <out)" = 1 ]
	done
	"$IMAGE" search --json c --text half | jq -e '.address == "0x10ffd" and .length == 4 and .match == "half" and .pid == 77 and .start == "0x10000"'
	# Into zeros that nobody wrote, and out of them.
	"$IMAGE" search c --hex 00007979 | grep -q 0000000000012ffe
	[ "$("$IMAGE" search c --regex 'y{100}' | wc -l)" = 40 ]
	"$IMAGE" strings c -n 7 | grep -q 'half of it$'
	[ "$("$IMAGE" strings c | wc -l)" = 2 ]
	run -2 "$IMAGE" search c --text a --hex 61
	run -2 "$IMAGE" search c --hex 6
	run -2 "$IMAGE" search c --regex '('
	run -2 "$IMAGE" search c --text ''
	need_corpus
	"$IMAGE" search "$CORPUS/bash-loop" --text PATH=/usr/bin | grep -q '\[stack\]'
}

@test "search finds what grep finds, in pages of random text" {
	small_checkpoint c
	"$IMAGE" encode -o c/mm-77.img <<<"$("$IMAGE" decode c/mm-77.img | jq -c '.entries[0].vmas = [.entries[0].vmas[0] | .end = 65536 + 4096 * 1000]')"
	"$IMAGE" encode -o c/pagemap-77.img <<<'{"magic":"PAGEMAP","entries":[{"pages_id":1},{"vaddr":65536,"compat_nr_pages":0,"nr_pages":1000,"flags":4}]}'
	head -c 3072000 /dev/urandom | base64 -w 0 | head -c 4096000 >c/pages-1.img
	for what in ab Zz9 Q+Q/ xyzw; do
		[ "$("$IMAGE" search c --text "$what" | wc -l)" = "$(grep -oF "$what" c/pages-1.img | wc -l)" ]
	done
	for what in 'a[0-9]{3}b' '(foo|bar)[A-Z]' 'zz+y' 'Ab.C'; do
		[ "$("$IMAGE" search c --regex "$what" | wc -l)" = "$(grep -oE "$what" c/pages-1.img | wc -l)" ]
	done
}

@test "edit and set: a backup, nothing on failure, numbers unharmed" {
	small_checkpoint c
	cp c/core-77.img old
	"$IMAGE" set c/core-77.img tc.comm=new entries[0].tc.blk_sigset=18446744073709551615
	"$IMAGE" decode c/core-77.img | grep -q '"comm": "new"'
	cmp old c/core-77.img~
	"$IMAGE" edit c/core-77.img --filter '.entries[0].tc.exit_code = 3'
	"$IMAGE" decode c/core-77.img | grep -q '"exit_code": 3.*"blk_sigset": 18446744073709551615'
	cp c/core-77.img good
	for bad in '.entries[0].tc.comm = 5' '.magic = "FS"' 'nonsense(' 'empty'; do
		run ! "$IMAGE" edit c/core-77.img --filter "$bad"
		cmp good c/core-77.img
	done
	run ! "$IMAGE" set c/core-77.img nosuch=1
	run -2 "$IMAGE" set c/core-77.img tc
	run -2 "$IMAGE" set c/core-77.img 'entries[7].x=1'
	cmp good c/core-77.img
	# The editor sees a private file that is gone afterwards, unless what was written in it is no image.
	mkdir tmp
	TMPDIR=$PWD/tmp EDITOR='stat -c %a >mode' "$IMAGE" edit c/core-77.img
	[ "$(cat mode)" = 600 ] && [ -z "$(ls tmp)" ]
	cmp good c/core-77.img
	TMPDIR=$PWD/tmp EDITOR='sed -i s/new/newer/' "$IMAGE" edit c/core-77.img
	"$IMAGE" decode c/core-77.img | grep -q '"comm": "newer"'
	run -4 env TMPDIR="$PWD/tmp" EDITOR='sed -i s/magic/tragic/' "$IMAGE" edit c/core-77.img
	[[ $output == *"what you wrote is in $PWD/tmp/"* ]]
	grep -q tragic tmp/cr-image.*
	[ "$(stat -c %a tmp/cr-image.*)" = 600 ]
	# Mode stays, a link is followed, nothing is left beside the image.
	"$IMAGE" encode -o c/fs-77.img <<<'{"magic":"FS","entries":[{"cwd_id":1,"root_id":1}]}'
	chmod 640 c/fs-77.img
	ln -s c/fs-77.img link
	"$IMAGE" set link umask=18
	[ -L link ] && [ "$(stat -c %a c/fs-77.img)" = 640 ]
	[ -z "$(ls c | grep -E '\.(img)?\.[A-Za-z0-9]{6}$')" ]
}

@test "show: colours and keys only when asked, the same JSON" {
	small_checkpoint c
	"$IMAGE" show c/core-77.img >plain
	! grep -q $'\033' plain || false
	"$IMAGE" show --color --pager c/core-77.img >colour
	grep -q $'\033' colour
	sed $'s/\033\\[[0-9;]*m//g' colour | cmp - plain
	"$IMAGE" show c | jq -e '.["pstree.img"].entries[0].pid == 77 and (has("pages-1.img") | not)'
	if command -v script >/dev/null; then
		PAGER='tr a-z A-Z' script -qec "$IMAGE show --pager c/core-77.img" /dev/null </dev/null | grep -q '"MAGIC"'
	fi
}

@test "diff: what changed, by kind, with ranges of pages" {
	small_checkpoint a
	small_checkpoint b
	"$IMAGE" diff a b >out
	[ ! -s out ]
	printf X | dd of=b/pages-1.img bs=1 seek=4100 conv=notrunc status=none
	"$IMAGE" set b/pstree.img 'entries[0].sid=1'
	"$IMAGE" set b/mm-77.img 'vmas[1].prot=1'
	run -1 "$IMAGE" diff --json a b
	echo "$output" | jq -e '[.[] | .what] | sort == ["mapping", "pages", "task"]'
	echo "$output" | jq -e '.[] | select(.what == "pages") | .pages == 1 and .ranges == [{"start": "0x12000", "end": "0x13000"}]'
	run -1 "$IMAGE" diff a b
	[[ $output == *"r-xp"*"r--p"* ]]
	need_corpus
	"$IMAGE" diff "$CORPUS/perl-objects" "$CORPUS/perl-objects"
	run -1 "$IMAGE" diff "$CORPUS/perl-counter" "$CORPUS/bash-loop"
}

@test "graph: every task and pipe, and nothing that breaks its syntax" {
	need_corpus
	"$IMAGE" graph "$CORPUS/perl-objects" >g
	grep -q '^	t30301 -> t30302' g
	grep -q '^	pipe1912459 -> t30301 \[label="10"\]' g
	grep -q 'dir=both, color=blue' g
	"$IMAGE" graph "$CORPUS/runc-busybox" | grep -q 'mnt namespace 13'
	if command -v dot >/dev/null; then dot -Tsvg g >/dev/null; fi
}

@test "report: one page, escaped, that needs nothing else" {
	small_checkpoint c
	"$IMAGE" report c -o page.html
	! grep -qE '<b>|(src|href)=|https?://|@import' page.html || false
	grep -q '/bin/&lt;b&gt;&amp;\\033' page.html
	grep -q "default-src 'none'" page.html
	grep -q '<svg class="map"' page.html
	"$IMAGE" report c | cmp - page.html
	"$IMAGE" report c -o /dev/null
	[ -c /dev/null ]
	if command -v node >/dev/null; then sed -n '/^<script>/,/^<\/script>/p' page.html | sed '1d;$d' >s.js && node --check s.js; fi
}

@test "report in a browser: the page is rendered and can be searched" {
	for b in chromium chromium-browser google-chrome chrome; do command -v $b >/dev/null && browser=$b && break; done
	[ -n "${browser:-}" ] || skip "no chromium"
	small_checkpoint c
	"$IMAGE" report c -o page.html
	dump() { timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --user-data-dir="$PWD/profile" --dump-dom "file://$PWD/page.html$1"; }
	dump '' >dom
	grep -q '<svg' dom
	[ "$(grep -c 'class="d"' dom)" = 0 ]
	dump '#zombie' >dom
	grep -q '1 found' dom
	[ "$(grep -c 'class="d"' dom)" -gt 3 ]
}

@test "hostile images: one line, the right exit code, no crash" {
	small_checkpoint good
	for f in pstree core-77 mm-77 files pagemap-77; do
		for n in 0 3 8 9 11 14 20 60 100; do
			rm -rf bad
			cp -r good bad
			head -c $n good/$f.img >bad/$f.img
			for v in "x bad ps" "x bad mems" "mem bad 10000" "strings bad" "graph bad" "diff good bad" "core bad -o out" "report bad -o out"; do
				rc=0
				timeout 20 "$IMAGE" $v >/dev/null 2>err || rc=$?
				[ $rc -le 4 ] || { echo "$f cut to $n: $v exits with $rc"; return 1; }
				[ "$(wc -l <err)" -le 1 ]
			done
		done
	done
	rm -rf bad
	cp -r good bad
	truncate -s 100 bad/pages-1.img
	run -4 "$IMAGE" x bad mems
	[[ $output == *pages-1.img*"cut short"* ]]
	rm bad/pages-1.img
	mkfifo bad/pages-1.img
	run -4 timeout 10 "$IMAGE" x bad mems
}

@test "help: every command has its own, with an example" {
	for c in x edit set diff core mem search strings graph report; do
		"$IMAGE" "$c" --help >help
		head -1 help | grep -q "^Usage: cr-image $c "
		grep -q "^  cr-image $c " help
		"$IMAGE" --help | grep -q "^  $c "
		"$IMAGE" --completion | grep -qw "$c"
		[ ! -e "$BIN/man/cr-image.8" ] || grep -q "^\.BR $c " "$BIN/man/cr-image.8"
	done
}
