/* A message on its way in, to memory or to a file. */
#include "local-agent/intake/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/id.h"
#include "common/mail/address.h"
#include "common/mem.h"

#define FIRST_BODY_BYTES ((size_t)8192)
#define FILE_BLOCK       ((size_t)65536)

struct letter *letter_new(const char *sender, const char *directory,
                          size_t memory_maximum, int64_t expected)
{
	struct letter *letter = mem_alloc(sizeof(*letter));
	size_t start = expected > 0 ? (size_t)expected + 64 : FIRST_BODY_BYTES;

	letter->file = -1;
	letter->directory = directory;
	letter->memory_maximum = memory_maximum;
	letter->message.sender = mem_copy_string(sender);
	letter->message.sender_normal = mem_copy_string("");
	mail_header_init(&letter->header);
	mail_parts_init(&letter->parts);
	/* Room for the piece that goes over either limit of keep(). */
	buffer_init(&letter->body,
	            FILE_BLOCK + (memory_maximum > FILE_BLOCK ? memory_maximum
	                                                      : FILE_BLOCK));
	(void)buffer_reserve(&letter->body,
	                     start < memory_maximum ? start : FIRST_BODY_BYTES);
	return letter;
}

void letter_drop_file(struct letter *letter)
{
	if (letter->file >= 0)
		(void)close(letter->file);
	letter->file = -1;
	if (letter->path)
		(void)unlink(letter->path);
	free(letter->path);
	letter->path = NULL;
}

void letter_free(struct letter *letter)
{
	if (!letter)
		return;
	letter_drop_file(letter);
	mail_header_release(&letter->header);
	buffer_release(&letter->body);
	spool_message_release(&letter->message);
	free(letter);
}

static bool has_recipient(const struct letter *letter, const char *address)
{
	size_t i;

	for (i = 0; i < letter->message.recipient_count; i++)
		if (strcmp(letter->message.recipients[i].address, address) == 0)
			return true;
	return false;
}

void letter_add_recipient(struct letter *letter, const char *address)
{
	struct spool_message *message = &letter->message;
	struct spool_recipient *recipient;

	if (has_recipient(letter, address))
		return;
	message->recipients =
	    mem_grow(message->recipients, message->recipient_count,
	             &letter->recipient_capacity, sizeof(*recipient));
	recipient = &message->recipients[message->recipient_count++];
	recipient->address = mem_copy_string(address);
	recipient->state = SPOOL_HELD;
}

/* Keeps the first failure; what follows is then read and thrown away. */
static void fail(struct letter *letter, int code)
{
	if (!letter->failure)
		letter->failure = code;
	buffer_reset(&letter->body);
}

static void open_file(struct letter *letter)
{
	char name[ID_TEXT_SIZE];
	struct id id = id_new();

	letter->path =
	    mem_format("%s/%s", letter->directory, id_format(&id, name));
	letter->file =
	    open(letter->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (letter->file < 0)
		fail(letter,
		     errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO);
}

static void write_out(struct letter *letter)
{
	int result;

	if (!letter->path)
		open_file(letter);
	if (letter->failure)
		return;
	result = fs_write_all(letter->file, letter->body.data,
	                      letter->body.length, NULL);
	if (result)
		fail(letter, result);
	buffer_reset(&letter->body);
}

static void keep(struct letter *letter, const char *bytes, size_t size)
{
	size_t limit = letter->path ? FILE_BLOCK : letter->memory_maximum;

	if (buffer_append(&letter->body, bytes, size)) {
		fail(letter, ERR_IO);
		return;
	}
	letter->message.size += (int64_t)size;
	if (letter->body.length > limit)
		write_out(letter);
}

void letter_add_body(struct letter *letter, const char *bytes, size_t size)
{
	if (!letter->header.complete)
		mail_header_feed(&letter->header, bytes, size);
	mail_parts_feed(&letter->parts, bytes, size);
	while (size > 0 && !letter->failure) {
		size_t piece = size < FILE_BLOCK ? size : FILE_BLOCK;

		keep(letter, bytes, piece);
		bytes += piece;
		size -= piece;
	}
}

void letter_complete(struct letter *letter)
{
	mail_header_parse(&letter->header);
	if (letter->path && !letter->failure && letter->body.length > 0)
		write_out(letter);
	if (letter->file >= 0 && close(letter->file) != 0)
		fail(letter, ERR_IO);
	letter->file = -1;
}
