/* The rules by which a message forbids that its sender is written to. */
#include "common/mail/challenge-rule.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/automatic.h"
#include "common/mail/lexical.h"

/* Mailboxes of To and Cc that are compared with each recipient of ours. */
#define ADDRESSED_MAXIMUM 1000

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const reason_names[CHALLENGE_REASON_COUNT] = {
    [CHALLENGE_ALLOWED] = "",
    [CHALLENGE_NULL_SENDER] = "null-sender",
    [CHALLENGE_AUTO_SUBMITTED] = "auto-submitted",
    [CHALLENGE_AUTO_HEADER] = "auto-header",
    [CHALLENGE_SUPPRESSED] = "suppressed",
    [CHALLENGE_LIST] = "list",
    [CHALLENGE_ROLE_SENDER] = "role-sender",
    [CHALLENGE_UNAUTHENTICATED] = "unauthenticated",
    [CHALLENGE_BAD_CONTENT] = "bad-content",
    [CHALLENGE_OWN_DOMAIN] = "own-domain",
    [CHALLENGE_REPLY] = "reply",
    [CHALLENGE_OPEN] = "open-challenge",
    [CHALLENGE_DEAD_SENDER] = "dead-sender",
    [CHALLENGE_FOREIGN] = "foreign-challenge",
    [CHALLENGE_NOT_ADDRESSED] = "not-addressed",
    [CHALLENGE_RATE_CAP] = "rate-cap",
    [CHALLENGE_TRANSACTIONAL] = "transactional",
    [CHALLENGE_REPORT] = "report",
    [CHALLENGE_UNWRITABLE] = "unwritable-sender"};

const char *challenge_reason_name(enum challenge_reason reason)
{
	return (size_t)reason < CHALLENGE_REASON_COUNT ? reason_names[reason]
	                                               : "";
}

int challenge_reason_parse(const char *name)
{
	int i;

	for (i = 0; i < CHALLENGE_REASON_COUNT; i++)
		if (strcmp(name, reason_names[i]) == 0)
			return i;
	return -1;
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcasecmp(word, words[i]) == 0)
			return true;
	return false;
}

/* The first word of a structured value, without comments. */
static void first_word(const char *value, char *word, size_t size)
{
	(void)mail_read_word(mail_skip_cfws(value), ",", word, size);
}

static bool is_content_type(const struct mail_header *header, const char *type)
{
	const char *value = mail_header_get(header, "Content-Type");
	char word[128];

	if (!value)
		return false;
	first_word(value, word, sizeof(word));
	return strcasecmp(word, type) == 0;
}

/* Calls is for the first mailbox of each field of this name, but for known,
 * which is not. */
static bool any_mailbox(const struct mail_header *header, const char *name,
                        bool (*is)(const char *address), const char *known)
{
	long at = -1;

	while ((at = mail_header_find(header, name, (size_t)(at + 1))) >= 0) {
		char address[MAIL_ADDRESS_SIZE];

		if (mail_header_mailbox(header->fields[at].value, address,
		                        sizeof(address)) == 0 &&
		    strcasecmp(address, known) != 0 && is(address))
			return true;
	}
	return false;
}

/* An earlier host's record of a null sender outlives forwarding. */
static bool null_return_path(const struct mail_header *header)
{
	const char *value = mail_header_get(header, "Return-Path");

	if (!value)
		return false;
	value = mail_skip_cfws(value);
	return *value == '<' && *mail_skip_cfws(value + 1) == '>';
}

/* "From: MAILER-DAEMON <>" names nobody. */
static bool has_null_from(const struct mail_header *header)
{
	const char *value = mail_header_get(header, "From");
	const char *angle = value ? strrchr(value, '<') : NULL;

	return angle && *mail_skip_cfws(angle + 1) == '>';
}

/* What the rules know of a message. */
struct message {
	const struct challenge_facts *facts;
	unsigned classes; /* bit 1 << c of each enum automatic_class found */
};

static bool is_of(const struct message *message, enum automatic_class class)
{
	return message->classes & 1U << class;
}

static bool is_null_sender(const struct message *message)
{
	const struct challenge_facts *f = message->facts;

	return mail_address_is_null_sender(f->sender) ||
	       mail_address_is_null_sender(f->identity->person) ||
	       any_mailbox(f->header, "From", mail_address_is_null_sender,
	                   f->identity->person) ||
	       has_null_from(f->header) || null_return_path(f->header) ||
	       is_content_type(f->header, "multipart/report") ||
	       is_content_type(f->header, "message/delivery-status") ||
	       is_of(message, AUTOMATIC_BOUNCE);
}

static bool is_auto_submitted(const struct message *message)
{
	const struct challenge_facts *f = message->facts;
	long at = -1;

	while ((at = mail_header_find(f->header, "Auto-Submitted",
	                              (size_t)(at + 1))) >= 0) {
		char word[32];

		first_word(f->header->fields[at].value, word, sizeof(word));
		if (strcasecmp(word, "no") != 0)
			return true;
	}
	return false;
}

static bool is_automatic_answer(const struct message *message)
{
	return is_of(message, AUTOMATIC_ANSWER);
}

/* Which automatic answers the sender asks not to get: [MS-OXCMAIL]. */
static bool is_suppressed(const struct message *message)
{
	const struct challenge_facts *f = message->facts;
	static const char *const words[] = {"all", "autoreply", "oof"};
	const char *text =
	    mail_header_get(f->header, "X-Auto-Response-Suppress");

	while (text && *text) {
		char word[32];

		text = mail_read_word(mail_skip_cfws(text), ",", word,
		                      sizeof(word));
		if (is_one_of(word, words, COUNT(words)))
			return true;
		if (*text == ',' || *text == ';')
			text++;
	}
	return false;
}

static bool is_list(const struct message *message)
{
	return is_of(message, AUTOMATIC_LIST);
}

static bool is_role_sender(const struct message *message)
{
	const struct challenge_facts *f = message->facts;
	const char *person = f->identity->person;

	/* Forms are there but for a sender that is no address. */
	if (f->identity->form_count == 0 && automatic_address(f->sender))
		return true;
	return mail_identity_is_role(f->identity) ||
	       any_mailbox(f->header, "From", automatic_address, person) ||
	       any_mailbox(f->header, "Sender", automatic_address, person) ||
	       any_mailbox(f->header, "Reply-To", automatic_address, person);
}

/* A pass of somebody else's domain would let him aim our challenges. */
static bool is_unauthenticated(const struct message *message)
{
	const struct challenge_facts *f = message->facts;

	return f->demand_authentication &&
	       f->identity->person_pass == MAIL_PASS_NONE;
}

/* What stands behind our limit might be the sign that forbids. */
static bool is_bad(const struct message *message)
{
	return message->facts->header->truncated;
}

static bool is_own_domain(const struct message *message)
{
	const struct challenge_facts *f = message->facts;

	return f->own_domain &&
	       mail_identity_names(f->identity, f->own_domain, f->context);
}

static bool is_foreign_challenge(const struct message *message)
{
	return is_of(message, AUTOMATIC_FOREIGN) ||
	       (is_of(message, AUTOMATIC_AGENT) &&
	        !is_of(message, AUTOMATIC_HUMAN));
}

/*
 * Looking for our recipients in To and Cc. Any address of the tenant's domains
 * will do: it may be an alias of theirs, or have a tag.
 */
struct addressed {
	const struct challenge_facts *facts;
	unsigned looked_at; /* mailboxes of all fields together */
	bool found;
};

static bool compare_recipients(const char *address, void *context)
{
	struct addressed *search = context;
	const struct challenge_facts *f = search->facts;
	const char *domain = mail_address_domain(address);
	char folded[MAIL_ADDRESS_SIZE];
	size_t i;

	if (++search->looked_at > ADDRESSED_MAXIMUM)
		return false;
	if (*domain && f->own_domain && f->own_domain(domain, f->context)) {
		search->found = true;
		return false;
	}
	if (mail_address_fold(address, folded) != 0)
		return true;
	for (i = 0; i < f->recipient_count && !search->found; i++)
		search->found = strcasecmp(folded, f->recipients[i]) == 0;
	return !search->found;
}

static bool is_not_addressed(const struct message *message)
{
	const struct challenge_facts *f = message->facts;
	static const char *const names[] = {"To", "Cc", "Resent-To",
	                                    "Resent-Cc"};
	struct addressed search = {.facts = f};
	size_t i;

	if (f->recipient_count == 0)
		return false;
	for (i = 0; i < COUNT(names) && !search.found; i++) {
		long at = -1;

		while (!search.found && search.looked_at <= ADDRESSED_MAXIMUM &&
		       (at = mail_header_find(f->header, names[i],
		                              (size_t)(at + 1))) >= 0)
			mail_header_each_mailbox(f->header->fields[at].value,
			                         compare_recipients, &search);
	}
	return !search.found;
}

static bool is_transactional(const struct message *message)
{
	return is_of(message, AUTOMATIC_ORDER);
}

static bool is_report(const struct message *message)
{
	const struct mail_header *header = message->facts->header;

	return is_content_type(header, "text/calendar") ||
	       is_content_type(header, "message/disposition-notification") ||
	       is_content_type(header, "message/feedback-report") ||
	       is_of(message, AUTOMATIC_CALENDAR) ||
	       is_of(message, AUTOMATIC_REPORT);
}

static unsigned classes_of(const struct challenge_facts *f)
{
	bool answers = mail_header_get(f->header, "In-Reply-To") ||
	               mail_header_get(f->header, "References");
	const char *subject = mail_header_get(f->header, "Subject");

	return automatic_fields(f->header) | f->parts |
	       1U << automatic_subject(subject, answers);
}

/* Before the null sender: an address without a normal form is not null. */
static bool is_unwritable(const struct message *message)
{
	const struct challenge_facts *f = message->facts;

	return *f->sender && !mail_address_is_null_sender(f->sender) &&
	       (!mail_address_valid(f->sender, false) ||
	        !mail_address_valid(f->identity->person, false));
}

enum challenge_reason challenge_rule_apply(const struct challenge_facts *facts)
{
	static const struct {
		enum challenge_reason reason;
		bool (*applies)(const struct message *message);
	} rules[] = {
	    {CHALLENGE_UNWRITABLE, is_unwritable},
	    {CHALLENGE_NULL_SENDER, is_null_sender},
	    {CHALLENGE_AUTO_SUBMITTED, is_auto_submitted},
	    {CHALLENGE_AUTO_HEADER, is_automatic_answer},
	    {CHALLENGE_SUPPRESSED, is_suppressed},
	    {CHALLENGE_LIST, is_list},
	    {CHALLENGE_ROLE_SENDER, is_role_sender},
	    {CHALLENGE_UNAUTHENTICATED, is_unauthenticated},
	    {CHALLENGE_BAD_CONTENT, is_bad},
	    {CHALLENGE_OWN_DOMAIN, is_own_domain},
	    {CHALLENGE_FOREIGN, is_foreign_challenge},
	    {CHALLENGE_NOT_ADDRESSED, is_not_addressed},
	    {CHALLENGE_TRANSACTIONAL, is_transactional},
	    {CHALLENGE_REPORT, is_report},
	};
	struct message message = {facts, classes_of(facts)};
	size_t i;

	for (i = 0; i < COUNT(rules); i++)
		if (rules[i].applies(&message))
			return rules[i].reason;
	return CHALLENGE_ALLOWED;
}
