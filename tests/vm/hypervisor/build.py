#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The hypervisor of the nested test, a Debian 13 with QEMU, systemd, driverctl and sallyport-vf, and the small guest that it starts beside
the appliance.

build.py system DIR        DIR/root, from `packages`, by mmdebstrap from the mirror that this machine's apt uses: minutes, done once; DIR/vmlinuz
build.py disk DIR PROBE    DIR/disk.raw: ext4 of DIR/root with what stands in this folder and images/host; DIR/initrd, which finds it; and
                           DIR/guest-initrd, which starts the program PROBE on its VF
"""
import os
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.dirname(HERE))
from image import Archive, take_module  # noqa: E402

SUITE = "trixie"
UNWANTED = ("man", "doc", "locale", "info", "lintian")  # of /usr/share
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-timesyncd.service",
    "systemd-firstboot.service", "ldconfig.service", "systemd-hwdb-update.service",
)  # fmt: skip
DISK = "1600M"
HOST_TOOL = os.path.join(TREE, "images", "host", "sallyport-vf")

# What goes onto the disk beside the packages: (source, path there, mode)
FILES = (
    (os.path.join(HERE, "line.sh"), "usr/local/sbin/line", 0o755),
    (os.path.join(os.path.dirname(HERE), "answer.sh"), "usr/local/lib/answer.sh", 0o644),
    (os.path.join(HERE, "line.service"), "etc/systemd/system/line.service", 0o644),
    (HOST_TOOL, "usr/sbin/sallyport-vf", 0o755),
)


def say(text):
    print(f"  {text}", flush=True)


# --- the system --------------------------------------------------------------------------------------------------------------


def mirror():
    """The URI from which this machine's apt has Debian's main component."""
    form = "$(ORIGIN) $(COMPONENT) $(REPO_URI)"
    listed = subprocess.run(["apt-get", "indextargets", "--format", form, "Identifier: Packages"], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        origin, component, uri = line.split()
        if origin == "Debian" and component == "main" and "security" not in uri:
            return uri
    sys.exit("build.py: apt knows no mirror of Debian; add one to /etc/apt and run `apt-get update`")


def packages():
    with open(os.path.join(HERE, "packages")) as f:
        return [line.strip() for line in f if not line.startswith("#")]


def make_system(out):
    root, log = os.path.join(out, "root"), os.path.join(out, "mmdebstrap.log")
    if os.path.exists(root):
        shutil.rmtree(root)
    say(f"hypervisor: {SUITE} with QEMU, a few minutes; log in {log}")
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages())}", '--aptopt=APT::Install-Recommends "false"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in UNWANTED]
    command += [f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED)}']
    command += ['--customize-hook=chroot "$1" systemctl enable systemd-networkd.service']
    command += ['--customize-hook=chroot "$1" systemctl disable systemd-networkd-wait-online.service']
    command += [SUITE, root, f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror()} {SUITE} main"]
    with open(log, "wb") as f:
        # Its own initrd is never used; the kernel's hook leaves it out when told so.
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=f, stderr=f, env={**os.environ, "INITRD": "No"})
    if done.returncode != 0:
        shutil.rmtree(root, ignore_errors=True)
        with open(log, errors="replace") as f:
            sys.exit(f"build.py: mmdebstrap failed:\n{''.join(f.readlines()[-10:])}")
    version = kernel_version(root)
    shutil.copy(os.path.join(root, "boot", f"vmlinuz-{version}"), os.path.join(out, "vmlinuz"))
    with open(os.path.join(out, "system"), "w") as f:
        f.write(f"{SUITE} {version}\n")


def kernel_version(root):
    versions = os.listdir(os.path.join(root, "usr", "lib", "modules"))
    if len(versions) != 1:
        sys.exit(f"build.py: {len(versions)} kernels in {root}")
    return versions[0]


# --- its disk ----------------------------------------------------------------------------------------------------------------


def install(root, path, body, mode):
    target = os.path.join(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as f:
        f.write(body)
    os.chmod(target, mode)


def make_disk(out):
    root, disk = os.path.join(out, "root"), os.path.join(out, "disk.raw")
    for source, path, mode in FILES:
        with open(source, "rb") as f:
            install(root, path, f.read(), mode)
    install(root, "etc/hostname", b"hypervisor\n", 0o644)
    install(root, "etc/machine-id", b"", 0o444)
    install(root, "etc/modules-load.d/hypervisor.conf", b"kvm_amd\nvfio_pci\nvfio_iommu_type1\n", 0o644)
    wants = os.path.join(root, "etc", "systemd", "system", "multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    if not os.path.lexists(os.path.join(wants, "line.service")):
        os.symlink("/etc/systemd/system/line.service", os.path.join(wants, "line.service"))
    if os.path.exists(disk + ".new"):
        os.unlink(disk + ".new")
    made = subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, disk + ".new", DISK], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(f"build.py: mke2fs: {made.stderr}")
    os.replace(disk + ".new", disk)
    say(f"hypervisor disk {os.stat(disk).st_blocks // 2048} MB")


# --- the initrds -------------------------------------------------------------------------------------------------------------


def make_initrd(out, name, init, modules, applets, programs=()):
    root, work = os.path.join(out, "root"), os.path.join(out, "modules")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    order = []
    for module in modules:
        take_module(os.path.join(root, "usr", "lib", "modules"), module, work, order)
    target = os.path.join(out, name)
    with open(target + ".new", "wb") as f:
        archive = Archive(f)
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for folder in ("proc", "sys", "root", "run"):
            archive.add(folder, stat.S_IFDIR | 0o755)
        archive.file_at("init", os.path.join(HERE, init))
        archive.program("bin/busybox", os.path.realpath(shutil.which("busybox")))
        for applet in applets.split():
            archive.link(f"bin/{applet}", "busybox")
        for program in programs:
            archive.program(f"bin/{os.path.basename(program)}", program)
        for module in order:
            archive.file_at(f"lib/modules/{module}", os.path.join(work, module), 0o644)
        archive.add("lib/modules/order", stat.S_IFREG | 0o644, "".join(f"{module}\n" for module in order).encode())
        archive.end()
    os.replace(target + ".new", target)
    shutil.rmtree(work)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    what, out = sys.argv[1], os.path.abspath(sys.argv[2])
    os.makedirs(out, exist_ok=True)
    if what == "system":
        make_system(out)
    elif what == "disk" and len(sys.argv) == 4:
        make_initrd(out, "initrd", "initrd_init.sh", ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4"), "sh mount insmod sleep switch_root")
        make_initrd(out, "guest-initrd", "guest_init.sh", (), "sh mount cat echo poweroff basename mkdir", (sys.argv[3],))
        make_disk(out)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
