/* Matches held recipients against the lists and decides them. */
#include "cloud-service/lists.h"

#include <stdio.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
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

static int match(struct registry *registry,
                 const struct registry_message *message, const char *recipient,
                 struct entry *entry, struct error *err)
{
	char from[MAIL_ADDRESS_SIZE] = "";
	struct entry_subject subject = {
	    .sender = message->sender_normal,
	    .from = from,
	    .recipient = recipient,
	    .client_address = message->client_address,
	    .auth = &message->auth,
	    .now_ms = clock_wall_ms(),
	};

	if (*message->header_from &&
	    mail_address_fold(message->header_from, from))
		from[0] = '\0';
	return registry_entry_match(registry, &message->tenant, &subject, entry,
	                            err);
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
                         struct registry_message *message, const char *by,
                         struct lists_count *count, struct error *err)
{
	struct entry entry;
	size_t i;
	int result;

	for (i = 0; i < message->recipient_count; i++) {
		if (message->recipients[i].state != REGISTRY_HELD)
			continue;
		result = match(registry, message,
		               message->recipients[i].address, &entry, err);
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

int lists_decide_held(struct registry *registry, const struct id *tenant,
                      const char *sender_normal, const char *by,
                      struct lists_count *count, struct error *err)
{
	struct registry_query query = {.tenant = tenant,
	                               .held = true,
	                               .sender_normal = sender_normal,
	                               .limit = PAGE_SIZE};
	struct registry_messages page;
	bool more = true;
	size_t i;
	int result = 0;

	while (more && !result) {
		memset(&page, 0, sizeof(page));
		result = registry_message_list(registry, &query, &page, err);
		if (result)
			break;
		for (i = 0; i < page.count && !result; i++)
			result = lists_decide_message(
			    registry, &page.messages[i], by, count, err);
		if (page.count > 0)
			query.after = page.messages[page.count - 1].id;
		more = page.more && page.count > 0;
		registry_messages_release(&page);
	}
	return result;
}
