# SPDX-License-Identifier: BSD-3-Clause
"""GRUB for BIOS in a disk file: what grub-bios-setup does to a device, without a device.

boot.img goes to the first sector, around the partition table that stands there; core.img, which holds all modules that grub.cfg needs, to the BIOS boot partition.
Offsets: GRUB's include/grub/i386/pc/boot.h.
"""
import struct
import subprocess

GRUB = "/usr/lib/grub/i386-pc"
MODULES = "biosdisk part_gpt part_msdos ext2 search search_fs_uuid normal configfile linux serial terminal test echo minicmd reboot halt ls cat all_video".split()
SECTOR = 512
BPB_END = 0x5A
KERNEL_SECTOR = 0x5C
DRIVE_CHECK = 0x66
TABLE_START = 0x1B8  # disk signature and partition table
BLOCKLIST = SECTOR - 12  # of core.img's first sector: where the rest lies

EARLY = """search --no-floppy --fs-uuid --set=root {uuid}
set prefix=($root)/boot/grub
"""


def install(disk, partition, root_uuid):
    with open("/out/early.cfg", "w") as f:
        f.write(EARLY.format(uuid=root_uuid))
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-o", "/out/core.img", "-c", "/out/early.cfg", "-p", "/boot/grub", *MODULES], check=True)
    with open(f"{GRUB}/boot.img", "rb") as f:
        boot = bytearray(f.read())
    with open("/out/core.img", "rb") as f:
        core = bytearray(f.read())
    start, size = partition
    if len(core) > size or len(boot) != SECTOR:
        raise SystemExit(f"bios_grub.py: core.img of {len(core)} bytes does not fit the partition of {size}")
    struct.pack_into("<Q", boot, KERNEL_SECTOR, start // SECTOR)
    boot[DRIVE_CHECK : DRIVE_CHECK + 2] = b"\x90\x90"  # the BIOS is trusted to name a hard disk
    struct.pack_into("<Q", core, BLOCKLIST, start // SECTOR + 1)
    with open(disk, "r+b") as f:
        old = f.read(SECTOR)
        boot[3:BPB_END] = old[3:BPB_END]
        boot[TABLE_START:SECTOR] = old[TABLE_START:SECTOR]
        f.seek(0)
        f.write(boot)
        f.seek(start)
        f.write(core)
