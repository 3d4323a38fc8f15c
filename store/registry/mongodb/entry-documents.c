/* Entries of the lists as documents in MongoDB, and back. */
#include "store/registry/mongodb/policy-sequencer.h"

#include <string.h>

/* Texts are hashed by themselves, so that their lengths need no place. */
void registry_mongodb_entry_place(const struct id *tenant,
                                  enum entry_scope scope,
                                  const char *scope_value, enum entry_kind kind,
                                  const char *value,
                                  uint8_t place[REGISTRY_MONGODB_PLACE])
{
	struct {
		uint8_t tenant[16], scope, kind;
		uint8_t scope_value[CRYPTO_HASH_SIZE], value[CRYPTO_HASH_SIZE];
	} key = {.scope = (uint8_t)scope, .kind = (uint8_t)kind};

	memcpy(key.tenant, tenant->bytes, sizeof(key.tenant));
	if (!scope_value)
		scope_value = "";
	crypto_sha256(scope_value, strlen(scope_value), key.scope_value);
	crypto_sha256(value, strlen(value), key.value);
	crypto_sha256(&key, sizeof(key), place);
}

/* Live patterns and networks cannot be looked up: scan marks them. */
static bool append_marks(bson_t *document, const struct entry *entry)
{
	bool scanned = !entry->deleted && (entry->kind == ENTRY_PATTERN ||
	                                   entry->kind == ENTRY_NETWORK);

	return mongodb_append_text(document, "demand",
	                           mail_pass_name(entry->demand)) &&
	       BSON_APPEND_BOOL(document, "deleted", entry->deleted) &&
	       (!scanned || BSON_APPEND_BOOL(document, "scan", true)) &&
	       (!entry->expires_ms ||
	        mongodb_append_time(document, "expires", entry->expires_ms));
}

bson_t *registry_mongodb_entry_document(const struct id *tenant,
                                        const struct entry *entry)
{
	uint8_t place[REGISTRY_MONGODB_PLACE];
	bson_t *document = bson_new();

	registry_mongodb_entry_place(tenant, entry->scope, entry->scope_value,
	                             entry->kind, entry->value, place);
	if (mongodb_append_bytes(document, "_id", place, sizeof(place)) &&
	    mongodb_append_id(document, "id", &entry->id) &&
	    mongodb_append_id(document, "tenant", tenant) &&
	    mongodb_append_text(document, "scope",
	                        entry_scope_name(entry->scope)) &&
	    mongodb_append_text(document, "scope_value", entry->scope_value) &&
	    mongodb_append_text(document, "kind",
	                        entry_kind_name(entry->kind)) &&
	    mongodb_append_text(document, "value", entry->value) &&
	    mongodb_append_text(document, "colour",
	                        entry_colour_name(entry->colour)) &&
	    mongodb_append_text(document, "origin",
	                        entry_origin_name(entry->origin)) &&
	    append_marks(document, entry) &&
	    mongodb_append_time(document, "created", entry->created_ms) &&
	    BSON_APPEND_INT64(document, "revision", entry->revision) &&
	    mongodb_append_text(document, "note", entry->note))
		return document;
	bson_destroy(document);
	return NULL;
}

static int read_words(const bson_t *document, struct entry *entry,
                      struct error *err)
{
	char word[REGISTRY_MONGODB_WORD];
	int scope =
	    entry_scope_parse(registry_mongodb_word(document, "scope", word));
	int kind =
	    entry_kind_parse(registry_mongodb_word(document, "kind", word));
	int colour =
	    entry_colour_parse(registry_mongodb_word(document, "colour", word));
	int origin =
	    entry_origin_parse(registry_mongodb_word(document, "origin", word));

	if (scope < 0 || kind < 0 || colour < 0 || origin < 0)
		return error_set(err, ERR_CORRUPT,
		                 "an entry has an unknown scope, kind, colour "
		                 "or origin");
	entry->scope = (enum entry_scope)scope;
	entry->kind = (enum entry_kind)kind;
	entry->colour = (enum entry_colour)colour;
	entry->origin = (enum entry_origin)origin;
	return 0;
}

int registry_mongodb_entry_read(const bson_t *document, struct entry *entry,
                                struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"scope_value", &entry->scope_value},
	    {"value", &entry->value},
	    {"note", &entry->note}};
	int error = read_words(document, entry, err);

	if (error)
		return error;
	if (mongodb_get_demand(document, &entry->demand))
		return error_set(err, ERR_CORRUPT,
		                 "an entry demands an unknown pass");
	entry->id = mongodb_get_id(document, "id");
	entry->deleted = mongodb_get_bool(document, "deleted");
	entry->expires_ms = mongodb_get_int(document, "expires");
	entry->created_ms = mongodb_get_int(document, "created");
	entry->revision = mongodb_get_int(document, "revision");
	return registry_mongodb_texts(document, texts, 3, err);
}
