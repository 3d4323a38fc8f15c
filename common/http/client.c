/* The REST client over libcurl. */
#include "common/http/client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/crypto.h"
#include "common/mem.h"

/* How long a cancelled call may go on. */
#define CANCEL_POLL_MS 100

struct http_client {
	CURL *easy;
	CURLM *multi;
	char *base_url;
	struct curl_slist *headers;
	struct buffer response;
	bool too_large;
	const atomic_bool *cancel;
};

int http_client_global_init(void)
{
	/* OpenSSL writes without MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	return curl_global_init(CURL_GLOBAL_DEFAULT) ? ERR_UNAVAILABLE : 0;
}

static bool is_loopback(const char *host)
{
	struct in_addr address;

	if (!strcasecmp(host, "localhost") || !strcmp(host, "[::1]"))
		return true;
	return inet_pton(AF_INET, host, &address) == 1 &&
	       ntohl(address.s_addr) >> 24 == 127;
}

/* A part of url in *text, "" where there is none; freed by curl_free(). */
static int url_part(CURLU *url, CURLUPart part, char **text)
{
	*text = NULL;
	return curl_url_get(url, part, text, 0) ? ERR_NOT_FOUND : 0;
}

static bool url_has(CURLU *url, CURLUPart part)
{
	char *text;
	bool has = !url_part(url, part, &text);

	curl_free(text);
	return has;
}

/* What is wrong with the parsed url; NULL when nothing is. */
static const char *find_fault(CURLU *url)
{
	char *scheme, *host, *path;
	const char *fault = NULL;

	(void)url_part(url, CURLUPART_SCHEME, &scheme);
	(void)url_part(url, CURLUPART_HOST, &host);
	(void)url_part(url, CURLUPART_PATH, &path);
	if (!scheme || !host || !path || strcmp(path, "/") != 0 ||
	    url_has(url, CURLUPART_QUERY) || url_has(url, CURLUPART_FRAGMENT))
		fault = "is not https://HOST[:PORT]";
	else if (url_has(url, CURLUPART_USER) ||
	         url_has(url, CURLUPART_PASSWORD))
		fault = "must not contain a user or password";
	else if (!strcmp(scheme, "http") && !is_loopback(host))
		fault = "must be https: http is for a loopback address only";
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		fault = "must be https";
	curl_free(scheme);
	curl_free(host);
	curl_free(path);
	return fault;
}

int http_client_check_url(const char *text, struct error *err)
{
	CURLU *url = curl_url();
	const char *fault = "is no URL";
	CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0)
	                     : CURLUE_OUT_OF_MEMORY;

	if (code == CURLUE_OK)
		fault = find_fault(url);
	curl_url_cleanup(url);
	/* The URL may hold a password: it is not repeated then. */
	if (fault && strchr(text, '@'))
		return error_set(err, ERR_INVALID, "the URL %s", fault);
	if (fault)
		return error_set(err, ERR_INVALID, "%.200s %s", text, fault);
	return 0;
}

static size_t receive(char *bytes, size_t size, size_t count, void *argument)
{
	struct http_client *client = argument;

	if (buffer_append(&client->response, bytes, size * count)) {
		client->too_large = true;
		return 0;
	}
	return size * count;
}

/* Frees a text that may contain the key. */
static void free_secret(char *text)
{
	explicit_bzero(text, strlen(text));
	free(text);
}

/* Appends "name: value" to the headers of every request. */
static void add_header(struct http_client *client, const char *name,
                       const char *value)
{
	char *line = mem_format("%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(client->headers, line);

	if (!longer)
		abort(); /* out of memory, as in mem.h */
	client->headers = longer;
	free_secret(line);
}

#define SET(option, value)                                                     \
	result = result ? result : curl_easy_setopt(client->easy, option, value)

/* What stays the same for all calls. */
static CURLcode set_options(struct http_client *client,
                            const struct http_client_options *options)
{
	CURLcode result = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR,
	    strncmp(options->base_url, "http:", 5) ? "https" : "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	/* Proxies and .netrc of the environment are none of ours. */
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (options->ca_file)
		SET(CURLOPT_CAINFO, options->ca_file);
	if (options->user_agent)
		SET(CURLOPT_USERAGENT, options->user_agent);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_MAXCONNECTS, 1L);
	SET(CURLOPT_WRITEFUNCTION, receive);
	SET(CURLOPT_WRITEDATA, client);
	SET(CURLOPT_HTTPHEADER, client->headers);
	return result;
}

static bool is_header_value(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x21 || *text == 0x7f)
			return false;
	return true;
}

int http_client_new(struct http_client **client,
                    const struct http_client_options *options,
                    struct error *err)
{
	struct http_client *made;

	if (http_client_check_url(options->base_url, err))
		return ERR_INVALID;
	if (options->bearer && !is_header_value(options->bearer))
		return error_set(err, ERR_INVALID,
		                 "the key contains a character that no key "
		                 "has");
	made = mem_alloc(sizeof(*made));
	made->base_url = mem_copy_string(options->base_url);
	if (made->base_url[strlen(made->base_url) - 1] == '/')
		made->base_url[strlen(made->base_url) - 1] = '\0';
	made->cancel = options->cancel;
	buffer_init(&made->response, options->maximum_response);
	add_header(made, "Accept", "application/json");
	add_header(made, "Content-Type", "application/json");
	/* No pause before the body of a POST. */
	add_header(made, "Expect", "");
	if (options->bearer) {
		char *value = mem_format("Bearer %s", options->bearer);

		add_header(made, "Authorization", value);
		free_secret(value);
	}
	made->easy = curl_easy_init();
	made->multi = curl_multi_init();
	if (!made->easy || !made->multi || set_options(made, options)) {
		http_client_free(made);
		return error_set(err, ERR_UNAVAILABLE,
		                 "libcurl cannot be set up");
	}
	*client = made;
	return 0;
}

#undef SET

void http_client_free(struct http_client *client)
{
	struct curl_slist *header;

	if (!client)
		return;
	curl_easy_cleanup(client->easy);
	(void)curl_multi_cleanup(client->multi);
	for (header = client->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(client->headers);
	buffer_release(&client->response);
	free(client->base_url);
	free(client);
}

/* What belongs to one call. */
static CURLcode set_request(struct http_client *client, const char *method,
                            const char *url, const char *body, size_t size,
                            int64_t timeout_ms)
{
	CURL *easy = client->easy;
	CURLcode result = curl_easy_setopt(easy, CURLOPT_URL, url);

	if (!result)
		result = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
		                          (long)timeout_ms);
	if (!result && body)
		result = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		                          (curl_off_t)size);
	if (!result && body)
		result = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	if (!result && !body)
		result = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (!result)
		result = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return result;
}

static bool is_cancelled(const struct http_client *client)
{
	return client->cancel && atomic_load(client->cancel);
}

/* The outcome of the transfer that curl is done with. */
static CURLcode read_outcome(struct http_client *client)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			return message->data.result;
	return CURLE_FAILED_INIT;
}

/*
 * Runs the request. By the multi interface, because the progress callback of
 * the easy one is called but once a second while nothing comes.
 */
static CURLcode perform(struct http_client *client)
{
	CURLcode result = CURLE_ABORTED_BY_CALLBACK;
	int running = 1;

	if (curl_multi_add_handle(client->multi, client->easy))
		return CURLE_FAILED_INIT;
	while (!is_cancelled(client)) {
		if (curl_multi_perform(client->multi, &running)) {
			result = CURLE_FAILED_INIT;
			break;
		}
		if (!running) {
			result = read_outcome(client);
			break;
		}
		if (curl_multi_poll(client->multi, NULL, 0, CANCEL_POLL_MS,
		                    NULL)) {
			result = CURLE_FAILED_INIT;
			break;
		}
	}
	(void)curl_multi_remove_handle(client->multi, client->easy);
	return result;
}

/* Says why no answer came, and whether the request may have been carried out.
 */
static int explain(struct http_client *client, CURLcode code,
                   const char *detail, struct error *err)
{
	long sent = 0;
	const char *text = detail[0] ? detail : curl_easy_strerror(code);

	if (client->too_large)
		return error_set(err, ERR_PROTOCOL,
		                 "the answer is larger than %zu bytes",
		                 client->response.maximum);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		text = "cancelled";
	(void)curl_easy_getinfo(client->easy, CURLINFO_REQUEST_SIZE, &sent);
	return error_set(err, sent > 0 ? ERR_UNCERTAIN : ERR_UNAVAILABLE,
	                 "%s: %s", client->base_url, text);
}

/* application/json or a structured suffix of it (RFC 6838 section 4.2.8). */
static bool is_json(const char *content_type)
{
	size_t size = content_type ? strcspn(content_type, "; \t") : 0;

	return (size == 16 &&
	        !strncasecmp(content_type, "application/json", size)) ||
	       (size > 17 && !strncasecmp(content_type, "application/", 12) &&
	        !strncasecmp(content_type + size - 5, "+json", 5));
}

static int read_answer(struct http_client *client, struct http_answer *answer,
                       struct error *err)
{
	struct http_answer made = {.retry_after_ms = -1};
	curl_off_t retry_after_s = 0;
	const char *type = NULL;
	json_error_t fault = {.text = "another type of content"};

	(void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE,
	                        &made.status);
	(void)curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER,
	                        &retry_after_s);
	(void)curl_easy_getinfo(client->easy, CURLINFO_CONTENT_TYPE, &type);
	if (retry_after_s > 0 && retry_after_s < INT32_MAX)
		made.retry_after_ms = (int64_t)retry_after_s * 1000;
	if (client->response.length) {
		if (is_json(type))
			made.body = json_loadb(client->response.data,
			                       client->response.length,
			                       JSON_REJECT_DUPLICATES, &fault);
		/* What stands between us and the peer errs in HTML. */
		if (!made.body && made.status < 400)
			return error_set(err, ERR_PROTOCOL,
			                 "answer %ld of %s is no JSON: %s",
			                 made.status, client->base_url,
			                 fault.text);
	}
	*answer = made;
	return 0;
}

int http_client_call(struct http_client *client, const char *method,
                     const char *path, const json_t *body, int64_t timeout_ms,
                     struct http_answer *answer, struct error *err)
{
	char *url, *text;
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;
	int result;

	if (is_cancelled(client))
		return error_set(err, ERR_UNAVAILABLE, "%s: cancelled",
		                 client->base_url);
	url = mem_format("%s%s", client->base_url, path);
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	buffer_reset(&client->response);
	client->too_large = false;
	(void)curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, detail);
	if (body && !text) {
		result = error_set(err, ERR_INVALID, "the body is no JSON");
		goto out;
	}
	code = set_request(client, method, url, text, text ? strlen(text) : 0,
	                   timeout_ms);
	if (!code)
		code = perform(client);
	result = code ? explain(client, code, detail, err)
	              : read_answer(client, answer, err);
out:
	(void)curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, NULL);
	(void)curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, NULL);
	free(text);
	free(url);
	return result;
}

void http_answer_release(struct http_answer *answer)
{
	json_decref(answer->body);
	*answer = (struct http_answer){0};
}

int64_t http_backoff_ms(unsigned attempt, int64_t base_ms, int64_t maximum_ms)
{
	struct backoff backoff = {.minimum_ms = base_ms,
	                          .maximum_ms = maximum_ms};
	int64_t pause_ms = backoff_delay_ms(
	    &backoff, attempt < UINT_MAX ? attempt + 1 : attempt);

	if (pause_ms <= 1)
		return pause_ms;
	if (pause_ms / 2 >= UINT32_MAX)
		return pause_ms;
	return pause_ms - random_below((uint32_t)(pause_ms / 2) + 1);
}
