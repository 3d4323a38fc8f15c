/* The verdict per recipient. */
#include "local-agent/intake/verdict.h"

#include <stdio.h>

static void explain(const struct entry *entry, const char *ignored,
                    struct verdict *verdict)
{
	char id[ID_TEXT_SIZE];

	(void)snprintf(
	    verdict->why, sizeof(verdict->why),
	    "%s %s entry of the %s, from %s, %s%s%s",
	    entry_colour_name(entry->colour), entry_kind_name(entry->kind),
	    entry_scope_name(entry->scope), entry_origin_name(entry->origin),
	    id_format(&entry->id, id), ignored ? " ignored: " : "",
	    ignored ? ignored : "");
}

static const char *explain_ignored(const struct entry_subject *subject,
                                   const struct entry *entry)
{
	const struct mail_auth *auth = subject->identity->auth;
	bool earned = entry->origin == ENTRY_FROM_CAPTCHA;

	if (entry->expires_ms && entry->expires_ms <= subject->now_ms)
		return "expired";
	if (earned && subject->claims_own_domain)
		return "the mail claims a domain of your own";
	if (!auth || !auth->stated)
		return "no authentication stated by the MX";
	if (auth->dmarc == AUTH_FAIL)
		return "DMARC fails";
	if (auth->spf == AUTH_FAIL)
		return "SPF fails";
	if (entry_demand(entry) > MAIL_PASS_SPF &&
	    subject->identity->person_pass != MAIL_PASS_NONE)
		return entry_demand(entry) == MAIL_PASS_DMARC
		           ? "no pass of DMARC for it"
		           : "no pass of DKIM for it";
	return "no authentication passes for it";
}

/* The entry for the address, were all well with the mail; NULL without one. */
static const struct entry *find_entry(const struct replica_view *view,
                                      const struct entry_subject *subject,
                                      const char *address)
{
	struct mail_identity identity = {.person_pass = MAIL_PASS_DMARC};
	struct entry_subject wider = *subject;
	const struct entry *entry;

	if (!*address)
		return NULL;
	(void)snprintf(identity.person, sizeof(identity.person), "%s", address);
	wider.identity = &identity;
	wider.claims_own_domain = false;
	entry = entry_set_find(view->entries, &wider);
	if (entry)
		return entry;
	wider.now_ms = 0;
	return entry_set_find(view->entries, &wider);
}

/* Why no entry counted, or that there is none: asked for when mail is held. */
static void explain_hold(const struct replica_view *view,
                         const struct entry_subject *subject,
                         struct verdict *verdict)
{
	const struct mail_identity *identity = subject->identity;
	const struct entry *entry = find_entry(view, subject, identity->person);
	size_t i;

	if (!entry)
		entry = find_entry(view, subject, identity->from);
	for (i = 0; i < identity->form_count && !entry; i++)
		entry = find_entry(view, subject, identity->forms[i]);
	if (entry)
		explain(entry, explain_ignored(subject, entry), verdict);
	else
		(void)snprintf(verdict->why, sizeof(verdict->why),
		               "no entry for this sender");
}

void verdict_decide(const struct replica_view *view,
                    const struct entry_subject *subject,
                    struct verdict *verdict)
{
	const struct entry *entry = entry_set_find(view->entries, subject);

	if (!entry) {
		verdict->state = SPOOL_HELD;
		verdict->by = "policy";
		explain_hold(view, subject, verdict);
		return;
	}
	verdict->by = "list";
	verdict->state =
	    entry->colour == ENTRY_BLACK ? SPOOL_DISCARDED : SPOOL_QUEUED;
	explain(entry, NULL, verdict);
}
