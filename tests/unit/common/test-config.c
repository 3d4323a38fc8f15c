/* The configuration: what is read, what is refused, and where. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config.h"
#include "tests/support/suite.h"

struct settings {
	char *name, *key, *note;
	int64_t threads, wait_ms, size, tls;
	bool up;
	struct config_list from;
};

static const char *const tls_words[] = {"no", "required", NULL};

#define AT(field) .offset = offsetof(struct settings, field)

static const struct config_field fields[] = {
    {.name = "name",
     .type = CONFIG_STRING,
     AT(name),
     .standard = "agent",
     .help = "Its name."},
    {.name = "cloud.key",
     .type = CONFIG_STRING,
     AT(key),
     .secret = true,
     .help = "The key."},
    {.name = "cloud.note", .type = CONFIG_STRING, AT(note), .help = "A note."},
    {.name = "smtp.threads",
     .type = CONFIG_INTEGER,
     AT(threads),
     .standard = "2",
     .minimum = 1,
     .maximum = 64,
     .help = "Threads."},
    {.name = "smtp.wait",
     .type = CONFIG_DURATION_MS,
     AT(wait_ms),
     .standard = "5min",
     .minimum = 0,
     .maximum = 86400000,
     .help = "The wait."},
    {.name = "smtp.size",
     .type = CONFIG_BYTES,
     AT(size),
     .standard = "50M",
     .help = "The size."},
    {.name = "smtp.tls.mode",
     .type = CONFIG_CHOICE,
     AT(tls),
     .standard = "no",
     .choices = tls_words,
     .help = "Whether."},
    {.name = "smtp.up",
     .type = CONFIG_BOOLEAN,
     AT(up),
     .standard = "no",
     .help = "Up."},
    {.name = "smtp.from",
     .type = CONFIG_LIST,
     AT(from),
     .standard = "[\"127.0.0.1\", \"::1\"]",
     .help = "From."},
    {.name = NULL}};

static int load(const char *text, struct settings *settings, struct error *err)
{
	memset(settings, 0, sizeof(*settings));
	return config_load_text("f.conf", text, fields, settings, err);
}

START_TEST(test_defaults)
{
	struct settings settings;
	struct error err;

	ck_assert_msg(!load("", &settings, &err), "%s", err.text);
	ck_assert_str_eq(settings.name, "agent");
	ck_assert_ptr_null(settings.key);
	ck_assert_int_eq(settings.threads, 2);
	ck_assert_int_eq(settings.wait_ms, 300000);
	ck_assert_int_eq(settings.size, 52428800);
	ck_assert_int_eq(settings.tls, 0);
	ck_assert(!settings.up);
	ck_assert_uint_eq(settings.from.count, 2);
	ck_assert_str_eq(settings.from.items[1], "::1");
	config_release(fields, &settings);
	ck_assert_ptr_null(settings.name);
	ck_assert_uint_eq(settings.from.count, 0);
	config_release(fields, &settings);
}
END_TEST

/* The same settings in every way to write them. */
static const char *const ways[] = {
    "name = x\nsmtp {\n\tthreads = 4\n\twait = 30s\n\tup = yes\n}\n",
    "name x; smtp { threads 4; wait 30s; up on; }",
    "name: x, smtp: {threads: 4, wait: \"30s\", up: true}",
    "{\"name\": \"x\", \"smtp\": {\"threads\": 4, \"wait\": \"30000ms\",\n"
    "\"up\": true}}\n",
    "\xef\xbb\xbfname = 'x' # a name\nsmtp.threads = 4\nsmtp.wait = 30s\n"
    "smtp.up = yes",
    "# c\n/* a /* b */ c */ name = x\r\nsmtp\r\n{\r\nthreads=4\r\nwait=30s\r\n"
    "up=yes\r\n}\r\n",
    "smtp { threads = 4 }\nsmtp { wait = 30s; up = yes }\nname = \"x\"",
    "smtp { threads = 4 } smtp { wait = 30s; up = yes } name = x",
    "name = \"\\u0078\"; smtp { threads = 4 /* c */; wait = 30s # d\nup = yes}",
};

START_TEST(test_ways)
{
	struct settings settings;
	struct error err = {0};
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ck_assert_msg(!load(ways[i], &settings, &err), "%s\n%s",
		              ways[i], err.text);
		ck_assert_str_eq(settings.name, "x");
		ck_assert_int_eq(settings.threads, 4);
		ck_assert_int_eq(settings.wait_ms, 30000);
		ck_assert(settings.up);
		config_release(fields, &settings);
	}
}
END_TEST

/* A value as it stands in the file, and what it is. */
START_TEST(test_strings)
{
	static const char *const rows[][2] = {
	    {"a b  ", "a b"},
	    {"https://a.example:80/b?c=d", "https://a.example:80/b?c=d"},
	    {"[::1]:25", NULL},
	    {"\"[::1]:25\"", "[::1]:25"},
	    {"\"a # b; c } d\"", "a # b; c } d"},
	    {"a # b", "a"},
	    {"'a\\n\"b'", "a\\n\"b"},
	    {"'it\\'s'", "it's"},
	    {"\"a\\\"b\\\\c\\/d\\te\"", "a\"b\\c/d\te"},
	    {"\"\\u00e9\\u20ac\"", "\xc3\xa9\xe2\x82\xac"},
	    {"\"\"", ""},
	    {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
	    {"${HOME}", NULL},
	    {"\"${HOME}\"", "${HOME}"},
	    {"$HOME", "$HOME"},
	    {"12", "12"},
	};
	struct settings settings;
	struct error err = {0};
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result;

		(void)snprintf(text, sizeof(text), "name = %s\n", rows[i][0]);
		result = load(text, &settings, &err);
		ck_assert_msg((result == 0) == (rows[i][1] != NULL), "%s: %s",
		              text, err.text);
		if (result)
			continue;
		ck_assert_str_eq(settings.name, rows[i][1]);
		config_release(fields, &settings);
	}
}
END_TEST

START_TEST(test_numbers)
{
	static const struct {
		const char *text;
		int64_t wait_ms, size;
	} rows[] = {
	    {"smtp { wait = 500ms; size = 4096 }", 500, 4096},
	    {"smtp { wait = 0; size = 0 }", 0, 0},
	    {"smtp { wait = 0s; size = 100k }", 0, 102400},
	    {"smtp { wait = 2min; size = 25M }", 120000, 26214400},
	    {"smtp { wait = 4h; size = 3g }", 14400000, 3221225472},
	    {"smtp { wait = 1d; size = 3G }", 86400000, 3221225472},
	};
	struct settings settings;
	struct error err = {0};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(!load(rows[i].text, &settings, &err), "%s",
		              err.text);
		ck_assert_int_eq(settings.wait_ms, rows[i].wait_ms);
		ck_assert_int_eq(settings.size, rows[i].size);
		config_release(fields, &settings);
	}
}
END_TEST

START_TEST(test_lists)
{
	static const struct {
		const char *text;
		size_t count;
		const char *last;
	} rows[] = {
	    {"smtp.from = []", 0, NULL},
	    {"smtp.from = [a]", 1, "a"},
	    {"smtp.from = [a, \"b, c\",\n'd' # e\n]", 3, "d"},
	    {"smtp.from = [a, b,]", 2, "b"},
	    {"smtp.from = a", 1, "a"},
	};
	struct settings settings;
	struct error err = {0};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(!load(rows[i].text, &settings, &err), "%s",
		              err.text);
		ck_assert_uint_eq(settings.from.count, rows[i].count);
		if (rows[i].last)
			ck_assert_str_eq(settings.from.items[rows[i].count - 1],
			                 rows[i].last);
		config_release(fields, &settings);
	}
}
END_TEST

/* What is refused, and how its error begins. */
static const char *const refused[][2] = {
    {"nmae = x", "f.conf:1: nmae: unknown key"},
    {"\n\nsmtp {\n\n  thread = 1\n}", "f.conf:5: smtp.thread: unknown key"},
    {"smpt {\n}", "f.conf:1: smpt: unknown section"},
    {"smtp { tls { x = 1 } }", "f.conf:1: smtp.tls.x: unknown key"},
    {"name { x = 1 }", "f.conf:1: name: takes a value, not a section"},
    {"name = a\n\nname = b", "f.conf:3: name: given twice, first in line 1"},
    {"smtp.up = yes\nsmtp { up = yes }", "f.conf:2: smtp.up: given twice"},
    {"name = [a, b]", "f.conf:1: name: takes one value, not a list"},
    {"smtp = 5", "f.conf:1: smtp: unknown key"},
    {"smtp.threads = 0", "f.conf:1: smtp.threads: 0 is out of bounds"},
    {"smtp.threads = 65", "f.conf:1: smtp.threads: 65 is out of bounds"},
    {"smtp.threads = -1", "f.conf:1: smtp.threads: -1 is out of bounds"},
    {"smtp.threads = two", "f.conf:1: smtp.threads: \"two\" is not a whole"},
    {"smtp.threads = 2.5", "f.conf:1: smtp.threads: "},
    {"smtp.threads = 0x2", "f.conf:1: smtp.threads: "},
    {"smtp.threads = 2k", "f.conf:1: smtp.threads: "},
    {"smtp.threads = \"2\"", "f.conf:1: smtp.threads: "},
    {"smtp.threads = 99999999999999999999", "f.conf:1: smtp.threads: "},
    {"smtp.wait = 30", "f.conf:1: smtp.wait: \"30\" is not a duration"},
    {"smtp.wait = 2d", "f.conf:1: smtp.wait: 2d is out of bounds"},
    {"smtp.wait = -1s", "f.conf:1: smtp.wait: -1s is out of bounds"},
    {"smtp.wait = 1 h", "f.conf:1: smtp.wait: "},
    {"smtp.wait = 9223372036854775807d", "f.conf:1: smtp.wait: "},
    {"smtp.size = 1T", "f.conf:1: smtp.size: \"1T\" is not a size"},
    {"smtp.size = 9223372036854775807k", "f.conf:1: smtp.size: "},
    {"smtp.tls.mode = maybe",
     "f.conf:1: smtp.tls.mode: \"maybe\" is none of no, required"},
    {"smtp.up = 1", "f.conf:1: smtp.up: \"1\" is neither yes nor no"},
    {"smtp.up = \"yes\"", "f.conf:1: smtp.up: "},
    {"smtp.up", "f.conf:1: smtp.up: a value is missing"},
    {"\nsmtp.up =\nname = x", "f.conf:2: smtp.up: a value is missing"},
    {"name =", "f.conf:1: name: a value is missing"},
    {"name = ;", "f.conf:1: name: a value is missing"},
    {"= x", "f.conf:1: a key is missing"},
    {"smtp {\nup = yes\n", "f.conf:1: the section has no end"},
    {"smtp { up = yes }}", "f.conf:1: "},
    {"{ name = x } y", "f.conf:1: text after the last }"},
    {"smtp.from = [a", "f.conf:1: the list has no end"},
    {"smtp.from = [a b", "f.conf:1: "},
    {"smtp.from = [[a]]", "f.conf:1: a list holds single values only"},
    {"smtp.from = [,]", "f.conf:1: a value is missing"},
    {"smtp.from = [\"a\" \"b\"]", "f.conf:1: a comma or ] is missing"},
    {"name = \"a", "f.conf:1: the quote has no end on its line"},
    {"name = \"a\nb\"", "f.conf:1: the quote has no end on its line"},
    {"name = \"\\q\"", "f.conf:1: no such escape"},
    {"name = \"\\u12\"", "f.conf:1: \\u takes four hex digits"},
    {"name = \"\\u0000\"", "f.conf:1: \\u names no character"},
    {"name = \"\\ud800\"", "f.conf:1: \\u names no character"},
    {"name = \"a\\", "f.conf:1: "},
    {"name = \"a\" b", "f.conf:1: text after the value"},
    {"name = a\"b\"", "f.conf:1: a value that contains quotes"},
    {"name = a#b", "f.conf:1: a value that contains # is written in quotes"},
    {"name = <<EOD\na\nEOD", "f.conf:1: << is not supported"},
    {"\n/* a\n/* b */", "f.conf:2: the comment has no end"},
    {".include \"/etc/passwd\"", "f.conf:1: macros such as .include"},
    {"smtp { .include x }", "f.conf:1: macros such as .include"},
    {"a{a{a{a{a{a{a{a{a{a{a{a{", "f.conf:1: sections are nested too deep"},
};

START_TEST(test_refused)
{
	struct settings settings, zero;
	struct error err;
	size_t i;

	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *begins = refused[i][1];

		ck_assert_msg(load(refused[i][0], &settings, &err) ==
		                  ERR_INVALID,
		              "%s", refused[i][0]);
		ck_assert_msg(!strncmp(err.text, begins, strlen(begins)),
		              "%s\n-- %s", refused[i][0], err.text);
		ck_assert_mem_eq(&settings, &zero, sizeof(zero));
	}
}
END_TEST

START_TEST(test_long_texts)
{
	static char text[300000];
	struct settings settings;
	struct error err;

	memset(text, 'a', sizeof(text) - 1);
	ck_assert_int_eq(load(text, &settings, &err), ERR_INVALID);
	memcpy(text, "name = ", 7);
	ck_assert_int_eq(load(text, &settings, &err), ERR_INVALID);
	memcpy(text, "name = \"", 8);
	ck_assert_int_eq(load(text, &settings, &err), ERR_INVALID);
	memset(text, '[', sizeof(text) - 1);
	ck_assert_int_eq(load(text, &settings, &err), ERR_INVALID);
	memset(text, '{', sizeof(text) - 1);
	ck_assert_int_eq(load(text, &settings, &err), ERR_INVALID);
	memset(text, '\n', sizeof(text) - 1);
	ck_assert_int_eq(load(text, &settings, &err), 0);
	config_release(fields, &settings);
}
END_TEST

/* No secret is repeated, whatever is wrong with it. */
START_TEST(test_secrets)
{
	static const char *const texts[] = {
	    "cloud.key = [hush, b]",   "cloud.key = \"hush",
	    "cloud.key = hush#b",      "cloud.key = \"hush\" x",
	    "cloud.key = hush\nx = 1", "cloud { key = hush; key = hush }",
	};
	struct settings settings;
	struct error err;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(load(texts[i], &settings, &err), ERR_INVALID);
		ck_assert_msg(!strstr(err.text, "hush"), "%s", err.text);
	}
}
END_TEST

START_TEST(test_required)
{
	static const struct config_field needs[] = {{.name = "spool.location",
	                                             .type = CONFIG_STRING,
	                                             AT(name),
	                                             .required = true,
	                                             .help = ""},
	                                            {.name = NULL}};
	struct settings settings = {0};
	struct error err;

	ck_assert_int_eq(config_load_text("f", "\n\n", needs, &settings, &err),
	                 ERR_INVALID);
	ck_assert_str_eq(err.text, "f:3: spool.location: is required and "
	                           "missing");
	ck_assert_int_eq(
	    config_load_text("f", "spool{location=/a}", needs, &settings, &err),
	    0);
	ck_assert_str_eq(settings.name, "/a");
	config_release(needs, &settings);
}
END_TEST

START_TEST(test_wrong_default)
{
	static const struct config_field wrong[] = {{.name = "n",
	                                             .type = CONFIG_INTEGER,
	                                             AT(threads),
	                                             .standard = "9",
	                                             .minimum = 1,
	                                             .maximum = 5},
	                                            {.name = NULL}};
	struct settings settings = {0};
	struct error err;

	ck_assert_int_eq(config_load_text("f", "", wrong, &settings, &err),
	                 ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "the default of n is wrong"));
}
END_TEST

static char *print(const struct settings *settings)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (settings)
		config_print(fields, settings, NULL, out);
	else
		config_print_reference(fields, out);
	(void)fclose(out);
	return text;
}

/* What is printed reads back as the same, secrets apart. */
START_TEST(test_print)
{
	struct settings settings;
	struct error err = {0};
	char *text, *again;

	ck_assert_int_eq(load("name = \"a\\\"b\\\\c\\n\"; cloud.key = hush\n"
	                      "smtp { wait = 90s; size = 1536k; up = yes\n"
	                      "from = [\"a, b\"]; tls.mode = required }",
	                      &settings, &err),
	                 0);
	text = print(&settings);
	config_release(fields, &settings);
	ck_assert_str_eq(text, "name = \"a\\\"b\\\\c\\u000a\"\n"
	                       "cloud.key = \"***\"\n"
	                       "# cloud.note is not set\n"
	                       "smtp.threads = 2\n"
	                       "smtp.wait = 90s\n"
	                       "smtp.size = 1536k\n"
	                       "smtp.tls.mode = required\n"
	                       "smtp.up = yes\n"
	                       "smtp.from = [\"a, b\"]\n");
	ck_assert_msg(!load(text, &settings, &err), "%s", err.text);
	again = print(&settings);
	ck_assert_str_eq(text, again);
	config_release(fields, &settings);
	free(again);
	free(text);
}
END_TEST

START_TEST(test_reference)
{
	char *text = print(NULL);

	ck_assert_ptr_nonnull(
	    strstr(text, "smtp.threads (whole number, 1 to 64, default 2)\n"
	                 "\tThreads.\n"));
	ck_assert_ptr_nonnull(strstr(text, "smtp.wait (duration, 0 to 1d, "
	                                   "default 5min)\n"));
	ck_assert_ptr_nonnull(strstr(text, "smtp.tls.mode (no|required"));
	free(text);
}
END_TEST

START_TEST(test_files)
{
	char path[] = "/tmp/turing-test-XXXXXX";
	int fd = mkstemp(path);
	struct settings settings = {0};
	struct error err;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "name = x\nnope = 1\n", 18), 18);
	ck_assert_int_eq(config_load(path, fields, &settings, &err),
	                 ERR_INVALID);
	ck_assert(!strncmp(err.text, path, strlen(path)));
	ck_assert_ptr_nonnull(strstr(err.text, ":2: nope: unknown key"));
	ck_assert_int_eq(ftruncate(fd, 9), 0);
	ck_assert_int_eq(config_load(path, fields, &settings, &err), 0);
	ck_assert_str_eq(settings.name, "x");
	config_release(fields, &settings);
	ck_assert_int_eq(ftruncate(fd, 20), 0); /* NULs */
	ck_assert_int_eq(config_load(path, fields, &settings, &err),
	                 ERR_INVALID);
	ck_assert_int_eq(ftruncate(fd, 2 << 20), 0);
	ck_assert_int_eq(config_load(path, fields, &settings, &err), ERR_IO);
	(void)close(fd);
	(void)unlink(path);
	ck_assert_int_eq(config_load(path, fields, &settings, &err), ERR_IO);
	ck_assert_int_eq(err.code, ERR_IO);
	ck_assert_int_eq(config_load("/tmp", fields, &settings, NULL), ERR_IO);
}
END_TEST

struct kept {
	char *key, *place;
};

static const struct config_field kept_fields[] = {
    {.name = "key",
     .type = CONFIG_STRING,
     .offset = offsetof(struct kept, key),
     .secret = true},
    {.name = "place",
     .type = CONFIG_STRING,
     .offset = offsetof(struct kept, place),
     .secret = true,
     .location = true},
    {.name = NULL},
};

static const struct {
	const char *line;
	bool secret;
} kept_rows[] = {
    {"key = \"x\"\n", true},
    {"key = \"/x\"\n", true}, /* as base64 may begin */
    {"key = \"a://b\"\n", true},
    {"key = \"\"\n", false},
    {"place = \"/var/lib/x\"\n", false},
    {"place = \"mongodb://db.test/x\"\n", false},
    {"place = \"mongodb://u:p@db.test/x\"\n", true},
};

/* A secret is not printed, nor taken from a file that everybody can read. */
START_TEST(test_what_is_secret)
{
	char path[] = "/tmp/turing-test-XXXXXX", *text = NULL;
	const char *line = kept_rows[_i].line;
	bool secret = kept_rows[_i].secret;
	struct kept kept = {0};
	struct error err = {0};
	size_t size = 0;
	int fd = mkstemp(path);
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	ck_assert_int_eq(config_load(path, kept_fields, &kept, &err), 0);
	config_print(kept_fields, &kept, NULL, out);
	(void)fclose(out);
	config_release(kept_fields, &kept);
	ck_assert_int_eq(strstr(text, "= \"***\"\n") != NULL, secret);
	ck_assert_int_eq(strstr(text, line) != NULL, !secret);
	free(text);
	ck_assert_int_eq(fchmod(fd, 0644), 0);
	ck_assert_int_eq(config_load(path, kept_fields, &kept, &err),
	                 secret ? ERR_INVALID : 0);
	if (!secret)
		config_release(kept_fields, &kept);
	(void)close(fd);
	(void)unlink(path);
}
END_TEST

START_TEST(test_endpoints)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} rows[] = {
	    {"127.0.0.1:10025", "127.0.0.1", 10025},
	    {"[::1]:25", "::1", 25},
	    {"mx.example.org:65535", "mx.example.org", 65535},
	    {"a_b-c:1", "a_b-c", 1},
	};
	static const char *const wrong[] = {
	    "",
	    "a",
	    "a:",
	    ":25",
	    "a:0",
	    "a:65536",
	    "a:-1",
	    "a:+1",
	    "a: 1",
	    "a:1x",
	    "a:99999999999999999",
	    "::1:25",
	    "[::1]",
	    "[::1]25",
	    "[]:25",
	    "[:25",
	    "[a]:25",
	    "a]:25",
	    "a b:25",
	    "a/b:25",
	    "[::1%lo]:25",
	    "a:b:25",
	    "\xc3\xa9:25",
	};
	struct error err;
	uint16_t port;
	char *host;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(
		    config_parse_endpoint(rows[i].text, &host, &port, &err), 0);
		ck_assert_str_eq(host, rows[i].host);
		ck_assert_uint_eq(port, rows[i].port);
		free(host);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(config_parse_endpoint(wrong[i], &host, &port,
		                                    &err) == ERR_INVALID,
		              "%s", wrong[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_defaults);
	tcase_add_test(cases, test_ways);
	tcase_add_test(cases, test_strings);
	tcase_add_test(cases, test_numbers);
	tcase_add_test(cases, test_lists);
	tcase_add_test(cases, test_refused);
	tcase_add_test(cases, test_long_texts);
	tcase_add_test(cases, test_secrets);
	tcase_add_loop_test(cases, test_what_is_secret, 0,
	                    (int)(sizeof(kept_rows) / sizeof(kept_rows[0])));
	tcase_add_test(cases, test_required);
	tcase_add_test(cases, test_wrong_default);
	tcase_add_test(cases, test_print);
	tcase_add_test(cases, test_reference);
	tcase_add_test(cases, test_files);
	tcase_add_test(cases, test_endpoints);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
