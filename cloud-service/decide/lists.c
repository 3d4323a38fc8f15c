/* Matches held recipients against the lists and decides them. */
#include "cloud-service/decide/lists.h"

#include <stdio.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/identity.h"
#include "common/mem.h"

#define PAGE_SIZE 200

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

int lists_decide_message(struct registry *registry,
                         const struct tenant_domains *domains,
                         struct registry_message *message, const char *by,
                         struct lists_count *count, struct error *err)
{
	struct mail_identity identity;
	struct entry_subject subject = {
	    .identity = &identity,
	    .client_address = message->client_address,
	    .now_ms = clock_wall_ms(),
	};
	struct entry entry;
	size_t i;
	int result;

	mail_identity_find(&identity, message->sender, message->header_from,
	                   &message->auth);
	subject.claims_own_domain = tenant_domains_claimed(domains, &identity);
	for (i = 0; i < message->recipient_count; i++) {
		if (message->recipients[i].state != REGISTRY_HELD)
			continue;
		subject.recipient = message->recipients[i].address;
		result = registry_entry_match(registry, &message->tenant,
		                              &subject, &entry, err);
		if (result == ERR_NOT_FOUND)
			continue;
		if (result)
			return result;
		result =
		    carry_out(registry, message, i, &entry, by, count, err);
		entry_release(&entry);
		if (result)
			return result;
	}
	return 0;
}

int lists_decide_held(struct registry *registry,
                      const struct tenant_domains *domains,
                      const struct registry_query *which, const char *by,
                      struct lists_count *count, struct error *err)
{
	struct registry_query query = *which;
	struct registry_messages page;
	bool more = true;
	size_t i;
	int result = 0;

	query.held = true;
	query.limit = PAGE_SIZE;
	while (more && !result) {
		memset(&page, 0, sizeof(page));
		result = registry_message_list(registry, &query, &page, err);
		if (result)
			break;
		for (i = 0; i < page.count && !result; i++)
			result = lists_decide_message(registry, domains,
			                              &page.messages[i], by,
			                              count, err);
		if (page.count > 0)
			query.after = page.messages[page.count - 1].id;
		more = page.more && page.count > 0;
		registry_messages_release(&page);
	}
	return result;
}
