/* The captcha page over HTTP: each state, each hostile form, each race. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "captcha/captcha.h"
#include "cloud-service/challenge/page.h"
#include "cloud-service/challenge/view.h"
#include "cloud-service/cloud.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/support/http-peer.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

#define MAX_ATTEMPTS 4
#define DAY_MS       86400000LL
#define WAIT_MS      10000

static struct challenge_page_context page;
static struct cloud cloud = {.challenge_page = &page};
static struct http_server *server;
static struct registry_challenge challenge;
static struct id tenant_id;
static char directory[64], token[TOKEN_TEXT_SIZE];
static char answer[200000];
static atomic_int solved_calls;

static const struct http_route routes[] = {
    {"GET", "/c/{token}", challenge_page_get, 0, HTTP_DEFERRED},
    {"POST", "/c/{token}", challenge_page_post, CHALLENGE_PAGE_MAXIMUM_BODY,
     HTTP_DEFERRED},
    {"GET", "/c/{token}/image.png", challenge_page_image, 0, HTTP_DEFERRED},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void on_solved(void *context, const struct registry_challenge *solved)
{
	ck_assert_ptr_eq(context, &page);
	ck_assert(id_equal(&solved->id, &challenge.id));
	solved_calls++;
}

static void ok(int result, const struct error *err)
{
	ck_assert_msg(result == 0, "%d: %s", result, err->text);
}

static void add_message(const char *subject)
{
	struct error err = {0};
	char *words[] = {(char *)"claire@town.example",
	                 (char *)"paul@town.example"};
	struct registry_recipient recipients[2] = {
	    {.address = words[0], .by = (char *)"", .why = (char *)""},
	    {.address = words[1], .by = (char *)"", .why = (char *)""}};
	struct registry_message message = {
	    .id = challenge.message,
	    .tenant = tenant_id,
	    .received_ms = 1795248000000LL,
	    .registered_ms = clock_wall_ms(),
	    .expires_ms = clock_wall_ms() + 14 * DAY_MS,
	    .sender = challenge.sender,
	    .sender_normal = challenge.sender,
	    .header_from = challenge.sender,
	    .subject = (char *)subject,
	    .message_id = (char *)"<m@sender.example>",
	    .client_address = (char *)"192.0.2.1",
	    .helo = (char *)"sender.example",
	    .challenge_reason = (char *)"",
	    .recipients = recipients,
	    .recipient_count = 2};
	int result = -1;
	ok(registry_message_add(page.registry, &message, 1, &result, &err),
	   &err);
	ck_assert_int_eq(result, 0);
}

static void open_challenge(int64_t expires_ms, const char *subject)
{
	struct error err = {0};
	struct id existing;
	challenge =
	    (struct registry_challenge){.id = id_new(),
	                                .tenant = tenant_id,
	                                .message = id_new(),
	                                .created_ms = clock_wall_ms(),
	                                .expires_ms = expires_ms,
	                                .sender = (char *)"jean@sender.example",
	                                .code = (char *)"ACE234",
	                                .code_serial = 1,
	                                .mail_owner = (char *)"",
	                                .mail_reply = (char *)""};
	memcpy(challenge.sender_hash, challenge.id.bytes, 16);
	token_make(page.token_key, TOKEN_CHALLENGE, &challenge.id, expires_ms,
	           token, challenge.token_hash);
	add_message(subject);
	ok(open_one(page.registry, &challenge, &existing, &err), &err);
}

static void start_server(void)
{
	struct error err = {0};
	struct http_server_options options = {.address = "127.0.0.1",
	                                      .threads = 4,
	                                      .maximum_connections = 100,
	                                      .idle_timeout_ms = 30000,
	                                      .routes = routes,
	                                      .context = &cloud,
	                                      .log_id = "test"};
	ok(http_server_start(&server, &options, &err), &err);
}

static void setup(void)
{
	struct error err = {0};
	struct registry_tenant tenant = {.name = (char *)"town",
	                                 .language = (char *)"en",
	                                 .display_name = (char *)"Our town",
	                                 .time_zone = (char *)"Europe/Paris"};
	snprintf(directory, sizeof(directory), "/tmp/test-page-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	struct registry_options options = {"sqlite", directory};
	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	page = (struct challenge_page_context){.public_url = "http://x",
	                                       .token_key = {9},
	                                       .max_attempts = MAX_ATTEMPTS,
	                                       .solved = on_solved,
	                                       .context = &page};
	ok(registry_open(&page.registry, &options, &err), &err);
	tenant_id = tenant.id = id_new();
	tenant.created_ms = clock_wall_ms();
	ok(registry_tenant_add(page.registry, &tenant, &err), &err);
	open_challenge(clock_wall_ms() + 7 * DAY_MS, "Plan of Thursday");
	solved_calls = 0;
	start_server();
}

static void teardown(void)
{
	static const char *const files[] = {"registry.db", "registry.db-wal",
	                                    "registry.db-shm"};
	char path[128];
	http_server_stop(server);
	registry_close(page.registry);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		unlink(path);
	}
	rmdir(directory);
}

/* Sends a request into text; the status of the answer. */
static int exchange(const char *request, char *text, size_t size)
{
	int status = 0;
	size_t length = peer_exchange(http_server_port(server), request, text,
	                              size, WAIT_MS);
	ck_assert_uint_gt(length, 12);
	ck_assert_int_eq(strncmp(text, "HTTP/1.1 ", 9), 0);
	status = (int)strtol(text + 9, NULL, 10);
	return status;
}

static int get(const char *method, const char *path, const char *headers)
{
	char request[8192];
	snprintf(request, sizeof(request),
	         "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
	         method, path, headers);
	return exchange(request, answer, sizeof(answer));
}

static int get_page(const char *query)
{
	char path[512];
	snprintf(path, sizeof(path), "/c/%s%s", token, query);
	return get("GET", path, "");
}

static int post_into(const char *form, char *text, size_t size)
{
	char request[8192];
	snprintf(request, sizeof(request),
	         "POST /c/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	         "Content-Type: application/x-www-form-urlencoded\r\n"
	         "Content-Length: %zu\r\n\r\n%s",
	         token, strlen(form), form);
	return exchange(request, text, size);
}

static int post(const char *form)
{
	return post_into(form, answer, sizeof(answer));
}

static bool says(const char *text)
{
	return strstr(answer, text) != NULL;
}

/* Reads the challenge as it stands; the strings are released. */
static struct registry_challenge stored(char code[CAPTCHA_CODE_SIZE])
{
	struct error err = {0};
	struct registry_challenge now;
	ok(registry_challenge_read(page.registry, &challenge.id, &now, &err),
	   &err);
	if (code)
		snprintf(code, CAPTCHA_CODE_SIZE, "%s", now.code);
	registry_challenge_release(&now);
	return now;
}

static void check_state(enum registry_challenge_state state, int64_t attempts,
                        int64_t serial)
{
	struct registry_challenge now = stored(NULL);
	ck_assert_int_eq(now.state, state);
	ck_assert_int_eq(now.attempts, attempts);
	ck_assert_int_eq(now.code_serial, serial);
}

static void move(enum registry_challenge_state to)
{
	struct error err = {0};
	ok(registry_challenge_move(page.registry, &challenge.id,
	                           CHALLENGE_STATE_OPEN, to, clock_wall_ms(),
	                           &err),
	   &err);
}

START_TEST(the_open_page_tells_what_it_is_for)
{
	static const char *const needles[] = {
	    "<html lang=\"en\">",
	    "jean@sender.example",
	    "claire@town.example",
	    "and 1 more",
	    "Plan of Thursday",
	    "Saturday 21 November 2026, 09:00 (Europe/Paris)",
	    "<p class=\"home\">Our town</p>",
	    "not known at Our town yet",
	    "name=\"serial\" value=\"1\"",
	    "/image.png?serial=1\"",
	    "<label for=\"answer\">",
	    "autocomplete=\"off\"",
	    "Show another picture",
	    "telephone",
	    "href=\"?lang=fr\"",
	};
	ck_assert_int_eq(get_page(""), 200);
	for (size_t i = 0; i < sizeof(needles) / sizeof(needles[0]); i++)
		ck_assert_msg(says(needles[i]), "missing: %s", needles[i]);
	ck_assert(!says("ACE234"));
	ck_assert(!says("paul@"));
	ck_assert(!says("<script"));
	ck_assert(!says("{{"));
}
END_TEST

START_TEST(every_page_has_its_headers)
{
	static const char *const headers[] = {
	    "Content-Security-Policy: default-src 'none'; img-src 'self'; "
	    "style-src 'sha256-",
	    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n",
	    "Referrer-Policy: no-referrer\r\n",
	    "X-Robots-Tag: noindex",
	    "Cache-Control: no-store\r\n",
	    "X-Content-Type-Options: nosniff\r\n",
	    "Content-Type: text/html; charset=utf-8\r\n",
	};
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(i ? get("GET", "/c/unknown", "")
		                   : get_page(""),
		                 i ? 404 : 200);
		for (size_t j = 0; j < sizeof(headers) / sizeof(headers[0]);
		     j++)
			ck_assert_msg(says(headers[j]), "missing: %s",
			              headers[j]);
		ck_assert(!says("Set-Cookie"));
	}
}
END_TEST

/* Finds what the CSP allows to be the style that the page has. */
START_TEST(the_style_fits_the_policy)
{
	uint8_t hash[CRYPTO_HASH_SIZE];
	char base64[64];
	ck_assert_int_eq(get_page(""), 200);
	const char *allowed = strstr(answer, "'sha256-");
	const char *style = strstr(answer, "<style>");
	const char *end = strstr(answer, "</style>");
	ck_assert(allowed && style && end);
	style += strlen("<style>");
	crypto_sha256(style, (size_t)(end - style), hash);
	base64url_encode(hash, sizeof(hash), base64, sizeof(base64));
	for (size_t i = 0; base64[i]; i++) {
		char plain = base64[i] == '-' ? '+' : base64[i];
		ck_assert_int_eq(allowed[8 + i], plain == '_' ? '/' : plain);
	}
	ck_assert_ptr_null(strstr(answer, " style="));
}
END_TEST

START_TEST(languages)
{
	char path[256];
	snprintf(path, sizeof(path), "/c/%s", token);
	ck_assert_int_eq(
	    get("GET", path, "Accept-Language: fr-FR,en;q=0.5\r\n"), 200);
	ck_assert(says("<html lang=\"fr\">"));
	ck_assert_int_eq(get_page("?lang=fr"), 200);
	ck_assert(says("Transmettre mon message"));
	ck_assert_int_eq(get_page("?lang=%3Cscript%3E"), 200);
	ck_assert(says("<html lang=\"en\">"));
	ck_assert(!says("<script"));
}
END_TEST

START_TEST(get_and_head_change_nothing)
{
	struct error err = {0};
	char path[256];
	int64_t version = 0, before;
	ok(registry_watch(page.registry, &version, 0, &err), &err);
	before = version;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(get_page("?answer=ACE234&serial=1"), 200);
		ck_assert_int_eq(get_page("?do=image&serial=1"), 200);
		snprintf(path, sizeof(path), "/c/%s", token);
		ck_assert_int_eq(get("HEAD", path, ""), 200);
		snprintf(path, sizeof(path), "/c/%s/image.png", token);
		ck_assert_int_eq(get("GET", path, ""), 200);
		ck_assert_int_eq(get("HEAD", path, ""), 200);
	}
	ok(registry_watch(page.registry, &version, 0, &err), &err);
	ck_assert_int_eq(version, before);
	check_state(CHALLENGE_STATE_OPEN, 0, 1);
}
END_TEST

/* As mail programs make a link of the text around it. */
START_TEST(a_sign_behind_the_link_is_left_out)
{
	static const char *const signs[] = {
	    ".", "%3E", ")", "%22.", "%5D", ",", "%C2%BB", "&gt;", "_", "%20x"};
	char path[256], image[256];
	snprintf(image, sizeof(image), "src=\"%s/image.png", token);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		snprintf(path, sizeof(path), "/c/%s%s", token, signs[i]);
		ck_assert_msg(get("GET", path, "") == 200, "%s", signs[i]);
		ck_assert(says(image));
	}
	snprintf(path, sizeof(path), "/c/%sx", token);
	ck_assert_int_eq(get("GET", path, ""), 404);
	snprintf(path, sizeof(path), "/c/.%s", token);
	ck_assert_int_eq(get("GET", path, ""), 404);
}
END_TEST

START_TEST(the_picture_is_the_same_each_time)
{
	static char first[200000];
	char path[256];
	snprintf(path, sizeof(path), "/c/%s/image.png?serial=1", token);
	ck_assert_int_eq(get("GET", path, ""), 200);
	ck_assert(says("Content-Type: image/png\r\n"));
	ck_assert(says("Cache-Control: no-store\r\n"));
	const char *body = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_mem_eq(body + 4, "\x89PNG\r\n\x1a\n", 8);
	memcpy(first, body, 4000);
	ck_assert_int_eq(get("GET", path, ""), 200);
	body = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_mem_eq(first, body, 4000);
	/* Not of another code than the one that the page asks for. */
	snprintf(path, sizeof(path), "/c/%s/image.png?serial=2", token);
	ck_assert_int_eq(get("GET", path, ""), 404);
	snprintf(path, sizeof(path), "/c/%s/image.png?serial=x", token);
	ck_assert_int_eq(get("GET", path, ""), 404);
	move(CHALLENGE_STATE_EXPIRED);
	snprintf(path, sizeof(path), "/c/%s/image.png", token);
	ck_assert_int_eq(get("GET", path, ""), 404);
	ck_assert_int_eq(get("GET", "/c/unknown/image.png", ""), 404);
}
END_TEST

START_TEST(the_right_answer_solves_once)
{
	ck_assert_int_eq(post("serial=1&answer=+ace-234"), 200);
	ck_assert(says("Your message is on its way"));
	ck_assert(says("claire@town.example"));
	ck_assert_int_eq(solved_calls, 1);
	ck_assert_int_eq(stored(NULL).state, CHALLENGE_STATE_SOLVED);
	ck_assert_int_eq(stored(NULL).attempts, 0);
	ck_assert_int_eq(post("serial=1&answer=ace234"), 200);
	ck_assert(says("This was done already"));
	ck_assert_int_eq(get_page(""), 200);
	ck_assert(says("This was done already"));
	ck_assert_int_eq(post("serial=2&do=image"), 200);
	ck_assert(says("This was done already"));
	ck_assert_int_eq(solved_calls, 1);
}
END_TEST

START_TEST(a_wrong_answer_takes_the_picture)
{
	char code[CAPTCHA_CODE_SIZE];
	ck_assert_int_eq(post("serial=1&answer=HHHHHH"), 422);
	ck_assert(says("Attempts left: 3."));
	ck_assert(says("aria-describedby=\"answer-error answer-hint\""));
	ck_assert(says("aria-invalid=\"true\""));
	ck_assert(says("name=\"serial\" value=\"2\""));
	ck_assert(!says("HHHHHH"));
	check_state(CHALLENGE_STATE_OPEN, 1, 2);
	stored(code);
	ck_assert_str_ne(code, "ACE234");
	/* The answer to the old picture is not an answer any more. */
	ck_assert_int_eq(post("serial=1&answer=ACE234"), 409);
	ck_assert(says("was not counted"));
	check_state(CHALLENGE_STATE_OPEN, 1, 2);
	ck_assert_int_eq(solved_calls, 0);
	char form[64];
	snprintf(form, sizeof(form), "serial=2&answer=%s", code);
	ck_assert_int_eq(post(form), 200);
	ck_assert_int_eq(solved_calls, 1);
}
END_TEST

START_TEST(too_many_wrong_answers_close_it)
{
	char form[64], code[CAPTCHA_CODE_SIZE];
	for (int i = 1; i <= MAX_ATTEMPTS; i++) {
		snprintf(form, sizeof(form), "serial=%d&answer=------0", i);
		ck_assert_int_eq(post(form), i < MAX_ATTEMPTS ? 422 : 429);
	}
	ck_assert(says("Too many wrong answers"));
	ck_assert(!says("<form"));
	ck_assert_int_eq(get_page(""), 429);
	stored(code);
	snprintf(form, sizeof(form), "serial=%d&answer=%s", MAX_ATTEMPTS + 1,
	         code);
	ck_assert_int_eq(post(form), 429);
	ck_assert_int_eq(post("serial=5&do=image"), 429);
	check_state(CHALLENGE_STATE_OPEN, MAX_ATTEMPTS, MAX_ATTEMPTS + 1);
	ck_assert_int_eq(solved_calls, 0);
}
END_TEST

/* Forms that are no answer: a status, and nothing counted. */
static const struct {
	const char *form;
	int status;
} idle[] = {
    {"serial=1&answer=", 422},
    {"serial=1&answer=+++%20%09", 422},
    {"serial=1", 422},
    {"", 422},
    {"answer=ACE234", 409},
    {"serial=&answer=ACE234", 409},
    {"serial=0&answer=ACE234", 409},
    {"serial=2&answer=ACE234", 409},
    {"serial=-1&answer=ACE234", 409},
    {"serial=+1&answer=ACE234", 409},
    {"serial=1x&answer=ACE234", 409},
    {"serial=1%00&answer=ACE234", 409},
    {"serial=18446744073709551617&answer=ACE234", 409},
    {"serial=1&serial=1&answer=ACE234", 409},
    {"serial=1&answer=ACE234&answer=ACE234", 422},
    {"serial=1&answer=%FF%FE", 422},
    {"serial=1&answer=ACE%00234", 422},
    {"serial=7&do=image", 303},
};

START_TEST(forms_that_are_no_answer)
{
	int status = post(idle[_i].form);
	ck_assert_msg(status == idle[_i].status, "%s: %d", idle[_i].form,
	              status);
	check_state(CHALLENGE_STATE_OPEN, 0, 1);
	ck_assert_int_eq(solved_calls, 0);
}
END_TEST

/* Answers that are wrong whatever they hold. */
static const char *const wrong[] = {
    "serial=1&answer=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "serial=1&answer=ACE234%27+OR+1%3D1",
    "serial=1&answer=ACE234%0D%0AX%3A+y",
    "serial=1&answer=ACE2345",
    "serial=1&answer=%E2%80%AEACE234",
};

START_TEST(answers_that_are_wrong)
{
	ck_assert_int_eq(post(wrong[_i]), 422);
	ck_assert(!says("<script"));
	ck_assert(!says("\nX: y"));
	check_state(CHALLENGE_STATE_OPEN, 1, 2);
}
END_TEST

START_TEST(a_long_form_is_refused)
{
	char form[CHALLENGE_PAGE_MAXIMUM_BODY + 100];
	memset(form, 'A', sizeof(form));
	memcpy(form, "serial=1&answer=", 16);
	form[2000] = '\0';
	ck_assert_int_eq(post(form), 422);
	form[2000] = 'A';
	form[CHALLENGE_PAGE_MAXIMUM_BODY + 1] = '\0';
	ck_assert_int_eq(post(form), 413);
}
END_TEST

START_TEST(another_picture)
{
	char form[64], location[256], code[CAPTCHA_CODE_SIZE];
	ck_assert_int_eq(post("serial=1&do=image&answer=ACE234"), 303);
	snprintf(location, sizeof(location), "Location: %s?lang=en\r\n", token);
	ck_assert(says(location));
	check_state(CHALLENGE_STATE_OPEN, 0, 2);
	stored(code);
	ck_assert_str_ne(code, "ACE234");
	/* A second click finds the newer picture and changes nothing. */
	ck_assert_int_eq(post("serial=1&do=image"), 303);
	check_state(CHALLENGE_STATE_OPEN, 0, 2);
	int serial = 2, status = 303;
	while (status == 303 && serial < 100) {
		snprintf(form, sizeof(form), "serial=%d&do=image", serial++);
		status = post(form);
	}
	ck_assert_int_eq(status, 429);
	ck_assert(says("no more new pictures"));
	ck_assert(says("<form"));
	ck_assert_int_lt(serial, 40);
	struct registry_challenge now = stored(code);
	snprintf(form, sizeof(form), "serial=%d&answer=%s",
	         (int)now.code_serial, code);
	ck_assert_int_eq(post(form), 200);
	ck_assert_int_eq(solved_calls, 1);
}
END_TEST

static const struct {
	enum registry_challenge_state state;
	int status;
	const char *title;
} closed[] = {
    {CHALLENGE_STATE_SOLVED, 200, "This was done already"},
    {CHALLENGE_STATE_EXPIRED, 410, "no longer valid"},
    {CHALLENGE_STATE_BOUNCED, 410, "no longer valid"},
};

START_TEST(closed_challenges)
{
	move(closed[_i].state);
	ck_assert_int_eq(get_page(""), closed[_i].status);
	ck_assert(says(closed[_i].title));
	ck_assert(!says("<form"));
	ck_assert_int_eq(post("serial=1&answer=ACE234"), closed[_i].status);
	ck_assert(says(closed[_i].title));
	ck_assert_int_eq(solved_calls, 0);
	check_state(closed[_i].state, 0, 1);
}
END_TEST

/* Past its time, though no job has marked it yet. */
START_TEST(an_expired_link_is_closed_at_once)
{
	open_challenge(clock_wall_ms() - 1, "Late");
	ck_assert_int_eq(get_page(""), 410);
	ck_assert_int_eq(post("serial=1&answer=ACE234"), 410);
	check_state(CHALLENGE_STATE_OPEN, 0, 1);
}
END_TEST

static void decide(const char *recipient, enum registry_verdict verdict)
{
	struct error err = {0};
	struct registry_decision decision = {.message = challenge.message,
	                                     .recipient =
	                                         (char *)(uintptr_t)recipient,
	                                     .verdict = verdict,
	                                     .by = (char *)"admin",
	                                     .decided_ms = clock_wall_ms()};
	ok(registry_decide(page.registry, &tenant_id, &decision, &err), &err);
}

static void deliver(const char *recipient)
{
	struct error err = {0};
	ok(registry_message_event(page.registry, &tenant_id, &challenge.message,
	                          recipient, REGISTRY_DELIVERED,
	                          clock_wall_ms(), "250", &err),
	   &err);
}

/* An admin lets the message through before the sender answers. */
START_TEST(a_released_message_needs_no_answer)
{
	decide("claire@town.example", REGISTRY_RELEASE);
	ck_assert_int_eq(get_page(""), 200);
	ck_assert(says("<form")); /* Paul still waits */
	decide("paul@town.example", REGISTRY_DISCARD);
	ck_assert_int_eq(get_page(""), 200);
	ck_assert(says("Your message is on its way"));
	ck_assert(!says("<form"));
	deliver("claire@town.example");
	ck_assert_int_eq(get_page(""), 200);
	ck_assert(says("Your message was delivered"));
	ck_assert_int_eq(get_page("?lang=fr"), 200);
	ck_assert(says("Votre message a \u00e9t\u00e9 remis"));
	move(CHALLENGE_STATE_EXPIRED);
	ck_assert_int_eq(get_page(""), 200);
	ck_assert(says("Your message was delivered"));
	ck_assert(!says("answer=") && !says("{{"));
}
END_TEST

START_TEST(a_discarded_message_cannot_be_delivered)
{
	decide("claire@town.example", REGISTRY_DISCARD);
	decide("paul@town.example", REGISTRY_DISCARD);
	ck_assert_int_eq(get_page(""), 410);
	ck_assert(!says("<form"));
}
END_TEST

/* No page speaks of what a recipient cannot do. */
START_TEST(no_page_promises_what_is_not)
{
	static const char *const absent[] = {"recipient can", "release",
	                                     "lib\u00e9rer", "fausses"};
	for (int s = 0; s < CHALLENGE_VIEW_STATE_COUNT; s++)
		for (int i = 0; i < TEXT_LANGUAGE_COUNT; i++) {
			struct buffer out;
			struct error err = {0};
			struct challenge_view view = {
			    .state = (enum challenge_view_state)s,
			    .language = (enum text_language)i,
			    .token = token,
			    .challenge = &challenge};
			buffer_init(&out, 65536);
			ok(challenge_view_render(&view, &out, &err), &err);
			for (size_t j = 0; j < 4; j++)
				ck_assert_msg(
				    !strstr(buffer_text(&out), absent[j]),
				    "%d: %s", s, absent[j]);
			buffer_release(&out);
		}
}
END_TEST

/* Deletes what is over, as retention does in time. */
static void purge(enum registry_kind kind)
{
	struct error err = {0};
	size_t deleted;
	ok(registry_purge(page.registry, kind, clock_wall_ms() + 30 * DAY_MS,
	                  10, &deleted, &err),
	   &err);
	ck_assert_uint_eq(deleted, 1);
}

static void discard_message(void)
{
	decide("claire@town.example", REGISTRY_DISCARD);
	decide("paul@town.example", REGISTRY_DISCARD);
	purge(REGISTRY_MESSAGES);
}

/* The page is whole without the message, and an answer still counts. */
START_TEST(a_deleted_message_is_no_fault)
{
	discard_message();
	ck_assert_int_eq(get_page(""), 200);
	ck_assert_msg(says("<form"), "%s", answer);
	ck_assert(!says("claire@") && !says("{{"));
	ck_assert_int_eq(post("serial=1&answer=ACE234"), 200);
	ck_assert(!says("claire@") && !says("{{"));
	ck_assert_int_eq(solved_calls, 1);
}
END_TEST

START_TEST(a_deleted_challenge_is_unknown)
{
	discard_message();
	move(CHALLENGE_STATE_EXPIRED);
	ck_assert_int_eq(get_page(""), 410);
	ck_assert(!says("{{"));
	purge(REGISTRY_CHALLENGES);
	ck_assert_int_eq(get_page(""), 404);
	ck_assert(says("This link is not known here"));
	ck_assert_int_eq(post("serial=1&answer=ACE234"), 404);
}
END_TEST

/* Changes one thing about a genuine token. */
static void forge(int how)
{
	uint8_t key[TOKEN_KEY_SIZE] = {9};
	struct id id = challenge.id;
	int64_t expires_ms = challenge.expires_ms;
	key[0] ^= how == 0;
	id.bytes[15] ^= how == 1;
	expires_ms += how == 2 ? 60000 : 0; /* signed, but not the one */
	token_make(key, how == 3 ? (enum token_purpose)2 : TOKEN_CHALLENGE, &id,
	           expires_ms, token, NULL);
	if (how == 4)
		token[20] = token[20] == 'A' ? 'B' : 'A';
	if (how == 5)
		token[40] = '\0';
}

START_TEST(forged_tokens_are_unknown)
{
	forge(_i);
	ck_assert_int_eq(get_page(""), 404);
	ck_assert(says("This link is not known here"));
	ck_assert(!says("town.example"));
	ck_assert(!says("sender.example"));
	ck_assert_int_eq(post("serial=1&answer=ACE234"), 404);
	check_state(CHALLENGE_STATE_OPEN, 0, 1);
	ck_assert_int_eq(solved_calls, 0);
}
END_TEST

static const struct {
	const char *subject, *shown, *forbidden;
} subjects[] = {
    {"<script>alert(1)</script>", "&lt;script&gt;alert(1)", "<script"},
    {"\"><img src=x onerror=y>", "&#34;&gt;&lt;img", "<img src=x"},
    {"a\r\nSet-Cookie: b=c", "a Set-Cookie: b=c", "\nSet-Cookie"},
    {"cod\xe2\x80\xae"
     "exe",
     "exe</bdi>", "\xe2\x80\xae"},
    {"{{token}} {{{style}}}", "{{token}} {{{style}}}", "<bdi>:root"},
    /* decoded by the agent: once is enough */
    {"=?utf-8?B?c2Vjb25k?=", "=?utf-8?B?c2Vjb25k?=", ">second<"},
    {"", "<dt>To</dt>", "<dt>Subject</dt>"},
};

START_TEST(hostile_subjects)
{
	open_challenge(clock_wall_ms() + DAY_MS, subjects[_i].subject);
	ck_assert_int_eq(get_page(""), 200);
	ck_assert_msg(says(subjects[_i].shown), "missing: %s",
	              subjects[_i].shown);
	ck_assert_msg(!says(subjects[_i].forbidden), "found: %s",
	              subjects[_i].forbidden);
}
END_TEST

/* Every state in every language, also the one that no request here meets. */
START_TEST(every_state_renders)
{
	struct registry_challenge *known[2] = {NULL, &challenge};
	for (int s = 0; s < CHALLENGE_VIEW_STATE_COUNT; s++)
		for (int i = 0; i < 2 * TEXT_LANGUAGE_COUNT; i++) {
			struct buffer out;
			struct error err = {0};
			struct challenge_view view = {
			    .state = (enum challenge_view_state)s,
			    .language = (enum text_language)(i / 2),
			    .token = token,
			    .challenge = known[i % 2]};
			buffer_init(&out, 65536);
			if (!challenge_view_has_form(view.state) || i % 2)
				ok(challenge_view_render(&view, &out, &err),
				   &err);
			ck_assert_ptr_null(strstr(buffer_text(&out), "{{"));
			buffer_release(&out);
		}
	ck_assert_uint_eq(challenge_view_status(CHALLENGE_VIEW_TROUBLE), 503);
}
END_TEST

#define CLICKS 8

static const char *race_form;

static void *race(void *argument)
{
	static char texts[CLICKS][32768];
	int *status = argument;
	int index = *status;
	*status = post_into(race_form, texts[index], sizeof(texts[index]));
	return NULL;
}

/* Sends the form CLICKS times at once; counts answers with this status. */
static int race_all(const char *form, int status)
{
	pthread_t threads[CLICKS];
	int results[CLICKS], count = 0;
	race_form = form;
	for (int i = 0; i < CLICKS; i++) {
		results[i] = i;
		pthread_create(&threads[i], NULL, race, &results[i]);
	}
	for (int i = 0; i < CLICKS; i++) {
		pthread_join(threads[i], NULL);
		count += results[i] == status;
	}
	return count;
}

START_TEST(right_answers_at_once_solve_once)
{
	/* All see a success: the winner its own, the others "already". */
	ck_assert_int_eq(race_all("serial=1&answer=ACE234", 200), CLICKS);
	ck_assert_int_eq(solved_calls, 1);
	ck_assert_int_eq(stored(NULL).state, CHALLENGE_STATE_SOLVED);
}
END_TEST

START_TEST(guesses_at_once_count_once)
{
	ck_assert_int_eq(race_all("serial=1&answer=HHHHHH", 422), 1);
	check_state(CHALLENGE_STATE_OPEN, 1, 2);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

static void add_rows(TCase *rows)
{
	tcase_add_checked_fixture(rows, setup, teardown);
	tcase_set_timeout(rows, 30);
	tcase_add_loop_test(rows, forms_that_are_no_answer, 0, ROWS(idle));
	tcase_add_loop_test(rows, answers_that_are_wrong, 0, ROWS(wrong));
	tcase_add_loop_test(rows, closed_challenges, 0, ROWS(closed));
	tcase_add_loop_test(rows, forged_tokens_are_unknown, 0, 6);
	tcase_add_loop_test(rows, hostile_subjects, 0, ROWS(subjects));
}

int main(void)
{
	Suite *suite = suite_create("challenge-page");
	TCase *pages = tcase_create("pages"), *rows = tcase_create("rows");
	tcase_add_checked_fixture(pages, setup, teardown);
	tcase_set_timeout(pages, 30);
	tcase_add_test(pages, the_open_page_tells_what_it_is_for);
	tcase_add_test(pages, every_page_has_its_headers);
	tcase_add_test(pages, the_style_fits_the_policy);
	tcase_add_test(pages, languages);
	tcase_add_test(pages, get_and_head_change_nothing);
	tcase_add_test(pages, a_sign_behind_the_link_is_left_out);
	tcase_add_test(pages, the_picture_is_the_same_each_time);
	tcase_add_test(pages, the_right_answer_solves_once);
	tcase_add_test(pages, a_wrong_answer_takes_the_picture);
	tcase_add_test(pages, too_many_wrong_answers_close_it);
	tcase_add_test(pages, a_long_form_is_refused);
	tcase_add_test(pages, another_picture);
	tcase_add_test(pages, an_expired_link_is_closed_at_once);
	tcase_add_test(pages, a_released_message_needs_no_answer);
	tcase_add_test(pages, a_discarded_message_cannot_be_delivered);
	tcase_add_test(pages, no_page_promises_what_is_not);
	tcase_add_test(pages, a_deleted_message_is_no_fault);
	tcase_add_test(pages, a_deleted_challenge_is_unknown);
	tcase_add_test(pages, every_state_renders);
	tcase_add_test(pages, right_answers_at_once_solve_once);
	tcase_add_test(pages, guesses_at_once_count_once);
	suite_add_tcase(suite, pages);
	add_rows(rows);
	suite_add_tcase(suite, rows);
	return suite_main(suite, NULL);
}
