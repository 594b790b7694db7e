# SPDX-License-Identifier: BSD-3-Clause
# Sallyport. `make help` lists what can be done; `make demo` and `make test` need nothing before them on Debian 12 or 13.

SHELL := /bin/bash
.DEFAULT_GOAL := all
VERSION := 0.1.0

# --- what is installed -------------------------------------------------------------------------------------------------------
BUILD_PACKAGES := gcc make pkg-config libc6-dev libdpdk-dev libibverbs-dev libxdp-dev libbpf-dev libelf-dev zlib1g-dev libnuma-dev libbsd-dev libhyperscan-dev \
	libconfig-dev libjansson-dev libpcap-dev libmicrohttpd-dev libgnutls28-dev libmnl-dev
LINT_PACKAGES := clang clang-format cppcheck shellcheck git groff-base
TEST_PACKAGES := clang libclang-rt-dev libcmocka-dev python3 python3-pytest python3-scapy iproute2 libusrsctp-examples nftables ethtool nginx curl iperf3 iputils-ping tcpdump tshark util-linux procps mount frr traceroute iputils-tracepath dnsmasq-base isc-dhcp-client keepalived openssl
DEMO_PACKAGES := python3 iproute2 ethtool nginx curl iputils-ping procps
APT := DEBIAN_FRONTEND=noninteractive apt-get -q
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo )env

# Installs those of the packages that are missing; says nothing when there are none. A fresh package starts no service here.
define install_packages
@missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then echo "installing:$$missing"; \
$(AS_ROOT) $(APT) update >/dev/null && $(AS_ROOT) RUNLEVEL=1 $(APT) install -y --no-install-recommends $$missing >/dev/null || { echo "could not install:$$missing"; exit 1; }; fi
endef

.PHONY: deps-build deps-lint deps-test deps-demo
deps-build:
	$(call install_packages,$(BUILD_PACKAGES))
deps-lint: deps-build
	$(call install_packages,$(LINT_PACKAGES))
deps-test: deps-build
	$(call install_packages,$(TEST_PACKAGES))
deps-demo: deps-build
	$(call install_packages,$(DEMO_PACKAGES))

# --- what is built how -------------------------------------------------------------------------------------------------------
# VARIANT: release (default) | asan (AddressSanitizer and UBSan). CC: gcc (default) | clang. Each pair has a folder of its own.
CC := gcc
VARIANT := release
OUT := build/$(CC)-$(VARIANT)

PACKAGES := libhs libconfig jansson libpcap libmicrohttpd gnutls libmnl
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Werror
BASE_CFLAGS := -std=gnu11 -g -O2 -pthread -fno-common -fstack-protector-strong $(WARNINGS) -I. -DSP_VERSION='"$(VERSION)"' -DALLOW_EXPERIMENTAL_API
# DPDK's headers are system headers to us: their warnings are not ours to mend.
DPDK_CFLAGS = $(subst -I/,-isystem /,$(shell pkg-config --cflags libdpdk))
PACKAGE_CFLAGS = $(shell pkg-config --cflags $(PACKAGES))
ifeq ($(VARIANT),asan)
BASE_CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DSP_ASAN
LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(VARIANT),fuzz)
BASE_CFLAGS += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DSP_ASAN
LDFLAGS += -fsanitize=fuzzer,address,undefined
endif
ALL_CFLAGS = $(BASE_CFLAGS) $(DPDK_CFLAGS) $(PACKAGE_CFLAGS) $(CFLAGS)

# DPDK is linked statically, with the drivers a firewall VM meets and no others: it starts in milliseconds and carries no plug-in folder.
DPDK_DRIVERS := common_iavf common_idpf common_mlx5 bus_auxiliary bus_pci bus_vdev bus_vmbus mempool_ring net_af_packet net_af_xdp net_bnxt net_e1000 net_ena \
	net_i40e net_iavf net_ice net_idpf net_igc net_ixgbe net_memif net_mlx5 net_netvsc net_null net_pcap net_ring net_tap net_virtio net_vmxnet3
DPDK_LIBS := acl hash rcu fib rib lpm pcapng gso gro vhost dmadev cryptodev net_vdev_netvsc bus_vdev bus_pci bpf ip_frag security timer metrics pci ethdev meter net mbuf mempool ring \
	eal telemetry kvargs log argparse power stack meter
DPDK_LIBDIR = $(shell pkg-config --variable=libdir libdpdk)
dpdk_have = $(foreach lib,$(1),$(if $(wildcard $(DPDK_LIBDIR)/librte_$(lib).a),-l:librte_$(lib).a))
DPDK_LDLIBS = -Wl,--whole-archive $(call dpdk_have,$(DPDK_DRIVERS)) -Wl,--no-whole-archive -Wl,--start-group $(call dpdk_have,$(DPDK_LIBS)) -Wl,--end-group \
	-lmlx5 -libverbs -lxdp -lbpf -lelf -lz -lnuma -ldl -lm -latomic -lbsd
PACKAGE_LDLIBS = $(shell pkg-config --libs $(PACKAGES))
LDLIBS = $(PACKAGE_LDLIBS) $(DPDK_LDLIBS) -lpcap -pthread

ROOMS := rules dataplane mgmt vnf
room_objects = $(patsubst %.c,$(OUT)/%.o,$(wildcard $(1)/*.c $(1)/kernel/*.c))
LIBS := $(foreach room,$(ROOMS),$(OUT)/lib$(room).a)
CTL_OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(wildcard mgmt/ctl/*.c))

.PHONY: all
all: $(OUT)/sallyport $(OUT)/sallyctl ## build sallyport and sallyctl
	@ln -sfn $(OUT)/sallyport $(OUT)/sallyctl build/

# `make V=1` shows the commands
V :=
Q := $(if $(V),,@)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  $(CC) $<')
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# the compiler does not see what .incbin reads
$(OUT)/mgmt/openapi.o: mgmt/openapi.yaml

define archive
$(OUT)/lib$(1).a: $$(filter-out $(OUT)/vnf/main.o,$$(call room_objects,$(1)))
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call archive,$(room))))

# vnf/af_packet.c says why setsockopt is wrapped
$(OUT)/sallyport: $(OUT)/vnf/main.o $(OUT)/libvnf.a $(OUT)/libmgmt.a $(OUT)/libdataplane.a $(OUT)/librules.a
	@echo '  link $@'
	$(Q)$(CC) $(LDFLAGS) -Wl,--wrap=setsockopt,-u,__wrap_setsockopt -o $@ $^ $(LDLIBS)

$(OUT)/sallyctl: $(CTL_OBJECTS)
	@echo '  link $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs jansson)

# --- unit tests: tests/unit/ROOM/test_*.c links the room and those below it --------------------------------------------------
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c)
UNIT_BINS := $(patsubst %.c,$(OUT)/%,$(UNIT_SOURCES))
unit_libs_rules = $(OUT)/librules.a
unit_libs_dataplane = $(OUT)/libdataplane.a $(OUT)/librules.a
unit_libs_mgmt = $(OUT)/libmgmt.a $(OUT)/libdataplane.a $(OUT)/librules.a
unit_libs_vnf = $(OUT)/libvnf.a $(OUT)/libmgmt.a $(OUT)/libdataplane.a $(OUT)/librules.a

define unit_room
$(OUT)/tests/unit/$(1)/test_%: $(OUT)/tests/unit/$(1)/test_%.o $$(patsubst %.c,$(OUT)/%.o,$$(filter-out tests/unit/$(1)/test_%,$$(wildcard tests/unit/support/*.c))) $$(unit_libs_$(1))
	@echo '  link $$@'
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcmocka
endef
$(foreach room,$(ROOMS),$(eval $(call unit_room,$(room))))

.PHONY: unit unit-bins
unit-bins: $(UNIT_BINS)
unit: $(UNIT_BINS) ## build and run the unit tests of this CC and VARIANT
	@for t in $(UNIT_BINS); do echo "== $$t"; $$t || exit 1; done

# --- what people call --------------------------------------------------------------------------------------------------------
PYTHON := /usr/bin/python3
PYTEST = $(PYTHON) -B -m pytest -p no:cacheprovider -q

.PHONY: help
help: ## list what can be done
	@echo 'Sallyport $(VERSION). On a fresh Debian 12 or 13, `make demo` and `make test` need nothing before them.'; echo
	@grep -hE '^[a-z-]+:.*## ' $(filter %Makefile %.mk,$(MAKEFILE_LIST)) | sort | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo; echo '  CC=gcc|clang   VARIANT=release|asan   choose what all, unit and clean work on (release and gcc by default)'

.PHONY: build
build: deps-build
	@$(MAKE) --no-print-directory -j2 all

.PHONY: demo run
demo: deps-demo build ## two hosts joined only by the firewall: real traffic, verdicts, statistics; a minute, cleans up
	@$(AS_ROOT) $(PYTHON) -B tests/system/demo.py --bin $(OUT)

run: deps-demo build ## the same firewall and hosts, to play with until Ctrl-C
	@$(AS_ROOT) $(PYTHON) -B tests/system/demo.py --bin $(OUT) --stay

.PHONY: test test-unit test-packet test-system
test: deps-test build ## every test: unit (gcc, and ASan with gcc and clang), packet tables (release and ASan), system
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-packet
	@$(MAKE) --no-print-directory test-system

test-unit: ## unit tests: gcc release, gcc ASan, clang ASan
	@$(MAKE) --no-print-directory -j2 unit-bins && $(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory -j2 VARIANT=asan unit-bins && $(MAKE) --no-print-directory VARIANT=asan unit
	@$(MAKE) --no-print-directory -j2 CC=clang VARIANT=asan unit-bins && $(MAKE) --no-print-directory CC=clang VARIANT=asan unit

test-packet: ## packet tables through the real stages, release and ASan
	@$(MAKE) --no-print-directory -j2 all
	@$(MAKE) --no-print-directory -j2 VARIANT=asan all
	SALLYPORT_BIN=build/gcc-release $(PYTEST) tests/packet
	SALLYPORT_BIN=build/gcc-asan $(PYTEST) tests/packet

test-system: ## real TCP stacks in network namespaces
	@$(MAKE) --no-print-directory -j2 all
	SALLYPORT_BIN=build/gcc-release $(PYTEST) tests/system

# --- installing --------------------------------------------------------------------------------------------------------------
DESTDIR :=
PREFIX := /usr
INSTALL = install -D

.PHONY: install
install: ## programs, manual pages, systemd unit, configuration (kept where there is one), rule examples; DESTDIR and PREFIX are honoured
	@$(MAKE) --no-print-directory -j2 all
	$(INSTALL) -m 755 $(OUT)/sallyport $(DESTDIR)$(PREFIX)/bin/sallyport
	$(INSTALL) -m 755 $(OUT)/sallyctl $(DESTDIR)$(PREFIX)/bin/sallyctl
	$(INSTALL) -m 644 images/systemd/sallyport.service $(DESTDIR)$(PREFIX)/lib/systemd/system/sallyport.service
	$(INSTALL) -m 644 images/systemd/10-sallyport-tap.link $(DESTDIR)$(PREFIX)/lib/systemd/network/10-sallyport-tap.link
	$(foreach page,$(wildcard images/man/*),$(INSTALL) -m 644 $(page) $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)) &&) true
	$(INSTALL) -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/sallyport/README.md
	$(INSTALL) -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/sallyport/rules rules/examples/*.rules images/etc/router.rules
	$(INSTALL) -m 644 images/etc/router.conf $(DESTDIR)$(PREFIX)/share/doc/sallyport/router.conf
	test -e $(DESTDIR)/etc/sallyport/sallyport.conf || $(INSTALL) -m 644 images/etc/sallyport.conf $(DESTDIR)/etc/sallyport/sallyport.conf
	test -e $(DESTDIR)/etc/sallyport/rules.d/main.rules || $(INSTALL) -m 644 images/etc/main.rules $(DESTDIR)/etc/sallyport/rules.d/main.rules

.PHONY: lint format
lint: deps-lint deps-test ## layout, include direction, manual pages, cppcheck, shellcheck, warnings of gcc and clang
	clang-format --dry-run -Werror $(FORMATTED)
	tests/lint/structure.sh
	tests/lint/man.sh
	shellcheck $(SCRIPTS)
	cppcheck -q -j2 --error-exitcode=1 --inline-suppr --enable=warning,portability,performance --std=c11 -I. -D__x86_64__ -DSP_VERSION='""' '-Djson_array_foreach(a,i,v)=for(;;)' \
		--suppress=missingIncludeSystem --suppress=preprocessorErrorDirective rules dataplane mgmt vnf
	@$(MAKE) --no-print-directory -j2 CC=gcc all
	@$(MAKE) --no-print-directory -j2 CC=clang all
	@echo 'lint: nothing to mend'

FORMATTED = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')
# whatever its name: what a shell runs
SCRIPTS = $(shell git grep -lE --untracked '^#!/bin/(ba)?sh')

format: ## lay the sources out by .clang-format
	clang-format -i $(FORMATTED)

.PHONY: clean
clean: ## remove what was built
	rm -rf build

.PRECIOUS: $(OUT)/%.o
-include $(shell find $(OUT) -name '*.d' -type f 2>/dev/null)

# --- fuzzing: each tests/fuzz/fuzz_*.c is a libFuzzer target, with seeds in tests/fuzz/corpus/NAME or from make_seeds ----------
FUZZ_SECONDS := 60
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OUT := build/clang-fuzz/tests/fuzz
FUZZ_SUPPORT = $(OUT)/tests/unit/support/frames.o $(OUT)/tests/unit/support/eal.o

$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(FUZZ_SUPPORT) $(OUT)/libmgmt.a $(OUT)/libdataplane.a $(OUT)/librules.a
	@echo '  link $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/fuzz/make_seeds: $(OUT)/tests/fuzz/make_seeds.o $(FUZZ_SUPPORT)
	@echo '  link $@'
	$(Q)$(CC) $(subst fuzzer,fuzzer-no-link,$(LDFLAGS)) -o $@ $^ $(LDLIBS)

.PHONY: fuzz fuzz-bins
fuzz-bins: $(addprefix $(OUT)/tests/fuzz/,$(FUZZ_TARGETS) make_seeds)

# What a run finds worth keeping stays in build/, so that the next one goes on from there.
fuzz: deps-test ## run each fuzz target for FUZZ_SECONDS (60) under ASan and UBSan
	@$(MAKE) --no-print-directory -j2 CC=clang VARIANT=fuzz fuzz-bins
	@mkdir -p $(FUZZ_OUT)/seeds && $(FUZZ_OUT)/make_seeds $(FUZZ_OUT)/seeds
	@for t in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_OUT)/found/$$t $(FUZZ_OUT)/seeds/$$t; \
		seeds="$(FUZZ_OUT)/seeds/$$t"; [ ! -d tests/fuzz/corpus/$${t#fuzz_} ] || seeds="$$seeds tests/fuzz/corpus/$${t#fuzz_}"; \
		echo "== $$t for $(FUZZ_SECONDS) s"; \
		$(FUZZ_OUT)/$$t -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=6000 -timeout=10 -print_final_stats=1 -artifact_prefix=$(FUZZ_OUT)/$$t- \
			$(FUZZ_OUT)/found/$$t $$seeds >$(FUZZ_OUT)/$$t.log 2>&1 || { tail -60 $(FUZZ_OUT)/$$t.log; exit 1; }; \
		grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' $(FUZZ_OUT)/$$t.log; \
	done

# --- bench: side by side with peers, on the same virtual devices, in one run; figures go to build/bench -------------------------
BENCH_PACKAGES := dpdk dpdk-doc python3
BENCH_OUT := build/bench
BENCH_MICRO := $(OUT)/tests/bench/micro
BENCH ?=

.PHONY: deps-bench bench bench-micro test-bench
deps-bench: deps-build
	$(call install_packages,$(BENCH_PACKAGES))

$(BENCH_MICRO): $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/bench/*.c)) $(OUT)/libvnf.a $(OUT)/libmgmt.a $(OUT)/libdataplane.a $(OUT)/librules.a
	@echo '  link $@'
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-micro: $(BENCH_MICRO)

bench: deps-bench build ## packet rates beside testpmd, l3fwd, rte_acl, rte_hash and hs_scan: table, JSON, chart in build/bench; BENCH=quick (shorter), check (twice, compared)
	@$(MAKE) --no-print-directory bench-micro
	@tests/bench/build_l3fwd.sh $(BENCH_OUT)
	@$(AS_ROOT) $(PYTHON) -B tests/bench/bench.py --bin $(OUT) --out $(BENCH_OUT) $(if $(filter quick,$(BENCH)),--quick) $(if $(filter check,$(BENCH)),--repeat-check)

test-bench: deps-test deps-bench ## the bench's own parts: rules, captures, chart, and that the classifier answers as rte_acl does
	@$(MAKE) --no-print-directory -j2 all bench-micro
	SALLYPORT_BIN=$(OUT) $(PYTEST) tests/bench

# --- what has files of its own -------------------------------------------------------------------------------------------------
include tests/vm/vm.mk
include images/images.mk
