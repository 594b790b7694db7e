# SPDX-License-Identifier: BSD-3-Clause
"""The image that `make image` built, as the tests look at it: $SALLYPORT_IMAGE is its folder, $SALLYPORT_VERSION its version. Root, for chroots in a mount namespace."""
import os
import pathlib
import subprocess

import pytest

OUT = pathlib.Path(os.environ.get("SALLYPORT_IMAGE", "build/image")).resolve()
VERSION = os.environ["SALLYPORT_VERSION"]
STEM = f"sallyport-{VERSION}-amd64"
MIB = 1 << 20


def output(*command, **kwargs):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, **kwargs).stdout


class Disk:
    """The image unpacked to a raw file; its root file system is read by debugfs, without mounting."""

    def __init__(self, raw):
        self.raw = raw
        table = [line.split(",") for line in output("sfdisk", "--dump", raw).splitlines() if "start=" in line]
        self.partitions = [{k.strip(): v.strip().strip('"') for k, v in (f.split("=", 1) for f in ",".join(row).partition(" : ")[2].split(","))} for row in table]

    def start(self, number):
        return int(self.partitions[number - 1]["start"]) * 512

    def read_bytes(self, path):
        return subprocess.run(["debugfs", "-R", f"cat {path}", f"{self.raw}?offset={self.start(3)}"], check=True, capture_output=True).stdout

    def read(self, path):
        return self.read_bytes(path).decode()

    def esp(self, path):
        return subprocess.run(["mtype", "-i", f"{self.raw}@@{self.start(2)}", f"::{path}"], check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    raw = tmp_path_factory.mktemp("disk") / "disk.raw"
    output("qemu-img", "convert", "-O", "raw", OUT / f"{STEM}.qcow2", raw)
    return Disk(raw)


@pytest.fixture(scope="session")
def files():
    """{path: (mode, owner, size, digest or link target, mtime)} of the root file system, as the builder listed it."""
    rows = (line.split(" ") for line in (OUT / f"{STEM}.files").read_text().splitlines())
    return {" ".join(row[5:]): (int(row[0], 8), row[1], int(row[2]), row[3], int(row[4])) for row in rows}
