/* Matches held recipients against the lists and decides them. */
#include "cloud-service/decide/lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/identity.h"
#include "common/mem.h"

#define PAGE_SIZE       200
#define MATCHED_AT_ONCE 256

bool lists_any_held(const struct registry_message *message)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == REGISTRY_HELD)
			return true;
	return false;
}

static int carry_out(struct registry *registry,
                     struct registry_message *message, size_t index,
                     const struct entry *entry, const char *by,
                     struct lists_count *count, struct error *err)
{
	struct registry_recipient *recipient = &message->recipients[index];
	bool white = entry->colour == ENTRY_WHITE;
	char why[256], text[ID_TEXT_SIZE], word[32];
	struct registry_decision decision = {
	    .message = message->id,
	    .recipient = recipient->address,
	    .verdict = white ? REGISTRY_RELEASE : REGISTRY_DISCARD,
	    .by = word,
	    .why = why,
	    .decided_ms = clock_wall_ms(),
	};
	int result;

	snprintf(word, sizeof(word), "%s", by);
	snprintf(why, sizeof(why), "%s entry %s (%s, %s) %s",
	         entry_colour_name(entry->colour), id_format(&entry->id, text),
	         entry_scope_name(entry->scope), entry_kind_name(entry->kind),
	         entry_origin_name(entry->origin));
	result = registry_decide(registry, &message->tenant, &decision, err);
	if (result == ERR_CONFLICT || result == ERR_NOT_FOUND)
		return 0; /* somebody else decided first */
	if (result)
		return result;
	recipient->state = white ? REGISTRY_RELEASED : REGISTRY_DISCARDED;
	free(recipient->by);
	free(recipient->why);
	recipient->by = mem_copy_string(word);
	recipient->why = mem_copy_string(why);
	count_decision(decision.verdict, by);
	if (count)
		*(white ? &count->released : &count->discarded) += 1;
	log_info(id_format(&message->id, text), "%s for %s by %s: %s",
	         registry_state_name(recipient->state), recipient->address, by,
	         why);
	return 0;
}

/* Recipients that are looked up together. */
struct matching {
	struct registry *registry;
	const char *by;
	struct lists_count *count; /* may be NULL */
	size_t filled;             /* of what follows */
	struct registry_message *messages[MATCHED_AT_ONCE];
	size_t recipients[MATCHED_AT_ONCE]; /* of the message */
	struct entry_subject subjects[MATCHED_AT_ONCE];
};

/* Looks up those that were collected, and begins anew. */
static int match_collected(struct matching *matching, struct error *err)
{
	struct entry entries[MATCHED_AT_ONCE];
	size_t i;
	int result;

	if (!matching->filled)
		return 0;
	result = registry_entry_match(
	    matching->registry, &matching->messages[0]->tenant,
	    matching->subjects, matching->filled, entries, err);
	if (result)
		return result;
	for (i = 0; i < matching->filled; i++) {
		if (entries[i].value && !result)
			result =
			    carry_out(matching->registry, matching->messages[i],
			              matching->recipients[i], &entries[i],
			              matching->by, matching->count, err);
		entry_release(&entries[i]);
	}
	matching->filled = 0;
	return result;
}

/* Collects the held recipients of the message. */
static int collect(struct matching *matching, struct registry_message *message,
                   const struct entry_subject *subject, struct error *err)
{
	size_t i;
	int result = 0;

	for (i = 0; i < message->recipient_count && !result; i++) {
		if (message->recipients[i].state != REGISTRY_HELD)
			continue;
		matching->messages[matching->filled] = message;
		matching->recipients[matching->filled] = i;
		matching->subjects[matching->filled] = *subject;
		matching->subjects[matching->filled++].recipient =
		    message->recipients[i].address;
		if (matching->filled == MATCHED_AT_ONCE)
			result = match_collected(matching, err);
	}
	return result;
}

int lists_decide_messages(struct registry *registry,
                          const struct tenant_domains *domains,
                          struct registry_message *const *messages,
                          size_t message_count, const char *by,
                          struct lists_count *count, struct error *err)
{
	struct mail_identity *identities =
	    mem_alloc_array(message_count + 1, sizeof(*identities));
	struct matching *matching = mem_alloc(sizeof(*matching));
	size_t i;
	int result = 0;

	matching->registry = registry;
	matching->by = by;
	matching->count = count;
	for (i = 0; i < message_count && !result; i++) {
		struct registry_message *message = messages[i];
		struct entry_subject subject = {
		    .identity = &identities[i],
		    .client_address = message->client_address,
		    .now_ms = clock_wall_ms(),
		};

		mail_identity_find(&identities[i], message->sender,
		                   message->header_from, &message->auth);
		subject.claims_own_domain =
		    tenant_domains_claimed(domains, &identities[i]);
		result = collect(matching, message, &subject, err);
	}
	if (!result)
		result = match_collected(matching, err);
	free(matching);
	free(identities);
	return result;
}

/* Those of a page. */
static int decide_page(struct registry *registry,
                       const struct tenant_domains *domains,
                       struct registry_messages *page, const char *by,
                       struct lists_count *count, struct error *err)
{
	struct registry_message *messages[PAGE_SIZE];
	size_t i;

	for (i = 0; i < page->count; i++)
		messages[i] = &page->messages[i];
	return lists_decide_messages(registry, domains, messages, page->count,
	                             by, count, err);
}

int lists_decide_held(struct registry *registry,
                      const struct tenant_domains *domains,
                      const struct registry_query *which, const char *by,
                      struct lists_count *count, struct error *err)
{
	struct registry_query query = *which;
	struct registry_messages page;
	bool more = true;
	int result = 0;

	query.held = true;
	query.limit = PAGE_SIZE;
	while (more && !result) {
		memset(&page, 0, sizeof(page));
		result = registry_message_list(registry, &query, &page, err);
		if (result)
			break;
		result = decide_page(registry, domains, &page, by, count, err);
		if (page.count > 0)
			query.after = page.messages[page.count - 1].id;
		more = page.more && page.count > 0;
		registry_messages_release(&page);
	}
	return result;
}
