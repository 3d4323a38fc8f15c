/* Refuses requests that two parsers could read in two ways. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http/server-private.h"
#include "common/mem.h"

/* What the headers of one request hold. */
struct header_survey {
	unsigned lengths, hosts, encodings;
	const char *length, *encoding;
	const char *fault;
};

static bool is_token(const char *text)
{
	static const char signs[] = "!#$%&'*+-.^_`|~";

	if (!*text)
		return false;
	for (; *text; text++) {
		bool letter = (*text >= 'a' && *text <= 'z') ||
		              (*text >= 'A' && *text <= 'Z') ||
		              (*text >= '0' && *text <= '9');

		if (!letter && !strchr(signs, *text))
			return false;
	}
	return true;
}

static bool is_value(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') ||
		    *text == 0x7f)
			return false;
	return true;
}

static enum MHD_Result survey_header(void *argument, enum MHD_ValueKind kind,
                                     const char *name, size_t name_size,
                                     const char *value, size_t value_size)
{
	struct header_survey *survey = argument;

	(void)kind;
	if (!value)
		value = "";
	if (strlen(name) != name_size || strlen(value) != value_size ||
	    !is_token(name) || !is_value(value))
		survey->fault = "A header is malformed.";
	if (!strcasecmp(name, "Content-Length")) {
		survey->lengths++;
		survey->length = value;
	} else if (!strcasecmp(name, "Transfer-Encoding")) {
		survey->encodings++;
		survey->encoding = value;
	} else if (!strcasecmp(name, "Host")) {
		survey->hosts++;
	}
	return MHD_YES;
}

static struct header_survey survey_headers(const struct http_request *request)
{
	struct header_survey survey = {0};

	(void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND,
	                                  survey_header, &survey);
	return survey;
}

const char *http_check_headers(const struct http_request *request)
{
	struct header_survey survey = survey_headers(request);

	if (survey.fault)
		return survey.fault;
	if (survey.hosts > 1)
		return "There is more than one Host header.";
	if (survey.lengths > 1)
		return "There is more than one Content-Length header.";
	if (survey.encodings > 1)
		return "There is more than one Transfer-Encoding header.";
	if (survey.lengths && survey.encodings)
		return "Content-Length and Transfer-Encoding do not go "
		       "together.";
	if (survey.lengths &&
	    (!*survey.length || strlen(survey.length) > 18 ||
	     strspn(survey.length, "0123456789") != strlen(survey.length)))
		return "Content-Length is no number.";
	if (survey.encodings && strcasecmp(survey.encoding, "chunked") != 0)
		return "The Transfer-Encoding is not supported.";
	return NULL;
}

const char *http_check_target(const char *target)
{
	const char *byte;
	char *decoded;

	if (*target != '/')
		return "The request target must begin with a slash.";
	for (byte = target; *byte; byte++)
		if (*byte <= 0x20 || *byte >= 0x7f || *byte == '#')
			return "The request target is malformed.";
	/* Fields of the query that cannot be decoded are as if absent. */
	decoded = http_decode(target, strcspn(target, "?"), false);
	if (!decoded)
		return "The request target is not valid UTF-8.";
	free(decoded);
	return NULL;
}

int64_t http_declared_length(const struct http_request *request)
{
	struct header_survey survey = survey_headers(request);

	if (survey.encodings)
		return -1;
	return survey.length ? strtoll(survey.length, NULL, 10) : 0;
}

/* Appends each X-Forwarded-For to a list, in the order of the request. */
static enum MHD_Result collect_forwarded(void *argument,
                                         enum MHD_ValueKind kind,
                                         const char *name, const char *value)
{
	struct buffer *list = argument;

	(void)kind;
	if (value && !strcasecmp(name, "X-Forwarded-For"))
		(void)buffer_append_format(list, ",%s", value);
	return MHD_YES;
}

static bool is_trusted(const struct http_server *server, const char *address)
{
	struct network peer;
	size_t i;

	if (network_parse(address, &peer))
		return false;
	for (i = 0; i < server->trusted_count; i++)
		if (network_contains(&server->trusted_proxies[i], &peer))
			return true;
	return false;
}

/* Writes the canonical text of an address; false when it is none. */
static bool canonical(const char *text, char out[INET6_ADDRSTRLEN])
{
	struct in_addr v4;
	struct in6_addr v6;

	if (!strncasecmp(text, "::ffff:", 7) && strchr(text, '.'))
		text += 7;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return inet_ntop(AF_INET, &v4, out, INET6_ADDRSTRLEN);
	if (inet_pton(AF_INET6, text, &v6) == 1)
		return inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
	return false;
}

/* The address of the socket's other end. */
static void find_peer(const struct http_request *request,
                      char out[INET6_ADDRSTRLEN])
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char text[INET6_ADDRSTRLEN] = "";

	if (info && info->client_addr->sa_family == AF_INET) {
		const void *v4 = info->client_addr;

		(void)inet_ntop(AF_INET,
		                &((const struct sockaddr_in *)v4)->sin_addr,
		                text, sizeof(text));
	} else if (info && info->client_addr->sa_family == AF_INET6) {
		const void *v6 = info->client_addr;

		(void)inet_ntop(AF_INET6,
		                &((const struct sockaddr_in6 *)v6)->sin6_addr,
		                text, sizeof(text));
	}
	if (!canonical(text, out))
		memcpy(out, "unknown", sizeof("unknown"));
}

/*
 * Goes from the nearest proxy outwards for as long as the addresses are
 * trusted: what an untrusted one wrote in front is not looked at.
 */
char *http_find_client(const struct http_request *request)
{
	char address[INET6_ADDRSTRLEN], next[INET6_ADDRSTRLEN];
	struct buffer forwarded;
	char *comma, *text;

	find_peer(request, address);
	if (!is_trusted(request->server, address))
		return mem_copy_string(address);
	buffer_init(&forwarded, 4096);
	(void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND,
	                                collect_forwarded, &forwarded);
	while (forwarded.length && is_trusted(request->server, address)) {
		comma = strrchr(forwarded.data, ',');
		text = comma + 1 + strspn(comma + 1, " \t");
		text[strcspn(text, " \t")] = '\0';
		if (!canonical(text, next))
			break;
		memcpy(address, next, sizeof(address));
		*comma = '\0';
		forwarded.length = (size_t)(comma - forwarded.data);
	}
	buffer_release(&forwarded);
	return mem_copy_string(address);
}
