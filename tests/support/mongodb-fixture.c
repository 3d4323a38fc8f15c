/* A MongoDB database of its own for each test. */
#include "tests/support/mongodb-fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "store/mongodb/db.h"
#include "tests/support/mongodb-shards.h"

#define VARIABLE "TURING_TEST_MONGODB_URI"
#define SHARDED  "TURING_TEST_MONGODB_SHARDED"

static const char *server(void)
{
	const char *uri = getenv(VARIABLE);

	return uri && *uri ? uri : NULL;
}

bool mongodb_fixture_present(void)
{
	static bool told;

	if (!server() && !told)
		puts("mongodb absent: " VARIABLE " is not set");
	told = true;
	return server() != NULL;
}

/* Users are looked up in the database that the server's URI names, not in the
 * test's own. */
static char *with_database(const char *uri, const char *name)
{
	const char *hosts = strstr(uri, "://");
	const char *path, *query;
	int hosts_end, old_name;
	const char *source = "";

	ck_assert_ptr_nonnull(hosts);
	hosts_end = (int)(hosts + 3 - uri);
	hosts_end += (int)strcspn(hosts + 3, "/?");
	path = uri + hosts_end + (uri[hosts_end] == '/');
	old_name = (int)strcspn(path, "?");
	query = path[old_name] ? path + old_name + 1 : "";
	if (memchr(uri, '@', (size_t)hosts_end) && !strstr(query, "authSource"))
		source = old_name ? path : "admin";
	return mem_format(
	    "%.*s/%s%s%s%s%s%.*s", hosts_end, uri, name,
	    *query || *source ? "?" : "", query, *query && *source ? "&" : "",
	    *source ? "authSource=" : "",
	    old_name && *source ? old_name : (int)strlen(source), source);
}

char *mongodb_fixture_uri(void)
{
	const char *sharded = getenv(SHARDED);
	char name[40], random[17], *uri;
	uint8_t bytes[8];

	ck_assert_msg(server() != NULL, "%s is not set", VARIABLE);
	ck_assert_int_eq(crypto_init(), 0);
	random_bytes(bytes, sizeof(bytes));
	snprintf(name, sizeof(name), "turing_test_%s",
	         hex_encode(bytes, sizeof(bytes), random));
	uri = with_database(server(), name);
	if (sharded && !strcmp(sharded, "1"))
		mongodb_shard(uri);
	return uri;
}

void mongodb_fixture_drop(char *uri)
{
	struct mongodb_options options = {.uri = uri};
	struct mongodb_db *db = NULL;
	struct error err = {.text = ""};
	mongoc_client_t *client;
	mongoc_database_t *database;
	bson_error_t error;

	if (!uri)
		return;
	ck_assert_msg(!mongodb_db_open(&db, &options, &err), "%s", err.text);
	client = mongodb_take(db, &err);
	ck_assert_msg(client != NULL, "%s", err.text);
	database = mongoc_client_get_database(client, mongodb_db_name(db));
	ck_assert_msg(mongoc_database_drop(database, &error), "%s",
	              error.message);
	mongoc_database_destroy(database);
	mongodb_give(db, client);
	mongodb_db_close(db);
	free(uri);
}
