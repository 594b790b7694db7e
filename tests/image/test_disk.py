# SPDX-License-Identifier: BSD-3-Clause
"""The disk: partitions, boot loaders, file systems, formats."""
import hashlib
import re
import struct
import subprocess
import tarfile
import xml.etree.ElementTree as ET

import pytest
from conftest import MIB, OUT, STEM, output

BIOS_BOOT, ESP, ROOT = "21686148-6449-6E6F-744E-656564454649", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "ova"])
def test_every_format_is_under_400_mb(kind):
    assert 50 * MIB < (OUT / f"{STEM}.{kind}").stat().st_size < 400_000_000


def test_the_table_is_sound_and_the_root_comes_last(disk):
    assert "No errors detected" in output("sfdisk", "--verify", disk.raw)
    assert [p["type"] for p in disk.partitions] == [BIOS_BOOT, ESP, ROOT]
    starts = [int(p["start"]) for p in disk.partitions]
    assert starts == sorted(starts) and all(s % 2048 == 0 for s in starts)


def test_file_systems_are_clean(disk):
    subprocess.run(["e2fsck", "-fn", f"{disk.raw}?offset={disk.start(3)}"], check=True, capture_output=True)
    size = int(disk.partitions[1]["size"]) * 512
    part = disk.raw.with_suffix(".esp")
    with open(disk.raw, "rb") as f:
        f.seek(disk.start(2))
        part.write_bytes(f.read(size))
    subprocess.run(["fsck.vfat", "-n", part], check=True, capture_output=True)


def test_qcow2_has_no_errors():
    output("qemu-img", "check", OUT / f"{STEM}.qcow2")


def test_bios_finds_grub(disk):
    """boot.img names the first sector of core.img, and that one the sector where the rest begins."""
    with open(disk.raw, "rb") as f:
        mbr = f.read(512)
        f.seek(disk.start(1))
        core = f.read(MIB)
    first = disk.start(1) // 512
    assert mbr[510:] == b"\x55\xaa" and b"GRUB" in mbr
    assert mbr[0x1B8 + 10] == 0xEE, "the protective partition"
    assert struct.unpack_from("<Q", mbr, 0x5C)[0] == first
    start, sectors = struct.unpack_from("<QH", core, 512 - 12)
    assert start == first + 1
    assert core[512 : 512 + sectors * 512].rstrip(b"\0"), "core.img"


def test_uefi_finds_signed_loaders(disk):
    for name in ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi"):
        program = disk.esp(name)
        pe = struct.unpack_from("<I", program, 0x3C)[0]
        assert program[:2] == b"MZ" and program[pe : pe + 4] == b"PE\0\0"
        certificates = struct.unpack_from("<II", program, pe + 24 + 112 + 4 * 8)
        assert certificates[0] and certificates[1], f"{name} carries no signature"
    assert fs_uuid(disk) in disk.esp("EFI/debian/grub.cfg").decode()


def fs_uuid(disk):
    return re.search(r"Filesystem UUID:\s+(\S+)", output("dumpe2fs", "-h", f"{disk.raw}?offset={disk.start(3)}"))[1]


def test_boot_entries(disk, files):
    config = disk.read("/boot/grub/grub.cfg")
    assert set(re.findall(r"--set=root (\S+)|root=UUID=(\S+)", config)) == {(fs_uuid(disk), ""), ("", fs_uuid(disk))}
    entries = re.split(r"^menuentry ", config, flags=re.M)[1:]
    assert len(entries) == 2
    for word in ("intel_iommu=on", "iommu=pt", "isolcpus=managed_irq,domain,1-N", "nohz_full=1-N", "rcu_nocbs=1-N", "irqaffinity=0", "panic=10", "console=ttyS0,115200", "console=tty0"):
        assert word in config
    assert "$worker_args quiet" in entries[0]
    assert "rescue.target" in entries[1] and "worker_args" not in entries[1]
    for link in ("/vmlinuz", "/initrd.img"):
        assert f"/{files[link][3]}" in files, f"{link} leads nowhere"
    assert disk.read("/etc/fstab").split()[:3] == [f"UUID={fs_uuid(disk)}", "/", "ext4"]


def test_direct_boot_files_are_those_of_the_disk(files):
    for name, link in (("vmlinuz", "/vmlinuz"), ("initrd", "/initrd.img")):
        assert hashlib.sha256((OUT / name).read_bytes()).hexdigest() == files[f"/{files[link][3]}"][3]


def test_initramfs_finds_every_disk_and_checks_it():
    names = output("lsinitramfs", OUT / "initrd")
    for module in ("virtio_blk", "virtio_scsi", "ahci", "nvme", "sd_mod", "ext4", "vmw_pvscsi", "hv_storvsc", "mptspi", "mptsas", "megaraid_sas"):
        assert f"/{module}.ko" in names, module
    assert "sbin/fsck.ext4" in names and "sbin/e2fsck" in names
    assert (OUT / "initrd").stat().st_size < 25 * MIB


def test_vmdk_has_the_same_disk(disk):
    assert "Images are identical" in output("qemu-img", "compare", disk.raw, OUT / f"{STEM}.vmdk")


def test_ova(disk, tmp_path):
    """Descriptor first, then manifest and disk; digests, sizes and references agree."""
    with tarfile.open(OUT / f"{STEM}.ova") as tar:
        assert tar.getnames() == [f"{STEM}.ovf", f"{STEM}.mf", f"{STEM}.vmdk"]
        tar.extractall(tmp_path)
    for line in (tmp_path / f"{STEM}.mf").read_text().splitlines():
        name, digest = re.fullmatch(r"SHA256\((.+)\)= ([0-9a-f]{64})", line).groups()
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    ovf = ET.parse(tmp_path / f"{STEM}.ovf").getroot()
    space = {"o": "http://schemas.dmtf.org/ovf/envelope/1"}
    attribute = "{http://schemas.dmtf.org/ovf/envelope/1}"
    file = ovf.find("o:References/o:File", space)
    assert int(file.get(f"{attribute}size")) == (tmp_path / file.get(f"{attribute}href")).stat().st_size
    entry = ovf.find("o:DiskSection/o:Disk", space)
    assert entry.get(f"{attribute}fileRef") == file.get(f"{attribute}id")
    assert int(entry.get(f"{attribute}capacity")) == disk.raw.stat().st_size
    assert [e.text for e in ovf.iter() if e.tag.endswith("}ResourceSubType")] == ["vmware.sata.ahci", "VmxNet3"]
