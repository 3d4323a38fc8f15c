/* Dead senders in MongoDB. */
#include "store/registry-mongodb.h"

int registry_mongodb_sender_set_dead(struct registry *registry,
                                     const uint8_t hash[CRYPTO_HASH_SIZE],
                                     int64_t now_ms, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", hash, CRYPTO_HASH_SIZE);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)mongodb_append_time(&set, "marked", now_ms);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_DEAD_SENDER, &selector,
	                       &update, true, true, NULL, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_sender_is_dead(struct registry *registry,
                                    const uint8_t hash[CRYPTO_HASH_SIZE],
                                    bool *dead, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", hash, CRYPTO_HASH_SIZE);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_DEAD_SENDER, &selector,
	                         NULL, &found, err);
	bson_destroy(found);
	bson_destroy(&selector);
	if (error && error != ERR_NOT_FOUND)
		return error;
	*dead = !error;
	return 0;
}
