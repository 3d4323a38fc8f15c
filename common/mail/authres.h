/* Authentication-Results of the customer's own MX (RFC 8601). */
#ifndef MAIL_AUTHRES_H
#define MAIL_AUTHRES_H

#include <stdbool.h>

#include "common/mail/header.h"

enum auth_result {
	AUTH_NONE, /* not stated, or "none" */
	AUTH_PASS,
	AUTH_FAIL,
	AUTH_SOFTFAIL,
	AUTH_NEUTRAL,
	AUTH_TEMPERROR,
	AUTH_PERMERROR,
	AUTH_POLICY
};

/*
 * What the customer's MX found, for one message: evidence alone. Whom it
 * vouches for is computed: see common/mail/identity.h.
 */
struct mail_auth {
	bool stated;           /* a trusted header was there */
	enum auth_result spf;  /* of the envelope sender's domain, spf_domain */
	enum auth_result dkim; /* of the best signature, of dkim_domain */
	enum auth_result dmarc; /* of the one From, of dmarc_domain */
	char spf_domain[256];
	char dkim_domain[256];
	char dmarc_domain[256]; /* "" when an older agent wrote it */
	bool aligned;           /* a pass covers the person behind the mail */
};

/* Which fields are the MX's own; see turing-agent.conf(5). */
struct mail_auth_source {
	const char *authserv_id; /* that the MX writes; NULL or "": none */
	bool accept_missing_id; /* a field without authserv-id is its own too */
	bool below;             /* it stamps below its own Received line */
	unsigned trusted_hops;  /* Received lines down to the MX's own, with
	                           it, counted from the top; 0 is 1 */
};

/* What the client said that a stamp may speak of, or repeat; none NULL. */
struct mail_auth_claims {
	const char *reverse_path; /* envelope sender, as given */
	const char *from;         /* header From's address, or "" */
	const char *helo;
};

enum mail_auth_notice_kind {
	MAIL_AUTH_TRUSTED,   /* fields were found, and nothing is odd */
	MAIL_AUTH_ABSENT,    /* no field at the place */
	MAIL_AUTH_FOREIGN,   /* none of the MX's id there */
	MAIL_AUTH_MISPLACED, /* none there, one at the other place */
	MAIL_AUTH_MALFORMED, /* one there that is not read */
	MAIL_AUTH_ECHOED,    /* what the client said may have got into them */
	MAIL_AUTH_NOTICE_COUNT
};

/* How the reading went, for the admin who has set it up. */
struct mail_auth_notice {
	enum mail_auth_notice_kind kind;
	char id[256]; /* MAIL_AUTH_FOREIGN: the first field's; "" for none */
};

#define MAIL_AUTH_NOTICE_SIZE 800

/*
 * Reads the Authentication-Results fields (RFC 8601) that the MX itself has
 * written, told by their place and their authserv-id (any case, also
 * "ID/JOB"); all others are forged or foreign, and what the MX has not stated
 * is not taken from them. The MX stamps above its own Received line: then all
 * fields above the trusted_hops-th Received line may count; or below it: then
 * the first field below that line and above the next does, alone. In a header
 * without any Received line it is the unbroken run at the top. A field that
 * authres_field_read() refuses counts for nothing.
 *
 * Of several results the worse counts for spf and dmarc, and for dkim the best:
 * a pass aligned with From, any pass, any. A pass that names no domain is none.
 * Where the message has not exactly one author, a pass of DKIM ("policy" then)
 * or DMARC ("none") vouches for nobody. aligned is left false. Where the HELO,
 * the sender, From or a signature holds bytes that end a comment or a value
 * when a program repeats them, no pass counts (RFC 8601 section 7.1).
 */
void mail_auth_read(const struct mail_header *header,
                    const struct mail_auth_source *source,
                    const struct mail_auth_claims *claims,
                    struct mail_auth *auth, struct mail_auth_notice *notice);

/* "trusted", "absent", "foreign", ...: for metrics. */
const char *mail_auth_notice_name(enum mail_auth_notice_kind kind);

/*
 * Writes what an admin should know as a sentence without its full stop; "" for
 * MAIL_AUTH_TRUSTED. Returns text.
 */
char *mail_auth_notice_text(const struct mail_auth_notice *notice,
                            const struct mail_auth_source *source,
                            char text[MAIL_AUTH_NOTICE_SIZE]);

/* Whether SPF or DMARC fails outright: a white entry is then ignored. */
bool mail_auth_fails(const struct mail_auth *auth);

/* "pass", "fail", ... as on the wire; never NULL. */
const char *auth_result_name(enum auth_result result);

/* The inverse; AUTH_NONE for an unknown word. */
enum auth_result auth_result_parse(const char *name);

#endif
