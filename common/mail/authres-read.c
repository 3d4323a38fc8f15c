/* Which Authentication-Results fields count, and what they say together. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/authres-field.h"
#include "common/mail/authres.h"
#include "common/mail/suffix.h"

#define FIELD "Authentication-Results"

/* What the message claims, and what the fields that count have stated. */
struct reading {
	const char *from_domain;
	bool one_from; /* else the MX may have looked at another than we do */
	struct mail_auth *auth;
	bool spf, dkim, dmarc; /* stated by a field before */
	bool dmarc_named;      /* with header.from */
};

/* Where fields of the MX are looked for: [first, end) of the header's. */
struct place {
	size_t first, end;
	size_t limit; /* fields of FIELD that count there, from the top */
};

/* --- what the results say ----------------------------------------------- */

/* Of two results for one identity the worse counts. */
static int badness(enum auth_result result)
{
	static const int table[] = {
	    [AUTH_PASS] = 0,      [AUTH_NONE] = 1,     [AUTH_NEUTRAL] = 2,
	    [AUTH_POLICY] = 3,    [AUTH_SOFTFAIL] = 4, [AUTH_TEMPERROR] = 5,
	    [AUTH_PERMERROR] = 6, [AUTH_FAIL] = 7};

	return table[result];
}

/*
 * Adds a result to what is known of a method that has one identity. Passes for
 * two domains contradict each other, and neither counts.
 */
static void merge(bool stated, enum auth_result *known, char *known_domain,
                  enum auth_result result, const char *domain)
{
	if (stated && badness(result) < badness(*known))
		return;
	if (stated && result == *known) {
		if (strcmp(domain, known_domain) == 0)
			return;
		domain = "";
		if (result == AUTH_PASS)
			result = AUTH_NONE;
	}
	*known = result;
	(void)snprintf(known_domain, AUTHRES_DOMAIN_SIZE, "%s", domain);
}

static void take_spf(struct reading *r, const struct authres_result *result)
{
	if (!result->has_mailfrom && result->has_helo)
		return;
	merge(r->spf, &r->auth->spf, r->auth->spf_domain, result->result,
	      result->mailfrom);
	r->spf = true;
}

static void take_dmarc(struct reading *r, const struct authres_result *result)
{
	merge(r->dmarc, &r->auth->dmarc, r->auth->dmarc_domain, result->result,
	      result->from);
	r->dmarc = true;
	r->dmarc_named = r->dmarc_named || result->has_from;
}

/* The best signature wins: a pass aligned with From, any pass, any. */
static int dkim_rank(const struct reading *r, enum auth_result result,
                     const char *domain)
{
	if (result != AUTH_PASS)
		return 0;
	return mail_domains_align(domain, r->from_domain) ? 2 : 1;
}

static void take_dkim(struct reading *r, const struct authres_result *result)
{
	struct mail_auth *auth = r->auth;
	int rank = dkim_rank(r, result->result, result->signer);

	if (r->dkim && rank <= dkim_rank(r, auth->dkim, auth->dkim_domain))
		return;
	r->dkim = true;
	auth->dkim = result->result;
	(void)snprintf(auth->dkim_domain, sizeof(auth->dkim_domain), "%s",
	               result->signer);
}

static void take(const struct authres_result *result, void *context)
{
	struct reading *r = context;

	if (strcmp(result->method, "spf") == 0)
		take_spf(r, result);
	else if (strcmp(result->method, "dkim") == 0)
		take_dkim(r, result);
	else if (strcmp(result->method, "dmarc") == 0)
		take_dmarc(r, result);
}

/*
 * A DMARC result that names no From is about the only one there is. A reader is
 * shown one author: of several nobody knows which one the MX looked at.
 */
static void conclude(struct reading *r)
{
	struct mail_auth *auth = r->auth;

	if (auth->spf == AUTH_PASS && !*auth->spf_domain)
		auth->spf = AUTH_NONE;
	if (auth->dkim == AUTH_PASS && (!r->one_from || !*auth->dkim_domain))
		auth->dkim = AUTH_POLICY;
	if (!r->dmarc_named && r->one_from)
		(void)snprintf(auth->dmarc_domain, sizeof(auth->dmarc_domain),
		               "%s", r->from_domain);
	if (auth->dmarc == AUTH_PASS && (!r->one_from || !*auth->dmarc_domain))
		auth->dmarc = AUTH_NONE;
}

static bool count_mailbox(const char *address, void *context)
{
	int *count = context;

	(void)address;
	return ++*count < 2;
}

/* One field with one mailbox. */
static bool has_one_from(const struct mail_header *header)
{
	long at = mail_header_find(header, "From", 0);
	int count = 0;

	if (at < 0 || mail_header_find(header, "From", (size_t)(at + 1)) >= 0)
		return false;
	mail_header_each_mailbox(header->fields[at].value, count_mailbox,
	                         &count);
	return count == 1;
}

/* --- what a client could have written into a stamp ----------------------- */

/*
 * Whether a tag of a DKIM-Signature (RFC 6376 section 3.2) that verifiers
 * repeat holds more than names are made of; "=" begins an encoded byte.
 */
static bool tag_is_odd(const char *tag, size_t length)
{
	static const char odd[] = "=()\"\\,<>";
	const char *end = tag + length, *value;

	while (tag < end && (*tag == ' ' || *tag == '\t'))
		tag++;
	value = tag + 1;
	if (tag == end || !strchr("dis", *tag))
		return false;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	if (value == end || *value != '=')
		return false;
	for (value++; value < end; value++)
		if (strchr(odd, *value))
			return true;
	return false;
}

static bool signature_is_odd(const char *value)
{
	while (*value) {
		size_t length = strcspn(value, ";");

		if (tag_is_odd(value, length))
			return true;
		value += length + (value[length] == ';');
	}
	return false;
}

/* Whether a From could be read as "x.example; method=result". */
static bool from_is_odd(const char *value)
{
	return strchr(value, ';') && strchr(value, '=');
}

/*
 * Programs repeat the HELO (policyd-spf), the sender (Rspamd), the signer's
 * identity (OpenDKIM) and From's domain (OpenDMARC) in comments and properties
 * without quotes: with the right bytes these end the comment or the value and
 * go on as a result. Postfix shows such bytes of a HELO as "?" to us, and as
 * they are to its milters.
 */
static bool may_be_echoed(const struct mail_header *header,
                          const struct mail_auth_claims *claims)
{
	static const struct {
		const char *name;
		bool (*is_odd)(const char *value);
	} fields[] = {{"From", from_is_odd},
	              {"DKIM-Signature", signature_is_odd},
	              {"ARC-Seal", signature_is_odd},
	              {"ARC-Message-Signature", signature_is_odd}};
	size_t i;

	if (strpbrk(claims->helo, " \t()<>;\"\\?@") ||
	    strpbrk(claims->reverse_path, " \t()<>;,\\"))
		return true;
	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		long at = -1;

		while ((at = mail_header_find(header, fields[i].name,
		                              (size_t)(at + 1))) >= 0)
			if (fields[i].is_odd(header->fields[at].value))
				return true;
	}
	return false;
}

static enum auth_result without_pass(enum auth_result result)
{
	return result == AUTH_PASS ? AUTH_NONE : result;
}

/* --- which fields count -------------------------------------------------- */

/* The index of the hops-th Received line, or -1. */
static long find_received(const struct mail_header *header, unsigned hops)
{
	long at = -1;

	while (hops-- > 0) {
		at = mail_header_find(header, "Received", (size_t)(at + 1));
		if (at < 0)
			return -1;
	}
	return at;
}

/* How many fields of FIELD the header begins with. */
static size_t count_leading(const struct mail_header *header)
{
	size_t count = 0;

	while (count < header->field_count &&
	       strcasecmp(header->fields[count].name, FIELD) == 0)
		count++;
	return count;
}

static size_t next_received(const struct mail_header *header, size_t from)
{
	long next = mail_header_find(header, "Received", from);

	return next < 0 ? header->field_count : (size_t)next;
}

/*
 * Sets *here to where the MX stamps, and *other to where it would if the
 * setting were wrong. Without any Received line nobody but who stamped has
 * added to the header yet: the lines it begins with are then his.
 */
static void find_places(const struct mail_header *header,
                        const struct mail_auth_source *source,
                        struct place *here, struct place *other)
{
	unsigned hops = source->trusted_hops ? source->trusted_hops : 1;
	long received = find_received(header, hops);
	struct place above = {.limit = SIZE_MAX}, below = {.limit = 1};

	if (received >= 0) {
		above.end = (size_t)received;
		below.first = (size_t)received + 1;
		below.end = next_received(header, below.first);
	} else if (mail_header_find(header, "Received", 0) < 0) {
		above.end = count_leading(header);
	}
	*here = source->below ? below : above;
	*other = source->below ? above : below;
}

static bool is_own(const struct mail_auth_source *source,
                   const struct authres_id *id)
{
	if (id->missing)
		return source->accept_missing_id;
	return source->authserv_id && *source->authserv_id &&
	       strcasecmp(id->text, source->authserv_id) == 0;
}

/* The index of the next field of FIELD at or after *at, counted in *seen. */
static bool next_field(const struct mail_header *header,
                       const struct place *place, size_t *at, size_t *seen)
{
	long found =
	    *seen < place->limit ? mail_header_find(header, FIELD, *at) : -1;

	if (found < 0 || (size_t)found >= place->end)
		return false;
	*at = (size_t)found;
	(*seen)++;
	return true;
}

static bool has_own(const struct mail_header *header,
                    const struct mail_auth_source *source,
                    const struct place *place)
{
	struct authres_id id;
	size_t at, seen = 0;

	for (at = place->first; next_field(header, place, &at, &seen); at++)
		if (authres_field_read(header->fields[at].value, &id, NULL,
		                       NULL) &&
		    is_own(source, &id))
			return true;
	return false;
}

static void read_place(const struct mail_header *header,
                       const struct mail_auth_source *source,
                       const struct place *place, struct reading *r,
                       struct mail_auth_notice *notice)
{
	size_t at, seen = 0;

	for (at = place->first; next_field(header, place, &at, &seen); at++) {
		const char *value = header->fields[at].value;
		struct authres_id id;

		if (!authres_field_read(value, &id, NULL, NULL)) {
			if (is_own(source, &id) || (!*id.text && !id.missing))
				notice->kind = MAIL_AUTH_MALFORMED;
		} else if (is_own(source, &id)) {
			r->auth->stated = true;
			(void)authres_field_read(value, &id, take, r);
			continue;
		}
		if (notice->kind == MAIL_AUTH_ABSENT) {
			notice->kind = MAIL_AUTH_FOREIGN;
			(void)snprintf(notice->id, sizeof(notice->id), "%s",
			               id.text);
		}
	}
}

void mail_auth_read(const struct mail_header *header,
                    const struct mail_auth_source *source,
                    const struct mail_auth_claims *claims,
                    struct mail_auth *auth, struct mail_auth_notice *notice)
{
	struct reading r = {.from_domain = mail_address_domain(claims->from),
	                    .one_from = has_one_from(header),
	                    .auth = auth};
	struct place here, other;

	memset(auth, 0, sizeof(*auth));
	memset(notice, 0, sizeof(*notice));
	notice->kind = MAIL_AUTH_ABSENT;
	find_places(header, source, &here, &other);
	read_place(header, source, &here, &r, notice);
	if (auth->stated && notice->kind != MAIL_AUTH_MALFORMED)
		notice->kind = MAIL_AUTH_TRUSTED;
	if (notice->kind == MAIL_AUTH_ABSENT && has_own(header, source, &other))
		notice->kind = MAIL_AUTH_MISPLACED;
	if (auth->stated && may_be_echoed(header, claims)) {
		auth->spf = without_pass(auth->spf);
		auth->dkim = without_pass(auth->dkim);
		auth->dmarc = without_pass(auth->dmarc);
		notice->kind = MAIL_AUTH_ECHOED;
	}
	conclude(&r);
}

/* --- telling the admin --------------------------------------------------- */

static const char *const notice_names[] = {
    [MAIL_AUTH_TRUSTED] = "trusted",     [MAIL_AUTH_ABSENT] = "absent",
    [MAIL_AUTH_FOREIGN] = "foreign",     [MAIL_AUTH_MISPLACED] = "misplaced",
    [MAIL_AUTH_MALFORMED] = "malformed", [MAIL_AUTH_ECHOED] = "echoed"};

const char *mail_auth_notice_name(enum mail_auth_notice_kind kind)
{
	return kind < MAIL_AUTH_NOTICE_COUNT ? notice_names[kind] : "";
}

char *mail_auth_notice_text(const struct mail_auth_notice *notice,
                            const struct mail_auth_source *source,
                            char text[MAIL_AUTH_NOTICE_SIZE])
{
	const char *place = source->below ? "below" : "above";
	const char *other = source->below ? "above" : "below";
	unsigned hops = source->trusted_hops ? source->trusted_hops : 1;
	const char *id = source->authserv_id && *source->authserv_id
	                     ? source->authserv_id
	                     : "(none)";

	text[0] = '\0';
	switch (notice->kind) {
	case MAIL_AUTH_ABSENT:
		(void)snprintf(text, MAIL_AUTH_NOTICE_SIZE,
		               "the MX wrote no " FIELD
		               " field %s Received line %u",
		               place, hops);
		break;
	case MAIL_AUTH_FOREIGN:
		(void)snprintf(text, MAIL_AUTH_NOTICE_SIZE,
		               "the MX wrote " FIELD
		               " as \"%s\", policy.authserv_id is \"%s\"",
		               notice->id, id);
		break;
	case MAIL_AUTH_MISPLACED:
		(void)snprintf(text, MAIL_AUTH_NOTICE_SIZE,
		               FIELD " of \"%s\" stand only %s Received line "
		                     "%u, policy.authres_position is \"%s\": "
		                     "written by the sender, or by an MX that "
		                     "stamps there",
		               id, other, hops, place);
		break;
	case MAIL_AUTH_MALFORMED:
		(void)snprintf(text, MAIL_AUTH_NOTICE_SIZE,
		               "an " FIELD
		               " field of the MX does not follow RFC 8601");
		break;
	case MAIL_AUTH_ECHOED:
		(void)snprintf(
		    text, MAIL_AUTH_NOTICE_SIZE,
		    "the HELO, the sender, From or a signature holds "
		    "bytes that could pass for a result in " FIELD);
		break;
	default:
		break;
	}
	return text;
}
