#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""make demo: two hosts joined only by the firewall, real traffic, what became of it, and the statistics."""
import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import LEFT4, LEFT6, PATIENCE, RIGHT4, RIGHT6, Lab, LabError, tcp_connects  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DOWNLOAD = os.urandom(1 << 20) * 24
RATE = 8 << 20


class Table:
    """One line a step: what was sent, what should happen, what did."""

    def __init__(self):
        self.failed = 0
        print(f"\n  {'traffic':<52} {'expected':<22} {'seen':<26}\n  {'-' * 102}")

    def row(self, traffic, expected, seen, good):
        self.failed += not good
        print(f"  {traffic:<52} {expected:<22} {seen:<26} {'ok' if good else 'WRONG'}", flush=True)


def fetch(lab, url, timeout=PATIENCE):
    done = lab.run(lab.left, "curl", "-s", "-g", "-m", str(timeout), "-o", os.devnull, "-w", "%{http_code}", url)
    return {0: done.stdout, 28: "no answer", 7: "refused"}.get(done.returncode, f"curl exit {done.returncode}")


def basic_traffic(lab, table):
    for url in (f"http://{RIGHT4}/", f"http://[{RIGHT6}]/"):
        seen = fetch(lab, url)
        table.row(f"curl {url}", "allowed: 200", seen, seen == "200")
    for addr in (RIGHT4, RIGHT6):
        done = lab.run(lab.left, "ping", "-c", "2", "-i", "0.2", "-W", str(PATIENCE), addr)
        table.row(f"ping {addr}", "allowed: 2 replies", "2 replies" if " 2 received" in done.stdout else "lost", " 2 received" in done.stdout)
    for addr in (RIGHT4, RIGHT6):
        answer = lab.ask_udp(lab.left, addr, 9000)
        table.row(f"UDP to [{addr}]:9000", "allowed: HELLO", str(answer), answer == "HELLO")


def unwanted_traffic(lab, table):
    for addr in (RIGHT4, RIGHT6):
        seen = tcp_connects(lab, lab.left, addr, 23)
        table.row(f"TCP to [{addr}]:23", "rejected: refused", seen, seen == "refused")
    for addr in (RIGHT4, RIGHT6):
        before = lab.drops("default")
        seen = tcp_connects(lab, lab.left, addr, 8080, timeout=1)
        dropped = lab.drops("default") - before
        table.row(f"TCP to [{addr}]:8080", "dropped silently", f"{seen}, {dropped} dropped", seen == "timeout" and dropped > 0)
    seen = tcp_connects(lab, lab.right, LEFT4, 80, timeout=1)
    table.row(f"TCP from outside to [{LEFT4}]:80", "dropped silently", seen, seen == "timeout")
    before = lab.drops("inspect_match")
    seen = fetch(lab, f"http://{RIGHT4}/?id=1+UNION+SELECT+password", timeout=2)
    caught = lab.drops("inspect_match") - before
    table.row("curl …/?id=1+UNION+SELECT+password", "attack dropped", f"{seen}, {caught} caught", seen == "no answer" and caught > 0)


def reload_during_download(lab, table):
    result = {}

    def download():
        done = subprocess.run(["ip", "netns", "exec", lab.left, "curl", "-s", "-m", "120", f"http://{RIGHT4}/big"], capture_output=True)
        result["sum"] = hashlib.sha256(done.stdout).hexdigest()

    thread = threading.Thread(target=download)
    thread.start()
    before = lab.api("GET", "/v1/status")[1]["generation"]
    codes = []
    for port in (9001, 9002, 9003):
        thread.join(0.4)
        codes.append(lab.api("PUT", "/v1/rules", body=lab.rules.replace("dport 9000", f"dport 9000,{port}"))[0])
    under_way = thread.is_alive()
    thread.join()
    after = lab.api("GET", "/v1/status")[1]["generation"]
    whole = result.get("sum") == hashlib.sha256(DOWNLOAD).hexdigest()
    good = whole and under_way and codes == [200] * 3 and after == before + 3
    table.row("24 MiB download, rules replaced three times meanwhile", "completes unharmed", f"{'whole' if whole else 'BROKEN'}, generation {before} to {after}", good)


def accounting(lab, table):
    seen = lab.balance()
    table.row("every packet accounted for", "balance 0", f"balance {seen}", seen == 0)


def show_stats(lab):
    curl = f"curl --unix-socket {lab.socket_path} http://localhost/v1/stats"
    print(f"\n  {curl}\n")
    stats = lab.stats()
    stats["drops"] = {reason: count for reason, count in stats["drops"].items() if count}
    print(json.dumps(stats, indent=2))
    print("\n  (drop reasons that did not occur are left out here)")


def stay(lab, bin_dir):
    ctl = f"{os.path.abspath(bin_dir)}/sallyctl -s {lab.socket_path}"
    print(f"""
  It runs until Ctrl-C. Try, in another terminal:

    ip netns exec {lab.left} curl http://{RIGHT4}/
    ip netns exec {lab.left} curl -m 2 'http://{RIGHT4}/?id=1+union+select'
    {ctl} top
    {ctl} rules
    {ctl} sessions
    {ctl} explain "tcp {LEFT4}:40000 > {RIGHT4}:22 from inside to outside"
    curl --unix-socket {lab.socket_path} http://localhost/v1/stats

  Rules: {lab.rules_path}   Events: {lab.eve_path}
""", flush=True)
    try:
        while lab.firewall.poll() is None:
            signal.sigtimedwait({signal.SIGUSR2}, 1)
    except KeyboardInterrupt:
        print()
    return 0 if lab.firewall.returncode in (None, 0) else 1


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bin", required=True, help="folder of sallyport and sallyctl")
    options.add_argument("--stay", action="store_true", help="keep running until Ctrl-C")
    args = options.parse_args()
    if os.geteuid() != 0:
        sys.exit("make demo: needs root for network namespaces; run it with sudo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open(os.path.join(HERE, "demo.rules")) as f:
        rules = f.read()
    try:
        with Lab(args.bin, rules, workers=((os.cpu_count() or 1) - 1,)) as lab:
            lab.serve_web(lab.right, {"index.html": b"hello from the other side\n", "big": DOWNLOAD}, rate=RATE)
            lab.serve_udp(lab.right, 9000)
            print(f"\n  left host {LEFT4} {LEFT6}  --[ Sallyport ]--  right host {RIGHT4} {RIGHT6}")
            if args.stay:
                return stay(lab, args.bin)
            table = Table()
            basic_traffic(lab, table)
            unwanted_traffic(lab, table)
            reload_during_download(lab, table)
            accounting(lab, table)
            show_stats(lab)
            code, seconds = lab.stop_firewall()
            print(f"\n  SIGTERM: left after {seconds:.1f} s with exit code {code}")
            table.failed += code != 0
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\n  {'everything went as the rules say' if not table.failed else f'{table.failed} steps went otherwise'}\n")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
