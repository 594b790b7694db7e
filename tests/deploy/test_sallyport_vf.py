# SPDX-License-Identifier: BSD-3-Clause
"""sallyport-vf without hardware: its arguments, and what it says of a host's default route. VFs themselves are tested in a VM.

The walk from a default route to a PF is asked of the script's own functions, with real interfaces in a network namespace.
"""
import os
import re
import shlex
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "images/host/sallyport-vf")


def run(*args):
    return subprocess.run([SCRIPT, *args], capture_output=True, text=True, timeout=30)


# --- arguments ---------------------------------------------------------------------------------------------------------------


def test_help_names_every_option():
    text = run("--help")
    assert text.returncode == 0 and text.stderr == ""
    with open(SCRIPT, encoding="utf-8") as f:
        known = re.search(r"getopt .* -l (\S+) ", f.read()).group(1)
    for option in known.replace(":", "").split(","):
        assert f"--{option}" in text.stdout, option


def test_manual_has_what_help_has():
    with open(os.path.join(ROOT, "images/man/sallyport-vf.8"), encoding="utf-8") as f:
        page = f.read()
    for option in set(re.findall(r"--([a-z]+)", run("--help").stdout)):
        assert re.search(rf"Fl -{option}\b", page), option
    for command in ("create", "list", "show", "bind", "unbind", "remove"):
        assert re.search(rf"^\.(It )?Cm {command}\b", page, re.M), command


@pytest.mark.parametrize(
    "args, says",
    [
        ((), "Usage"),
        (("make", "eth0", "2"), "'make' is no command"),
        (("create",), "needs a PF and a number"),
        (("create", "lo"), "needs a PF and a number"),
        (("create", "lo", "0"), "'0' is no number of VFs"),
        (("create", "lo", "two"), "'two' is no number of VFs"),
        (("create", "../lo", "1"), "no interface and no PCI address"),
        (("create", "lo", "1", "--vlan", "4095"), "--vlan is 1 to 4094"),
        (("create", "lo", "1", "--vlan=0"), "--vlan is 1 to 4094"),
        (("create", "lo", "1", "--trust", "yes"), "--trust is on or off"),
        (("create", "lo", "1", "--spoofchk", ""), None),
        (("create", "lo", "1", "--rate", "fast"), "--rate is megabits"),
        (("create", "lo", "1", "--driver", "rm -rf"), "--driver is"),
        (("create", "lo", "1", "--nonsense"), "unrecognized option"),
        (("create", "lo", "1", "--qemu"), "create takes no --qemu"),
        (("remove", "lo", "--mac", "02:00:00:00:00:01"), "remove takes no --mac"),
        (("list", "--yes"), "list takes no --yes"),
        (("list", "lo"), "list takes no arguments"),
        (("show", "--libvirt", "--qemu"), "not both"),
        (("show", "--libvirt=virsh"), "--libvirt is interface or hostdev"),
        (("bind",), "bind needs a VF"),
        (("bind", "lo"), "'lo' is no VF"),
        (("bind", "--driver", "none", "lo/0"), "for the kernel's own there is unbind"),
        (("unbind",), "unbind needs a VF"),
        (("remove",), "remove needs one PF"),
    ],
)
def test_wrong_arguments(args, says):
    done = run(*args)
    if says is None:  # an option without a value is as if it were not given
        assert done.returncode == 1
        return
    assert done.returncode == 2, done.stderr
    assert says in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "args, says",
    [
        (("create", "nosuch0", "2"), "nosuch0: no such interface"),
        (("create", "lo", "2"), "lo: not a PCI device"),
        (("create", "ffff:ff:1f.7", "2"), "no such PCI device"),
        (("bind", "ffff:ff:1f.7"), "no such PCI device"),
        (("show", "lo"), "lo: not a PCI device"),
        (("remove", "lo"), "lo: not a PCI device"),
    ],
)
def test_what_has_no_vfs(args, says):
    done = run(*args)
    assert done.returncode == 1 and says in done.stderr
    assert "undoing" not in done.stderr, "nothing was done"


def call(code, namespace=None):
    """Runs shell text with the script's functions known."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    done = subprocess.run([*inside, "bash", "-c", f". {shlex.quote(SCRIPT)}; {code}"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "text, address",
    [("0000:01:10.0", "0000:01:10.0"), ("01:10.7", "0000:01:10.7"), ("10000:E1:00.1", "10000:e1:00.1"), ("eth0", ""), ("01:10.8", ""), ("01:10.0/..", "")],
)
def test_pci_addresses(text, address):
    assert call(f"full_address {shlex.quote(text)}") == address


@pytest.mark.parametrize(
    "macs, says",
    [
        ("02:00:00:00:00:01", "--mac has 1 addresses for 2 VFs"),
        ("02:00:00:00:00:01,02:00:00:00:00:01", "is there twice"),
        ("02:00:00:00:00:01,03:00:00:00:00:02", "is no address of one host"),
        ("02:00:00:00:00:01,00:00:00:00:00:00", "is no address of one host"),
        ("02:00:00:00:00:01,02:00:00:00:00", "is no MAC address"),
    ],
)
def test_wrong_macs(macs, says):
    done = subprocess.run(["bash", "-c", f". {shlex.quote(SCRIPT)}; opt_mac={macs}; take_macs 2"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and says in done.stderr


# --- the host's default route ------------------------------------------------------------------------------------------------


@pytest.fixture
def host():
    """A namespace with two interfaces that stand for PFs, and ip() in it."""
    name = f"sp{os.getpid() % 100000}-vf"

    def ip(*commands):
        for command in commands:
            subprocess.run(["ip", "-n", name, *command.split()], check=True, timeout=30)

    subprocess.run(["ip", "netns", "add", name], check=True, timeout=30)
    for device in ("pf0", "pf1"):
        ip(f"link add {device} type veth peer name {device}-wire", f"link set {device}-wire up", f"link set {device} up")
    yield name, ip
    subprocess.run(["ip", "netns", "del", name], check=True, timeout=30)


def carried(host, device="pf0"):
    return call(f"carried_by {device}", host[0])


def test_no_default_route(host):
    host[1]("address add 192.0.2.2/24 dev pf0", "route add 198.51.100.0/24 via 192.0.2.1")
    assert carried(host) == ""


@pytest.mark.parametrize(
    "routes",
    [
        ["address add 192.0.2.2/24 dev pf0", "route add default via 192.0.2.1"],
        ["address add 192.0.2.2/24 dev pf0", "route add default via 192.0.2.1 table 77"],
        ["address add 2001:db8::2/64 dev pf0 nodad", "-6 route add default via 2001:db8::1"],
        ["address add 2001:db8::2/64 dev pf0 nodad", "-6 route add default via 2001:db8::1 table 78 metric 5"],
        ["address add 192.0.2.2/24 dev pf0", "address add 198.51.100.2/24 dev pf1",
         "route add default nexthop via 198.51.100.1 dev pf1 nexthop via 192.0.2.1 dev pf0"],
        ["address add 192.0.2.2/24 dev pf0", "nexthop add id 5 via 192.0.2.1 dev pf0", "route add default nhid 5"],
    ],
    ids=["IPv4", "IPv4 of another table", "IPv6", "IPv6 of another table", "one of several next hops", "a next hop object"],
)
def test_default_route(host, routes):
    host[1](*routes)
    assert "default route dev pf0" in carried(host)


# Bonds and VLANs hang together by the same links of sysfs; the kernel of a container may lack them.
STACKS = {
    "a bridge": ["link add top type bridge", "link set pf0 master top"],
    "a macvlan": ["link add link pf0 name top type macvlan"],
    "a macvlan on a bridge": ["link add br9 type bridge", "link set pf0 master br9", "link set br9 up", "link add link br9 name top type macvlan"],
    "a bridge on a macvlan on a bridge": [
        "link add br9 type bridge", "link set pf0 master br9", "link set br9 up", "link add link br9 name mac9 type macvlan",
        "link set mac9 up", "link add top type bridge", "link set mac9 master top",
    ],
}


@pytest.mark.parametrize("stack", STACKS)
def test_default_route_on_top(host, stack):
    host[1](*STACKS[stack], "link set top up", "address add 192.0.2.2/24 dev top", "route add default via 192.0.2.1")
    said = carried(host)
    assert "default route dev top" in said and said.endswith("on pf0)")
    assert carried(host, "pf1") == "", "the other one carries nothing"


def test_how_it_is_carried_is_said(host):
    host[1](*STACKS["a bridge on a macvlan on a bridge"], "link set top up", "address add 192.0.2.2/24 dev top", "route add default via 192.0.2.1 table 9")
    assert carried(host) == "default route dev top table 9 (top on mac9 on br9 on pf0)"


def test_open_vswitch(tmp_path):
    """A bridge of Open vSwitch has no lower_* in sysfs, its datapath has. Few test kernels have it: the interfaces and `ip` are made up."""
    for path in ("br-ex", "ovs-system/lower_bond0", "ovs-system/lower_pf2", "bond0/lower_pf0", "pf0", "pf1", "pf2", "br0/lower_pf1"):
        (tmp_path / path).mkdir(parents=True)
    switches = "7: ovs-system: <BROADCAST> mtu 1500\n8: br-ex: <BROADCAST,UP> mtu 1500\n"
    ip = 'ip() { case $* in *openvswitch*) printf %s "$links" ;; *-4*) echo "$route" ;; esac; }'

    def carried_by(device, top, links=switches):
        return call(f"{ip}; net={tmp_path}; links={shlex.quote(links)}; route='default via 192.0.2.1 dev {top}'; carried_by {device}")

    assert carried_by("pf0", "br-ex") == "default route dev br-ex table main (br-ex on bond0 on pf0)"
    assert carried_by("pf2", "br-ex") == "default route dev br-ex table main (br-ex on pf2)"
    assert carried_by("pf1", "br-ex") == "", "no port of Open vSwitch"
    assert carried_by("pf0", "br-ex", "") == "", "a route on what is no bridge of Open vSwitch"
    assert carried_by("pf1", "br0") == "default route dev br0 table main (br0 on pf1)"
    assert carried_by("pf0", "br0") == ""


def test_refused_unless_told_twice(host):
    host[1]("address add 192.0.2.2/24 dev pf0", "route add default via 192.0.2.1")
    for yes, code in ((0, 1), (1, 1), (2, 0)):
        done = subprocess.run(
            ["ip", "netns", "exec", host[0], "bash", "-c", f". {shlex.quote(SCRIPT)}; yes={yes}; refuse_default_route pf0 0000:ff:1f.7 'This'"],
            capture_output=True, text=True, timeout=30,
        )
        assert done.returncode == code
        assert "default route dev pf0" in done.stderr and (code == 0 or "--yes --yes" in done.stderr)


# --- on files that stand for sysfs -------------------------------------------------------------------------------------------

PF, VFS = "ffff:ff:1e.0", ("ffff:ff:1f.0", "ffff:ff:1f.1")


@pytest.fixture
def tree(tmp_path):
    """A PF, pf0, with two VFs; vf0 is the interface of the first."""
    for folder in (f"pci/{PF}/net/pf0", *(f"pci/{vf}" for vf in VFS), f"pci/{VFS[0]}/net/vf0", "links", "units", "overrides", "rules", "state"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / f"pci/{PF}/sriov_totalvfs").write_text("4\n")
    (tmp_path / f"pci/{PF}/sriov_numvfs").write_text("2\n")
    (tmp_path / f"pci/{PF}/sriov_drivers_autoprobe").write_text("1\n")
    for i, vf in enumerate(VFS):
        (tmp_path / f"pci/{vf}/physfn").symlink_to(f"../{PF}")
        (tmp_path / f"pci/{PF}/virtfn{i}").symlink_to(f"../{vf}")
        (tmp_path / f"overrides/pci-{vf}").write_text("vfio-pci\n")
    return tmp_path


def on(tree, code, namespace=None):
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    places = " ".join(f"{name}={tree}/{name}" for name in ("pci", "links", "units", "overrides", "rules", "state"))
    return subprocess.run([*inside, "bash", "-c", f". {shlex.quote(SCRIPT)}; {places}; {code}"], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("command", ["bind --driver igb_uio", "unbind"])
def test_a_vf_with_the_default_route_stays(host, tree, command):
    host[1]("link set pf0 down", "link set pf0 name vf0", "link set vf0 up", "address add 192.0.2.2/24 dev vf0", "route add default via 192.0.2.1")
    for yes in ("", "--yes", "--yes --yes"):
        done = on(tree, f"main {command} {yes} {VFS[0]}", host[0])
        assert "vf0 carries the host's default route dev vf0" in done.stderr
        if yes != "--yes --yes":
            assert done.returncode == 1 and "say so twice" in done.stderr
            assert (tree / f"overrides/pci-{VFS[0]}").exists()
        else:
            assert done.returncode == 2 and "say so twice" not in done.stderr, "it goes on, and fails for want of a driver or of a device"
    done = on(tree, f"main {command} {VFS[1]}", host[0])
    assert "default route" not in done.stderr, "another VF of the same PF is not the host's way"


NOTED = """udev_file= udev_path=pci-0; pf={pf} link=pf0 macs=(02:00:00:00:00:01 02:00:00:00:00:02) raised= opt_vlan= opt_spoofchk= opt_trust= opt_rate= opt_driver=vfio-pci
"""


def test_remove_takes_the_overrides_of_vfs_that_are_gone(tree):
    done = on(tree, NOTED.format(pf=PF) + "persist 2 ''")
    assert done.returncode == 0, done.stderr
    text = (tree / "links/00-sallyport-pf0.link").read_text()
    assert f"# VFs: {VFS[0]} {VFS[1]}\n" in text and text.endswith("VirtualFunction=1\nMACAddress=02:00:00:00:00:02\n")
    rule = (tree / "rules/70-sallyport-pf0.rules").read_text()
    assert f'KERNELS=="{PF}", ATTR{{device/sriov_drivers_autoprobe}}="0", RUN+=' in rule and f"echo 1 >/sys/bus/pci/devices/{PF}/" in rule
    for i in range(2):
        (tree / f"pci/{PF}/virtfn{i}").unlink()
    (tree / f"pci/{PF}/sriov_numvfs").write_text("0\n")
    (tree / "overrides/pci-ffff:ff:1d.0").write_text("vfio-pci\n")
    done = on(tree, f"main remove {PF}")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tree / "overrides")) == ["pci-ffff:ff:1d.0"], "those of others stay"
    assert not os.listdir(tree / "links") and not os.listdir(tree / "rules")


def test_a_file_whose_text_fails_is_not_written(tree):
    (tree / f"pci/{PF}/virtfn1").unlink()
    done = on(tree, NOTED.format(pf=PF) + "persist 2 ''")
    assert done.returncode == 2 and "text cannot be made" in done.stderr
    assert not os.listdir(tree / "links")


def test_the_link_file_before_and_its_drop_ins_are_kept(tmp_path):
    """In udev's order: the file, then drop-ins by name, of one name that of the folder with precedence."""
    files = {
        "lib/50-net.link": "[Match]\nMACAddress=02:00:00:00:00:09\n[Link]\n# why\nNamePolicy=keep\nMTUBytes=1500\n",
        "lib/50-net.link.d/20-mtu.conf": "[Link]\nMTUBytes=9000",
        "lib/50-net.link.d/30-name.conf": "[Link]\nName=wrong\n",
        "etc/50-net.link.d/30-name.conf": "[Match]\nDriver=i40e\n[Link]\nName=right\n",
        "etc/50-net.link.d/10-wol.conf": "[Link]\nWakeOnLan=off\n",
        "etc/50-net.link.d/readme": "[Link]\nName=none\n",
        "etc/51-other.link.d/10.conf": "[Link]\nName=other\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    code = f"link=pf0 udev_file={tmp_path}/lib/50-net.link; link_folders=({tmp_path}/etc {tmp_path}/lib); link_section"
    assert call(code).splitlines()[1:] == ["NamePolicy=keep", "MTUBytes=1500", "WakeOnLan=off", "MTUBytes=9000", "Name=right"]
    (tmp_path / "etc/50-net.link.d/40.conf").write_text("[SR-IOV]\nVirtualFunction=0\n")
    done = subprocess.run(["bash", "-c", f". {shlex.quote(SCRIPT)}; {code}"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "40.conf sets SR-IOV for pf0 already" in done.stderr


@pytest.mark.parametrize("mac, shown", [("02:00:00:00:00:10", True), ("00:00:00:00:00:00", False)])
def test_libvirt_gets_no_mac_of_zeros(tree, mac, shown):
    line = f"    vf 0     link/ether {mac} brd ff:ff:ff:ff:ff:ff, spoof checking on, link-state auto, trust off"
    done = on(tree, f"pf={PF} link=pf0 opt_libvirt=interface vf_lines=({shlex.quote(line)}); libvirt_vf 0")
    assert done.returncode == 0, done.stderr
    assert ("<mac" in done.stdout) == shown
    assert "function='0x0'" in done.stdout and "<driver name='vfio'/>" in done.stdout
