# SPDX-License-Identifier: BSD-3-Clause
# --- deployment: descriptors for hypervisors and clouds, each checked by its platform's own tool ---------------------------------
DEPLOY_PACKAGES := libvirt-clients virtinst yamllint python3-heat python3-pytest python3-yaml cloud-init xorriso ovmf openssl openssh-client shellcheck groff-base iproute2 util-linux qemu-utils
DEPLOY_OUT := build/deploy
# KubeVirt's API as types of TypeScript, which its compiler checks a VirtualMachine against.
DEPLOY_NPM := typescript@5 @kubevirt-ui-ext/kubevirt-api@1.7.0
CSAR_IMAGE = build/image/sallyport-$(VERSION)-amd64.qcow2

.PHONY: deps-deploy test-deploy csar
# A fresh cloud-init would look for a seed at this machine's next boot; the file is what its manual page names to keep it off.
deps-deploy: deps-build
	@command -v cloud-init >/dev/null || $(AS_ROOT) sh -c 'mkdir -p /etc/cloud && touch /etc/cloud/cloud-init.disabled'
	$(call install_packages,$(DEPLOY_PACKAGES) $(if $(shell command -v qemu-system-x86_64),,qemu-system-x86) $(if $(shell command -v npm),,npm))
	@[ -e $(DEPLOY_OUT)/npm/node_modules/typescript/bin/tsc ] || { mkdir -p $(DEPLOY_OUT)/npm && \
		npm install --prefix $(DEPLOY_OUT)/npm --no-audit --no-fund --ignore-scripts --silent $(DEPLOY_NPM) || { echo 'npm could not install: $(DEPLOY_NPM)'; exit 1; }; }

test-deploy: deps-deploy build ## the host's sallyport-vf and the descriptors for libvirt, QEMU, OpenStack, KubeVirt and ETSI NFV, by their own tools
	shellcheck images/host/sallyport-vf tests/deploy/vf_on_hardware.sh images/deploy/seed/make_seed images/deploy/libvirt/virt_install.sh images/deploy/qemu/sallyport.sh
	@$(AS_ROOT) SALLYPORT_BIN=$(OUT) $(PYTEST) tests/deploy

csar: ## the ETSI VNF package (SOL 001, SOL 004) of the image that make image built, in build/image
	@[ -e $(CSAR_IMAGE) ] || { echo 'csar: there is no $(CSAR_IMAGE): make image first'; exit 1; }
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 0) images/deploy/etsi/make_csar --image $(CSAR_IMAGE) --version $(VERSION) build/image/sallyport-$(VERSION).csar
