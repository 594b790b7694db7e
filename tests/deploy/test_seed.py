# SPDX-License-Identifier: BSD-3-Clause
"""The example seed: cloud-init accepts it, Sallyport accepts what it writes, and make_seed packs it as cloud-init looks for it."""
import os

import pytest
import yaml
from conftest import BIN, DEPLOY, EXAMPLE_MACS, configuration_macs, run

MAKE_SEED = os.path.join(DEPLOY, "seed/make_seed")
USER_DATA = os.path.join(DEPLOY, "seed/user-data")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def unpack(iso, folder):
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", str(folder))
    return {name: read(os.path.join(folder, name)) for name in ("user-data", "meta-data")}


def test_cloud_init_accepts_it(tmp_path):
    run("cloud-init", "schema", "--config-file", USER_DATA)
    broken = tmp_path / "user-data"
    broken.write_text(read(USER_DATA).replace("write_files:", "write_files: none\nother:"))
    run("cloud-init", "schema", "--config-file", str(broken), code=1)


def test_sallyport_accepts_what_it_writes(tmp_path):
    """`sallyport check` of the configuration and rules, with the rules where the configuration finds them."""
    files = {f["path"]: f["content"] for f in yaml.safe_load(read(USER_DATA))["write_files"]}
    rules, conf = tmp_path / "main.rules", tmp_path / "sallyport.conf"
    rules.write_text(files["/etc/sallyport/rules.d/main.rules"])
    conf.write_text(files["/etc/sallyport/sallyport.conf"].replace("/etc/sallyport/rules.d/main.rules", str(rules)))
    run(os.path.join(BIN, "sallyport"), "check", "--strict", str(conf))
    run(os.path.join(BIN, "sallyport"), "check", "--strict", "-c", str(conf), str(rules))
    conf.write_text(conf.read_text().replace("zone", "zoen"))
    run(os.path.join(BIN, "sallyport"), "check", str(conf), code=1)


def test_ports_have_addresses():
    """Each port of the configuration has its .network file."""
    files = {f["path"]: f["content"] for f in yaml.safe_load(read(USER_DATA))["write_files"]}
    for name in ("wan", "lan"):
        assert f'name = "{name}"' in files["/etc/sallyport/sallyport.conf"]
        text = files[f"/etc/systemd/network/30-{name}.network"]
        assert f"[Match]\nName={name}\n" in text and "Address=" in text
    assert configuration_macs(read(USER_DATA)) == EXAMPLE_MACS


def test_iso(tmp_path, key, seed):
    assert run("blkid", "-o", "value", "-s", "LABEL", seed).stdout.strip() == "cidata"
    files = unpack(seed, tmp_path / "out")
    data, meta = yaml.safe_load(files["user-data"]), yaml.safe_load(files["meta-data"])
    assert files["user-data"].startswith("#cloud-config\n")
    assert data["ssh_authorized_keys"] == [read(key).strip()]
    assert meta["instance-id"] == meta["local-hostname"] == "gate7"
    assert data["write_files"] == yaml.safe_load(read(USER_DATA))["write_files"]


def test_replace(tmp_path, key):
    iso = str(tmp_path / "seed.iso")
    run(MAKE_SEED, "--key", key, "--replace", "02:00:00:00:00:10=02:aa:bb:cc:dd:ee", "--replace=192.0.2.2/24=203.0.113.2/24", iso)
    text = unpack(iso, tmp_path / "out")["user-data"]
    assert configuration_macs(text) == ["02:aa:bb:cc:dd:ee", EXAMPLE_MACS[1]] and "Address=203.0.113.2/24" in text


@pytest.mark.parametrize(
    "args, code, says",
    [
        ([], 1, "the example's SSH key"),
        (["--key", "/etc/hostname"], 1, "is not one public SSH key"),
        (["--key", "/nonexistent"], 1, "is not one public SSH key"),
        (["--hostname", "a b"], 1, "is no host name"),
        (["--replace", "nothing like it=x"], 1, "has no 'nothing like it'"),
        (["--replace", "x"], 2, "OLD=NEW"),
        (["--user-data", "/nonexistent"], 2, "cannot be read"),
        (["--user-data", "/etc/hostname"], 1, "does not begin with #cloud-config"),
        (["--frobnicate"], 2, "--help"),
    ],
)
def test_refusals(tmp_path, args, code, says):
    iso = tmp_path / "seed.iso"
    assert says in run(MAKE_SEED, *args, str(iso), code=code).stderr
    assert not iso.exists()
