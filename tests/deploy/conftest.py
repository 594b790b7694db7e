# SPDX-License-Identifier: BSD-3-Clause
"""Deployment descriptors, each checked by the tool that its platform reads it with. `make test-deploy` installs the tools."""
import os
import re
import subprocess
import sys

import pytest
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEPLOY = os.path.join(ROOT, "images/deploy")
BIN = os.path.join(ROOT, os.environ.get("SALLYPORT_BIN", "build/gcc-release"))
sys.path.insert(0, HERE)

EXAMPLE_MACS = ["02:00:00:00:00:10", "02:00:00:00:00:11"]


def run(*args, code=0, **kwargs):
    """Runs a command to its end, which is to have this exit code."""
    done = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False, **kwargs)
    assert done.returncode == code, f"{' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def configuration_macs(user_data):
    """The MAC addresses by which the seed's configuration names its ports."""
    files = {f["path"]: f["content"] for f in yaml.safe_load(user_data)["write_files"]}
    return re.findall(r'device = "([0-9a-f:]{17})"', files["/etc/sallyport/sallyport.conf"])


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """An image of the right format, with nothing in it."""
    path = str(tmp_path_factory.mktemp("image") / "sallyport-0.1.0-amd64.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
    return path


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("key") / "id")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path)
    return path + ".pub"


@pytest.fixture(scope="session")
def seed(tmp_path_factory, key):
    path = str(tmp_path_factory.mktemp("seed") / "seed.iso")
    run(os.path.join(DEPLOY, "seed/make_seed"), "--key", key, "--hostname", "gate7", path)
    return path
