# SPDX-License-Identifier: BSD-3-Clause
"""Routed mode: what is sent to the firewall and by it, what it must not forward, and that Linux behind it opens no way around the rules."""
import re

import pytest
from lab import PATIENCE, sh, tcp_connects, wait_for
from route_lab import FAMILIES, KERNEL, RouteLab, needs_sallyport, url_of

RULES = """version = 1;
default = {{ action = "drop"; log = true; }};
rules = (
{}
    "10 allow from inside",
    "11 allow from dmz",
    "12 allow udp from outside to inside dport 9000,9009"
);
"""


@pytest.fixture(scope="module")
def lab():
    """Linux forwards as well, as an operator may have left it: it must make no difference."""
    rpf = {"in": "strict", "dmz": "loose", "out": "off"}
    with RouteLab(RULES.format(""), hosts=("left", "right", "third"), rpf=rpf, route="self_rate = { icmp = 200; }", forwarding=True) as made:
        made.sysctl(made.box, {"net.ipv4.icmp_echo_ignore_broadcasts": 0})
        made.serve_web(made.box, {"index.html": b"box\n"}, ports=(22, 80))
        made.serve_web(made.right, {}, ports=(80, 81))
        for ns in (made.left, made.right):
            made.serve_udp(ns, 9000)
        made.serve_word(made.box, 9000, "box")
        yield made
        made.finish()


@pytest.fixture
def rules(lab):
    """Loads the rules with these lines before them; the usual ones return afterwards."""
    yield lambda *lines: lab.load_rules(RULES.format("".join(f'    "{line}",\n' for line in lines)))
    lab.load_rules(RULES.format(""))


# --- to the firewall ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("left", "right", "third"))
def test_all_its_addresses_answer_ping(lab, name):
    for host in lab.hosts.values():
        assert all(lab.ping(host.gw[family], ns=lab[name].ns) for family in FAMILIES), host.name


def test_on_its_links_it_answers_whom_all_are_asked(lab):
    """Broadcast, multicast, and link-local addresses."""
    link_local = re.search(r"(fe80::\S+)/64", lab.ip("-6", "-o", "addr", "show", "dev", "in", "scope", "link").stdout)[1]
    assert lab.ping(f"{link_local}%eth0")
    for group, options in (("10.1.0.255", ("-b",)), ("255.255.255.255", ("-b", "-I", "eth0")), ("224.0.0.1", ("-I", "eth0"))):
        assert f"from {lab['left'].gw[4]}:" in lab.ping_says(group, *options), group
    said = lab.run(lab.left, "ping", "-n", "-c", "2", "-w", "5", "ff02::1%eth0").stdout
    assert f"from {link_local}" in said, said


@needs_sallyport
@pytest.mark.parametrize("family", FAMILIES)
def test_services_are_closed_until_a_rule_opens_them(lab, rules, family):
    left, right = lab["left"], lab["right"]
    dropped = lab.drops("default")
    assert tcp_connects(lab, left.ns, left.gw[family], 22, timeout=1) == "timeout", "rule 10 allows all from inside, and speaks of no self"
    assert lab.ask_udp(left.ns, left.gw[family], 9000, timeout=1) is None
    lab.wait_drops("default", dropped + 1)
    rules("1 allow tcp from inside to self dport 22", "2 reject tcp from inside to self dport 80", "3 allow udp from inside to self dport 9000")
    assert lab.fetch(url_of(left.gw[family], ':22/')) == b"box\n"
    assert tcp_connects(lab, left.ns, left.gw[family], 80) == "refused"
    assert lab.ask_udp(left.ns, right.gw[family], 9000) == "box", "its address on another link"
    assert tcp_connects(lab, right.ns, right.gw[family], 22, timeout=1) == "timeout", "the rule is for inside"


@needs_sallyport
def test_a_rule_may_deny_what_is_allowed_by_default(lab, rules):
    rules("1 drop icmp,icmpv6 from outside to self", "2 drop tcp from self to outside dport 81")
    assert all(lab.silent(lab["right"].gw[family], ns=lab.right) for family in FAMILIES)
    assert all(lab.ping(lab["left"].gw[family]) for family in FAMILIES)
    for family in FAMILIES:
        assert tcp_connects(lab, lab.box, lab["right"].addr[family], 81, timeout=1) == "timeout"
        assert tcp_connects(lab, lab.box, lab["right"].addr[family], 80) == "open"


@needs_sallyport
def test_a_flood_at_it_is_cut(lab):
    before, passed = lab.drops("route_self_rate"), lab.stats()["packets"]["to_kernel"]
    done = lab.run(lab.left, "ping", "-q", "-f", "-c", "600", "-W", "1", lab["left"].gw[4], timeout=100)
    sent, answered = (int(n) for n in re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout).groups())
    lost = lab.drops("route_self_rate") - before
    assert sent == 600 and lost > 0 and answered + lost == sent
    assert lab.stats()["packets"]["to_kernel"] - passed >= answered
    assert lab.ping(lab["left"].gw[4]) and lab.ping(lab["right"].addr[4])


# --- from the firewall -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_its_own_programs(lab, family):
    addr = lab["right"].addr[family]
    assert lab.ping(addr, ns=lab.box) and lab.ping(lab["left"].addr[family], ns=lab.box)
    assert lab.curl(url_of(addr), ns=lab.box) == "box\n"
    assert lab.ask_udp(lab.box, addr, 9000) == "HELLO"
    assert lab.traceroute(addr, f"-{family}", ns=lab.box) == [addr]
    assert tcp_connects(lab, lab.box, addr, 99) == "refused"
    if not KERNEL:
        packets = lab.stats()["packets"]
        assert packets["from_kernel"] > 0 and packets["to_kernel"] > 0


# --- what is not forwarded ---------------------------------------------------------------------------------------------------


def sources_that_arrive(lab, frames, sender, target, family):
    """The sources of datagrams that reach a host when these are sent to it by another, which ends with a plain one."""
    with lab.watch(target.ns, "udp dst port 9000 or 9009") as seen:
        lab.send(sender.ns, *frames, gateway=lab.mac_of_port(sender))
        assert lab.ask_udp(sender.ns, target.addr[family], 9000) == "HELLO"
        wait_for(lambda: f" {sender.addr[family]}." in seen(), PATIENCE, "datagram")
        return {found for found in re.findall(r" ([0-9a-f.:]+)\.\d+ > ", seen())} - {sender.addr[family]}


MARTIANS = {
    4: ("127.0.0.1", "0.0.0.0", "0.0.0.5", "224.0.0.5", "255.255.255.255", "10.1.0.1", "10.2.0.1", "10.1.0.255"),
    6: ("::1", "::", "ff02::5", "ff0e::5", "fe80::5", "2001:db8:1::1", "2001:db8:2::1"),
}  # fmt: skip
LINUX_FORWARDS = {"0.0.0.5", "10.1.0.255", "2001:db8:1::1", "2001:db8:2::1"} if KERNEL else set()


@pytest.mark.parametrize("family", FAMILIES)
def test_martian_sources(lab, family):
    """Sources that no packet may have, by the link without a reverse-path filter; a link-local one is legal, and stays on its link."""
    ip, target = ("IP", "IPv6")[family == 6], lab["left"]
    frames = [f"{ip}(src='{src}',dst='{target.addr[family]}')/UDP(sport=5,dport=9009)" for src in MARTIANS[family]]
    before = 0 if KERNEL else sum(lab.stats()["drops"].values())
    assert sources_that_arrive(lab, frames, lab["right"], target, family) - LINUX_FORWARDS == set()
    if not KERNEL:
        assert lab.drops("route_martian") > 0
        wait_for(lambda: sum(lab.stats()["drops"].values()) - before >= len(frames), PATIENCE, "drops of all")


def test_martian_destinations(lab):
    """Loopback addresses of the firewall are nobody's business on the wire, whatever listens there."""
    sh("ip", "netns", "exec", lab.box, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=0")
    with lab.watch(lab.right, "udp port 9000 or 9009") as seen:
        lab.send(
            lab.right, "IP(src='10.2.0.10',dst='127.0.0.1')/UDP(sport=5,dport=9009)", "IPv6(src='2001:db8:2::10',dst='::1')/UDP(sport=5,dport=9009)",
            "IP(src='10.2.0.10',dst='10.1.0.255')/UDP(sport=5,dport=9009)", "IP(src='10.2.0.10',dst='255.255.255.255')/UDP(sport=5,dport=9009)",
            "IP(src='10.2.0.10',dst='239.1.1.1',ttl=9)/UDP(sport=5,dport=9009)", gateway=lab.mac_of_port(lab["right"]),
        )  # fmt: skip
        assert lab.ask_udp(lab.right, lab["left"].addr[4], 9000) == "HELLO"
        wait_for(lambda: f"{lab['left'].addr[4]}.9000 > " in seen(), PATIENCE, "answer")
        assert len(re.findall(r"\.90.. > ", seen())) == 1, f"only the plain one is answered: {seen()}"


def test_broadcasts_stay_on_their_link(lab):
    with lab.watch(lab.left, "udp dst port (9000 or 9009) or arp host 10.1.0.255") as seen:
        gateway = lab.mac_of_port(lab["right"])
        groups = ("10.1.0.255", "255.255.255.255", "224.0.0.251", "239.1.1.1")
        lab.send(lab.right, *(f"IP(src='10.2.0.10',dst='{group}',ttl=9)/UDP(sport=5,dport=9009)" for group in groups), gateway=gateway)
        lab.send(lab.right, *(f"IPv6(src='2001:db8:2::10',dst='{group}',hlim=9)/UDP(sport=5,dport=9009)" for group in ("ff02::1", "ff0e::5")), gateway=gateway)
        assert lab.ask_udp(lab.right, lab["left"].addr[4], 9000) == "HELLO"
        wait_for(lambda: f"> {lab['left'].addr[4]}.9000" in seen(), PATIENCE, "datagram")
        assert len(re.findall(r"\.90..: |10\.1\.0\.255", seen())) == 1, seen()


def test_frames_for_other_machines(lab):
    """A port that hears all (a hub, a flooding switch) forwards only what is sent to the firewall."""
    frames = ["IP(src='10.2.0.11',dst='10.1.0.10')/UDP(sport=5,dport=9009)"]
    with lab.watch(lab.left, "udp dst port 9000 or 9009") as seen:
        lab.send(lab.right, *frames, gateway="02:00:00:00:00:99")
        assert lab.ask_udp(lab.right, lab["left"].addr[4], 9000) == "HELLO"
        wait_for(lambda: " 10.2.0.10." in seen(), PATIENCE, "datagram")
        assert "10.2.0.11" not in seen()
    if not KERNEL:
        lab.wait_drops("route_not_ours", 0)


@needs_sallyport
def test_own_frames_that_come_back_are_not_for_linux(lab):
    """A loop, or a NIC that gives a VF its own multicast back: Linux would take it for a neighbour with its addresses."""
    gateway, before = lab.mac_of_port(lab["right"]), lab.drops("route_own")
    lab.send(lab.right, f"Ether(src='{gateway}',dst='ff:ff:ff:ff:ff:ff')/ARP(psrc='10.2.0.77',pdst='10.2.0.1',hwsrc='{gateway}')")
    lab.wait_drops("route_own", before)
    assert "10.2.0.77" not in lab.ip("neigh", "show").stdout


# sender, target: which of a source of the target's own link, and one that no route leads to, may pass
RPF = [("left", "right", set()), ("third", "right", {0}), ("right", "left", {0, 1})]


@pytest.mark.parametrize("family", [pytest.param(4), pytest.param(6, marks=needs_sallyport)])
@pytest.mark.parametrize("sender, target, passes", RPF, ids=("strict", "loose", "off"))
def test_reverse_path_filter(lab, family, sender, target, passes):
    sender, target, ip = lab[sender], lab[target], ("IP", "IPv6")[family == 6]
    sources = [target.addr[family][:-2] + "77", {4: "10.99.0.1", 6: "2001:db8:99::1"}[family]]
    frames = [f"{ip}(src='{src}',dst='{target.addr[family]}')/UDP(sport=5,dport=9009)" for src in sources]
    before = 0 if KERNEL else lab.drops("route_rpf")
    assert sources_that_arrive(lab, frames, sender, target, family) == {sources[n] for n in passes}
    if not KERNEL:
        assert lab.drops("route_rpf") - before == 2 - len(passes)


# --- Linux behind it ---------------------------------------------------------------------------------------------------------


@needs_sallyport
def test_nothing_goes_around_the_rules_by_way_of_linux(lab):
    """What the firewall hands up without a rule (DHCP's answers, discovery, errors) must not be what Linux then forwards as its own."""
    left, right = lab["left"], lab["right"]
    forwarded = lab.run(lab.box, "nstat", "-az", "IpForwDatagrams", "Ip6OutForwDatagrams").stdout
    v4, v6 = f"IP(src='{right.addr[4]}',dst='{left.addr[4]}'", f"IPv6(src='{right.addr[6]}',dst='{left.addr[6]}'"
    frames = [
        f"{v4})/UDP(sport=67,dport=68)/'offer'", f"{v6})/UDP(sport=547,dport=546)/'offer'", f"{v4})/ICMP(type=0,id=7)", f"{v4})/ICMP(type=11)/IP()/UDP()",
        f"{v6})/ICMPv6EchoReply()", f"{v6},hlim=255)/ICMPv6ND_NA(tgt='{right.addr[6]}')", f"{v6},hlim=255)/ICMPv6ND_NS(tgt='{left.addr[6]}')",
        f"{v6},hlim=255)/ICMPv6ND_RA()", f"{v4},proto=89)/'hello'", f"{v4},proto=112)/'vrrp'", f"{v4})/TCP(dport=179,flags='S')",
        f"{v4},options=[IPOption(b'\\x94\\x04\\x00\\x00')])/UDP(dport=9)", f"{v6})/IPv6ExtHdrHopByHop(options=[RouterAlert()])/UDP(dport=9)",
    ]  # fmt: skip
    with lab.watch(left.ns, f"src host {right.addr[4]} or (src host {right.addr[6]} and dst host {left.addr[6]})") as seen:
        lab.send(right.ns, *frames, gateway=lab.mac_of_port(right))
        assert lab.ask_udp(right.ns, left.addr[6], 9000) == "HELLO"
        wait_for(lambda: f"> {left.addr[6]}.9000" in seen(), PATIENCE, "datagram")
        assert len(re.findall(r"ethertype", seen())) == 1, seen()
    assert lab.run(lab.box, "nstat", "-az", "IpForwDatagrams", "Ip6OutForwDatagrams").stdout == forwarded


@needs_sallyport
def test_two_workers():
    """What one worker takes in may be another's, and the firewall's own sessions are theirs as well."""
    with RouteLab(RULES.format('    "1 allow tcp from inside to self dport 22",\n'), hosts=("left", "right", "third"), workers=(0, 1)) as lab:
        lab.serve_web(lab.right, {"index.html": b"hello\n"})
        lab.serve_web(lab.box, {}, ports=(22,))
        lab.serve_udp(lab.right, 9000)
        left, right = lab["left"], lab["right"]
        for n in range(8):
            family = FAMILIES[n % 2]
            assert lab.curl(url_of(right.addr[family])) == lab.curl(url_of(right.addr[family]), ns=lab.box) == "hello\n"
            assert lab.ask_udp(lab.left, right.addr[family], 9000, f"q{n}") == f"Q{n}"
            assert tcp_connects(lab, lab.left, left.gw[family], 22) == "open"
            assert lab.ping(right.addr[family], ns=lab.box)
        workers = lab.api("GET", "/v1/workers")[1]["workers"]
        assert sum(w["handed_out"] for w in workers) > 0 and all(w["sessions"] > 0 for w in workers)
        assert lab.drops("queue_handover") == 0 and lab.drops("tcp_no_session") == 0
        lab.finish()
