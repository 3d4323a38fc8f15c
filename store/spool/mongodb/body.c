/* Bodies of MongoDB's spool: in the document or in GridFS, and read again. */
#include "store/spool/mongodb/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beyond this no body is in a document, whatever the configuration says. */
#define IN_DOCUMENT_MAXIMUM (1 << 20)
/* What is looked at of a large body: its header. */
#define HEAD_BYTES (256 * 1024)

static int out_of_memory(struct error *err)
{
	return error_set(err, ERR_MEMORY, "out of memory");
}

/* Never ERR_IO: what fails here is not what the mail is kept on. */
static int local_failure(struct error *err, const char *path)
{
	enum error_code code =
	    errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_UNAVAILABLE;

	return error_set_errno(err, code, errno, "%s", path);
}

/* --- bodies to be added ------------------------------------------------ */

static int read_start(int fd, char *bytes, size_t size, const char *path,
                      struct error *err)
{
	size_t got = 0;

	while (got < size) {
		ssize_t part = pread(fd, bytes + got, size - got, (off_t)got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return local_failure(err, path);
		got += (size_t)part;
	}
	return 0;
}

/* Opens the body's file; ERR_INVALID when there is none of that size. */
static int open_source(const struct spool_body_source *source, int *opened,
                       struct error *err)
{
	struct stat info;
	int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP
		           ? ERR_INVALID
		           : local_failure(err, source->path);
	if (fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size < 0 ||
	    (size_t)info.st_size != source->size) {
		(void)close(fd);
		return ERR_INVALID;
	}
	*opened = fd;
	return 0;
}

/* Takes the first length bytes of the source. */
static int take_bytes(const struct spool_body_source *source, int fd,
                      struct spool_mongodb_body *body, struct error *err)
{
	int result;

	if (!source->path) {
		body->bytes = source->bytes ? source->bytes : "";
		return 0;
	}
	body->owned = malloc(body->length ? body->length : 1);
	if (!body->owned)
		return out_of_memory(err);
	result = read_start(fd, body->owned, body->length, source->path, err);
	body->bytes = body->owned;
	return result;
}

static int store(struct spool_mongodb *spool, const struct spool_change *change,
                 int fd, bool large, struct spool_mongodb_body *body,
                 struct error *err)
{
	const struct spool_body_source *source = &change->add.body;
	const struct spool_mongodb_source bytes = {
	    .bytes = source->path ? NULL : source->bytes,
	    .fd = fd,
	    .size = source->size};
	int result;

	body->size = (int64_t)source->size;
	body->length = source->size;
	large =
	    source->size && (large || body->size > spool->large_body_bytes ||
	                     body->size > IN_DOCUMENT_MAXIMUM);
	if (large && body->length > HEAD_BYTES)
		body->length = HEAD_BYTES;
	result = take_bytes(source, fd, body, err);
	if (result < 0 || !large)
		return result;
	body->file = id_new();
	return spool_mongodb_file_put(spool, &body->file,
	                              &change->add.message->id, &bytes, err);
}

/* Whether the message is to have a body at all. */
static bool wants_body(const struct spool_change *change)
{
	const struct spool_message *message = change->add.message;

	if (change->kind == SPOOL_COPY && !message->body_present)
		return false;
	for (size_t i = 0; i < message->recipient_count; i++)
		if (!spool_recipient_is_over(&message->recipients[i]))
			return true;
	return false;
}

int spool_mongodb_body_prepare(struct spool_mongodb *spool,
                               const struct spool_change *change, bool large,
                               struct spool_mongodb_body *body,
                               struct error *err)
{
	int fd = -1;
	int result = 0;

	body->bytes = "";
	body->present = wants_body(change);
	if (change->add.body.path)
		result = open_source(&change->add.body, &fd, err);
	if (!result && body->present)
		result = store(spool, change, fd, large, body, err);
	if (fd >= 0)
		(void)close(fd);
	return result;
}

void spool_mongodb_body_release(struct spool_mongodb_body *body)
{
	free(body->owned);
	memset(body, 0, sizeof(*body));
}

/* --- reading ----------------------------------------------------------- */

/* A file that goes with its descriptor. */
static int make_temporary(const char *directory, int *opened, struct error *err)
{
	char *path;
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) { /* not every file system has O_TMPFILE */
		if (asprintf(&path, "%s/.body-XXXXXX", directory) < 0)
			return out_of_memory(err);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path);
		free(path);
	}
	if (fd < 0)
		return local_failure(err, directory);
	*opened = fd;
	return 0;
}

/*
 * The whole file, before the first byte is handed out: whoever has the body
 * open reads it to its end, and no client of the pool waits for him.
 */
static int fetch_file(struct spool_mongodb *spool, const struct id *file,
                      struct spool_body *body, struct error *err)
{
	int result = make_temporary(spool->incoming, &body->fd, err);

	if (!result)
		result = spool_mongodb_file_get(
		    spool, file, (int64_t)body->size, body->fd, err);
	if (!result && lseek(body->fd, 0, SEEK_SET) < 0)
		result = local_failure(err, spool->incoming);
	return result;
}

static int copy_bytes(const bson_t *document, struct spool_body *body,
                      struct error *err)
{
	size_t size = 0;
	const void *bytes =
	    mongodb_get_bytes(document, "turing.body.bytes", &size);

	if (!bytes)
		bytes = mongodb_get_bytes(document, "raw.data", &size);
	if (!bytes || size != body->size)
		return error_set(err, ERR_CORRUPT, "size of a body");
	body->bytes = malloc(size ? size : 1);
	if (!body->bytes)
		return out_of_memory(err);
	memcpy(body->bytes, bytes, size);
	return 0;
}

/* One look at the document; *file tells where else the body is. */
static int find_body(struct spool_mongodb *spool, const struct id *id,
                     struct spool_body *body, struct id *file,
                     struct error *err)
{
	bson_t *projection =
	    BCON_NEW("turing.body", BCON_INT32(1), "raw.data", BCON_INT32(1));
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	bson_t view;
	int result;

	(void)mongodb_append_id(selector, "_id", id);
	/* Index: _id. */
	result = mongodb_find_one(spool->db, SPOOL_MONGODB_MESSAGES, selector,
	                          projection, &found, err);
	if (!result && !mongodb_get_document(found, "turing.body", &view))
		result = error_set(err, ERR_NOT_FOUND, "no body");
	if (!result) {
		body->size = (size_t)mongodb_get_int(&view, "size");
		*file = mongodb_get_id(&view, "file");
		if (id_is_none(file))
			result = copy_bytes(found, body, err);
	}
	bson_destroy(found);
	bson_destroy(selector);
	bson_destroy(projection);
	return result;
}

static int fill(struct spool_mongodb *spool, const struct id *id,
                struct spool_body *body, struct error *err)
{
	struct id file = {{0}}, again = {{0}};
	int result = find_body(spool, id, body, &file, err);

	if (result < 0 || id_is_none(&file))
		return result;
	result = fetch_file(spool, &file, body, err);
	if (result != ERR_NOT_FOUND)
		return result;
	/* Dropped between the two looks, or lost: then it is still named. */
	result = find_body(spool, id, body, &again, err);
	if (!result && id_equal(&file, &again))
		result = error_set(err, ERR_CORRUPT,
		                   "the file of a body is missing");
	else if (!result)
		result = error_set(err, ERR_UNAVAILABLE, "the body changed");
	return result;
}

int spool_mongodb_body_open(struct spool *base, const struct id *id,
                            struct spool_body *body, struct error *err)
{
	body->read_error = ERR_UNAVAILABLE;
	return fill((struct spool_mongodb *)base, id, body, err);
}
