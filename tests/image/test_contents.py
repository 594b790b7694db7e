# SPDX-License-Identifier: BSD-3-Clause
"""The root file system: nothing that belongs to one machine, no secret, no more rights than needed."""
import hashlib
import os
import re
import stat

import pytest

# What may run with another's rights. A new name here is a decision, not a side effect of a package.
SETUID = {
    "/usr/bin/chage", "/usr/bin/chfn", "/usr/bin/chsh", "/usr/bin/expiry", "/usr/bin/gpasswd", "/usr/bin/mount", "/usr/bin/newgrp", "/usr/bin/passwd", "/usr/bin/ssh-agent",
    "/usr/bin/su", "/usr/bin/sudo", "/usr/bin/umount", "/usr/lib/dbus-1.0/dbus-daemon-launch-helper", "/usr/lib/openssh/ssh-keysign", "/usr/sbin/unix_chkpwd",
}  # fmt: skip


def test_the_list_is_that_of_the_disk(disk, files):
    for path in ("/usr/bin/sallyport", "/etc/passwd", "/boot/grub/grub.cfg"):
        assert hashlib.sha256(disk.read_bytes(path)).hexdigest() == files[path][3]


@pytest.mark.parametrize("pattern", [
    r"/etc/ssh/ssh_host_", r"/random-seed$", r"/authorized_keys[0-9]?$", r"/var/lib/cloud/", r"/var/log/.+\.(log|gz|[0-9])$", r"/\.bash_history$", r"/var/lib/apt/lists/.+_", r"\.deb$",
    r"/etc/(passwd|shadow|group|gshadow)-$", r"/var/lib/dbus/machine-id$", r"/root/(?!\.bashrc$|\.profile$)", r"/tmp/.", r"/usr/sbin/policy-rc.d$", r"/etc/apt/(auth\.conf(\.d/.+)?$|apt\.conf\.d/.*(proxy|mmdebstrap))", r"/etc/ssl/private/.+", r"/etc/\.?resolv\.conf.", r"/etc/.+\.(dpkg|ucf)-",
])  # fmt: skip
def test_nothing_of_one_machine(files, pattern):
    found = [path for path in files if re.search(pattern, path)]
    assert not [path for path in found if not (pattern.startswith(r"/var/log") and stat.S_ISDIR(files[path][0]))]


def test_machine_id_is_made_at_first_boot(disk, files):
    """And kept: systemd writes it to the disk once that is writable."""
    assert files["/etc/machine-id"][2] == 0
    assert "/etc/systemd/system/systemd-machine-id-commit.service" not in files


def test_nobody_has_a_password(disk):
    rows = [line.split(":") for line in disk.read("/etc/shadow").splitlines()]
    assert {row[0] for row in rows if not row[1].startswith(("!", "*"))} == set()
    users = [line.split(":") for line in disk.read("/etc/passwd").splitlines()]
    assert [u[0] for u in users if int(u[2]) == 0] == ["root"]
    assert not [u[0] for u in users if 1000 <= int(u[2]) < 60000], "users come with the seed"


def test_the_group_of_the_socket_is_there(disk):
    assert re.search(r"^sallyport:", disk.read("/etc/group"), re.M)


def test_who_may_run_with_anothers_rights(files):
    special = {path for path, row in files.items() if stat.S_ISREG(row[0]) and row[0] & (stat.S_ISUID | stat.S_ISGID)}
    assert special <= SETUID


def test_nobody_may_write_what_others_read(files):
    assert not [path for path, row in files.items() if row[0] & 0o002 and not stat.S_ISLNK(row[0]) and not stat.S_ISCHR(row[0]) and not row[0] & stat.S_ISVTX]


def test_no_file_is_younger_than_the_commit(files):
    epoch = files["/boot/grub/grub.cfg"][4]
    assert max(row[4] for row in files.values()) == epoch


def test_packages_come_from_debian(disk):
    sources = disk.read("/etc/apt/sources.list.d/debian.sources")
    assert re.findall(r"^Suites: (.*)", sources, re.M) == ["trixie trixie-updates", "trixie-security"]
    assert disk.read("/etc/apt/sources.list") == ""


def test_configuration_outlives_an_update(disk):
    assert "force-confold" in disk.read("/etc/dpkg/dpkg.cfg.d/sallyport-image").split()


def test_units(files):
    """The firewall, the management network, and nothing that works by itself at night."""
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert f"{wants}/sallyport.service" in files
    assert "/etc/systemd/system/paths.target.wants/sallyport-bind.path" in files and "/usr/lib/udev/rules.d/80-sallyport.rules" in files
    assert any(path.endswith(".wants/systemd-networkd.service") for path in files)
    for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "dpkg-db-backup.timer"):
        assert files[f"/etc/systemd/system/{unit}"][3] == "/dev/null"
    dangling = [
        path for path, row in files.items()
        if path.startswith("/etc/systemd/system/") and stat.S_ISLNK(row[0]) and row[3] != "/dev/null"
        and os.path.normpath(os.path.join(os.path.dirname(path), row[3])).replace("/lib/", "/usr/lib/", 1).replace("/usr/usr/", "/usr/") not in files
    ]  # fmt: skip
    assert not dangling
