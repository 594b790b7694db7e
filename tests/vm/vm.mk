# SPDX-License-Identifier: BSD-3-Clause
# --- vm: Sallyport on SR-IOV virtual functions behind an IOMMU, in emulated VMs; what they are made of is kept in build/vm ---------
VM_PACKAGES := curl iproute2 iputils-ping nftables python3 python3-scapy util-linux
VM_OUT := build/vm
VM_PROGRAMS = $(OUT)/sallyport $(VM_OUT)/dma_probe

.PHONY: bench-vm deps-vm test-vm test-vm-one test-vm-boot test-vm-nested
deps-vm: deps-build
	$(call install_packages,$(VM_PACKAGES) $(if $(shell command -v busybox),,busybox-static))
	@qemu-system-x86_64 -device help 2>/dev/null | grep -q '"igb"' || { echo 'installing: qemu-system-x86'; mkdir -p $(VM_OUT); d=$$(mktemp -d); \
		$(AS_ROOT) tests/vm/newer_apt.sh $$d install qemu-system-x86 >$(VM_OUT)/qemu.log 2>&1; rc=$$?; $(AS_ROOT) rm -rf $$d; \
		[ $$rc = 0 ] || { tail -5 $(VM_OUT)/qemu.log; exit 1; }; }

# Each alone, one after the other: two emulated machines at a time are too much for one.
test-vm: ## all that takes a VM: one with the firewall, the image's boots, and the image in a hypervisor
	@$(MAKE) --no-print-directory test-vm-one
	@$(MAKE) --no-print-directory test-vm-boot
	@$(MAKE) --no-print-directory test-vm-nested

$(VM_OUT)/dma_probe: tests/vm/dma_probe.c
	@mkdir -p $(@D)
	@echo '  link $@'
	$(Q)$(CC) -std=gnu11 -O2 $(WARNINGS) -static -o $@ $<

# --- one VM: the firewall on virtual functions -----------------------------------------------------------------------------------
$(VM_OUT)/kernel: tests/vm/image.py tests/vm/newer_apt.sh
	@mkdir -p $(@D)
	@$(PYTHON) -B tests/vm/image.py kernel $(VM_OUT)

$(VM_OUT)/initrd: $(VM_OUT)/kernel $(VM_PROGRAMS) tests/vm/guest_init.sh tests/vm/answer.sh $(wildcard tests/vm/*.conf tests/vm/*.rules tests/vm/*.nft)
	@$(PYTHON) -B tests/vm/image.py initrd $(VM_OUT) $(VM_PROGRAMS)

test-vm-one: deps-vm build ## Sallyport on real virtual functions behind an IOMMU, in a VM of its own; two minutes
	@$(MAKE) --no-print-directory $(VM_OUT)/initrd
	@$(AS_ROOT) $(PYTHON) -B tests/vm/run.py --image $(VM_OUT)

# --- what a packet costs in a VM: kernel or Sallyport, VFs or virtio-net -----------------------------------------------------------
$(VM_OUT)/blast: tests/vm/blast.c
	@mkdir -p $(@D)
	@echo '  link $@'
	$(Q)$(CC) -std=gnu11 -O2 $(WARNINGS) -o $@ $<

bench-vm: deps-vm build ## kernel with nftables beside Sallyport, on VFs and on virtio-net, in one VM: work for a packet, in build/bench/vm.md; two minutes
	@$(MAKE) --no-print-directory $(VM_OUT)/initrd $(VM_OUT)/blast
	@$(PYTHON) -B tests/vm/compare.py --image $(VM_OUT) --blast $(VM_OUT)/blast --out build/bench

# --- the image as an operator meets it: good seeds and bad ones; tests/vm/boot.py says which PARTs there are -----------------------
BOOT_PACKAGES := openssh-client ovmf qemu-utils xorriso
VM_IMAGE = $(IMAGE_OUT)/sallyport-$(VERSION)-amd64.qcow2

test-vm-boot: deps-vm image ## the image boots from good seeds and bad ones, and says what is wrong; twenty minutes
	$(call install_packages,$(BOOT_PACKAGES))
	@$(PYTHON) -B tests/vm/boot.py --image $(VM_IMAGE) --debs $(IMAGE_OUT)/deb $(PART)

# --- nested: a hypervisor in a VM makes VFs with sallyport-vf and gives them to the image -----------------------------------------
NESTED_PACKAGES := debian-archive-keyring e2fsprogs mmdebstrap openssh-client xorriso
HYPERVISOR := $(VM_OUT)/hypervisor
HYPERVISOR_FILES := tests/vm/answer.sh $(addprefix tests/vm/hypervisor/,build.py line.sh line.service initrd_init.sh guest_init.sh)

$(HYPERVISOR)/system: tests/vm/hypervisor/packages
	@$(AS_ROOT) $(PYTHON) -B tests/vm/hypervisor/build.py system $(HYPERVISOR)

$(HYPERVISOR)/disk.raw: $(HYPERVISOR)/system $(HYPERVISOR_FILES) images/host/sallyport-vf $(VM_OUT)/dma_probe
	@$(AS_ROOT) $(PYTHON) -B tests/vm/hypervisor/build.py disk $(HYPERVISOR) $(VM_OUT)/dma_probe

test-vm-nested: deps-vm image ## the image in a VM inside a VM: VFs passed through, rules that stay, DMA that is blocked; twenty minutes
	$(call install_packages,$(NESTED_PACKAGES))
	@$(MAKE) --no-print-directory $(HYPERVISOR)/disk.raw
	@$(AS_ROOT) $(PYTHON) -B tests/vm/nested.py --hypervisor $(HYPERVISOR) --image $(VM_IMAGE) --parts host
	@$(AS_ROOT) $(PYTHON) -B tests/vm/nested.py --hypervisor $(HYPERVISOR) --image $(VM_IMAGE)
