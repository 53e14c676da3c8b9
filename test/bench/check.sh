#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/check.sh: how long cr-check takes, and which probes take longest. Medians of ROUNDS (default 15). Nothing is asserted.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=$(cd "${BUILD:-$TOP/build}" && pwd) || exit 2
rounds=${ROUNDS:-15}
timed=$BIN/test/bench/timed
dir=$(mktemp -d "${BENCH_DIR:-/dev/shm}/cr-bench.XXXXXX") || exit 2
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
export HOME=/

median() { cut -d' ' -f1 "$1" | sort -n | awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'; }
names=(true default all one kconfig)
# shellcheck disable=SC2034 # used by name
true=(/bin/true) default=("$BIN/cr-check" -q) all=("$BIN/cr-check" -q --all) one=("$BIN/cr-check" -q --feature pidfd_getfd)
# shellcheck disable=SC2034
kconfig=("$BIN/cr-check" -q --all --kconfig "$TOP/test/unit/data/kconfig/debian-6.12-amd64.config")
for ((r = 0; r < rounds; r++)); do
	for n in "${names[@]}"; do
		declare -n command=$n
		"$timed" "${command[@]}" 3>>"$dir/$n"
	done
	"$BIN/cr-check" --all --json >"$dir/$r.json"
done
printf '\ncr-check, median of %d:\n' "$rounds"
for n in "${names[@]}"; do
	declare -n command=$n
	printf '  %8.2f ms  %s\n' "$(median "$dir/$n" | awk '{ print $1 / 1000 }')" "$(basename "${command[0]}") $(printf "%s " "${command[@]:1}" | sed "s,$TOP/,,")"
done
printf 'of %d probes at the same time, with their processes and namespaces, these take longest:\n' "$(jq '.features | length' "$dir/0.json")"
jq -rs '[.[].features[]] | group_by(.name) | map({ name: .[0].name, us: (map(.time_us) | sort | .[length / 2 | floor]) }) | sort_by(-.us) |
	.[:10][] | "\(.us / 1000) \(.name)"' "$dir"/*.json | awk '{ printf "  %8.2f ms  %s\n", $1, $2 }'
