/* SPDX-License-Identifier: BSD-3-Clause */
/* pcap-filter expressions. */
#include "rules/fields_internal.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Enough for every frame: libpcap makes a program that answers with this length, or 0. */
#define SNAPLEN 65535

/*
 * Words of pcap-filter(7). libpcap asks DNS for a word that is not among them, which would make a rule mean something else from
 * one load to the next and stop the thread that loads it; such words are refused unless they stand where only /etc/services
 * or /etc/protocols is asked.
 */
static const char *const words[] = {"address1", "address2", "address3", "address4", "ah", "and", "arp", "atalk", "aarp", "broadcast",
	"carp", "clns", "dec", "decnet", "dir", "direction", "dst", "esis", "esp", "ether", "fddi", "fragment", "frag-protochain",
	"gateway", "geneve", "greater", "host", "icmp", "icmp-echo", "icmp-echoreply", "icmp-ireq", "icmp-ireqreply", "icmp-maskreply",
	"icmp-maskreq", "icmp-paramprob", "icmp-redirect", "icmp-routeradvert", "icmp-routersolicit", "icmp-sourcequench", "icmp-timxceed",
	"icmp-tstamp", "icmp-tstampreply", "icmp-unreach", "icmp6", "icmp6-destinationrunreach", "icmp6-destinationunreach", "icmp6-echo",
	"icmp6-echoreply", "icmp6-haadreply", "icmp6-haadrequest", "icmp6-homeagentaddrdiscoveryreply",
	"icmp6-homeagentaddrdiscoveryrequest", "icmp6-inverseneighboradvert", "icmp6-inverseneighborsolicit", "icmp6-mobileprefixadvert",
	"icmp6-mobileprefixsolicit", "icmp6-multicastlistenerdone", "icmp6-multicastlistenerquery", "icmp6-multicastlistenerreportv1",
	"icmp6-multicastlistenerreportv2", "icmp6-multicastrouteradvert", "icmp6-multicastroutersolicit", "icmp6-multicastrouterterm",
	"icmp6-neighboradvert", "icmp6-neighborsolicit", "icmp6-nodeinformationquery", "icmp6-nodeinformationresponse",
	"icmp6-packettoobig", "icmp6-parameterproblem", "icmp6-redirect", "icmp6-routeradvert", "icmp6-routerrenum", "icmp6-routersolicit",
	"icmp6-timeexceeded", "icmp6code", "icmp6type", "icmpcode", "icmptype", "igmp", "igrp", "inbound", "ip", "ip6", "iso", "isis",
	"lat", "len", "length", "less", "link", "llc", "loopback", "mask", "mopdl", "moprc", "mpls", "multicast", "net", "netbeui", "not",
	"or", "outbound", "pim", "port", "portrange", "ppp", "pppoed", "pppoes", "proto", "protochain", "radio", "rarp", "sctp", "src",
	"stp", "tcp", "tcp-ack", "tcp-cwr", "tcp-ece", "tcp-fin", "tcp-push", "tcp-rst", "tcp-syn", "tcp-urg", "tcpflags", "tr", "type",
	"subtype", "udp", "vlan", "vrrp", "vxlan", "wlan", "ra", "ta", "addr1", "addr2", "addr3", "addr4", "lsap", "ipx", "sca"};

static bool known_word(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
			return true;
	return false;
}

static bool is(const char *word, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(word, what, len) == 0;
}

/* Whether the word holds nothing but these characters. */
static bool made_of(const char *word, size_t len, const char *characters)
{
	for (size_t i = 0; i < len; i++)
		if (strchr(characters, word[i]) == NULL)
			return false;
	return true;
}

#define DIGITS "0123456789"
#define HEX    DIGITS "abcdefABCDEF"

/* Numbers and addresses. Host names may begin with a digit and consist of hexadecimal ones, so the forms are told apart strictly. */
static bool is_literal(const char *word, size_t len)
{
	size_t dots = 0;

	if (memchr(word, ':', len) != NULL)
		return made_of(word, len, HEX ":.");
	if (len > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))
		return made_of(word + 2, len - 2, HEX);
	for (size_t i = 0; i < len; i++)
		dots += word[i] == '.';
	return isdigit((unsigned char)word[0]) && dots <= 3 && made_of(word, len, DIGITS ".");
}

/* Past the word that starts at text: as libpcap cuts it, with the colons of an address but not those of a slice ("ip[6:2]" is harmless). */
static const char *word_end(const char *text)
{
	const char *start = text;

	while (isalnum((unsigned char)*text) || *text == '_' || *text == '-' || *text == '.' ||
		(*text == ':' && !known_word(start, (size_t)(text - start))))
		text++;
	return text;
}

/* The first word that would be looked up as a host or network, or NULL. */
static const char *foreign_word(const char *text, size_t *len)
{
	bool local_name = false; /* stands behind port or proto, which ask files of this machine only; "port http or ssh" still does */

	while (*text != '\0') {
		const char *word = text;

		if (!isalnum((unsigned char)*text)) {
			text++;
			continue;
		}
		text = word_end(text);
		*len = (size_t)(text - word);
		if (known_word(word, *len))
			local_name = is(word, *len, "port") || is(word, *len, "portrange") || is(word, *len, "proto") ||
				     is(word, *len, "protochain") || (local_name && is(word, *len, "or"));
		else if (!local_name && !is_literal(word, *len))
			return word;
	}
	return NULL;
}

int sp_bpf_compile(const char *text, const struct sp_place *place, struct bpf_program *out, struct sp_diags *diags)
{
	/* pcap_compile kept its parser's state in globals before libpcap 1.8, and resolver results still go through some. */
	static pthread_mutex_t compiler = PTHREAD_MUTEX_INITIALIZER;
	struct bpf_program program = {0};
	const char *word;
	pcap_t *pcap;
	int result;
	size_t len;

	word = foreign_word(text, &len);
	if (word != NULL)
		return sp_place_error(place, diags,
			"bpf: '%.*s' would be looked up in DNS or is no word of pcap-filter: write addresses as numbers", SP_SHOWN(len),
			word);
	pcap = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	if (pcap == NULL)
		return sp_place_error(place, diags, "bpf: out of memory");
	pthread_mutex_lock(&compiler);
	result = pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN);
	pthread_mutex_unlock(&compiler);
	if (result != 0)
		sp_place_error(place, diags, "bpf: %s", pcap_geterr(pcap));
	else
		*out = program;
	pcap_close(pcap);
	return result != 0 ? -EINVAL : 0;
}
