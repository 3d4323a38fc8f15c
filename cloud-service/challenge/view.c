/* The pages of a challenge, rendered from the files of pages/. */
#include "cloud-service/challenge/view.h"

#include <inttypes.h>

#include "cloud-service/challenge/assets.h"
#include "cloud-service/challenge/facts.h"
#include "cloud-service/text/template.h"

#define PART_MAXIMUM 65536

/* One state: NULL texts where the state has a form. */
struct row {
	unsigned status;
	const char *name, *kind, *title, *lead, *next, *error;
};

static const struct row rows[CHALLENGE_VIEW_STATE_COUNT] = {
    [CHALLENGE_VIEW_OPEN] = {.status = 200, .name = "open"},
    [CHALLENGE_VIEW_WRONG] = {.status = 422,
                              .name = "wrong",
                              .error = "t.wrong"},
    [CHALLENGE_VIEW_EMPTY] = {.status = 422,
                              .name = "empty",
                              .error = "t.wrong-empty"},
    [CHALLENGE_VIEW_REPLACED] = {.status = 409,
                                 .name = "replaced",
                                 .error = "t.replaced"},
    [CHALLENGE_VIEW_NO_IMAGE] = {.status = 429,
                                 .name = "no-image",
                                 .error = "t.no-more-images"},
    [CHALLENGE_VIEW_SOLVED] = {200, "solved", "good", "t.solved-title",
                               "t.solved-lead", "t.solved-next", NULL},
    [CHALLENGE_VIEW_ALREADY] = {200, "already", "good", "t.already-title",
                                "t.already-lead", "t.already-next", NULL},
    [CHALLENGE_VIEW_RELEASED] = {200, "released", "good", "t.released-title",
                                 "t.released-lead", "t.already-next", NULL},
    [CHALLENGE_VIEW_DELIVERED] = {200, "delivered", "good", "t.delivered-title",
                                  "t.delivered-lead", "t.already-next", NULL},
    [CHALLENGE_VIEW_EXPIRED] = {410, "expired", "late", "t.expired-title",
                                "t.expired-lead", "t.expired-next", NULL},
    [CHALLENGE_VIEW_BLOCKED] = {429, "blocked", "bad", "t.blocked-title",
                                "t.blocked-lead", "t.blocked-next", NULL},
    [CHALLENGE_VIEW_UNKNOWN] = {404, "unknown", "late", "t.unknown-title",
                                "t.unknown-lead", "t.unknown-next", NULL},
    [CHALLENGE_VIEW_NOTHING] = {404, "nothing", "late", "t.nothing-title",
                                "t.nothing-lead", "t.nothing-next", NULL},
    [CHALLENGE_VIEW_METHOD] = {405, "method", "bad", "t.odd-title",
                               "t.odd-lead", "t.unknown-next", NULL},
    [CHALLENGE_VIEW_LARGE] = {413, "large", "bad", "t.odd-title", "t.odd-lead",
                              "t.unknown-next", NULL},
    [CHALLENGE_VIEW_ABOUT] = {200, "about", "good", "t.about-title",
                              "t.about-lead", "t.about-next", NULL},
    [CHALLENGE_VIEW_TROUBLE] = {503, "trouble", "bad", "t.trouble-title",
                                "t.trouble-lead", "t.trouble-next", NULL},
};

unsigned challenge_view_status(enum challenge_view_state state)
{
	return rows[state].status;
}

const char *challenge_view_name(enum challenge_view_state state)
{
	return rows[state].name;
}

bool challenge_view_has_form(enum challenge_view_state state)
{
	return rows[state].title == NULL;
}

/* Texts come in the page's language. */
static const char *find_text(void *context, const char *name)
{
	const enum text_language *language = context;
	return text_find(*language, name);
}

/* The text of a name in the page's language, or "". */
static const char *say(const struct challenge_view *view, const char *name)
{
	const char *text = name ? text_find(view->language, name) : NULL;
	return text ? text : "";
}

static int render_asset(const char *name, enum text_language language,
                        const struct template_value *values, struct buffer *out,
                        struct error *err)
{
	struct asset asset;
	struct template_data data = {values, find_text, &language};
	if (asset_find(name, &asset))
		return error_set(err, ERR_NOT_FOUND, "no page %s", name);
	return template_render(asset.bytes, asset.size, TEMPLATE_HTML, &data,
	                       out, err);
}

/* The card of the message, where anything is known of it. */
static int render_details(const struct challenge_view *view,
                          const struct challenge_facts *facts,
                          struct buffer *out, struct error *err)
{
	const struct template_value values[] = {
	    {"sender", facts->sender}, {"recipient", facts->recipient},
	    {"more", facts->more},     {"subject", facts->subject},
	    {"sent", facts->sent},     {NULL, NULL},
	};
	if (!view->challenge || !view->message)
		return 0;
	return render_asset("details.html", view->language, values, out, err);
}

static int render_form(const struct challenge_view *view,
                       const struct challenge_facts *facts, const char *details,
                       struct buffer *out, struct error *err)
{
	char serial[24], left[24];
	struct buffer message;
	snprintf(serial, sizeof(serial), "%" PRId64,
	         view->challenge->code_serial);
	snprintf(left, sizeof(left), "%" PRId64, view->attempts_left);
	/* The error is a text of its own with a value in it. */
	const struct template_value inner[] = {{"left", left}, {NULL, NULL}};
	const struct template_data data = {.values = inner};
	const char *error = say(view, rows[view->state].error);
	buffer_init(&message, PART_MAXIMUM);
	int r = template_render(error, strlen(error), TEMPLATE_TEXT, &data,
	                        &message, err);
	const struct template_value values[] = {
	    {"lang", text_language_code(view->language)},
	    {"details", details},
	    {"serial", serial},
	    {"token", view->token},
	    {"error", buffer_text(&message)},
	    {"name", facts->name},
	    {"expires", facts->expires},
	    {NULL, NULL},
	};
	if (!r)
		r = render_asset("open.html", view->language, values, out, err);
	buffer_release(&message);
	return r;
}

static int render_outcome(const struct challenge_view *view,
                          const char *details, struct buffer *out,
                          struct error *err)
{
	const struct row *row = &rows[view->state];
	const struct template_value values[] = {
	    {"lang", text_language_code(view->language)},
	    {"kind", row->kind},
	    {"title", say(view, row->title)},
	    {"lead", say(view, row->lead)},
	    {"next", say(view, row->next)},
	    {"details", details},
	    {"retry", view->state == CHALLENGE_VIEW_TROUBLE ? "yes" : ""},
	    {NULL, NULL},
	};
	return render_asset("outcome.html", view->language, values, out, err);
}

static int render_layout(const struct challenge_view *view,
                         const struct challenge_facts *facts,
                         const char *content, struct buffer *out,
                         struct error *err)
{
	enum text_language other =
	    view->language == TEXT_FR ? TEXT_EN : TEXT_FR;
	const char *title = rows[view->state].title;
	struct asset style = {0};
	if (asset_find("page.css", &style))
		return error_set(err, ERR_NOT_FOUND, "no page.css");
	const struct template_value values[] = {
	    {"lang", text_language_code(view->language)},
	    {"title", say(view, title ? title : "t.open-title")},
	    {"style", style.bytes},
	    {"name", facts->name},
	    {"other-lang", text_language_code(other)},
	    {"other-language", text_find(other, "t.language")},
	    {"content", content},
	    {NULL, NULL},
	};
	return render_asset("layout.html", view->language, values, out, err);
}

int challenge_view_render(const struct challenge_view *view, struct buffer *out,
                          struct error *err)
{
	struct challenge_facts facts;
	struct buffer details, content;
	challenge_facts_fill(&facts, view->language, view->tenant,
	                     view->challenge, view->message);
	buffer_init(&details, PART_MAXIMUM);
	buffer_init(&content, PART_MAXIMUM);
	int r = render_details(view, &facts, &details, err);
	if (!r && challenge_view_has_form(view->state))
		r = render_form(view, &facts, buffer_text(&details), &content,
		                err);
	else if (!r)
		r = render_outcome(view, buffer_text(&details), &content, err);
	if (!r)
		r = render_layout(view, &facts, buffer_text(&content), out,
		                  err);
	buffer_release(&details);
	buffer_release(&content);
	return r;
}

/* CSP wants plain base64, with padding. */
static void plain_base64(char *text)
{
	for (; *text; text++)
		if (*text == '-')
			*text = '+';
		else if (*text == '_')
			*text = '/';
}

char *challenge_view_policy(char text[CHALLENGE_VIEW_POLICY_SIZE])
{
	uint8_t hash[CRYPTO_HASH_SIZE];
	char base64[48] = "";
	struct asset style = {.bytes = ""};
	(void)asset_find("page.css", &style);
	crypto_sha256(style.bytes, style.size, hash);
	(void)base64url_encode(hash, sizeof(hash), base64, sizeof(base64));
	plain_base64(base64);
	snprintf(text, CHALLENGE_VIEW_POLICY_SIZE,
	         "default-src 'none'; img-src 'self'; "
	         "style-src 'sha256-%s='; form-action 'self'; "
	         "base-uri 'none'; frame-ancestors 'none'",
	         base64);
	return text;
}
