/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can become of a packet, and every reason for which one is dropped: one closed enum from which counters, JSON, metrics, events,
 * `explain --reasons` and the manual are made.
 */
#ifndef SP_DATAPLANE_VERDICT_H
#define SP_DATAPLANE_VERDICT_H

#include <stdint.h>

enum sp_verdict {
	SP_VERDICT_GOING = 0, /* still on its way through the stages */
	SP_VERDICT_SETTLED,   /* nothing is left to decide: it only has to be sent (settled.c) */
	SP_VERDICT_ALLOW,     /* to be sent out of the egress port */
	SP_VERDICT_DROP,      /* counted under its reason and freed */
	SP_VERDICT_REJECT,    /* dropped under its reason, and an answer is built */
	SP_VERDICT_HANDED,    /* given to the worker that owns its session, or that puts its datagram together */
	SP_VERDICT_HELD,      /* a fragment that waits for the others of its datagram */
	SP_VERDICT_CONSUMED,  /* ended here by design (none in wire mode) */
};

/*
 * X(enumerator, name, meaning, cure). A packet has exactly one. Families: parse_, frag_, tcp_, icmp_, sctp_, rule, default, limit,
 * inspect_, nat_, route_, table_, queue_. New reasons go to the end of their family; names never change.
 */
#define SP_DROP_REASONS(X)                                                                                                                 \
	X(NONE, "none", "not dropped", "")                                                                                                 \
	X(PARSE_ETHER, "parse_ether", "frame shorter than an Ethernet header or its VLAN tags",                                            \
		"look for a broken sender or tunnel on the segment")                                                                       \
	X(PARSE_VLAN_DEPTH, "parse_vlan_depth", "more than two VLAN tags", "strip the outer tags before the firewall")                     \
	X(PARSE_IPV4, "parse_ipv4", "IPv4 header truncated, wrong version, or lengths that contradict the frame",                          \
		"capture it: the sender or a middlebox is broken, or it is an attack")                                                     \
	X(PARSE_IPV4_CHECKSUM, "parse_ipv4_checksum", "IPv4 header checksum wrong",                                                        \
		"check cabling, NIC offloads of the sender, or set the port's checksum to off")                                            \
	X(PARSE_IPV4_OPTIONS, "parse_ipv4_options", "malformed or source-routing IPv4 options",                                            \
		"source routing is never forwarded; mend the sender")                                                                      \
	X(PARSE_IPV6, "parse_ipv6", "IPv6 header truncated, wrong version, or lengths that contradict the frame",                          \
		"capture it: the sender is broken, or it is an attack")                                                                    \
	X(PARSE_IPV6_EXTENSION, "parse_ipv6_extension",                                                                                    \
		"IPv6 extension headers truncated, too many, out of order, or a routing header of type 0",                                 \
		"capture it: legitimate traffic carries few extension headers")                                                            \
	X(PARSE_ADDRESS, "parse_address",                                                                                                  \
		"a source or destination that no packet may carry (multicast or broadcast source, loopback, equal to its destination)",    \
		"look for spoofing")                                                                                                       \
	X(PARSE_TCP, "parse_tcp", "TCP header truncated or its offset out of range",                                                       \
		"capture it: the sender is broken, or it is an attack")                                                                    \
	X(PARSE_UDP, "parse_udp", "UDP header truncated or its length out of range",                                                       \
		"capture it: the sender is broken, or it is an attack")                                                                    \
	X(PARSE_ICMP, "parse_icmp", "ICMP or ICMPv6 header truncated, or an error that quotes too little", "capture it")                   \
	X(PARSE_SCTP, "parse_sctp", "SCTP header truncated", "capture it")                                                                 \
	X(PARSE_L4_CHECKSUM, "parse_l4_checksum", "TCP, UDP, ICMP or SCTP checksum wrong",                                                 \
		"on veth and TAP switch off tx checksum offload of the sender; else look for corruption")                                  \
	X(PARSE_PORT_ZERO, "parse_port_zero", "TCP, UDP or SCTP port 0", "no service uses port 0; look for a scan")                        \
	X(FRAG_LENGTH, "frag_length", "a fragment without data, or not the last and of a length that is no multiple of 8",                 \
		"capture it: an attack, or a broken sender")                                                                               \
	X(FRAG_TINY, "frag_tiny",                                                                                                          \
		"a first fragment that does not hold the whole header of layer 4, or one that begins inside the TCP header (RFC 1858, "    \
		"3128, 7112)",                                                                                                             \
		"look for an attack: no sender needs such fragments")                                                                      \
	X(FRAG_TOO_LONG, "frag_too_long", "fragments of a datagram longer than 65,535 bytes", "look for an attack")                        \
	X(FRAG_TOO_MANY, "frag_too_many", "more than 64 fragments of one datagram",                                                        \
		"raise the MTU of the path, or send smaller datagrams")                                                                    \
	X(FRAG_OVERLAP, "frag_overlap", "fragments that overlap (RFC 5722), and all others of that datagram",                              \
		"look for an attack; reused IP identifications also look like this")                                                       \
	X(FRAG_DUPLICATE, "frag_duplicate", "an exact copy of a fragment that waits; the first one counts",                                \
		"look for a loop or a mirrored link")                                                                                      \
	X(FRAG_END, "frag_end", "fragments that contradict each other about where the datagram ends", "look for an attack")                \
	X(FRAG_HEADERS, "frag_headers", "two fragment headers in one IPv6 packet", "look for an attack")                                   \
	X(FRAG_ICMP, "frag_icmp", "an ICMP error or neighbour discovery in fragments (RFC 6980)",                                          \
		"look for an attack: neither ever needs fragments")                                                                        \
	X(FRAG_TIMEOUT, "frag_timeout", "a fragment whose others did not come in time, or before the firewall stopped",                    \
		"look for loss on the path; raise fragments.timeout for slow links")                                                       \
	X(FRAG_SOURCE, "frag_source", "the oldest waiting fragments of a source that has too many unfinished datagrams",                   \
		"raise fragments.per_source, or look for a flood")                                                                         \
	X(TCP_FLAGS, "tcp_flags", "a combination of TCP flags that no stack sends", "look for a scan")                                     \
	X(TCP_NO_SESSION, "tcp_no_session", "a TCP segment without SYN that belongs to no session",                                        \
		"the session expired or was made before the firewall started; reconnect")                                                  \
	X(TCP_STATE, "tcp_state", "a TCP segment that does not fit the state of its session",                                              \
		"capture it; an asymmetric path also looks like this")                                                                     \
	X(TCP_WINDOW, "tcp_window",                                                                                                        \
		"a TCP segment outside the windows of its session: data that was not permitted or is long over, or an ACK of what was "    \
		"never sent",                                                                                                              \
		"look for blind injection; an asymmetric path, and a device that changes sequence numbers, also look like this")           \
	X(TCP_RST, "tcp_rst", "a RST at another number than its receiver expects; its sender may have got a challenge ACK (RFC 5961)",     \
		"look for blind resets; who means it repeats the RST at the right number")                                                 \
	X(TCP_COOKIE, "tcp_cookie", "an ACK without session that brings no valid cookie of the SYN proxy",                                 \
		"look for an ACK flood; connections made before the firewall started look like this, too, while the proxy is engaged")     \
	X(TCP_SYN_PROXY, "tcp_syn_proxy", "a segment of a connection whose server has not answered the SYN proxy yet",                     \
		"none: its sender repeats it; look at the server when there are many")                                                     \
	X(TCP_SYN, "tcp_syn", "a SYN inside a connection; its sender may have got a challenge ACK (RFC 5961)",                             \
		"look for blind attacks; a host that restarted gets through by itself")                                                    \
	X(ICMP_NO_SESSION, "icmp_no_session", "an ICMP error or reply that no session asked for", "allow it by a rule when it is wanted")  \
	X(ICMP_ERROR_TYPE, "icmp_error_type",                                                                                              \
		"an ICMP error about a session, of a type or code that steers hosts or that no router sends",                              \
		"capture it; source quench and unknown codes never pass with a session")                                                   \
	X(ICMP_IMPLAUSIBLE, "icmp_implausible",                                                                                            \
		"an ICMP error whose quoted packet was not sent so: sequence number, tag, lengths or MTU do not fit the session",          \
		"look for blind attacks on the session; an asymmetric path also looks like this")                                          \
	X(ICMP_ERROR_RATE, "icmp_error_rate", "more ICMP errors about one session than a second may bring",                                \
		"capture them: a host needs one; raise sessions.icmp_errors when they are wanted")                                         \
	X(ICMP_TYPE, "icmp_type", "an ICMP type that steers hosts or is deprecated, under a rule that does not name it",                   \
		"name it by icmp_type in a rule before this one when it is wanted")                                                        \
	X(ICMP_ND, "icmp_nd", "neighbour discovery that a host must ignore: hop limit not 255, or malformed (RFC 4861)",                   \
		"look for an attack from beyond the link")                                                                                 \
	X(SCTP_CHUNK, "sctp_chunk", "SCTP chunks that are malformed, too many, or bundled as they may not be",                             \
		"capture it: the sender is broken, or it is an attack")                                                                    \
	X(SCTP_NO_SESSION, "sctp_no_session", "an SCTP packet other than an INIT that belongs to no session",                              \
		"the session expired or was made before the firewall started; a second path of a multi-homed host needs a stateless rule") \
	X(SCTP_STATE, "sctp_state", "an SCTP chunk that does not fit the state of its session", "capture it")                              \
	X(SCTP_TAG, "sctp_tag", "an SCTP packet without the verification tag of its association", "look for blind attacks")                \
	X(RULE, "rule", "a rule with action drop or reject matched", "`explain` names the rule")                                           \
	X(DEFAULT, "default", "no rule matched and the default is not allow", "add a rule; `explain` names the nearest one")               \
	X(LIMIT, "limit", "over the limit, max_sessions or max_per_source of the rule that matched",                                       \
		"raise the limit, or look for a flood")                                                                                    \
	X(INSPECT_MATCH, "inspect_match", "a pattern with action drop matched the payload", "the alert event names the pattern")           \
	X(INSPECT_BLOCKED, "inspect_blocked", "a packet of a session that inspection blocked before", "the alert event names the pattern") \
	X(INSPECT_ERROR, "inspect_error", "inspection could not scan the payload and fails closed", "report it with a capture")            \
	X(NAT_PORTS_EXHAUSTED, "nat_ports_exhausted", "no port was free for a new session on the external addresses of a source entry",    \
		"add addresses to the entry, or look for a host that opens too many sessions")                                             \
	X(NAT_MAX_PER_SOURCE, "nat_max_per_source",                                                                                        \
		"the inside address has as many external ports as max_per_source of the entry permits",                                    \
		"raise max_per_source, or look for a host that opens too many sessions")                                                   \
	X(NAT_NO_ADDRESS, "nat_no_address", "a source entry has no external address for the packet: its family, or a link without one",    \
		"give the link an address of that family, or name addresses in the entry")                                                 \
	X(NAT_NO_BACKEND, "nat_no_backend", "no backend of the destination entry lives",                                                   \
		"`sallyctl nat` names the backends with their last failure")                                                               \
	X(NAT_UNTRANSLATABLE, "nat_untranslatable",                                                                                        \
		"a packet that an entry would translate and that cannot be: a protocol without ports, a stateless rule, an ICMP error of " \
		"no session, or an address without counterpart",                                                                           \
		"exempt it by an entry with address = \"none\", or use a static entry")                                                    \
	X(ROUTE_NO_EGRESS, "route_no_egress", "the ingress port has no peer", "give the port a peer in the configuration")                 \
	X(ROUTE_LINK_DOWN, "route_link_down", "the egress port's link is down", "check the link of the peer port")                         \
	X(ROUTE_NON_IP, "route_non_ip", "a frame that is neither IP nor allowed by builtin or an `ethertype` rule",                        \
		"add a rule with its ethertype if it is wanted")                                                                           \
	X(ROUTE_WRONG_ZONE, "route_wrong_zone", "a packet of a session that came from another zone than its sender is in",                 \
		"look for spoofing, or for a loop that leads packets through the firewall twice")                                          \
	X(ROUTE_TTL, "route_ttl", "a packet whose TTL or hop limit ended here; its sender may have got an ICMP error",                     \
		"look for a routing loop; traceroute looks like this, too")                                                                \
	X(ROUTE_UNREACHABLE, "route_unreachable", "no route leads to the destination; the sender may have got an ICMP error",              \
		"add a route in Linux; `sallyctl routes` lists what is there")                                                             \
	X(ROUTE_BLACKHOLE, "route_blackhole", "the route to the destination is a blackhole",                                               \
		"remove the blackhole route in Linux if it is not wanted")                                                                 \
	X(ROUTE_PROHIBIT, "route_prohibit", "the route to the destination is a prohibit; the sender may have got an ICMP error",           \
		"remove the prohibit route in Linux if it is not wanted")                                                                  \
	X(ROUTE_NEIGHBOUR, "route_neighbour",                                                                                              \
		"the next hop did not answer ARP or neighbour discovery, or not before the firewall stopped",                              \
		"check that the host or gateway is up and on the link")                                                                    \
	X(ROUTE_WAITING_FULL, "route_waiting_full", "too many packets wait for next hops whose MAC is not known yet",                      \
		"look for a scan of a connected network, or raise the limits of waiting packets in the configuration")                     \
	X(ROUTE_MTU, "route_mtu",                                                                                                          \
		"a packet longer than the MTU of the link that may not be fragmented; its sender may have got an ICMP error",              \
		"none when path MTU discovery works; else clamp the MSS with `mss`, or raise the MTU of the link")                         \
	X(ROUTE_MARTIAN, "route_martian",                                                                                                  \
		"a source or destination address that may not be routed (this network, loopback, reserved, or the firewall's own as "      \
		"source)",                                                                                                                 \
		"look for spoofing, or for an address conflict with the firewall")                                                         \
	X(ROUTE_RPF, "route_rpf", "the route back to the source does not lead to the link that the packet came by (reverse-path filter)",  \
		"look for spoofing; set rpf to loose or off where routes are asymmetric")                                                  \
	X(ROUTE_NOT_OURS, "route_not_ours", "a frame for the MAC address of somebody else",                                                \
		"none: a switch floods such frames; check the sender's neighbour table when there are many")                               \
	X(ROUTE_OWN, "route_own", "multicast or broadcast from the port's own MAC address: what the firewall sent came back",              \
		"look for a loop, or for a host with the same MAC; some NICs give a VF back what it sends to groups")                      \
	X(ROUTE_NO_LINK, "route_no_link", "a frame with a VLAN tag that no port of the configuration has",                                 \
		"add a port with that vlan and parent, or take the VLAN off the segment")                                                  \
	X(ROUTE_LINK_LOCAL, "route_link_local", "a link-local address, which must not leave its link",                                     \
		"none: such packets are for neighbours only")                                                                              \
	X(ROUTE_MULTICAST, "route_multicast", "multicast or broadcast that is not routed", "none: it stays on its link")                   \
	X(ROUTE_ZONE_CHANGED, "route_zone_changed", "a packet of a session whose destination is now routed to another zone",               \
		"none when routes changed: a new session is judged by the rules for the new zone")                                         \
	X(ROUTE_SELF_RATE, "route_self_rate", "more packets for the firewall itself than the rate of their kind permits",                  \
		"look for a flood; raise the rate in the configuration when they are wanted")                                              \
	X(TABLE_SESSIONS_FULL, "table_sessions_full", "the session table has no room for a new session",                                   \
		"raise sessions in the configuration, or look for a flood")                                                                \
	X(TABLE_LIMITS_FULL, "table_limits_full", "the table of sources that limits count has no room",                                    \
		"fewer per-source limits, or shorter prefixes")                                                                            \
	X(TABLE_SYN_PROXY_FULL, "table_syn_proxy_full", "the SYN proxy waits for as many servers as it may at a time",                     \
		"look for servers that do not answer, or raise floods.embryonic")                                                          \
	X(TABLE_FRAGMENTS_FULL, "table_fragments_full",                                                                                    \
		"the oldest waiting fragments, dropped for newer ones when there was no more room",                                        \
		"raise fragments.datagrams or fragments.buffers, or look for a flood")                                                     \
	X(QUEUE_HANDOVER, "queue_handover", "the ring to the worker that owns the session is full",                                        \
		"add a worker, or spread the load over more queues")                                                                       \
	X(QUEUE_TX, "queue_tx", "the NIC's transmit queue stayed full", "the egress link is slower than the load")                         \
	X(QUEUE_MBUF, "queue_mbuf", "no packet buffer was free", "raise memory in the configuration")                                      \
	X(QUEUE_KERNEL, "queue_kernel", "the ring to Linux is full", "look for a flood at the firewall's own addresses, or lower its rates")

enum sp_drop_reason {
#define X(e, n, m, c) SP_DROP_##e,
	SP_DROP_REASONS(X)
#undef X
		SP_DROP_COUNT
};

struct sp_drop_text {
	const char *name, *meaning, *cure;
};

extern const struct sp_drop_text sp_drop_texts[SP_DROP_COUNT];

#endif
