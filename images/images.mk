# SPDX-License-Identifier: BSD-3-Clause
# --- images: Debian packages, the VM image -----------------------------------------------------------------------------------------
DEB_PACKAGES = build-essential debhelper dpkg-dev fakeroot lintian python3 $(shell . /etc/os-release; [ "$$VERSION_ID" = 12 ] && echo systemd || echo systemd-dev)
DEB_OUT := build/deb
IMAGE_PACKAGES := mmdebstrap python3 util-linux debian-archive-keyring
IMAGE_OUT := build/image
IMAGE_FORMATS := qcow2
IMAGE_TEST_PACKAGES := python3 python3-pytest qemu-utils fdisk e2fsprogs dosfstools mtools binutils initramfs-tools-core
# The last commit's date is the date of all that is built.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)
MAKE_IMAGE = $(AS_ROOT) images/disk/make_image.sh $(IMAGE_OUT) $(VERSION) $(SOURCE_DATE_EPOCH)

.PHONY: deps-deb deb deps-image image image-check test-image
deps-deb: deps-build
	$(call install_packages,$(DEB_PACKAGES))

deb: deps-deb ## Debian packages of sallyport, sallyport-appliance and sallyport-host, in build/deb, for the Debian that runs here
	@mkdir -p $(DEB_OUT)
	@images/debian/stage.py $(DEB_OUT) $(VERSION) $(SOURCE_DATE_EPOCH) $(BUILD_PACKAGES) >/dev/null
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) images/debian/build.sh $(DEB_OUT) >$(DEB_OUT)/log 2>&1 || { tail -30 $(DEB_OUT)/log; exit 1; }
	@lintian --fail-on error,warning -EIL +pedantic $(DEB_OUT)/*.changes 2>&1 | grep -v 'running with root privileges'; exit $${PIPESTATUS[0]}
	@ls -1 $(DEB_OUT)/*.deb

deps-image:
	$(call install_packages,$(IMAGE_PACKAGES))

image: deps-image ## the VM image, in build/image; IMAGE_FORMATS="qcow2 raw vmdk ova"
	@$(MAKE_IMAGE) "$(IMAGE_FORMATS)" $(BUILD_PACKAGES)

image-check: deps-image ## build the image twice from nothing and compare: six minutes
	@$(AS_ROOT) images/disk/check_image.sh $(IMAGE_OUT) $(VERSION) $(SOURCE_DATE_EPOCH) $(BUILD_PACKAGES)

test-image: deps-image ## what is in the packages and on the image's disk; install, upgrade, remove and purge in a chroot
	$(call install_packages,$(IMAGE_TEST_PACKAGES))
	@$(MAKE_IMAGE) "qcow2 vmdk ova" $(BUILD_PACKAGES)
	@$(AS_ROOT) SALLYPORT_IMAGE=$(IMAGE_OUT) SALLYPORT_VERSION=$(VERSION) $(PYTEST) tests/image

include images/deploy/deploy.mk
