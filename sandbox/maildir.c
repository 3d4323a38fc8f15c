/* Files in Maildirs: written in tmp, synced, renamed into new. */
#include "sandbox/maildir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"

#define FOLDED_MAXIMUM 200

/* Writes the folder's name for an address. */
static void fold(const char *address, char folded[FOLDED_MAXIMUM + 1])
{
	size_t length = 0;

	for (; *address && length < FOLDED_MAXIMUM; address++) {
		unsigned char byte = (unsigned char)*address;
		bool plain = isalnum(byte) || strchr("@+-_=", byte) ||
		             (byte == '.' && length);

		folded[length++] = plain ? (char)tolower(byte) : '_';
	}
	folded[length] = '\0';
}

/* Makes the Maildir's folders where they are missing. */
static int make_folders(const char *maildir, struct error *err)
{
	static const char *const names[] = {"tmp", "new", "cur"};
	int result = 0;

	for (int i = 0; i < 3 && !result; i++) {
		char *path = mem_format("%s/%s", maildir, names[i]);

		if (access(path, W_OK) != 0)
			result = fs_make_directory(path, err);
		free(path);
	}
	return result;
}

static int write_message(int fd, const char *sender, const char *recipient,
                         const char *bytes, size_t size, struct error *err)
{
	char *trace = mem_format("Return-Path: <%s>\r\nDelivered-To: %s\r\n",
	                         sender, recipient);
	int result = fs_write_all(fd, trace, strlen(trace), err);

	free(trace);
	if (!result)
		result = fs_write_all(fd, bytes, size, err);
	if (!result && fsync(fd) != 0)
		result = error_set_errno(err, ERR_IO, errno, "fsync");
	return result;
}

/* Moves the file into new and syncs that folder. */
static int publish(const char *from, const char *to, const char *folder,
                   struct error *err)
{
	if (rename(from, to) != 0)
		return error_set_errno(err, ERR_IO, errno, "%s", to);
	return fs_sync_directory(folder, err);
}

/* Writes the message to one name below the Maildir. */
static int store(const char *maildir, const char *name, const char *sender,
                 const char *recipient, const char *bytes, size_t size,
                 struct error *err)
{
	char *from = mem_format("%s/tmp/%s", maildir, name);
	char *folder = mem_format("%s/new", maildir);
	char *to = mem_format("%s/%s", folder, name);
	int fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int result;

	if (fd < 0) {
		result = error_set_errno(err, ERR_IO, errno, "%s", from);
	} else {
		result = write_message(fd, sender, recipient, bytes, size, err);
		(void)close(fd);
		if (!result)
			result = publish(from, to, folder, err);
		if (result)
			(void)unlink(from);
	}
	free(from);
	free(folder);
	free(to);
	return result;
}

int maildir_deliver(const char *root, const char *sender, const char *recipient,
                    const char *bytes, size_t size, struct error *err)
{
	static _Atomic unsigned counter;
	char folded[FOLDED_MAXIMUM + 1];
	char *maildir, *name;
	int result;

	fold(recipient, folded);
	maildir = mem_format("%s/%s", root, folded);
	/* Milliseconds first, so that names sort by arrival. */
	name = mem_format("%lld.%ld_%08u.sandbox", (long long)clock_wall_ms(),
	                  (long)getpid(), atomic_fetch_add(&counter, 1));
	result = make_folders(maildir, err);
	if (!result)
		result =
		    store(maildir, name, sender, recipient, bytes, size, err);
	free(maildir);
	free(name);
	return result;
}
