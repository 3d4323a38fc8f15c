/* The command line of turing-cloud: what it prints and how it exits. */
#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/auth.h"
#include "cloud-service/challenge/end.h"
#include "cloud-service/cli/cli.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"
#include "tests/unit/store/registry-schemas.h"

static struct cloud_fixture fixture;
static char config_path[96];
static char *printed, *complained;

static void set_up(void)
{
	FILE *file;

	cloud_fixture_open(&fixture, NULL);
	snprintf(config_path, sizeof(config_path), "%s/cloud.conf",
	         fixture.directory);
	file = fopen(config_path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file,
	        "store { location = \"%s/registry\" }\n"
	        "challenge { from = \"c@cloud.test\" }\n",
	        fixture.directory);
	fclose(file);
}

static void tear_down(void)
{
	free(printed);
	free(complained);
	printed = complained = NULL;
	cloud_fixture_close(&fixture);
}

/* Runs a command line, words separated by spaces. */
static int run(const char *line, const char *input)
{
	char *copy = mem_copy_string(line), *rest = copy, *word;
	char *argv[32] = {(char *)(uintptr_t) "turing-cloud",
	                  (char *)(uintptr_t) "-c", config_path};
	FILE *in = fmemopen((void *)(uintptr_t)input, strlen(input), "r");
	FILE *out, *error;
	size_t out_size, error_size;
	int argc = 3, status;

	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	free(printed);
	free(complained);
	out = open_memstream(&printed, &out_size);
	error = open_memstream(&complained, &error_size);
	status = cloud_cli_main(argc, argv, in, out, error);
	fclose(out);
	fclose(error);
	fclose(in);
	free(copy);
	return status;
}

START_TEST(accounts)
{
	struct api_caller caller;
	struct error err = {0};
	char *header;

	ck_assert_int_eq(run("tenant add beta --language en", " "), CLI_OK);
	ck_assert_int_eq(run("tenant add beta", " "), CLI_FAILURE);
	ck_assert_int_eq(run("tenant list", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "acme\t"));
	ck_assert_ptr_nonnull(strstr(printed, "beta\ten\t"));
	ck_assert_int_eq(run("domain add beta Beta.TEST", " "), CLI_OK);
	ck_assert_int_eq(run("domain add acme beta.test", " "), CLI_FAILURE);
	ck_assert_int_eq(run("domain list beta", " "), CLI_OK);
	ck_assert_str_eq(printed, "beta.test\n");
	ck_assert_int_eq(run("agent add beta mx1", " "), CLI_OK);
	ck_assert_uint_eq(strlen(printed), API_KEY_SIZE);
	header = mem_format("Bearer %.55s", printed);
	ck_assert_int_eq(
	    api_check_key(fixture.cloud.registry, NULL, header, &caller, &err),
	    0);
	ck_assert_str_eq(caller.agent, "mx1");
	free(header);
	ck_assert_int_eq(run("agent list beta", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "mx1\ttk_"));
	ck_assert_int_eq(run("agent revoke beta tk_nothing", " "), CLI_FAILURE);
	ck_assert_int_eq(run("audit beta", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "tenant-add"));
	ck_assert_ptr_nonnull(strstr(printed, "agent-add"));
}
END_TEST

/* What strangers are shown of a tenant. */
START_TEST(tenants_are_shown)
{
	ck_assert_int_eq(run("tenant add gamma --display-name Gamma "
	                     "--time-zone Europe/Paris",
	                     " "),
	                 CLI_OK);
	ck_assert_int_eq(run("tenant show gamma", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "language\tfr\n"
	                                      "display-name\tGamma\n"
	                                      "time-zone\tEurope/Paris\n"
	                                      "from-name\t\n"));
	ck_assert_int_eq(
	    run("tenant set gamma --from-name Desk --language en", " "),
	    CLI_OK);
	ck_assert_int_eq(run("tenant show gamma", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "language\ten\n"
	                                      "display-name\tGamma\n"
	                                      "time-zone\tEurope/Paris\n"
	                                      "from-name\tDesk\n"));
	ck_assert_int_eq(run("audit gamma", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "tenant-set"));
}
END_TEST

START_TEST(users)
{
	const char *add = "user add acme Admin@Acme.test --role admin";

	ck_assert_int_eq(run(add, "short\n"), CLI_USAGE);
	ck_assert_int_eq(run(add, "long enough for one\n"), CLI_OK);
	ck_assert_int_eq(run(add, "long enough for one\n"), CLI_FAILURE);
	ck_assert_int_eq(run("user show admin@acme.test", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "admin@acme.test\tadmin\t"));
	ck_assert_ptr_null(strstr(printed, "$argon2"));
}
END_TEST

static struct id hold(const char *sender)
{
	struct registry_message message =
	    cloud_fixture_message(&fixture.tenant, sender, "bob@acme.test");
	struct id id = message.id;
	struct error err = {0};
	int result;

	free(message.subject);
	message.subject = mem_copy_string("two\nlines\x1b[2J");
	ck_assert_int_eq(registry_message_add(fixture.cloud.registry, &message,
	                                      1, &result, &err),
	                 0);
	registry_message_release(&message);
	return id;
}

static int count_lines(const char *text)
{
	int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

START_TEST(entries_decide_held_mail)
{
	struct id friend = hold("friend@example.org");
	struct id foe = hold("foe@example.com");
	struct id other = hold("other@example.net");
	char id[ID_TEXT_SIZE];
	char *line;

	ck_assert_int_eq(
	    run("entry add acme white address Friend@example.org", " "),
	    CLI_OK);
	snprintf(id, sizeof(id), "%.36s", printed);
	ck_assert_ptr_nonnull(strstr(complained, "1 released, 0 discarded"));
	ck_assert_int_eq(run("entry add acme black subdomains example.com "
	                     "--mailbox bob@acme.test --note no",
	                     " "),
	                 CLI_OK);
	ck_assert_ptr_nonnull(strstr(complained, "0 released, 1 discarded"));
	ck_assert_int_eq(
	    cloud_fixture_state(&fixture, &fixture.tenant, &friend),
	    REGISTRY_RELEASED);
	ck_assert_int_eq(cloud_fixture_state(&fixture, &fixture.tenant, &foe),
	                 REGISTRY_DISCARDED);
	ck_assert_int_eq(cloud_fixture_state(&fixture, &fixture.tenant, &other),
	                 REGISTRY_HELD);
	ck_assert_int_eq(run("entry list acme", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "white\taddress\t"
	                                      "friend@example.org\ttenant"));
	ck_assert_ptr_nonnull(strstr(printed, "mailbox=bob@acme.test"));
	line = mem_format("entry remove acme %s", id);
	ck_assert_int_eq(run(line, " "), CLI_OK);
	ck_assert_int_eq(run(line, " "), CLI_FAILURE);
	free(line);
}
END_TEST

START_TEST(messages_are_shown_without_controls)
{
	struct id message = hold("friend@example.org");
	char text[ID_TEXT_SIZE];
	char *line =
	    mem_format("message show acme %s", id_format(&message, text));

	ck_assert_int_eq(run(line, " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "two\\x0alines\\x1b[2J"));
	ck_assert_ptr_nonnull(strstr(printed, "bob@acme.test: held"));
	ck_assert_int_eq(run("message list acme --held", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, text));
	ck_assert_int_eq(run("message list acme --sender x@example.org", " "),
	                 CLI_OK);
	ck_assert_str_eq(printed, "");
	ck_assert_int_eq(run("challenge list --state bounced", " "), CLI_OK);
	free(line);
}
END_TEST

/* Two senders are marked; the challenge of one is kept. */
START_TEST(marks_are_shown_and_cleared)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "gone@example.org", "bob@acme.test");
	struct registry_dead_sender mark = {.hash = {1},
	                                    .marked_ms = clock_wall_ms(),
	                                    .reason = (char *)"old\n"};
	struct registry_challenge challenge;
	struct error err = {0};
	bool ended;
	char text[ID_TEXT_SIZE], *line;

	(void)cloud_fixture_register(&fixture, &message);
	challenge = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	ck_assert_int_eq(challenge_bounced(fixture.cloud.registry, &challenge,
	                                   "550 5.1.1 unknown", true, &ended,
	                                   &err),
	                 0);
	ck_assert_int_eq(
	    registry_sender_mark(fixture.cloud.registry, &mark, &err), 0);
	ck_assert_int_eq(run("sender list", " "), CLI_OK);
	ck_assert_ptr_nonnull(
	    strstr(printed, "\tgone@example.org\t550 5.1.1 unknown\n"));
	ck_assert_ptr_nonnull(strstr(printed, "\t-\told\\x0a\n"));
	ck_assert_str_eq(complained, "");
	ck_assert_int_eq(run("sender list --limit 1", " "), CLI_OK);
	ck_assert_str_eq(complained, "more: --limit N\n");
	line = mem_format("message show acme %s", id_format(&message.id, text));
	ck_assert_int_eq(run(line, " "), CLI_OK);
	ck_assert_ptr_nonnull(
	    strstr(printed, "ended because    550 5.1.1 unknown\n"));
	ck_assert_int_eq(run("challenge list --state bounced", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "\tended: 550 5.1.1 unknown\n"));

	ck_assert_int_eq(run("sender show Gone@Example.org", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "is marked as dead since 20"));
	ck_assert_int_eq(run("sender clear Gone@Example.org", " "), CLI_OK);
	ck_assert_int_eq(run("sender show gone@example.org", " "), CLI_OK);
	ck_assert_str_eq(printed, "gone@example.org is not marked\n");
	ck_assert_int_eq(run("sender clear gone@example.org", " "),
	                 CLI_FAILURE);
	ck_assert_int_eq(run("sender show nobody", " "), CLI_USAGE);
	registry_challenge_release(&challenge);
	registry_message_release(&message);
	free(line);
}
END_TEST

/* Runs "COMMAND FOLDER/NAME" with the fixture's folder. */
static int run_at(const char *command, const char *name)
{
	char *line = mem_format("%s %s/%s", command, fixture.directory, name);
	int status = run(line, " ");

	free(line);
	return status;
}

START_TEST(the_registry_is_saved_and_put_back)
{
	(void)hold("friend@example.org");
	ck_assert_int_eq(run_at("backup", "saved"), CLI_OK);
	ck_assert_int_eq(run_at("backup", "saved"), CLI_FAILURE);
	ck_assert_ptr_nonnull(strstr(complained, "not empty"));
	ck_assert_int_eq(run_at("restore --check", "saved"), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "messages               1  "));
	ck_assert_int_eq(run_at("restore", "saved"), CLI_OK);
	ck_assert_ptr_nonnull(
	    strstr(printed, "messages               0           1\n"));
	ck_assert_int_eq(run_at("restore", "registry"), CLI_USAGE);
}
END_TEST

static void make_saved(const char *name, const char *sql)
{
	char *place = mem_format("%s/%s", fixture.directory, name);
	char *path = mem_format("%s/registry.db", place);
	sqlite3 *db = NULL;

	ck_assert_int_eq(fs_make_directory(place, NULL), 0);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	free(path);
	free(place);
}

/* An older backup is brought to today's version, a newer one is refused. */
START_TEST(backups_of_other_versions)
{
	static const char *const old =
	    SCHEMA_1 "INSERT INTO tenant VALUES"
	             " (x'00000000000000000000000000000001', 'older', 'fr', 5,"
	             " 0, 0); INSERT INTO dead_sender VALUES (zeroblob(32), 5)";

	make_saved("old", old);
	ck_assert_int_eq(run_at("restore --check", "old"), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "tenants                1  "));
	make_saved("older", old);
	ck_assert_int_eq(run_at("restore", "older"), CLI_OK);
	ck_assert_ptr_nonnull(
	    strstr(printed, "dead-senders           1           0\n"));
	ck_assert_int_eq(run("tenant list", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "older\tfr\t"));
	ck_assert_int_eq(run_at("backup", "saved"), CLI_OK);
	make_saved("saved", "PRAGMA user_version = 99");
	ck_assert_int_eq(run_at("restore", "saved"), CLI_FAILURE);
	ck_assert_ptr_nonnull(strstr(complained, "schema version 99"));
	ck_assert_int_eq(run_at("restore --check", "saved"), CLI_FAILURE);
	ck_assert_ptr_nonnull(strstr(complained, "schema version 99"));
	ck_assert_int_eq(run("store check", " "), CLI_OK);
}
END_TEST

START_TEST(the_registry_is_copied)
{
	(void)hold("friend@example.org");
	ck_assert_int_eq(
	    run_at("store copy --to-backend sqlite --to-location", "copy"),
	    CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "same\n"));
	ck_assert_ptr_null(strstr(printed, "DIFFERENT"));
	ck_assert_ptr_nonnull(strstr(complained, "messages: 1\n"));
	ck_assert_int_eq(
	    run_at("store copy --to-backend sqlite --to-location", "registry"),
	    CLI_FAILURE);
	ck_assert_ptr_nonnull(strstr(complained, "registry itself"));
	ck_assert_int_eq(run("store check", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "tenants                1  "));
}
END_TEST

static const struct {
	const char *line;
	int status;
	const char *complaint;
} wrong_rows[] = {
    {"", CLI_USAGE, "Usage"},
    {"dance", CLI_USAGE, "dance"},
    {"tenant", CLI_USAGE, "tenant"},
    {"tenant dance", CLI_USAGE, "tenant"},
    {"tenant add", CLI_USAGE, "missing NAME\nusage: tenant add NAME"},
    {"tenant add a b", CLI_USAGE, "tenant add takes no \"b\""},
    {"tenant set acme --quota-messages -1", CLI_USAGE, "--quota-messages"},
    {"tenant set acme --quota-bytes 1k", CLI_USAGE, "--quota-bytes"},
    {"domain add", CLI_USAGE, "missing TENANT\n"},
    {"domain add acme", CLI_USAGE, "missing DOMAIN\n"},
    {"user add acme --role admin", CLI_USAGE, "missing LOGIN\n"},
    {"user show", CLI_USAGE, "missing LOGIN\n"},
    {"message show acme", CLI_USAGE, "missing ID\n"},
    {"entry add acme", CLI_USAGE, "missing white|black\n"},
    {"entry add acme white", CLI_USAGE, "missing KIND\n"},
    {"entry add acme white address", CLI_USAGE, "missing VALUE\n"},
    {"audit", CLI_USAGE, "missing TENANT\n"},
    {"check-config now", CLI_USAGE, "check-config takes no \"now\""},
    /* Options of other commands. */
    {"tenant list --held", CLI_USAGE, "tenant list takes no --held"},
    {"tenant list --role x", CLI_USAGE, "takes no --role"},
    {"domain list acme --limit 3", CLI_USAGE, "takes no --limit"},
    {"domain list acme --demand-pass", CLI_USAGE, "takes no --demand-pass"},
    {"entry remove acme x --demand pass", CLI_USAGE, "takes no --demand"},
    {"user show x --language fr", CLI_USAGE, "takes no --language"},
    {"run --check", CLI_USAGE, "run takes no --check"},
    {"backup --check /x", CLI_USAGE, "backup takes no --check"},
    {"challenge list --after x", CLI_USAGE, "takes no --after"},
    {"message list acme --after x", CLI_USAGE, "--after"},
    {"audit acme --after x", CLI_USAGE, "--after"},
    /* An entry that could never count. */
    {"entry add acme white address a@b.test --expires 2020-01-01T00:00:00Z",
     CLI_USAGE, "2020-01-01T00:00:00Z is past"},
    {"entry add acme white address a@b.test --mailbox b@other.test", CLI_USAGE,
     "--mailbox: other.test is no domain of acme"},
    {"entry add acme white address a@b.test --mailbox b@sub.acme.test",
     CLI_USAGE, "sub.acme.test is no domain of acme"},
    {"entry add acme white address a@b.test --domain other.test", CLI_USAGE,
     "--domain: other.test is no domain of acme"},
    {"entry add acme white address a@b.test --mailbox b", CLI_USAGE,
     "--mailbox: not a mail address"},
    {"entry add acme white address a@b.test --domain b@acme.test", CLI_USAGE,
     "--domain: not a domain"},
    {"tenant add Ab_c", CLI_FAILURE, ""},
    {"tenant add x --language de", CLI_USAGE, "fr or en"},
    {"tenant add x --language", CLI_USAGE, "value"},
    {"tenant add x --time-zone Europe/Atlantis", CLI_USAGE, "Atlantis"},
    {"tenant add x --time-zone ../../etc/passwd", CLI_USAGE, "time zone"},
    {"tenant set acme", CLI_USAGE, "--display-name"},
    {"tenant set acme --language de", CLI_USAGE, "fr or en"},
    {"tenant set acme --display-name a\x01z", CLI_FAILURE, "display_name"},
    {"tenant set nobody --language fr", CLI_FAILURE, "no tenant"},
    {"tenant show nobody", CLI_FAILURE, "no tenant"},
    {"tenant list --nonsense", CLI_USAGE, "--nonsense"},
    {"domain list nobody", CLI_FAILURE, "nobody"},
    {"domain add acme not..a..domain", CLI_USAGE, "domain"},
    {"domain remove acme other.test", CLI_FAILURE, "other.test"},
    {"agent add acme Name/With", CLI_USAGE, "agent"},
    {"user add acme x@acme.test", CLI_USAGE, "--role"},
    {"user add acme x@acme.test --role king", CLI_USAGE, "--role"},
    {"user show nobody@acme.test", CLI_FAILURE, "nobody"},
    {"entry add acme grey address a@b.test", CLI_USAGE, "grey"},
    {"entry add acme white colour a@b.test", CLI_USAGE, "colour"},
    {"entry add acme white address nothing", CLI_USAGE, "value"},
    {"entry add acme white network 1.2.3.4/99", CLI_USAGE, "value"},
    {"entry add acme white address a@b.test --expires soon", CLI_USAGE,
     "--expires"},
    {"entry remove acme 7", CLI_USAGE, "7"},
    {"message show acme 7", CLI_USAGE, "7"},
    {"message show acme 01a1fd5f-b472-7000-982a-000000000001", CLI_FAILURE,
     "no message"},
    {"message list acme --limit 0", CLI_USAGE, "--limit"},
    {"challenge list --state lost", CLI_USAGE, "--state"},
    {"store", CLI_USAGE, "store"},
    {"store copy", CLI_USAGE, "--to-location"},
    {"store copy --to-backend sqlite", CLI_USAGE, "--to-location"},
    {"store copy --to-location=mongodb://u:pa55@h/", CLI_USAGE,
     "missing --to-backend\n"},
    {"store copy --to-backend oracle --to-location /x", CLI_FAILURE, "oracle"},
    {"store copy --to-backend sqlite --to-location -", CLI_FAILURE, "empty"},
    {"backup", CLI_USAGE, "DIRECTORY"},
    {"restore", CLI_USAGE, "DIRECTORY"},
    {"restore /no/such", CLI_FAILURE, "no backup"},
    {"restore --check /no/such", CLI_FAILURE, "no backup"},
};

START_TEST(wrong_usage)
{
	int status = run(wrong_rows[_i].line, " ");

	ck_assert_msg(status == wrong_rows[_i].status, "%s: %d, %s",
	              wrong_rows[_i].line, status, complained);
	ck_assert_msg(strstr(complained, wrong_rows[_i].complaint) != NULL,
	              "%s: %s", wrong_rows[_i].line, complained);
	ck_assert_str_eq(printed, "");
}
END_TEST

/* Words of another case and names of one's own are taken. */
START_TEST(entries_of_a_mailbox)
{
	ck_assert_int_eq(run("entry add acme white address a@b.test"
	                     " --mailbox BOB@Acme.TEST",
	                     " "),
	                 CLI_OK);
	ck_assert_int_eq(run("entry add acme white address a@b.test"
	                     " --domain ACME.test --demand-pass"
	                     " --expires 2999-01-01T00:00:00Z",
	                     " "),
	                 CLI_OK);
}
END_TEST

/* A list that is cut says so beside the records, and how to go on. */
START_TEST(lists_that_are_cut)
{
	char *line, *more;
	int i;

	for (i = 0; i < 4; i++)
		(void)hold("person@example.org");
	ck_assert_int_eq(run("message list acme --limit 4", " "), CLI_OK);
	ck_assert_str_eq(complained, "");
	ck_assert_int_eq(run("message list acme --limit 3", " "), CLI_OK);
	ck_assert_int_eq(count_lines(printed), 3);
	more = strstr(complained, "more: --after ");
	ck_assert_ptr_nonnull(more);
	line = mem_format("message list acme --limit 3 %.*s",
	                  (int)strcspn(more + 6, "\n"), more + 6);
	ck_assert_int_eq(run(line, " "), CLI_OK);
	ck_assert_int_eq(count_lines(printed), 1);
	ck_assert_str_eq(complained, "");
	free(line);
	ck_assert_int_eq(run("domain add acme d1.test", " "), CLI_OK);
	ck_assert_int_eq(run("domain add acme d2.test", " "), CLI_OK);
	ck_assert_int_eq(run("audit acme --limit 2", " "), CLI_OK);
	ck_assert_str_eq(complained, "");
	ck_assert_int_eq(run("audit acme --limit 1", " "), CLI_OK);
	more = strstr(complained, "more: --after ");
	ck_assert_ptr_nonnull(more);
	line = mem_format("audit acme %.*s", (int)strcspn(more + 6, "\n"),
	                  more + 6);
	ck_assert_int_eq(run(line, " "), CLI_OK);
	ck_assert_int_eq(count_lines(printed), 1);
	free(line);
}
END_TEST

START_TEST(quotas)
{
	(void)hold("person@example.org");
	ck_assert_int_eq(run("tenant show acme", " "), CLI_OK);
	ck_assert_ptr_nonnull(
	    strstr(printed, "held-messages\t1 of 1000000 (as configured)\n"));
	ck_assert_ptr_nonnull(strstr(printed, " of any number\n"));
	ck_assert_int_eq(run("tenant set acme --quota-messages 7"
	                     " --quota-bytes 5000000000",
	                     " "),
	                 CLI_OK);
	ck_assert_int_eq(run("tenant show acme", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "held-messages\t1 of 7\n"));
	ck_assert_ptr_nonnull(strstr(printed, " of 5000000000\n"));
}
END_TEST

START_TEST(help_and_checks)
{
	ck_assert_int_eq(run("version", " "), CLI_OK);
	ck_assert_int_eq(run("version --help", " "), CLI_OK);
	ck_assert_int_eq(run("help", " "), CLI_OK);
	ck_assert_int_eq(run("help entry", " "), CLI_OK);
	ck_assert_ptr_null(strstr(printed, "agent revoke"));
	ck_assert_int_eq(run("-h", " "), CLI_OK);
	ck_assert_int_eq(run("--help", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "agent revoke"));
	ck_assert_int_eq(run("entry --help", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "entry remove"));
	ck_assert_ptr_null(strstr(printed, "agent revoke"));
	ck_assert_int_eq(run("check-config", " "), CLI_OK);
	ck_assert_ptr_nonnull(strstr(printed, "challenge.from"));
	ck_assert_int_eq(run("check-registry", " "), CLI_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-cli");
	TCase *tcase = tcase_create("commands");

	tcase_set_timeout(tcase, 30);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, accounts);
	tcase_add_test(tcase, tenants_are_shown);
	tcase_add_test(tcase, users);
	tcase_add_test(tcase, entries_decide_held_mail);
	tcase_add_test(tcase, messages_are_shown_without_controls);
	tcase_add_test(tcase, marks_are_shown_and_cleared);
	tcase_add_test(tcase, the_registry_is_saved_and_put_back);
	tcase_add_test(tcase, backups_of_other_versions);
	tcase_add_test(tcase, the_registry_is_copied);
	tcase_add_loop_test(tcase, wrong_usage, 0,
	                    (int)(sizeof(wrong_rows) / sizeof(wrong_rows[0])));
	tcase_add_test(tcase, entries_of_a_mailbox);
	tcase_add_test(tcase, quotas);
	tcase_add_test(tcase, lists_that_are_cut);
	tcase_add_test(tcase, help_and_checks);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
