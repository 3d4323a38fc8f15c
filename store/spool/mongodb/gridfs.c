/* Large bodies of MongoDB's spool as GridFS has them: bodies.files and
 * bodies.chunks. */
#include "store/spool/mongodb/private.h"

#include <errno.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"

#define CHUNK_BYTES    (255 * 1024) /* what GridFS's own drivers take */
#define CHUNKS_AT_ONCE 8            /* in memory, whatever the body's size */
#define SWEEP_FILES    500          /* looked at in one go */
#define SWEEP_ROUNDS   40           /* of these at one open */

/*
 * Every file has an id of its own, so that a message that is added twice never
 * meets the first's bytes. Its document is written before its chunks: what a
 * crash leaves is found by it.
 */

/* --- writing ----------------------------------------------------------- */

static int put_head(struct spool_mongodb *spool, const struct id *file,
                    const struct id *message, size_t size, struct error *err)
{
	char text[ID_TEXT_SIZE];
	bson_t *document = bson_new();
	bson_t metadata;
	int result;

	(void)mongodb_append_id(document, "_id", file);
	BSON_APPEND_INT64(document, "length", (int64_t)size);
	BSON_APPEND_INT32(document, "chunkSize", CHUNK_BYTES);
	(void)mongodb_append_time(document, "uploadDate", clock_wall_ms());
	BSON_APPEND_UTF8(document, "filename", id_format(message, text));
	BSON_APPEND_DOCUMENT_BEGIN(document, "metadata", &metadata);
	(void)mongodb_append_id(&metadata, "message", message);
	bson_append_document_end(document, &metadata);
	result = mongodb_insert(spool->db, SPOOL_MONGODB_FILES, document, err);
	bson_destroy(document);
	return result;
}

static bson_t *make_chunk(const struct id *file, size_t number,
                          const char *bytes, size_t size)
{
	bson_t *document = bson_new();
	bson_oid_t oid;

	bson_oid_init(&oid, NULL);
	BSON_APPEND_OID(document, "_id", &oid);
	(void)mongodb_append_id(document, "files_id", file);
	BSON_APPEND_INT32(document, "n", (int32_t)number);
	(void)mongodb_append_bytes(document, "data", bytes, size);
	return document;
}

/* The next bytes, from memory or through buffer; fewer only at the end. */
static int next_bytes(const struct spool_mongodb_source *source, size_t offset,
                      char *buffer, const char **bytes, size_t *size,
                      struct error *err)
{
	size_t got = 0;

	*size = source->size - offset;
	if (*size > CHUNK_BYTES)
		*size = CHUNK_BYTES;
	*bytes = buffer;
	if (source->bytes) {
		*bytes = source->bytes + offset;
		return 0;
	}
	while (got < *size) {
		ssize_t part = pread(source->fd, buffer + got, *size - got,
		                     (off_t)(offset + got));

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return error_set(err, ERR_UNAVAILABLE,
			                 "reading a body from its file");
		got += (size_t)part;
	}
	return 0;
}

static int send_chunks(struct spool_mongodb *spool, bson_t **chunks,
                       size_t count, struct error *err)
{
	int results[CHUNKS_AT_ONCE];
	int result = mongodb_insert_many(spool->db, SPOOL_MONGODB_CHUNKS,
	                                 (const bson_t *const *)chunks, count,
	                                 false, results, err);

	for (size_t i = 0; i < count; i++) {
		if (!result && results[i] < 0)
			result = error_set(err, ERR_UNAVAILABLE,
			                   "storing a body's chunk: %s",
			                   error_name(results[i]));
		bson_destroy(chunks[i]);
	}
	return result;
}

static int put_chunks(struct spool_mongodb *spool, const struct id *file,
                      const struct spool_mongodb_source *source, char *buffer,
                      struct error *err)
{
	bson_t *chunks[CHUNKS_AT_ONCE];
	size_t offset = 0, number = 0, count = 0;
	int result = 0;

	while (!result && offset < source->size) {
		const char *bytes;
		size_t size;

		result = next_bytes(source, offset, buffer, &bytes, &size, err);
		if (result < 0)
			break;
		chunks[count++] = make_chunk(file, number++, bytes, size);
		offset += size;
		if (count == CHUNKS_AT_ONCE || offset == source->size) {
			result = send_chunks(spool, chunks, count, err);
			count = 0;
		}
	}
	for (size_t i = 0; i < count; i++)
		bson_destroy(chunks[i]);
	return result;
}

int spool_mongodb_file_put(struct spool_mongodb *spool, const struct id *file,
                           const struct id *message,
                           const struct spool_mongodb_source *source,
                           struct error *err)
{
	char *buffer = malloc(CHUNK_BYTES);
	int result;

	if (!buffer)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = put_head(spool, file, message, source->size, err);
	if (!result)
		result = put_chunks(spool, file, source, buffer, err);
	free(buffer);
	/* Nothing counts before the message is there. */
	if (result == ERR_UNCERTAIN)
		result = error_set(err, ERR_UNAVAILABLE,
		                   "storing a body: no answer in time");
	return result;
}

/* --- reading ----------------------------------------------------------- */

struct download {
	int fd;
	int64_t next; /* number of the chunk that is awaited */
	int64_t size; /* so far */
};

static int get_chunk(const bson_t *document, void *context, struct error *err)
{
	struct download *download = context;
	size_t size = 0;
	const void *bytes = mongodb_get_bytes(document, "data", &size);

	if (!bytes || mongodb_get_int(document, "n") != download->next)
		return error_set(err, ERR_NOT_FOUND, "a body's chunk");
	download->next++;
	download->size += (int64_t)size;
	return download->fd < 0 ? 0
	                        : fs_write_all(download->fd, bytes, size, err);
}

/*
 * The chunks from the next one on, as many as are had in memory at once: in
 * one answer the server would send up to 16 MB, of which the driver makes
 * several copies.
 */
static int get_some(struct spool_mongodb *spool, const struct id *file,
                    struct download *download, struct error *err)
{
	bson_t *selector = bson_new();
	bson_t *sort = BCON_NEW("n", BCON_INT32(1));
	bson_t range;
	/* Index: files_id_1_n_1. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_CHUNKS,
	                            .selector = selector,
	                            .sort = sort,
	                            .limit = CHUNKS_AT_ONCE};
	int result;

	(void)mongodb_append_id(selector, "files_id", file);
	BSON_APPEND_DOCUMENT_BEGIN(selector, "n", &range);
	BSON_APPEND_INT64(&range, "$gte", download->next);
	BSON_APPEND_INT64(&range, "$lt", download->next + CHUNKS_AT_ONCE);
	bson_append_document_end(selector, &range);
	result = mongodb_find_each(spool->db, &find, get_chunk, download, err);
	bson_destroy(sort);
	bson_destroy(selector);
	return result;
}

/* Until there are no more, that a file too long is noticed too. */
static int get_chunks(struct spool_mongodb *spool, const struct id *file,
                      struct download *download, struct error *err)
{
	int64_t first;
	int result;

	do {
		first = download->next;
		result = get_some(spool, file, download, err);
	} while (!result && download->next - first == CHUNKS_AT_ONCE);
	return result;
}

int spool_mongodb_file_get(struct spool_mongodb *spool, const struct id *file,
                           int64_t size, int fd, struct error *err)
{
	struct download download = {.fd = fd};
	int result = get_chunks(spool, file, &download, err);

	if (!result && download.size != size)
		result = error_set(err, ERR_NOT_FOUND,
		                   "%lld bytes of a body instead of %lld",
		                   (long long)download.size, (long long)size);
	/* The medium of the temporary file is not the store's. */
	if (result == ERR_IO)
		result = error_set(err, ERR_UNAVAILABLE,
		                   "writing a body to its temporary file");
	return result;
}

int spool_mongodb_file_check(struct spool_mongodb *spool, const struct id *file,
                             int64_t size, struct error *err)
{
	int result = spool_mongodb_file_get(spool, file, size, -1, err);

	if (!result)
		return 1;
	return result == ERR_NOT_FOUND ? 0 : result;
}

/* --- deleting ---------------------------------------------------------- */

static int delete_by(struct spool_mongodb *spool, const char *collection,
                     const char *key, const struct id *id, bool only_one,
                     struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	(void)mongodb_append_id(selector, key, id);
	result = mongodb_delete(spool->db, collection, selector, only_one, NULL,
	                        err);
	bson_destroy(selector);
	return result;
}

int spool_mongodb_file_delete(struct spool_mongodb *spool,
                              const struct id *file, struct error *err)
{
	/* Indexes: files_id_1_n_1, _id. */
	int result = delete_by(spool, SPOOL_MONGODB_CHUNKS, "files_id", file,
	                       false, err);

	return result < 0 ? result
	                  : delete_by(spool, SPOOL_MONGODB_FILES, "_id", file,
	                              true, err);
}

/* --- sweeping ---------------------------------------------------------- */

/* Files of one go, and the messages that they say they are of. */
struct sweep {
	struct id files[SWEEP_FILES], messages[SWEEP_FILES];
	bool used[SWEEP_FILES];
	size_t count;
};

static int see_file(const bson_t *document, void *context, struct error *err)
{
	struct sweep *sweep = context;

	(void)err;
	if (sweep->count == SWEEP_FILES)
		return 0;
	sweep->files[sweep->count] = mongodb_get_id(document, "_id");
	sweep->messages[sweep->count++] =
	    mongodb_get_id(document, "metadata.message");
	return 0;
}

/* Reads the next files after the last one, written before end_ms. */
static int find_files(struct spool_mongodb *spool, const struct id *after,
                      int64_t end_ms, struct sweep *sweep, struct error *err)
{
	bson_t *sort = BCON_NEW("_id", BCON_INT32(1));
	bson_t *selector = bson_new();
	bson_t range, before;
	/* Index: _id. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_FILES,
	                            .selector = selector,
	                            .sort = sort,
	                            .limit = SWEEP_FILES};
	int result;

	sweep->count = 0;
	memset(sweep->used, 0, sizeof(sweep->used));
	BSON_APPEND_DOCUMENT_BEGIN(selector, "_id", &range);
	(void)mongodb_append_id(&range, "$gt", after);
	bson_append_document_end(selector, &range);
	BSON_APPEND_DOCUMENT_BEGIN(selector, "uploadDate", &before);
	(void)mongodb_append_time(&before, "$lt", end_ms);
	bson_append_document_end(selector, &before);
	result = mongodb_find_each(spool->db, &find, see_file, sweep, err);
	bson_destroy(selector);
	bson_destroy(sort);
	return result;
}

static int see_message(const bson_t *document, void *context, struct error *err)
{
	struct sweep *sweep = context;
	struct id file = mongodb_get_id(document, "turing.body.file");

	(void)err;
	for (size_t i = 0; i < sweep->count; i++)
		if (id_equal(&sweep->files[i], &file))
			sweep->used[i] = true;
	return 0;
}

static int find_used(struct spool_mongodb *spool, struct sweep *sweep,
                     struct error *err)
{
	bson_t *projection = BCON_NEW("turing.body.file", BCON_INT32(1));
	bson_t *selector = bson_new();
	/* Index: _id. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection};
	int result;

	spool_mongodb_append_in(selector, "_id", sweep->messages, sweep->count);
	result = mongodb_find_each(spool->db, &find, see_message, sweep, err);
	bson_destroy(selector);
	bson_destroy(projection);
	return result;
}

/* Where the last sweep of this agent ended; none when it saw all. */
static struct id read_place(struct spool_mongodb *spool)
{
	struct id place = {{0}};
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	struct error ignored;

	(void)mongodb_append_text(selector, "_id", spool->owner);
	/* Index: _id. */
	if (!mongodb_find_one(spool->db, SPOOL_MONGODB_AGENTS, selector, NULL,
	                      &found, &ignored))
		place = mongodb_get_id(found, "swept");
	bson_destroy(found);
	bson_destroy(selector);
	return place;
}

static int write_place(struct spool_mongodb *spool, const struct id *place,
                       struct error *err)
{
	bson_t *selector = bson_new();
	bson_t *update = bson_new();
	bson_t set;
	int result;

	(void)mongodb_append_text(selector, "_id", spool->owner);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)mongodb_append_id(&set, "swept", place);
	bson_append_document_end(update, &set);
	/* Index: _id. */
	result = mongodb_update(spool->db, SPOOL_MONGODB_AGENTS, selector,
	                        update, true, true, NULL, err);
	bson_destroy(update);
	bson_destroy(selector);
	return result;
}

static int sweep_some(struct spool_mongodb *spool, struct id *place,
                      int64_t end_ms, struct sweep *sweep, struct error *err)
{
	int result = find_files(spool, place, end_ms, sweep, err);

	if (!result && sweep->count)
		result = find_used(spool, sweep, err);
	for (size_t i = 0; i < sweep->count && !result; i++)
		if (!sweep->used[i])
			result = spool_mongodb_file_delete(
			    spool, &sweep->files[i], err);
	if (!result)
		*place = sweep->count == SWEEP_FILES
		             ? sweep->files[SWEEP_FILES - 1]
		             : (struct id){{0}};
	return result;
}

int spool_mongodb_sweep(struct spool_mongodb *spool, int64_t older_than_ms,
                        struct error *err)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));
	int64_t end_ms = clock_wall_ms() - older_than_ms;
	struct id place = read_place(spool);
	struct id start = place;
	int result = 0;

	if (!sweep)
		return error_set(err, ERR_MEMORY, "out of memory");
	for (int i = 0; i < SWEEP_ROUNDS && !result; i++) {
		result = sweep_some(spool, &place, end_ms, sweep, err);
		if (id_is_none(&place))
			break;
	}
	if (!result && !id_equal(&start, &place))
		result = write_place(spool, &place, err);
	free(sweep);
	return result;
}
