/* The indexes of the spool in MongoDB, and the steps of its schema. */
#include "store/spool/mongodb/private.h"

/*
 * Every index is named in docs/mongodb.md with the queries that it serves.
 * _id serves what looks messages up, the pages of all messages, and (hashed)
 * the shards.
 */
static const struct mongodb_index indexes[] = {
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "due",
     .keys = "turing.due:1,_id:1",
     .partial = "{\"turing.due\": {\"$exists\": true}}"},
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "unclaimed",
     .keys = "turing.unclaimed:1",
     .partial = "{\"turing.unclaimed\": {\"$exists\": true}}"},
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "hold_until",
     .keys = "turing.hold_until:1,_id:1",
     .partial = "{\"turing.hold_until\": {\"$exists\": true}}"},
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "lists",
     .keys = "turing.lists:1,_id:1"},
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "over",
     .keys = "turing.over:1,_id:1",
     .partial = "{\"turing.over\": {\"$exists\": true}}"},
    {.collection = SPOOL_MONGODB_MESSAGES,
     .name = "tally",
     .keys = "turing.tally:1,turing.body.size:1"},
    /* As GridFS wants them. */
    {.collection = SPOOL_MONGODB_FILES,
     .name = "filename_1_uploadDate_1",
     .keys = "filename:1,uploadDate:1"},
    {.collection = SPOOL_MONGODB_CHUNKS,
     .name = "files_id_1_n_1",
     .keys = "files_id:1,n:1",
     .unique = true},
    {.collection = SPOOL_MONGODB_VALUES,
     .name = "owner_name",
     .keys = "owner:1,name:1"},
    {.collection = SPOOL_MONGODB_REPLICA,
     .name = "owner_entry",
     .keys = "owner:1,entry:1"},
};

int (*const spool_mongodb_steps[])(struct mongodb_db *db, struct error *err) = {
    NULL, /* to version 1: the collections come with the first documents */
    NULL, /* to version 2: a field that is absent is zero (what failed before
             was not kept); an older program would deliver mail without the
             SMTPUTF8 that it needs */
};
const size_t spool_mongodb_version =
    sizeof(spool_mongodb_steps) / sizeof(spool_mongodb_steps[0]);

int spool_mongodb_make_indexes(struct mongodb_db *db, struct error *err)
{
	return mongodb_ensure_indexes(
	    db, indexes, sizeof(indexes) / sizeof(indexes[0]), err);
}
