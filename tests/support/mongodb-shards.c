/* Shards a test's database as docs/mongodb.md says. */
#include "tests/support/mongodb-shards.h"

#include <check.h>
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/mem.h"
#include "store/mongodb/db.h"

#define DOCUMENT "docs/mongodb.md"
#define COMMAND  "    sh.shardCollection(\"turing_"
#define SHARDS   2
/* ConflictingOperationInProgress. */
#define IN_PROGRESS 117

struct cluster {
	mongoc_client_t *client;
	const char *database;
	char *shards[SHARDS];
};

/* Where a range is cut in two: a value between those of the tests. */
static const struct cut {
	const char *collection, *key;
	bson_subtype_t subtype;
	uint32_t size;
	uint8_t middle[32];
} cuts[] = {
    {"decision", "tenant", BSON_SUBTYPE_UUID, 16, {[0] = 0x01, [12] = 0xa8}},
    {"challenge", "sender_hash", BSON_SUBTYPE_BINARY, 32, {0x80}},
    {"audit", "_id", BSON_SUBTYPE_BINARY, 32, {[0] = 0x01, [12] = 0xa8}},
};

/* Runs the command on the database admin and destroys it. */
static void run(struct cluster *cluster, bson_t *command, bson_t *reply)
{
	bson_error_t error;
	bson_t answer;

	ck_assert_msg(mongoc_client_command_simple(cluster->client, "admin",
	                                           command, NULL, &answer,
	                                           &error),
	              "%s", error.message);
	if (reply)
		bson_copy_to(&answer, reply);
	bson_destroy(&answer);
	bson_destroy(command);
}

static void find_shards(struct cluster *cluster)
{
	bson_t reply;

	run(cluster, BCON_NEW("listShards", BCON_INT32(1)), &reply);
	for (int i = 0; i < SHARDS; i++) {
		char *key = mem_format("shards.%d._id", i);

		ck_assert_int_eq(
		    mongodb_get_text(&reply, key, &cluster->shards[i]), 0);
		ck_assert_str_ne(cluster->shards[i], "");
		free(key);
	}
	bson_destroy(&reply);
}

/* --- the document's lines ----------------------------------------------- */

/* {_id: "hashed"} as JSON: names in quotes. */
static bson_t *read_key(const char *text, size_t length)
{
	bool name = false, quoted = false;
	struct buffer json;
	bson_error_t error;
	bson_t *key;

	buffer_init(&json, 1000);
	for (size_t i = 0; i < length; i++) {
		bool letter = isalpha((unsigned char)text[i]) || text[i] == '_';

		if (!quoted && letter != name)
			ck_assert_int_eq(buffer_append(&json, "\"", 1), 0);
		name = !quoted && letter;
		if (text[i] == '"')
			quoted = !quoted;
		ck_assert_int_eq(buffer_append(&json, text + i, 1), 0);
	}
	key =
	    bson_new_from_json((const uint8_t *)buffer_text(&json), -1, &error);
	ck_assert_msg(key != NULL, "%s: %s", DOCUMENT, error.message);
	buffer_release(&json);
	return key;
}

/* One line: STORE.COLLECTION", {KEY}) or STORE.COLLECTION", {KEY}, true). */
static void shard_collection(struct cluster *cluster, const char *line)
{
	const char *name = strchr(line, '.');
	const char *end = name ? strchr(name, '"') : NULL;
	const char *key = end ? strchr(end, '{') : NULL;
	const char *key_end = key ? strchr(key, '}') : NULL;
	bson_t *document;
	char *space;

	ck_assert_msg(key_end != NULL, "%s: %.40s", DOCUMENT, line);
	document = read_key(key, (size_t)(key_end + 1 - key));
	space =
	    mem_format("%s%.*s", cluster->database, (int)(end - name), name);
	run(cluster,
	    BCON_NEW("shardCollection", BCON_UTF8(space), "key",
	             BCON_DOCUMENT(document), "unique",
	             BCON_BOOL(!strncmp(key_end, "}, true)", 8))),
	    NULL);
	free(space);
	bson_destroy(document);
}

static void shard_collections(struct cluster *cluster)
{
	struct error err = {.text = ""};
	struct buffer text;
	const char *line;
	int count = 0;

	buffer_init(&text, 1 << 20);
	ck_assert_msg(!fs_read_file(DOCUMENT, &text, &err), "%s", err.text);
	for (line = strstr(buffer_text(&text), COMMAND); line;
	     line = strstr(line + 1, COMMAND), count++)
		shard_collection(cluster, line + strlen(COMMAND));
	ck_assert_int_gt(count, 0);
	buffer_release(&text);
}

/* --- spreading ---------------------------------------------------------- */

/* Waits while the shard is in a move for another test. */
static void move(struct cluster *cluster, const char *space, const bson_t *find,
                 const char *shard)
{
	bson_t *command = BCON_NEW("moveChunk", BCON_UTF8(space), "find",
	                           BCON_DOCUMENT(find), "to", BCON_UTF8(shard));
	bson_error_t error;

	while (!mongoc_client_command_simple(cluster->client, "admin", command,
	                                     NULL, NULL, &error)) {
		ck_assert_msg(error.code == IN_PROGRESS, "%s", error.message);
		(void)usleep(50000);
	}
	bson_destroy(command);
}

/* What is below the middle to the first shard, the rest to the second. */
static void cut_range(struct cluster *cluster, const struct cut *cut)
{
	char *space = mem_format("%s.%s", cluster->database, cut->collection);
	bson_t *middle =
	    BCON_NEW(cut->key, BCON_BIN(cut->subtype, cut->middle, cut->size));
	bson_t *least = BCON_NEW(cut->key, BCON_MINKEY);

	run(cluster,
	    BCON_NEW("split", BCON_UTF8(space), "middle",
	             BCON_DOCUMENT(middle)),
	    NULL);
	move(cluster, space, least, cluster->shards[0]);
	move(cluster, space, middle, cluster->shards[1]);
	bson_destroy(least);
	bson_destroy(middle);
	free(space);
}

void mongodb_shard(const char *uri)
{
	struct mongodb_options options = {.uri = uri};
	struct cluster cluster = {0};
	struct mongodb_db *db = NULL;
	struct error err = {.text = ""};

	ck_assert_msg(!mongodb_db_open(&db, &options, &err), "%s", err.text);
	cluster.client = mongodb_take(db, &err);
	ck_assert_msg(cluster.client != NULL, "%s", err.text);
	cluster.database = mongodb_db_name(db);
	find_shards(&cluster);
	run(&cluster, BCON_NEW("enableSharding", BCON_UTF8(cluster.database)),
	    NULL);
	shard_collections(&cluster);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		cut_range(&cluster, &cuts[i]);
	for (int i = 0; i < SHARDS; i++)
		free(cluster.shards[i]);
	mongodb_give(db, cluster.client);
	mongodb_db_close(db);
}
