/* The captcha page: what a request finds, does, and is answered. */
#include "cloud-service/challenge/page.h"

#include <ctype.h>
#include <inttypes.h>

#include "captcha/captcha.h"
#include "cloud-service/challenge/view.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"

#define PAGE_MAXIMUM 131072

/* Of the pictures that a challenge may show without an answer. */
#define IMAGES_MAXIMUM 30

#define IMAGE_WIDTH  320
#define IMAGE_HEIGHT 110

/* One request's view of its challenge. */
struct visit {
	struct http_request *request;
	const struct challenge_page_context *context;
	char token[TOKEN_TEXT_SIZE]; /* of the link; "" for none */
	struct registry_challenge challenge;
	struct registry_message message;
	struct registry_tenant tenant;
	bool has_challenge, has_message, has_tenant;
	enum text_language standard; /* the tenant's language */
};

static void visit_release(struct visit *visit)
{
	if (visit->has_challenge)
		registry_challenge_release(&visit->challenge);
	if (visit->has_message)
		registry_message_release(&visit->message);
	if (visit->has_tenant)
		registry_tenant_release(&visit->tenant);
	visit->has_challenge = visit->has_message = visit->has_tenant = false;
}

/* Logs what the store said, once, and gives the state to show for it. */
static enum challenge_view_state trouble(const struct visit *visit,
                                         const char *what,
                                         const struct error *err)
{
	char id[ID_TEXT_SIZE] = "challenge";
	if (visit->has_challenge)
		id_format(&visit->challenge.id, id);
	log_error(id, "page: %s: %s", what, err->text);
	return CHALLENGE_VIEW_TROUBLE;
}

/* What the stored challenge means for the page. */
static enum challenge_view_state state_of(const struct visit *visit)
{
	const struct registry_challenge *challenge = &visit->challenge;
	switch (challenge->state) {
	case CHALLENGE_STATE_SOLVED:
	case CHALLENGE_STATE_SETTLED:
		return CHALLENGE_VIEW_ALREADY;
	case CHALLENGE_STATE_EXPIRED:
	case CHALLENGE_STATE_BOUNCED:
		return CHALLENGE_VIEW_EXPIRED;
	case CHALLENGE_STATE_OPEN:
		break;
	}
	if (clock_wall_ms() >= challenge->expires_ms)
		return CHALLENGE_VIEW_EXPIRED;
	if (challenge->attempts >= visit->context->max_attempts)
		return CHALLENGE_VIEW_BLOCKED;
	return CHALLENGE_VIEW_OPEN;
}

/* Reads the challenge (again); the token says which. */
static enum challenge_view_state read_challenge(struct visit *visit,
                                                const struct token *token)
{
	struct error err = {0};
	struct registry_challenge challenge = {0};
	int r = registry_challenge_read(visit->context->registry,
	                                &token->subject, &challenge, &err);
	if (r == ERR_NOT_FOUND)
		return CHALLENGE_VIEW_UNKNOWN;
	if (r)
		return trouble(visit, "reading the challenge", &err);
	if (!crypto_equal(challenge.token_hash, token->hash,
	                  sizeof(token->hash))) {
		registry_challenge_release(&challenge);
		return CHALLENGE_VIEW_UNKNOWN;
	}
	if (visit->has_challenge)
		registry_challenge_release(&visit->challenge);
	visit->challenge = challenge;
	visit->has_challenge = true;
	return state_of(visit);
}

/* Who wrote to whom, for the page; a message that is gone is no fault. */
static int read_message(struct visit *visit, struct error *err)
{
	const struct registry_challenge *challenge = &visit->challenge;
	struct registry *registry = visit->context->registry;
	int r =
	    registry_message_read(registry, &challenge->tenant,
	                          &challenge->message, &visit->message, err);
	visit->has_message = r == 0;
	if (r && r != ERR_NOT_FOUND)
		return r;
	r = registry_tenant_read(registry, &challenge->tenant, &visit->tenant,
	                         err);
	visit->has_tenant = r == 0;
	if (visit->has_tenant)
		visit->standard =
		    text_language_parse(visit->tenant.language, TEXT_EN);
	return r == ERR_NOT_FOUND ? 0 : r;
}

/* Whether any message that hangs on the challenge is still held. */
static int look_for_held(struct visit *visit, bool *held, struct error *err)
{
	struct registry_query query = {
	    .challenge = &visit->challenge.id, .held = true, .limit = 1};
	struct registry_messages page = {0};
	int r =
	    registry_message_list(visit->context->registry, &query, &page, err);
	*held = r == 0 && page.count > 0;
	registry_messages_release(&page);
	return r;
}

/*
 * What the message's recipients are in, where the challenge itself is not
 * answered: an admin may have released it, or thrown it away, meanwhile. There
 * is nothing to ask for then.
 */
static int look_at_recipients(struct visit *visit,
                              enum challenge_view_state *state,
                              struct error *err)
{
	bool held = false, released = false, delivered = false;
	for (size_t i = 0; i < visit->message.recipient_count; i++) {
		enum registry_state now = visit->message.recipients[i].state;
		held = held || now == REGISTRY_HELD;
		released = released || now == REGISTRY_RELEASED;
		delivered = delivered || now == REGISTRY_DELIVERED;
	}
	int r = held ? 0 : look_for_held(visit, &held, err);
	if (!r && !held)
		*state = delivered  ? CHALLENGE_VIEW_DELIVERED
		         : released ? CHALLENGE_VIEW_RELEASED
		                    : CHALLENGE_VIEW_EXPIRED;
	return r;
}

/*
 * Mail programs take a sign behind a link for a part of it: a full stop, a
 * bracket, and what an entity left. All tokens have one length: what follows
 * is left out, unless it could be of a token.
 */
static void read_token(struct visit *visit)
{
	const char *text = http_parameter(visit->request, "token");
	size_t length = text ? strlen(text) : 0;
	if (length > TOKEN_TEXT_SIZE - 1 &&
	    !isalnum((unsigned char)text[TOKEN_TEXT_SIZE - 1]))
		length = TOKEN_TEXT_SIZE - 1;
	if (length < TOKEN_TEXT_SIZE && text)
		memcpy(visit->token, text, length);
}

/* Begins a visit: finds the challenge that the link names. */
static enum challenge_view_state visit_begin(struct visit *visit,
                                             struct http_request *request,
                                             void *context, struct token *token)
{
	*visit = (struct visit){.request = request,
	                        .context = challenge_page_context_of(context)};
	read_token(visit);
	if (token_read(visit->context->token_key, TOKEN_CHALLENGE, visit->token,
	               token))
		return CHALLENGE_VIEW_UNKNOWN;
	return read_challenge(visit, token);
}

static enum challenge_view_state add_message(struct visit *visit,
                                             enum challenge_view_state state)
{
	struct error err = {0};
	if (visit->has_challenge && read_message(visit, &err))
		return trouble(visit, "reading the message", &err);
	bool unanswered = state == CHALLENGE_VIEW_OPEN ||
	                  state == CHALLENGE_VIEW_EXPIRED ||
	                  state == CHALLENGE_VIEW_BLOCKED;
	if (unanswered && visit->has_message &&
	    look_at_recipients(visit, &state, &err))
		return trouble(visit, "reading what is held", &err);
	return state;
}

static enum text_language language_of(const struct visit *visit)
{
	return text_language_choose(
	    http_query(visit->request, "lang"),
	    http_header(visit->request, "Accept-Language"), visit->standard);
}

static void count(enum challenge_view_state state)
{
	char labels[64];
	snprintf(labels, sizeof(labels), "result=\"%s\"",
	         challenge_view_name(state));
	metric_add(metric_counter("turing_cloud_challenge_pages_total", labels,
	                          "Challenge pages answered, by what they "
	                          "showed."),
	           1);
}

static void add_headers(struct http_request *request,
                        enum text_language language, unsigned status)
{
	char policy[CHALLENGE_VIEW_POLICY_SIZE];
	http_add_header(request, "Content-Security-Policy",
	                challenge_view_policy(policy));
	http_add_header(request, "Content-Language",
	                text_language_code(language));
	http_add_header(request, "Referrer-Policy", "no-referrer");
	http_add_header(request, "X-Robots-Tag", "noindex, nofollow");
	http_add_header(request, "X-Frame-Options", "DENY");
	http_add_header(request, "Cache-Control", "no-store");
	if (status == 503)
		http_add_header(request, "Retry-After", "30");
}

/* Answers with the state's page and ends the visit. */
static void visit_show(struct visit *visit, enum challenge_view_state state)
{
	struct error err = {0};
	struct buffer page;
	struct challenge_view view = {
	    .state = state,
	    .language = language_of(visit),
	    .token = visit->token,
	    .tenant = visit->has_tenant ? &visit->tenant : NULL,
	    .challenge = visit->has_challenge ? &visit->challenge : NULL,
	    .message = visit->has_message ? &visit->message : NULL,
	    .attempts_left =
	        visit->context->max_attempts - visit->challenge.attempts};
	unsigned status = challenge_view_status(state);
	count(state);
	buffer_init(&page, PAGE_MAXIMUM);
	add_headers(visit->request, view.language, status);
	if (challenge_view_render(&view, &page, &err) == 0) {
		http_reply(visit->request, status, "text/html; charset=utf-8",
		           page.data, page.length);
	} else {
		trouble(visit, "rendering", &err);
		http_reply_problem(visit->request, 503, "page",
		                   "The page cannot be shown.");
	}
	buffer_release(&page);
	visit_release(visit);
}

void challenge_page_get(struct http_request *request, void *context)
{
	struct visit visit;
	struct token token;
	enum challenge_view_state state =
	    visit_begin(&visit, request, context, &token);
	visit_show(&visit, add_message(&visit, state));
}

/* Sends the browser to the page itself, so that reloading repeats nothing. */
static void visit_redirect(struct visit *visit)
{
	char location[TOKEN_TEXT_SIZE + 16];
	enum text_language language = language_of(visit);
	snprintf(location, sizeof(location), "%s?lang=%s", visit->token,
	         text_language_code(language));
	add_headers(visit->request, language, 303);
	http_add_header(visit->request, "Location", location);
	http_reply(visit->request, 303, "text/plain; charset=utf-8", "", 0);
	visit_release(visit);
}

/* Replaces the code of the image with this serial. */
static int recode(struct visit *visit, int64_t serial, bool wrong,
                  struct error *err)
{
	uint8_t random[16];
	char code[CAPTCHA_CODE_SIZE];
	random_bytes(random, sizeof(random));
	captcha_code(random, sizeof(random), code);
	return registry_challenge_recode(visit->context->registry,
	                                 &visit->challenge.id, serial, wrong,
	                                 code, err);
}

static void another_image(struct visit *visit, int64_t serial)
{
	struct error err = {0};
	const struct registry_challenge *challenge = &visit->challenge;
	/* Clicked twice: the newer picture is there already. */
	if (serial != challenge->code_serial) {
		visit_redirect(visit);
		return;
	}
	if (serial - challenge->attempts > IMAGES_MAXIMUM) {
		visit_show(visit, add_message(visit, CHALLENGE_VIEW_NO_IMAGE));
		return;
	}
	int r = recode(visit, serial, false, &err);
	if (r == 0 || r == ERR_CONFLICT)
		visit_redirect(visit);
	else
		visit_show(visit, trouble(visit, "new image", &err));
}

/* Reads again what became of an image that another request has taken. */
static enum challenge_view_state taken_by_another(struct visit *visit,
                                                  const struct token *token)
{
	enum challenge_view_state state = read_challenge(visit, token);
	return state == CHALLENGE_VIEW_OPEN ? CHALLENGE_VIEW_REPLACED : state;
}

/* The answer was right: one request alone moves the challenge. */
static enum challenge_view_state solve(struct visit *visit,
                                       const struct token *token)
{
	struct error err = {0};
	char id[ID_TEXT_SIZE];
	const struct challenge_page_context *context = visit->context;
	int r = registry_challenge_solve(
	    context->registry, &visit->challenge.id,
	    visit->challenge.code_serial, clock_wall_ms(), &err);
	if (r == ERR_CONFLICT)
		return taken_by_another(visit, token);
	if (r)
		return trouble(visit, "solving", &err);
	log_info(id_format(&visit->challenge.id, id), "page: solved from %s",
	         http_client_address(visit->request));
	if (context->solved)
		context->solved(context->context, &visit->challenge);
	return CHALLENGE_VIEW_SOLVED;
}

static enum challenge_view_state judge(struct visit *visit,
                                       const struct token *token,
                                       int64_t serial, const char *answer)
{
	struct error err = {0};
	char id[ID_TEXT_SIZE];
	if (strspn(answer, " \t\r\n") == strlen(answer))
		return CHALLENGE_VIEW_EMPTY;
	if (serial != visit->challenge.code_serial)
		return CHALLENGE_VIEW_REPLACED;
	if (captcha_matches(visit->challenge.code, answer))
		return solve(visit, token);
	int r = recode(visit, serial, true, &err);
	if (r == ERR_CONFLICT)
		return taken_by_another(visit, token);
	if (r)
		return trouble(visit, "taking the answer", &err);
	log_info(id_format(&visit->challenge.id, id),
	         "page: wrong answer from %s",
	         http_client_address(visit->request));
	enum challenge_view_state state = read_challenge(visit, token);
	return state == CHALLENGE_VIEW_OPEN ? CHALLENGE_VIEW_WRONG : state;
}

/* The serial of the form; -1, which no image has, when it is none. */
static int64_t form_serial(struct http_request *request)
{
	const char *text = http_form(request, "serial");
	size_t digits = text ? strspn(text, "0123456789") : 0;
	if (digits == 0 || digits > 18 || text[digits])
		return -1;
	return strtoll(text, NULL, 10);
}

void challenge_page_post(struct http_request *request, void *context)
{
	struct visit visit;
	struct token token;
	enum challenge_view_state state =
	    visit_begin(&visit, request, context, &token);
	if (state == CHALLENGE_VIEW_OPEN) {
		const char *what = http_form(request, "do");
		const char *answer = http_form(request, "answer");
		int64_t serial = form_serial(request);
		if (what && strcmp(what, "image") == 0) {
			another_image(&visit, serial);
			return;
		}
		state = judge(&visit, &token, serial, answer ? answer : "");
	}
	visit_show(&visit, add_message(&visit, state));
}

/* The same picture for the same code: many would help a machine to read it. */
static void seed_of(const struct visit *visit, uint64_t seed[2])
{
	uint8_t input[32] = "image", hash[CRYPTO_HASH_SIZE];
	memcpy(input + 8, visit->challenge.id.bytes, 16);
	memcpy(input + 24, &visit->challenge.code_serial, 8);
	crypto_hmac_sha256(visit->context->token_key, TOKEN_KEY_SIZE, input,
	                   sizeof(input), hash);
	memcpy(seed, hash, 16);
}

static void reply_image(struct visit *visit)
{
	struct captcha_image_options options = {.width = IMAGE_WIDTH,
	                                        .height = IMAGE_HEIGHT};
	uint8_t *png = NULL;
	size_t size = 0;
	seed_of(visit, options.seed);
	if (captcha_image(visit->challenge.code, &options, &png, &size)) {
		http_reply_problem(visit->request, 503, "image",
		                   "The picture cannot be drawn now.");
		return;
	}
	http_add_header(visit->request, "Cache-Control", "no-store");
	http_add_header(visit->request, "X-Robots-Tag", "noindex, nofollow");
	http_add_header(visit->request, "Content-Security-Policy",
	                "default-src 'none'");
	http_reply(visit->request, 200, "image/png", png, size);
	free(png);
}

void challenge_page_image(struct http_request *request, void *context)
{
	struct visit visit;
	struct token token;
	int64_t serial = 0;
	enum challenge_view_state state =
	    visit_begin(&visit, request, context, &token);
	int64_t current = visit.challenge.code_serial;
	if (state == CHALLENGE_VIEW_TROUBLE)
		http_reply_problem(request, 503, "image",
		                   "The picture cannot be read now.");
	else if (state != CHALLENGE_VIEW_OPEN ||
	         http_query_integer(request, "serial", current, 0, INT64_MAX,
	                            &serial, NULL) ||
	         serial != current)
		http_reply_problem(request, 404, "image",
		                   "There is no such picture now.");
	else
		reply_image(&visit);
	visit_release(&visit);
}

/* --- pages without a challenge ------------------------------------------ */

static void show_plain(struct http_request *request, void *context,
                       enum challenge_view_state state)
{
	struct visit visit = {.request = request,
	                      .context = challenge_page_context_of(context)};
	visit_show(&visit, state);
}

void challenge_page_about(struct http_request *request, void *context)
{
	show_plain(request, context, CHALLENGE_VIEW_ABOUT);
}

/* What is shown for a status of the server's; challenge: below /c/. */
static enum challenge_view_state view_of_status(unsigned status, bool challenge)
{
	switch (status) {
	case 400:
	case 404:
		return challenge ? CHALLENGE_VIEW_UNKNOWN
		                 : CHALLENGE_VIEW_NOTHING;
	case 405:
		return CHALLENGE_VIEW_METHOD;
	case 413:
		return CHALLENGE_VIEW_LARGE;
	default:
		return CHALLENGE_VIEW_TROUBLE;
	}
}

bool challenge_page_explain(struct http_request *request, unsigned status,
                            void *context)
{
	const char *path = http_path(request);
	const char *accept = http_header(request, "Accept");
	bool challenge = strncmp(path, "/c/", 3) == 0;
	if (!challenge && (strncmp(path, "/v1/", 4) == 0 || !accept ||
	                   !strstr(accept, "text/html")))
		return false;
	show_plain(request, context, view_of_status(status, challenge));
	return true;
}
