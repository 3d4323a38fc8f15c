/*
 * A MongoDB database of its own for each test, on the server that the variable
 * TURING_TEST_MONGODB_URI names. Call from the test itself, not before check
 * forks: libmongoc does not survive a fork.
 */
#ifndef TESTS_SUPPORT_MONGODB_FIXTURE_H
#define TESTS_SUPPORT_MONGODB_FIXTURE_H

#include <stdbool.h>

/*
 * Whether a server is named; when not, prints once that the tests of what are
 * skipped for want of it.
 */
bool mongodb_fixture_present(void);

/*
 * A URI with a fresh database name on that server, on the heap; the database
 * comes to be with its first document. Ends the test when no server is named.
 * With TURING_TEST_MONGODB_SHARDED=1 it is there, sharded by mongodb_shard().
 */
char *mongodb_fixture_uri(void);

/* Drops the database of such a URI and frees it; NULL is allowed. */
void mongodb_fixture_drop(char *uri);

#endif
