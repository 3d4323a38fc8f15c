/* Connections to SQLite: opening, schema versions, transactions, errors. */
#include "store/sqlite/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "common/fs.h"
#include "store/sqlite/private.h"

#define DEFAULT_BUSY_TIMEOUT_MS 10000
#define DEFAULT_CACHE_KIB       4096
#define LOG_SIZE_LIMIT_BYTES    (64 << 20)

static int constraint_code(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_ROWID:
		return ERR_EXISTS;
	default:
		return ERR_INVALID;
	}
}

static int io_code(int code)
{
	switch (code) {
	case SQLITE_IOERR_NOMEM:
		return ERR_MEMORY;
	case SQLITE_IOERR_SHMSIZE:
		/* The index of the log, which is not durable anyway, could not
		 * grow: no space. */
		return ERR_FULL;
	default:
		return ERR_IO;
	}
}

int sqlite_error_code(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_IOERR:
		return io_code(code);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_UNAVAILABLE;
	case SQLITE_CONSTRAINT:
		return constraint_code(code);
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	case SQLITE_MISUSE:
	case SQLITE_RANGE:
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
		return ERR_INVALID;
	default:
		return ERR_IO;
	}
}

int sqlite_fail(struct sqlite_db *db, int code, struct error *err)
{
	int ours = sqlite_error_code(code);
	const char *text =
	    db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);

	/* A quota is a full disk to us, an I/O error to SQLite. */
	if (ours == ERR_IO && code == SQLITE_IOERR_WRITE && db->handle &&
	    sqlite3_system_errno(db->handle) == EDQUOT)
		ours = ERR_FULL;
	return error_set(err, (enum error_code)ours, "%s: %s (SQLite %d)",
	                 db->path, text, code);
}

static char engine[48];

static void name_engine(void)
{
	(void)snprintf(engine, sizeof(engine), "SQLite %s",
	               sqlite3_libversion());
}

const char *sqlite_db_engine(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, name_engine);
	return engine;
}

static void configure_library(void)
{
	/* Its counters of memory cost a lock on every allocation. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int execute(struct sqlite_db *db, const char *sql, struct error *err)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : sqlite_fail(db, code, err);
}

/* A file system without shared memory would leave another mode in place. */
static int expect_wal(struct sqlite_db *db, struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, "PRAGMA journal_mode");
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	result = strcmp(sqlite_column_text(query, 0), "wal") != 0
	             ? error_set(err, ERR_IO,
	                         "%s: no write-ahead log on this file system",
	                         db->path)
	             : 0;
	sqlite_reset(query);
	return result;
}

static int set_up(struct sqlite_db *db, const struct sqlite_db_options *options,
                  struct error *err)
{
	char sql[400];
	int result;
	int timeout = options->busy_timeout_ms ? options->busy_timeout_ms
	                                       : DEFAULT_BUSY_TIMEOUT_MS;

	(void)sqlite3_extended_result_codes(db->handle, 1);
	(void)sqlite3_busy_timeout(db->handle, timeout);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)snprintf(
	    sql, sizeof(sql),
	    "PRAGMA trusted_schema=OFF;"
	    "PRAGMA foreign_keys=OFF;"
	    "PRAGMA journal_mode=WAL;"
	    "PRAGMA synchronous=%s;"
	    "PRAGMA wal_autocheckpoint=0;"
	    "PRAGMA journal_size_limit=%d;"
	    "PRAGMA temp_store=MEMORY;"
	    /* Debian's default writes every freed page again. */
	    "PRAGMA secure_delete=OFF;"
	    "PRAGMA cache_size=-%d;"
	    "PRAGMA query_only=%d;",
	    options->lazy_sync ? "NORMAL" : "FULL", LOG_SIZE_LIMIT_BYTES,
	    options->cache_kib ? options->cache_kib : DEFAULT_CACHE_KIB,
	    options->read_only ? 1 : 0);
	if (options->read_only)
		(void)sqlite3_db_config(
		    db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	result = execute(db, sql, err);
	return result < 0 ? result : expect_wal(db, err);
}

/* The file is made here, so that SQLite's own files get its mode too. */
static int make_file(const char *path, struct error *err)
{
	int fd = fs_open_private(path, O_RDWR);

	if (fd < 0)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	(void)close(fd);
	return 0;
}

static int open_handle(struct sqlite_db *db,
                       const struct sqlite_db_options *options,
                       struct error *err)
{
	int code;

	if (options->create && make_file(options->path, err))
		return ERR_IO;
	code =
	    sqlite3_open_v2(options->path, &db->handle,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		return set_up(db, options, err);
	if ((code & 0xff) == SQLITE_CANTOPEN && !options->create &&
	    db->handle && sqlite3_system_errno(db->handle) == ENOENT)
		return error_set(err, ERR_NOT_FOUND, "%s: no such file",
		                 options->path);
	return sqlite_fail(db, code, err);
}

int sqlite_db_open(struct sqlite_db **db,
                   const struct sqlite_db_options *options, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sqlite_db *opened = calloc(1, sizeof(*opened));
	int result;

	if (!opened || !(opened->path = strdup(options->path))) {
		free(opened);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	(void)pthread_once(&once, configure_library);
	opened->broken.db = opened;
	result = open_handle(opened, options, err);
	if (result < 0) {
		sqlite_db_close(opened);
		return result;
	}
	*db = opened;
	return 0;
}

void sqlite_db_close(struct sqlite_db *db)
{
	if (!db)
		return;
	sqlite_queries_release(db);
	(void)sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

void sqlite_db_abandon(struct sqlite_db *db)
{
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
	                        NULL);
}

static int read_version(struct sqlite_db *db, int64_t *version,
                        struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, "PRAGMA user_version");
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	*version = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return 0;
}

static int version_error(struct sqlite_db *db, int64_t found, size_t known,
                         struct error *err)
{
	return error_set(err, ERR_VERSION,
	                 "%s: schema version %lld, this program knows %zu",
	                 db->path, (long long)found, known);
}

/* One step within its transaction; *done when nothing is left to do. */
static int migrate_step(struct sqlite_db *db, const char *const *steps,
                        size_t count, bool *done, struct error *err)
{
	char pragma[64];
	int64_t version = 0;
	int result = read_version(db, &version, err);

	if (result < 0)
		return result;
	if (version < 0 || (uint64_t)version > count)
		return version_error(db, version, count, err);
	*done = (size_t)version == count;
	if (*done)
		return 0;
	(void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%lld",
	               (long long)version + 1);
	result = execute(db, steps[version], err);
	return result < 0 ? result : execute(db, pragma, err);
}

int sqlite_db_migrate(struct sqlite_db *db, const char *const *steps,
                      size_t count, struct error *err)
{
	bool done = false;
	int64_t version = 0;
	int result = read_version(db, &version, err);

	if (result < 0)
		return result;
	/* Nothing to do is the usual case, and waits for no writer. */
	if (version > 0 && (uint64_t)version == count)
		return 0;
	while (!done) {
		result = sqlite_db_begin(db, err);
		if (result < 0)
			return result;
		result = migrate_step(db, steps, count, &done, err);
		if (result < 0) {
			sqlite_db_rollback(db);
			return result;
		}
		result = sqlite_db_commit(db, err);
		if (result < 0)
			return result;
	}
	return 0;
}

int sqlite_db_expect_version(struct sqlite_db *db, size_t version,
                             struct error *err)
{
	int64_t found = 0;
	int result = read_version(db, &found, err);

	if (result < 0)
		return result;
	if (found < 0 || (uint64_t)found != version)
		return version_error(db, found, version, err);
	return 0;
}

int sqlite_db_begin(struct sqlite_db *db, struct error *err)
{
	return sqlite_run(sqlite_query(db, "BEGIN IMMEDIATE"), err);
}

int sqlite_db_begin_read(struct sqlite_db *db, struct error *err)
{
	return sqlite_run(sqlite_query(db, "BEGIN"), err);
}

int sqlite_db_commit(struct sqlite_db *db, struct error *err)
{
	int result = sqlite_run(sqlite_query(db, "COMMIT"), err);

	if (result < 0)
		sqlite_db_rollback(db);
	return result;
}

void sqlite_db_rollback(struct sqlite_db *db)
{
	sqlite_queries_reset(db);
	/* Some failures roll back by themselves. */
	if (!sqlite3_get_autocommit(db->handle))
		(void)sqlite_run(sqlite_query(db, "ROLLBACK"), NULL);
}

int64_t sqlite_db_changes(struct sqlite_db *db)
{
	return sqlite3_changes64(db->handle);
}

int64_t sqlite_db_last_rowid(struct sqlite_db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int sqlite_db_function(struct sqlite_db *db, const char *name, int arguments,
                       sqlite_db_called *called, void *context,
                       struct error *err)
{
	int code = sqlite3_create_function(db->handle, name, arguments,
	                                   SQLITE_UTF8 | SQLITE_DIRECTONLY,
	                                   context, called, NULL, NULL);

	return code == SQLITE_OK ? 0 : sqlite_fail(db, code, err);
}

int sqlite_db_data_version(struct sqlite_db *db, int64_t *version,
                           struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, "PRAGMA data_version");
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	*version = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return 0;
}

int sqlite_db_check(struct sqlite_db *db, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "PRAGMA integrity_check(1)");
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	if (strcmp(sqlite_column_text(query, 0), "ok") != 0)
		result = error_set(err, ERR_CORRUPT, "%s: %s", db->path,
		                   sqlite_column_text(query, 0));
	else
		result = 0;
	sqlite_reset(query);
	return result;
}
