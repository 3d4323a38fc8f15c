/* Messages of the registry as documents, and back. */
#include "store/registry/mongodb/message-documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"

/* --- writing ------------------------------------------------------------ */

/* A recipient's address and place, for finding those given twice. */
struct place {
	const char *address;
	size_t index;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = strcmp(left->address, right->address);

	if (order)
		return order;
	return left->index < right->index ? -1 : left->index > right->index;
}

/* Marks in again[] the recipients whose address another has before them. */
static int find_twins(const struct registry_message *message, bool *again,
                      struct error *err)
{
	size_t count = message->recipient_count;
	struct place *places = calloc(count ? count : 1, sizeof(*places));

	if (!places)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){message->recipients[i].address, i};
	qsort(places, count, sizeof(*places), compare_places);
	for (size_t i = 1; i < count; i++)
		if (!strcmp(places[i].address, places[i - 1].address))
			again[places[i].index] = true;
	free(places);
	return 0;
}

static bool append_recipient(bson_t *array, uint32_t position,
                             const struct registry_recipient *recipient,
                             int64_t default_ms)
{
	int64_t changed_ms =
	    recipient->changed_ms ? recipient->changed_ms : default_ms;
	char buffer[16];
	const char *key;
	bson_t item;

	(void)bson_uint32_to_string(position, &key, buffer, sizeof(buffer));
	return BSON_APPEND_DOCUMENT_BEGIN(array, key, &item) &&
	       mongodb_append_text(&item, "address", recipient->address) &&
	       BSON_APPEND_UTF8(&item, "state",
	                        registry_state_name(recipient->state)) &&
	       mongodb_append_time(&item, "changed", changed_ms) &&
	       mongodb_append_text(&item, "by", recipient->by) &&
	       mongodb_append_text(&item, "why", recipient->why) &&
	       bson_append_document_end(array, &item);
}

/* *held counts those that are held; full tells that there is no more room. */
static int append_recipients(bson_t *document,
                             const struct registry_message *message,
                             bool is_new, int32_t *held, bool *full,
                             struct error *err)
{
	bool *again =
	    calloc(message->recipient_count ? message->recipient_count : 1,
	           sizeof(*again));
	uint32_t position = 0;
	bson_t array;
	int error;

	if (!again)
		return registry_mongodb_memory(err);
	error = find_twins(message, again, err);
	*full = !BSON_APPEND_ARRAY_BEGIN(document, "recipients", &array);
	for (size_t i = 0; !error && !*full && i < message->recipient_count;
	     i++) {
		const struct registry_recipient *recipient =
		    &message->recipients[i];

		if (again[i])
			continue;
		*held += recipient->state == REGISTRY_HELD;
		*full = !append_recipient(&array, position++, recipient,
		                          is_new ? message->registered_ms : 0);
	}
	*full = *full || !bson_append_array_end(document, &array);
	free(again);
	return error;
}

static bool append_auth(bson_t *document, const struct mail_auth *auth)
{
	bson_t item;

	return BSON_APPEND_DOCUMENT_BEGIN(document, "auth", &item) &&
	       BSON_APPEND_BOOL(&item, "stated", auth->stated) &&
	       BSON_APPEND_BOOL(&item, "aligned", auth->aligned) &&
	       BSON_APPEND_UTF8(&item, "spf", auth_result_name(auth->spf)) &&
	       BSON_APPEND_UTF8(&item, "dkim", auth_result_name(auth->dkim)) &&
	       BSON_APPEND_UTF8(&item, "dmarc",
	                        auth_result_name(auth->dmarc)) &&
	       mongodb_append_text(&item, "spf_domain", auth->spf_domain) &&
	       mongodb_append_text(&item, "dkim_domain", auth->dkim_domain) &&
	       mongodb_append_text(&item, "dmarc_domain", auth->dmarc_domain) &&
	       bson_append_document_end(document, &item);
}

static bool append_head(bson_t *document,
                        const struct registry_message *message)
{
	const struct {
		const char *key, *text;
	} texts[] = {
	    {"sender", message->sender},
	    {"sender_normal", message->sender_normal},
	    {"header_from", message->header_from},
	    {"subject", message->subject},
	    {"message_id", message->message_id},
	    {"client_address", message->client_address},
	    {"helo", message->helo},
	    {"challenge_reason", message->challenge_reason},
	};
	bool room;

	room =
	    mongodb_append_id(document, "_id", &message->id) &&
	    mongodb_append_id(document, "tenant", &message->tenant) &&
	    (id_is_none(&message->challenge) ||
	     mongodb_append_id(document, "challenge", &message->challenge)) &&
	    mongodb_append_time(document, "received", message->received_ms) &&
	    mongodb_append_time(document, "registered",
	                        message->registered_ms) &&
	    mongodb_append_time(document, "expires", message->expires_ms) &&
	    BSON_APPEND_INT64(document, "size", message->size);
	for (size_t i = 0; room && i < sizeof(texts) / sizeof(*texts); i++)
		room =
		    mongodb_append_text(document, texts[i].key, texts[i].text);
	return room && append_auth(document, &message->auth);
}

int registry_mongodb_message_document(const struct registry_message *message,
                                      bool is_new, bson_t **document,
                                      struct error *err)
{
	bson_t *made = bson_new();
	bool full = !append_head(made, message);
	int32_t held = 0;
	int error = 0;

	if (!full)
		error =
		    append_recipients(made, message, is_new, &held, &full, err);
	full = full || !BSON_APPEND_INT32(made, "held", held) ||
	       !BSON_APPEND_INT32(made, "pending", 0);
	if (!error && full)
		error = error_set(err, ERR_LIMIT,
		                  "the message has too many recipients");
	if (error)
		bson_destroy(made);
	else
		*document = made;
	return error;
}

/* --- reading ------------------------------------------------------------ */

static enum auth_result read_result(const bson_t *auth, const char *key)
{
	char word[REGISTRY_MONGODB_WORD];

	return auth_result_parse(registry_mongodb_word(auth, key, word));
}

static void read_domain(const bson_t *auth, const char *key, char domain[256])
{
	size_t size = 0;
	const void *text = mongodb_get_bytes(auth, key, &size);

	(void)snprintf(domain, 256, "%.*s", (int)(size < 255 ? size : 255),
	               text ? (const char *)text : "");
}

static void read_auth(const bson_t *document, struct mail_auth *auth)
{
	bson_t view;

	if (!mongodb_get_document(document, "auth", &view))
		return;
	auth->stated = mongodb_get_bool(&view, "stated");
	auth->aligned = mongodb_get_bool(&view, "aligned");
	auth->spf = read_result(&view, "spf");
	auth->dkim = read_result(&view, "dkim");
	auth->dmarc = read_result(&view, "dmarc");
	read_domain(&view, "spf_domain", auth->spf_domain);
	read_domain(&view, "dkim_domain", auth->dkim_domain);
	read_domain(&view, "dmarc_domain", auth->dmarc_domain);
}

static int read_state(const bson_t *recipient, enum registry_state *state,
                      struct error *err)
{
	char word[REGISTRY_MONGODB_WORD];
	int found = registry_state_parse(
	    registry_mongodb_word(recipient, "state", word));

	if (found < 0)
		return error_set(err, ERR_CORRUPT,
		                 "a recipient is in no known state");
	*state = (enum registry_state)found;
	return 0;
}

static int read_recipient(const bson_t *view,
                          struct registry_recipient *recipient,
                          struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"address", &recipient->address},
	    {"by", &recipient->by},
	    {"why", &recipient->why},
	};

	recipient->changed_ms = mongodb_get_int(view, "changed");
	if (read_state(view, &recipient->state, err))
		return ERR_CORRUPT;
	return registry_mongodb_texts(view, texts, 3, err);
}

/* Steps to the next document of an array. */
static bool next_item(bson_iter_t *items, bson_t *view)
{
	const uint8_t *data;
	uint32_t size;

	while (bson_iter_next(items)) {
		if (!BSON_ITER_HOLDS_DOCUMENT(items))
			continue;
		bson_iter_document(items, &size, &data);
		if (bson_init_static(view, data, size))
			return true;
	}
	return false;
}

static int read_recipients(const bson_t *document,
                           struct registry_message *message, struct error *err)
{
	size_t capacity = 0;
	bson_iter_t items;
	bson_t array, view;
	int error = 0;

	if (!mongodb_get_document(document, "recipients", &array) ||
	    !bson_iter_init(&items, &array))
		return error_set(err, ERR_CORRUPT, "a message to nobody");
	while (!error && next_item(&items, &view)) {
		error = array_grow((void **)&message->recipients,
		                   message->recipient_count, &capacity,
		                   sizeof(*message->recipients), err);
		if (!error)
			error = read_recipient(
			    &view,
			    &message->recipients[message->recipient_count++],
			    err);
	}
	return error;
}

int registry_mongodb_message_parse(const bson_t *document,
                                   struct registry_message *message,
                                   struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"sender", &message->sender},
	    {"sender_normal", &message->sender_normal},
	    {"header_from", &message->header_from},
	    {"subject", &message->subject},
	    {"message_id", &message->message_id},
	    {"client_address", &message->client_address},
	    {"helo", &message->helo},
	    {"challenge_reason", &message->challenge_reason},
	};
	int error;

	message->id = mongodb_get_id(document, "_id");
	message->tenant = mongodb_get_id(document, "tenant");
	message->challenge = mongodb_get_id(document, "challenge");
	message->received_ms = mongodb_get_int(document, "received");
	message->registered_ms = mongodb_get_int(document, "registered");
	message->expires_ms = mongodb_get_int(document, "expires");
	message->size = mongodb_get_int(document, "size");
	read_auth(document, &message->auth);
	error = registry_mongodb_texts(document, texts,
	                               sizeof(texts) / sizeof(*texts), err);
	return error ? error : read_recipients(document, message, err);
}

/* --- one recipient ------------------------------------------------------ */

int registry_mongodb_recipient_find(const bson_t *document, const char *address,
                                    struct registry_mongodb_recipient *found,
                                    struct error *err)
{
	size_t length = strlen(address);
	bson_iter_t items;
	bson_t array;

	if (mongodb_get_document(document, "recipients", &array) &&
	    bson_iter_init(&items, &array))
		while (next_item(&items, &found->view)) {
			size_t size = 0;
			const void *bytes =
			    mongodb_get_bytes(&found->view, "address", &size);

			if (bytes && size == length &&
			    !memcmp(bytes, address, size))
				return read_state(&found->view, &found->state,
				                  err);
		}
	return error_set(err, ERR_NOT_FOUND, "no such recipient");
}

int registry_mongodb_recipient_read(struct registry_mongodb *mongo,
                                    const struct id *tenant,
                                    const struct id *message,
                                    const char *address, bson_t **document,
                                    struct registry_mongodb_recipient *found,
                                    struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	bson_t *read = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", message);
	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_INT32(&projection, "recipients", 1);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_MESSAGE, &selector,
	                         &projection, &read, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such recipient");
	if (!error)
		error =
		    registry_mongodb_recipient_find(read, address, found, err);
	if (error)
		bson_destroy(read);
	else
		*document = read;
	return error;
}

bool registry_mongodb_recipient_selector(bson_t *selector,
                                         const struct id *tenant,
                                         const struct id *message,
                                         const char *address,
                                         enum registry_state state)
{
	bson_t recipients, match;

	return mongodb_append_id(selector, "_id", message) &&
	       mongodb_append_id(selector, "tenant", tenant) &&
	       BSON_APPEND_DOCUMENT_BEGIN(selector, "recipients",
	                                  &recipients) &&
	       BSON_APPEND_DOCUMENT_BEGIN(&recipients, "$elemMatch", &match) &&
	       mongodb_append_text(&match, "address", address) &&
	       BSON_APPEND_UTF8(&match, "state", registry_state_name(state)) &&
	       bson_append_document_end(&recipients, &match) &&
	       bson_append_document_end(selector, &recipients) &&
	       /* The same one once more: not every server takes the position
	        * that "$" stands for from an $elemMatch. */
	       mongodb_append_text(selector, "recipients.address", address);
}
