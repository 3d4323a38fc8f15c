/* Tests of the sandbox mail server and its Maildirs. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/mem.h"
#include "sandbox/maildir.h"
#include "sandbox/sandbox.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

static char root[] = "/tmp/test-sandbox-XXXXXX";

static void make_root(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
	(void)remove_tree(root);
}

/* Reads the only file in a folder; how many there are is returned. */
static int read_folder(const char *folder, struct buffer *content)
{
	char *path = mem_format("%s/%s", root, folder);
	DIR *directory = opendir(path);
	struct dirent *entry;
	struct error err;
	int count = 0;

	while (directory && (entry = readdir(directory))) {
		char *file;

		if (entry->d_name[0] == '.')
			continue;
		count++;
		file = mem_format("%s/%s", path, entry->d_name);
		buffer_reset(content);
		ck_assert_int_eq(fs_read_file(file, content, &err), 0);
		ck_assert_int_eq(unlink(file), 0);
		free(file);
	}
	if (directory)
		(void)closedir(directory);
	free(path);
	return count;
}

struct name_row {
	const char *recipient, *folder;
};

static const struct name_row name_rows[] = {
    {"a@b", "a@b"},
    {"A.b+C@Example.ORG", "a.b+c@example.org"},
    {"../../etc@x", "_._.._etc@x"},
    {"\"a/b\"@x", "_a_b_@x"},
    {".hidden@x", "_hidden@x"},
    {"postmaster", "postmaster"},
};

START_TEST(folds_names)
{
	const struct name_row *row = &name_rows[_i];
	char *folder = mem_format("%s/new", row->folder);
	struct buffer content;
	struct error err = {0};
	char *expected = mem_format(
	    "Return-Path: <>\r\nDelivered-To: %s\r\nhi\r\n", row->recipient);

	make_root();
	buffer_init(&content, 1000);
	ck_assert_msg(
	    maildir_deliver(root, "", row->recipient, "hi\r\n", 4, &err) == 0,
	    "%s", err.text);
	ck_assert_int_eq(read_folder(folder, &content), 1);
	ck_assert_str_eq(buffer_text(&content), expected);
	buffer_release(&content);
	free(expected);
	free(folder);
	remove_root();
}
END_TEST

START_TEST(tells_a_failure)
{
	struct error err = {0};

	ck_assert_int_lt(maildir_deliver("/proc/none", "", "a@b", "", 0, &err),
	                 0);
	ck_assert_str_ne(err.text, "");
}
END_TEST

/* Says all at once and reads all that comes. */
static void converse(uint16_t port, const char *text, struct buffer *replies)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char bytes[1000];
	ssize_t got;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(send(fd, text, strlen(text), 0),
	                 (ssize_t)strlen(text));
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		ck_assert_int_eq(buffer_append(replies, bytes, (size_t)got), 0);
	(void)close(fd);
}

START_TEST(stores_for_every_recipient)
{
	struct sandbox_options options = {
	    .address = "127.0.0.1", .maildir = root, .quiet = true};
	struct sandbox *sandbox = NULL;
	struct buffer content;
	struct error err = {0};

	make_root();
	buffer_init(&content, 10000);
	ck_assert_msg(sandbox_start(&sandbox, &options, &err) == 0, "%s",
	              err.text);
	converse(sandbox_port(sandbox),
	         "EHLO me\r\nMAIL FROM:<s@x>\r\nRCPT TO:<one@y>\r\n"
	         "RCPT TO:<two@z>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"
	         "QUIT\r\n",
	         &content);
	ck_assert_ptr_nonnull(strstr(buffer_text(&content), "250 2.0.0 "));
	sandbox_stop(sandbox);
	ck_assert_int_eq(read_folder("one@y/new", &content), 1);
	ck_assert_str_eq(buffer_text(&content),
	                 "Return-Path: <s@x>\r\nDelivered-To: one@y\r\n"
	                 "Subject: x\r\n\r\n.dot\r\n");
	ck_assert_int_eq(read_folder("two@z/new", &content), 1);
	ck_assert_int_eq(read_folder("two@z/tmp", &content), 0);
	buffer_release(&content);
	remove_root();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, folds_names, 0,
	                    sizeof(name_rows) / sizeof(name_rows[0]));
	tcase_add_test(tests, tells_a_failure);
	tcase_add_test(tests, stores_for_every_recipient);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
