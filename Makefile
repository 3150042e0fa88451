# Polyview: build, test and install.  `make help` lists the targets.
#
# Variables a user may set
#   BUILD=dir      where everything that is built goes (default build)
#   V=1            print the compiler's command lines
#   DEBUG=1        -O0 -g, no optimisation          SANITIZE=1  AddressSanitizer and UBSan
#   FUZZ_SECONDS=60  how long `make fuzz` runs every target, FUZZ_JOBS=1 how many processes of it
#   MPICC=mpicc    the MPI compiler                  PYTHON=...  a python3 that has h5py and numpy
#   MPIRUN=mpirun  what starts ranks in tests and the quickstart; of MPICC=mpicc.mpich it is mpirun.mpich
#   HDF5_DIR, OPENBLAS_DIR, SCALAPACK_DIR, RANDOM123_DIR, XXHASH_DIR, YAML_DIR, JANSSON_DIR,
#   ZLIB_DIR, PNG_DIR, JPEG_DIR, ASSIMP_DIR, EMBREE_DIR, CMOCKA_DIR=/prefix
#                  where a library lives, when pkg-config does not find it
#   POLYVIEW_VENV=dir  a virtual environment with the current packages of PyPI, for tests and lint
#   MKL=/prefix    use MKL for BLAS and ScaLAPACK

BUILD  ?= build
MPICC  ?= mpicc
MPIRUN ?= $(if $(findstring mpicc,$(MPICC)),$(subst mpicc,mpirun,$(MPICC)),mpirun)
export MPIRUN
PREFIX ?= /usr/local
ROOT    = $(DESTDIR)$(PREFIX)
DEBUG  ?=
SANITIZE ?=
RANKS  ?= $(shell nproc)
FUZZ_SECONDS ?= 60
FUZZ_JOBS    ?= 1
FUZZ_CC      ?= clang
FAULT_TRIALS ?= 200
HOST_KILLS ?= 4
# Set by `make fuzz` for its own build: instrumented for libFuzzer, which needs clang.
FUZZING ?=

.DEFAULT_GOAL := all
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1) $(2)')
JOBS = $(if $(findstring j,$(MAKEFLAGS)),,-j$(RANKS))
no_libs := help clean deps format lint check check-hosts check-slurm dist fuzz quickstart uninstall
goals := $(or $(MAKECMDGOALS),all)

# An archive's .version holds what git has put there; a checkout's does not.
VERSION := $(firstword $(shell grep -v Format .version || git describe --always --dirty 2>/dev/null) unknown)
MACHINE := $(shell uname -m)

WARN := $(if $(FUZZING),-w,-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla)
OPT  := $(if $(DEBUG),-O0 -g3,$(if $(FUZZING),-O2 -g,-O3 -g))
comma := ,
SAN  := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
SAN  += $(if $(FUZZING),-fsanitize=fuzzer-no-link)

# build/libs.mk holds the flags of every library; scripts/find-libs.sh names what is missing.
ifneq ($(filter-out $(no_libs),$(goals)),)
-include $(BUILD)/libs.mk
endif

CPPFLAGS += -Iinclude -D_GNU_SOURCE
CFLAGS   += -std=gnu11 $(OPT) $(WARN) $(SAN) -MMD -MP
LDLIBS   += $(LIB_LDFLAGS) -lm -lpthread

# Dense kernels (*_kernels.c) are compiled once for every instruction set; pv_cpu.h chooses at run time.
ISAS := portable
ifneq ($(filter x86_64 amd64,$(MACHINE)),)
ISAS += avx2 avx512
endif
# No kernel reads errno; without it a square root is one vector instruction.
KERNEL_CFLAGS := -fno-math-errno
# Whatever processor CFLAGS or a cluster's compiler wrapper is for, kernels are for theirs, and the rest rounds every product:
# every build makes the same bytes on one instruction set.
isa_portable := $(if $(filter x86_64 amd64,$(MACHINE)),-march=x86-64 -mtune=generic)
isa_avx2     := $(isa_portable) -mavx2 -mfma
isa_avx512   := $(isa_portable) -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512
PLAIN_CFLAGS := -ffp-contract=off

SRC      := $(wildcard src/*/*.c src/*/*/*.c)
KERNELS  := $(filter %_kernels.c,$(SRC))
PLAIN    := $(filter-out %_kernels.c,$(SRC))
LIB_OBJ  := $(PLAIN:src/%.c=$(BUILD)/obj/%.o) \
            $(foreach isa,$(ISAS),$(KERNELS:src/%.c=$(BUILD)/obj/%.$(isa).o))
LIB      := $(BUILD)/libpolyview.a
BIN      := $(BUILD)/polyview

# The nn room once more in double precision: the witness for gradients and equivariance.
NN_F64   := $(filter src/nn/%,$(PLAIN))
NN_F64K  := $(filter src/nn/%,$(KERNELS))
F64_OBJ  := $(NN_F64:src/%.c=$(BUILD)/obj64/%.o) \
            $(foreach isa,$(ISAS),$(NN_F64K:src/%.c=$(BUILD)/obj64/%.$(isa).o))
F64_LIB  := $(BUILD)/libpolyview-nn-f64.a

TEST_CPPFLAGS := -Isrc -Itests/lib $(addprefix -I,$(CMOCKA_DIR:=/include))
CMOCKA_LIBS   := $(foreach lib,$(CMOCKA_DIR:=/lib) $(CMOCKA_DIR:=/lib64),-L$(lib) -Wl,-rpath,$(lib)) -lcmocka
TEST_LIB  := $(patsubst tests/lib/%.c,$(BUILD)/tests/lib/%.o,$(wildcard tests/lib/*.c))
TEST_BIN  := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c tests/mpi/*.c tests/oracle/*.c))
TEST_F64  := $(filter %_f64,$(TEST_BIN))
TEST_F32  := $(filter-out %_f64,$(TEST_BIN))
FUZZ_BIN  := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIB  := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))
BENCH_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c))

.PHONY: all help deps tests check check-quick check-fault check-hosts check-slurm quickstart install uninstall dist clean format lint tidy fuzz fuzz-targets bench FORCE
.SECONDARY:

all: $(BIN)  ## build build/polyview

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

deps:  ## install what is missing (apt-get as root or through sudo; else list it and stop)
	@MPICC='$(MPICC)' scripts/deps.sh

# Whoever names another compiler or prefix has the libraries looked for anew.
asked := MPICC='$(MPICC)' $(foreach v,HDF5_DIR OPENBLAS_DIR SCALAPACK_DIR RANDOM123_DIR XXHASH_DIR YAML_DIR \
         JANSSON_DIR ZLIB_DIR PNG_DIR JPEG_DIR ASSIMP_DIR EMBREE_DIR CMOCKA_DIR MKL,$(v)='$($(v))')
$(BUILD)/asked: FORCE
	@mkdir -p $(BUILD)
	@echo "$(asked)" | cmp -s - $@ || echo "$(asked)" > $@
$(BUILD)/libs.mk: scripts/find-libs.sh scripts/mpi-flavour.sh $(BUILD)/asked
	@$(asked) scripts/find-libs.sh > $@.part && mv $@.part $@

# A change of mode (DEBUG, SANITIZE, CFLAGS) rebuilds: flags are part of what an object depends on.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(MPICC) $(CFLAGS) $(LIB_CFLAGS) $(KERNEL_CFLAGS) $(PLAIN_CFLAGS) $(DEBUG) $(SANITIZE)' | cmp -s - $@ || \
	 echo '$(MPICC) $(CFLAGS) $(LIB_CFLAGS) $(KERNEL_CFLAGS) $(PLAIN_CFLAGS) $(DEBUG) $(SANITIZE)' > $@
FORCE:

# The code version is written into every store and model, so a commit rebuilds the one file that holds it.
$(BUILD)/version: FORCE
	@mkdir -p $(BUILD)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
$(BUILD)/obj/base/pv_version.o: $(BUILD)/version
$(BUILD)/obj/base/pv_version.o: CPPFLAGS += -DPV_CODE_VERSION='"$(VERSION)"'

$(BUILD)/obj/%.o: src/%.c $(BUILD)/libs.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) $(PLAIN_CFLAGS) -c -o $@ $<

define isa_rules
$(BUILD)/obj/%.$(1).o: src/%.c $(BUILD)/libs.mk $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call say,CC  ,$$< ($(1)))
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) $(KERNEL_CFLAGS) $(isa_$(1)) -DPV_ISA=$(1) -c -o $$@ $$<
$(BUILD)/obj64/%.$(1).o: src/%.c $(BUILD)/libs.mk $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call say,CC  ,$$< ($(1)))
	$(Q)$(MPICC) $(CPPFLAGS) -DPV_REAL_IS_DOUBLE $(LIB_CFLAGS) $(CFLAGS) $(KERNEL_CFLAGS) $(isa_$(1)) -DPV_ISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rules,$(isa))))

$(BUILD)/obj64/%.o: src/%.c $(BUILD)/libs.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(MPICC) $(CPPFLAGS) -DPV_REAL_IS_DOUBLE $(LIB_CFLAGS) $(CFLAGS) $(PLAIN_CFLAGS) -c -o $@ $<

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call say,AR  ,$@)
	$(Q)ar rcs $@ $^

$(F64_LIB): $(F64_OBJ)
	@rm -f $@
	$(call say,AR  ,$@)
	$(Q)ar rcs $@ $^

$(BIN): src/main.c $(LIB)
	$(call say,LINK,$@)
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(TEST_LIB) $(FUZZ_LIB): $(BUILD)/tests/%.o: tests/%.c $(BUILD)/libs.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$<)
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) $(TEST_CPPFLAGS) -Itests/fuzz -c -o $@ $<

$(TEST_F32): $(BUILD)/tests/%: tests/%.c $(TEST_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) $(TEST_CPPFLAGS) -o $@ $< $(TEST_LIB) $(LIB) $(LDLIBS) $(CMOCKA_LIBS)

$(TEST_F64): $(BUILD)/tests/%: tests/%.c $(TEST_LIB) $(F64_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(MPICC) $(CPPFLAGS) -DPV_REAL_IS_DOUBLE $(LIB_CFLAGS) $(CFLAGS) $(TEST_CPPFLAGS) -o $@ $< $(TEST_LIB) $(F64_LIB) $(LIB) \
	    $(LDLIBS) $(CMOCKA_LIBS)

$(BENCH_BIN): $(BUILD)/tests/%: tests/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(MPICC) $(CPPFLAGS) -Isrc -Itests/lib $(LIB_CFLAGS) $(CFLAGS) -o $@ $< $(LIB) $(LDLIBS)

# libFuzzer brings a main() of its own; without it the drivers replay the files that they are given.
$(FUZZ_BIN): $(BUILD)/tests/%: tests/%.c $(FUZZ_LIB) $(TEST_LIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(MPICC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) $(if $(FUZZING),-fsanitize=fuzzer) $(TEST_CPPFLAGS) -Itests/fuzz -o $@ $< \
	    $(filter-out $(if $(FUZZING),%/replay.o),$(FUZZ_LIB)) $(TEST_LIB) $(LIB) $(LDLIBS) $(CMOCKA_LIBS)

tests: $(BIN) $(TEST_BIN) $(FUZZ_BIN) $(BENCH_BIN)  ## build tests and benches without running them

check: deps  ## install what is missing, build, run every test
	+@$(MAKE) $(JOBS) --no-print-directory tests
	@BUILD='$(BUILD)' $$(scripts/find-python.sh) tests/run.py

check-quick: tests  ## every test but the slow ones, no installation
	@BUILD='$(BUILD)' $$(scripts/find-python.sh) tests/run.py --quick

check-fault: $(BIN)  ## kill fits, growths and repairs at FAULT_TRIALS random instants
	@BUILD='$(BUILD)' $$(scripts/find-python.sh) tests/fault/kills.py --trials '$(FAULT_TRIALS)'

check-hosts: deps  ## jobs on hosts of their own, made of namespaces, HOST_KILLS of which are lost (root; 8 minutes)
	+@$(MAKE) $(JOBS) --no-print-directory all
	@BUILD='$(BUILD)' HOST_KILLS='$(HOST_KILLS)' $$(scripts/find-python.sh) tests/hosts/test_hosts.py

check-slurm: deps  ## the job files on a virtual Slurm cluster (root; some minutes; not part of check)
	scripts/slurm-deps.sh
	+@$(MAKE) $(JOBS) --no-print-directory all
	@BUILD='$(BUILD)' $$(scripts/find-python.sh) tests/slurm/test_cluster.py

quickstart: deps  ## real FashionMNIST to a trained network and pictures, on every core
	+@$(MAKE) $(JOBS) --no-print-directory all
	@BUILD='$(BUILD)' RANKS='$(RANKS)' scripts/quickstart.sh

# The folders of the Python package.
PACKAGE := analysis $(addprefix analysis/,polyview polyview/data polyview/tables)
TEMPLATES := analysis/polyview/templates

# The pages of the manual are the program's own help.
$(BUILD)/man/polyview.1: scripts/man-pages.sh $(BIN)
	$(call say,MAN ,$(@D))
	$(Q)scripts/man-pages.sh $(BIN) $(@D)

install: $(BIN) $(BUILD)/man/polyview.1  ## install under PREFIX, which can be moved later (DESTDIR is honoured)
	install -d $(addprefix $(ROOT)/,bin share/bash-completion/completions share/man/man1 share/man/man5) \
	    $(addprefix $(ROOT)/share/polyview/,configs jobs $(PACKAGE) $(TEMPLATES))
	install -m 755 $(BIN) $(ROOT)/bin/polyview
	install -m 644 $(BUILD)/man/*.1 $(ROOT)/share/man/man1
	install -m 644 $(BUILD)/man/*.5 $(ROOT)/share/man/man5
	install -m 644 scripts/completion.bash $(ROOT)/share/bash-completion/completions/polyview
	install -m 644 configs/*.yaml $(ROOT)/share/polyview/configs
	$(foreach folder,$(PACKAGE),install -m 644 $(folder)/*.py $(ROOT)/share/polyview/$(folder) &&) \
	    install -m 755 analysis/polyview-tools $(ROOT)/share/polyview/analysis
	install -m 644 $(TEMPLATES)/* $(ROOT)/share/polyview/$(TEMPLATES)
	ln -sf ../share/polyview/analysis/polyview-tools $(ROOT)/bin/polyview-tools
	echo '$(VERSION)' >$(ROOT)/share/polyview/.version
	install -m 755 jobs/pipeline.sh $(ROOT)/share/polyview/jobs
	install -m 644 jobs/lib.sh jobs/scaling.sh jobs/*.sbatch jobs/README.md $(ROOT)/share/polyview/jobs
	sed 's|^POLYVIEW=.*|POLYVIEW=$$POLYVIEW_HOME/../../bin/polyview|' jobs/site.env >$(ROOT)/share/polyview/jobs/site.env

uninstall:  ## remove what install put there
	rm -f $(addprefix $(ROOT)/,bin/polyview bin/polyview-tools share/man/man1/polyview.1 share/man/man1/polyview-*.1 \
	    share/man/man5/polyview-config.5 share/bash-completion/completions/polyview)
	rm -rf $(ROOT)/share/polyview

dist:  ## what is committed as build/polyview-VERSION.tar.gz, which builds by itself
	@mkdir -p $(BUILD)
	git archive --prefix=polyview-$(VERSION:-dirty=)/ -o $(BUILD)/polyview-$(VERSION:-dirty=).tar.gz HEAD

format:  ## clang-format the C code and black the Python
	clang-format -i $$(git ls-files '*.c' '*.h')
	black -q analysis
	black -q -l 110 tests

lint:  ## static checks: room order, cppcheck, shellcheck, black and mypy
	python3 scripts/check-rooms.py
	cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem -Iinclude src include
	shellcheck -x scripts/*.sh scripts/completion.bash .ci/run jobs/*.sh jobs/*.sbatch $(wildcard tests/*/*.sh)
	black -q --check analysis
	$(if $(POLYVIEW_VENV),mypy --python-executable '$(POLYVIEW_VENV)/bin/python' --config-file analysis/pyproject.toml \
	    analysis/polyview,@echo 'without POLYVIEW_VENV types are not checked: old packages say too little of theirs')

tidy: $(BUILD)/libs.mk  ## clang-tidy over the sources, or FILES
	clang-tidy --quiet $(or $(FILES),$(PLAIN) src/main.c) -- $(CPPFLAGS) -DPV_CODE_VERSION='""' -std=gnu11 \
	    $(patsubst -I%,-isystem %,$(LIB_CFLAGS)) $$($(MPICC) --showme:compile | sed 's/-I/-isystem /g')

fuzz:  ## build the fuzz targets with clang's libFuzzer and run each for FUZZ_SECONDS
	+@OMPI_CC='$(FUZZ_CC)' MPICH_CC='$(FUZZ_CC)' $(MAKE) $(JOBS) --no-print-directory BUILD='$(BUILD)-fuzz' FUZZING=1 SANITIZE=1 \
	    fuzz-targets
	@BUILD='$(BUILD)-fuzz' $$(scripts/find-python.sh) tests/fuzz/run_fuzz.py --seconds '$(FUZZ_SECONDS)' --jobs '$(FUZZ_JOBS)'

fuzz-targets: $(FUZZ_BIN)

bench: $(BENCH_BIN)  ## build the timing programs build/tests/bench/*

clean:  ## remove the build directory
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
