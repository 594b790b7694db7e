# SPDX-License-Identifier: BSD-3-Clause
# --- vm: Sallyport on SR-IOV virtual functions behind an IOMMU, in one emulated VM; the image is kept in build/vm ---------------
VM_PACKAGES := curl iproute2 python3 python3-scapy util-linux
VM_OUT := build/vm
VM_PROGRAMS = $(OUT)/sallyport $(VM_OUT)/dma_probe

.PHONY: deps-vm test-vm
deps-vm: deps-build
	$(call install_packages,$(VM_PACKAGES) $(if $(shell command -v busybox),,busybox-static))
	@qemu-system-x86_64 -device help 2>/dev/null | grep -q '"igb"' || { echo 'installing: qemu-system-x86'; mkdir -p $(VM_OUT); d=$$(mktemp -d); \
		$(AS_ROOT) tests/vm/newer_apt.sh $$d install qemu-system-x86 >$(VM_OUT)/qemu.log 2>&1; rc=$$?; $(AS_ROOT) rm -rf $$d; \
		[ $$rc = 0 ] || { tail -5 $(VM_OUT)/qemu.log; exit 1; }; }

$(VM_OUT)/dma_probe: tests/vm/dma_probe.c
	@mkdir -p $(@D)
	@echo '  link $@'
	$(Q)$(CC) -std=gnu11 -O2 $(WARNINGS) -static -o $@ $<

$(VM_OUT)/kernel: tests/vm/image.py tests/vm/newer_apt.sh
	@mkdir -p $(@D)
	@$(PYTHON) -B tests/vm/image.py kernel $(VM_OUT)

$(VM_OUT)/initrd: $(VM_OUT)/kernel $(VM_PROGRAMS) tests/vm/guest_init.sh tests/vm/sallyport.conf tests/vm/main.rules
	@$(PYTHON) -B tests/vm/image.py initrd $(VM_OUT) $(VM_PROGRAMS)

test-vm: deps-vm build ## Sallyport on real virtual functions behind an IOMMU, in a VM of its own; a minute
	@$(MAKE) --no-print-directory $(VM_OUT)/initrd
	@$(PYTHON) -B tests/vm/run.py --image $(VM_OUT)
