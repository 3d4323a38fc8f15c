/* The captcha page that a challenged sender opens: GET and POST /c/{token}. */
#ifndef CLOUD_SERVICE_CHALLENGE_PAGE_H
#define CLOUD_SERVICE_CHALLENGE_PAGE_H

#include <stdint.h>

#include "cloud-service/challenge/token.h"
#include "common/http/server.h"
#include "store/registry/registry.h"

/* Of a POSTed form; more gets 413. */
#define CHALLENGE_PAGE_MAXIMUM_BODY 4096

/* What the pages work with; the same for every request. */
struct challenge_page_context {
	struct registry *registry;
	const char *public_url; /* "https://challenge.example", no "/" at the
	                           end; may have a path */
	uint8_t token_key[TOKEN_KEY_SIZE];
	int64_t max_attempts; /* wrong answers before a challenge is closed */
	/*
	 * Called once for the one answer that moved the challenge from open to
	 * solved, on the request's thread, before the page is answered. The
	 * challenge is borrowed and was read before the move. What it leaves
	 * undone is for the job that repairs solved challenges.
	 */
	void (*solved)(void *context,
	               const struct registry_challenge *challenge);
	void *context;
};

/*
 * The pages' context within the context that the HTTP server gives to its
 * handlers. Written by whoever fills the route table (cloud.c, or a test).
 */
const struct challenge_page_context *challenge_page_context_of(
    void *http_context);

/* GET /c/{token}: shows the state; changes nothing. */
void challenge_page_get(struct http_request *request, void *context);

/*
 * POST /c/{token}, maximum body CHALLENGE_PAGE_MAXIMUM_BODY: form fields serial
 * (code_serial of the image shown) and answer; or serial and do=image for
 * another image. An image takes one answer: it is replaced before the answer
 * is told right or wrong, so that guesses sent at once count once.
 */
void challenge_page_post(struct http_request *request, void *context);

/* GET /: what this service is, for whoever doubts a challenge mail. */
void challenge_page_about(struct http_request *request, void *context);

/*
 * The server's http_explain: a page where a browser asks, and whatever is asked
 * for below /c/; false for the API and what operators ask for.
 */
bool challenge_page_explain(struct http_request *request, unsigned status,
                            void *context);

/* GET /c/{token}/image.png: the picture of the code; changes nothing. */
void challenge_page_image(struct http_request *request, void *context);

#endif
