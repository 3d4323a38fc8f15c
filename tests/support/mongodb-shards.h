/*
 * Shards a test's database by the commands that docs/mongodb.md gives to
 * administrators, so that the tests try the keys that it recommends.
 */
#ifndef TESTS_SUPPORT_MONGODB_SHARDS_H
#define TESTS_SUPPORT_MONGODB_SHARDS_H

/*
 * Shards the collections of both stores in the URI's database, which must have
 * nothing in it, on a cluster of two shards or more. Hashed keys are spread by
 * the server, ranges are cut in the middle of what the tests write. Ends the
 * test when that fails, or when it does not run in the root of the sources.
 */
void mongodb_shard(const char *uri);

#endif
