/* Challenges of the registry as documents of MongoDB, and back. */
#include "store/registry/mongodb/challenge-documents.h"

#include <string.h>

#include "common/array.h"

static const char *const challenge_words[] = {
    [CHALLENGE_STATE_OPEN] = "open",
    [CHALLENGE_STATE_SOLVED] = "solved",
    [CHALLENGE_STATE_SETTLED] = "settled",
    [CHALLENGE_STATE_EXPIRED] = "expired",
    [CHALLENGE_STATE_BOUNCED] = "bounced",
};

static const char *const mail_words[] = {
    [MAIL_STATE_PENDING] = "pending",
    [MAIL_STATE_SENT] = "sent",
    [MAIL_STATE_FAILED] = "failed",
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const char *registry_mongodb_challenge_word(enum registry_challenge_state state)
{
	return (size_t)state < COUNT(challenge_words) ? challenge_words[state]
	                                              : "unknown";
}

const char *registry_mongodb_mail_word(enum registry_mail_state state)
{
	return (size_t)state < COUNT(mail_words) ? mail_words[state]
	                                         : "unknown";
}

/* The index of the word at key, -1 for an unknown one. */
static int find_word(const bson_t *document, const char *key,
                     const char *const words[], size_t count)
{
	char word[REGISTRY_MONGODB_WORD];

	(void)registry_mongodb_word(document, key, word);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(words[i], word))
			return (int)i;
	return -1;
}

int registry_mongodb_challenge_state(const bson_t *document,
                                     enum registry_challenge_state *state,
                                     struct error *err)
{
	int found = find_word(document, "state", challenge_words,
	                      COUNT(challenge_words));

	if (found < 0)
		return error_set(err, ERR_CORRUPT,
		                 "a challenge is in no known state");
	*state = (enum registry_challenge_state)found;
	return 0;
}

/* Reads a hash that older documents do not have: zeros then. */
static int read_later_hash(const bson_t *document, const char *key,
                           uint8_t hash[CRYPTO_HASH_SIZE], struct error *err)
{
	if (!bson_has_field(document, key))
		return 0;
	return registry_mongodb_bytes(document, key, hash, CRYPTO_HASH_SIZE,
	                              err);
}

/* --- writing ------------------------------------------------------------ */

/* Whose turn it is with the sender: "" while open, else the id, so that an
 * index over sender and slot lets one alone be open. */
static bool append_slot(bson_t *document,
                        const struct registry_challenge *challenge)
{
	char text[ID_TEXT_SIZE] = "";

	if (challenge->state != CHALLENGE_STATE_OPEN)
		(void)id_format(&challenge->id, text);
	return BSON_APPEND_UTF8(document, "slot", text);
}

static bool append_mail(bson_t *document,
                        const struct registry_challenge *challenge)
{
	return BSON_APPEND_UTF8(document, "mail",
	                        registry_mongodb_mail_word(challenge->mail)) &&
	       BSON_APPEND_INT64(document, "mail_attempts",
	                         challenge->mail_attempts) &&
	       mongodb_append_time(document, "mail_next",
	                           challenge->mail_next_ms) &&
	       mongodb_append_text(document, "mail_owner", "") &&
	       mongodb_append_time(document, "mail_lease", 0) &&
	       mongodb_append_text(document, "mail_reply",
	                           challenge->mail_reply);
}

bool registry_mongodb_challenge_document(
    bson_t *document, const struct registry_challenge *challenge)
{
	int64_t changed_ms = challenge->changed_ms ? challenge->changed_ms
	                                           : challenge->created_ms;
	const char *state = registry_mongodb_challenge_word(challenge->state);

	return mongodb_append_id(document, "_id", &challenge->id) &&
	       mongodb_append_id(document, "tenant", &challenge->tenant) &&
	       mongodb_append_id(document, "message", &challenge->message) &&
	       mongodb_append_bytes(document, "sender_hash",
	                            challenge->sender_hash, CRYPTO_HASH_SIZE) &&
	       append_slot(document, challenge) &&
	       mongodb_append_bytes(document, "token_hash",
	                            challenge->token_hash, CRYPTO_HASH_SIZE) &&
	       BSON_APPEND_UTF8(document, "state", state) &&
	       mongodb_append_time(document, "created",
	                           challenge->created_ms) &&
	       mongodb_append_time(document, "expires",
	                           challenge->expires_ms) &&
	       mongodb_append_time(document, "changed", changed_ms) &&
	       mongodb_append_text(document, "sender", challenge->sender) &&
	       mongodb_append_text(document, "code", challenge->code) &&
	       BSON_APPEND_INT64(document, "attempts", challenge->attempts) &&
	       BSON_APPEND_INT64(document, "code_serial",
	                         challenge->code_serial) &&
	       mongodb_append_text(document, "end_reason",
	                           challenge->end_reason) &&
	       mongodb_append_bytes(document, "client_hash",
	                            challenge->client_hash, CRYPTO_HASH_SIZE) &&
	       mongodb_append_bytes(document, "domain_hash",
	                            challenge->domain_hash, CRYPTO_HASH_SIZE) &&
	       append_mail(document, challenge);
}

/* --- reading ------------------------------------------------------------ */

static void read_numbers(const bson_t *document,
                         struct registry_challenge *challenge)
{
	challenge->id = mongodb_get_id(document, "_id");
	challenge->tenant = mongodb_get_id(document, "tenant");
	challenge->message = mongodb_get_id(document, "message");
	challenge->created_ms = mongodb_get_int(document, "created");
	challenge->expires_ms = mongodb_get_int(document, "expires");
	challenge->changed_ms = mongodb_get_int(document, "changed");
	challenge->attempts = mongodb_get_int(document, "attempts");
	challenge->code_serial = mongodb_get_int(document, "code_serial");
	challenge->mail_attempts = mongodb_get_int(document, "mail_attempts");
	challenge->mail_next_ms = mongodb_get_int(document, "mail_next");
	challenge->mail_lease_ms = mongodb_get_int(document, "mail_lease");
}

int registry_mongodb_challenge_parse(const bson_t *document,
                                     struct registry_challenge *challenge,
                                     struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"sender", &challenge->sender},
	    {"code", &challenge->code},
	    {"mail_owner", &challenge->mail_owner},
	    {"mail_reply", &challenge->mail_reply},
	    {"end_reason", &challenge->end_reason},
	};
	int mail = find_word(document, "mail", mail_words, COUNT(mail_words));
	int error;

	if (mail < 0)
		return error_set(err, ERR_CORRUPT,
		                 "a challenge's mail is in no known state");
	if ((error = registry_mongodb_challenge_state(document,
	                                              &challenge->state, err)))
		return error;
	read_numbers(document, challenge);
	challenge->mail = (enum registry_mail_state)mail;
	if ((error = registry_mongodb_bytes(document, "sender_hash",
	                                    challenge->sender_hash,
	                                    CRYPTO_HASH_SIZE, err)) ||
	    (error = registry_mongodb_bytes(document, "token_hash",
	                                    challenge->token_hash,
	                                    CRYPTO_HASH_SIZE, err)) ||
	    (error = read_later_hash(document, "client_hash",
	                             challenge->client_hash, err)) ||
	    (error = read_later_hash(document, "domain_hash",
	                             challenge->domain_hash, err)))
		return error;
	return registry_mongodb_texts(document, texts, COUNT(texts), err);
}

int registry_mongodb_challenge_collect(const bson_t *document, void *context,
                                       struct error *err)
{
	struct registry_mongodb_challenges *list = context;
	struct registry_challenges *page = &list->page;
	int error = array_grow((void **)&page->challenges, page->count,
	                       &list->capacity, sizeof(*page->challenges), err);

	if (error)
		return error;
	return registry_mongodb_challenge_parse(
	    document, &page->challenges[page->count++], err);
}

int registry_mongodb_challenge_unchanged(struct registry_mongodb *mongo,
                                         const struct id *id, const char *what,
                                         struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_CHALLENGE, &selector,
	                         &projection, &found, err);
	bson_destroy(found);
	bson_destroy(&projection);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such challenge");
	return error ? error : error_set(err, ERR_CONFLICT, "%s", what);
}
