/* The verdict per recipient. */
#include "local-agent/verdict.h"

#include <stdio.h>

/* What would let every entry match that is not for somebody else. */
static const struct mail_auth all_pass = {.stated = true,
                                          .spf = AUTH_PASS,
                                          .dkim = AUTH_PASS,
                                          .dmarc = AUTH_PASS,
                                          .aligned = true};

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

static const char *explain_auth(const struct mail_auth *auth)
{
	if (!auth || !auth->stated)
		return "no authentication stated by the MX";
	if (auth->dmarc == AUTH_FAIL)
		return "DMARC fails";
	if (auth->spf == AUTH_FAIL)
		return "SPF fails";
	return "no authentication passes for it";
}

/* Why no entry counted, or that there is none: asked for when mail is held. */
static void explain_hold(const struct replica_view *view,
                         const struct entry_subject *subject,
                         struct verdict *verdict)
{
	struct entry_subject wider = *subject;
	const char *ignored = explain_auth(subject->auth);
	const struct entry *entry;

	wider.auth = &all_pass;
	entry = entry_set_find(view->entries, &wider);
	if (!entry) {
		wider.now_ms = 0;
		entry = entry_set_find(view->entries, &wider);
		ignored = "expired";
	}
	if (entry)
		explain(entry, ignored, verdict);
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
