# SPDX-License-Identifier: BSD-3-Clause
"""Hosts in network namespaces, joined only by a Sallyport that runs in a namespace of its own.

    left host  veth -- [ in  Sallyport  out ] -- veth  right host

Everything a Lab makes carries its own prefix and is gone after close(), also when something failed.

What a test expects to come is awaited by condition, for up to PATIENCE seconds, since the machine may be busy; it costs that time only when
it does not come. What must not come is awaited for a moment, or until the firewall has counted why.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

LEFT4, RIGHT4 = "192.0.2.1", "192.0.2.10"
LEFT6, RIGHT6 = "2001:db8::1", "2001:db8::10"
PATIENCE = 20


class LabError(Exception):
    pass


def sh(*args, check=True, timeout=120, **kwargs):
    """Runs a command and returns the finished process; its output is text."""
    done = subprocess.run(args, capture_output=True, text=True, timeout=timeout, **kwargs)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def wait_for(condition, seconds, what):
    """Waits until condition() is true and returns what it gave; raises LabError naming what did not come (text, or a function that gives it)."""
    end = time.monotonic() + seconds
    while True:
        if got := condition():
            return got
        if time.monotonic() > end:
            raise LabError(f"after {seconds} s still no {what() if callable(what) else what}")
        time.sleep(0.05)


class Lab:
    """Two hosts and the firewall between them. Use as a context manager.

    `devices` are the two ports as the configuration names them; vin and vout are the firewall's ends of the hosts' cables. `vlans` is text
    of further ports.
    """

    made = 0  # labs of this process: several may be at a time

    def __init__(self, bin_dir, rules, workers=(1,), extra_config="", extra_port="", keep_files=None,
                 devices=("net_af_packet0,iface=vin", "net_af_packet1,iface=vout"), vlans=""):
        self.bin_dir = os.path.abspath(bin_dir)
        Lab.made += 1
        self.tag = f"sp{os.getpid() % 100000}-{Lab.made}"
        self.left, self.right, self.box = f"{self.tag}-left", f"{self.tag}-right", f"{self.tag}-box"
        self.dir = keep_files or tempfile.mkdtemp(prefix="sallyport-")
        os.chmod(self.dir, 0o755)
        self.rules_path = os.path.join(self.dir, "main.rules")
        self.socket_path = os.path.join(self.dir, "api.sock")
        self.config_path = os.path.join(self.dir, "sallyport.conf")
        self.eve_path = os.path.join(self.dir, "eve.json")
        self.log_path = os.path.join(self.dir, "sallyport.log")
        self.rules, self.workers, self.extra_config, self.extra_port = rules, workers, extra_config, extra_port
        self.devices, self.vlans = devices, vlans
        self.run_options, self.environment = (), {}  # of the firewall's process
        self.firewall = None
        self.children = []

    def __enter__(self):
        try:
            self.make_hosts()
            self.write_config()
            self.start_firewall()
            if all("iface=v" in device for device in self.devices):
                self.warm()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    # --- hosts -----------------------------------------------------------------------------------------------------------

    def make_hosts(self):
        cpus = os.cpu_count() or 1
        self.workers = [w % cpus for w in self.workers]
        for ns in (self.left, self.right, self.box):
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        for ns, port, addr4, addr6 in ((self.left, "in", LEFT4, LEFT6), (self.right, "out", RIGHT4, RIGHT6)):
            self.lay_cable(ns, port, addr4, addr6)

    def lay_cable(self, ns, port, addr4, addr6):
        """Joins a host to the firewall's end of its cable, both made anew."""
        # An end whose index is its peer's too counts as no cable's, and the kernel is up to a second late with its link state.
        sh("ip", "link", "add", "eth0", "index", "11", "netns", ns, "type", "veth", "peer", "name", f"v{port}", "netns", self.box)
        sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0", "net.ipv6.conf.eth0.router_solicitations=0")
        sh("ip", "netns", "exec", self.box, "sysctl", "-qw", f"net.ipv6.conf.v{port}.disable_ipv6=1")
        for where, link in ((ns, "eth0"), (self.box, f"v{port}")):
            # veth would hand over unfinished checksums and 64 KB segments
            sh("ip", "netns", "exec", where, "ethtool", "-K", link, "tx", "off", "gso", "off", "tso", "off", "gro", "off", check=False)
            sh("ip", "-n", where, "link", "set", link, "up")
        sh("ip", "-n", ns, "addr", "add", f"{addr4}/24", "dev", "eth0")
        sh("ip", "-n", ns, "addr", "add", f"{addr6}/64", "dev", "eth0", "nodad")
        # until the kernel has noted that both ends are up, it sends nothing, and the firewall calls the link down
        for where, link in ((ns, "eth0"), (self.box, f"v{port}")):
            wait_for(lambda w=where, n=link: " state UP " in sh("ip", "-n", w, "-o", "link", "show", n).stdout, PATIENCE, f"link of {link}")

    def warm(self):
        """Both hosts know each other's link addresses, so that nothing that a test sends has to wait for them."""
        for ns, peers in ((self.left, (RIGHT4, RIGHT6)), (self.right, (LEFT4, LEFT6))):
            for addr in peers:
                self.resolve(ns, addr)

    def resolve(self, ns, addr, link="eth0"):
        """Lets a host's kernel find a neighbour, through the firewall."""
        def known():
            said = sh("ip", "-n", ns, "neigh", "show", addr, "dev", link).stdout
            if "lladdr" not in said and ("FAILED" in said or not said):
                sh("ip", "-n", ns, "neigh", "replace", addr, "dev", link, "use", check=False)
            return "lladdr" in said

        wait_for(known, PATIENCE, f"neighbour {addr} on {link} of {ns}")

    def run(self, ns, *args, **kwargs):
        """Runs a command on a host and waits for it."""
        kwargs.setdefault("check", False)
        return sh("ip", "netns", "exec", ns, *args, **kwargs)

    def spawn(self, ns, *args, **kwargs):
        """Starts a command on a host; it ends with the lab at the latest."""
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        kwargs.setdefault("stderr", subprocess.DEVNULL)
        child = subprocess.Popen(["ip", "netns", "exec", ns, *args], start_new_session=True, stdin=subprocess.DEVNULL, **kwargs)
        self.children.append(child)
        return child

    def serve_web(self, ns, files, ports=(80,), rate=None):
        """A real nginx with the given files {name: bytes}; rate in bytes a second a connection."""
        root = os.path.join(self.dir, "www")
        os.makedirs(root, exist_ok=True)
        for name, body in files.items():
            with open(os.path.join(root, name), "wb") as f:
                f.write(body)
        listen = "".join(f"listen {p}; listen [::]:{p};" for p in ports)
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w") as f:
            f.write(
                f"daemon off; user root; worker_processes 1; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.log;"
                f"events {{}} http {{ access_log off; client_body_temp_path {self.dir}/t1; proxy_temp_path {self.dir}/t2; fastcgi_temp_path {self.dir}/t3;"
                f"uwsgi_temp_path {self.dir}/t4; scgi_temp_path {self.dir}/t5;"
                f"{f'limit_rate {rate};' if rate else ''} server {{ {listen} root {root}; location / {{ try_files $uri /index.html; }} }} }}"
            )
        self.spawn(ns, "nginx", "-c", conf, "-p", self.dir, "-e", f"{self.dir}/nginx.log")
        wait_for(lambda: self.run(ns, "curl", "-s", "-o", os.devnull, f"http://127.0.0.1:{ports[0]}/").returncode == 0, PATIENCE, "web server")

    def serve_udp(self, ns, port):
        """Answers each datagram with its bytes in upper case, on IPv4 and IPv6."""
        code = (
            "import socket,sys\n"
            "s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
            "s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_V6ONLY,0)\n"
            "s.bind(('::',int(sys.argv[1])))\n"
            "while True:\n"
            "    d,a=s.recvfrom(65535); s.sendto(d.upper(),a)\n"
        )
        self.spawn(ns, "/usr/bin/python3", "-c", code, str(port))
        wait_for(lambda: f":{port} " in self.run(ns, "ss", "-Hlun").stdout, PATIENCE, f"UDP service on {port}")

    def settle(self):
        """Waits until all that the left host has sent is judged (by a firewall with one worker): a question that follows it is answered."""
        sh("ip", "-n", self.left, "neigh", "del", RIGHT4, "dev", "eth0", check=False)
        self.resolve(self.left, RIGHT4)

    def ping(self, addr, *options, ns=None, seconds=PATIENCE):
        """Whether an echo request from a host (the left one) is answered; it is sent again each second meanwhile."""
        return self.run(ns or self.left, "ping", "-c", "1", "-w", str(seconds), *options, addr).returncode == 0

    def silent(self, addr, *options, ns=None):
        """Whether one echo request from a host (the left one) stays without an answer for a second."""
        return self.run(ns or self.left, "ping", "-c", "1", "-W", "1", *options, addr).returncode == 1

    def curl(self, url, *options, ns=None, seconds=PATIENCE):
        """What a host (the left one) gets from a web server; nothing when it takes longer."""
        return self.run(ns or self.left, "curl", "-s", "-g", "-m", str(seconds), *options, url, timeout=seconds + 60).stdout

    def is_dropped(self, url, reason):
        """A request from the left host that must be dropped under a reason, and must not be answered."""
        before, path = self.drops(reason), os.path.join(self.dir, "answer")
        child = self.spawn(self.left, "curl", "-s", "-g", "-m", "60", "-o", path, url)
        try:
            self.wait_drops(reason, before)
            child.wait(0.5)
            return False
        except subprocess.TimeoutExpired:
            return not os.path.exists(path)
        finally:
            self.end(child)

    def udp_outcome(self, ns, addr, port, text="hello", timeout=PATIENCE):
        """Sends one datagram from a host: the answer as text and None, or None and why there is none."""
        code = (
            "import socket,sys\n"
            "a=socket.getaddrinfo(sys.argv[1],int(sys.argv[2]),type=socket.SOCK_DGRAM)[0]\n"
            "s=socket.socket(a[0],a[1]); s.settimeout(float(sys.argv[4])); s.connect(a[4])\n"
            "s.send(sys.argv[3].encode())\n"
            "try: print(s.recv(65535).decode())\n"
            "except OSError as e: sys.exit(str(e))\n"
        )
        done = self.run(ns, "/usr/bin/python3", "-c", code, addr, str(port), text, str(timeout))
        return (done.stdout.strip(), None) if done.returncode == 0 else (None, done.stderr.strip())

    def ask_udp(self, ns, addr, port, text="hello", timeout=PATIENCE):
        """Sends one datagram from a host; the answer as text, or None."""
        return self.udp_outcome(ns, addr, port, text, timeout)[0]

    @staticmethod
    def end(child):
        """Ends what spawn() started."""
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    # --- the firewall ----------------------------------------------------------------------------------------------------

    def write_config(self):
        with open(self.rules_path, "w") as f:
            f.write(self.rules)
        with open(self.config_path, "w") as f:
            f.write(
                'mode = "wire";\n'
                f"workers = [ {', '.join(str(w) for w in self.workers)} ];\n"
                "memory = { huge = false; mb = 512; };\n"
                "ports = (\n"
                f'    {{ name = "in";  device = "{self.devices[0]}"; zone = "inside";  peer = "out"; {self.extra_port} }},\n'
                f'    {{ name = "out"; device = "{self.devices[1]}"; zone = "outside"; peer = "in";  {self.extra_port} }}{self.vlans}\n'
                ");\n"
                f'rules = "{self.rules_path}";\n'
                f'api = {{ socket = "{self.socket_path}"; }};\n'
                f'log = {{ eve = "{self.eve_path}"; }};\n'
                'poll = "adaptive";\n'
                f"{self.extra_config}\n"
            )

    def start_firewall(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.firewall = subprocess.Popen(
                ["ip", "netns", "exec", self.box, os.path.join(self.bin_dir, "sallyport"), "run", *self.run_options, "-c", self.config_path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **self.environment},
            )
        if wait:
            wait_for(self.ready, 60, lambda: "ready firewall; it says:\n" + self.log())

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def ready(self):
        if self.firewall.poll() is not None:
            raise LabError(f"the firewall ended with {self.firewall.returncode}:\n{self.log()}")
        try:
            return self.api("GET", "/v1/ready")[0] == 200
        except (OSError, LabError):
            return False

    def api(self, method, path, body=None, headers=None, timeout=120):
        """One call of the REST socket by curl: (status, parsed JSON or text)."""
        args = ["curl", "-sS", "-X", method, "--unix-socket", self.socket_path, "-w", "\n%{http_code}", f"http://localhost{path}"]
        for name, value in (headers or {}).items():
            args += ["-H", f"{name}: {value}"]
        if body is not None:
            args += ["--data-binary", "@-"]
            if not headers or "Content-Type" not in headers:
                args += ["-H", "Content-Type: text/plain"]
        done = subprocess.run(args, input=body, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise LabError(done.stderr.strip())
        text, _, status = done.stdout.rpartition("\n")
        try:
            return int(status), json.loads(text)
        except ValueError:
            return int(status), text

    def stats(self):
        return self.api("GET", "/v1/stats")[1]

    def drops(self, reason):
        return self.stats()["drops"].get(reason, 0)

    def wait_drops(self, reason, before):
        """Waits until more packets than before were dropped for the reason."""
        wait_for(lambda: self.drops(reason) > before, PATIENCE, f"drop for the reason {reason}")

    def balance(self):
        """Left minus right side of the accounting equation: zero when every packet is accounted for, which those under way are in the end."""
        end = time.monotonic() + PATIENCE
        while True:
            p, drops = (s := self.stats())["packets"], sum(s["drops"].values())
            left = p["rx"] + p["from_kernel"] + p["built"] + p["fragment_delta"] - (p["tx"] + p["to_kernel"] + p["consumed"] + drops + p["held"])
            if left == 0 or time.monotonic() > end:
                return left
            time.sleep(0.1)

    def stop_firewall(self, sig=signal.SIGTERM, seconds=10):
        """Ends the firewall and returns its exit code and how long it took."""
        began = time.monotonic()
        if self.firewall and self.firewall.poll() is None:
            pid = self.firewall.pid
            os.kill(pid, sig)
            try:
                self.firewall.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(pid, signal.SIGKILL)
                self.firewall.wait()
        return (self.firewall.returncode if self.firewall else None), time.monotonic() - began

    def close(self):
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.children = []
        if self.firewall:
            self.stop_firewall()
        for ns in (self.left, self.right, self.box):
            sh("ip", "netns", "del", ns, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def tcp_connects(lab, ns, addr, port, timeout=PATIENCE):
    """How a TCP connection from a host ends: "open", "refused" or "timeout"; a short timeout is for what must not be answered."""
    code = (
        "import socket,sys\n"
        "try:\n"
        "    socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3])).close(); print('open')\n"
        "except ConnectionRefusedError: print('refused')\n"
        "except TimeoutError: print('timeout')\n"
        "except OSError as e: print(e)\n"
    )
    return lab.run(ns, "/usr/bin/python3", "-c", code, addr, str(port), str(timeout)).stdout.strip()
