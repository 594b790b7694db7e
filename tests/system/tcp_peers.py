# SPDX-License-Identifier: BSD-3-Clause
"""TCP applications that behave in every way that real ones do, each byte checked at both ends.

    tcp_peers.py serve PORT                         a thread a connection; failures are told to who asks for the report
    tcp_peers.py drive ADDRESS PORT KIND=COUNT ...  so many connections of each kind at once; prints JSON: what was done, and what failed
    tcp_peers.py together FROM PORT TO PORT MOMENT LATE   one end of connections that both ends open, and later close, at once

The first line of a connection is JSON and says what its kind needs. Bytes come from a seed, so that both ends know them.
"""
import errno
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time

PATIENCE = 60
MSG_FASTOPEN = 0x20000000


def stream(seed, size):
    return random.Random(seed).randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest().encode()


def keep_alive(s):
    """A probe each second; the other end counts as gone after ten without an answer."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 10)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)


def reset(s):
    """Closes by RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_line(s):
    """One line, byte by byte, so that nothing of what follows is taken."""
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            raise EOFError(f"end of the stream after {line!r}")
        line += byte
    return line[:-1]


def read_all(s):
    parts = []
    while part := s.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_n(s, n):
    data = bytearray()
    while len(data) < n:
        part = s.recv(min(65536, n - len(data)))
        if not part:
            raise EOFError(f"end of the stream after {len(data)} of {n} bytes")
        data += part
    return bytes(data)


def check(good, what):
    if not good:
        raise ValueError(what)


def ends_by_reset(s):
    """Reads until the other end's RST; if the cable lost that, a keep-alive finds out."""
    keep_alive(s)
    try:
        data = read_all(s)
    except ConnectionResetError:
        return
    except TimeoutError as error:
        check(error.errno == errno.ETIMEDOUT, "the connection hangs after a reset")
        return
    raise ValueError(f"a FIN instead of a reset, after {len(data)} bytes")


# --- the serving end ---------------------------------------------------------------------------------------------------------


def serve_echo(s, ask):
    try:
        while True:
            s.sendall(digest(read_line(s)) + b"\n")
    except EOFError:
        pass


def serve_download(s, ask):
    s.sendall(stream(ask["seed"], ask["size"]))


def serve_upload(s, ask):
    """The other end closes its half first and then gets an answer in ours."""
    s.sendall(digest(read_all(s)) + stream(ask["seed"], ask["size"]))


def serve_early_end(s, ask):
    """We close our half first and go on reading."""
    s.sendall(stream(ask["seed"], ask["size"]))
    s.shutdown(socket.SHUT_WR)
    check(read_all(s) == stream(ask["seed"] + 1, ask["size"]), "what came after our FIN differs")


def serve_reset_by_server(s, ask):
    s.sendall(stream(ask["seed"], ask["size"]))
    read_line(s)
    reset(s)


def serve_reset_by_client(s, ask):
    s.sendall(digest(read_n(s, ask["size"])) + b"\n")
    ends_by_reset(s)


SERVE = {kind[6:]: function for kind, function in globals().items() if kind.startswith("serve_")}


class Server:
    def __init__(self, port):
        self.failures, self.open = [], 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_INET6)
        self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("::", port))
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 64)
        self.listener.listen(512)

    def run(self):
        while True:
            s, peer = self.listener.accept()
            s.settimeout(PATIENCE)
            with self.lock:
                self.open += 1
            threading.Thread(target=self.one, args=(s, peer), daemon=True).start()

    def one(self, s, peer):
        kind, told = "before the first line", None
        try:
            ask = json.loads(read_line(s))
            kind = ask["kind"]
            if kind == "report":
                with self.lock:
                    s.sendall(json.dumps({"failures": self.failures, "open": self.open - 1}).encode())
            else:
                SERVE[kind](s, ask)
        except Exception as error:  # whatever it is, the test is told
            told = f"{kind}, server, {peer[0]} port {peer[1]}: {type(error).__name__}: {error}"
        s.close()
        with self.lock:
            self.open -= 1
            if told:
                self.failures.append(told)


# --- the asking end ----------------------------------------------------------------------------------------------------------


class Client:
    def __init__(self, address, port):
        self.to, self.family = (address, port), socket.AF_INET6 if ":" in address else socket.AF_INET
        self.done, self.failures = {}, []
        self.lock = threading.Lock()

    def open(self, ask, prepare=lambda s: None):
        s = socket.socket(self.family)
        s.settimeout(PATIENCE)
        prepare(s)
        s.connect(self.to)
        s.sendall(json.dumps(ask).encode() + b"\n")
        return s

    def echo(self, n, rounds=60, pause=0.2):
        """As a person types: small questions, each answered, with pauses."""
        dice = random.Random(n)
        with self.open({"kind": "echo"}) as s:
            for i in range(rounds):
                line = stream(n * 1000 + i, dice.randrange(1, 400)).hex().encode()
                s.sendall(line + b"\n")
                check(read_line(s) == digest(line), f"answer {i} is wrong")
                time.sleep(dice.random() * pause)

    def download(self, n, size=1 << 20):
        with self.open({"kind": "download", "seed": n, "size": size}) as s:
            check(read_all(s) == stream(n, size), "the download differs")

    def upload(self, n, size=300000):
        with self.open({"kind": "upload", "seed": n, "size": size}) as s:
            s.sendall(stream(n + 1, size))
            time.sleep(2)
            s.shutdown(socket.SHUT_WR)
            check(read_all(s) == digest(stream(n + 1, size)) + stream(n, size), "the answer after our FIN differs")

    def early_end(self, n, size=300000):
        with self.open({"kind": "early_end", "seed": n, "size": size}) as s:
            check(read_all(s) == stream(n, size), "the download differs")
            time.sleep(2)
            s.sendall(stream(n + 1, size))

    def reset_by_server(self, n, size=50000):
        with self.open({"kind": "reset_by_server", "seed": n, "size": size}) as s:
            check(read_n(s, size) == stream(n, size), "the download differs")
            s.sendall(b"enough\n")
            ends_by_reset(s)

    def reset_by_client(self, n, size=50000, prepare=lambda s: None):
        s = self.open({"kind": "reset_by_client", "size": size}, prepare)
        s.sendall(stream(n, size))
        check(read_line(s) == digest(stream(n, size)), "the upload differs")
        reset(s)

    def slow_reader(self, n, size=1 << 20):
        """The window is shut for seconds, so that the other end probes it."""
        with self.open({"kind": "download", "seed": n, "size": size}, lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)) as s:
            time.sleep(5)
            check(read_all(s) == stream(n, size), "the download differs")

    def idle(self, n, seconds=10, alive=True):
        """Nothing to say for long but keep-alives."""
        with self.open({"kind": "echo"}, keep_alive if alive else lambda s: None) as s:
            for line in (b"before", b"after"):
                s.sendall(line + b"\n")
                check(read_line(s) == digest(line), f"no echo {line}")
                time.sleep(seconds if line == b"before" else 0)

    def churn(self, n, times=20):
        """Short ones in a row; every second is closed by the server first."""
        for i in range(times):
            if i % 2:
                self.echo(n * 100 + i, rounds=1, pause=0)
            else:
                self.download(n * 100 + i, size=2000)

    def from_port(self, port):
        def prepare(s):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end = time.monotonic() + 60
            while True:
                try:
                    s.bind(("", port))
                    return
                except OSError:  # our former socket still waits for its last acknowledgement
                    check(time.monotonic() < end, f"port {port} stays taken")
                    time.sleep(0.01)
        return prepare

    def same_port(self, n, times=10):
        """The server closed first and is in TIME_WAIT; the next connection has the same ports."""
        for i in range(times):
            while True:
                try:
                    s = self.open({"kind": "download", "seed": n + i, "size": 3000}, self.from_port(20000 + n % 10000))
                    break
                except OSError as error:
                    check(error.errno == errno.EADDRNOTAVAIL, error)
                    time.sleep(0.01)
            with s:
                check(read_all(s) == stream(n + i, 3000), f"download {i} differs")

    def same_port_after_reset(self, n, times=5):
        for i in range(times):
            self.reset_by_client(n * 100 + i, 3000, self.from_port(30000 + n % 10000))

    def fast_open(self, n, times=5):
        """Data in the SYN, from the second connection on, by the cookie of the first."""
        for i in range(times):
            line = b"fast %d" % n
            with socket.socket(self.family) as s:
                first = json.dumps({"kind": "echo"}).encode() + b"\n" + line + b"\n"
                sent = s.sendto(first, MSG_FASTOPEN, self.to)  # waits for the connection: without a cookie nothing is sent before
                s.settimeout(PATIENCE)
                s.sendall(first[sent:])
                check(read_line(s) == digest(line), "no echo")

    def one(self, kind, n):
        try:
            getattr(self, kind)(n)
        except Exception as error:  # whatever it is, the test is told
            with self.lock:
                self.failures.append(f"{kind} {n}: {type(error).__name__}: {error}")
            return
        with self.lock:
            self.done[kind] = self.done.get(kind, 0) + 1

    def report(self):
        """What the server found; waits until all its other connections have ended."""
        end = time.monotonic() + 60
        while True:
            with self.open({"kind": "report"}) as s:
                told = json.loads(read_all(s))
            if told["open"] == 0 or time.monotonic() > end:
                return told["failures"] + [f"{told['open']} connections are still open at the server"] * (told["open"] > 0)
            time.sleep(0.2)

    def run(self, wanted):
        threads = [threading.Thread(target=self.one, args=(kind, n), daemon=True) for kind, count in wanted for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"done": self.done, "failures": self.failures + self.report()}


def together(local, sport, remote, dport, moment, late, times=2):
    """
    Simultaneous open (RFC 9293 3.5) and close (3.6), by the clock that both ends share. The end that the firewall must not see first opens
    a little late. The cable has to be longer than that, so that neither has heard of the other by then.
    """
    for i in range(times):
        began = moment + 2 * i
        s = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET)
        s.settimeout(PATIENCE)
        s.bind((local, sport + i))
        time.sleep(max(0, began + late - time.monotonic()))
        s.connect((remote, dport + i))
        s.sendall(local.encode() + b"\n")
        check(read_line(s) == remote.encode(), "the other's line differs")
        time.sleep(max(0, began + 1 - time.monotonic()))
        s.close()


def main():
    threading.stack_size(256 << 10)
    if sys.argv[1] == "serve":
        Server(int(sys.argv[2])).run()
    if sys.argv[1] == "together":
        local, sport, remote, dport, moment, late = sys.argv[2:]
        return together(local, int(sport), remote, int(dport), float(moment), float(late))
    client = Client(sys.argv[2], int(sys.argv[3]))
    print(json.dumps(client.run([(kind, int(count)) for kind, count in (word.split("=") for word in sys.argv[4:])])))


if __name__ == "__main__":
    main()
