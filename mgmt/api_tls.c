/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner: the control thread, which opens, reads anew and closes; the API threads look at tokens and certificate, under the API's lock. The
 * library for HTTP speaks TLS; here its files are read and judged, so that a fault is told by name and not met by the first client.
 */
#define _GNU_SOURCE /* SOCK_CLOEXEC, explicit_bzero */
#include "mgmt/api_tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG         64
#define FILE_BYTES_MAX  (256u << 10)
#define TOKEN_BYTES_MIN 32 /* shorter ones can be guessed */
#define CHAIN_MAX       16

/* --- files ----------------------------------------------------------------------------------------------------------------------- */

static void wipe_bytes(char *bytes, size_t size)
{
	explicit_bzero(bytes, size);
	free(bytes);
}

static void wipe(char **text)
{
	if (*text != NULL)
		wipe_bytes(*text, strlen(*text));
	*text = NULL;
}

static int no_file(const char *path, const char *what, int rc, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s %s: %s", what, path, strerror(-rc));
	return rc;
}

/* A whole text file; `secret` ones must be closed to others. */
static int read_file(const char *path, const char *what, bool secret, char **text, char *why, size_t why_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO would have the control thread wait */
	struct stat st;
	size_t size = 0;
	ssize_t n = 0;
	int rc = 0;
	char *buf;

	if (fd < 0)
		return no_file(path, what, -errno, why, why_size);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
		close(fd);
		snprintf(why, why_size, "%s %s is no file of at most %u KB", what, path, FILE_BYTES_MAX >> 10);
		return -EINVAL;
	}
	if (secret && (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
		close(fd);
		snprintf(why, why_size, "%s %s is open to others: `chmod 600 %s`", what, path, path);
		return -EPERM;
	}
	buf = calloc(1, FILE_BYTES_MAX + 1);
	while (buf != NULL && size < FILE_BYTES_MAX && (n = read(fd, buf + size, FILE_BYTES_MAX - size)) > 0)
		size += (size_t)n;
	if (buf == NULL || n < 0)
		rc = no_file(path, what, buf == NULL ? -ENOMEM : -errno, why, why_size);
	close(fd);
	if (rc == 0 && strlen(buf) != size) {
		snprintf(why, why_size, "%s %s: a NUL is in it", what, path);
		rc = -EINVAL;
	}
	if (rc == 0)
		*text = buf;
	else if (buf != NULL)
		wipe_bytes(buf, size);
	return rc;
}

/* --- certificate and key --------------------------------------------------------------------------------------------------------- */

/* Whether the chain's first certificate is in force now. */
static bool in_force(const gnutls_datum_t *pem, char *why, size_t why_size)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned int n = CHAIN_MAX;
	time_t now = time(NULL), from, until;
	int rc = gnutls_x509_crt_list_import(chain, &n, pem, GNUTLS_X509_FMT_PEM, 0);

	if (rc <= 0) {
		snprintf(why, why_size, "holds no certificate in PEM form (%s)", gnutls_strerror(rc));
		return false;
	}
	from = gnutls_x509_crt_get_activation_time(chain[0]);
	until = gnutls_x509_crt_get_expiration_time(chain[0]);
	for (int i = 0; i < rc; i++)
		gnutls_x509_crt_deinit(chain[i]);
	if (now >= from && now <= until)
		return true;
	snprintf(why, why_size, "%s", now < from ? "is not valid yet: look at the clock" : "has expired: renew it");
	return false;
}

/* gnutls only reads it, but its member is not const. */
static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text, .size = (unsigned int)strlen(text)};
}

/* An expired certificate is refused: clients would refuse it, and whoever turned that check off should learn of it. */
static int judge(const struct sp_tls_config *config, const struct sp_tls_certificate *certificate, char *why, size_t why_size)
{
	const gnutls_datum_t cert_pem = datum(certificate->chain), key_pem = datum(certificate->key);
	gnutls_certificate_credentials_t credentials;
	char reason[128];
	int rc;

	if (!in_force(&cert_pem, reason, sizeof(reason))) {
		snprintf(why, why_size, "api.certificate %s %s", config->certificate, reason);
		return -EINVAL;
	}
	if (gnutls_certificate_allocate_credentials(&credentials) != 0) {
		snprintf(why, why_size, "no memory for the API's certificate");
		return -ENOMEM;
	}
	rc = gnutls_certificate_set_x509_key_mem(credentials, &cert_pem, &key_pem, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	if (rc >= 0)
		return 0;
	snprintf(why, why_size, "api.key %s does not serve with api.certificate %s: %s", config->key, config->certificate,
		gnutls_strerror(rc));
	return -EINVAL;
}

void sp_tls_certificate_wipe(struct sp_tls_certificate *certificate)
{
	wipe(&certificate->chain);
	wipe(&certificate->key);
}

int sp_tls_read_certificate(const struct sp_tls *tls, struct sp_tls_certificate *certificate, char *why, size_t why_size)
{
	const struct sp_tls_config *config = &tls->config;
	int rc;

	*certificate = (struct sp_tls_certificate){0};
	rc = read_file(config->certificate, "api.certificate", false, &certificate->chain, why, why_size);
	if (rc == 0)
		rc = read_file(config->key, "api.key", true, &certificate->key, why, why_size);
	if (rc == 0)
		rc = judge(config, certificate, why, why_size);
	if (rc != 0)
		sp_tls_certificate_wipe(certificate);
	return rc;
}

/* Made anew for each handshake: it lasts as long as that does, whatever a reload brings meanwhile. */
int sp_tls_show(const struct sp_tls *tls, gnutls_pcert_st **chain, unsigned int *length, gnutls_privkey_t *key)
{
	const gnutls_datum_t cert_pem = datum(tls->certificate.chain), key_pem = datum(tls->certificate.key);

	*length = CHAIN_MAX;
	*chain = gnutls_calloc(CHAIN_MAX, sizeof(**chain));
	if (*chain == NULL || gnutls_pcert_list_import_x509_raw(*chain, length, &cert_pem, GNUTLS_X509_FMT_PEM, 0) < 0)
		goto err_free;
	if (gnutls_privkey_init(key) < 0)
		goto err_chain;
	if (gnutls_privkey_import_x509_raw(*key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0) >= 0)
		return 0;

	gnutls_privkey_deinit(*key);
err_chain:
	for (unsigned int i = 0; i < *length; i++)
		gnutls_pcert_deinit(&(*chain)[i]);
err_free:
	gnutls_free(*chain);
	return -1;
}

/* --- tokens ---------------------------------------------------------------------------------------------------------------------- */

/* NULL, or what is wrong with the line. */
static const char *read_token(struct sp_tls_tokens *tokens, char *line)
{
	char *save = NULL;
	const char *name = strtok_r(line, " \t\r", &save), *role, *token;
	struct sp_tls_token *into = &tokens->v[tokens->n];

	if (name == NULL || name[0] == '#')
		return NULL;
	role = strtok_r(NULL, " \t\r", &save);
	token = strtok_r(NULL, " \t\r", &save);
	if (token == NULL || strtok_r(NULL, " \t\r", &save) != NULL)
		return "a line is NAME read|write TOKEN";
	if (tokens->n == SP_TLS_TOKENS_MAX)
		return "there may be 16 tokens";
	if (strcmp(role, "read") != 0 && strcmp(role, "write") != 0)
		return "the second word is read or write";
	if (strlen(name) >= sizeof(into->name))
		return "a name has at most 31 bytes";
	if (strlen(token) < TOKEN_BYTES_MIN || strlen(token) >= sizeof(into->token))
		return "a token has 32 to 255 bytes: `openssl rand -hex 32` makes one";
	*into = (struct sp_tls_token){.write = role[0] == 'w'};
	memcpy(into->name, name, strlen(name));
	memcpy(into->token, token, strlen(token));
	tokens->n++;
	return NULL;
}

int sp_tls_read_tokens(const struct sp_tls *tls, struct sp_tls_tokens *tokens, char *why, size_t why_size)
{
	const char *path = tls->config.tokens, *fault;
	char *text = NULL, *at, *line;
	unsigned int number = 0;
	int rc;

	*tokens = (struct sp_tls_tokens){0};
	rc = read_file(path, "api.tokens", true, &text, why, why_size);
	if (rc != 0)
		return rc;
	for (at = text; (line = strsep(&at, "\n")) != NULL;) {
		number++;
		fault = read_token(tokens, line);
		if (fault == NULL || rc != 0)
			continue;
		snprintf(why, why_size, "%s:%u: %s", path, number, fault);
		rc = -EINVAL;
	}
	wipe_bytes(text, FILE_BYTES_MAX);
	if (rc == 0 && tokens->n == 0) {
		snprintf(
			why, why_size, "%s:%u: no token is in it: nobody could use the API; a line is NAME read|write TOKEN", path, number);
		rc = -EINVAL;
	}
	return rc;
}

static_assert(sizeof(struct sp_tls_token) == SP_TLS_TOKEN_NAME + 1 + SP_TLS_TOKEN_LENGTH, "compared as bytes");

bool sp_tls_has(const struct sp_tls *tls, const struct sp_tls_token *token)
{
	for (unsigned int i = 0; i < tls->tokens.n; i++)
		if (memcmp(&tls->tokens.v[i], token, sizeof(*token)) == 0)
			return true;
	return false;
}

const struct sp_tls_token *sp_tls_admits(const struct sp_tls *tls, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	const struct sp_tls_token *found = NULL;
	char given[SP_TLS_TOKEN_LENGTH] = "";

	if (authorization == NULL || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	authorization += sizeof(scheme) - 1;
	authorization += strspn(authorization, " ");
	if (strlen(authorization) >= sizeof(given))
		return NULL;
	memcpy(given, authorization, strlen(authorization));
	/* every token, and every byte of each: what is right of a guess does not show */
	for (unsigned int i = 0; i < tls->tokens.n; i++) {
		unsigned char differs = 0;

		for (size_t b = 0; b < sizeof(given); b++)
			differs |= (unsigned char)(given[b] ^ tls->tokens.v[i].token[b]);
		if (differs == 0)
			found = &tls->tokens.v[i];
	}
	explicit_bzero(given, sizeof(given));
	return found;
}

/* --- the socket ------------------------------------------------------------------------------------------------------------------ */

/* By hand: getaddrinfo takes any number, and none. */
static unsigned int read_port(const char *text)
{
	unsigned int port = 0;

	if (strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return 0;
	for (; *text != '\0'; text++)
		port = port * 10 + (unsigned int)(*text - '0');
	return port <= UINT16_MAX ? port : 0;
}

/* NULL when it is none. */
static struct addrinfo *resolve(const char *listen, unsigned int *port)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(listen, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - listen);
	struct addrinfo *found = NULL;
	char host[64];

	if (n == 0 || n >= sizeof(host) || (*port = read_port(colon + 1)) == 0)
		return NULL;
	memcpy(host, listen, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
	} else if (strchr(host, ':') != NULL) { /* which colon is the port's? */
		return NULL;
	}
	return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

unsigned int sp_tls_listen_port(const char *listen)
{
	unsigned int port;
	struct addrinfo *found = resolve(listen, &port);

	if (found == NULL)
		return 0;
	freeaddrinfo(found);
	return port;
}

static int open_socket(const struct sp_tls_config *config, char *why, size_t why_size)
{
	unsigned int port;
	struct addrinfo *at = resolve(config->listen, &port);
	int rc, fd, on = 1;

	if (at == NULL) {
		snprintf(why, why_size, "api.listen \"%s\" is not ADDRESS:PORT", config->listen);
		return -EINVAL;
	}
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && config->device != NULL &&
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->device, (socklen_t)strlen(config->device)) != 0) {
		rc = -errno;
		snprintf(why, why_size, "api.device \"%s\": %s; `ip link` lists the interfaces", config->device, strerror(-rc));
		close(fd);
		freeaddrinfo(at);
		return rc;
	}
	/* IP_FREEBIND: the address may come later than the firewall. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) != 0 ||
		(at->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
		bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		rc = -errno;
		snprintf(why, why_size, "api.listen %s: %s", config->listen, strerror(-rc));
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	freeaddrinfo(at);
	return fd;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

static const char *copy(const char *text, bool *good)
{
	char *made = text != NULL ? strdup(text) : NULL;

	*good &= text == NULL || made != NULL;
	return made;
}

bool sp_tls_init(struct sp_tls *tls, const struct sp_tls_config *config)
{
	bool good = true;

	*tls = (struct sp_tls){.fd = -1,
		.config = {.listen = copy(config->listen, &good),
			.device = copy(config->device, &good),
			.certificate = copy(config->certificate, &good),
			.key = copy(config->key, &good),
			.tokens = copy(config->tokens, &good)}};
	if (!good)
		sp_tls_close(tls);
	return good;
}

int sp_tls_open(struct sp_tls *tls, char *why, size_t why_size)
{
	int rc = sp_tls_read_certificate(tls, &tls->certificate, why, why_size);

	if (rc == 0)
		rc = sp_tls_read_tokens(tls, &tls->tokens, why, why_size);
	if (rc == 0)
		rc = open_socket(&tls->config, why, why_size);
	if (rc < 0) {
		sp_tls_shut(tls);
		return rc;
	}
	tls->fd = rc;
	return 0;
}

void sp_tls_shut(struct sp_tls *tls)
{
	if (tls->fd >= 0)
		close(tls->fd);
	tls->fd = -1;
	sp_tls_certificate_wipe(&tls->certificate);
	explicit_bzero(&tls->tokens, sizeof(tls->tokens));
}

void sp_tls_close(struct sp_tls *tls)
{
	struct sp_tls_config *config = &tls->config;
	const char *const strings[] = {config->listen, config->device, config->certificate, config->key, config->tokens};

	sp_tls_shut(tls);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free((void *)(uintptr_t)strings[i]);
	*config = (struct sp_tls_config){0};
}
