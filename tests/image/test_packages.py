# SPDX-License-Identifier: BSD-3-Clause
"""The Debian packages: what lintian and readelf say of them, and their life in a chroot that is a copy of the image's Debian: installed, changed by the
administrator, upgraded, removed, purged."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import OUT, VERSION, output

NEWER = f"{VERSION}+test1"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "DEBIAN_FRONTEND": "noninteractive"}
# dpkg's own books and what a package manager's run leaves behind; not a package's business.
BOOKS = re.compile(r"^/(var/lib/dpkg|var/log|var/cache|tmp|proc|dev|sys|run|etc/ld\.so\.cache|etc/\.updated|var/lib/systemd/deb-systemd-helper|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$)")
ACCOUNTS = ("/etc/group", "/etc/gshadow")


def deb(name, folder=OUT / "deb"):
    return next(pathlib.Path(folder).glob(f"{name}_*.deb"))


class Chroot:
    def __init__(self, root):
        self.root = pathlib.Path(root)

    def run(self, *command, check=True):
        """In a mount namespace of its own, so that the mounts end with the command."""
        script = 'mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t sysfs sys "$1/sys" && mount --rbind /dev "$1/dev" && r=$1 && shift && exec chroot "$r" "$@"'
        done = subprocess.run(["unshare", "--mount", "sh", "-euc", script, "sh", self.root, *command], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode:
            pytest.fail(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done

    def dpkg(self, *arguments):
        return self.run("dpkg", *arguments)

    def install(self, *debs):
        for path in debs:
            shutil.copy(path, self.root / "tmp")
        self.dpkg("-i", *(f"/tmp/{path.name}" for path in debs))

    def path(self, name):
        return self.root / name.lstrip("/")

    def files(self):
        found = set()
        for folder, folders, files in os.walk(self.root):
            relative = "/" + os.path.relpath(folder, self.root)
            relative = "" if relative == "/." else relative
            folders[:] = [f for f in folders if not BOOKS.match(f"{relative}/{f}")]
            found.update(f"{relative}/{name}" for name in files + folders if not BOOKS.match(f"{relative}/{name}"))
        return found

    def version(self, package):
        return self.run("dpkg-query", "-W", "-f=${Status} ${Version}", package, check=False).stdout


@pytest.fixture()
def chroot(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    output("tar", "-C", root, "--numeric-owner", "-xf", OUT / "base.tar", "--exclude=./boot/*", "--exclude=./usr/lib/modules/*")
    return Chroot(root)


def newer(path, folder, conffile, line):
    """The package again, a version later, with a line more in one of its configuration files."""
    work = folder / "unpacked"
    output("dpkg-deb", "-R", path, work)
    control = work / "DEBIAN/control"
    control.write_text(re.sub(rf"^Version: {re.escape(VERSION)}$", f"Version: {NEWER}", control.read_text(), flags=re.M))
    if conffile:
        with open(work / conffile, "a") as f:
            f.write(line)
    made = folder / path.name.replace(VERSION, NEWER)
    output("dpkg-deb", "--root-owner-group", "-b", work, made)
    shutil.rmtree(work)
    return made


def test_life_of_the_packages(chroot, tmp_path):
    before = chroot.files()
    packages = [deb("sallyport"), deb("sallyport-appliance")]
    chroot.install(*packages)
    assert chroot.version("sallyport") == f"install ok installed {VERSION}"
    assert chroot.run("getent", "group", "sallyport").stdout
    assert chroot.run("systemctl", "is-enabled", "sallyport.service").stdout.strip() == "enabled"
    assert chroot.run("sallyport", "check", "/etc/sallyport/sallyport.conf", "/etc/sallyport/rules.d/main.rules").returncode == 0
    assert "sallyctl" in chroot.run("sallyctl", "--help").stdout

    chroot.install(*packages)  # once more: the scripts may run twice

    rules, configuration = chroot.path("/etc/sallyport/rules.d/main.rules"), chroot.path("/etc/sallyport/sallyport.conf")
    rules.write_text(mine := rules.read_text() + "# mine\n")
    extra = chroot.path("/etc/sallyport/rules.d/extra.rules")
    extra.write_text("# mine too\n")
    revisions = chroot.path("/var/lib/sallyport/revisions")
    revisions.mkdir(parents=True)
    (revisions / "1").write_text("old\n")
    chroot.run("systemctl", "disable", "sallyport.service")
    chroot.install(newer(deb("sallyport"), tmp_path, "etc/sallyport/rules.d/main.rules", "# theirs\n"), newer(deb("sallyport-appliance"), tmp_path, None, ""))
    assert chroot.version("sallyport") == f"install ok installed {NEWER}"
    assert rules.read_text() == mine and "# theirs" in rules.with_suffix(".rules.dpkg-dist").read_text()
    assert (revisions / "1").read_text() == "old\n"
    assert chroot.run("systemctl", "is-enabled", "sallyport.service", check=False).stdout.strip() == "disabled", "an upgrade undoes the administrator's choice"

    chroot.dpkg("-r", "sallyport-appliance", "sallyport")
    assert not chroot.path("/usr/bin/sallyport").exists()
    assert rules.read_text() == mine and configuration.exists() and (revisions / "1").exists()

    chroot.dpkg("-P", "sallyport-appliance", "sallyport")
    assert not revisions.exists() and not configuration.exists()
    assert extra.exists(), "a file that the package did not bring"
    extra.unlink()
    extra.parent.rmdir()
    extra.parent.parent.rmdir()
    assert chroot.files() ^ before == set()


def test_rules_of_the_package_let_nothing_pass(chroot):
    chroot.install(deb("sallyport"))
    done = chroot.run("sallyport", "explain", "-c", "/etc/sallyport/sallyport.conf", "tcp 10.0.0.5:40000 > 198.51.100.7:443 from inside to outside", check=False)
    assert done.returncode == 1 and done.stdout.startswith("drop: the default, because no rule matches"), done.stdout + done.stderr


def test_an_appliance_by_hand(chroot):
    """What sallyport-appliance(7) says for a Debian that is not of the image: the packages alone leave SSH as it is."""
    state = lambda unit: chroot.run("systemctl", "is-enabled", unit, check=False).stdout.strip()  # noqa: E731
    ssh = [state(f"ssh.{kind}") for kind in ("service", "socket")]
    chroot.install(deb("sallyport"), deb("sallyport-appliance"))
    assert [state(f"ssh.{kind}") for kind in ("service", "socket")] == ssh
    chroot.run("/usr/lib/sallyport/image-setup")
    chroot.run("/usr/lib/sallyport/image-setup")  # once more: a hand may
    assert [state(f"ssh.{kind}") for kind in ("service", "socket")] == ["disabled", "disabled"]  # the VRF's device starts the socket
    for unit in ("systemd-networkd.service", "sallyport-boot.service", "sallyport-seed.service", "sallyport-bind.path", "sallyport-banner.service"):
        assert state(unit) == "enabled", unit


def test_an_untouched_configuration_follows_the_package(chroot, tmp_path):
    chroot.install(deb("sallyport"))
    chroot.install(newer(deb("sallyport"), tmp_path, "etc/sallyport/sallyport.conf", "# theirs\n"))
    assert chroot.path("/etc/sallyport/sallyport.conf").read_text().endswith("# theirs\n")


def test_host_package(chroot):
    """dpkg takes it without driverctl only by force: the dependency is told, the files arrive and leave."""
    before = chroot.files()
    refused = subprocess.run(["dpkg-deb", "-f", deb("sallyport-host"), "Depends"], capture_output=True, text=True, check=True).stdout
    assert "driverctl" in refused and "iproute2" in refused
    shutil.copy(deb("sallyport-host"), chroot.path("/tmp/host.deb"))
    chroot.dpkg("--force-depends", "-i", "/tmp/host.deb")
    assert chroot.run("sallyport-vf", "--help").returncode == 0
    chroot.dpkg("-P", "sallyport-host")
    assert chroot.files() ^ before == set()


def test_lintian_finds_nothing(tmp_path):
    """In the build root, with the lintian of the image's release."""
    script = 'mount --make-rprivate / && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mkdir -p "$1/out" && mount --bind "$2" "$1/out" && exec chroot "$1" sh -c "$3"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script, "sh", OUT / "buildroot", OUT, "lintian --fail-on error,warning /out/deb/*.changes"], env=ENV, capture_output=True, text=True
    )
    assert done.returncode == 0 and not re.search(r"^[EW]: ", done.stdout, re.M), done.stdout + done.stderr


@pytest.mark.parametrize("program", ["sallyport", "sallyctl"])
def test_programs_are_hardened(tmp_path, program):
    output("dpkg-deb", "-x", deb("sallyport"), tmp_path)
    path = tmp_path / "usr/bin" / program
    headers, dynamic, symbols = output("readelf", "-Whl", path), output("readelf", "-Wd", path), output("readelf", "-W", "--dyn-syms", path)
    assert re.search(r"Type:\s+DYN", headers) and re.search(r"GNU_STACK.* RW ", headers) and "GNU_RELRO" in headers
    assert "BIND_NOW" in dynamic and "PIE" in dynamic
    assert "__stack_chk_fail" in symbols and re.search(r"__\w+_chk@", symbols)
    assert not re.search(r"RPATH|RUNPATH", dynamic)


def test_packages_say_nothing_of_the_machine_that_built_them():
    for path in (OUT / "deb").glob("sallyport*.deb"):
        listing = output("dpkg-deb", "-c", path)
        assert not re.search(r"build/|/out|/home|__pycache__", listing)
        assert {line.split()[1] for line in listing.splitlines()} <= {"root/root"}


def test_versions_are_the_makefiles():
    assert {output("dpkg-deb", "-f", path, "Version").strip() for path in (OUT / "deb").glob("sallyport*.deb")} == {VERSION}
