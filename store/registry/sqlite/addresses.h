/*
 * Finds messages of the registry in SQLite by the address of their sender or of
 * a recipient.
 *
 * Addresses come in no order: a table that took each at once would write a page
 * of its own for nearly every one of them. So a message's addresses wait in
 * memory, and each write of the registry puts about as many of them into the
 * table message_address as were registered since, going round in the order of
 * its keys: many that wait go to the same page. Searches look at both.
 *
 * The row of address_state says what the table has: all addresses of messages
 * with rows up to 'written', and with rows up to 'round' those of the first
 * 'next' buckets. The others are read again from message and recipient after a
 * start, and where another process registered them. What is deleted while it
 * may wait in some process is in address_gone.
 */
#ifndef STORE_REGISTRY_SQLITE_ADDRESSES_H
#define STORE_REGISTRY_SQLITE_ADDRESSES_H

#include <pthread.h>

#include "common/crypto.h"
#include "store/registry/sqlite/private.h"

#define ADDRESS_BUCKETS 4096

enum address_kind { ADDRESS_OF_SENDER, ADDRESS_OF_RECIPIENT };

/* A row of message_address. */
struct address_place {
	int64_t stamp; /* of the message's id */
	int64_t row;   /* of the message */
	int32_t key;   /* of the address */
};

/* Those that wait, of one part of the keys. */
struct address_bucket {
	struct address_place *places;
	size_t count, capacity;
	size_t sorted;  /* of the first: those that this round writes */
	size_t writing; /* of these: those in the write that is not committed */
};

struct registry_sqlite_addresses {
	uint8_t secrets[2][CRYPTO_SHORT_KEY_SIZE]; /* by kind */
	size_t most; /* wait before the first are written */

	pthread_mutex_t mutex; /* of what follows */
	struct address_bucket buckets[ADDRESS_BUCKETS];
	size_t count;       /* in all buckets */
	size_t fresh;       /* came since the last write, not by the opening */
	size_t shared;      /* of fresh, before the write not yet committed */
	int64_t read_row;   /* all rows up to it were read */
	int64_t round_row;  /* read_row as this round began */
	size_t next;        /* the bucket whose turn it is */
	size_t first, last; /* those that the write not yet committed has */
	int64_t opened_row; /* as it was opened: the last row of all, */
	int64_t known_row;  /* the round's, */
	size_t known_next;  /* and the bucket whose turn it was */
	bool writing;
};

/*
 * Opens what the writer's file has and writes what waits there if it is very
 * much: after a migration or an import that was killed. Registers the SQL
 * functions that registry_sqlite_addresses_forget() needs with the writer.
 * Closed by registry_sqlite_addresses_close().
 */
int registry_sqlite_addresses_open(struct registry_sqlite_addresses **addresses,
                                   struct sqlite_db *writer, struct error *err);

/* Frees; NULL is allowed. What waits is read again by the next opening. */
void registry_sqlite_addresses_close(
    struct registry_sqlite_addresses *addresses);

/*
 * Within the writer's transaction, before anything else of it: reads what was
 * registered since and writes its share of what waits. Followed by
 * registry_sqlite_addresses_end(), whatever it returns.
 */
int registry_sqlite_addresses_write(struct registry_sqlite_addresses *addresses,
                                    struct sqlite_db *writer,
                                    struct error *err);

/* Behind the transaction's end; nothing to do without one. */
void registry_sqlite_addresses_end(struct registry_sqlite_addresses *addresses,
                                   bool committed);

/* Within the writer's transaction, before the message is deleted: its rows. */
int registry_sqlite_addresses_forget(struct sqlite_db *writer,
                                     const struct id *message,
                                     struct error *err);

/* The address as a key; others may share it. */
int32_t registry_sqlite_address_key(
    const struct registry_sqlite_addresses *addresses, enum address_kind kind,
    const char *address);

/* Orders as the ids do, but that several ids may share it. */
int64_t registry_sqlite_address_stamp(const struct id *id);

/* What waits of one address, in the order of stamps; free() places. */
struct address_places {
	struct address_place *places;
	size_t count;
};

/*
 * As the first statement of a transaction that reads: the places of key from
 * stamp on that are not in the table as this transaction sees it. Some of them
 * may be there after all, and some messages may be gone.
 */
int registry_sqlite_addresses_find(struct registry_sqlite_addresses *addresses,
                                   struct sqlite_db *db, int32_t key,
                                   int64_t stamp, struct address_places *found,
                                   struct error *err);

/*
 * Whether the table has what it must have and nothing of a message that is
 * gone: 0 or ERR_CORRUPT.
 */
int registry_sqlite_addresses_check(
    const struct registry_sqlite_addresses *addresses, struct sqlite_db *db,
    struct error *err);

#endif
