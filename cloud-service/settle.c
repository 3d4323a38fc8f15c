/* Releases the mail of a sender who solved a challenge. */
#include "cloud-service/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "cloud-service/lists.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/identity.h"
#include "common/mem.h"

#define PAGE_SIZE 200

/*
 * What the sender's entry is to demand: what vouched for him when he was
 * challenged, a pass of any kind at least.
 */
static int find_demand(struct cloud *cloud,
                       const struct registry_challenge *challenge,
                       enum mail_pass *demand, struct error *err)
{
	struct registry_message message;
	struct mail_identity identity;
	int result = registry_message_read(cloud->registry, &challenge->tenant,
	                                   &challenge->message, &message, err);

	*demand = MAIL_PASS_SPF;
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	mail_identity_find(&identity, message.sender, message.header_from,
	                   &message.auth);
	if (identity.person_pass > *demand)
		*demand = identity.person_pass;
	registry_message_release(&message);
	return 0;
}

/*
 * Whether the tenant has an entry for exactly this sender that stays: what a
 * person wrote, of either colour, and what an earlier captcha gave unless it
 * demands a stronger pass than he has now.
 */
static int has_entry(struct cloud *cloud, const struct id *tenant,
                     const char *sender, enum mail_pass demand, bool *has,
                     struct error *err)
{
	struct mail_identity identity = {.person_pass = MAIL_PASS_DMARC};
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "",
	                                .client_address = "",
	                                .now_ms = clock_wall_ms()};
	struct entry entry;
	int result;

	(void)snprintf(identity.person, sizeof(identity.person), "%s", sender);
	result = registry_entry_match(cloud->registry, tenant, &subject, &entry,
	                              err);
	*has = false;
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	*has = entry.scope == ENTRY_SCOPE_TENANT &&
	       entry.kind == ENTRY_ADDRESS &&
	       (entry.origin != ENTRY_FROM_CAPTCHA ||
	        entry_demand(&entry) <= demand);
	entry_release(&entry);
	return 0;
}

static int put_entry(struct cloud *cloud, const struct id *tenant,
                     const char *sender, enum mail_pass demand,
                     const struct id *challenge, struct error *err)
{
	char text[ID_TEXT_SIZE];
	struct entry entry = {.id = id_new(),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .colour = ENTRY_WHITE,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_CAPTCHA,
	                      .demand = demand,
	                      .created_ms = clock_wall_ms()};
	int result;

	entry.scope_value = mem_copy_string("");
	entry.value = mem_copy_string(sender);
	entry.note = mem_format("challenge %s", id_format(challenge, text));
	result = entry_canonicalise(&entry, err);
	if (!result)
		result = registry_entry_put(cloud->registry, tenant, &entry,
		                            NULL, err);
	entry_release(&entry);
	/* Somebody of the tenant wrote one meanwhile: it stays. */
	return result == ERR_CONFLICT ? 0 : result;
}

int settle_tenant(struct cloud *cloud,
                  const struct registry_challenge *challenge,
                  const struct id *tenant, struct error *err)
{
	char sender[MAIL_ADDRESS_SIZE];
	enum mail_pass demand;
	bool has;
	int result;

	if (mail_sender_normalise(challenge->sender, sender))
		return error_set(err, ERR_CORRUPT,
		                 "the challenge's sender is no address");
	result = find_demand(cloud, challenge, &demand, err);
	if (!result)
		result = has_entry(cloud, tenant, sender, demand, &has, err);
	if (!result && !has)
		result = put_entry(cloud, tenant, sender, demand,
		                   &challenge->id, err);
	/* The entry stands before the held mail is listed: a message that
	 * comes in between finds it at its own registration. Only what a pass
	 * covers is released: whoever hangs on the challenge without one stays
	 * held. */
	if (!result)
		result = lists_decide_held(cloud->registry, tenant, sender,
		                           NULL, "captcha", NULL, err);
	if (!result)
		result =
		    lists_decide_held(cloud->registry, tenant, NULL,
		                      &challenge->id, "captcha", NULL, err);
	cloud_wake(cloud, tenant);
	return result;
}

/* The tenants that have mail attached to the challenge. */
struct tenants {
	struct id *ids;
	size_t count;
};

static void add_tenant(struct tenants *tenants, const struct id *tenant)
{
	size_t i;

	for (i = 0; i < tenants->count; i++)
		if (id_equal(&tenants->ids[i], tenant))
			return;
	tenants->ids = mem_resize_array(tenants->ids, tenants->count + 1,
	                                sizeof(*tenants->ids));
	tenants->ids[tenants->count++] = *tenant;
}

static int find_tenants(struct cloud *cloud, const struct id *challenge,
                        struct tenants *tenants, struct error *err)
{
	struct registry_query query = {.challenge = challenge,
	                               .limit = PAGE_SIZE};
	struct registry_messages page;
	bool more = true;
	size_t i;
	int result;

	while (more) {
		memset(&page, 0, sizeof(page));
		result =
		    registry_message_list(cloud->registry, &query, &page, err);
		if (result)
			return result;
		for (i = 0; i < page.count; i++)
			add_tenant(tenants, &page.messages[i].tenant);
		if (page.count > 0)
			query.after = page.messages[page.count - 1].id;
		more = page.more && page.count > 0;
		registry_messages_release(&page);
	}
	return 0;
}

static void audit(struct cloud *cloud,
                  const struct registry_challenge *challenge, size_t tenants)
{
	char object[ID_TEXT_SIZE], detail[64];
	char actor[] = "captcha", action[] = "challenge-settled";
	struct registry_audit line = {.id = id_new(),
	                              .tenant = challenge->tenant,
	                              .at_ms = clock_wall_ms(),
	                              .actor = actor,
	                              .action = action,
	                              .object = object,
	                              .detail = detail};

	id_format(&challenge->id, object);
	snprintf(detail, sizeof(detail), "%zu tenants", tenants);
	(void)registry_audit_add(cloud->registry, &line, NULL);
	log_info(object, "challenge settled for %zu tenants", tenants);
}

int settle_challenge(struct cloud *cloud,
                     const struct registry_challenge *challenge,
                     struct error *err)
{
	struct tenants tenants = {0};
	size_t i;
	int result;

	/* Also without mail attached: a crash may have come before that. */
	add_tenant(&tenants, &challenge->tenant);
	result = find_tenants(cloud, &challenge->id, &tenants, err);
	for (i = 0; i < tenants.count && !result; i++)
		result = settle_tenant(cloud, challenge, &tenants.ids[i], err);
	/* Whoever solved it is there, whatever an earlier mail met. */
	if (!result)
		result = registry_sender_clear(cloud->registry,
		                               challenge->sender_hash,
		                               clock_wall_ms(), NULL, err);
	if (!result) {
		result = registry_challenge_move(
		    cloud->registry, &challenge->id, CHALLENGE_STATE_SOLVED,
		    CHALLENGE_STATE_SETTLED, clock_wall_ms(), err);
		if (!result)
			audit(cloud, challenge, tenants.count);
		else if (result == ERR_CONFLICT)
			result = 0; /* another instance settled it too */
	}
	free(tenants.ids);
	return result;
}

void settle_solved(void *context, const struct registry_challenge *challenge)
{
	struct cloud *cloud = context;
	struct error err = {0};
	char text[ID_TEXT_SIZE];

	count_challenge_solved();
	log_info(id_format(&challenge->id, text), "challenge solved");
	if (settle_challenge(cloud, challenge, &err))
		log_error(text, "cannot settle now, will be repaired: %s",
		          err.text);
}

int settle_repair(struct cloud *cloud, int64_t before_ms, struct error *err)
{
	struct registry_challenges page = {0};
	size_t i;
	int result;

	result = registry_challenge_due(cloud->registry, CHALLENGE_STATE_SOLVED,
	                                before_ms, PAGE_SIZE, &page, err);
	if (result)
		return result;
	/* One that cannot be settled must not keep the others waiting. */
	for (i = 0; i < page.count; i++) {
		int one = settle_challenge(cloud, &page.challenges[i], err);

		result = one ? one : result;
	}
	registry_challenges_release(&page);
	return result;
}
