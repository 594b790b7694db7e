#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a SYN flood leaves of downloads.

in_memory(): one worker in a time of its own (micro_flood.c), the flood at 90 % of what the worker answers alone; each sample measures the download
alone, the answers alone and both together, so that the machine's mood hits all three.

real(): curl through af_packet, against a control in which the same generator floods a cable that leads nowhere, since generator, hosts and firewall
share the CPUs here. The generator is far below what the worker can answer: this shows that real stacks get through, the first how much is left.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def in_memory(micro, gbit=10, samples=31, cpu=1, memory_mb=1024):
    """{"gbit", "samples", "answered_alone_mpps", "goodput_alone", "goodput_in_flood", "kept_percent", "engaged"}; micro is the program."""
    done = subprocess.run([micro, "-n", "-c", str(cpu), "-m", str(memory_mb), "-r", str(samples), "flood", str(gbit)],
                          capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    rows = json.loads(done.stdout)["results"]
    return {"gbit": gbit, "samples": len(rows), **{name: spread([r[name] for r in rows]) for name in
                                                   ("answered_alone_mpps", "goodput_alone", "goodput_in_flood", "flood_taken")},
            "kept_percent": 100 * statistics.median(r["goodput_in_flood"] / r["goodput_alone"] for r in rows),
            "engaged": all(r["engaged"] for r in rows)}


def line(told):
    """What in_memory found, for people."""
    return (f"SYN flood at 90 % of the {told['answered_alone_mpps']['median']:.1f} million SYN/s that a worker answers alone, beside a download of {told['gbit']} Gbit/s: "
            f"{told['kept_percent']:.0f} % of its goodput remains (aim: at least 80), {told['goodput_in_flood']['least'] / told['goodput_alone']['most']:.0%} in the worst of "
            f"{told['samples']} samples{'' if told['engaged'] else '; the proxy was not engaged'}")


def download_rate(lab, addr, mb):
    done = lab.run(lab.left, "curl", "-sS", "-o", "/dev/null", "-m", "120", "-w", "%{speed_download}", f"http://{addr}/big", timeout=150)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return float(done.stdout) * 8 / 1e6


def real(bin_dir, rounds=5, mb=64, rate=200000):
    """{"control_mbit", "flooded_mbit", "kept_percent", "flood_pps", "cookies_sent", "rss_growth_kb", "balance"}. Root."""
    from lab import RIGHT4, Lab, sh
    rules = 'version = 1; default = { action = "drop"; }; rules = ( "10 allow tcp from inside to outside", "11 allow icmp,icmpv6" );'
    generator = os.path.join(os.path.dirname(HERE), "system", "flood.py")
    with Lab(bin_dir, rules, workers=((os.cpu_count() or 1) - 1,), extra_config='floods = { embryonic = 1024; };') as lab:
        lab.serve_web(lab.right, {"index.html": b"x", "big": os.urandom(1 << 20) * mb})
        sh("ip", "-n", lab.left, "link", "add", "nowhere", "type", "veth", "peer", "name", "beyond")
        for link in ("nowhere", "beyond"):
            sh("ip", "-n", lab.left, "link", "set", link, "up")
        mac = sh("ip", "netns", "exec", lab.right, "cat", "/sys/class/net/eth0/address").stdout.strip()
        download_rate(lab, RIGHT4, mb)
        seen, sent, before = {"nowhere": [], "eth0": []}, [], None
        for _ in range(rounds):
            for link, rates in seen.items():
                child = lab.spawn(lab.left, "/usr/bin/python3", generator, link, mac, RIGHT4, "80", str(rate), "600", stdout=subprocess.PIPE)
                time.sleep(1)
                cookies, at = lab.stats()["defences"]["syn_proxy"]["cookies_sent"], time.monotonic()
                rates.append(download_rate(lab, RIGHT4, mb))
                if link == "eth0":
                    sent.append((lab.stats()["defences"]["syn_proxy"]["cookies_sent"] - cookies) / (time.monotonic() - at))
                lab.end(child)
                with open(f"/proc/{lab.firewall.pid}/status") as f:
                    rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
                before = before or rss
        return {"control_mbit": spread(seen["nowhere"]), "flooded_mbit": spread(seen["eth0"]),
                "kept_percent": 100 * statistics.median(f / c for f, c in zip(seen["eth0"], seen["nowhere"])),
                "flood_pps": spread(sent), "rss_growth_kb": rss - before, "balance": lab.balance(),
                "cookies_sent": lab.stats()["defences"]["syn_proxy"]["cookies_sent"]}


def main():
    parser = argparse.ArgumentParser(description="What a SYN flood leaves of downloads, as JSON.")
    parser.add_argument("--bin", default="build/gcc-release", help="folder of the programs")
    parser.add_argument("--gbit", type=float, nargs="+", default=[1, 10], help="what is downloaded in memory")
    parser.add_argument("--samples", type=int, default=31)
    parser.add_argument("--real", action="store_true", help="also real hosts in namespaces (root)")
    args = parser.parse_args()
    result = {"in_memory": [in_memory(os.path.join(args.bin, "tests/bench/micro"), gbit, args.samples) for gbit in args.gbit]}
    if args.real:
        result["real"] = real(args.bin)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
