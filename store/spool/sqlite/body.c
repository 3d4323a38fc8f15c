/* Bodies of the spool's messages: into files or rows, and read again. */
#include "store/spool/sqlite/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/array.h"
#include "common/crypto.h"
#include "common/fs.h"

/* Id, ".", 16 hexadecimal digits: a repeated id never meets the first's file.
 */
#define FILE_NAME_SIZE (ID_TEXT_SIZE + 17)

static int out_of_memory(struct error *err)
{
	return error_set(err, ERR_MEMORY, "out of memory");
}

static enum error_code code_of(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return ERR_FULL;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return ERR_UNAVAILABLE; /* of ours, not of the medium */
	default:
		return ERR_IO;
	}
}

static void make_name(const struct id *id, char name[FILE_NAME_SIZE])
{
	char text[ID_TEXT_SIZE];
	uint64_t salt;

	random_bytes(&salt, sizeof(salt));
	(void)snprintf(name, FILE_NAME_SIZE, "%s.%016llx", id_format(id, text),
	               (unsigned long long)salt);
}

/* --- before the transaction ------------------------------------------- */

/* Syncs the file at from and gives it its name in bodies/. */
static int adopt(struct spool_sqlite *spool, int fd, const char *from,
                 const char *name, struct error *err)
{
	char *to = spool_sqlite_join(spool->bodies, name);
	int result = 0;

	if (!to)
		return out_of_memory(err);
	if (fsync(fd))
		result = error_set_errno(err, code_of(errno), errno,
		                         "fsync of %s", from);
	else if (rename(from, to))
		result = error_set_errno(err, code_of(errno), errno, "%s", to);
	free(to);
	return result;
}

static int adopt_as(struct spool_sqlite *spool, int fd, const char *from,
                    const struct id *id, struct spool_sqlite_body *body,
                    struct error *err)
{
	char name[FILE_NAME_SIZE];
	char *copy;
	int result;

	make_name(id, name);
	copy = strdup(name);
	if (!copy)
		return out_of_memory(err);
	result = adopt(spool, fd, from, name, err);
	if (result < 0)
		free(copy);
	else
		body->file = copy;
	return result;
}

/* A large body that is in memory. */
static int write_file(struct spool_sqlite *spool, const struct id *id,
                      const struct spool_body_source *source,
                      struct spool_sqlite_body *body, struct error *err)
{
	char name[FILE_NAME_SIZE];
	char *path;
	int result;
	int fd;

	make_name(id, name);
	path = spool_sqlite_join(spool->incoming, name);
	if (!path)
		return out_of_memory(err);
	fd = fs_open_private(path, O_WRONLY | O_EXCL);
	if (fd < 0) {
		result =
		    error_set_errno(err, code_of(errno), errno, "%s", path);
		free(path);
		return result;
	}
	result = fs_write_all(fd, source->bytes, source->size, err);
	if (!result)
		result = adopt_as(spool, fd, path, id, body, err);
	(void)close(fd);
	if (result < 0)
		(void)unlink(path);
	free(path);
	return result;
}

static int read_all(int fd, char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t got = read(fd, bytes, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ERR_IO;
		bytes += got;
		size -= (size_t)got;
	}
	return 0;
}

/* A small body that is in a file. */
static int read_file(int fd, const struct spool_body_source *source,
                     struct spool_sqlite_body *body, struct error *err)
{
	char *bytes = malloc(source->size ? source->size : 1);

	if (!bytes)
		return out_of_memory(err);
	if (read_all(fd, bytes, source->size)) {
		free(bytes);
		return error_set_errno(err, ERR_IO, errno, "%s", source->path);
	}
	body->owned = bytes;
	body->bytes = bytes;
	return 0;
}

/* ERR_INVALID when there is no such file of that size. */
static int take_file(struct spool_sqlite *spool, const struct id *id,
                     const struct spool_body_source *source,
                     struct spool_sqlite_body *body, struct error *err)
{
	struct stat info;
	int result;
	int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP
		           ? ERR_INVALID
		           : error_set_errno(err, code_of(errno), errno, "%s",
		                             source->path);
	if (fstat(fd, &info))
		result =
		    error_set_errno(err, ERR_IO, errno, "%s", source->path);
	else if (!S_ISREG(info.st_mode) || info.st_size < 0 ||
	         (size_t)info.st_size != source->size)
		result = ERR_INVALID;
	else if (info.st_size > spool->large_body_bytes)
		result = adopt_as(spool, fd, source->path, id, body, err);
	else
		result = read_file(fd, source, body, err);
	(void)close(fd);
	return result;
}

static bool has_body(const struct spool_change *change)
{
	return change->kind == SPOOL_ADD || change->kind == SPOOL_COPY;
}

static int prepare(struct spool_sqlite *spool, struct spool_change *change,
                   struct spool_sqlite_body *body, struct error *err)
{
	const struct spool_body_source *source = &change->add.body;
	const struct id *id = &change->add.message->id;
	int result = 0;

	body->size = source->size;
	if (source->path)
		result = take_file(spool, id, source, body, err);
	else if (source->size > (size_t)spool->large_body_bytes)
		result = write_file(spool, id, source, body, err);
	else
		body->bytes = source->bytes;
	if (result != ERR_INVALID)
		return result;
	change->result = ERR_INVALID;
	return 0;
}

/* A failed sync or write ends the spool as one of the database does. */
static void note_failure(struct spool_sqlite *spool, int result,
                         const struct error *err)
{
	(void)pthread_mutex_lock(&spool->writer);
	spool_sqlite_note(spool, result, err);
	(void)pthread_mutex_unlock(&spool->writer);
}

int spool_sqlite_bodies_prepare(struct spool_sqlite_batch *batch,
                                struct error *err)
{
	struct spool_sqlite *spool = batch->spool;
	bool files = false;
	int result = 0;

	for (size_t i = 0; i < batch->count && !result; i++) {
		struct spool_change *change = &batch->changes[i];

		if (!has_body(change) || change->result < 0)
			continue;
		result = prepare(spool, change, &batch->bodies[i], err);
		files = files || batch->bodies[i].file;
	}
	if (!result && files)
		result = fs_sync_directory(spool->bodies, err);
	if (result < 0)
		note_failure(spool, result, err);
	return result;
}

/* --- within the transaction ------------------------------------------- */

static int remember_file(struct spool_sqlite_files *files, const char *name)
{
	char *copy;

	if (array_grow((void **)&files->names, files->count, &files->capacity,
	               sizeof(*files->names), NULL) ||
	    !(copy = strdup(name)))
		return ERR_MEMORY;
	files->names[files->count++] = copy;
	return 0;
}

static int delete_body(struct sqlite_db *db, int64_t seq, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "DELETE FROM body WHERE message = ?1");

	sqlite_bind_int(query, 1, seq);
	return sqlite_run(query, err);
}

int spool_sqlite_body_drop(struct spool_sqlite_batch *batch,
                           const struct id *id, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(batch->db, "SELECT body.message, body.size, body.file"
	                            " FROM message CROSS JOIN body"
	                            " ON body.message = message.seq"
	                            " WHERE message.id = ?1");
	int64_t seq, size;
	int result;

	sqlite_bind_id(query, 1, id);
	result = sqlite_step(query, err);
	if (result <= 0)
		return result; /* gone already */
	seq = sqlite_column_int(query, 0);
	size = sqlite_column_int(query, 1);
	result =
	    sqlite_column_is_null(query, 2)
	        ? 0
	        : remember_file(&batch->dropped, sqlite_column_text(query, 2));
	sqlite_reset(query);
	if (result < 0)
		return out_of_memory(err);
	batch->delta.body_bytes -= size;
	return delete_body(batch->db, seq, err);
}

/* --- after the transaction -------------------------------------------- */

static void remove_file(struct spool_sqlite *spool, const char *name)
{
	char *path = spool_sqlite_join(spool->bodies, name);

	/* What stays behind is swept at the next open. */
	if (path)
		(void)unlink(path);
	free(path);
}

/*
 * Whether the ADD's file in bodies/ stays. After a failed sync the log may hold
 * the batch all the same: the next open finds its rows, or sweeps its files.
 */
static bool stays(const struct spool_change *change, int outcome)
{
	if (outcome == ERR_IO || outcome == ERR_CORRUPT)
		return true;
	return !outcome && !change->result;
}

void spool_sqlite_bodies_finish(struct spool_sqlite_batch *batch, int outcome)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct spool_change *change = &batch->changes[i];
		struct spool_sqlite_body *body = &batch->bodies[i];

		if (body->file && !stays(change, outcome))
			remove_file(batch->spool, body->file);
		if (has_body(change) && change->add.body.path)
			(void)unlink(change->add.body.path);
		free(body->file);
		free(body->owned);
	}
	for (size_t i = 0; i < batch->dropped.count; i++) {
		if (!outcome)
			remove_file(batch->spool, batch->dropped.names[i]);
		free(batch->dropped.names[i]);
	}
	free(batch->dropped.names);
}

/* --- reading ----------------------------------------------------------- */

/* Opens the row's file; ERR_NOT_FOUND when it is not there. */
static int open_file(struct spool_sqlite *spool, const char *name, int *fd,
                     struct error *err)
{
	char *path = spool_sqlite_join(spool->bodies, name);
	int result = 0;

	if (!path)
		return out_of_memory(err);
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0)
		result = error_set_errno(
		    err, errno == ENOENT ? ERR_NOT_FOUND : code_of(errno),
		    errno, "%s", path);
	free(path);
	return result;
}

static int copy_bytes(struct sqlite_query *query, struct spool_body *body,
                      struct error *err)
{
	const void *bytes = sqlite_column_blob(query, 2, &body->size);

	if (body->size != (size_t)sqlite_column_int(query, 0))
		return error_set(err, ERR_CORRUPT, "size of a body");
	body->bytes = malloc(body->size ? body->size : 1);
	if (!body->bytes)
		return out_of_memory(err);
	if (body->size)
		memcpy(body->bytes, bytes, body->size);
	return 0;
}

/* One look at the row; *file tells whether the body is in one. */
static int find_body(struct spool_sqlite *spool, struct sqlite_db *db,
                     const struct id *id, struct spool_body *body, bool *file,
                     struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT body.size, body.file, body.bytes FROM message"
	        " CROSS JOIN body ON body.message = message.seq"
	        " WHERE message.id = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	result = sqlite_step(query, err);
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no body");
	if (result < 0)
		return result;
	*file = !sqlite_column_is_null(query, 1);
	result = *file ? open_file(spool, sqlite_column_text(query, 1),
	                           &body->fd, err)
	               : copy_bytes(query, body, err);
	sqlite_reset(query);
	return result;
}

int spool_sqlite_body_open(struct spool *base, const struct id *id,
                           struct spool_body *body, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	bool file = false;
	int result;

	body->read_error = ERR_IO;
	result = sqlite_pool_take(spool->readers, &db, err);
	if (!result)
		result = find_body(spool, db, id, body, &file, err);
	if (result == ERR_NOT_FOUND && file) {
		/* Dropped between the look at the row and the opening, or
		 * lost: then the row is still there. */
		result = find_body(spool, db, id, body, &file, err);
		if (result == ERR_NOT_FOUND && file)
			result = error_set(err, ERR_CORRUPT,
			                   "the file of a body is missing");
	}
	sqlite_pool_give(spool->readers, db);
	return result;
}
