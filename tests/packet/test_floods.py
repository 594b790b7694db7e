# SPDX-License-Identifier: BSD-3-Clause
"""Limits under flood: what a rule limits is limited exactly, whoever floods, and others are not touched. Time is the capture's."""
import pytest
from conftest import policy, write_pcap
from frames import IN4, IN6, OUT4, OUT6, TCP, UDP, ether, frame, ip4, ip6

PORTS = '{ name = "in"; device = "net_null0"; zone = "inside"; peer = "out"; }, { name = "out"; device = "net_null1"; zone = "outside"; peer = "in"; }'


def syn(n, source=None, dport=80, v6=False):
    """The n-th SYN of a flood; from a source of its own when none is given."""
    if v6:
        src = source or f"2001:db8:10:{n >> 8:x}:{n & 255:x}::1"
        return frame(ether(), ip6(src, OUT6), TCP(sport=1024 + n % 60000, dport=dport, flags="S", seq=n))
    src = source or f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
    return frame(ether(), ip4(src, OUT4), TCP(sport=1024 + n % 60000, dport=dport, flags="S", seq=n))


def many(make, count):
    """A flood of frames, quickly: scapy builds each once."""
    return [make(n) for n in range(1, count + 1)]


def verdicts(result, chosen):
    return [result.packets[i]["verdict"] for i in chosen]


def run(firewall, rule, timed, **kwargs):
    return firewall.replay(policy(rule), sorted(timed, key=lambda t: t[1]), **kwargs)


@pytest.mark.parametrize("v6", [False, True])
def test_limit_of_a_rule_holds_in_a_flood(firewall, v6):
    """1,000 SYNs a second for three seconds against 50/s burst 20: 20 at once, then 50 a second."""
    timed = [(f, i / 1000) for i, f in enumerate(many(lambda n: syn(n, v6=v6), 3000))]
    result = run(firewall, "10 allow tcp from inside limit '50/s burst 20'", timed)
    allowed = result.verdicts().count("allow")
    assert 20 + 50 * 3 - 2 <= allowed <= 20 + 50 * 3, allowed
    assert result.stats["drops"]["limit"] == 3000 - allowed
    assert result.stats["sessions"]["created"] == allowed


@pytest.mark.parametrize("v6", [False, True])
def test_limit_per_source_leaves_others_alone(firewall, v6):
    """One source floods at 1,000/s; nineteen others open one connection a second each and lose none."""
    flooder = IN6 if v6 else IN4
    timed = [(syn(n, flooder, v6=v6), n / 1000) for n in range(2000)]
    quiet = [(syn(5000 + n, (f"2001:db8:10:ff{n % 19:02x}::5" if v6 else f"10.99.0.{n % 19 + 1}"), v6=v6), 0.05 + n / 19) for n in range(38)]
    result = run(firewall, "10 allow tcp from inside limit '10/s burst 10 per src'", timed + quiet)
    assert result.verdicts().count("allow") - 38 in range(10 + 18, 10 + 21)
    assert result.stats["drops"]["limit"] == 2038 - result.verdicts().count("allow")
    assert result.stats["drops"]["table_limits_full"] == 0


def test_table_of_sources_is_bounded_and_forgets(firewall, tmp_path):
    """Far more sources than the table has room for: it stays as it is, fails closed while they are all too new, and has room again later."""
    conf = tmp_path / "sallyport.conf"
    conf.write_text(f'mode = "wire"; ports = ( {PORTS} ); limits = {{ sources = 1024; }};')
    flood = [(f, i / 50000) for i, f in enumerate(many(syn, 12000))]
    late = [(syn(40000 + n), 100 + n / 100) for n in range(100)]
    result = run(firewall, "10 allow tcp from inside limit '1/m burst 1 per src'", flood + late)
    assert result.verdicts().count("allow") >= 12000 + 90  # the default table holds them
    write_pcap(str(tmp_path / "in.pcap"), flood + late)
    small = firewall.replay(policy("10 allow tcp from inside limit '1/m burst 1 per src'"), flood + late, "-c", str(conf))
    full = small.stats["drops"]["table_limits_full"]
    assert full > 4000 and small.stats["sessions"]["created"] == 12100 - full
    assert set(small.verdicts()[12000:]) == {"allow"}


@pytest.mark.parametrize("v6", [False, True])
def test_quotas_hold_in_a_flood(firewall, v6):
    """max_sessions and max_per_source count live sessions: of a source, of the rule; what timed out makes room."""
    one = IN6 if v6 else IN4
    timed = [(syn(n, one, v6=v6), n / 1000) for n in range(1000)]
    timed += [(syn(2000 + n, v6=v6), 1 + n / 1000) for n in range(1000)]
    timed += [(syn(6000 + n, one, v6=v6), 100 + n / 1000) for n in range(50)]
    result = run(firewall, "10 allow tcp from inside max_sessions 100 max_per_source 30", timed)
    assert verdicts(result, range(1000)).count("allow") == 30
    assert verdicts(result, range(1000, 2000)).count("allow") == 70
    assert verdicts(result, range(2000, 2050)).count("allow") == 30
    assert result.stats["drops"]["limit"] == 2050 - 130


def test_rate_of_packets_holds_in_a_flood(firewall):
    """pps counts every packet of the rule's sessions, of both directions."""
    out = frame(ether(), ip4(IN4, OUT4), UDP(sport=4000, dport=53))
    back = frame(ether(), ip4(OUT4, IN4), UDP(sport=53, dport=4000))
    timed = [(out if n % 2 == 0 else back, n / 10000) for n in range(10000)]
    result = run(firewall, "10 allow udp from inside limit '500pps burst 100'", timed)
    allowed = result.verdicts().count("allow")
    assert 598 <= allowed <= 600, allowed


def test_full_table_gives_way_in_order(firewall, tmp_path):
    """Half-open sessions go before anything that was answered; an answered flow of before the flood is still there after it."""
    conf = tmp_path / "sallyport.conf"
    conf.write_text(f'mode = "wire"; ports = ( {PORTS} ); sessions = {{ max4 = 256; max6 = 64; }}; floods = {{ pressure_end = 0; }};')
    out = frame(ether(), ip4(IN4, OUT4), UDP(sport=4000, dport=53))
    back = frame(ether(), ip4(OUT4, IN4), UDP(sport=53, dport=4000))
    timed = [(out, 0), (back, 0.001)] + [(syn(n), 0.01 + n / 10000) for n in range(5000)] + [(back, 1)]
    result = firewall.replay(policy("10 allow tcp,udp from inside"), timed, "-c", str(conf))
    assert set(result.verdicts()) == {"allow"}
    sessions = result.stats["sessions"]
    assert sessions["evicted"] == sessions["evicted_by_state"]["tcp_syn_sent"] == 5001 - 256
    assert sessions["active_by_state"]["udp_replied"] == 1 and sessions["refused"] == 0
