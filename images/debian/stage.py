#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Lays out the source package: stage.py OUT VERSION EPOCH BUILD_PACKAGE…

OUT/sallyport becomes a copy of the tree (what git tracks or would track) with debian/ made of images/debian. Run again it brings the copy up to date; a file that did
not change keeps its time, so that `make` in the copy compiles only what did. Prints a digest of all that went in.
"""
import email.utils
import filecmp
import hashlib
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEVER = ("build/", ".ci/", ".git")


def tree_files():
    """Paths below the top, of a git work tree or of an unpacked archive."""
    git = ["git", "-c", f"safe.directory={TOP}", "-C", TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
    else:
        names = [os.path.relpath(os.path.join(folder, f), TOP) for folder, _, files in os.walk(TOP) for f in files]
    return sorted(n for n in names if n and not n.startswith(NEVER) and os.path.isfile(os.path.join(TOP, n)))


def put(path, body, mode):
    """Writes a file unless it is there with that content."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or open(path, "rb").read() != body:
        with open(path, "wb") as f:
            f.write(body)
    os.chmod(path, mode)


def put_copy(source, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(source):
        if os.path.lexists(path):
            os.remove(path)
        os.symlink(os.readlink(source), path)
    elif not os.path.isfile(path) or not filecmp.cmp(source, path, shallow=False):
        shutil.copyfile(source, path)
    if not os.path.islink(path):
        os.chmod(path, 0o755 if os.access(source, os.X_OK) and os.stat(source).st_mode & 0o100 else 0o644)


def packaging(version, epoch, build_packages):
    """debian/'s files: {name: (bytes, mode)}."""
    here = os.path.join(TOP, "images/debian")
    fills = {"VERSION": version, "DATE": email.utils.formatdate(epoch).replace("-0000", "+0000"), "BUILD_PACKAGES": ",\n ".join(build_packages)}
    out = {}
    for folder, _, files in os.walk(here):
        for name in sorted(files):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, here)
            if relative.endswith((".py", ".sh", ".pyc")):
                continue
            body = open(path, "rb").read()
            if relative.endswith(".in"):
                relative = relative[:-3]
                body = re.sub(rb"@([A-Z_]+)@", lambda m: fills[m[1].decode()].encode(), body)
            out[relative] = (body, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
    appliance = os.path.join(TOP, "images/appliance/install")
    if os.path.exists(appliance):
        out["sallyport-appliance.install"] = (open(appliance, "rb").read(), 0o644)
    return out


def main():
    out, version, epoch, build_packages = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    copy = os.path.join(out, "sallyport")
    wanted = set()
    for name in tree_files():
        put_copy(os.path.join(TOP, name), os.path.join(copy, name))
        wanted.add(name)
    for name, (body, mode) in packaging(version, epoch, build_packages).items():
        put(os.path.join(copy, "debian", name), body, mode)
        wanted.add(f"debian/{name}")
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(copy, topdown=False):
        relative = os.path.relpath(folder, copy)
        if relative == "build" or relative.startswith("build/"):
            continue
        for name in files:
            path = os.path.normpath(os.path.join(relative, name))
            if path not in wanted:
                os.remove(os.path.join(copy, path))
        if not os.listdir(folder):
            os.rmdir(folder)
    for name in sorted(wanted):
        path = os.path.join(copy, name)
        body = os.readlink(path).encode() if os.path.islink(path) else open(path, "rb").read()
        digest.update(b"%s %o %d\0%s" % (name.encode(), os.lstat(path).st_mode, len(body), body))
    print(digest.hexdigest())


if __name__ == "__main__":
    main()
