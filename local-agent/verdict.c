/* The verdict per recipient. */
#include "local-agent/verdict.h"

#include <stdio.h>

static void explain(const struct entry *entry, struct verdict *verdict)
{
	char id[ID_TEXT_SIZE];

	(void)snprintf(
	    verdict->why, sizeof(verdict->why),
	    "%s %s entry of the %s, from %s, %s",
	    entry_colour_name(entry->colour), entry_kind_name(entry->kind),
	    entry_scope_name(entry->scope), entry_origin_name(entry->origin),
	    id_format(&entry->id, id));
}

void verdict_decide(const struct replica_view *view,
                    const struct entry_subject *subject,
                    struct verdict *verdict)
{
	const struct entry *entry = entry_set_find(view->entries, subject);

	verdict->by = "list";
	if (!entry) {
		verdict->state = SPOOL_HELD;
		(void)snprintf(verdict->why, sizeof(verdict->why),
		               "no entry for this sender");
		return;
	}
	verdict->state =
	    entry->colour == ENTRY_BLACK ? SPOOL_DISCARDED : SPOOL_QUEUED;
	explain(entry, verdict);
}
