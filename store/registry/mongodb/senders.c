/* Dead senders in MongoDB. */
#include "store/registry/mongodb/private.h"

#include <string.h>

bool registry_mongodb_dead_document(bson_t *document,
                                    const struct registry_dead_sender *dead)
{
	return mongodb_append_bytes(document, "_id", dead->hash,
	                            CRYPTO_HASH_SIZE) &&
	       mongodb_append_time(document, "marked", dead->marked_ms) &&
	       mongodb_append_id(document, "challenge", &dead->challenge) &&
	       mongodb_append_text(document, "reason", dead->reason);
}

int registry_mongodb_dead_parse(const bson_t *document,
                                struct registry_dead_sender *dead,
                                struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"reason", &dead->reason}};
	int error = registry_mongodb_bytes(document, "_id", dead->hash,
	                                   CRYPTO_HASH_SIZE, err);

	dead->marked_ms = mongodb_get_int(document, "marked");
	dead->challenge = mongodb_get_id(document, "challenge");
	return error ? error : registry_mongodb_texts(document, texts, 1, err);
}

int registry_mongodb_sender_mark(struct registry *registry,
                                 const struct registry_dead_sender *dead,
                                 struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", dead->hash,
	                           CRYPTO_HASH_SIZE);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)registry_mongodb_dead_document(&set, dead);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. Done twice it is as done once. */
	error = mongodb_update(mongo->db, REGISTRY_DEAD_SENDER, &selector,
	                       &update, true, true, NULL, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_sender_read(struct registry *registry,
                                 const uint8_t hash[CRYPTO_HASH_SIZE],
                                 struct registry_dead_sender *dead,
                                 struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct registry_dead_sender read = {.reason = NULL};
	bson_t selector = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", hash, CRYPTO_HASH_SIZE);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_DEAD_SENDER, &selector,
	                         NULL, &found, err);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "the sender has no mark");
	if (!error)
		error = registry_mongodb_dead_parse(found, &read, err);
	bson_destroy(found);
	if (error)
		registry_dead_sender_release(&read);
	else
		*dead = read;
	return error;
}

struct marks {
	const uint8_t (*hashes)[CRYPTO_HASH_SIZE];
	size_t count;
	bool *marked;
};

static int note_mark(const bson_t *document, void *context, struct error *err)
{
	const struct marks *marks = context;
	uint8_t hash[CRYPTO_HASH_SIZE];
	int error =
	    registry_mongodb_bytes(document, "_id", hash, sizeof(hash), err);

	for (size_t i = 0; i < marks->count && !error; i++)
		if (!memcmp(marks->hashes[i], hash, sizeof(hash)))
			marks->marked[i] = true;
	return error;
}

int registry_mongodb_sender_marked(struct registry *registry,
                                   const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                   size_t count, bool *marked,
                                   struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_DEAD_SENDER,
	                            .selector = &selector,
	                            .projection = &projection};
	struct marks marks = {hashes, count, marked};
	int error;

	(void)registry_mongodb_append_in_hashes(&selector, "_id", hashes,
	                                        count);
	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	/* Index: _id. */
	error = mongodb_find_each(registry_mongodb(registry)->db, &find,
	                          note_mark, &marks, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_sender_clear(struct registry *registry,
                                  const uint8_t hash[CRYPTO_HASH_SIZE],
                                  int64_t until_ms, bool *cleared,
                                  struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, part;
	int64_t count = 0;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", hash, CRYPTO_HASH_SIZE);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "marked", &part);
	(void)mongodb_append_time(&part, "$lte", until_ms);
	(void)bson_append_document_end(&selector, &part);
	/* Index: _id. */
	error = mongodb_delete(mongo->db, REGISTRY_DEAD_SENDER, &selector, true,
	                       &count, err);
	bson_destroy(&selector);
	if (error)
		return error;
	if (cleared)
		*cleared = count > 0;
	if (count > 0)
		registry_mongodb_changed(mongo);
	return 0;
}
