/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The API over TCP: a listening socket, the certificate that it shows, and the bearer tokens that it takes (RFC 6750). Whoever has no token
 * is told nothing; one of role `read` may only ask.
 */
#ifndef SP_MGMT_API_TLS_H
#define SP_MGMT_API_TLS_H

#include <stdbool.h>
#include <stddef.h>

#define SP_TLS_TOKENS_MAX   16
#define SP_TLS_TOKEN_NAME   32  /* bytes with the final NUL */
#define SP_TLS_TOKEN_LENGTH 256 /* the same, of a token */

struct sp_tls_config {           /* strings stay the caller's until sp_tls_open returns */
	const char *listen;      /* ADDRESS:PORT, [ADDRESS]:PORT; NULL: no TCP */
	const char *device;      /* interface or VRF that it is bound to; NULL: none */
	const char *certificate; /* PEM file, the chain from the server's own up */
	const char *key;         /* PEM file; may not be readable by others */
	const char *tokens;      /* file with a line `NAME read|write TOKEN` each; may not be readable by others */
};

/* What is read from files, and replaced as a whole. */
struct sp_tls_token {
	char name[SP_TLS_TOKEN_NAME];
	bool write;
	char token[SP_TLS_TOKEN_LENGTH];
};

struct sp_tls {
	int fd; /* listens; -1 when it does not */
	char *certificate_path, *key_path, *tokens_path;
	char *certificate, *key; /* PEM texts */
	struct sp_tls_token tokens[SP_TLS_TOKENS_MAX];
	unsigned int n_tokens;
};

/* Whether the text is an address and a port as `listen` wants it. */
bool sp_tls_listen_valid(const char *listen);

/*
 * Reads certificate, key and tokens, binds and listens. 0, or -errno with a one-line reason in why that says what to do; then nothing is
 * left of it.
 */
int sp_tls_open(struct sp_tls *tls, const struct sp_tls_config *config, char *why, size_t why_size);

/* Reads the files again. 0, or -errno with a reason: then everything is as before. Nobody else may look at *tls meanwhile. */
int sp_tls_reload(struct sp_tls *tls, char *why, size_t why_size);

/* The token that an Authorization header carries, NULL when it is none of ours. The time it takes says nothing about tokens. */
const struct sp_tls_token *sp_tls_admits(const struct sp_tls *tls, const char *authorization);

/* Closes the socket when it is open, wipes and frees. */
void sp_tls_close(struct sp_tls *tls);

#endif
