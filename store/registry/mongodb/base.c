/* What the MongoDB registry's files share: arrays, fields, tenants. */
#include "store/registry/mongodb/private.h"

#include <stdlib.h>
#include <string.h>

int registry_mongodb_memory(struct error *err)
{
	return error_set(err, ERR_MEMORY, "out of memory");
}

int registry_mongodb_texts(const bson_t *document,
                           const struct registry_mongodb_text *texts,
                           size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (mongodb_get_text(document, texts[i].key, texts[i].text))
			return registry_mongodb_memory(err);
	return 0;
}

int registry_mongodb_bytes(const bson_t *document, const char *key, void *bytes,
                           size_t size, struct error *err)
{
	size_t found = 0;
	const void *stored = mongodb_get_bytes(document, key, &found);

	if (!stored || found != size)
		return error_set(err, ERR_CORRUPT, "%s: %zu bytes", key, found);
	memcpy(bytes, stored, size);
	return 0;
}

const char *registry_mongodb_word(const bson_t *document, const char *key,
                                  char word[REGISTRY_MONGODB_WORD])
{
	size_t size = 0;
	const void *bytes = mongodb_get_bytes(document, key, &size);

	if (!bytes || size >= REGISTRY_MONGODB_WORD)
		size = 0;
	if (size)
		memcpy(word, bytes, size);
	word[size] = '\0';
	return word;
}

bool registry_mongodb_append_after(bson_t *selector, const char *key,
                                   const struct id *id)
{
	bson_t condition;

	return BSON_APPEND_DOCUMENT_BEGIN(selector, key, &condition) &&
	       mongodb_append_id(&condition, "$gt", id) &&
	       bson_append_document_end(selector, &condition);
}

/* {key: {$in: [...]}} of count binaries of size bytes, one behind another. */
static bool append_in(bson_t *selector, const char *key, bson_subtype_t type,
                      const uint8_t *values, uint32_t size, size_t count)
{
	bson_t condition, array;
	bool room = BSON_APPEND_DOCUMENT_BEGIN(selector, key, &condition) &&
	            BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &array);

	for (uint32_t i = 0; room && i < count; i++) {
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string(i, &place, buffer, sizeof(buffer));
		room = bson_append_binary(&array, place, -1, type,
		                          values + (size_t)i * size, size);
	}
	return room && bson_append_array_end(&condition, &array) &&
	       bson_append_document_end(selector, &condition);
}

bool registry_mongodb_append_in(bson_t *selector, const char *key,
                                const struct id *ids, size_t count)
{
	return append_in(selector, key, BSON_SUBTYPE_UUID, (const uint8_t *)ids,
	                 sizeof(*ids), count);
}

bool registry_mongodb_append_in_hashes(
    bson_t *selector, const char *key,
    const uint8_t (*hashes)[CRYPTO_HASH_SIZE], size_t count)
{
	return append_in(selector, key, BSON_SUBTYPE_BINARY,
	                 (const uint8_t *)hashes, CRYPTO_HASH_SIZE, count);
}

int registry_mongodb_need_tenant(struct registry_mongodb *mongo,
                                 const struct id *tenant, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", tenant);
	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	/* Index: _id of tenant. */
	error = mongodb_find_one(mongo->db, REGISTRY_TENANT, &selector,
	                         &projection, &found, err);
	bson_destroy(found);
	bson_destroy(&projection);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such tenant");
	return error;
}

int registry_mongodb_update_tenant(struct registry_mongodb *mongo,
                                   const struct id *tenant,
                                   const bson_t *update, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	bool matched = false;
	int error;

	(void)mongodb_append_id(&selector, "_id", tenant);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_TENANT, &selector, update,
	                       false, true, &matched, err);
	bson_destroy(&selector);
	if (!error && !matched)
		return error_set(err, ERR_NOT_FOUND, "no such tenant");
	return error;
}
