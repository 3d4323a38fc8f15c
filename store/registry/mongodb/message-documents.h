/* The documents of the message collection, for the files that use them. */
#ifndef STORE_REGISTRY_MONGODB_MESSAGE_DOCUMENTS_H
#define STORE_REGISTRY_MONGODB_MESSAGE_DOCUMENTS_H

#include "store/registry/mongodb/private.h"

/*
 * Makes the document of a message; an address that is given twice counts once,
 * and in a new one a recipient without a time has changed when the message was
 * registered. *document is the caller's (bson_destroy()). ERR_LIMIT.
 */
int registry_mongodb_message_document(const struct registry_message *message,
                                      bool is_new, bson_t **document,
                                      struct error *err);

/* Reads one into a zeroed message, which the caller releases, on failure too.
 * ERR_CORRUPT for a word that is unknown. */
int registry_mongodb_message_parse(const bson_t *document,
                                   struct registry_message *message,
                                   struct error *err);

/* The recipient's position in the document and a view of him. */
struct registry_mongodb_recipient {
	bson_t view;
	enum registry_state state;
};

/* Finds a recipient by address: ERR_NOT_FOUND, ERR_CORRUPT. */
int registry_mongodb_recipient_find(const bson_t *document, const char *address,
                                    struct registry_mongodb_recipient *found,
                                    struct error *err);

/*
 * Reads what is needed of a message to judge one of its recipients:
 * *document is the caller's (bson_destroy()). ERR_NOT_FOUND, also for another
 * tenant's.
 */
int registry_mongodb_recipient_read(struct registry_mongodb *mongo,
                                    const struct id *tenant,
                                    const struct id *message,
                                    const char *address, bson_t **document,
                                    struct registry_mongodb_recipient *found,
                                    struct error *err);

/*
 * {_id, tenant, recipients: {$elemMatch: {address, state}},
 *  "recipients.address": address}: "recipients.$" in an update is that one, as
 * an address is there once.
 */
bool registry_mongodb_recipient_selector(bson_t *selector,
                                         const struct id *tenant,
                                         const struct id *message,
                                         const char *address,
                                         enum registry_state state);

#endif
