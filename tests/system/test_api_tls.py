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


def test_a_token_that_reads_may_ask_by_post(api):
    """explain changes nothing, whatever its method is."""
    packet = "tcp 192.0.2.1:40000 > 198.51.100.1:443 from inside to outside"
    for token in (READ, WRITE):
        code, body, _ = api.curl("/v1/explain", token, "-H", "Content-Type: text/plain", "-d", packet)
        assert code == 200 and "verdict" in json.loads(body), body
    assert api.curl("/v1/reload", READ, "-X", "POST")[0] == 403
    assert api.curl("/no/such/path", READ, "-X", "POST")[0] == 404


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


class Stream:
    """A TLS connection, spoken to by hand."""

    def __init__(self, api, source="127.0.0.1"):
        context = ssl.create_default_context(cafile=f"{api.folder}/cert.pem")
        plain = socket.create_connection(("127.0.0.1", api.port), PATIENCE, (source, 0))
        self.tls = context.wrap_socket(plain, server_hostname="127.0.0.1")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.tls.close()

    def ask(self, path, token=None):
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self.tls.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode())
        return self.tls.recv(65536)

    def rest(self):
        """All until the other side ends it, however it does."""
        got = b""
        try:
            while part := self.tls.recv(65536):
                got += part
        except (ssl.SSLError, ConnectionError):
            pass
        return got


def test_who_is_refused_is_hung_up_on(api):
    with Stream(api) as stream:
        head = stream.ask("/v1/status")
        assert b" 401 " in head and b"connection: close" in head.lower()
        stream.rest()


def test_who_drips_a_request_is_cut(api):
    """Each byte by itself is in time; the request as a whole never is."""
    with Stream(api) as stream:
        stream.tls.settimeout(0.2)

        def is_cut():
            try:
                stream.tls.sendall(b"G")
                return stream.tls.recv(1) == b""
            except TimeoutError:
                return False
            except (ssl.SSLError, ConnectionError):
                return True

        wait_for(is_cut, PATIENCE, "the end of a connection that drips")


def test_one_host_gets_no_more_than_its_part(api):
    streams = [Stream(api) for _ in range(16)]
    for stream in streams:
        assert b"200 OK" in stream.ask("/v1/status", READ)
    with socket.create_connection(("127.0.0.1", api.port), PATIENCE) as one_more:
        try:
            assert one_more.recv(1) == b""
        except ConnectionError:
            pass
    with Stream(api, "127.0.0.2") as other:
        assert b"200 OK" in other.ask("/v1/status", READ)
    for stream in streams:
        stream.tls.close()
    wait_for(lambda: api.curl("/v1/status", READ)[0] == 200, PATIENCE, "an answer again")


def degraded(api):
    done = subprocess.run(["curl", "-sS", "-m", "20", "--unix-socket", f"{api.folder}/api.sock", "http://localhost/v1/status"], capture_output=True, text=True)
    return {entry["code"]: entry["text"] for entry in json.loads(done.stdout)["degraded"]}


def reload(api):
    subprocess.run(["curl", "-sS", "-m", "20", "--unix-socket", f"{api.folder}/api.sock", "-X", "POST", "http://localhost/v1/reload"], check=True, capture_output=True)


def test_a_token_that_is_taken_away_is_void_whatever_the_certificate_is(api):
    shutil.copy(api.folder / "cert.pem", api.folder / "kept.pem")
    tokens = (api.folder / "tokens").read_text()
    with Stream(api) as events, Stream(api) as stays:
        assert b"200 OK" in events.ask("/v1/events?type=audit", READ) and b"200 OK" in stays.ask("/v1/events?type=audit", WRITE)
        (api.folder / "cert.pem").write_text("no certificate\n")
        (api.folder / "tokens").write_text(f"alice write {WRITE}\n")
        reload(api)
        events.rest()
        assert "holds no certificate" in degraded(api)["tls-not-renewed"]
        shutil.copy(api.folder / "kept.pem", api.folder / "cert.pem")  # curl wants it
        assert api.curl("/v1/status", READ)[0] == 401 and api.curl("/v1/status", WRITE)[0] == 200
        assert b"audit" in stays.tls.recv(65536), "another's stream goes on"
    reload(api)
    assert "tls-not-renewed" not in degraded(api)
    (api.folder / "tokens").write_text(tokens)
    reload(api)
    assert api.curl("/v1/status", READ)[0] == 200


def test_faulty_token_files_let_in_whom_their_good_lines_name(api):
    tokens = (api.folder / "tokens").read_text()
    (api.folder / "tokens").write_text(f"prometheus reed {READ}\nalice write {WRITE}\n")
    reload(api)
    assert "tokens:1" in degraded(api)["tokens-faulty"]
    assert api.curl("/v1/status", READ)[0] == 401 and api.curl("/v1/status", WRITE)[0] == 200
    os.unlink(api.folder / "tokens")
    os.mkfifo(api.folder / "tokens", 0o600)
    reload(api)
    assert "is no file" in degraded(api)["tokens-faulty"] and api.curl("/v1/status", WRITE)[0] == 401
    os.unlink(api.folder / "tokens")
    (api.folder / "tokens").write_text(tokens)
    os.chmod(api.folder / "tokens", 0o600)
    reload(api)
    assert "tokens-faulty" not in degraded(api) and api.curl("/v1/status", READ)[0] == 200


def test_reloads_do_not_depend_on_who_is_connected(api):
    tokens = (api.folder / "tokens").read_text()
    streams = []
    for n in range(6):
        certificate(api.folder, f"renewed{n}")
        (api.folder / "tokens").write_text(tokens + f"guest{n} read {str(n) * 32}\n")
        reload(api)
        assert api.shown().split() == (api.folder / "cert.pem").read_text().split()
        streams.append(Stream(api))
        assert b"200 OK" in streams[-1].ask("/v1/events", READ)
        assert api.curl("/v1/status", str(n) * 32)[0] == 200
        assert n == 0 or api.curl("/v1/status", str(n - 1) * 32)[0] == 401
    for stream in streams:
        stream.tls.close()
    (api.folder / "tokens").write_text(tokens)
    reload(api)


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
    elif what == "a FIFO":
        os.unlink(folder / "key.pem")
        os.mkfifo(folder / "key.pem", 0o600)


SPOILT = [("key of another", 2, "does not serve with"), ("key open to others", 2, "chmod 600"), ("no certificate", 2, "cert.pem: No such file"), ("short token", 2, "tokens:1: a token has 32"),
          ("no token", 2, "no token is in it"), ("strange role", 2, "tokens:2: the second word"), ("no such device", 2, "nonesuch9"), ("a FIFO", 2, "is no file"),
          ("no key in the configuration", 1, '"listen" needs "key"'), ("strange address", 1, "an address and a port")]


@pytest.mark.parametrize("what,code,word", SPOILT, ids=[s[0] for s in SPOILT])
def test_what_cannot_be_served_says_why(tmp_path, what, code, word):
    certificate(tmp_path)
    write_files(tmp_path, free_port())
    spoil(tmp_path, what)
    done = subprocess.run([f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == code and word in done.stderr, done.stderr


@pytest.mark.parametrize("port", ["", "0", "65536", "99999", "4294967739", "-1", "+443", "443x", " 443", "https"])
def test_a_port_is_a_number_that_there_is(tmp_path, port):
    write_files(tmp_path, port)
    done = subprocess.run([f"{BIN}/sallyport", "check", str(tmp_path / "c.conf")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "c.conf:4" in done.stderr and "a port from 1 to 65535" in done.stderr, done.stderr


def test_a_privileged_port_is_served_with_all_other_privileges_gone(tmp_path):
    certificate(tmp_path)
    write_files(tmp_path, 443)
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", f"{BIN}/sallyport", "run", "-c", str(tmp_path / "c.conf")],
                                   stdout=log, stderr=log)
    wait_for(lambda: "sallyport: ready" in (tmp_path / "log").read_text() or process.poll() is not None, PATIENCE, "the firewall")
    assert process.poll() is None, (tmp_path / "log").read_text()
    done = subprocess.run(["nsenter", "-t", str(process.pid), "-n", "curl", "-sS", "-m", "20", "--cacert", f"{tmp_path}/cert.pem", "-H", f"Authorization: Bearer {READ}",
                           "https://127.0.0.1/v1/status"], capture_output=True, text=True)
    with open(f"/proc/{process.pid}/status") as f:
        kept = int(next(line for line in f if line.startswith("CapPrm")).split()[1], 16)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert done.returncode == 0 and json.loads(done.stdout)["mode"] == "wire", done.stderr
    assert kept & 1 << 10 and not kept & 1 << 12, "CAP_NET_BIND_SERVICE, and no CAP_NET_ADMIN"
