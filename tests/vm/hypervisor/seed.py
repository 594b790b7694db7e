# SPDX-License-Identifier: BSD-3-Clause
"""The NoCloud seed of the nested test: an ISO image labelled cidata, with user-data and meta-data."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from appliance import make_iso  # noqa: E402

SEED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seed")
HOSTNAME = "gate"
ADDRESSES = {"lan": ("192.0.2.2/24", "2001:db8:a::2/64"), "wan": ("198.51.100.2/24", "2001:db8:b::2/64")}


def network(port, addresses):
    """systemd-networkd's file for a port's interface in Linux."""
    lines = ["[Match]", f"Name={port}", "", "[Network]", *(f"Address={a}" for a in addresses), "DHCP=no", "IPv6AcceptRA=no", "ConfigureWithoutCarrier=yes"]
    return "".join(f"{line}\n" for line in lines)


def text_of(name):
    with open(os.path.join(SEED, name)) as f:
        return f.read()


def write_seed(iso, public_key):
    """Writes the seed for an administrator with that key."""
    files = {
        "/etc/sallyport/sallyport.conf": text_of("sallyport.conf"),
        "/etc/sallyport/rules.d/main.rules": text_of("main.rules"),
        **{f"/etc/systemd/network/50-{port}.network": network(port, addresses) for port, addresses in ADDRESSES.items()},
    }
    user = {"ssh_authorized_keys": [public_key], "write_files": [{"path": path, "content": body} for path, body in files.items()]}
    # JSON is YAML.
    user_data = f"#cloud-config\n{json.dumps(user, indent=1)}\n"
    make_iso(iso, "cidata", {"user-data": user_data, "meta-data": json.dumps({"instance-id": "nested-test", "local-hostname": HOSTNAME, "dsmode": "local"})})
