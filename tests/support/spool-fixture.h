/*
 * A spool of its own for each test, of the backend that the variable
 * TURING_TEST_BACKEND names (default sqlite), and short ways to fill it.
 * Everything here ends the test when it fails.
 */
#ifndef TESTS_SUPPORT_SPOOL_FIXTURE_H
#define TESTS_SUPPORT_SPOOL_FIXTURE_H

#include "store/spool/spool.h"

#define FIXTURE_NOW_MS 1795248000000LL /* 2026-11-21T08:00:00Z */
#define FIXTURE_LARGE  8192            /* bodies above go to a file */
#define FIXTURE_OWNER  "agent-1"

struct spool_fixture {
	struct spool *spool;
	char directory[64]; /* removed at the end */
	char *uri;          /* of MongoDB's database, dropped at the end */
	struct spool_options options;
};

/* The backend that TURING_TEST_BACKEND names. */
const char *fixture_backend(void);

/* Whether that is SQLite: for tests of its files. */
bool fixture_is_sqlite(void);

/* Makes an empty spool in a temporary directory. */
void fixture_open(struct spool_fixture *fixture);

/* Closes it and opens it again with the same options. */
void fixture_reopen(struct spool_fixture *fixture);

/* Closes it, after a full check, and removes the directory. */
void fixture_close(struct spool_fixture *fixture);

/* A message with count recipients in state, due at FIXTURE_NOW_MS, every
 * other field filled; released by spool_message_release(). */
struct spool_message fixture_message(size_t count, enum spool_state state);

/* The change that adds it with this body. */
struct spool_change fixture_add_change(const struct spool_message *message,
                                       const void *body, size_t size);

/* Adds a message as fixture_message() makes it, body "body\r\n"; its id. */
struct id fixture_add(struct spool_fixture *fixture, size_t count,
                      enum spool_state state);

/* The change that moves a recipient from any state to this one. */
struct spool_change fixture_move_change(struct id id, size_t recipient,
                                        enum spool_state to);

/* Makes that change; returns its result. */
int fixture_move(struct spool_fixture *fixture, struct id id, size_t recipient,
                 enum spool_state to);

/* Commits one change; returns its result. */
int fixture_commit(struct spool_fixture *fixture, struct spool_change change);

/* Reads a message, which the caller releases. */
struct spool_message fixture_read(struct spool_fixture *fixture, struct id id);

/* How many messages the query finds, whatever its limit is. */
size_t fixture_count(struct spool_fixture *fixture, struct spool_query query);

/* The state of a recipient. */
enum spool_state fixture_state(struct spool_fixture *fixture, struct id id,
                               size_t recipient);

/* Reads a body whole to the heap, *size bytes. */
char *fixture_body(struct spool_fixture *fixture, struct id id, size_t *size);

/* A new file in the incoming directory with these bytes; its path is freed by
 * the caller. */
char *fixture_incoming(struct spool_fixture *fixture, const void *bytes,
                       size_t size);

/* How many files are in a directory below the spool's; of MongoDB there is
 * "incoming" alone. */
size_t fixture_count_files(struct spool_fixture *fixture, const char *name);

#endif
