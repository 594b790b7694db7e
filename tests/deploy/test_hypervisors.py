# SPDX-License-Identifier: BSD-3-Clause
"""libvirt and QEMU: the domain and virt-install's against libvirt's schema, QEMU itself for its arguments, and what sallyport-vf prints for both."""
import os
import re
import shlex
import subprocess
import xml.etree.ElementTree as xml

import pytest
from conftest import DEPLOY, EXAMPLE_MACS, HERE, ROOT, run

DOMAIN = os.path.join(DEPLOY, "libvirt/sallyport.xml")
QEMU = os.path.join(DEPLOY, "qemu/sallyport.sh")
SALLYPORT_VF = os.path.join(ROOT, "images/host/sallyport-vf")


def validate(path, code=0):
    return run("virt-xml-validate", str(path), "domain", code=code)


def facts(path):
    """What a Sallyport domain needs."""
    root = xml.parse(path).getroot()
    return {
        "machine": root.find("os/type").get("machine"),
        "ioapic": root.find("features/ioapic").get("driver"),
        "iommu": (root.find("devices/iommu").get("model"), dict(root.find("devices/iommu/driver").attrib)),
        "huge pages": root.find("memoryBacking/hugepages") is not None,
        "pinned": sorted(int(p.get("vcpu")) for p in root.findall("cputune/vcpupin")) == list(range(int(root.find("vcpu").text))),
        "VFs": len(root.findall("devices/interface[@type='hostdev']")) + len(root.findall("devices/hostdev[@type='pci']")),
        "management": root.find("devices/interface[@type='network']/model").get("type"),
        "cdrom": root.find("devices/disk[@device='cdrom']") is not None,
        "watchdog": root.find("devices/watchdog").get("action"),
        "serial": root.find("devices/console/target").get("type"),
        "rng": root.find("devices/rng").get("model"),
    }


NEEDED = {
    "machine": "q35", "ioapic": "qemu", "iommu": ("intel", {"intremap": "on", "caching_mode": "on", "aw_bits": "39"}), "huge pages": True, "pinned": True, "VFs": 2,
    "management": "virtio", "cdrom": True, "watchdog": "reset", "serial": "serial", "rng": "virtio",
}


def test_domain(tmp_path):
    validate(DOMAIN)
    assert facts(DOMAIN) == NEEDED
    ports = xml.parse(DOMAIN).getroot().findall("devices/interface[@type='hostdev']")
    assert [p.find("mac").get("address") for p in ports] == EXAMPLE_MACS and all(p.get("managed") == "yes" for p in ports)
    broken = tmp_path / "broken.xml"
    with open(DOMAIN, encoding="utf-8") as f:
        broken.write_text(f.read().replace("caching_mode", "cashing_mode"))
    validate(broken, code=3)


def test_virt_install(tmp_path, image, seed):
    """virt-install's own dry run, on libvirt's test driver with the capabilities of a host that has QEMU."""
    host = f"__virtinst_test__test://{HERE}/test_host.xml,fakeuri=qemu:///system,caps={HERE}/x86_64_capabilities.xml,domcaps={HERE}/x86_64_domain_capabilities.xml"
    done = run(
        os.path.join(DEPLOY, "libvirt/virt_install.sh"), "--connect", host, "--dry-run", "--print-xml", env={**os.environ, "IMAGE": image, "SEED": seed, "HOME": str(tmp_path)}
    )
    path = tmp_path / "domain.xml"
    path.write_text(done.stdout)
    validate(path)
    assert facts(path) == NEEDED
    addresses = [tuple(int(a.get(n)) for n in ("bus", "slot", "function")) for a in xml.parse(path).getroot().findall("devices/hostdev/source/address")]
    assert addresses == [(1, 16, 0), (2, 16, 0)]


# --- QEMU --------------------------------------------------------------------------------------------------------------------------


def accept(args):
    """QEMU takes the arguments: it comes up without running the machine, and ends when its monitor says so."""
    done = subprocess.run([*args, "-S"], input="\x01c\nquit\n", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "(qemu)" in done.stdout, done.stderr + done.stdout


def without_vfs(args):
    """A network card in place of each VF: none is here."""
    return [re.sub(r"vfio-pci,host=[0-9a-f:.]+", "virtio-net-pci", a) for a in args]


def qemu_line(*args):
    return run(QEMU, "--dry-run", "--no-kvm", "--memory", "256", "--ssh", "0", *args).stdout.splitlines()


@pytest.mark.parametrize("options", [[], ["--uefi", "--snapshot"], ["--cpus", "4"]])
def test_qemu(image, seed, options):
    line = qemu_line("--seed", seed, *options, image, "0000:01:10.0", "02:10.0")
    assert [a for a in line if a.startswith("vfio-pci")] == ["vfio-pci,host=0000:01:10.0,bus=sallyport0", "vfio-pci,host=02:10.0,bus=sallyport1"]
    accept(without_vfs(line))
    with pytest.raises(AssertionError):
        accept([a.replace("caching-mode", "cashing-mode") for a in without_vfs(line)])


def test_qemu_takes_more_arguments(image):
    line = qemu_line(image, "0000:01:10.0", "--", "-name", "other")
    assert line[-2:] == ["-name", "other"]


@pytest.mark.parametrize(
    "args, says",
    [
        ([], "Usage"),
        (["/nonexistent"], "cannot be read"),
        (["--memory", "lots", "IMAGE"], "'lots' is no number"),
        (["--seed", "/nonexistent", "IMAGE"], "cannot be read"),
        (["IMAGE", "eth0"], "'eth0' is no PCI address"),
        (["IMAGE", "ffff:ff:1f.7"], "is not bound to vfio-pci: sallyport-vf bind ffff:ff:1f.7"),
    ],
)
def test_qemu_refusals(image, args, says):
    assert says in run(QEMU, *[image if a == "IMAGE" else a for a in args], code=2).stderr


# --- what sallyport-vf prints ------------------------------------------------------------------------------------------------------


def printed(code):
    """The script's own functions, for VFs that are not here: two of one PF, the second in a VLAN."""
    here = """vf_address() { echo 0000:0$((1 + $2)):10.2; }; numa_of() { echo 1; }
        vf_lines=("    vf 0     link/ether 02:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff, spoof checking on, link-state auto, trust off"
            "    vf 1     link/ether 02:00:00:00:00:11 brd ff:ff:ff:ff:ff:ff, vlan 20, spoof checking on, link-state auto, trust off")
        pf=0000:01:00.0 link=eth1 port=0 opt_libvirt=%s"""
    return lambda kind="": run("bash", "-c", f". {shlex.quote(SALLYPORT_VF)}; {here % kind}; {code}").stdout


@pytest.mark.parametrize("kind", ["interface", "hostdev"])
def test_printed_for_libvirt(tmp_path, kind):
    """The fragments, put where their comments say, make a domain that validates."""
    text = printed("libvirt_vf 0; libvirt_vf 1; libvirt_once")(kind)
    devices, features = text.split("<!-- once in <features>")
    features = features.split("-->\n", 1)[1]
    root = xml.parse(DOMAIN).getroot()
    for place, fragment in (("devices", devices), ("features", features)):
        parent = root.find(place)
        for old in parent.findall("interface[@type='hostdev']") + parent.findall("iommu") + parent.findall("ioapic"):
            parent.remove(old)
        parent.extend(xml.fromstring(f"<all>{fragment}</all>"))
    path = tmp_path / "domain.xml"
    xml.ElementTree(root).write(path)
    validate(path)
    model, driver = (seen := facts(path))["iommu"]
    assert driver["aw_bits"] in ("39", "48"), "what this machine's own IOMMU translates"
    assert {**seen, "iommu": (model, {**driver, "aw_bits": "39"})} == NEEDED
    if kind == "interface":
        ports = root.findall("devices/interface[@type='hostdev']")
        assert [p.find("mac").get("address") for p in ports] == EXAMPLE_MACS
        assert ports[0].find("vlan") is None and ports[1].find("vlan/tag").get("id") == "20"


def test_printed_for_qemu(image):
    text = printed('echo "-machine q35,kernel-irqchip=split"; echo "-device intel-iommu,intremap=on,caching-mode=on,aw-bits=$(address_bits)"; qemu_vf 0; port=1; qemu_vf 1')()
    assert text.count("vfio-pci,host=") == 2 and "host=0000:02:10.2,bus=sallyport1" in text
    accept(["qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg", "-m", "256", *without_vfs(text.split()), "-serial", "none",
            "-chardev", "stdio,id=c,mux=on", "-mon", "chardev=c"])
