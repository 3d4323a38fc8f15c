/* Releases the mail of a sender who solved a challenge. */
#include "cloud-service/decide/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "cloud-service/decide/lists.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/identity.h"
#include "common/mem.h"

#define PAGE_SIZE 200

/* Who solved a challenge, and what his entry is to demand. */
struct solver {
	const struct registry_challenge *challenge;
	char sender[MAIL_ADDRESS_SIZE]; /* normalised */
	/* What vouched for him when he was challenged, any pass at least. */
	enum mail_pass demand;
};

static int find_solver(const struct settler *settler,
                       const struct registry_challenge *challenge,
                       struct solver *solver, struct error *err)
{
	struct registry_message message;
	struct mail_identity identity;
	int result;

	solver->challenge = challenge;
	solver->demand = MAIL_PASS_SPF;
	if (mail_sender_normalise(challenge->sender, solver->sender))
		return error_set(err, ERR_CORRUPT,
		                 "the challenge's sender is no address");
	result = registry_message_read(settler->registry, &challenge->tenant,
	                               &challenge->message, &message, err);
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	mail_identity_find(&identity, message.sender, message.header_from,
	                   &message.auth);
	if (identity.person_pass > solver->demand)
		solver->demand = identity.person_pass;
	registry_message_release(&message);
	return 0;
}

/*
 * Whether the tenant has an entry for exactly this sender that stays: what a
 * person wrote, of either colour, and what an earlier captcha gave unless it
 * demands a stronger pass than he has now.
 */
static int has_entry(const struct settler *settler, const struct id *tenant,
                     const struct solver *solver, bool *has, struct error *err)
{
	struct mail_identity identity = {.person_pass = MAIL_PASS_DMARC};
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "",
	                                .client_address = "",
	                                .now_ms = clock_wall_ms()};
	struct entry entry;
	int result;

	(void)snprintf(identity.person, sizeof(identity.person), "%s",
	               solver->sender);
	result = registry_entry_match(settler->registry, tenant, &subject, 1,
	                              &entry, err);
	*has = false;
	if (result)
		return result;
	*has = entry.value && entry.scope == ENTRY_SCOPE_TENANT &&
	       entry.kind == ENTRY_ADDRESS &&
	       (entry.origin != ENTRY_FROM_CAPTCHA ||
	        entry_demand(&entry) <= solver->demand);
	entry_release(&entry);
	return 0;
}

static int put_entry(const struct settler *settler, const struct id *tenant,
                     const struct solver *solver, struct error *err)
{
	char text[ID_TEXT_SIZE];
	struct entry entry = {.id = id_new(),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .colour = ENTRY_WHITE,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_CAPTCHA,
	                      .demand = solver->demand,
	                      .created_ms = clock_wall_ms()};
	int result;

	entry.scope_value = mem_copy_string("");
	entry.value = mem_copy_string(solver->sender);
	entry.note =
	    mem_format("challenge %s", id_format(&solver->challenge->id, text));
	result = entry_canonicalise(&entry, err);
	if (!result)
		result = registry_entry_put(settler->registry, tenant, &entry,
		                            NULL, err);
	entry_release(&entry);
	/* Somebody of the tenant wrote one meanwhile: it stays. */
	return result == ERR_CONFLICT ? 0 : result;
}

/* Decides the tenant's held mail of the solver. */
static int decide_held(const struct settler *settler,
                       const struct solver *solver, const struct id *tenant,
                       struct error *err)
{
	const struct registry_query his = {.tenant = tenant,
	                                   .sender_normal = solver->sender};
	const struct registry_query attached = {
	    .tenant = tenant, .challenge = &solver->challenge->id};
	struct tenant_domains domains;
	int result =
	    tenant_domains_load(&domains, settler->registry, tenant, err);

	if (result)
		return result;
	result = lists_decide_held(settler->registry, &domains, &his, "captcha",
	                           NULL, err);
	if (!result)
		result = lists_decide_held(settler->registry, &domains,
		                           &attached, "captcha", NULL, err);
	tenant_domains_release(&domains);
	return result;
}

static int settle_one(const struct settler *settler,
                      const struct solver *solver, const struct id *tenant,
                      struct error *err)
{
	bool has;
	int result = has_entry(settler, tenant, solver, &has, err);

	if (!result && !has)
		result = put_entry(settler, tenant, solver, err);
	/* The entry stands before the held mail is listed: a message that
	 * comes in between finds it at its own registration. Only what a pass
	 * covers is released: whoever hangs on the challenge without one stays
	 * held. */
	if (!result)
		result = decide_held(settler, solver, tenant, err);
	waker_wake(&settler->waker, tenant);
	return result;
}

int settle_tenant(const struct settler *settler,
                  const struct registry_challenge *challenge,
                  const struct id *tenant, struct error *err)
{
	struct solver solver;
	int result = find_solver(settler, challenge, &solver, err);

	return result ? result : settle_one(settler, &solver, tenant, err);
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

static int find_tenants(const struct settler *settler,
                        const struct id *challenge, struct tenants *tenants,
                        struct error *err)
{
	struct registry_query query = {.challenge = challenge,
	                               .limit = PAGE_SIZE};
	struct registry_messages page;
	bool more = true;
	size_t i;
	int result;

	while (more) {
		memset(&page, 0, sizeof(page));
		result = registry_message_list(settler->registry, &query, &page,
		                               err);
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

static void audit(const struct settler *settler,
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
	(void)registry_audit_add(settler->registry, &line, NULL);
	log_info(object, "challenge settled for %zu tenants", tenants);
}

int settle_challenge(const struct settler *settler,
                     const struct registry_challenge *challenge,
                     struct error *err)
{
	struct tenants tenants = {0};
	struct solver solver;
	size_t i;
	int result = find_solver(settler, challenge, &solver, err);

	if (result)
		return result;
	/* Also without mail attached: a crash may have come before that. */
	add_tenant(&tenants, &challenge->tenant);
	result = find_tenants(settler, &challenge->id, &tenants, err);
	for (i = 0; i < tenants.count && !result; i++)
		result = settle_one(settler, &solver, &tenants.ids[i], err);
	/* Whoever solved it is there, whatever an earlier mail met. */
	if (!result)
		result = registry_sender_clear(settler->registry,
		                               challenge->sender_hash,
		                               clock_wall_ms(), NULL, err);
	if (!result) {
		result = registry_challenge_move(
		    settler->registry, &challenge->id, CHALLENGE_STATE_SOLVED,
		    CHALLENGE_STATE_SETTLED, clock_wall_ms(), err);
		if (!result)
			audit(settler, challenge, tenants.count);
		else if (result == ERR_CONFLICT)
			result = 0; /* another instance settled it too */
	}
	free(tenants.ids);
	return result;
}

void settle_solved(void *context, const struct registry_challenge *challenge)
{
	const struct settler *settler = context;
	struct error err = {0};
	char text[ID_TEXT_SIZE];

	count_challenge_solved();
	log_info(id_format(&challenge->id, text), "challenge solved");
	if (settle_challenge(settler, challenge, &err))
		log_error(text, "cannot settle now, will be repaired: %s",
		          err.text);
}

int settle_repair(const struct settler *settler, int64_t before_ms,
                  struct error *err)
{
	struct registry_challenges page = {0};
	size_t i;
	int result;

	result =
	    registry_challenge_due(settler->registry, CHALLENGE_STATE_SOLVED,
	                           before_ms, PAGE_SIZE, &page, err);
	if (result)
		return result;
	/* One that cannot be settled must not keep the others waiting. */
	for (i = 0; i < page.count; i++) {
		int one = settle_challenge(settler, &page.challenges[i], err);

		result = one ? one : result;
	}
	registry_challenges_release(&page);
	return result;
}
