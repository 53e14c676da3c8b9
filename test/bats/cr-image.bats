# SPDX-License-Identifier: GPL-2.0-or-later
# cr-image as a user meets it, against real images of another program (CR_CORPUS), and side by side with crit.
bats_require_minimum_version 1.5.0

setup() {
	IMAGE=${BIN:-$BATS_TEST_DIRNAME/../../build}/cr-image
	CORPUS=${CR_CORPUS:-$BATS_TEST_DIRNAME/../../../shared/criu-images}
	OWN=$BATS_TEST_DIRNAME/../fuzz/corpus/image_json
	cd "$BATS_TEST_TMPDIR" || exit 1
}

need_corpus() { [ -d "$CORPUS" ] || skip "no image corpus at $CORPUS (set CR_CORPUS)"; }
crit() { /usr/bin/python3 /usr/bin/crit "$@"; }
need_crit() { crit --help >/dev/null 2>&1 || skip "crit is not installed"; }

@test "every image of the corpus equals its JSON, plain and in words" {
	need_corpus
	n=0
	for json in "$CORPUS"/*/json/*.json; do
		base=${json##*/}
		dir=${json%/json/*}
		case $base in
		*.show.json) "$IMAGE" decode --pretty "$dir/${base%.show.json}" >out ;;
		*) "$IMAGE" decode -i "$dir/${base%.json}" -o out ;;
		esac
		diff <(cat out) <(cat "$json" && [ -z "$(tail -c1 "$json")" ] || echo) >&2 || { echo "$json" >&2; return 1; }
		n=$((n + 1))
	done
	[ "$n" -gt 100 ]
}

@test "every JSON of the corpus makes its image again, byte for byte" {
	need_corpus
	n=0
	for json in "$CORPUS"/*/json/*.json; do
		base=${json##*/}
		dir=${json%/json/*}
		name=${base%.json}
		"$IMAGE" encode -i "$json" -o out
		cmp out "$dir/${name%.show}" || { echo "$json" >&2; return 1; }
		n=$((n + 1))
	done
	[ "$n" -gt 100 ]
}

@test "directories: info counts every image, show passes over raw ones" {
	need_corpus
	for dir in "$CORPUS"/*/; do
		"$IMAGE" info "$dir" >out
		[ "$(tail -n +2 out | wc -l)" = "$(find "$dir" -maxdepth 1 \( -name '*.img' -o -name 'stats-*' \) | wc -l)" ]
		[ "$("$IMAGE" info --json "$dir" | jq -s length)" = "$(tail -n +2 out | wc -l)" ]
		"$IMAGE" show "$dir" >out
		jq -e '.["inventory.img"].magic == "INVENTORY"' out
		! grep -q '^ *"pages-' out || return 1
		"$IMAGE" show --lines "$dir" | jq -e .entry >/dev/null
	done
}

# A program of its own: bats traces every command of a test, which makes long loops slow.
cut_everywhere() {
	bash -eu -c '
		image=$1 size=$(stat -c %s whole) refused=0
		for ((i = 0; i < size; i++)); do
			head -c "$i" whole >cut.img
			status=0
			timeout 10 "$image" decode cut.img >/dev/null 2>message || status=$?
			[ "$status" = 0 ] && continue
			[ "$status" = 4 ] || { echo "exit $status at $i"; exit 1; }
			grep -q "^cr-image: cut.img: .*byte" message || { cat message; exit 1; }
			refused=$((refused + 1))
		done
		# Between two entries, and within the content of a plain ghost, a cut cannot be seen.
		[ "$refused" -ge $((size - 8)) ] || { echo "$refused of $size refused"; exit 1; }
	' - "$IMAGE"
}

@test "images cut at every length are refused with their name and the byte" {
	for json in fs pagemap msg tcp ghost utsns; do
		"$IMAGE" encode "$OWN/$json" >whole
		cut_everywhere
	done
}

@test "our own images: JSON there and back, in words, sorted, from a pipe" {
	for json in "$OWN"/*; do
		"$IMAGE" encode -i "$json" -o one
		"$IMAGE" decode one | "$IMAGE" encode >two
		cmp one two
		"$IMAGE" show - <one | "$IMAGE" encode - | cmp one
		case ${json##*/} in
		inet | unix) ;; # jq cuts 64-bit numbers
		*) "$IMAGE" decode --pretty one | jq -S . | "$IMAGE" encode | cmp one ;;
		esac
	done
}

@test "crit reads what we write and we read what crit writes" {
	need_crit
	n=0
	for json in "$OWN"/*; do
		case ${json##*/} in
		unknown | utsns) continue ;; # our own keys
		inventory | pagemap) continue ;; # crit 3.17 does not know their newer fields
		shm) continue ;; # crit 3.17 cannot encode it
		esac
		"$IMAGE" encode "$json" >ours
		crit decode -i ours -o crit.json
		"$IMAGE" decode ours >ours.json
		diff <(jq . crit.json) <(jq . ours.json)
		crit decode --pretty -i ours | diff - <("$IMAGE" decode --pretty ours)
		crit encode -i ours.json -o theirs
		"$IMAGE" decode theirs | diff - ours.json
		case ${json##*/} in
		msg | sem) ;; # crit leaves padding out
		*) cmp ours theirs ;;
		esac
		n=$((n + 1))
	done
	[ "$n" -gt 10 ]
}

@test "crit reads the corpus through us" {
	need_corpus
	need_crit
	for name in pstree fs-30101 fdinfo-2 seccomp; do
		"$IMAGE" decode "$CORPUS/perl-counter/$name.img" | "$IMAGE" encode >again
		diff <(crit decode -i again | jq .) <("$IMAGE" decode again | jq .)
	done
}

@test "--nopl leaves the payload out, and that cannot be encoded" {
	"$IMAGE" encode "$OWN/pipes" >p
	"$IMAGE" show --nopl p >out
	grep -q '"extra": "... <3B>"' out
	run -4 "$IMAGE" encode out
	[[ $output == *base64* ]]
}

@test "a failing encode leaves the old file alone, and nothing beside it" {
	echo old >target
	run -4 "$IMAGE" encode -o target <<<'{"magic": "FS", "entries": [{"cwd_id": 1}]}'
	[[ $output == "cr-image: standard input: line 1: entry 1: "*root_id* ]]
	[ "$(cat target)" = old ]
	[ "$(ls -A)" = target ]
	"$IMAGE" encode -o target <<<'{"magic": "FS", "entries": [{"cwd_id": 1, "root_id": 2}]}'
	[ "$("$IMAGE" decode target)" = '{"magic": "FS", "entries": [{"cwd_id": 1, "root_id": 2}]}' ]
}

@test "one line and the right exit code for what cannot be" {
	run --separate-stderr -1 "$IMAGE" show nosuch
	[ "$stderr" = "cr-image: nosuch: cannot open: No such file or directory" ]
	run -2 "$IMAGE"
	run -2 "$IMAGE" nosuch
	run -2 "$IMAGE" decode -i a b
	mkdir empty
	run -4 "$IMAGE" info empty
	run -1 "$IMAGE" encode -o nodir/x <<<'{}'
	run -4 "$IMAGE" encode <<<'{"magic": "FS", "entries": [{"cwd_id": 1, "root_id": 99999999999}]}'
	[[ $output == *root_id*range* ]]
	"$IMAGE" encode "$OWN/fs" >f
	run --separate-stderr -1 bash -c '"$1" decode f >/dev/full' - "$IMAGE"
	[[ $stderr == *"No space left on device"* ]]
}

@test "help names every command, and every command has its own help" {
	run -0 "$IMAGE" --help
	for c in show decode encode info; do
		[[ $output == *"  $c "* ]]
		"$IMAGE" "$c" --help | grep -q "cr-image $c"
	done
	"$IMAGE" --completion | grep -q -- decode
}
