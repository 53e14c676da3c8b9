# SPDX-License-Identifier: GPL-2.0-or-later
# cr-image compress, decompress, seal, check, pack, unpack, dedup, flatten, in pipes and against the tools that everybody has.
bats_require_minimum_version 1.5.0

setup() {
	IMAGE=${BIN:-$BATS_TEST_DIRNAME/../../build}/cr-image
	CORPUS=${CR_CORPUS:-$BATS_TEST_DIRNAME/../../../shared/criu-images}
	cd "$BATS_TEST_TMPDIR" || exit 1
}

need_corpus() { [ -d "$CORPUS" ] || skip "no image corpus at $CORPUS (set CR_CORPUS)"; }
take() { # take NAME [DIR]: a copy of a checkpoint
	cp -r "$CORPUS/$1" "${2:-ckpt}"
	chmod -R u+w "${2:-ckpt}"
	rm -rf "${2:-ckpt}/json"
}

@test "compressing and back gives the same files; zstd reads what is between" {
	need_corpus
	for name in perl-objects runc-busybox; do
		take "$name" "$name"
		cp -a "$name" "$name.was"
		"$IMAGE" compress "$name"
		n=0
		for f in "$name"/*.zst; do
			base=${f##*/}
			[ ! -e "${f%.zst}" ]
			zstd -t -q "$f"
			zstd -dcq "$f" | cmp - "$name.was/${base%.zst}"
			[ "$(stat -c '%a %Y' "$f")" = "$(stat -c '%a %Y' "$name.was/${base%.zst}")" ]
			"$IMAGE" info "$f" >out
			n=$((n + 1))
		done
		[ "$n" -gt 5 ]
		diff <("$IMAGE" info --json "$name" | jq -S 'del(.file, .stored)') <("$IMAGE" info --json "$name.was" | jq -S 'del(.file, .stored)')
		"$IMAGE" compress "$name" # again: nothing to do
		"$IMAGE" decompress --threads 1 "$name"
		diff -r "$name" "$name.was"
	done
}

@test "every command reads a compressed image, by name and from a pipe; also one that zstd made" {
	need_corpus
	take perl-objects
	"$IMAGE" decode ckpt/files.img >want
	"$IMAGE" compress ckpt/files.img ckpt/inventory.img # named: however small
	"$IMAGE" decode ckpt/files.img.zst | cmp - want
	"$IMAGE" decode <ckpt/files.img.zst | cmp - want
	zstd -dcq ckpt/files.img.zst | "$IMAGE" decode | cmp - want
	"$IMAGE" check ckpt
	zstd -dq --rm ckpt/files.img.zst && zstd -q --rm ckpt/files.img
	"$IMAGE" decode ckpt/files.img.zst | cmp - want
	"$IMAGE" check ckpt
	"$IMAGE" decompress ckpt
	"$IMAGE" decode ckpt/files.img | cmp - want
}

@test "killed at any point, compress and decompress leave a whole checkpoint, and the next run ends the work" {
	need_corpus
	take python-threads
	cp -r ckpt was
	for point in cr-image:written cr-image:named; do
		for how in compress decompress; do
			for ((i = 0; i < 30; i++)); do
				status=0
				CR_FAULT=$point "$IMAGE" "$how" ckpt >/dev/null 2>&1 || status=$?
				"$IMAGE" check ckpt
				[ "$status" = 0 ] && break
				[ "$status" = 137 ]
				[ -z "$(find ckpt -name '.*.tmp')" ]
				# Dead before the new name, a run gets no further than the last one.
				[ "$point" = cr-image:named ] || break
			done
			"$IMAGE" "$how" ckpt
			[ "$how" = compress ] || diff -r ckpt was
			"$IMAGE" check ckpt
		done
	done
}

@test "killed at random times too" {
	need_corpus
	mkdir ckpt
	take bash-loop c
	cp c/inventory.img ckpt
	for n in 1 2 3 4; do cat c/pages-*.img /bin/* 2>/dev/null | head -c $((n * 3000000)) >ckpt/pages-$n.img; done
	cp -r ckpt was
	for ((i = 0; i < 12; i++)); do
		how=compress
		[ $((i % 4)) != 3 ] || how=decompress
		timeout -s KILL "0.0$((i * 5 + 3))" "$IMAGE" "$how" ckpt >/dev/null 2>&1 || true
		for n in 1 2 3 4; do
			{ cat ckpt/pages-$n.img 2>/dev/null || zstd -dcq ckpt/pages-$n.img.zst; } | cmp - was/pages-$n.img
		done
		[ -z "$(find ckpt -name '.*')" ] || [ "$(find ckpt -name '.*')" = ckpt ]
	done
	"$IMAGE" decompress ckpt
	diff -r ckpt was
}

@test "two different forms of one image are not guessed about" {
	need_corpus
	take perl-counter
	"$IMAGE" compress ckpt/files.img
	cp "$CORPUS/perl-objects/files.img" ckpt/
	run -4 "$IMAGE" compress ckpt
	[[ $output == *"files.img and files.img.zst differ"* ]]
	run -1 "$IMAGE" check ckpt
	[[ $output == *"files.img.zst: differs from files.img"* ]]
}

@test "check finds the corpus clean, in every form, and says so in JSON" {
	need_corpus
	for dir in "$CORPUS"/*/; do
		run -0 "$IMAGE" check "$dir"
		[[ $output == *": clean: "* ]]
		take "$(basename "$dir")"
		"$IMAGE" check --json ckpt | jq -e '.clean and .findings == [] and .images > 5 and (.manifest | not)'
		"$IMAGE" seal ckpt
		"$IMAGE" compress ckpt
		"$IMAGE" check --json ckpt | jq -e '.clean and .manifest and .without_checksum == 0'
		rm -rf ckpt
	done
}

# edit IMAGE FILTER: through JSON
edit() { "$IMAGE" decode "$1" | jq -c "$2" | "$IMAGE" encode >new && cat new >"$1"; }

@test "check names every finding: what refers to nothing, what is missing, cut, or there twice" {
	need_corpus
	take runc-busybox
	edit ckpt/fdinfo-2.img '.entries[0].id = 999'
	edit ckpt/fs-1.img '.entries[0].cwd_id = 998'
	edit ckpt/mm-1.img '.entries[0].exe_file_id = 997'
	edit ckpt/files.img '.entries += [.entries[0]]'
	rm ckpt/core-8.img ckpt/utsns-12.img
	truncate -s -4096 ckpt/pages-1.img
	truncate -s -3 ckpt/mountpoints-13.img
	touch ckpt/pages-77.img
	run -1 "$IMAGE" check ckpt
	for want in 'fdinfo-2.img: entry 1: refers to' 'fs-1.img: entry 1: refers to REG 998' 'mm-1.img: entry 1: refers to REG 997' \
		'files.img: entry' 'core-8.img, which is missing' 'utsns-12.img, which is missing' 'pages-1.img: 69632 bytes' \
		'mountpoints-13.img: ' 'pages-77.img: no pagemap'; do
		[[ $output == *"$want"* ]] || { echo "no: $want"; return 1; }
	done
	status=0
	"$IMAGE" check --json ckpt >out || status=$?
	[ "$status" = 1 ]
	jq -e '(.clean | not) and (.findings | length > 8)' out
}

@test "a sealed checkpoint: changed, missing, new and damaged images are noticed by check and by readers" {
	need_corpus
	take perl-objects
	"$IMAGE" seal ckpt
	jq -e '.version == 2 and .images["core-'"$(cd ckpt && ls core-*.img | head -n 1 | tr -dc 0-9)"'.img"].size > 1000' ckpt/cr-manifest.json
	if command -v xxhsum; then
		[ "$(xxhsum -H64 ckpt/files.img | cut -d' ' -f1)" = "$(jq -r '.images["files.img"].xxh64[0]' ckpt/cr-manifest.json)" ]
	fi
	"$IMAGE" check ckpt
	# A page
	pages=$(cd ckpt && ls -S pages-*.img | head -n 1)
	printf 'X' | dd of="ckpt/$pages" bs=1 seek=5000 conv=notrunc status=none
	cp "$CORPUS/bash-loop/tty-info.img" ckpt/ 2>/dev/null || echo >ckpt/tty-info.img
	rm ckpt/seccomp.img
	edit ckpt/pstree.img '.entries[0].pgid = 5'
	run -1 "$IMAGE" check ckpt
	[[ $output == *"$pages: the content is not what the manifest says, from byte 0"* ]]
	[[ $output == *"tty-info.img: the manifest does not name it"* ]]
	[[ $output == *"seccomp.img: the manifest names it, but it is missing"* ]]
	[[ $output == *"pstree.img: "*manifest* ]]
	"$IMAGE" seal ckpt
	rm ckpt/tty-info.img
	sed -i 's/"piece"/"peace"/' ckpt/cr-manifest.json
	run -1 "$IMAGE" check ckpt
	[[ $output == *"cr-manifest.json: "* ]]
}

@test "pack is a tar for everybody, and unpack takes everybody's tar" {
	need_corpus
	take runc-busybox
	"$IMAGE" pack ckpt >ckpt.tar
	tar tf ckpt.tar >names
	[ "$(head -n 1 names)" = inventory.img ]
	[ "$(tail -n 1 names)" = cr-manifest.json ]
	[ "$(grep -n pages- names | head -n 1 | cut -d: -f1)" -gt "$(grep -n pagemap- names | tail -n 1 | cut -d: -f1)" ]
	mkdir x && tar xf ckpt.tar -C x
	"$IMAGE" check x
	diff -r -x cr-manifest.json x ckpt
	/usr/bin/python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).getnames()' ckpt.tar
	"$IMAGE" pack ckpt | zstd -q | zstd -dcq | "$IMAGE" unpack y
	diff -r -x cr-manifest.json x y # each made its own manifest, at its own time
	tar -C ckpt -cf - $(cd ckpt && ls | sort -r) | "$IMAGE" unpack z # another order
	diff -r ckpt z
	"$IMAGE" compress ckpt
	"$IMAGE" pack ckpt | "$IMAGE" unpack c
	"$IMAGE" check c
	run -1 "$IMAGE" unpack c <ckpt.tar
	[[ $output == *"a checkpoint is there already"* ]]
	[ "$("$IMAGE" pack x | md5sum)" = "$("$IMAGE" pack x | md5sum)" ]
}

@test "hostile and damaged tars: refused, nothing outside, no checkpoint" {
	need_corpus
	take bash-loop
	"$IMAGE" pack ckpt >good.tar
	mkdir evil && cd evil
	echo >f; ln -s /etc/passwd link; ln f hard; mkdir sub; echo >sub/f; mkfifo fifo
	cd ..
	tar -C evil -cf t1.tar --transform 's,^,../,' f -P
	tar -C evil -cf t2.tar --transform 's,^,/tmp/crx/,' f -P
	tar -C evil -cf t3.tar link
	tar -C evil -cf t4.tar f hard
	tar -C evil -cf t5.tar sub
	tar -C evil -cf t6.tar fifo
	tar -C evil -cf t7.tar --transform 's,^,.,' f
	truncate -s 20G evil/sparse && tar -C evil -Scf t8.tar sparse
	head -c 20000 good.tar >t9.tar
	head -c 100 good.tar >t10.tar
	: >t11.tar
	head -c 10240 /dev/zero >t12.tar
	head -c 10240 /dev/urandom >t13.tar
	cat <(head -c 512 good.tar) good.tar >t14.tar
	sed 's/ustar/ustax/' good.tar >t15.tar
	for archive in t{1..15}.tar; do # not i: that is a variable of bats' run
		run -4 timeout 20 "$IMAGE" unpack out <"$archive"
		[ "$(wc -l <<<"$output")" = 1 ]
		[ ! -e out ] || [ -z "$(ls -A out)" ]
	done
	[ ! -e f ] && [ ! -e /tmp/crx ]
	# One byte anywhere: noticed, or without a meaning.
	size=$(stat -c %s good.tar)
	for ((i = 0; i < 25; i++)); do
		cp good.tar bad.tar
		printf '\377' | dd of=bad.tar bs=1 seek=$((RANDOM * 32768 % size + RANDOM % 512)) conv=notrunc status=none
		rm -rf out
		status=0
		"$IMAGE" unpack out <bad.tar 2>message || status=$?
		[ "$status" = 0 ] || [ "$status" = 4 ]
		[ "$status" = 4 ] || "$IMAGE" check out
	done
}

@test "killed before the end, unpack leaves no checkpoint, and the next run makes it" {
	need_corpus
	take bash-loop
	"$IMAGE" pack ckpt >t.tar
	run -137 env CR_FAULT=cr-image:unpacked "$IMAGE" unpack out <t.tar
	[ ! -e out/inventory.img ]
	"$IMAGE" unpack out <t.tar
	"$IMAGE" check out
	diff -r -x cr-manifest.json ckpt out
}

@test "chains: dedup drops what the parent has, flatten brings it back" {
	need_corpus
	mkdir chain
	for n in 1 2 3; do take perl-objects chain/$n; done
	ln -s ../1 chain/2/parent
	ln -s ../2 chain/3/parent
	pages=$(cd chain/1 && ls -S pages-*.img | head -n 1)
	printf 'other' | dd of="chain/3/$pages" bs=1 seek=9000 conv=notrunc status=none
	cp -r chain/3 want && rm want/parent
	"$IMAGE" seal chain/3
	"$IMAGE" compress chain/1
	"$IMAGE" dedup chain/2
	"$IMAGE" dedup chain/3
	"$IMAGE" check chain/2 chain/3
	[ "$(cat chain/3/pages-*.img | wc -c)" = 4096 ]
	"$IMAGE" flatten chain/3 -o flat
	"$IMAGE" check --json flat | jq -e '.clean and .manifest'
	# The same memory: page by page, whatever the numbers of the files.
	for map in want/pagemap-*.img; do
		a=want/pages-$("$IMAGE" decode "$map" | jq .entries[0].pages_id).img
		b=flat/pages-$("$IMAGE" decode "flat/${map##*/}" | jq .entries[0].pages_id).img
		cmp "$a" "$b"
		diff <("$IMAGE" decode "$map" | jq '.entries[1:] | map(.nr_pages) | add') <("$IMAGE" decode "flat/${map##*/}" | jq '.entries[1:] | map(.nr_pages) | add')
	done
	run -4 "$IMAGE" pack chain/3
	[[ $output == *parent*flatten* ]]
	run -4 "$IMAGE" dedup chain/1
	rm chain/2/parent
	run -1 "$IMAGE" check chain/3
	[[ $output == *"no parent directory"* ]]
	ln -s ../3 chain/2/parent
	run -1 "$IMAGE" check chain/3
	[[ $output == *"round in a circle"* ]]
	run -4 timeout 20 "$IMAGE" flatten chain/3 -o no
	[ ! -e no ] || [ -z "$(ls -A no)" ]
}

@test "links that lead out of the directory are not followed, and not replaced" {
	need_corpus
	take bash-loop
	mv ckpt/files.img outside
	ln -s ../outside ckpt/files.img
	run -1 "$IMAGE" check ckpt
	[[ $output == *"files.img: "*"leads out of the directory"* ]]
	run -1 "$IMAGE" compress ckpt/files.img
	[[ $output == *"symbolic link"* ]]
	[ -L ckpt/files.img ]
}

@test "help, and one line for what cannot be" {
	for c in compress decompress seal check pack unpack dedup flatten; do
		"$IMAGE" --help | grep -q "^  $c "
		"$IMAGE" $c --help | grep -q "cr-image $c"
		run -2 "$IMAGE" $c
	done
	run -1 "$IMAGE" check nosuch
	run -2 "$IMAGE" flatten x
	run -2 "$IMAGE" compress --level 77 x
	mkdir empty
	for c in compress decompress seal check pack; do
		run -4 "$IMAGE" $c empty
	done
}
