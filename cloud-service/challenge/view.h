/* How each state of a challenge looks: its HTML and HTTP status. */
#ifndef CLOUD_SERVICE_CHALLENGE_VIEW_H
#define CLOUD_SERVICE_CHALLENGE_VIEW_H

#include <stdint.h>

#include "cloud-service/text/text.h"
#include "common/buffer.h"
#include "common/error.h"
#include "store/registry/registry.h"

enum challenge_view_state {
	CHALLENGE_VIEW_OPEN,      /* 200: the picture and the form */
	CHALLENGE_VIEW_WRONG,     /* 422: the form with a new picture */
	CHALLENGE_VIEW_EMPTY,     /* 422: nothing was typed, nothing counted */
	CHALLENGE_VIEW_REPLACED,  /* 409: the answer was for an older picture */
	CHALLENGE_VIEW_NO_IMAGE,  /* 429: no more new pictures */
	CHALLENGE_VIEW_SOLVED,    /* 200: by this very request */
	CHALLENGE_VIEW_ALREADY,   /* 200: solved before */
	CHALLENGE_VIEW_RELEASED,  /* 200: let through by an admin */
	CHALLENGE_VIEW_DELIVERED, /* 200: and it has arrived */
	CHALLENGE_VIEW_EXPIRED,   /* 410 */
	CHALLENGE_VIEW_BLOCKED,   /* 429: too many wrong answers */
	CHALLENGE_VIEW_UNKNOWN,   /* 404: forged, cut or unknown token */
	CHALLENGE_VIEW_TROUBLE,   /* 503: our fault, try again */
	CHALLENGE_VIEW_NOTHING,   /* 404: not even a link to a challenge */
	CHALLENGE_VIEW_METHOD,    /* 405: what a browser does not do here */
	CHALLENGE_VIEW_LARGE,     /* 413: nor this */
	CHALLENGE_VIEW_ABOUT,     /* 200: what this service is */
	CHALLENGE_VIEW_STATE_COUNT
};

/* What a page is made of; everything is borrowed. */
struct challenge_view {
	enum challenge_view_state state;
	enum text_language language;
	const char *token; /* as in the link; only for states with a form */
	const struct registry_tenant *tenant;       /* NULL where unknown */
	const struct registry_challenge *challenge; /* NULL where unknown */
	const struct registry_message *message;     /* NULL where unknown */
	int64_t attempts_left;
};

/* The HTTP status of a state. */
unsigned challenge_view_status(enum challenge_view_state state);

/* A word for metrics and logs; never NULL. */
const char *challenge_view_name(enum challenge_view_state state);

/* Whether the state shows the form. */
bool challenge_view_has_form(enum challenge_view_state state);

/* Appends the page. An error means a broken template or a full buffer. */
int challenge_view_render(const struct challenge_view *view, struct buffer *out,
                          struct error *err);

/* Enough for challenge_view_policy(). */
#define CHALLENGE_VIEW_POLICY_SIZE 256

/* Writes the Content-Security-Policy that fits every page; returns text. */
char *challenge_view_policy(char text[CHALLENGE_VIEW_POLICY_SIZE]);

#endif
