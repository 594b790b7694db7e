# SPDX-License-Identifier: BSD-3-Clause
"""SCTP associations (RFC 9260) as a table: state x direction x chunk, verification tags, bundling, restarts, malformed chunks.

A step is "DIRECTION TAG CHUNKS": `>` is from the opener. Tags are letters: a is what the opener wants to see (packets of `<` carry it), b its
peer; 0 is none. Chunks are joined by `+`; init and initack name the tag that they offer. Each conversation has ports of its own.
"""
import struct

from frames import IN4, IN6, OUT4, OUT6, Raw, ether, frame, ip4, ip6

TAGS = {"0": 0, "a": 0x11111111, "b": 0x22222222, "c": 0x33333333, "d": 0x44444444, "x": 0xDEADBEEF}
TYPES = {"data": 0, "init": 1, "initack": 2, "sack": 3, "hb": 4, "hback": 5, "abort": 6, "shut": 7, "shutack": 8, "error": 9, "echo": 10, "cack": 11, "comp": 14, "auth": 15,
         "asconf": 0xC1, "fwd": 0xC0, "idata": 64, "reconf": 130, "pad": 0x84, "unknown": 0x3F}
BODY = {"data": 17, "sack": 12, "hb": 8, "hback": 8, "shut": 4, "error": 4, "echo": 16, "auth": 24, "asconf": 12, "fwd": 4, "idata": 20, "reconf": 12, "pad": 5}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def chunk(text):
    if text.startswith("raw:"):
        return bytes.fromhex(text[4:])
    name, _, offer = text.partition("(")
    flags = 1 if name.endswith("T") else 0
    name = name.rstrip("T")
    body = bytes(BODY.get(name, 0))
    if offer:
        body = struct.pack("!IIHHI", TAGS[offer[0]], 65536, 10, 10, 1)
    raw = struct.pack("!BBH", TYPES[name], flags, 4 + len(body)) + body
    return raw + bytes(-len(raw) % 4)


def packet(step, port, v6=False):
    direction, tag, chunks = step.split()
    body = b"" if chunks == "none" else b"".join(chunk(c) for c in chunks.split("+"))
    sport, dport = (port, 36412) if direction == ">" else (36412, port)
    sctp = struct.pack("!HHII", sport, dport, TAGS[tag], 0) + body
    sctp = sctp[:8] + struct.pack("<I", crc32c(sctp)) + sctp[12:]
    ins, outs = (IN6, OUT6) if v6 else (IN4, OUT4)
    src, dst = (ins, outs) if direction == ">" else (outs, ins)
    return frame(ether(), ip6(src, dst, nh=132) if v6 else ip4(src, dst, proto=132), Raw(sctp))


NEW = ["> 0 init(a)"]
ANSWERED = NEW + ["< a initack(b)"]
ECHOED = ANSWERED + ["> b echo"]
UP = ECHOED + ["< a cack"]
SHUT = UP + ["> b shut"]
SHUTACK = SHUT + ["< a shutack"]
GONE = SHUTACK + ["> b comp"]

P, S, T, C, N = None, "sctp_state", "sctp_tag", "sctp_chunk", "sctp_no_session"
# name, RFC 9260 section, steps that pass, the step in question, its drop reason (None: it passes)
ROWS = [
    # what opens
    ("init opens", "5.1 A", [], "> 0 init(a)", P),
    ("init with a tag", "8.5.1 A", [], "> x init(a)", T),
    ("init that offers no tag", "3.3.2", [], "> 0 init(0)", C),
    ("init with data behind it", "6.10", [], "> 0 init(a)+data", C),
    ("init repeated in one packet", "6.10", [], "> 0 init(a)+init(a)", C),
    ("init ack of nobody", "8.4", [], "> a initack(b)", N), ("cookie echo of nobody", "8.4", [], "> b echo", N), ("data of nobody", "8.4", [], "> b data", N),
    ("abort of nobody", "8.4", [], "> b abort", N), ("heartbeat of a second path", "8.3, one path a session", [], "> b hb", N), ("shutdown ack of nobody", "8.4", [], "> b shutack", N),
    ("shutdown complete of nobody", "8.4", [], "> b comp", N), ("no chunk at all", "3", [], "> 0 none", C),
    ("init from outside", "rules", [], "< 0 init(b)", "default"),
    # INIT passed
    ("init again", "5.1, T1-init", NEW, "> 0 init(a)", P), ("init again with another tag", "5.2.3", NEW, "> 0 init(c)", P), ("init ack", "5.1 B", NEW, "< a initack(b)", P),
    ("init ack under a wrong tag", "8.5", NEW, "< x initack(b)", T), ("init ack under none", "8.5", NEW, "< 0 initack(b)", T), ("init ack that offers none", "3.3.3", NEW, "< a initack(0)", C),
    ("init refused", "5.1", NEW, "< a abort", P), ("abort under a wrong tag", "8.5.1 B", NEW, "< x abort", T), ("collision", "5.2.1", NEW, "< 0 init(b)", P),
    ("collision answered", "5.2.1", NEW + ["< 0 init(b)"], "> b initack(a)", P), ("cookie echo too soon", "5.1 C", NEW, "> b echo", S), ("data too soon", "5.1", NEW, "> b data", S),
    ("data from the peer too soon", "5.1", NEW, "< a data", S), ("cookie ack too soon", "5.1 D", NEW, "< a cack", S), ("shutdown too soon", "9.2", NEW, "< a shut", S),
    ("shutdown ack too soon", "9.2", NEW, "< a shutack", S), ("shutdown complete too soon", "9.2", NEW, "< a comp", S), ("opener answers itself", "5.1 B", NEW, "> a initack(b)", T),
    # INIT ACK passed
    ("cookie echo", "5.1 C", ANSWERED, "> b echo", P), ("cookie echo with data", "5.1 C", ANSWERED, "> b echo+data", P), ("cookie echo behind data", "6.10", ANSWERED, "> b data+echo", S),
    ("cookie echo behind auth", "RFC 4895 6.3", ANSWERED, "> b auth+echo", P), ("cookie echo under a wrong tag", "8.5", ANSWERED, "> x echo", T),
    ("cookie echo under the opener's tag", "8.5", ANSWERED, "> a echo", T), ("init after the answer", "5.1", ANSWERED, "> 0 init(a)", P),
    ("init ack again", "5.2.3", ANSWERED, "< a initack(b)", P), ("init ack with a new tag", "5.2.3", ANSWERED, "< a initack(c)", P),
    ("first answer taken up", "5.2.3", ANSWERED + ["> 0 init(a)", "< a initack(c)"], "> b echo", P), ("second answer taken up", "5.2.3", ANSWERED + ["> 0 init(a)", "< a initack(c)"], "> c echo", P),
    ("neither answer taken up", "8.5", ANSWERED + ["< a initack(c)"], "> x echo", T), ("data before the cookie", "5.1 C", ANSWERED, "> b data", S), ("data from the peer before the cookie", "5.1 C",
                                                                                                                                                ANSWERED, "< a data", S),
    ("cookie ack before the cookie", "5.1 D", ANSWERED, "< a cack", S), ("shutdown before the cookie", "9.2", ANSWERED, "> b shut", S), ("abort of the opener", "9.1", ANSWERED, "> b abort", P),
    ("abort of the peer", "9.1", ANSWERED, "< a abort", P), ("heartbeat before the cookie", "8.3", ANSWERED, "> b hb", S),
    ("collision: both echo", "5.2.4", NEW + ["< 0 init(b)", "> b initack(a)", "< a initack(b)"], "< a echo", P),
    # COOKIE ECHO passed
    ("cookie ack", "5.1 D", ECHOED, "< a cack", P), ("cookie ack with data", "5.1 D", ECHOED, "< a cack+data+sack", P), ("cookie ack behind data", "6.10", ECHOED, "< a data+cack", C),
    ("cookie ack under a wrong tag", "8.5", ECHOED, "< x cack", T), ("cookie echo again", "5.1, T1-cookie", ECHOED, "> b echo", P), ("data behind the cookie", "5.1 C", ECHOED, "> b data", P),
    ("data of the peer", "5.1 D", ECHOED, "< a data", P), ("stale cookie", "5.2.6", ECHOED, "< a error", P), ("begins anew after a stale cookie", "5.2.6", ECHOED + ["< a error"], "> 0 init(a)", P),
    ("answered after a stale cookie", "5.2.6", ECHOED + ["< a error", "> 0 init(a)", "< a initack(c)"], "> c echo", P), ("opener shuts down too soon", "9.2", ECHOED, "> b shut", S),
    ("peer shuts down", "9.2", ECHOED, "< a shut", P), ("shutdown ack without shutdown", "9.2", ECHOED, "< a shutack", S), ("complete without shutdown", "9.2", ECHOED, "> b comp", S),
    ("abort", "9.1", ECHOED, "< a abort", P), ("abort that reflects the tag", "8.5.1 B", ECHOED, "< b abortT", P), ("abort that reflects a wrong tag", "8.5.1 B", ECHOED, "< x abortT", T),
    # established
    ("data", "6", UP, "> b data", P), ("data back", "6", UP, "< a data", P), ("sack", "6.2", UP, "< a sack", P), ("heartbeat", "8.3", UP, "> b hb", P), ("heartbeat ack", "8.3", UP, "< a hback", P),
    ("error", "3.3.10", UP, "< a error", P), ("auth", "RFC 4895", UP, "> b auth+data", P), ("i-data", "RFC 8260", UP, "> b idata", P), ("forward tsn", "RFC 3758", UP, "> b fwd", P),
    ("asconf", "RFC 5061", UP, "> b asconf", P), ("reconfiguration", "RFC 6525", UP, "> b reconf", P), ("pad", "RFC 4820", UP, "> b data+pad", P), ("unknown chunk", "3.2", UP, "> b unknown", P),
    ("data under a wrong tag", "8.5", UP, "> x data", T), ("data under no tag", "8.5", UP, "> 0 data", T), ("data under the other's tag", "8.5", UP, "> a data", T),
    ("sack under a wrong tag", "8.5", UP, "< x sack", T), ("heartbeat under a wrong tag", "8.5", UP, "< x hb", T), ("shutdown", "9.2", UP, "> b shut", P), ("shutdown of the peer", "9.2", UP, "< a shut", P),
    ("shutdown with sack", "9.2", UP, "> b sack+shut", P), ("shutdown under a wrong tag", "8.5", UP, "> x shut", T), ("shutdown ack unasked", "9.2", UP, "< a shutack", S),
    ("shutdown complete unasked", "9.2", UP, "> b comp", S), ("blind abort", "8.5.1 B", UP, "< x abort", T), ("blind abort without a tag", "8.5.1 B", UP, "< 0 abort", T),
    ("blind abort that reflects", "8.5.1 B", UP, "< x abortT", T), ("abort under its own tag without T", "8.5.1 B", UP, "< b abort", T), ("abort when up", "9.1", UP, "< a abort", P),
    ("abort reflecting when up", "8.5.1 B", UP, "< b abortT", P), ("abort with its reason", "9.1", UP, "> b error+abort", P), ("chunks behind an abort", "3.3.7", UP, "> b abort+data", C),
    ("cookie echo repeated", "5.2.4 D", UP, "> b echo", P), ("cookie ack repeated", "5.2.5", UP, "< a cack", P),
    ("what was offered and not taken up is over", "5.2.3", NEW + ["> 0 init(c)", "< a initack(b)", "> b echo", "< a cack"], "< c data", T),
    # restart
    ("restart", "5.2.2", UP, "> 0 init(c)", P), ("restart answered", "5.2.2", UP + ["> 0 init(c)"], "< c initack(d)", P), ("restart answered under a wrong tag", "8.5", UP + ["> 0 init(c)"], "< x initack(d)", T),
    ("restart: cookie", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)"], "> d echo", P), ("restart: old tag until the cookie ack", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)", "> d echo"], "> b data", P),
    ("restarted", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)", "> d echo", "< c cack"], "> d data", P),
    ("restarted, other side", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)", "> d echo", "< c cack"], "< c data", P),
    ("restarted: the old tag is over", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)", "> d echo", "< c cack"], "> b data", T),
    ("restarted: the old tag is over, other side", "5.2.4 A", UP + ["> 0 init(c)", "< c initack(d)", "> d echo", "< c cack"], "< a data", T),
    ("restart of the peer", "5.2.2", UP, "< 0 init(c)", P), ("forged init does not let data in", "5.2.2", UP + ["< 0 init(c)"], "< c data", T),
    ("forged init does not let an abort close", "8.5.1 B", UP + ["> 0 init(x)", "< x abort"], "< a data", P), ("nor one that reflects", "8.5.1 B", UP + ["< 0 init(x)", "< x abortT"], "< a data", P),
    ("after a forged init the tags are as before", "5.2.2", UP + ["> 0 init(x)"], "< a data", P), ("and the opener's", "5.2.2", UP + ["< 0 init(x)"], "> b data", P),
    # SHUTDOWN
    ("shutdown again", "9.2, T2", SHUT, "> b shut", P), ("data of the other side", "9.2", SHUT, "< a data", P), ("sack in answer", "9.2", SHUT, "> b sack+shut", P), ("both shut down", "9.2", SHUT, "< a shut", P),
    ("shutdown ack", "9.2", SHUT, "< a shutack", P), ("shutdown ack under a wrong tag", "8.5", SHUT, "< x shutack", T), ("complete without ack", "9.2", SHUT, "> b comp", S),
    ("abort while shutting down", "9.1", SHUT, "< a abort", P), ("init while shutting down", "5.2.2", SHUT, "> 0 init(c)", P),
    # SHUTDOWN ACK
    ("shutdown ack again", "9.2, T2", SHUTACK, "< a shutack", P), ("shutdown again after the ack", "9.2", SHUTACK, "> b shut", P), ("complete", "9.2", SHUTACK, "> b comp", P),
    ("complete that reflects", "8.5.1 C", SHUTACK, "> a compT", P), ("complete under a wrong tag", "8.5.1 C", SHUTACK, "> x comp", T), ("complete that reflects a wrong tag", "8.5.1 C", SHUTACK, "> x compT", T),
    ("complete with data", "6.10", SHUTACK, "> b comp+data", C), ("init is answered by the shutdown ack", "9.2", SHUTACK + ["> 0 init(c)"], "< a shutack", P), ("abort at last", "9.1", SHUTACK, "< a abort", P),
    # closed
    ("shutdown ack of the dead", "8.4 (5)", GONE, "< a shutack", P), ("complete again", "8.4 (5)", GONE, "> b comp", P), ("complete reflected again", "8.4 (5)", GONE, "> a compT", P),
    ("data of the dead", "8.4", GONE, "> b data", S), ("data of the dead, other side", "8.4", GONE, "< a data", S), ("shutdown of the dead", "8.4", GONE, "> b shut", S),
    ("heartbeat of the dead", "8.4", GONE, "< a hb", S), ("abort of the dead", "8.4", GONE, "> b abort", P), ("abort of the dead under a wrong tag", "8.5.1 B", GONE, "> x abort", T),
    ("opened anew", "5.1", GONE, "> 0 init(c)", P), ("opened anew with a tag", "8.5.1 A", GONE, "> x init(c)", T), ("a start under a tag ends nothing", "8.5.1 A", GONE + ["!> x init(c)"], "< a shutack", P),
    ("opened anew and answered", "5.1", GONE + ["> 0 init(c)"], "< c initack(d)", P),
    ("opened anew: the old tag is over", "8.5", GONE + ["> 0 init(c)"], "< a initack(d)", T), ("init of the peer after the end", "rules", GONE, "< 0 init(c)", S),
    ("after an abort nothing goes on", "9.1", UP + ["< a abort"], "> b data", S), ("after an abort a new start", "5.1", UP + ["< a abort"], "> 0 init(c)", P),
    # malformed
    ("chunk of length 0", "3.2", UP, "> b raw:00000000", C), ("chunk of length 3", "3.2", UP, "> b raw:00000003", C), ("chunk longer than the packet", "3.2", UP, "> b raw:000000ff00", C),
    ("half a chunk header", "3.2", UP, "> b raw:0000", C), ("trailing bytes", "3.2", UP, "> b data+raw:000000", C), ("no padding at the end", "3.2", UP, "> b raw:0000000500", C),
    ("init shorter than it must be", "3.3.2", UP, "> 0 raw:0100001011111111000100000a000a00", C), ("good chunk before a bad one", "3.2", UP, "> b shut+raw:00000001", C),
    ("a dropped packet has changed nothing", "3.2", UP + ["!> b shut+raw:00000001"], "> b shutack", S), ("auth under a wrong tag", "8.5", UP, "> x auth", T),
    ("256 chunks", "bounded", UP, "> b raw:" + "03000004" * 256, P), ("257 chunks", "bounded", UP, "> b raw:" + "03000004" * 257, C),
]
NAMES = [f"{name} ({rfc})" for name, rfc, *_ in ROWS]
