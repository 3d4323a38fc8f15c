/* The commands that move and save the spool: what they print, how they exit. */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "local-agent/cli/cli.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define MAXIMUM 65536

static struct spool_fixture fixture;
static char *config_path;
static struct buffer printed, complained;

static void set_up(void)
{
	FILE *file;

	buffer_init(&printed, MAXIMUM);
	buffer_init(&complained, MAXIMUM);
	fixture_open(&fixture);
	config_path = mem_format("%s/agent.conf", fixture.directory);
	file = fopen(config_path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file,
	        "spool { location = \"%s\" }\n"
	        "cloud { url = \"https://cloud.test\", key = \"k\" }\n"
	        "policy { authserv_id = \"mx.test\" }\n",
	        fixture.directory);
	fclose(file);
	ck_assert_int_eq(chmod(config_path, 0600), 0);
}

static void tear_down(void)
{
	buffer_release(&printed);
	buffer_release(&complained);
	free(config_path);
	if (!fixture.spool)
		fixture_reopen(&fixture);
	fixture_close(&fixture);
}

static void stop_agent(void)
{
	spool_close(fixture.spool);
	fixture.spool = NULL;
}

/* Sends what is written to stream to a file; the old descriptor. */
static int redirect(FILE *stream, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int saved = dup(fileno(stream));

	ck_assert_int_ge(fd, 0);
	fflush(stream);
	ck_assert_int_ge(dup2(fd, fileno(stream)), 0);
	(void)close(fd);
	return saved;
}

static void take_back(FILE *stream, int saved, const char *path,
                      struct buffer *text)
{
	struct error err;

	fflush(stream);
	ck_assert_int_ge(dup2(saved, fileno(stream)), 0);
	(void)close(saved);
	buffer_reset(text);
	ck_assert_int_eq(fs_read_file(path, text, &err), 0);
	(void)unlink(path);
}

/* Runs a command line; "%" stands for the spool's directory. */
static int run(const char *line)
{
	char *copy = mem_copy_string(line), *rest = copy, *word;
	char *out_path = mem_format("%s/out", fixture.directory);
	char *err_path = mem_format("%s/err", fixture.directory);
	char *argv[16] = {(char *)(uintptr_t) "turing-agent"}, *made[16];
	int argc = 1, count = 0, status, out, err;

	while ((word = strsep(&rest, " ")))
		argv[argc++] = *word != '%'
		                   ? word
		                   : (made[count++] = mem_format(
		                          "%s%s", fixture.directory, word + 1));
	argv[argc++] = (char *)(uintptr_t) "-c";
	argv[argc++] = config_path;
	out = redirect(stdout, out_path);
	err = redirect(stderr, err_path);
	status = agent_cli_main(argc, argv, stdin, stdout, stderr);
	take_back(stdout, out, out_path, &printed);
	take_back(stderr, err, err_path, &complained);
	while (count > 0)
		free(made[--count]);
	free(copy);
	free(out_path);
	free(err_path);
	return status;
}

static bool has_printed(const char *text)
{
	return strstr(buffer_text(&printed), text) != NULL;
}

static bool has_complained(const char *text)
{
	return strstr(buffer_text(&complained), text) != NULL;
}

START_TEST(the_spool_is_saved_and_put_back)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);

	ck_assert_int_eq(run("backup %/saved"), CLI_OK);
	ck_assert_int_eq(run("backup %/saved"), CLI_FAILURE);
	ck_assert(has_complained("not empty"));
	ck_assert_int_eq(run("restore --check %/saved"), CLI_OK);
	ck_assert(has_printed("messages               1  "));
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DISCARDED), 0);
	ck_assert_int_eq(run("restore %/saved"), CLI_OK);
	ck_assert(has_printed("messages               0           1\n"));
	ck_assert_int_eq(fixture_state(&fixture, id, 0), SPOOL_DISCARDED);
	ck_assert_int_eq(run("store check"), CLI_OK);
	ck_assert(has_printed("messages               1  "));
}
END_TEST

static void change_saved(const char *sql)
{
	char *path = mem_format("%s/saved/spool.db", fixture.directory);
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	free(path);
}

/* Takes the backup back to version 0, which had no tables. */
static void make_saved_old(void)
{
	char *path = mem_format("%s/saved/spool.db", fixture.directory);

	ck_assert_int_eq(truncate(path, 0), 0);
	free(path);
	change_saved("VACUUM; PRAGMA user_version = 0");
}

/* An older backup is brought to today's version, a newer one is refused. */
START_TEST(backups_of_other_versions)
{
	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	ck_assert_int_eq(run("backup %/saved"), CLI_OK);
	change_saved("PRAGMA user_version = 99");
	ck_assert_int_eq(run("restore %/saved"), CLI_FAILURE);
	ck_assert(has_complained("schema version 99"));
	ck_assert_int_eq(run("restore --check %/saved"), CLI_FAILURE);
	ck_assert(has_complained("schema version 99"));
	make_saved_old();
	ck_assert_int_eq(run("restore --check %/saved"), CLI_OK);
	ck_assert(has_printed("messages               0  "));
	make_saved_old();
	ck_assert_int_eq(run("restore %/saved"), CLI_OK);
	ck_assert_int_eq(run("store check"), CLI_OK);
	ck_assert(has_printed("messages               1  "));
}
END_TEST

START_TEST(the_spool_is_copied)
{
	const char *line =
	    "store copy --to-backend sqlite --to-location %/copy";

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	ck_assert_int_eq(run(line), CLI_FAILURE);
	ck_assert(has_complained("stop the agent"));
	stop_agent();
	ck_assert_int_eq(run(line), CLI_OK);
	ck_assert(has_printed("same\n"));
	ck_assert(!has_printed("DIFFERENT"));
	ck_assert(has_complained("copying from SQLite"));
	ck_assert_int_eq(
	    run("store copy --to-backend sqlite --to-location %/."),
	    CLI_FAILURE);
	ck_assert(has_complained("itself"));
}
END_TEST

static const struct {
	const char *line;
	int status;
	const char *complaint;
} wrong_rows[] = {
    {"store", CLI_USAGE, "store --help"},
    {"store dance", CLI_USAGE, "store --help"},
    {"store check more", CLI_USAGE, "store --help"},
    {"store copy", CLI_USAGE, "store --help"},
    {"store copy --to-backend sqlite", CLI_USAGE, "store --help"},
    {"store copy --to-location=mongodb://u:pa55@h/", CLI_USAGE, "--help"},
    {"store copy --wrong=mongodb://u:pa55@h/", CLI_USAGE, "--help"},
    {"store copy mongodb://u:pa55@h/", CLI_USAGE, "store --help"},
    {"store copy --to-backend oracle --to-location %/x", CLI_FAILURE, "oracle"},
    {"store copy --to-backend sqlite --to-location @/no/such", CLI_FAILURE,
     "/no/such"},
    {"backup", CLI_USAGE, "backup --help"},
    {"backup a b", CLI_USAGE, "backup --help"},
    {"restore", CLI_USAGE, "restore --help"},
    {"restore --force %/x", CLI_USAGE, "restore --help"},
    {"restore %/x", CLI_FAILURE, "cannot open the backup"},
    {"restore --check %/x", CLI_FAILURE, "cannot open the backup"},
};

START_TEST(wrong_usage)
{
	int status;

	stop_agent();
	status = run(wrong_rows[_i].line);
	ck_assert_msg(status == wrong_rows[_i].status, "%s: %d, %s",
	              wrong_rows[_i].line, status, buffer_text(&complained));
	ck_assert_msg(has_complained(wrong_rows[_i].complaint), "%s: %s",
	              wrong_rows[_i].line, buffer_text(&complained));
	ck_assert(!has_complained("pa55"));
	ck_assert_uint_eq(printed.length, 0);
}
END_TEST

START_TEST(each_has_its_help)
{
	ck_assert_int_eq(run("store --help"), CLI_OK);
	ck_assert(has_printed("store copy"));
	ck_assert_int_eq(run("backup --help"), CLI_OK);
	ck_assert(has_printed("backup"));
	ck_assert_int_eq(run("restore --help"), CLI_OK);
	ck_assert(has_printed("--check"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent-cli-store");
	TCase *tcase = tcase_create("commands");

	tcase_set_timeout(tcase, 30);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, the_spool_is_saved_and_put_back);
	tcase_add_test(tcase, backups_of_other_versions);
	tcase_add_test(tcase, the_spool_is_copied);
	tcase_add_loop_test(tcase, wrong_usage, 0,
	                    (int)(sizeof(wrong_rows) / sizeof(wrong_rows[0])));
	tcase_add_test(tcase, each_has_its_help);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
