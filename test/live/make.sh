#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make -j2` of a small C project, dumped and restored again and again while it builds: what comes out is what an undisturbed build makes.
# timeout: 180
. "$TOP/test/lib/common.sh"
need make gcc

project() {
	mkdir -p "$1" && chmod 1777 "$1"
	local i
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		{
			echo '#include <stdio.h>'
			echo '#include <stdlib.h>'
			echo "#include \"gen$i.h\""
			for n in {1..60}; do echo "static long f${i}_$n(long x) { for (long k = 0; k < 9; k++) x = x * $n + GEN + (x >> 7) * k; return x; }"; done
			echo "long part$i(long x) {"
			for n in {1..60}; do echo "	x ^= f${i}_$n(x);"; done
			echo '	return x; }'
		} >"$1/part$i.c"
	done
	{
		echo '#include <stdio.h>'
		for i in {1..12}; do echo "long part$i(long x);"; done
		echo 'int main(void) { long x = 1;'
		for i in {1..12}; do echo "	x ^= part$i(x);"; done
		echo '	printf("%lx\n", x); return 0; }'
	} >"$1/main.c"
	cat >"$1/Makefile" <<'END'
N := 1 2 3 4 5 6 7 8 9 10 11 12
O := main.o $(N:%=part%.o)
sum: $(O)
	$(MAKE) libs
	gcc -o $@ $(O)
gen%.h:
	echo $* | tr 0-9 a-j | { read -r w; seq 20000 | sort -R --random-source=/bin/sh | sort -n | awk -v w=$$w '{ s += $$1 } END { print "#define GEN " s " /* " w " */" }'; } >$@.new && mv $@.new $@
$(N:%=part%.o): part%.o: part%.c gen%.h
	gcc -O2 -pipe -c -o $@ $<
main.o: main.c
	gcc -O2 -c -o $@ $<
libs: lib1.a lib2.a
lib%.a: $(O)
	ar rcsD $@ part$*.o part1$*.o
.SECONDARY:
END
}
project plain
project a
(cd plain && env -i PATH="$PATH" make -s -j2) >plain.log 2>&1 || die "the project does not build: $(cat plain.log)"

start a make -j2
fast_dir img
n=0
while ! is_dead "$PID"; do
	rm -rf img/*
	"$CR_DUMP" -t "$PID" -D img >dump.log 2>&1
	rc=$?
	if [ $rc != 0 ]; then
		is_dead "$PID" && break
		die "dump $n: $(cat dump.log)"
	fi
	wait_gone "$PID" || die "make is still there after the dump"
	restore img
	n=$((n + 1))
	sleep 0.15
done
wait_gone "$PID" 60
[ "$n" -ge 3 ] || die "only $n dumps while it was built"
[ -x a/sum ] || die "make did not finish: $(cat a/stdout a/stderr)"
[ ! -s a/stderr ] || die "make complains: $(cat a/stderr)"
for f in sum lib1.a lib2.a; do cmp "plain/$f" "a/$f" || die "$f is not what make makes"; done
(cd a && make -q sum) || die "make thinks that it is not finished"
[ "$(a/sum)" = "$(plain/sum)" ] || die "another result: $(a/sum)"
