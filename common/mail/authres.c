/* Reading Authentication-Results, and what they say of the sender. */
#include "common/mail/authres.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/lexical.h"

#define WORD_SIZE 512

static const char *const result_names[] = {
    [AUTH_NONE] = "none",           [AUTH_PASS] = "pass",
    [AUTH_FAIL] = "fail",           [AUTH_SOFTFAIL] = "softfail",
    [AUTH_NEUTRAL] = "neutral",     [AUTH_TEMPERROR] = "temperror",
    [AUTH_PERMERROR] = "permerror", [AUTH_POLICY] = "policy"};

/* One "method=result property=value ..." of a field. */
struct result_info {
	char method[32];
	enum auth_result result;
	char mailfrom[WORD_SIZE];      /* smtp.mailfrom: address or domain */
	char helo[WORD_SIZE];          /* smtp.helo */
	char header_domain[WORD_SIZE]; /* header.d, or what follows header.i's
	                                  "@" */
	char header_from[WORD_SIZE];   /* header.from */
};

/* What the message claims, and which field was the first to state a method. */
struct reading {
	const char *sender_domain;
	const char *from_domain;
	struct mail_auth *auth;
	unsigned field; /* number of the field being read, from 1 */
	unsigned spf_field, dkim_field, dmarc_field;
	bool several_from; /* the MX may have looked at another than we do */
};

const char *auth_result_name(enum auth_result result)
{
	if ((size_t)result >= sizeof(result_names) / sizeof(*result_names))
		return "none";
	return result_names[result];
}

enum auth_result auth_result_parse(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(result_names) / sizeof(*result_names); i++)
		if (strcasecmp(name, result_names[i]) == 0)
			return (enum auth_result)i;
	/* The older names of RFC 5451. */
	if (strcasecmp(name, "hardfail") == 0)
		return AUTH_FAIL;
	return AUTH_NONE;
}

/* "[local-part]@domain" or "domain": the domain. */
static const char *domain_of(const char *text)
{
	const char *at = strrchr(text, '@');

	return at ? at + 1 : text;
}

static void copy_domain(char *to, size_t size, const char *from)
{
	if (mail_domain_fold(from, to, size) != 0)
		to[0] = '\0';
}

static void keep(char *to, size_t size, const char *value)
{
	if (!*to)
		(void)snprintf(to, size, "%s", value);
}

static void take_property(struct result_info *info, const char *name,
                          const char *value)
{
	if (strcasecmp(name, "smtp.mailfrom") == 0 ||
	    strcasecmp(name, "smtp.mail") == 0 ||
	    strcasecmp(name, "smtp.mfrom") == 0)
		keep(info->mailfrom, sizeof(info->mailfrom), value);
	else if (strcasecmp(name, "smtp.helo") == 0)
		keep(info->helo, sizeof(info->helo), value);
	else if (strcasecmp(name, "header.d") == 0)
		(void)snprintf(info->header_domain, sizeof(info->header_domain),
		               "%s", domain_of(value));
	else if (strcasecmp(name, "header.i") == 0)
		keep(info->header_domain, sizeof(info->header_domain),
		     domain_of(value));
	else if (strcasecmp(name, "header.from") == 0)
		keep(info->header_from, sizeof(info->header_from), value);
}

/*
 * Reads "name [CFWS] = [CFWS] value"; a "." in a name may stand between
 * comments too, which nobody writes: the name is then unknown. NULL when there
 * is no "=".
 */
static const char *read_pair(const char *text, char *name, size_t name_size,
                             char *value, size_t value_size)
{
	text = mail_skip_cfws(mail_read_word(text, "=/", name, name_size));
	if (*text == '/') {
		/* The method's version: 1 is the only one there is. */
		char version[16];

		text = mail_skip_cfws(text + 1);
		text = mail_read_word(text, "=", version, sizeof(version));
		text = mail_skip_cfws(text);
		if (strcmp(version, "1") != 0)
			name[0] = '\0';
	}
	if (*text != '=')
		return NULL;
	text = mail_skip_cfws(text + 1);
	text = mail_read_word(text, "", value, value_size);
	/* A quoted local part goes on behind its quotes: "a b"@example.org. */
	if (*text == '@')
		text = mail_read_word(text, "", value, value_size);
	return text;
}

/* The start of the next result: behind the next ";" outside of comments. */
static const char *next_result(const char *text)
{
	char skipped[2];

	for (;;) {
		text = mail_skip_cfws(text);
		if (!*text)
			return text;
		if (*text == ';')
			return text + 1;
		text = mail_read_word(text, "", skipped, sizeof(skipped));
	}
}

/* Reads one result up to its ";" into info; returns what follows that. */
static const char *read_result(const char *text, struct result_info *info)
{
	char name[64], value[WORD_SIZE];
	const char *next;

	memset(info, 0, sizeof(*info));
	text = mail_skip_cfws(text);
	next = read_pair(text, info->method, sizeof(info->method), value,
	                 sizeof(value));
	if (!next) {
		info->method[0] = '\0';
		return next_result(text);
	}
	info->result = auth_result_parse(value);
	for (;;) {
		text = mail_skip_cfws(next);
		if (!*text || *text == ';')
			return *text ? text + 1 : text;
		next =
		    read_pair(text, name, sizeof(name), value, sizeof(value));
		if (!next)
			return next_result(text);
		take_property(info, name, value);
	}
}

/*
 * A pass counts for the sender's own domain only, and has to name it: behind
 * SRS the pass is the forwarder's. Any other result counts as it stands.
 */
static void take_spf(struct reading *r, const struct result_info *info)
{
	struct mail_auth *auth = r->auth;

	if (!*info->mailfrom && *info->helo)
		return;
	if (r->spf_field)
		return;
	r->spf_field = r->field;
	copy_domain(auth->spf_domain, sizeof(auth->spf_domain),
	            domain_of(info->mailfrom));
	auth->spf = info->result;
	if (info->result != AUTH_PASS)
		return;
	if (!*r->sender_domain ||
	    strcasecmp(auth->spf_domain, r->sender_domain) != 0)
		auth->spf = AUTH_NONE;
}

/* The best signature wins: aligned with the sender, with From, any. */
static int dkim_rank(const struct reading *r, enum auth_result result,
                     const char *domain)
{
	if (result != AUTH_PASS)
		return 0;
	if (mail_domains_align(domain, r->sender_domain))
		return 3;
	return mail_domains_align(domain, r->from_domain) ? 2 : 1;
}

static void take_dkim(struct reading *r, const struct result_info *info)
{
	struct mail_auth *auth = r->auth;
	enum auth_result before = auth->dkim;
	char domain[sizeof(auth->dkim_domain)];
	int rank;

	if (r->dkim_field && r->dkim_field != r->field)
		return;
	copy_domain(domain, sizeof(domain), info->header_domain);
	rank = dkim_rank(r, info->result, domain);
	/* A pass that is not aligned is kept as "policy": 1 again here. */
	if (before == AUTH_POLICY)
		before = AUTH_PASS;
	if (r->dkim_field && rank <= dkim_rank(r, before, auth->dkim_domain))
		return;
	r->dkim_field = r->field;
	memcpy(auth->dkim_domain, domain, sizeof(domain));
	auth->dkim = rank == 1 ? AUTH_POLICY : info->result;
}

/* The MX looked at one From; a pass for another than ours is none. */
static void take_dmarc(struct reading *r, const struct result_info *info)
{
	char domain[256];

	if (r->dmarc_field)
		return;
	r->dmarc_field = r->field;
	r->auth->dmarc = info->result;
	if (info->result != AUTH_PASS)
		return;
	copy_domain(domain, sizeof(domain), domain_of(info->header_from));
	if (!*r->from_domain || (!*info->header_from && r->several_from) ||
	    (*info->header_from && !mail_domains_align(domain, r->from_domain)))
		r->auth->dmarc = AUTH_NONE;
}

/*
 * Whether the field is authserv_id's; *results is then where its results
 * begin, or NULL when their version is one that we do not know.
 */
static bool read_authserv_id(const char *value, const char *authserv_id,
                             const char **results)
{
	char word[WORD_SIZE], version[16];

	value = mail_skip_cfws(value);
	value = mail_skip_cfws(mail_read_word(value, "=", word, sizeof(word)));
	if (strcasecmp(word, authserv_id) != 0)
		return false;
	*results = NULL;
	if (*value && *value != ';') {
		value = mail_read_word(value, "=", version, sizeof(version));
		value = mail_skip_cfws(value);
		if (strcmp(version, "1") != 0)
			return *value == ';' || !*value;
	}
	if (*value && *value != ';')
		return false;
	*results = *value ? value + 1 : value;
	return true;
}

static void read_field(struct reading *r, const char *text)
{
	struct result_info info;

	r->field++;
	while (*text) {
		text = read_result(text, &info);
		if (strcasecmp(info.method, "spf") == 0)
			take_spf(r, &info);
		else if (strcasecmp(info.method, "dkim") == 0)
			take_dkim(r, &info);
		else if (strcasecmp(info.method, "dmarc") == 0)
			take_dmarc(r, &info);
	}
}

void mail_auth_read(const struct mail_header *header, const char *authserv_id,
                    const char *sender, const char *from,
                    struct mail_auth *auth)
{
	struct reading r = {.sender_domain = mail_address_domain(sender),
	                    .from_domain = mail_address_domain(from),
	                    .auth = auth};
	long at = mail_header_find(header, "From", 0);

	r.several_from =
	    at >= 0 && mail_header_find(header, "From", (size_t)(at + 1)) >= 0;
	at = -1;
	memset(auth, 0, sizeof(*auth));
	if (!authserv_id || !*authserv_id)
		return;
	while ((at = mail_header_find(header, "Authentication-Results",
	                              (size_t)(at + 1))) >= 0) {
		const char *results;

		if (!read_authserv_id(header->fields[at].value, authserv_id,
		                      &results))
			break;
		auth->stated = true;
		if (results)
			read_field(&r, results);
	}
	auth->aligned = auth->spf == AUTH_PASS || auth->dkim == AUTH_PASS ||
	                auth->dmarc == AUTH_PASS;
}

bool mail_auth_passes(const struct mail_auth *auth)
{
	if (auth->dmarc == AUTH_FAIL)
		return false;
	return auth->spf == AUTH_PASS || auth->dkim == AUTH_PASS ||
	       auth->dmarc == AUTH_PASS;
}

bool mail_auth_fails(const struct mail_auth *auth)
{
	return auth->spf == AUTH_FAIL || auth->dmarc == AUTH_FAIL;
}

bool mail_auth_covers_sender(const struct mail_auth *auth, const char *sender,
                             const char *from)
{
	const char *domain = mail_address_domain(sender);

	if (auth->dmarc == AUTH_FAIL)
		return false;
	if (auth->spf == AUTH_PASS)
		return true;
	if (auth->dkim == AUTH_PASS &&
	    mail_domains_align(auth->dkim_domain, domain))
		return true;
	return auth->dmarc == AUTH_PASS &&
	       mail_domains_align(mail_address_domain(from), domain);
}

bool mail_auth_covers_from(const struct mail_auth *auth, const char *from)
{
	const char *domain = mail_address_domain(from);

	if (auth->dmarc == AUTH_FAIL)
		return false;
	if (auth->dmarc == AUTH_PASS)
		return true;
	if (auth->dkim == AUTH_PASS &&
	    mail_domains_align(auth->dkim_domain, domain))
		return true;
	return auth->spf == AUTH_PASS &&
	       mail_domains_align(auth->spf_domain, domain);
}
