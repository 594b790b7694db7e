# SPDX-License-Identifier: BSD-3-Clause
"""sallyport doctor as a program: options, exit codes, output; what it prints as a configuration is one."""
import json
import mmap
import os
import subprocess

import pytest
from conftest import BIN, RULES

# A guest with two VFs that vfio-pci has, in files. ">": a symbolic link.
VF = {"class": "0x020000", "vendor": "0x8086", "device": "0x154c", "numa_node": "-1", "driver": ">../../../bus/pci/drivers/vfio-pci"}
GUEST = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Test\nflags\t\t: ssse3 sse4_2 avx2 aes constant_tsc nonstop_tsc hypervisor\n",
    "proc/meminfo": "MemTotal: 4000000 kB\n",
    "proc/interrupts": "24: 0 IR-PCI-MSI 0-edge virtio0\n",
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/cpu/isolated": "1-3",
    "sys/devices/system/cpu/nohz_full": "1-3",
    "sys/devices/system/node/node0/cpulist": "0-3",
    "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "900",
    "sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages": "900",
    "sys/class/iommu/dmar0": "",
    "sys/module/vfio_pci/version": "",
    "sys/module/vfio_iommu_type1/version": "",
    "etc/sallyport/rules.d/main.rules": RULES,
}
for slot, group in (("5", "7"), ("6", "8")):
    pci = f"0000:00:0{slot}.0"
    GUEST |= {f"sys/bus/pci/devices/{pci}/{name}": text for name, text in VF.items()}
    GUEST[f"sys/bus/pci/devices/{pci}/iommu_group"] = f">../../../kernel/iommu_groups/{group}"
    GUEST[f"sys/kernel/iommu_groups/{group}/devices/{pci}"] = ""


def make(root, files):
    for path, text in files.items():
        at = root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith(">"):
            at.symlink_to(text[1:])
        else:
            at.write_text(text)
    return root


def doctor(*options, root=None, **environment):
    env = dict(os.environ, **environment)
    env.pop("SALLYPORT_ROOT", None)
    if root is not None:
        env["SALLYPORT_ROOT"] = str(root)
    return subprocess.run([f"{BIN}/sallyport", "doctor", *options], capture_output=True, text=True, timeout=60, env=env)


def findings(done, level):
    return {finding["id"]: finding for finding in json.loads(done.stdout)["findings"] if finding["level"] == level}


def configured(tmp_path):
    """The guest with what the doctor itself proposes as its configuration."""
    root = make(tmp_path, GUEST)
    conf = doctor("--conf", root=root)
    assert conf.returncode == 0, conf.stderr
    (root / "etc/sallyport/sallyport.conf").write_text(conf.stdout)
    return root


def test_its_configuration_is_one_that_check_accepts(tmp_path):
    root = configured(tmp_path)
    text = (root / "etc/sallyport/sallyport.conf").read_text()
    assert '"0000:00:05.0"' in text and '"0000:00:06.0"' in text
    (root / "here.conf").write_text(text.replace('"/etc/', f'"{root}/etc/'))
    done = subprocess.run([f"{BIN}/sallyport", "check", "--strict", str(root / "here.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_guest_that_follows_it_has_only_to_start(tmp_path):
    done = doctor("--json", root=configured(tmp_path))
    assert done.returncode == 0, done.stdout
    assert list(findings(done, "warning")) == ["not-running"]
    assert not findings(done, "error")
    assert [(device["pci"], device["port"]) for device in json.loads(done.stdout)["devices"]] == [("0000:00:05.0", "wan"), ("0000:00:06.0", "lan")]


def test_brief_says_only_what_is_to_be_mended(tmp_path):
    done = doctor("--brief", root=configured(tmp_path))
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["warning: firewall: does not run: nothing passes", "  -> systemctl restart sallyport; journalctl -u sallyport -n 20"]


def test_rules_that_compile_nowhere_are_an_error(tmp_path):
    root = configured(tmp_path)
    (root / "etc/sallyport/rules.d/main.rules").write_text(RULES.replace('pattern = "union', 'pattern = "(union'))
    done = doctor("-j", root=root)
    assert done.returncode == 1
    assert findings(done, "error")["rules"]["about"].startswith("main.rules:")


def test_without_a_device_there_is_no_configuration(tmp_path):
    root = make(tmp_path, {path: text for path, text in GUEST.items() if "/pci/devices/" not in path})
    done = doctor("--conf", root=root)
    assert done.returncode == 1
    assert "There is no VF" in done.stdout
    assert "no-vf" in findings(doctor("-j", root=root), "error")


def test_this_machine():
    """Whatever it is: whole JSON, an exit code that fits, text without escapes where there is no terminal."""
    done = doctor("--json")
    said = json.loads(done.stdout)
    assert said["place"] in ("host", "guest")
    assert done.returncode == int(bool(findings(done, "error"))), done.stderr
    assert said["cpus"] >= 1 and said["memory"]["total_mb"] > 0
    assert all(finding["level"] in ("ok", "note", "warning", "error") and finding["about"] and finding["text"] for finding in said["findings"])
    text = doctor().stdout
    assert "\033" not in text
    assert all(finding["text"] in text for finding in said["findings"] if finding["id"] not in ("irqs", "steal"))


def test_left_pages_that_are_in_use_stay(tmp_path):
    """The remedy as a shell runs it, on files of this test."""
    root = make(tmp_path, GUEST | {"dev/hugepages/rtemap_0": "x" * 4096})
    name = f"rtemap_{os.getpid()}_"
    left = (root / "dev/hugepages/rtemap_0").rename(root / f"dev/hugepages/{name}0")
    (root / "dev/hugepages/rtemap_1").touch()
    fix = findings(doctor("-j", root=root), "note")["left-maps"]["fix"]
    command = fix.replace("rtemap_", name).replace("/dev/hugepages", f"{root}/dev/hugepages")
    with open(left, "r+b") as file, mmap.mmap(file.fileno(), 4096):
        subprocess.run(["sh", "-c", command], timeout=60)
        assert left.exists()
    assert subprocess.run(["sh", "-c", command], timeout=60).returncode == 0
    assert not left.exists()


def test_a_firewall_that_runs_is_seen(lab):
    done = doctor("--json", "-c", lab.config_path)
    ok = findings(done, "ok")
    assert "running" in ok and "config" in ok, done.stdout
    assert "not-running" not in findings(done, "warning")


@pytest.mark.parametrize("options,code,word", [
    (("--drivers",), 0, "net_iavf"),
    (("--help",), 0, "--brief"),
    (("--nonsense",), 2, "--help"),
    (("sallyport.conf",), 2, "named by -c"),
    (("-c", "/nonexistent.conf"), 1, "/nonexistent.conf"),
], ids=["drivers", "help", "unknown option", "argument", "no such file"])
def test_options(options, code, word):
    done = doctor(*options)
    assert done.returncode == code
    assert word in done.stdout + done.stderr
