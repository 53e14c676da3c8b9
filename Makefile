# SPDX-License-Identifier: GPL-2.0-or-later
# One plain GNU Makefile. Sources are found by folder: a new file needs no line here.
#
#	make                 all five binaries into build/
#	make check           everything that can be tested (as root); T=NAME runs one test
#	make demo            installs what is missing, builds, and shows the main job on a real program
#	make bench           measures against raw work in the same run; B=check only cr-check; BIG=1 larger targets
#	make fuzz            fuzz targets for FUZZ_SECONDS each
#	make install DESTDIR= PREFIX=/usr/local
#	make SAN=1 ...       with AddressSanitizer and UBSan, into build-san/
#
# BUILD=DIR builds elsewhere, CC=clang with another compiler, WERROR=1 makes warnings errors, V=1 shows the commands.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
ARCH := x86_64
FUZZ_SECONDS ?= 60
Q := $(if $(V),,@)

comma := ,
# As many jobs as there are processors, unless the caller says otherwise.
ifeq ($(MAKELEVEL)$(filter -j% --jobs%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

BUILD ?= build$(if $(SAN),-san)
FUZZ_BUILD := build-fuzz
PKGS := libprotobuf-c libnl-3.0 libnl-route-3.0 libcap json-c libzstd zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wvla -Wundef \
	-Wformat=2 -Wwrite-strings -Wno-unused-parameter -Wno-missing-field-initializers
CFLAGS ?= -O2 -g $(if $(SAN),,-fstack-protector-strong -D_FORTIFY_SOURCE=2)
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DCR_VERSION='"$(VERSION)"' -I. -I$(BUILD)/proto -I$(BUILD)/gen $(WARN) \
	-pthread $(PKG_CFLAGS) $(CFLAGS) $(if $(WERROR),-Werror)
SAN_FLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
ALL_CFLAGS += $(SAN_FLAGS)
ALL_LDFLAGS := -pthread $(LDFLAGS) $(SAN_FLAGS)

TOOLS := cr-dump cr-restore cr-check cr-image cr-config
PROTOS := $(wildcard proto/*.proto)
PB_C := $(PROTOS:proto/%.proto=$(BUILD)/proto/%.pb-c.c)
PB_H := $(PB_C:.c=.h)
GEN_H := $(BUILD)/gen/image-hints.inc
LIB_C := $(filter-out common/arch/%,$(wildcard common/*.c common/*/*.c)) $(wildcard common/arch/$(ARCH)/*.c)
LIB_S := $(wildcard common/arch/$(ARCH)/*.S)
LIB_O := $(LIB_C:%.c=$(BUILD)/%.o) $(LIB_S:%.S=$(BUILD)/%.o) $(PB_C:.c=.o)
LIB := $(BUILD)/libcr.a
BINS := $(TOOLS:%=$(BUILD)/%)

UNIT := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/*.c))
PROGS := $(patsubst test/progs/%.c,$(BUILD)/test/progs/%,$(wildcard test/progs/*.c))
HELPERS := $(patsubst test/live/%.c,$(BUILD)/test/live/%,$(wildcard test/live/*.c))
BENCHERS := $(patsubst test/bench/%.c,$(BUILD)/test/bench/%,$(wildcard test/bench/*.c))
FUZZERS := $(patsubst test/fuzz/%.c,$(FUZZ_BUILD)/%,$(wildcard test/fuzz/fuzz_*.c))

# What cannot be built without is named in one line, not found out by the tenth compiler error.
ifneq ($(filter-out clean demo check,$(or $(MAKECMDGOALS),all)),)
ifeq ($(shell command -v protoc-c && pkg-config --exists $(PKGS) && echo yes),)
$(error something to build with is missing: run contrib/install-deps, or `make demo`)
endif
endif

.PHONY: all check demo bench fuzz install clean tests docs fuzzers
.SECONDARY:
all: $(BINS) docs

# ---- generated sources ----
$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(BUILD)/proto -Iproto $<
$(BUILD)/gen/image-hints.inc: contrib/gen-hints $(PROTOS)
	@mkdir -p $(@D)
	$(Q)contrib/gen-hints $(PROTOS) > $@.tmp && mv $@.tmp $@

# ---- library ----
$(BUILD)/%.o: %.c | $(PB_H) $(GEN_H)
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC $<')
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) -I. -MMD -MP -c -o $@ $<
$(BUILD)/proto/%.o: $(BUILD)/proto/%.c | $(PB_H)
	$(Q)$(CC) -O2 -g -I$(BUILD)/proto $(PKG_CFLAGS) $(SAN_FLAGS) -w -MMD -MP -c -o $@ $<
# q, not r: objects of different folders may have the same name.
$(LIB): $(LIB_O)
	$(Q)rm -f $@ && ar qcs $@ $^

# ---- binaries ----
define TOOL_RULE
$(BUILD)/$(1): $(patsubst %.c,$(BUILD)/%.o,$(wildcard bin/$(1)/*.c)) $(LIB)
	$$(if $$(Q),@echo '  LD $(1)')
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $(LIB) $$(PKG_LIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call TOOL_RULE,$(t))))

# ---- man pages and completion come from the option table, through the binaries ----
docs: $(TOOLS:%=$(BUILD)/man/%.8) $(TOOLS:%=$(BUILD)/completion/%)
$(BUILD)/man/%.8: $(BUILD)/% bin/%/man.in
	@mkdir -p $(@D)
	$(Q)contrib/gen-man $(BUILD)/$* bin/$*/man.in > $@.tmp && mv $@.tmp $@
$(BUILD)/completion/%: $(BUILD)/%
	@mkdir -p $(@D)
	$(Q)$(BUILD)/$* --completion > $@.tmp && mv $@.tmp $@

# ---- tests ----
tests: $(UNIT) $(PROGS) $(HELPERS)
$(BUILD)/test/unit/%: test/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD $@')
	$(Q)$(CC) $(filter-out -Wwrite-strings,$(ALL_CFLAGS)) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS) -lcmocka
# Test programs stand alone: they prove their own state with asserts, so NDEBUG is refused by their header.
$(BUILD)/test/progs/%: test/progs/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -I. $(WARN) -O1 -g -pthread -MMD -MP -o $@ $< -lm
$(BUILD)/test/live/%: test/live/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -I. $(WARN) -O1 -g -pthread -MMD -MP -o $@ $<
$(BUILD)/test/bench/%: test/bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -I. $(WARN) -O2 -g -pthread -MMD -MP -o $@ $<

# Fuzz targets have a library of their own, instrumented once for all of them. A machine without clang and its
# runtime just has none.
FUZZ_SAN := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_MAKE = $(MAKE) --no-print-directory BUILD=$(FUZZ_BUILD) CC=clang SAN=
FUZZ_PROBE := int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d && n > 9; }
fuzzers:
	@mkdir -p $(BUILD)
	+$(Q)if echo '$(FUZZ_PROBE)' | clang -x c - -fsanitize=fuzzer,address,undefined -o $(BUILD)/fuzz-probe 2>/dev/null; then \
		$(FUZZ_MAKE) CFLAGS="$(FUZZ_SAN) -fsanitize=fuzzer-no-link" $(FUZZERS); \
	else \
		echo 'clang with its runtime (libclang-rt-dev) is not here: the fuzz targets are not built'; \
	fi
$(FUZZ_BUILD)/fuzz_%: test/fuzz/fuzz_%.c $(FUZZ_BUILD)/libcr.a
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD $(@F)')
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -fsanitize=fuzzer -o $@ $< $(filter %.o,$^) $(FUZZ_BUILD)/libcr.a $(PKG_LIBS)
# The views of cr-image are not in the library.
$(FUZZ_BUILD)/fuzz_views: $(patsubst %.c,$(FUZZ_BUILD)/%.o,$(filter-out %/main.c,$(wildcard bin/cr-image/*.c)))

# A package that only tests need and that cannot be had makes its tests skip; so a failure here is only told.
check:
	$(Q)contrib/install-deps --test || true
	$(Q)$(MAKE) --no-print-directory all tests fuzzers
	$(Q)BUILD=$(BUILD) test/run $(T)
demo:
	$(Q)contrib/install-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) contrib/demo
bench: all $(BENCHERS)
	$(if $(filter check image decode stream,$(B)),,$(Q)BUILD=$(BUILD) test/bench/run $(B))
	$(if $(filter-out check,$(B)),,$(Q)BUILD=$(BUILD) test/bench/check.sh)
	$(if $(filter-out image,$(B)),,$(Q)BUILD=$(BUILD) test/bench/image.sh)
	$(if $(filter-out decode,$(B)),,$(Q)BUILD=$(BUILD) test/bench/image-decode.sh)
	$(if $(filter-out stream,$(B)),,$(Q)BUILD=$(BUILD) test/bench/stream.sh)
fuzz: fuzzers
	$(Q)BUILD=$(FUZZ_BUILD) test/fuzz/run $(FUZZ_SECONDS) $(T)

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/sbin/
	install -m 644 $(TOOLS:%=$(BUILD)/man/%.8) $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(TOOLS:%=$(BUILD)/completion/%) $(DESTDIR)$(PREFIX)/share/bash-completion/completions/
clean:
	rm -rf build build-san $(FUZZ_BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
