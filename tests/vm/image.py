#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Kernel and initramfs of the test VM, made of this machine's own packages.

image.py kernel DIR           unpacks a Debian kernel and the modules that the VM needs into DIR
image.py initrd DIR PROGRAM…  packs DIR/initrd: busybox, ip, curl, nft and the programs with their shared libraries, modules, guest_init.sh,
                         answer.sh, and the configurations and rules that stand here
"""
import glob
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = {"boot": ("igb", "tun", "vfio_pci", "vfio_iommu_type1"), "compare": ("igbvf", "crc32c_generic", "nf_tables", "nft_ct", "virtio_net")}
HOST_PROGRAMS = ("curl", "ip", "nft")
APPLETS = (
    "sh basename cat dmesg echo grep head insmod kill ls mkdir mount poweroff ps readlink rm seq sleep stty tail test timeout true unlink wc".split()
)


# --- kernel ------------------------------------------------------------------------------------------------------------------


def download(apt_dir, package, into):
    """Downloads one package by apt; the path of its file."""
    subprocess.run([os.path.join(HERE, "newer_apt.sh"), apt_dir, "download", package], cwd=into, check=True, stdout=subprocess.DEVNULL)
    return glob.glob(os.path.join(into, package.partition("=")[0] + "_*.deb"))[0]


def find_module(root, name):
    """Path of a module's file below root, None when it is part of the kernel. In names - and _ are the same."""
    for folder, _, files in os.walk(root):
        for file in files:
            if re.sub(r"\.ko(\.xz)?$", "", file).replace("-", "_") == name and ".ko" in file:
                return os.path.join(folder, file)
    return None


def take_module(root, name, into, order):
    """Unpacks a module after those it depends on."""
    path = find_module(root, name)
    if path is None or f"{name}.ko" in order:
        return
    with (lzma.open(path) if path.endswith(".xz") else open(path, "rb")) as f:
        body = f.read()
    depends = re.search(rb"\0depends=([^\0]*)\0", body)
    for other in filter(None, depends.group(1).decode().split(",") if depends else []):
        take_module(root, other.replace("-", "_"), into, order)
    with open(os.path.join(into, f"{name}.ko"), "wb") as f:
        f.write(body)
    order.append(f"{name}.ko")


def make_kernel(out):
    work = os.path.join(out, "unpacked")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    apt_dir = os.path.join(out, "apt")
    meta = download(apt_dir, "linux-image-amd64", work)
    depends = subprocess.run(["dpkg-deb", "-f", meta, "Depends"], check=True, capture_output=True, text=True).stdout
    name, version = re.match(r"(linux-image-\S+) \(= (\S+)\)", depends).groups()
    subprocess.run(["dpkg-deb", "-x", download(apt_dir, f"{name}={version}", work), work], check=True)
    modules = os.path.join(out, "modules")
    shutil.rmtree(modules, ignore_errors=True)
    os.makedirs(modules)
    order = []
    for when, wanted in MODULES.items():
        first = len(order)
        for module in wanted:
            take_module(work, module, modules, order)
        with open(os.path.join(modules, when), "w") as f:
            f.write("".join(f"{file}\n" for file in order[first:]))
    missing = [m for wanted in MODULES.values() for m in wanted if f"{m}.ko" not in order]
    if missing:
        sys.exit(f"image.py: {name} has no {', '.join(missing)}")
    shutil.copy(glob.glob(f"{work}/boot/vmlinuz-*")[0], os.path.join(out, "vmlinuz"))
    shutil.rmtree(work)
    with open(os.path.join(out, "kernel"), "w") as f:
        f.write(f"{name} {version}\n")
    print(f"  kernel {name} {version}")


# --- initramfs ---------------------------------------------------------------------------------------------------------------


class Archive:
    """A cpio archive of format newc, as the kernel reads it (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self, file):
        self.file, self.made = file, set()

    def add(self, path, mode, body=b"", device=(0, 0)):
        path = path.strip("/")
        if path in self.made:
            return
        if os.path.dirname(path):
            self.add(os.path.dirname(path), stat.S_IFDIR | 0o755)
        self.made.add(path)
        self.entry(path, mode, body, device)

    def entry(self, path, mode, body, device):
        name = path.encode() + b"\0"
        fields = (len(self.made), mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        for part in (header, body):
            self.file.write(part + b"\0" * (-len(part) % 4))

    def file_at(self, path, source, mode=0o755):
        with open(source, "rb") as f:
            self.add(path, stat.S_IFREG | mode, f.read())

    def link(self, path, target):
        self.add(path, stat.S_IFLNK | 0o777, target.encode())

    def program(self, path, source):
        """A program with its shared libraries, each where the loader looked for it."""
        self.file_at(path, source)
        listed = subprocess.run(["ldd", source], capture_output=True, text=True)
        for library in re.findall(r"(/\S+) \(0x", listed.stdout):
            self.file_at(library, os.path.realpath(library))

    def end(self):
        self.entry("TRAILER!!!", 0, b"", (0, 0))


def make_initrd(out, programs):
    target = os.path.join(out, "initrd")
    with open(target + ".new", "wb") as f:
        archive = Archive(f)
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for folder in ("proc", "sys", "tmp", "run", "etc"):
            archive.add(folder, stat.S_IFDIR | 0o755)
        archive.file_at("init", os.path.join(HERE, "guest_init.sh"))
        archive.file_at("lib/answer.sh", os.path.join(HERE, "answer.sh"), 0o644)
        archive.program("bin/busybox", os.path.realpath(shutil.which("busybox")))
        for applet in APPLETS:
            archive.link(f"bin/{applet}", "busybox")
        for name in HOST_PROGRAMS:
            archive.program(f"usr/bin/{name}", os.path.realpath(shutil.which(name)))
        for program in programs:
            archive.program(f"usr/bin/{os.path.basename(program)}", program)
        for path in sorted(glob.glob(f"{HERE}/*.conf") + glob.glob(f"{HERE}/*.rules") + glob.glob(f"{HERE}/*.nft")):
            archive.file_at(f"etc/sallyport/{os.path.basename(path)}", path, 0o644)
        for module in sorted(os.listdir(os.path.join(out, "modules"))):
            archive.file_at(f"lib/modules/{module}", os.path.join(out, "modules", module), 0o644)
        archive.end()
    os.replace(target + ".new", target)
    print(f"  initrd {os.path.getsize(target) >> 20} MB")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "kernel":
        make_kernel(os.path.abspath(sys.argv[2]))
    elif len(sys.argv) > 3 and sys.argv[1] == "initrd":
        make_initrd(os.path.abspath(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
