#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run in the build root: disk.py VERSION FORMAT…

Packs /out/root into /out/sallyport-VERSION-amd64.FORMAT: GPT with a BIOS boot partition, an EFI system partition and the ext4 root, by tools that write to files, so
that no loop device is needed. Every identifier follows from the version and every time from SOURCE_DATE_EPOCH: the same root gives the same disk.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import uuid

import bios_grub
import ova

MIB = 1 << 20
DISK = 3072 * MIB  # what the VM sees; the root file system grows with the disk
BIOS_BOOT = (1 * MIB, 1 * MIB)
ESP = (2 * MIB, 32 * MIB)
ROOT_START = 34 * MIB
ROOT = (ROOT_START, DISK - ROOT_START - MIB)
VMDK_HEAD = 64 * 1024  # the header and the descriptor of a VMDK
NAMESPACE = uuid.UUID("5a11f0c7-0000-5000-8000-000000000000")

ESP_GRUB = """search --no-floppy --fs-uuid --set=root {root_fs}
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
"""


def run(*command, **kwargs):
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def identifiers(version):
    return {name: uuid.uuid5(NAMESPACE, f"sallyport {version} {name}") for name in ("disk", "bios-boot", "esp", "root", "root_fs", "hash_seed")}


def place(disk, path, start):
    """Copies a file into the disk at a byte offset; runs of zeros stay holes."""
    with open(path, "rb") as source, open(disk, "r+b") as target:
        offset = start
        while chunk := source.read(MIB):
            if chunk.strip(b"\0"):
                target.seek(offset)
                target.write(chunk)
            offset += len(chunk)


def make_table(disk, ids):
    with open(disk, "wb") as f:
        f.truncate(DISK)
    rows = [
        f"label: gpt\nlabel-id: {ids['disk']}\nfirst-lba: 34",
        f"start={BIOS_BOOT[0] // 512}, size={BIOS_BOOT[1] // 512}, type=21686148-6449-6E6F-744E-656564454649, uuid={ids['bios-boot']}, name=bios-boot",
        f"start={ESP[0] // 512}, size={ESP[1] // 512}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={ids['esp']}, name=esp",
        f"start={ROOT[0] // 512}, size={ROOT[1] // 512}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={ids['root']}, name=root",
    ]
    run("sfdisk", "--quiet", disk, input="\n".join(rows) + "\n", text=True)


def make_root(disk, ids):
    image = "/out/root.ext4"
    with open(image, "wb") as f:
        f.truncate(ROOT[1])
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "sallyport", "-U", ids["root_fs"], "-m", "1", "-O", "^metadata_csum_seed,^orphan_file",
        "-E", f"hash_seed={ids['hash_seed']},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", "-d", "/out/root", image)  # fmt: skip
    run("e2fsck", "-fn", image, stdout=subprocess.DEVNULL)
    place(disk, image, ROOT[0])
    os.remove(image)


def make_esp(disk, ids):
    """Debian's signed shim and GRUB on the removable path, so that Secure Boot may stay on; GRUB looks for its configuration in /EFI/debian."""
    image = "/out/esp.fat"
    with open("/out/esp-grub.cfg", "w") as f:
        f.write(ESP_GRUB.format(**ids))
    with open(image, "wb") as f:
        f.truncate(ESP[1])
    run("mkfs.vfat", "-F", "16", "-n", "ESP", "-i", str(ids["esp"])[:8], "--invariant", image, stdout=subprocess.DEVNULL)
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    files = (("/usr/lib/shim/shimx64.efi.signed", "BOOT/BOOTX64.EFI"), ("/usr/lib/shim/mmx64.efi.signed", "BOOT/mmx64.efi"),
             ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "BOOT/grubx64.efi"), ("/out/esp-grub.cfg", "debian/grub.cfg"))  # fmt: skip
    run("mmd", "-i", image, "::EFI", "::EFI/BOOT", "::EFI/debian")
    for source, name in files:
        copy = f"/out/{os.path.basename(source)}.esp"
        shutil.copyfile(source, copy)
        os.utime(copy, (epoch, epoch))
        run("mcopy", "-m", "-i", image, copy, f"::EFI/{name}")
        os.remove(copy)
    place(disk, image, ESP[0])
    os.remove(image)
    os.remove("/out/esp-grub.cfg")


def list_contents(path):
    """One line a file: mode, owner, size or target, digest, time, name; so that two builds can be told apart, and an image be looked through without booting it."""
    lines = []
    for folder, folders, files in os.walk("/out/root"):
        for name in folders + files:
            file = os.path.join(folder, name)
            info = os.lstat(file)
            what = "-"
            if os.path.islink(file):
                what = os.readlink(file)
            elif os.path.isfile(file):
                with open(file, "rb") as f:
                    what = hashlib.file_digest(f, "sha256").hexdigest()
            size = 0 if os.path.isdir(file) else info.st_size
            lines.append(f"{info.st_mode:o} {info.st_uid}:{info.st_gid} {size} {what} {int(info.st_mtime)} {file[len('/out/root') :]}\n")
    with open(path, "w") as f:
        f.writelines(sorted(lines, key=lambda line: line.rsplit(" ", 1)[1]))


def make_vmdk(raw, path):
    """streamOptimized, as an OVA needs it. QEMU draws the content id at random; here it follows from the content."""
    run("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, path)
    with open(raw, "rb") as f:
        cid = hashlib.file_digest(f, "sha256").hexdigest()[:8].encode()
    with open(path, "r+b") as f:
        head = f.read(VMDK_HEAD)
        f.seek(0)
        f.write(re.sub(rb"(\nCID=)[0-9a-f]{8}\n", rb"\g<1>" + cid + b"\n", head))


def convert(raw, stem, formats, version):
    vmdk = f"{stem}.vmdk"
    if {"vmdk", "ova"} & set(formats):
        make_vmdk(raw, vmdk)
    for name in formats:
        if name == "qcow2":
            run("qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, f"{stem}.qcow2")
        elif name == "ova":
            ova.make(vmdk, f"{stem}.ova", DISK, version)
        elif name not in ("raw", "vmdk"):
            sys.exit(f"disk.py: no image format {name!r}: qcow2, raw, vmdk, ova")
    if "vmdk" not in formats and os.path.exists(vmdk):
        os.remove(vmdk)
    for name in formats:
        print(f"  {stem}.{name}: {os.stat(f'{stem}.{name}').st_blocks // 2048} MiB".replace("/out/", ""))


def main():
    version, formats = sys.argv[1], sys.argv[2:]
    ids = identifiers(version)
    stem = f"/out/sallyport-{version}-amd64"
    raw = f"{stem}.raw"
    make_table(raw, ids)
    bios_grub.install(raw, BIOS_BOOT, str(ids["root_fs"]))
    make_esp(raw, ids)
    make_root(raw, ids)
    list_contents(f"{stem}.files")
    shutil.copyfile("/out/root/vmlinuz", "/out/vmlinuz")
    shutil.copyfile("/out/root/initrd.img", "/out/initrd")
    convert(raw, stem, formats, version)
    for name in ("core.img", "early.cfg") + (() if "raw" in formats else (os.path.basename(raw),)):
        os.remove(f"/out/{name}")


if __name__ == "__main__":
    if sys.argv[2:] == ["--ids"]:
        print("\n".join(f"{k}={v}" for k, v in identifiers(sys.argv[1]).items()))
    else:
        main()
