/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The API over TCP: a listening socket, the certificate that it shows, and the bearer tokens that it takes (RFC 6750). Whoever has no token
 * is told nothing; one of role `read` may only ask. Who changes *tls sees to it that nobody looks at it meanwhile.
 */
#ifndef SP_MGMT_API_TLS_H
#define SP_MGMT_API_TLS_H

#include <gnutls/abstract.h>
#include <stdbool.h>
#include <stddef.h>

#define SP_TLS_TOKENS_MAX   16
#define SP_TLS_TOKEN_NAME   32  /* bytes with the final NUL */
#define SP_TLS_TOKEN_LENGTH 256 /* the same, of a token */

struct sp_tls_config {           /* strings are the configuration's */
	const char *listen;      /* ADDRESS:PORT, [ADDRESS]:PORT; NULL: no TCP */
	const char *device;      /* interface or VRF that it is bound to; NULL: none */
	const char *certificate; /* PEM file, the chain from the server's own up */
	const char *key;         /* PEM file; may not be readable by others */
	const char *tokens;      /* file with a line `NAME read|write TOKEN` each; may not be readable by others */
};

struct sp_tls_token {
	char name[SP_TLS_TOKEN_NAME];
	bool write;
	char token[SP_TLS_TOKEN_LENGTH];
};

struct sp_tls_tokens {
	struct sp_tls_token v[SP_TLS_TOKENS_MAX];
	unsigned int n;
};

struct sp_tls_certificate { /* PEM texts, owned */
	char *chain, *key;
};

struct sp_tls {
	struct sp_tls_config config; /* strings owned */
	int fd;                      /* listens; -1 when it does not */
	struct sp_tls_certificate certificate;
	struct sp_tls_tokens tokens;
};

/* The port of a text that is an address and a port as `listen` wants it, 1 to 65535; 0 when it is none. */
unsigned int sp_tls_listen_port(const char *listen);

/* Copies the configuration; nothing is open yet. False without memory, then nothing is left of it. */
bool sp_tls_init(struct sp_tls *tls, const struct sp_tls_config *config);

/*
 * Reads certificate, key and tokens, binds and listens. 0, or -errno with a one-line reason in why that says what to do; then it may be
 * tried again.
 */
int sp_tls_open(struct sp_tls *tls, char *why, size_t why_size);

/* Certificate and key as the files are now, good ones only. 0, or -errno with a reason; then *certificate is empty. */
int sp_tls_read_certificate(const struct sp_tls *tls, struct sp_tls_certificate *certificate, char *why, size_t why_size);

/*
 * The tokens that the file has now. 0, or -errno with a reason of the first fault: then *tokens has those of the lines that are good, none
 * when the file could not be read or is open to others.
 */
int sp_tls_read_tokens(const struct sp_tls *tls, struct sp_tls_tokens *tokens, char *why, size_t why_size);

/* Wipes, and frees what the certificate owns. */
void sp_tls_certificate_wipe(struct sp_tls_certificate *certificate);

/* The certificate as a handshake wants it, which frees it afterwards (GNUTLS_CERT_RETR_DEINIT_ALL). 0, or -1. */
int sp_tls_show(const struct sp_tls *tls, gnutls_pcert_st **chain, unsigned int *length, gnutls_privkey_t *key);

/* The token that an Authorization header carries, NULL when it is none of ours. The time it takes says nothing about tokens. */
const struct sp_tls_token *sp_tls_admits(const struct sp_tls *tls, const char *authorization);

/* Whether this token is in force, by this name and for the same. */
bool sp_tls_has(const struct sp_tls *tls, const struct sp_tls_token *token);

/* Closes the socket when it is open, and wipes what was read: sp_tls_open may follow. */
void sp_tls_shut(struct sp_tls *tls);

/* The same, and frees. */
void sp_tls_close(struct sp_tls *tls);

#endif
