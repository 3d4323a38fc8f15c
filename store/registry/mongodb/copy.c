/*
 * Records of the registry in MongoDB given out in pages and put in as they
 * are: messages, decisions, challenges, dead senders and counters here, the
 * others in the files of their kinds.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/challenge-documents.h"
#include "store/registry/mongodb/copy.h"
#include "store/registry/mongodb/decision-documents.h"
#include "store/registry/mongodb/page.h"
#include "store/registry/mongodb/message-documents.h"

/* --- giving out --------------------------------------------------------- */

static int parse(const bson_t *document, struct registry_record *record,
                 struct error *err)
{
	switch (record->kind) {
	case REGISTRY_MESSAGES:
		return registry_mongodb_message_parse(document,
		                                      &record->message, err);
	case REGISTRY_CHALLENGES:
		return registry_mongodb_challenge_parse(
		    document, &record->challenge, err);
	case REGISTRY_DECISIONS:
		record->tenant = mongodb_get_id(document, "tenant");
		return registry_mongodb_decision_parse(document,
		                                       &record->decision, err);
	case REGISTRY_COUNTERS:
		record->tenant = mongodb_get_id(document, "_id");
		return 0;
	default:
		return registry_mongodb_dead_parse(document,
		                                   &record->dead_sender, err);
	}
}

/* Lists what selector finds, behind what the page has, by key. */
static int list(struct registry_mongodb *mongo, const char *collection,
                const bson_t *selector, const char *first, const char *second,
                const char *index, struct registry_mongodb_listing *listing,
                struct error *err)
{
	bson_t sort = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = collection,
	                            .selector = selector,
	                            .sort = &sort,
	                            .limit =
	                                registry_mongodb_listing_wants(listing),
	                            .hint = index};
	int error;

	(void)BSON_APPEND_INT32(&sort, first, 1);
	if (second)
		(void)BSON_APPEND_INT32(&sort, second, 1);
	/* Index: the one that is named. */
	error = mongodb_find_each(mongo->db, &find,
	                          registry_mongodb_listing_read, listing, err);
	bson_destroy(&sort);
	return error;
}

static int export_by_id(struct registry_mongodb *mongo, const char *collection,
                        const struct id *after,
                        struct registry_mongodb_listing *listing,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	if (after)
		(void)registry_mongodb_append_after(&selector, "_id", after);
	error = list(mongo, collection, &selector, "_id", NULL, "_id_", listing,
	             err);
	bson_destroy(&selector);
	return error;
}

static int export_dead_senders(struct registry_mongodb *mongo,
                               const struct registry_record *after,
                               struct registry_mongodb_listing *listing,
                               struct error *err)
{
	bson_t selector = BSON_INITIALIZER, part;
	int error;

	if (after) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &part);
		(void)mongodb_append_bytes(
		    &part, "$gt", after->dead_sender.hash, CRYPTO_HASH_SIZE);
		(void)bson_append_document_end(&selector, &part);
	}
	error = list(mongo, REGISTRY_DEAD_SENDER, &selector, "_id", NULL,
	             "_id_", listing, err);
	bson_destroy(&selector);
	return error;
}

/* The rest of the log in which after is, then the logs behind it. */
static int export_decisions(struct registry_mongodb *mongo,
                            const struct registry_record *after,
                            struct registry_mongodb_listing *listing,
                            struct error *err)
{
	bson_t selector = BSON_INITIALIZER, part;
	int error = 0;

	if (!after)
		error = registry_mongodb_repair(mongo, 0, err);
	if (after) {
		(void)mongodb_append_id(&selector, "tenant", &after->tenant);
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "sequence", &part);
		(void)BSON_APPEND_INT64(&part, "$gt", after->decision.sequence);
		(void)bson_append_document_end(&selector, &part);
		error = list(mongo, REGISTRY_DECISION, &selector, "sequence",
		             NULL, "decision_sequence", listing, err);
		bson_reinit(&selector);
		(void)registry_mongodb_append_after(&selector, "tenant",
		                                    &after->tenant);
	}
	if (!error && !listing->page.more)
		error = list(mongo, REGISTRY_DECISION, &selector, "tenant",
		             "sequence", "decision_sequence", listing, err);
	bson_destroy(&selector);
	return error;
}

static int read_counters(struct registry_mongodb *mongo,
                         struct registry_record *record, struct error *err)
{
	int error = registry_mongodb_policy_revision(
	    &mongo->registry, &record->tenant,
	    &record->counters.policy_revision, err);

	if (error || id_is_none(&record->tenant))
		return error;
	return registry_mongodb_last_sequence(
	    mongo, &record->tenant, &record->counters.decision_sequence, err);
}

/* The global ones first, whose tenant is none; then each tenant's. */
static int export_counters(struct registry_mongodb *mongo,
                           const struct registry_record *after,
                           struct registry_mongodb_listing *listing,
                           struct error *err)
{
	int error = 0;

	if (!after && !registry_mongodb_listing_add(listing, err))
		return ERR_MEMORY;
	error = export_by_id(mongo, REGISTRY_TENANT,
	                     after ? &after->tenant : NULL, listing, err);
	for (size_t i = 0; !error && i < listing->page.count; i++)
		error = read_counters(mongo, &listing->page.records[i], err);
	return error;
}

static int export_own(struct registry_mongodb *mongo,
                      const struct registry_record *after,
                      struct registry_mongodb_listing *listing,
                      struct error *err)
{
	switch (listing->kind) {
	case REGISTRY_MESSAGES:
		return export_by_id(mongo, REGISTRY_MESSAGE,
		                    after ? &after->message.id : NULL, listing,
		                    err);
	case REGISTRY_CHALLENGES:
		return export_by_id(mongo, REGISTRY_CHALLENGE,
		                    after ? &after->challenge.id : NULL,
		                    listing, err);
	case REGISTRY_DECISIONS:
		return export_decisions(mongo, after, listing, err);
	case REGISTRY_COUNTERS:
		return export_counters(mongo, after, listing, err);
	default:
		return export_dead_senders(mongo, after, listing, err);
	}
}

static int own_export(struct registry_mongodb *mongo, enum registry_kind kind,
                      const struct registry_record *after, size_t limit,
                      struct registry_records *page, struct error *err)
{
	struct registry_mongodb_listing listing = {
	    .kind = kind, .limit = limit, .parse = parse};
	int error = export_own(mongo, after, &listing, err);

	return registry_mongodb_listing_end(&listing, error, page);
}

/* --- all kinds ---------------------------------------------------------- */

static const struct {
	int (*give)(struct registry_mongodb *mongo, enum registry_kind kind,
	            const struct registry_record *after, size_t limit,
	            struct registry_records *page, struct error *err);
	int (*take)(struct registry_mongodb *mongo,
	            const struct registry_record *records, size_t count,
	            bool replace, int *results, struct error *err);
} kinds[REGISTRY_KIND_COUNT] = {
    [REGISTRY_TENANTS] = {registry_mongodb_accounts_export,
                          registry_mongodb_accounts_import},
    [REGISTRY_DOMAINS] = {registry_mongodb_accounts_export,
                          registry_mongodb_accounts_import},
    [REGISTRY_KEYS] = {registry_mongodb_accounts_export,
                       registry_mongodb_accounts_import},
    [REGISTRY_USERS] = {registry_mongodb_accounts_export,
                        registry_mongodb_accounts_import},
    [REGISTRY_ENTRIES] = {registry_mongodb_entries_export,
                          registry_mongodb_entries_import},
    [REGISTRY_MESSAGES] = {own_export, registry_mongodb_own_import},
    [REGISTRY_DECISIONS] = {own_export, registry_mongodb_own_import},
    [REGISTRY_CHALLENGES] = {own_export, registry_mongodb_own_import},
    [REGISTRY_DEAD_SENDERS] = {own_export, registry_mongodb_own_import},
    [REGISTRY_AUDIT] = {registry_mongodb_audit_export,
                        registry_mongodb_audit_import},
    [REGISTRY_SECRETS] = {registry_mongodb_secrets_export,
                          registry_mongodb_secrets_import},
    [REGISTRY_COUNTERS] = {own_export, registry_mongodb_counters_import},
};

int registry_mongodb_export_page(struct registry *registry,
                                 enum registry_kind kind,
                                 const struct registry_record *after,
                                 size_t limit, struct registry_records *page,
                                 struct error *err)
{
	return kinds[kind].give(registry_mongodb(registry), kind, after, limit,
	                        page, err);
}

int registry_mongodb_import(struct registry *registry,
                            const struct registry_record *records, size_t count,
                            bool replace, int *results, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	int error = kinds[records[0].kind].take(mongo, records, count, replace,
	                                        results, err);

	/* After a failure some may be in. */
	registry_mongodb_changed(mongo);
	return error;
}
