/* The registry in MongoDB: opening and closing, and the operations it has. */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdlib.h>
#include <string.h>

/* The name of the database where the URI has none. */
#define DATABASE "turing_registry"

/* Version 2: tenants have quotas (none of them is 0), entries say which pass
 * they demand, and the index of held mail has its size. */
static int drop_old_index(struct mongodb_db *db, struct error *err)
{
	size_t i = 0;

	while (strcmp(registry_mongodb_indexes[i].name, "message_held") != 0)
		i++;
	return mongodb_drop_outdated_index(db, &registry_mongodb_indexes[i],
	                                   err);
}

/* Step i leads from version i to i + 1; indexes are made at every start. */
static int (*const steps[])(struct mongodb_db *db, struct error *err) = {
    NULL,
    drop_old_index,
    registry_mongodb_policy_split,
};

static void turns_init(struct registry_mongodb *mongo)
{
	for (size_t i = 0; i < REGISTRY_MONGODB_TURNS; i++) {
		struct registry_mongodb_turn *turn = &mongo->turns[i];

		(void)pthread_mutex_init(&turn->mutex, NULL);
		(void)pthread_mutex_init(&turn->queue_mutex, NULL);
	}
	(void)pthread_mutex_init(&mongo->repair_mutex, NULL);
}

static void turns_release(struct registry_mongodb *mongo)
{
	for (size_t i = 0; i < REGISTRY_MONGODB_TURNS; i++) {
		(void)pthread_mutex_destroy(&mongo->turns[i].mutex);
		(void)pthread_mutex_destroy(&mongo->turns[i].queue_mutex);
	}
	(void)pthread_mutex_destroy(&mongo->repair_mutex);
}

static void registry_mongodb_close(struct registry *registry)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);

	registry_mongodb_watch_stop(mongo);
	registry_mongodb_policy_stop(mongo);
	mongodb_db_close(mongo->db);
	turns_release(mongo);
	free(mongo);
}

/* What a process that died left half done is mended before anyone asks. */
static int start(struct registry_mongodb *mongo, const char *uri,
                 struct error *err)
{
	struct mongodb_options options = {
	    .uri = uri, .database = DATABASE, .program = "turing-cloud"};
	int error;

	if ((error = mongodb_db_open(&mongo->db, &options, err)) ||
	    (error = mongodb_need_own(mongo->db, "registry", err)) ||
	    (error = mongodb_migrate(mongo->db, "registry", steps,
	                             sizeof(steps) / sizeof(*steps), err)) ||
	    (error =
	         mongodb_ensure_indexes(mongo->db, registry_mongodb_indexes,
	                                registry_mongodb_index_count, err)) ||
	    (error = registry_mongodb_watch_start(mongo, err)) ||
	    (error = registry_mongodb_policy_start(mongo, err)))
		return error;
	/* Where it fails it is tried again with the first decision. */
	(void)registry_mongodb_repair(mongo, 0, NULL);
	return 0;
}

static int registry_mongodb_open(struct registry **registry,
                                 const struct registry_options *options,
                                 struct error *err)
{
	struct registry_mongodb *mongo = calloc(1, sizeof(*mongo));
	int error;

	if (!mongo)
		return registry_mongodb_memory(err);
	mongo->registry.backend = &registry_mongodb_backend;
	turns_init(mongo);
	error = start(mongo, options->location, err);
	if (error)
		registry_mongodb_close(&mongo->registry);
	else
		*registry = &mongo->registry;
	return error;
}

static const char *registry_mongodb_engine(const struct registry *registry)
{
	return mongodb_db_engine(
	    ((const struct registry_mongodb *)registry)->db);
}

const struct registry_backend registry_mongodb_backend = {
    .name = "mongodb",
    .open = registry_mongodb_open,
    .close = registry_mongodb_close,
    .engine = registry_mongodb_engine,
    .watch = registry_mongodb_watch,
    .watch_cancel = registry_mongodb_watch_cancel,
    .lease = registry_mongodb_lease,
    .secret = registry_mongodb_secret,
    .check = registry_mongodb_check,
    .tenant_add = registry_mongodb_tenant_add,
    .tenant_find = registry_mongodb_tenant_find,
    .tenant_read = registry_mongodb_tenant_read,
    .tenant_change = registry_mongodb_tenant_change,
    .tenant_usage = registry_mongodb_tenant_usage,
    .tenant_each = registry_mongodb_tenant_each,
    .domain_add = registry_mongodb_domain_add,
    .domain_remove = registry_mongodb_domain_remove,
    .domain_each = registry_mongodb_domain_each,
    .key_add = registry_mongodb_key_add,
    .key_find = registry_mongodb_key_find,
    .key_revoke = registry_mongodb_key_revoke,
    .key_each = registry_mongodb_key_each,
    .user_add = registry_mongodb_user_add,
    .user_find = registry_mongodb_user_find,
    .user_each = registry_mongodb_user_each,
    .entry_put = registry_mongodb_entry_put,
    .entry_remove = registry_mongodb_entry_remove,
    .entry_list = registry_mongodb_entry_list,
    .entry_changes = registry_mongodb_entry_changes,
    .policy_revision = registry_mongodb_policy_revision,
    .entry_match = registry_mongodb_entry_match,
    .message_add = registry_mongodb_message_add,
    .message_read = registry_mongodb_message_read,
    .message_attach = registry_mongodb_message_attach,
    .message_list = registry_mongodb_message_list,
    .decide = registry_mongodb_decide,
    .decision_list = registry_mongodb_decision_list,
    .decision_last = registry_mongodb_decision_last,
    .message_event = registry_mongodb_message_event,
    .challenge_open = registry_mongodb_challenge_open,
    .challenge_find = registry_mongodb_challenge_find,
    .challenge_states = registry_mongodb_challenge_states,
    .challenge_read = registry_mongodb_challenge_read,
    .challenge_move = registry_mongodb_challenge_move,
    .challenge_recode = registry_mongodb_challenge_recode,
    .challenge_solve = registry_mongodb_challenge_solve,
    .challenge_claim_mail = registry_mongodb_challenge_claim_mail,
    .challenge_mail_renew = registry_mongodb_challenge_mail_renew,
    .challenge_mail_done = registry_mongodb_challenge_mail_done,
    .challenge_due = registry_mongodb_challenge_due,
    .challenge_count = registry_mongodb_challenge_count,
    .sender_mark = registry_mongodb_sender_mark,
    .sender_read = registry_mongodb_sender_read,
    .sender_marked = registry_mongodb_sender_marked,
    .sender_clear = registry_mongodb_sender_clear,
    .audit_add = registry_mongodb_audit_add,
    .audit_each = registry_mongodb_audit_each,
    .count = registry_mongodb_count,
    .purge = registry_mongodb_purge,
    .export_page = registry_mongodb_export_page,
    .import = registry_mongodb_import,
};
