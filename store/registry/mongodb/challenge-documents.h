/* The documents of the challenge collection, for the files that use them. */
#ifndef STORE_REGISTRY_MONGODB_CHALLENGE_DOCUMENTS_H
#define STORE_REGISTRY_MONGODB_CHALLENGE_DOCUMENTS_H

#include "store/registry/mongodb/private.h"

/* The words of the states in the documents; never NULL. */
const char *registry_mongodb_challenge_word(
    enum registry_challenge_state state);
/* See registry_mongodb_challenge_word(). */
const char *registry_mongodb_mail_word(enum registry_mail_state state);

/* The document of a challenge that nobody has claimed. */
bool registry_mongodb_challenge_document(
    bson_t *document, const struct registry_challenge *challenge);

/* Reads one into a zeroed challenge, which the caller releases, on failure
 * too. ERR_CORRUPT for what makes no sense. */
int registry_mongodb_challenge_parse(const bson_t *document,
                                     struct registry_challenge *challenge,
                                     struct error *err);

/* Reads the state alone. ERR_CORRUPT for an unknown one. */
int registry_mongodb_challenge_state(const bson_t *document,
                                     enum registry_challenge_state *state,
                                     struct error *err);

/* Challenges as a search gives them. */
struct registry_mongodb_challenges {
	struct registry_challenges page;
	size_t capacity;
};

/* For mongodb_find_each(): adds one to context's page. */
int registry_mongodb_challenge_collect(const bson_t *document, void *context,
                                       struct error *err);

/*
 * What a conditional change that found nothing to change comes to:
 * ERR_NOT_FOUND, or ERR_CONFLICT with the text what. Index: _id.
 */
int registry_mongodb_challenge_unchanged(struct registry_mongodb *mongo,
                                         const struct id *id, const char *what,
                                         struct error *err);

#endif
