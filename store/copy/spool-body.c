/* A message's hash, and its body on the way from one spool to another. */
#include "store/copy/spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/fs.h"

#define PIECE_SIZE 65536
/* Bodies up to this size are carried in memory. */
#define IN_MEMORY_MAXIMUM (1 << 20)

/* --- the hash ----------------------------------------------------------- */

/* Names the message: discarding it lets a copy go on. */
static int body_failed(const struct id *id, long result, struct error *err)
{
	char text[ID_TEXT_SIZE];

	return error_set(err, (enum error_code)result,
	                 "the body of message %s cannot be read: %s",
	                 id_format(id, text), error_name((int)result));
}

static int hash_body(struct spool *spool, const struct id *id,
                     struct copy_hash *hash, struct error *err)
{
	struct crypto_sha256_stream stream;
	uint8_t sum[CRYPTO_HASH_SIZE];
	struct spool_body *body = NULL;
	char *piece = malloc(PIECE_SIZE);
	int64_t size = 0;
	long got = 0;
	int result;

	if (!piece)
		return error_set(err, ERR_MEMORY, "out of memory");
	crypto_sha256_begin(&stream);
	result = spool_body_open(spool, id, &body, err);
	while (!result &&
	       (got = spool_body_read(body, piece, PIECE_SIZE)) > 0) {
		crypto_sha256_add(&stream, piece, (size_t)got);
		size += got;
	}
	spool_body_close(body);
	free(piece);
	if (result < 0 || got < 0)
		result = body_failed(id, got < 0 ? got : result, err);
	crypto_sha256_end(&stream, sum);
	copy_hash_int(hash, size);
	copy_hash_bytes(hash, sum, sizeof(sum));
	return result;
}

static void hash_recipient(struct copy_hash *hash,
                           const struct spool_recipient *recipient)
{
	bool waits = recipient->state == SPOOL_QUEUED ||
	             recipient->state == SPOOL_DEFERRED;

	copy_hash_text(hash, recipient->address);
	copy_hash_int(hash, (int64_t)recipient->state);
	copy_hash_int(hash, recipient->changed_ms);
	copy_hash_text(hash, recipient->by);
	copy_hash_text(hash, recipient->why);
	copy_hash_text(hash, recipient->history);
	copy_hash_int(hash, recipient->attempts);
	copy_hash_int(hash, waits ? recipient->next_attempt_ms : 0);
	copy_hash_text(hash, recipient->reply);
	copy_hash_int(hash, recipient->event_pending);
	copy_hash_text(hash, recipient->next_hop);
	copy_hash_int(hash, recipient->keep_until_ms);
	copy_hash_int(hash, (int64_t)recipient->dsn);
	copy_hash_id(hash, &recipient->dsn_id);
}

static void hash_head(struct copy_hash *hash,
                      const struct spool_message *message)
{
	copy_hash_id(hash, &message->id);
	copy_hash_int(hash, message->received_ms);
	copy_hash_int(hash, message->expires_ms);
	copy_hash_int(hash, message->size);
	copy_hash_int(hash, message->eight_bit);
	copy_hash_int(hash, message->smtputf8);
	copy_hash_int(hash, message->registered);
	copy_hash_int(hash, message->registration_attempts);
	copy_hash_int(hash, message->registration_retry_ms);
	copy_hash_text(hash, message->registration_refusal);
	copy_hash_text(hash, message->sender);
	copy_hash_text(hash, message->sender_normal);
	copy_hash_text(hash, message->header_from);
	copy_hash_text(hash, message->subject);
	copy_hash_text(hash, message->message_id);
	copy_hash_text(hash, message->client_address);
	copy_hash_text(hash, message->client_name);
	copy_hash_text(hash, message->helo);
	copy_hash_text(hash, message->protocol);
	copy_hash_text(hash, message->challenge_reason);
	copy_hash_auth(hash, &message->auth);
	copy_hash_text(hash, message->auth_notice);
	copy_hash_id(hash, &message->dsn_of);
}

int copy_spool_hash(struct spool *spool, const struct spool_message *message,
                    uint8_t hash[CRYPTO_HASH_SIZE], struct error *err)
{
	struct copy_hash form;
	int result = 0;

	copy_hash_begin(&form, "message");
	hash_head(&form, message);
	copy_hash_int(&form, (int64_t)message->recipient_count);
	for (size_t i = 0; i < message->recipient_count; i++)
		hash_recipient(&form, &message->recipients[i]);
	copy_hash_int(&form, message->body_present);
	if (message->body_present)
		result = hash_body(spool, &message->id, &form, err);
	copy_hash_end(&form, hash);
	return result;
}

/* --- on the way --------------------------------------------------------- */

static int wrong_size(const struct spool_message *message, struct error *err)
{
	char id[ID_TEXT_SIZE];

	return error_set(err, ERR_CORRUPT,
	                 "the body of message %s is not %lld bytes long",
	                 id_format(&message->id, id), (long long)message->size);
}

/* Room for one byte more than there should be, to see that it is not there. */
static int read_to_heap(struct spool_body *body,
                        const struct spool_message *message, char **bytes,
                        struct error *err)
{
	size_t room = (size_t)message->size + 1, size = 0;
	char *read = malloc(room);
	long got = 0;

	if (!read)
		return error_set(err, ERR_MEMORY, "out of memory");
	while (size < room &&
	       (got = spool_body_read(body, read + size, room - size)) > 0)
		size += (size_t)got;
	if (got >= 0 && size == room - 1) {
		*bytes = read;
		return 0;
	}
	free(read);
	return got < 0 ? body_failed(&message->id, got, err)
	               : wrong_size(message, err);
}

static int write_pieces(struct spool_body *body, int fd,
                        const struct spool_message *message, struct error *err)
{
	char *piece = malloc(PIECE_SIZE);
	int64_t size = 0;
	int result = 0;
	long got = 0;

	if (!piece)
		return error_set(err, ERR_MEMORY, "out of memory");
	while (!result &&
	       (got = spool_body_read(body, piece, PIECE_SIZE)) > 0) {
		size += got;
		result = fs_write_all(fd, piece, (size_t)got, err);
	}
	free(piece);
	if (!result && got < 0)
		result = body_failed(&message->id, got, err);
	if (!result && size != message->size)
		result = wrong_size(message, err);
	return result;
}

static char *new_path(struct spool *destination, const struct id *id)
{
	char text[ID_TEXT_SIZE];
	uint64_t salt;
	char *path;

	random_bytes(&salt, sizeof(salt));
	return asprintf(&path, "%s/copy-%s.%016llx",
	                spool_incoming_directory(destination),
	                id_format(id, text), (unsigned long long)salt) < 0
	           ? NULL
	           : path;
}

static int read_to_file(struct spool_body *body, struct spool *destination,
                        const struct spool_message *message, char **path,
                        struct error *err)
{
	char *name = new_path(destination, &message->id);
	int result;
	int fd;

	if (!name)
		return error_set(err, ERR_MEMORY, "out of memory");
	fd = fs_open_private(name, O_WRONLY | O_EXCL);
	if (fd < 0) {
		result = error_set_errno(err, ERR_IO, errno, "%s", name);
		free(name);
		return result;
	}
	result = write_pieces(body, fd, message, err);
	(void)close(fd);
	if (result < 0) {
		(void)unlink(name);
		free(name);
		return result;
	}
	*path = name;
	return 0;
}

int copy_spool_body(struct spool *source, struct spool *destination,
                    const struct spool_message *message, char **bytes,
                    char **path, struct error *err)
{
	struct spool_body *body = NULL;
	int result;

	*bytes = *path = NULL;
	result = spool_body_open(source, &message->id, &body, err);
	if (result < 0)
		return body_failed(&message->id, result, err);
	if (message->size <= IN_MEMORY_MAXIMUM)
		result = read_to_heap(body, message, bytes, err);
	else
		result = read_to_file(body, destination, message, path, err);
	spool_body_close(body);
	return result;
}
