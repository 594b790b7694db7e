# SPDX-License-Identifier: BSD-3-Clause
"""The REST API over TLS, as curl and others meet it: a certificate, a token, and nothing without."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from conftest import BIN, RULES
from lab import PATIENCE, wait_for

READ, WRITE = "r" * 32, "w" * 40
CONFIG = """mode = "wire"; workers = [ 0 ]; memory = { huge = false; mb = 256; };
ports = ( { name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; } );
rules = "%(dir)s/main.rules"; poll = "adaptive"; log = { eve = "%(dir)s/eve.json"; };
api = { socket = "%(dir)s/api.sock"; listen = "127.0.0.1:%(port)s"; device = "lo"; certificate = "%(dir)s/cert.pem"; key = "%(dir)s/key.pem"; tokens = "%(dir)s/tokens"; };
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(folder, name="localhost"):
    """A certificate of its own, with its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    os.chmod(f"{folder}/key.pem", 0o600)


def write_files(folder, port, config=CONFIG):
    (folder / "main.rules").write_text(RULES)
    (folder / "tokens").write_text(f"# who may do what\nprometheus read {READ}\n\nalice\twrite  {WRITE}\n")
    os.chmod(folder / "tokens", 0o600)
    (folder / "c.conf").write_text(config % {"dir": folder, "port": port})


class Api:
    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def curl(self, path, token=None, *options):
        done = subprocess.run(
            ["curl", "-sS", "-m", "20", "--cacert", f"{self.folder}/cert.pem", "-w", "\n%{http_code}", *(["-H", f"Authorization: Bearer {token}"] if token else []),
             *options, f"https://127.0.0.1:{self.port}{path}"], capture_output=True, text=True)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body, done.stderr

    def shown(self):
        """The certificate that a new connection is shown, in PEM form."""
        return ssl.get_server_certificate(("127.0.0.1", self.port))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certificate(folder)
    write_files(folder, port)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([f"{BIN}/sallyport", "run", "-c", str(folder / "c.conf")], stdout=log, stderr=log)
    wait_for(lambda: "sallyport: ready" in (folder / "log").read_text() or process.poll() is not None, PATIENCE, "the firewall")
    assert process.poll() is None, (folder / "log").read_text()
    made = Api(folder, port)
    made.process = process
    yield made
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_with_a_token_it_answers_as_the_unix_socket_does(api):
    for token in (READ, WRITE):
        code, body, _ = api.curl("/v1/status", token)
        assert code == 200 and json.loads(body)["mode"] == "wire"
    assert api.curl("/metrics", READ)[0] == 200


REFUSED = {"no token": None, "a wrong token": "x" * 32, "part of one": READ[:-1], "one and more": READ + "r", "an empty one": " "}


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_token_nothing_is_told(api, name):
    for path in ("/v1/status", "/no/such/path"):
        code, body, _ = api.curl(path, REFUSED[name])
        assert code == 401 and json.loads(body)["type"].endswith(":no-token"), body
    head = api.curl("/v1/status", None, "-D", "-", "-o", "/dev/null")[1]
    assert "www-authenticate: bearer" in head.lower()


def test_a_token_that_reads_changes_nothing(api):
    (api.folder / "new.rules").write_text(RULES)
    code, body, _ = api.curl("/v1/rules", READ, "-T", str(api.folder / "new.rules"))
    assert code == 403 and "prometheus" in body
    code, body, _ = api.curl("/v1/rules", WRITE, "-T", str(api.folder / "new.rules"))
    assert code == 200 and json.loads(body)["persistent"] is True
    wait_for(lambda: '"token":"alice"' in (api.folder / "eve.json").read_text().replace(" ", ""), PATIENCE, "audit line that names the token")
    assert '"address":"127.0.0.1"' in (api.folder / "eve.json").read_text().replace(" ", "")


def test_plain_http_and_old_tls_are_not_served(api):
    done = subprocess.run(["curl", "-sS", "-m", "20", f"http://127.0.0.1:{api.port}/v1/status"], capture_output=True, text=True)
    assert done.returncode != 0 and "sallyport" not in done.stdout
    for version, served in (("1.2", True), ("1.1", False)):
        shake = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{api.port}", f"-tls{version.replace('.', '_')}", "-cipher", "ALL:@SECLEVEL=0"],
                               input="", capture_output=True, text=True, timeout=20)
        assert ("Cipher is (NONE)" not in shake.stdout) == served, (version, shake.stdout, shake.stderr)


def test_connections_that_say_nothing_keep_nobody_out_of_the_unix_socket(api):
    held = []
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", api.port), 10)
        held.append(s)
    done = subprocess.run(["curl", "-sS", "-m", "20", "--unix-socket", f"{api.folder}/api.sock", "http://localhost/v1/status"], capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["mode"] == "wire"
    for s in held:
        s.close()
    wait_for(lambda: api.curl("/v1/status", READ)[0] == 200, PATIENCE, "an answer over TLS again")


def test_a_new_certificate_and_new_tokens_come_with_a_reload(api):
    before = api.shown()
    with socket.create_connection(("127.0.0.1", api.port), 10) as plain:
        context = ssl.create_default_context(cafile=f"{api.folder}/cert.pem")
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:  # an event stream under the old certificate
            stream.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n".encode())
            assert b"200 OK" in stream.recv(4096)
            certificate(api.folder, "renewed")
            (api.folder / "tokens").write_text(f"prometheus read {READ}\nbob write {'b' * 32}\nalice write {WRITE}\n")
            api.process.send_signal(signal.SIGHUP)
            wait_for(lambda: api.shown() != before, PATIENCE, "the new certificate")
            assert api.shown().split() == (api.folder / "cert.pem").read_text().split()
            assert api.curl("/v1/status", "b" * 32)[0] == 200
            stream.settimeout(PATIENCE)
            assert api.curl("/v1/rules", WRITE, "-T", str(api.folder / "main.rules"))[0] == 200
            assert b"audit" in stream.recv(65536), "the old connection lives on"


def test_bad_files_leave_what_is_in_force(api):
    good = api.shown()
    shutil.copy(api.folder / "cert.pem", api.folder / "kept.pem")
    (api.folder / "cert.pem").write_text("no certificate\n")
    api.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "holds no certificate" in (api.folder / "log").read_text(), PATIENCE, "the reason in the log")
    assert api.shown() == good
    shutil.copy(api.folder / "kept.pem", api.folder / "cert.pem")
    assert api.curl("/v1/status", READ)[0] == 200


def spoil(folder, what):
    if what == "key of another":
        shutil.copy(folder / "cert.pem", folder / "first.pem")
        certificate(folder)
        shutil.copy(folder / "first.pem", folder / "cert.pem")
    elif what == "key open to others":
        os.chmod(folder / "key.pem", 0o644)
    elif what == "no certificate":
        os.unlink(folder / "cert.pem")
    elif what == "short token":
        (folder / "tokens").write_text("alice write short\n")
    elif what == "no token":
        (folder / "tokens").write_text("# nobody\n")
    elif what == "strange role":
        (folder / "tokens").write_text(f"a read {READ}\nalice admin {WRITE}\n")
    elif what == "no such device":
        (folder / "c.conf").write_text((folder / "c.conf").read_text().replace('"lo"', '"nonesuch9"'))
    elif what == "no key in the configuration":
        (folder / "c.conf").write_text((folder / "c.conf").read_text().replace(f'key = "{folder}/key.pem";', ""))
    elif what == "strange address":
        (folder / "c.conf").write_text((folder / "c.conf").read_text().replace("127.0.0.1:", "localhost:"))


SPOILT = [("key of another", 2, "does not serve with"), ("key open to others", 2, "chmod 600"), ("no certificate", 2, "cert.pem: No such file"), ("short token", 2, "tokens:1: a token has 32"),
          ("no token", 2, "no token is in it"), ("strange role", 2, "tokens:2: the second word"), ("no such device", 2, "nonesuch9"),
          ("no key in the configuration", 1, '"listen" needs "key"'), ("strange address", 1, "an address and a port")]


@pytest.mark.parametrize("what,code,word", SPOILT, ids=[s[0] for s in SPOILT])
def test_what_cannot_be_served_says_why(tmp_path, what, code, word):
    certificate(tmp_path)
    write_files(tmp_path, free_port())
    spoil(tmp_path, what)
    done = subprocess.run([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == code and word in done.stderr, done.stderr
