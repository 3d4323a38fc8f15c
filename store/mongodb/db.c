/* Connections to MongoDB: the library, the pool, what the server is. */
#include "store/mongodb/private.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"

/* The wire version of MongoDB 3.6. */
#define WIRE_VERSION_MINIMUM 6

#define DOCUMENT_MAXIMUM (16 * 1024 * 1024)

/* --- the library -------------------------------------------------------- */

/*
 * A library never logs above debug: what matters comes back as an error. What
 * it says about a URI, or with one in it, could show a password.
 */
static void hear(mongoc_log_level_t level, const char *domain,
                 const char *message, void *context)
{
	(void)context;
	if (level > MONGOC_LOG_LEVEL_WARNING || !strcmp(domain, "uri") ||
	    strstr(message, "://") || strchr(message, '@'))
		return;
	log_debug("mongodb", "%s: %s", domain, message);
}

/* It is never ended: threads of ours may still be in it at the exit. */
static void start(void)
{
	mongoc_log_set_handler(hear, NULL);
	mongoc_init();
}

void mongodb_start_library(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
}

/* --- what the server is ------------------------------------------------- */

static int run(mongoc_client_t *client, const char *command, bson_t *reply,
               struct error *err)
{
	bson_t document = BSON_INITIALIZER;
	bson_error_t error;
	int code = 0;

	bson_append_int32(&document, command, -1, 1);
	if (!mongoc_client_command_simple(client, "admin", &document, NULL,
	                                  reply, &error))
		code = mongodb_failure("MongoDB", &error, reply, false, err);
	bson_destroy(&document);
	if (code)
		bson_destroy(reply);
	return code;
}

/* A text of a reply, "" where it has none; borrowed. */
static const char *text_of(const bson_t *reply, const char *key)
{
	size_t size;
	const char *text = mongodb_get_bytes(reply, key, &size);

	return text ? text : "";
}

static void name_engine(struct mongodb_db *db, const char *version,
                        const bson_t *hello)
{
	const char *set = text_of(hello, "setName");
	bool sharded = !strcmp(text_of(hello, "msg"), "isdbgrid");

	db->replicated = *set || sharded;
	if (*set)
		snprintf(db->engine, sizeof(db->engine),
		         "MongoDB %.40s (replica set %.80s)", version, set);
	else
		snprintf(db->engine, sizeof(db->engine), "MongoDB %.40s (%s)",
		         version, sharded ? "sharded cluster" : "standalone");
}

/* buildInfo may be refused to a user with few rights: then there is no version
 * to show. */
static int learn(struct mongodb_db *db, mongoc_client_t *client,
                 struct error *err)
{
	bson_t hello, build;
	int error = run(client, "isMaster", &hello, err);

	if (error)
		return error;
	if (mongodb_get_int(&hello, "maxWireVersion") < WIRE_VERSION_MINIMUM)
		error = error_set(err, ERR_VERSION,
		                  "MongoDB: the server is older than 3.6");
	db->document_maximum = mongodb_get_int(&hello, "maxBsonObjectSize");
	if (db->document_maximum <= 0)
		db->document_maximum = DOCUMENT_MAXIMUM;
	if (!run(client, "buildInfo", &build, NULL)) {
		name_engine(db, text_of(&build, "version"), &hello);
		bson_destroy(&build);
	} else {
		name_engine(db, "", &hello);
	}
	bson_destroy(&hello);
	return error;
}

/* --- opening ------------------------------------------------------------ */

/* A server that is missing may be one that is just being elected: the probe
 * waits as the pool would. */
static int probe(struct mongodb_db *db, const mongoc_uri_t *uri,
                 struct error *err)
{
	mongoc_uri_t *patient = mongoc_uri_copy(uri);
	mongoc_client_t *client;
	int error;

	mongoc_uri_set_option_as_bool(patient,
	                              MONGOC_URI_SERVERSELECTIONTRYONCE, false);
	client = mongoc_client_new_from_uri(patient);
	mongoc_uri_destroy(patient);
	if (!client)
		return error_set(err, ERR_UNAVAILABLE,
		                 "MongoDB: no client can be made for the URI: "
		                 "its host has no SRV record, or its TLS files "
		                 "cannot be read");
	mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
	error = learn(db, client, err);
	mongoc_client_destroy(client);
	return error;
}

/* Majority reads are for those who have a majority. */
static void set_reads(const struct mongodb_db *db, mongoc_uri_t *uri)
{
	mongoc_read_concern_t *concern = mongoc_read_concern_new();

	if (!db->replicated) {
		mongoc_uri_set_read_concern(uri, concern);
	} else if (mongoc_read_concern_is_default(
	               mongoc_uri_get_read_concern(uri))) {
		mongoc_read_concern_set_level(
		    concern, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
		mongoc_uri_set_read_concern(uri, concern);
	}
	mongoc_read_concern_destroy(concern);
}

static int connect_db(struct mongodb_db *db, mongoc_uri_t *uri,
                      struct error *err)
{
	bson_error_t ignored;
	int error = probe(db, uri, err);

	if (error)
		return error;
	set_reads(db, uri);
	db->retries = db->replicated && mongoc_uri_get_option_as_bool(
	                                    uri, MONGOC_URI_RETRYWRITES, true);
	db->name = strdup(mongoc_uri_get_database(uri));
	if (!db->name)
		return error_set(err, ERR_MEMORY, "out of memory");
	db->pool = mongoc_client_pool_new_with_error(uri, &ignored);
	if (!db->pool)
		return error_set(err, ERR_UNAVAILABLE,
		                 "MongoDB: no connections can be made");
	mongoc_client_pool_set_error_api(db->pool, MONGOC_ERROR_API_VERSION_2);
	return 0;
}

int mongodb_db_open(struct mongodb_db **db,
                    const struct mongodb_options *options, struct error *err)
{
	struct mongodb_db *opened;
	mongoc_uri_t *uri;
	int error = mongodb_uri_read(options, &uri, err);

	if (error)
		return error;
	opened = calloc(1, sizeof(*opened));
	if (opened)
		error = connect_db(opened, uri, err);
	else
		error = error_set(err, ERR_MEMORY, "out of memory");
	mongoc_uri_destroy(uri);
	if (error)
		mongodb_db_close(opened);
	else
		*db = opened;
	return error;
}

void mongodb_db_close(struct mongodb_db *db)
{
	if (!db)
		return;
	if (db->pool)
		mongoc_client_pool_destroy(db->pool);
	free(db->name);
	free(db);
}

const char *mongodb_db_engine(const struct mongodb_db *db)
{
	return db->engine;
}

bool mongodb_db_has_change_streams(const struct mongodb_db *db)
{
	return db->replicated;
}

const char *mongodb_db_name(const struct mongodb_db *db)
{
	return db->name;
}

/* --- clients ------------------------------------------------------------ */

mongoc_client_t *mongodb_take(struct mongodb_db *db, struct error *err)
{
	mongoc_client_t *client = mongoc_client_pool_pop(db->pool);

	if (!client)
		error_set(err, ERR_UNAVAILABLE,
		          "MongoDB: no connection came free in time");
	return client;
}

void mongodb_give(struct mongodb_db *db, mongoc_client_t *client)
{
	if (client)
		mongoc_client_pool_push(db->pool, client);
}

int mongodb_handle_take(struct mongodb_handle *handle, struct mongodb_db *db,
                        const char *collection, struct error *err)
{
	mongoc_client_t *client = mongodb_take(db, err);

	if (!client)
		return ERR_UNAVAILABLE;
	handle->db = db;
	handle->client = client;
	handle->collection =
	    mongoc_client_get_collection(client, db->name, collection);
	return 0;
}

void mongodb_handle_give(struct mongodb_handle *handle)
{
	if (handle->collection)
		mongoc_collection_destroy(handle->collection);
	if (handle->client)
		mongodb_give(handle->db, handle->client);
	*handle = (struct mongodb_handle){0};
}

/* --- trying again ------------------------------------------------------- */

struct mongodb_retry mongodb_retry_begin(void)
{
	return (struct mongodb_retry){.until_ms = clock_monotonic_ms() +
	                                          MONGODB_RETRY_MS};
}

bool mongodb_retry_pause(struct mongodb_retry *retry)
{
	int64_t pause_ms = 20LL << (retry->tries < 5 ? retry->tries : 5);
	struct timespec rest = {.tv_sec = pause_ms / 1000,
	                        .tv_nsec = pause_ms % 1000 * 1000000};

	if (retry->tries++ && clock_monotonic_ms() + pause_ms > retry->until_ms)
		return false;
	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
	return true;
}
