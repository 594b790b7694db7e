/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A libmicrohttpd thread with poll serves all connections of the unix socket, another those over TLS; a request is judged at its headers,
 * its body is collected up to the resource's bound, then its resource answers at once or leaves a job with the control thread while the
 * connection is suspended. The two threads are one to the rest: what they do for a request they do under the API's lock. A job, and the
 * call it is part of, belongs to the control thread between submit and done.
 *
 * Each handshake asks for the certificate, so a new one needs no new daemon. Whoever connects has ADMIT_MS to have a request admitted; a
 * body and the next request have a bound too, so that no connection is held by drips.
 */
#define _GNU_SOURCE /* strcasestr, struct ucred, explicit_bzero */
#include "mgmt/api.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "mgmt/api_connections.h"
#include "mgmt/api_tls.h"
#include "mgmt/problem.h"
#include "mgmt/res.h"
#include "mgmt/socket.h"
#include "mgmt/state.h"
#include "rules/scan.h"

#define CONNECTION_MEMORY_BYTES 32768        /* headers of one request fit in less */
#define HEADER_SEC              3            /* a connection that has not sent a request, and says nothing for this long, is closed */
#define IDLE_SEC                10           /* one that has, and was admitted */
#define ADMIT_MS                10000        /* from the connection's start, or the last answer, to a request that is admitted */
#define REQUEST_MS              60000        /* a body must arrive within this, however steadily it drips */
#define BODIES_BYTES            (192u << 20) /* of all requests together */
#define BODY_FIRST_BYTES        (16u << 10)  /* a body's buffer starts here and doubles */
#define EXPLAIN_BYTES           (16u << 10)
#define CAPTURE_BYTES           (16u << 10)
#define DRAIN_BYTES             (16u << 10)
#define WASTE_BYTES             (SP_SCAN_SIZE_MAX) /* read and thrown away of a body that is too large, so that its sender reads the answer */

#define TLS_CONNECTIONS          64 /* whoever has no token may hold these, and no more */
#define TLS_CONNECTIONS_PER_HOST 16 /* an IPv4 address, or a /64 */
#define TLS_PRIORITIES           "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define WHY_SIZE                 320

struct listener {
	struct sp_api *api;
	bool tls;                  /* requests need a token */
	struct MHD_Daemon *daemon; /* control thread */
};

struct sp_api {
	struct sp_mgmt *mgmt;
	struct sp_socket sock;
	struct listener local, remote;
	pthread_mutex_t lock; /* of all that follows */
	struct sp_tls tls;    /* config.listen NULL: not asked for; the control thread alone changes it, and its configuration does not */
	struct sp_connection *connections;
	size_t bodies_bytes;
	char why[SP_DEGRADED_COUNT][WHY_SIZE];
};

static const struct sp_route routes[] = {
	{.path = "/v1/status", .method = "GET", .handle = sp_res_status},
	{.path = "/v1/ready", .method = "GET", .handle = sp_res_ready},
	{.path = "/v1/stats", .method = "GET", .handle = sp_res_stats},
	{.path = "/v1/ports", .method = "GET", .handle = sp_res_ports},
	{.path = "/v1/workers", .method = "GET", .handle = sp_res_workers},
	{.path = "/v1/rules", .method = "GET", .handle = sp_res_rules},
	{.path = "/v1/rules",
		.method = "PUT",
		.handle = sp_res_rules_put,
		.body_max = SP_SCAN_SIZE_MAX,
		.params = {"dry-run", "force", "confirm", "sessions"}},
	{.path = "/v1/rules/", .prefix = true, .method = "GET", .handle = sp_res_rule},
	{.path = "/v1/reload", .method = "POST", .handle = sp_res_reload, .params = {"sessions"}},
	{.path = "/v1/sessions",
		.method = "GET",
		.handle = sp_res_sessions,
		.params = {"ip", "port", "proto", "rule", "state", "zone", "limit", "cursor"}},
	{.path = "/v1/sessions",
		.method = "DELETE",
		.handle = sp_res_sessions_delete,
		.params = {"ip", "port", "proto", "rule", "state", "zone", "all"}},
	{.path = "/v1/explain", .method = "POST", .asks = true, .handle = sp_res_explain, .body_max = EXPLAIN_BYTES},
	{.path = "/v1/events", .method = "GET", .handle = sp_res_events, .params = {"type", "rule", "ip"}},
	{.path = "/v1/drops", .method = "GET", .handle = sp_res_drops, .params = {"ip", "port", "reason"}},
	{.path = "/v1/captures", .method = "GET", .handle = sp_res_captures},
	{.path = "/v1/captures", .method = "POST", .handle = sp_res_captures_post, .body_max = CAPTURE_BYTES},
	{.path = "/v1/captures/", .prefix = true, .method = "GET", .handle = sp_res_capture},
	{.path = "/v1/captures/", .prefix = true, .method = "DELETE", .handle = sp_res_capture_delete},
	{.path = "/v1/routes", .method = "GET", .handle = sp_res_routes, .params = {"family", "prefix", "address", "limit", "cursor"}},
	{.path = "/v1/neighbours", .method = "GET", .handle = sp_res_neighbours, .params = {"family", "link", "limit", "cursor"}},
	{.path = "/v1/nat", .method = "GET", .handle = sp_res_nat, .params = {"limit", "cursor"}},
	{.path = "/v1/nat/backends", .method = "POST", .handle = sp_res_nat_backends_post, .body_max = DRAIN_BYTES},
	{.path = "/metrics", .method = "GET", .handle = sp_res_metrics, .params = {"rules"}},
	{.path = "/openapi.yaml", .method = "GET", .handle = sp_res_openapi},
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- what resources ask about a call ------------------------------------------------------------------------------------------ */

const char *sp_call_param(const struct sp_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool sp_call_address(struct sp_call *call, bool *has, struct sp_addr_range *range)
{
	const char *text = sp_call_param(call, "ip"), *why = "not an address";

	*has = text != NULL;
	if (text == NULL || sp_addr_range_parse(text, strlen(text), range, &why) == 0)
		return true;
	sp_problem(&call->reply, 400, "bad-parameter", "ip takes an address, prefix or range: %s", why);
	return false;
}

json_t *sp_call_object(struct sp_call *call, const char *example)
{
	json_error_t error;
	json_t *json;

	if (call->size == 0)
		return json_object();
	json = json_loadb(call->body, call->size, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL)
		sp_problem(&call->reply, 400, "bad-json", "the body is not JSON: line %d, column %d: %s", error.line, error.column,
			error.text);
	else if (!json_is_object(json))
		sp_problem(&call->reply, 400, "bad-json", "the body must be an object, as in %s", example);
	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

const char *sp_call_header(const struct sp_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

static struct sp_peer remote_peer(const struct sp_call *call)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct sp_peer peer = {.known = true, .remote = true};

	snprintf(peer.token, sizeof(peer.token), "%s", call->link->token.name);
	if (info != NULL && info->client_addr != NULL)
		(void)getnameinfo(info->client_addr,
			info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), peer.address,
			sizeof(peer.address), NULL, 0, NI_NUMERICHOST);
	return peer;
}

struct sp_peer sp_call_peer(const struct sp_call *call)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (call->link->has_token)
		return remote_peer(call);
	if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
		return (struct sp_peer){0};
	return (struct sp_peer){.known = true, .uid = credentials.uid, .gid = credentials.gid, .pid = credentials.pid};
}

int sp_call_parse_number(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (text == NULL || *text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		unsigned int digit = (unsigned int)(unsigned char)*text - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	if (n > max)
		return -EINVAL;
	*value = n;
	return 0;
}

bool sp_call_number(struct sp_call *call, const char *name, uint64_t lo, uint64_t hi, uint64_t *value)
{
	const char *text = sp_call_param(call, name);
	uint64_t n;

	if (text == NULL)
		return true;
	if (sp_call_parse_number(text, hi, &n) != 0 || n < lo) {
		sp_problem(&call->reply, 400, "bad-parameter", "%s takes a number from %llu to %llu", name, (unsigned long long)lo,
			(unsigned long long)hi);
		return false;
	}
	*value = n;
	return true;
}

bool sp_call_bool(struct sp_call *call, const char *name, bool *value)
{
	const char *text = sp_call_param(call, name);

	*value = false;
	if (text == NULL || strcmp(text, "0") == 0 || strcmp(text, "false") == 0)
		return true;
	if (strcmp(text, "1") == 0 || strcmp(text, "true") == 0) {
		*value = true;
		return true;
	}
	sp_problem(&call->reply, 400, "bad-parameter", "%s takes 1 or 0", name);
	return false;
}

const char *sp_call_type(const struct sp_call *call, char *buf, size_t size)
{
	const char *text = sp_call_header(call, MHD_HTTP_HEADER_CONTENT_TYPE);
	size_t n = 0;

	for (; text != NULL && *text != '\0' && *text != ';' && *text != ' ' && *text != '\t' && n + 1 < size; text++)
		buf[n++] = *text >= 'A' && *text <= 'Z' ? (char)(*text + 'a' - 'A') : *text;
	buf[n] = '\0';
	return buf;
}

bool sp_call_wants_text(const struct sp_call *call)
{
	const char *accept = sp_call_header(call, MHD_HTTP_HEADER_ACCEPT);
	const char *text = accept != NULL ? strcasestr(accept, "text/plain") : NULL;
	const char *json = accept != NULL ? strcasestr(accept, "application/json") : NULL;

	return text != NULL && (json == NULL || text < json);
}

/* --- judging a request by its headers ----------------------------------------------------------------------------------------- */

static bool path_matches(const struct sp_route *route, const char *path, const char **argument)
{
	size_t n = strlen(route->path);

	*argument = "";
	if (!route->prefix)
		return strcmp(path, route->path) == 0;
	if (strncmp(path, route->path, n) != 0 || path[n] == '\0' || strchr(path + n, '/') != NULL)
		return false;
	*argument = path + n;
	return true;
}

static void find_route(struct sp_call *call, const char *path, const char *method)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	char allow[sizeof(call->reply.allow)] = "";
	const char *argument;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		size_t n = strlen(allow);

		if (!path_matches(&routes[i], path, &argument))
			continue;
		if (strcmp(routes[i].method, wanted) == 0) {
			call->route = &routes[i];
			call->argument = argument;
			return;
		}
		snprintf(allow + n, sizeof(allow) - n, "%s%s%s", n != 0 ? ", " : "", routes[i].method,
			strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
	}
	if (allow[0] == '\0') {
		sp_problem(&call->reply, 404, "no-such-resource", "there is no %.200s here; GET /openapi.yaml lists what there is", path);
		return;
	}
	sp_problem(&call->reply, 405, "method-not-allowed", "%.200s takes %s", path, allow);
	memcpy(call->reply.allow, allow, sizeof(allow));
}

struct param_check {
	struct sp_call *call;
	unsigned int seen; /* bit: index in route->params */
};

static enum MHD_Result check_param(
	void *context, enum MHD_ValueKind kind, const char *key, size_t key_size, const char *value, size_t value_size)
{
	struct param_check *check = context;
	struct sp_reply *reply = &check->call->reply;
	const char *const *params = check->call->route->params;
	unsigned int i = 0;

	(void)kind;
	while (params[i] != NULL && strcmp(params[i], key) != 0)
		i++;
	if (strlen(key) != key_size || params[i] == NULL)
		sp_problem(reply, 400, "unknown-parameter", "there is no query parameter %.64s here", key);
	else if ((check->seen & (1u << i)) != 0)
		sp_problem(reply, 400, "bad-parameter", "%s is given twice", params[i]);
	else if (value == NULL || value_size == 0 || strlen(value) != value_size)
		sp_problem(reply, 400, "bad-parameter", "%s needs a value, as in ?%s=…", params[i], params[i]);
	check->seen |= 1u << i;
	return reply->status == 0 ? MHD_YES : MHD_NO;
}

static void refuse_size(struct sp_call *call)
{
	if (call->route->body_max == 0)
		sp_problem(&call->reply, 413, "too-large", "this call takes no body");
	else
		sp_problem(&call->reply, 413, "too-large", "the body is over %zu bytes", call->route->body_max);
}

static void check_body(struct sp_call *call)
{
	const char *length = sp_call_header(call, MHD_HTTP_HEADER_CONTENT_LENGTH);
	const char *encoding = sp_call_header(call, MHD_HTTP_HEADER_CONTENT_ENCODING);
	uint64_t n = 0;

	if (length != NULL && sp_call_parse_number(length, UINT64_MAX, &n) != 0)
		sp_problem(&call->reply, 400, "bad-request", "Content-Length is not a number");
	else if (n > call->route->body_max)
		refuse_size(call);
	else if (encoding != NULL && strcasecmp(encoding, "identity") != 0)
		sp_problem(&call->reply, 415, "content-encoding", "the body is encoded as %.32s: send it plain", encoding);
}

/* Over TLS, before anything else is told: who has no token learns nothing of paths. */
static bool admit(const struct listener *listener, struct sp_call *call)
{
	struct sp_connection *link = call->link;

	if (listener->tls) {
		const struct sp_tls_token *token = sp_tls_admits(&listener->api->tls, sp_call_header(call, MHD_HTTP_HEADER_AUTHORIZATION));

		if (token == NULL) {
			sp_problem(&call->reply, 401, "no-token", "send a token of the API: Authorization: Bearer TOKEN");
			call->reply.authenticate = true;
			return false;
		}
		link->token = *token;
		link->has_token = true;
	}
	link->end_ms = call->started_ms + REQUEST_MS;
	(void)MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned int)IDLE_SEC);
	return true;
}

/* Whether the token may do what the route does. */
static bool permit(struct sp_call *call)
{
	const struct sp_connection *link = call->link;

	if (!link->has_token || link->token.write || call->route->asks || strcmp(call->route->method, "GET") == 0)
		return true;
	sp_problem(&call->reply, 403, "read-only-token", "the token %s may only read: use one whose line in api.tokens says write",
		link->token.name);
	return false;
}

/* Fills call->reply when the request can be refused without its body. */
static void judge(const struct listener *listener, struct sp_call *call, const char *path, const char *method)
{
	struct param_check check = {.call = call};

	call->judged = true;
	if (!admit(listener, call))
		return;
	if (call->bad_uri) {
		sp_problem(&call->reply, 400, "bad-request", "the address contains a NUL");
		return;
	}
	find_route(call, path, method);
	if (call->route == NULL || !permit(call))
		return;
	MHD_get_connection_values_n(call->connection, MHD_GET_ARGUMENT_KIND, check_param, &check);
	if (call->reply.status == 0)
		check_body(call);
}

/* --- body, dispatch, answer --------------------------------------------------------------------------------------------------- */

static bool grow(struct sp_api *api, struct sp_call *call, size_t need)
{
	size_t capacity = call->capacity != 0 ? call->capacity : BODY_FIRST_BYTES;
	char *body;

	while (capacity < need)
		capacity *= 2;
	if (capacity == call->capacity)
		return true;
	if (api->bodies_bytes + (capacity - call->capacity) > BODIES_BYTES)
		return false;
	body = realloc(call->body, capacity);
	if (body == NULL)
		return false;
	api->bodies_bytes += capacity - call->capacity;
	call->body = body;
	call->capacity = capacity;
	return true;
}

/* Keeps a piece of the body, or throws it away when the request is lost already. MHD_NO cuts the connection. */
static enum MHD_Result collect(struct sp_api *api, struct sp_call *call, const char *data, size_t size)
{
	if (now_ms() - call->started_ms > REQUEST_MS)
		return MHD_NO;
	if (!call->too_large && size > call->route->body_max - call->size)
		call->too_large = true;
	else if (!call->too_large && !call->no_memory && !grow(api, call, call->size + size + 1))
		call->no_memory = true;
	if (call->too_large || call->no_memory) {
		call->wasted += size;
		return call->wasted <= WASTE_BYTES ? MHD_YES : MHD_NO;
	}
	memcpy(call->body + call->size, data, size);
	call->size += size;
	call->body[call->size] = '\0';
	return MHD_YES;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value); /* fails without memory only: the body still tells */
}

static enum MHD_Result send_reply(struct sp_call *call)
{
	struct sp_reply *reply = &call->reply;
	struct MHD_Response *response;
	enum MHD_Result result;
	char number[16];

	if (reply->body != NULL)
		response = MHD_create_response_from_buffer(reply->size, reply->body, MHD_RESPMEM_MUST_FREE);
	else /* MHD only reads a persistent buffer, but its parameter is not const */
		response = MHD_create_response_from_buffer(reply->size, (void *)(uintptr_t)reply->fixed, MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
		return MHD_NO;
	reply->body = NULL;
	add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	if (reply->etag != 0) {
		snprintf(number, sizeof(number), "\"%u\"", reply->etag);
		add_header(response, MHD_HTTP_HEADER_ETAG, number);
	}
	if (reply->allow[0] != '\0')
		add_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
	if (reply->authenticate) {
		add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"sallyport\"");
		add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	}
	if (reply->retry_after != 0) {
		snprintf(number, sizeof(number), "%u", reply->retry_after);
		add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, number);
	}
	result = MHD_queue_response(call->connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_stream(struct sp_call *call)
{
	enum MHD_Result result = MHD_queue_response(call->connection, MHD_HTTP_OK, call->stream);

	MHD_destroy_response(call->stream);
	call->stream = NULL;
	return result;
}

/* On the control thread: the job is over. The call may be freed as soon as its connection is resumed. */
static void job_done(struct sp_job *job)
{
	struct sp_call *call = job->context;

	MHD_resume_connection(call->connection);
}

/*
 * Gives the job to the control thread. The connection is suspended first, for the job may be over before submit returns. When it is not
 * taken, the reply is made here and the resumed connection sends it.
 */
static void submit(struct sp_call *call)
{
	int rc;

	call->waiting = true;
	call->job.done = job_done;
	call->job.context = call;
	call->job.by = sp_call_peer(call);
	MHD_suspend_connection(call->connection);
	rc = sp_control_submit(&call->mgmt->control, &call->job);
	if (rc == 0)
		return;
	if (rc == -EAGAIN) {
		sp_problem(&call->job.reply, 503, "busy", "%u changes are waiting already: try again", SP_JOBS_MAX);
		call->job.reply.retry_after = 1;
	} else {
		sp_problem(&call->job.reply, 503, "leaving", "the firewall is shutting down");
	}
	MHD_resume_connection(call->connection);
}

static enum MHD_Result dispatch(struct sp_call *call)
{
	call->link->end_ms = SP_CONNECTION_NO_END;
	if (call->too_large) {
		refuse_size(call);
	} else if (call->no_memory) {
		sp_problem(&call->reply, 503, "busy", "too many bodies are on their way: try again");
		call->reply.retry_after = 1;
	} else {
		call->route->handle(call);
	}
	if (call->stream != NULL)
		return send_stream(call);
	if (call->reply.status == 0 && call->job.kind != SP_JOB_NONE) {
		submit(call);
		return MHD_YES;
	}
	if (call->reply.status == 0)
		sp_reply_body(&call->reply, 500, NULL, NULL, 0);
	return send_reply(call);
}

static enum MHD_Result serve(const struct listener *listener, struct sp_call *call, struct MHD_Connection *connection, const char *url,
	const char *method, const char *upload_data, size_t *upload_data_size)
{
	if (call->link->cut)
		return MHD_NO;
	if (call->waiting) {
		sp_reply_clear(&call->reply);
		call->reply = call->job.reply;
		memset(&call->job.reply, 0, sizeof(call->job.reply));
		return send_reply(call);
	}
	if (!call->judged) {
		call->connection = connection;
		judge(listener, call, url, method);
		return call->reply.status != 0 ? send_reply(call) : MHD_YES;
	}
	if (*upload_data_size != 0) {
		enum MHD_Result result = collect(listener->api, call, upload_data, *upload_data_size);

		*upload_data_size = 0;
		return result;
	}
	return dispatch(call);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload_data, size_t *upload_data_size, void **request)
{
	struct listener *listener = context;
	enum MHD_Result result;

	(void)version;
	if (*request == NULL) /* on_uri had no memory */
		return MHD_NO;
	pthread_mutex_lock(&listener->api->lock);
	result = serve(listener, *request, connection, url, method, upload_data, upload_data_size);
	pthread_mutex_unlock(&listener->api->lock);
	return result;
}

static struct sp_connection *link_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

/* First sight of a request: the raw address, before `%00` in it cuts a string. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
	const struct listener *listener = context;
	struct sp_connection *link = link_of(connection);
	struct sp_call *call = link != NULL ? calloc(1, sizeof(*call)) : NULL;

	if (call == NULL)
		return NULL;
	call->mgmt = listener->api->mgmt;
	call->connection = connection;
	call->link = link;
	call->argument = "";
	call->started_ms = now_ms();
	call->bad_uri = strstr(uri, "%00") != NULL;
	return call;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code)
{
	struct sp_api *api = ((struct listener *)context)->api;
	struct sp_call *call = *request;

	(void)connection;
	(void)code;
	if (call == NULL)
		return;
	pthread_mutex_lock(&api->lock);
	api->bodies_bytes -= call->capacity;
	call->link->end_ms = now_ms() + ADMIT_MS;
	pthread_mutex_unlock(&api->lock);
	sp_reply_clear(&call->reply);
	sp_reply_clear(&call->job.reply);
	free(call->body);
	free(call);
	*request = NULL;
}

/* --- connections -------------------------------------------------------------------------------------------------------------- */

static enum MHD_Result on_accept(void *context, const struct sockaddr *from, socklen_t size)
{
	struct listener *listener = context;
	struct sp_api *api = listener->api;
	unsigned int n;

	(void)size;
	if (!listener->tls)
		return MHD_YES;
	pthread_mutex_lock(&api->lock);
	n = sp_connections_from(api->connections, from);
	pthread_mutex_unlock(&api->lock);
	return n < TLS_CONNECTIONS_PER_HOST ? MHD_YES : MHD_NO;
}

static void begin_connection(struct listener *listener, struct MHD_Connection *connection, void **link)
{
	struct sp_api *api = listener->api;
	const int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	const union MHD_ConnectionInfo *from = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const int64_t now = now_ms();

	if (listener->tls) /* for show_certificate */
		gnutls_session_set_ptr(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session, listener);
	pthread_mutex_lock(&api->lock);
	sp_connections_expire(api->connections, now);
	*link = sp_connection_add(&api->connections, fd, from != NULL ? from->client_addr : NULL, now + ADMIT_MS);
	pthread_mutex_unlock(&api->lock);
	if (*link == NULL)
		(void)shutdown(fd, SHUT_RDWR);
}

/* libmicrohttpd tells of the end before it closes the descriptor. */
static void on_connection(void *context, struct MHD_Connection *connection, void **link, enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		begin_connection(listener, connection, link);
		return;
	}
	if (*link == NULL)
		return;
	pthread_mutex_lock(&listener->api->lock);
	sp_connection_remove(&listener->api->connections, *link);
	pthread_mutex_unlock(&listener->api->lock);
	*link = NULL;
}

static int show_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain, unsigned int *length,
	gnutls_ocsp_data_st **ocsp, unsigned int *ocsp_length, gnutls_privkey_t *key, unsigned int *flags)
{
	const struct listener *listener = gnutls_session_get_ptr(session);
	struct sp_api *api = listener->api;
	int rc;

	(void)info;
	pthread_mutex_lock(&api->lock);
	rc = sp_tls_show(&api->tls, chain, length, key);
	pthread_mutex_unlock(&api->lock);
	*ocsp = NULL;
	*ocsp_length = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return rc;
}

void sp_api_tick(struct sp_api *api)
{
	if (pthread_mutex_trylock(&api->lock) != 0) /* a request has it: the next tick will do */
		return;
	sp_connections_expire(api->connections, now_ms());
	pthread_mutex_unlock(&api->lock);
}

/* --- life --------------------------------------------------------------------------------------------------------------------- */

/* The threads inherit a mask that leaves every signal to the control thread. 0 or -errno. */
static int start_daemon(struct listener *listener, int fd)
{
	const bool tls = listener->tls;
	unsigned int flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | (tls ? MHD_USE_TLS : 0);
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = 0;
	/* what follows the first MHD_OPTION_END is not read */
	listener->daemon = MHD_start_daemon(flags, 0, on_accept, listener, on_request, listener, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_CONNECTION_LIMIT,
		tls ? (unsigned int)TLS_CONNECTIONS : (unsigned int)SP_API_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)HEADER_SEC, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		tls ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, show_certificate, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
		MHD_OPTION_END);
	err = errno != 0 ? errno : ENOMEM;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return listener->daemon != NULL ? 0 : -err;
}

/* Quiesced, a daemon leaves its listening socket to us. */
static void stop_daemon(struct listener *listener)
{
	if (listener->daemon == NULL)
		return;
	(void)MHD_quiesce_daemon(listener->daemon);
	MHD_stop_daemon(listener->daemon);
	listener->daemon = NULL;
}

/* Keeps a reason for the status and prints it; NULL: nothing is wrong (any more). */
static void set_degraded(struct sp_api *api, enum sp_degraded what, const char *why)
{
	if (why != NULL)
		fprintf(stderr, "sallyport: %s; %s\n", why, sp_degraded_texts[what].text);
	pthread_mutex_lock(&api->lock);
	snprintf(api->why[what], sizeof(api->why[what]), "%s", why != NULL ? why : "");
	pthread_mutex_unlock(&api->lock);
	sp_degraded_set(api->mgmt, what, why != NULL);
}

const char *sp_api_why(const struct sp_api *api, unsigned int degraded)
{
	return api->why[degraded];
}

/* Opens it unless it is. */
static int start_tls(struct sp_api *api, char *why, size_t why_size)
{
	int rc = api->tls.fd < 0 ? sp_tls_open(&api->tls, why, why_size) : 0;

	if (rc != 0)
		return rc;
	rc = start_daemon(&api->remote, api->tls.fd);
	if (rc == 0)
		return 0;
	snprintf(why, why_size, "the API thread for TLS does not start: %s", strerror(-rc));
	sp_tls_shut(&api->tls);
	return rc;
}

static void try_tls(struct sp_api *api)
{
	char why[WHY_SIZE];

	set_degraded(api, SP_DEGRADED_NO_TLS, start_tls(api, why, sizeof(why)) != 0 ? why : NULL);
}

static int start_listeners(struct sp_api *api, bool fail_closed, char *why, size_t why_size)
{
	const bool tls = api->tls.config.listen != NULL;
	int rc = tls && !fail_closed ? sp_tls_open(&api->tls, why, why_size) : 0; /* before anybody is served */

	if (rc != 0)
		return rc;
	rc = start_daemon(&api->local, api->sock.fd);
	if (rc != 0)
		snprintf(why, why_size, "the API thread does not start: %s", strerror(-rc));
	else if (tls && fail_closed)
		try_tls(api);
	else if (tls && (rc = start_tls(api, why, why_size)) != 0)
		stop_daemon(&api->local);
	return rc;
}

int sp_api_start(struct sp_mgmt *mgmt, const struct sp_api_config *config, char *why, size_t why_size)
{
	struct sp_api *api = calloc(1, sizeof(*api));
	int rc = -ENOMEM;

	if (api == NULL || pthread_mutex_init(&api->lock, NULL) != 0 || !sp_tls_init(&api->tls, &config->tls)) {
		snprintf(why, why_size, "no memory for the API");
		free(api);
		return rc;
	}
	api->mgmt = mgmt;
	api->local = (struct listener){.api = api};
	api->remote = (struct listener){.api = api, .tls = true};
	rc = sp_socket_open(&api->sock, config->path, config->mode, config->group, why, why_size);
	if (rc != 0)
		goto err_free;
	mgmt->api = api; /* its threads look there */
	rc = start_listeners(api, config->fail_closed, why, why_size);
	if (rc == 0)
		return 0;

	mgmt->api = NULL;
	sp_socket_close(&api->sock);
err_free:
	sp_tls_close(&api->tls);
	pthread_mutex_destroy(&api->lock);
	free(api);
	return rc;
}

static void renew_tokens(struct sp_api *api)
{
	struct sp_tls_tokens tokens;
	char why[WHY_SIZE];
	int rc = sp_tls_read_tokens(&api->tls, &tokens, why, sizeof(why));

	pthread_mutex_lock(&api->lock);
	api->tls.tokens = tokens;
	sp_connections_revoke(api->connections, &api->tls);
	pthread_mutex_unlock(&api->lock);
	explicit_bzero(&tokens, sizeof(tokens));
	set_degraded(api, SP_DEGRADED_TOKENS_FAULTY, rc != 0 ? why : NULL);
}

static void renew_certificate(struct sp_api *api)
{
	struct sp_tls_certificate fresh, former = {0};
	char why[WHY_SIZE];
	int rc = sp_tls_read_certificate(&api->tls, &fresh, why, sizeof(why));

	if (rc == 0) {
		pthread_mutex_lock(&api->lock);
		former = api->tls.certificate;
		api->tls.certificate = fresh;
		pthread_mutex_unlock(&api->lock);
	}
	sp_tls_certificate_wipe(&former);
	set_degraded(api, SP_DEGRADED_TLS_NOT_RENEWED, rc != 0 ? why : NULL);
}

void sp_api_reload(struct sp_api *api)
{
	if (api->tls.config.listen == NULL)
		return;
	if (api->remote.daemon == NULL) {
		try_tls(api);
		return;
	}
	renew_tokens(api);
	renew_certificate(api);
}

void sp_api_stop(struct sp_api *api)
{
	stop_daemon(&api->local);
	stop_daemon(&api->remote);
	sp_tls_close(&api->tls);
	sp_socket_close(&api->sock);
	pthread_mutex_destroy(&api->lock);
	free(api);
}

void sp_api_abandon(const struct sp_api *api)
{
	sp_socket_remove(&api->sock);
}
