# quantd: one Makefile, not recursive. `make help` lists the targets.
MODE ?= release
CC ?= cc
VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=

# `make V=1` shows the whole commands.
ifeq ($(V),)
Q = @printf '  %s\n' '$(@:build/%=%)';
endif

# --- modes -----------------------------------------------------------------------------------------------
BUILD := build/$(MODE)
BIN := $(if $(filter release,$(MODE)),build,$(BUILD))
GEN := build/gen

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wformat=2 -Wvla -Wwrite-strings -Wundef
ifdef CI
WARN += -Werror
endif
BASE := -std=gnu17 -D_GNU_SOURCE -I. -I$(GEN) $(WARN) -pthread -ffp-contract=off -fno-math-errno \
        -DQUANTD_VERSION='"$(VERSION)"'
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE

ifeq ($(MODE),release)
OPT := -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN)
LINK := -pie -Wl,-z,relro,-z,now
HOT := -O3
else ifeq ($(MODE),debug)
OPT := -O0 -g3
HOT := -O0
else ifeq ($(MODE),asan)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LINK := -fsanitize=address,undefined
HOT := -O2
else ifeq ($(MODE),tsan)
OPT := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
LINK := -fsanitize=thread
HOT := -O2
else ifeq ($(MODE),cov)
OPT := -O0 -g --coverage
LINK := --coverage
HOT := -O0
else ifeq ($(MODE),fuzz)
CC := clang
OPT := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LINK := -fsanitize=address,undefined
HOT := -O1
else
$(error MODE is release, debug, asan, tsan, cov or fuzz, not "$(MODE)")
endif

# --- sources ---------------------------------------------------------------------------------------------
BASE_C := $(wildcard base/*.c)
STORAGE_C := $(wildcard storage/*.c)
API_C := $(wildcard api/*.c)
SERVER_C := $(wildcard server/*.c)
CLIENT_C := $(wildcard api/client/*.c)
LANES_C := $(wildcard worker/kernels/lanes_*.c)
CODER_LANES_C := worker/coder/lanes_matrix.c
WORKER_C := $(filter-out $(LANES_C) $(CODER_LANES_C),$(wildcard worker/*.c worker/*/*.c))
SHARED_API_C := api/spec.c api/event.c
ONNX_PB := $(GEN)/onnx/onnx.pb-c

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
SETS := generic avx2 avx512 avx512_vnni
FLAGS_generic :=
FLAGS_avx2 := -mavx2 -mfma
FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
FLAGS_avx512_vnni := $(FLAGS_avx512) -mavx512vnni -mavx512bf16
# machines with AVX-512 that count the bits of a vector: of one kernel only (worker/kernels/bits.c)
FLAGS_avx512_popcount := $(FLAGS_avx512) -mavx512vpopcntdq
LANES_O := $(foreach s,$(SETS),$(patsubst worker/kernels/%.c,$(BUILD)/obj/worker/kernels/%.$(s).o,$(LANES_C))) \
           $(BUILD)/obj/worker/kernels/lanes_bits.avx512_popcount.o \
           $(foreach s,generic avx2,$(patsubst %.c,$(BUILD)/obj/%.$(s).o,$(CODER_LANES_C)))

SERVER_LIB := $(call obj,$(BASE_C) $(STORAGE_C) $(API_C) $(filter-out server/main.c,$(SERVER_C)))
WORKER_LIB := $(call obj,$(BASE_C) $(SHARED_API_C) $(filter-out worker/main.c,$(WORKER_C))) $(LANES_O) \
              $(BUILD)/obj/onnx.pb-c.o
CLIENT_LIB := $(call obj,$(BASE_C) $(filter-out api/client/main.c,$(CLIENT_C)))

PKG = $(shell pkg-config --libs $(1))
SERVER_LIBS := -lmicrohttpd -ljansson -lsqlite3 -luv -lcrypto -lm -lpthread
WORKER_LIBS := -ljansson -luv -lopenblas -lcrypto -larchive -lprotobuf-c -lseccomp -lbz2 -lpng -lz -lm -lpthread
CLIENT_LIBS := -ljansson -lcurl -lcrypto -lm

# --- programs --------------------------------------------------------------------------------------------
all: $(BIN)/quantd $(BIN)/quantd-worker $(BIN)/quantctl build/webui/.stamp

$(BIN)/quantd: $(BUILD)/obj/server/main.o $(SERVER_LIB)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(SERVER_LIBS)
$(BIN)/quantd-worker: $(BUILD)/obj/worker/main.o $(WORKER_LIB)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS)
$(BIN)/quantctl: $(BUILD)/obj/api/client/main.o $(CLIENT_LIB)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(CLIENT_LIBS)

# A changed flag rebuilds everything of that mode.
$(BUILD)/flags: FORCE | $(BUILD)/.packages
	@echo '$(CC) $(BASE) $(OPT) $(HOT)' | cmp -s - $@ || echo '$(CC) $(BASE) $(OPT) $(HOT)' > $@
FORCE:

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) $(if $(filter worker/kernels/% worker/op/% worker/quant/%,$<),$(HOT)) -MMD -MP -c -o $@ $<

define LANES_RULE
$(BUILD)/obj/worker/%.$(1).o: worker/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(BASE) $$(OPT) $$(HOT) $(FLAGS_$(1)) -ffp-contract=fast -DKERNEL_SET=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach s,$(SETS) avx512_popcount,$(eval $(call LANES_RULE,$(s))))

# ONNX's schema comes with libonnx-dev; its C code is generated, never committed.
$(ONNX_PB).c: | $(BUILD)/.packages
	@mkdir -p $(GEN)
	protoc-c --c_out=$(GEN) -I/usr/include /usr/include/onnx/onnx.proto
$(ONNX_PB).h: $(ONNX_PB).c
$(call obj,$(wildcard worker/onnx/*.c tests/unit/worker_onnx*.c tests/fuzz/worker_*.c)): | $(ONNX_PB).c
$(BUILD)/obj/onnx.pb-c.o: $(ONNX_PB).c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -I$(GEN) $(OPT) -c -o $@ $<

# Headers and tools that must be there, with the Debian package that has them.
$(BUILD)/.packages: tests/packages.sh
	@sh tests/packages.sh check
	@mkdir -p $(@D) && touch $@

# --- dashboard: plain modules plus pinned npm packages, copied ---------------------------------------------
WEBUI := $(wildcard webui/*.html webui/*.css webui/*.js webui/*/*.js)
build/webui/.stamp: webui/package.json webui/package-lock.json webui/build.sh $(WEBUI)
	sh webui/build.sh build/webui
	@touch $@

# --- tests -----------------------------------------------------------------------------------------------
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
UNIT_WORKER := $(filter worker_%,$(UNIT))
UNIT_DOUBLE := $(filter double_%,$(UNIT))
UNIT_SERVER := $(filter-out $(UNIT_WORKER) $(UNIT_DOUBLE),$(UNIT))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZ_WORKER := $(filter worker_%,$(FUZZ))
FUZZ_SERVER := $(filter-out $(FUZZ_WORKER),$(FUZZ))
T := $(BUILD)/tests

$(UNIT_SERVER:%=$(T)/%): $(T)/%: $(BUILD)/obj/tests/unit/%.o $(SERVER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(SERVER_LIBS) -lcmocka
$(UNIT_WORKER:%=$(T)/%): $(T)/%: $(BUILD)/obj/tests/unit/%.o $(WORKER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS) -lcmocka

# The gradient checks: graph, operators and kernels once more, in double precision.
DOUBLE_C := $(BASE_C) $(wildcard worker/graph/*.c worker/op/*.c worker/quant/*.c) worker/train/hints.c worker/calibrate/batches.c \
            $(filter-out $(LANES_C) worker/kernels/gemm.c worker/kernels/list.c,$(wildcard worker/kernels/*.c))
DOUBLE_O := $(patsubst %.c,$(BUILD)/double/%.o,$(DOUBLE_C)) \
            $(patsubst %.c,$(BUILD)/double/%.o,$(LANES_C) worker/kernels/list.c)
$(BUILD)/double/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) -O2 -DQUANTD_DOUBLE -DKERNEL_SET=generic -Wno-conversion -Wno-double-promotion -MMD -MP -c -o $@ $<
$(UNIT_DOUBLE:%=$(T)/%): $(T)/%: $(BUILD)/double/tests/unit/%.o $(DOUBLE_O)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS) -lcmocka

ifeq ($(MODE),fuzz)
FUZZ_MAIN := -fsanitize=fuzzer
else
FUZZ_MAIN := $(BUILD)/obj/tests/fuzz/replay.o
$(FUZZ:%=$(T)/fuzz_%): $(FUZZ_MAIN)
endif
$(FUZZ_SERVER:%=$(T)/fuzz_%): $(T)/fuzz_%: $(BUILD)/obj/tests/fuzz/%.o $(SERVER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $(filter-out $(FUZZ_MAIN),$^) $(FUZZ_MAIN) $(SERVER_LIBS)
$(FUZZ_WORKER:%=$(T)/fuzz_%): $(T)/fuzz_%: $(BUILD)/obj/tests/fuzz/%.o $(WORKER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $(filter-out $(FUZZ_MAIN),$^) $(FUZZ_MAIN) $(WORKER_LIBS)

# Benchmarks: programs on the worker's objects, built for release.
BENCH := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/*.c))
$(BENCH:%=build/bench/%): build/bench/%: $(BUILD)/obj/tests/bench/%.o $(WORKER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS)

bench: all build/bench/kernels build/bench/coder # kernels, coders and training steps against the machine's measured peak
	@sh tests/bench/run.sh
bench-peers: all # training steps against PyTorch, in turns; ARGS="--rounds 5 --networks lenet5"
	@/usr/bin/python3 tests/bench/peers.py $(ARGS)

# Comparisons with other programs, where those are installed: the same program in single and double precision.
PEER_C := tests/peer/gradients.c $(wildcard worker/zoo/*.c) \
          $(filter-out worker/onnx/export%,$(wildcard worker/onnx/*.c))
PEER_O := $(patsubst %.c,$(BUILD)/double/%.o,$(PEER_C))
$(PEER_O): | $(ONNX_PB).c
$(BIN)/peer/gradients: $(BUILD)/obj/tests/peer/gradients.o $(WORKER_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS)
$(BIN)/peer/gradients_double: $(PEER_O) $(DOUBLE_O) $(BUILD)/obj/onnx.pb-c.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(OPT) $(LINK) -o $@ $^ $(WORKER_LIBS)
peer: $(BIN)/peer/gradients $(BIN)/peer/gradients_double # loss and gradients of networks against PyTorch
	@/usr/bin/python3 tests/peer/torch_gradients.py $(BIN)/peer

unit-build: $(UNIT:%=$(T)/%) $(FUZZ:%=$(T)/fuzz_%)
unit: # the unit tests and the replay of the fuzz corpora, under ASan and UBSan unless MODE says otherwise
	@$(MAKE) --no-print-directory MODE=$(if $(filter release,$(MODE)),asan,$(MODE)) unit-build
	@sh tests/unit.sh build/$(if $(filter release,$(MODE)),asan,$(MODE))/tests
	@# sanitizers and seccomp exclude each other: the sandbox is tested as it is shipped, too
	@$(MAKE) --no-print-directory MODE=release build/release/tests/worker_sandbox
	@build/release/tests/worker_sandbox

fuzz: # libFuzzer targets in build/fuzz/tests; each runs for FUZZ_SECONDS (default 30)
	@$(MAKE) --no-print-directory MODE=fuzz fuzz-build
	@sh tests/fuzz.sh build/fuzz/tests $(or $(FUZZ_SECONDS),30)
fuzz-build: $(FUZZ:%=$(T)/fuzz_%)

test: packages all lint unit # everything that CI needs
	@sh tests/node.sh

packages:
	@sh tests/packages.sh install
lint: # formatting, direction of includes, READMEs
	@sh tests/lint.sh
demo: packages # build, start the daemon on loopback, run one real job on built-in data
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh
reproduce: all # ROW=name: one long experiment of tests/reproduce through a daemon of its own
	@node tests/reproduce/run.mjs $(ROW)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/quantd $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 build/quantd build/quantd-worker build/quantctl $(DESTDIR)$(PREFIX)/bin
	cp -r build/webui $(DESTDIR)$(PREFIX)/share/quantd/
	install -m 644 api/openapi.json $(DESTDIR)$(PREFIX)/share/quantd/openapi.json
	sed 's|@PREFIX@|$(PREFIX)|g' server/quantd.service.in > $(DESTDIR)$(PREFIX)/lib/systemd/system/quantd.service
clean:
	rm -rf build
help:
	@sed -n 's/^\([a-z-]*\):[^#]*# \(.*\)/\1  \2/p' Makefile

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all test bench bench-peers peer unit unit-build fuzz fuzz-build packages lint demo reproduce install clean help FORCE
.SECONDARY:
