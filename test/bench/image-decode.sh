#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/image-decode.sh: decoding a pagemap of a million entries beside Debian's crit, and a search beside reading the file. Figures
# for people; nothing is asserted. BUILD=directory of the build, ENTRIES=N.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=$(cd "${BUILD:-$TOP/build}" && pwd) || exit 2
n=${ENTRIES:-1000000}
W=$(mktemp -d "${BENCH_DIR:-/dev/shm}/cr-bench.XXXXXX") || exit 2
trap 'rm -rf "$W"' EXIT
trap 'exit 130' INT TERM
cd "$W" || exit 2

awk -v n="$n" 'BEGIN { printf "{\"magic\": \"PAGEMAP\", \"entries\": [{\"pages_id\": 1}"
	for (i = 0; i < n; i++) printf ", {\"vaddr\": %d, \"compat_nr_pages\": 0, \"flags\": 4}", 139637976727552 + i * 8192
	print "]}" }' | "$BIN/cr-image" encode -o pagemap-1.img || exit 1

# best COMMAND...: least seconds of processor and most memory (KiB) of three runs; of one when it takes long.
best() {
	local i t s m least='' most=0
	for i in 1 2 3; do
		t=$( { TIMEFORMAT='%U %S'; time "$@" >/dev/null; } 2>&1 | tail -n 1)
		s=$(awk '{ print $1 + $2 }' <<<"$t")
		[ -n "$least" ] && awk -v a="$least" -v b="$s" 'BEGIN { exit !(a <= b) }' || least=$s
		awk -v s="$s" 'BEGIN { exit !(s > 3) }' && break
	done
	m=$("$BIN/test/bench/timed" "$@" 3>&1 >/dev/null 2>&1 | awk '{ print $2 }')
	[ -z "$m" ] || most=$m
	echo "$least $most"
}
row() { printf '%-34s %9s s %9.1f MiB\n' "$1" "$2" "$(awk -v k="$3" 'BEGIN { print k / 1024 }')"; }

printf 'a pagemap of %d entries\n' "$n"
read -r ours ours_mem < <(best "$BIN/cr-image" decode pagemap-1.img)
row 'cr-image decode' "$ours" "$ours_mem"
read -r words words_mem < <(best "$BIN/cr-image" decode --pretty pagemap-1.img)
row 'cr-image decode --pretty' "$words" "$words_mem"
if [ -x /usr/bin/crit ]; then
	read -r crit crit_mem < <(best /usr/bin/python3 /usr/bin/crit decode -i pagemap-1.img)
	row 'crit decode' "$crit" "$crit_mem"
	awk -v a="$ours" -v b="$crit" 'BEGIN { if (a > 0) printf "cr-image is %.0f times faster\n", b / a }'
else
	echo 'crit is not installed'
fi

# One task with 512 MiB of text in one mapping.
mib=512
bytes=$((mib << 20))
mkdir c
"$BIN/cr-image" encode -o c/pstree.img <<<'{"magic":"PSTREE","entries":[{"pid":1,"ppid":0,"pgid":1,"sid":1,"threads":[1]}]}'
"$BIN/cr-image" encode -o c/mm-1.img <<<"{\"magic\":\"MM\",\"entries\":[{\"mm_start_code\":0,\"mm_end_code\":0,\"mm_start_data\":0,\"mm_end_data\":0,\"mm_start_stack\":0,\"mm_start_brk\":0,\"mm_brk\":0,\"mm_arg_start\":0,\"mm_arg_end\":0,\"mm_env_start\":0,\"mm_env_end\":0,\"exe_file_id\":1,\"vmas\":[{\"start\":65536,\"end\":$((65536 + bytes)),\"pgoff\":0,\"shmid\":0,\"prot\":3,\"flags\":34,\"status\":513,\"fd\":-1}]}]}"
"$BIN/cr-image" encode -o c/pagemap-1.img <<<"{\"magic\":\"PAGEMAP\",\"entries\":[{\"pages_id\":1},{\"vaddr\":65536,\"compat_nr_pages\":0,\"nr_pages\":$((bytes / 4096)),\"flags\":4}]}"
head -c $((3 << 22)) /dev/urandom | base64 -w 0 >block
for ((i = 0; i < bytes / (4 << 22); i++)); do cat block; done >c/pages-1.img
printf '\n%d MiB of memory\n' "$mib"
read -r whole _ < <(best cat c/pages-1.img)
row 'cat' "$whole" 0
for how in '--text AbCdEfGh' '--hex 0102030405' '--regex toKen=[0-9]+'; do
	# shellcheck disable=SC2086
	read -r s mem < <(best "$BIN/cr-image" search c $how)
	row "cr-image search $how" "$s" "$mem"
done
read -r s mem < <(best "$BIN/cr-image" strings c)
row 'cr-image strings' "$s" "$mem"
