/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner: the control thread, which opens, reloads and closes; the API threads look at tokens, under the API's lock. The library for HTTP
 * speaks TLS; here its files are read and judged, so that a fault is told by name and not met by the first client.
 */
#define _GNU_SOURCE /* SOCK_CLOEXEC, explicit_bzero */
#include "mgmt/api_tls.h"

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

static void wipe(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
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
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t size = 0;
	ssize_t n;
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
	close(fd);
	if (buf == NULL || strlen(buf) != size) {
		snprintf(why, why_size, "%s %s: %s", what, path, buf == NULL ? "no memory" : "a NUL is in it");
		free(buf);
		return buf == NULL ? -ENOMEM : -EINVAL;
	}
	*text = buf;
	return 0;
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

/* An expired certificate is refused: clients would refuse it, and whoever turned that check off should learn of it. */
static int judge(const struct sp_tls *tls, const char *certificate, const char *key, char *why, size_t why_size)
{
	/* gnutls only reads them, but its members are not const */
	gnutls_datum_t cert_pem = {.data = (unsigned char *)(uintptr_t)certificate, .size = (unsigned int)strlen(certificate)};
	gnutls_datum_t key_pem = {.data = (unsigned char *)(uintptr_t)key, .size = (unsigned int)strlen(key)};
	gnutls_certificate_credentials_t credentials;
	char reason[128];
	int rc;

	if (!in_force(&cert_pem, reason, sizeof(reason))) {
		snprintf(why, why_size, "api.certificate %s %s", tls->certificate_path, reason);
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
	snprintf(why, why_size, "api.key %s does not serve with api.certificate %s: %s", tls->key_path, tls->certificate_path,
		gnutls_strerror(rc));
	return -EINVAL;
}

/* --- tokens ---------------------------------------------------------------------------------------------------------------------- */

static int bad_line(const struct sp_tls *tls, unsigned int line, const char *what, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s:%u: %s", tls->tokens_path, line, what);
	return -EINVAL;
}

static int read_token(struct sp_tls *tls, char *line, unsigned int number, char *why, size_t why_size)
{
	char *save = NULL;
	const char *name = strtok_r(line, " \t\r", &save), *role, *token;
	struct sp_tls_token *into = &tls->tokens[tls->n_tokens];

	if (name == NULL || name[0] == '#')
		return 0;
	role = strtok_r(NULL, " \t\r", &save);
	token = strtok_r(NULL, " \t\r", &save);
	if (token == NULL || strtok_r(NULL, " \t\r", &save) != NULL)
		return bad_line(tls, number, "a line is NAME read|write TOKEN", why, why_size);
	if (tls->n_tokens == SP_TLS_TOKENS_MAX)
		return bad_line(tls, number, "there may be 16 tokens", why, why_size);
	if (strcmp(role, "read") != 0 && strcmp(role, "write") != 0)
		return bad_line(tls, number, "the second word is read or write", why, why_size);
	if (strlen(name) >= sizeof(into->name))
		return bad_line(tls, number, "a name has at most 31 bytes", why, why_size);
	if (strlen(token) < TOKEN_BYTES_MIN || strlen(token) >= sizeof(into->token))
		return bad_line(tls, number, "a token has 32 to 255 bytes: `openssl rand -hex 32` makes one", why, why_size);
	*into = (struct sp_tls_token){.write = role[0] == 'w'};
	memcpy(into->name, name, strlen(name));
	memcpy(into->token, token, strlen(token));
	tls->n_tokens++;
	return 0;
}

static int read_tokens(struct sp_tls *tls, char *why, size_t why_size)
{
	char *text = NULL, *at, *line;
	unsigned int number = 0;
	int rc = read_file(tls->tokens_path, "api.tokens", true, &text, why, why_size);

	if (rc != 0)
		return rc;
	for (at = text; rc == 0 && (line = strsep(&at, "\n")) != NULL;)
		rc = read_token(tls, line, ++number, why, why_size);
	explicit_bzero(text, FILE_BYTES_MAX);
	free(text);
	if (rc == 0 && tls->n_tokens == 0)
		rc = bad_line(tls, number, "no token is in it: nobody could use the API; a line is NAME read|write TOKEN", why, why_size);
	return rc;
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
	for (unsigned int i = 0; i < tls->n_tokens; i++) {
		unsigned char differs = 0;

		for (size_t b = 0; b < sizeof(given); b++)
			differs |= (unsigned char)(given[b] ^ tls->tokens[i].token[b]);
		if (differs == 0)
			found = &tls->tokens[i];
	}
	explicit_bzero(given, sizeof(given));
	return found;
}

/* --- the socket ------------------------------------------------------------------------------------------------------------------ */

/* NULL with a reason for getaddrinfo's number in *rc. */
static struct addrinfo *resolve(const char *listen, int *rc)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(listen, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - listen);
	struct addrinfo *found = NULL;
	char host[64];

	*rc = EAI_NONAME;
	if (n == 0 || n >= sizeof(host))
		return NULL;
	memcpy(host, listen, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
	} else if (strchr(host, ':') != NULL) { /* which colon is the port's? */
		return NULL;
	}
	*rc = getaddrinfo(host, colon + 1, &hints, &found);
	return *rc == 0 ? found : NULL;
}

bool sp_tls_listen_valid(const char *listen)
{
	struct addrinfo *found;
	int rc;

	found = resolve(listen, &rc);
	if (found != NULL)
		freeaddrinfo(found);
	return found != NULL;
}

static int open_socket(const struct sp_tls_config *config, char *why, size_t why_size)
{
	struct addrinfo *at;
	int rc, fd, on = 1;

	at = resolve(config->listen, &rc);
	if (at == NULL) {
		snprintf(why, why_size, "api.listen \"%s\" is not ADDRESS:PORT: %s", config->listen, gai_strerror(rc));
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

int sp_tls_reload(struct sp_tls *tls, char *why, size_t why_size)
{
	struct sp_tls fresh = {.certificate_path = tls->certificate_path, .key_path = tls->key_path, .tokens_path = tls->tokens_path};
	int rc = read_file(tls->certificate_path, "api.certificate", false, &fresh.certificate, why, why_size);

	if (rc == 0)
		rc = read_file(tls->key_path, "api.key", true, &fresh.key, why, why_size);
	if (rc == 0)
		rc = judge(&fresh, fresh.certificate, fresh.key, why, why_size);
	if (rc == 0)
		rc = read_tokens(&fresh, why, why_size);
	if (rc != 0) {
		wipe(&fresh.certificate);
		wipe(&fresh.key);
		explicit_bzero(fresh.tokens, sizeof(fresh.tokens));
		return rc;
	}
	wipe(&tls->certificate);
	wipe(&tls->key);
	tls->certificate = fresh.certificate;
	tls->key = fresh.key;
	memcpy(tls->tokens, fresh.tokens, sizeof(tls->tokens));
	tls->n_tokens = fresh.n_tokens;
	explicit_bzero(fresh.tokens, sizeof(fresh.tokens));
	return 0;
}

int sp_tls_open(struct sp_tls *tls, const struct sp_tls_config *config, char *why, size_t why_size)
{
	int rc;

	*tls = (struct sp_tls){.fd = -1,
		.certificate_path = strdup(config->certificate),
		.key_path = strdup(config->key),
		.tokens_path = strdup(config->tokens)};
	if (tls->certificate_path == NULL || tls->key_path == NULL || tls->tokens_path == NULL) {
		snprintf(why, why_size, "no memory for the API");
		rc = -ENOMEM;
		goto err_close;
	}
	rc = sp_tls_reload(tls, why, why_size);
	if (rc != 0)
		goto err_close;
	rc = open_socket(config, why, why_size);
	if (rc < 0)
		goto err_close;
	tls->fd = rc;
	return 0;

err_close:
	sp_tls_close(tls);
	return rc;
}

void sp_tls_close(struct sp_tls *tls)
{
	if (tls->fd >= 0)
		close(tls->fd);
	wipe(&tls->certificate);
	wipe(&tls->key);
	free(tls->certificate_path);
	free(tls->key_path);
	free(tls->tokens_path);
	explicit_bzero(tls, sizeof(*tls));
	tls->fd = -1;
}
