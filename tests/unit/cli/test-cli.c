/* Command lines: what a usage text says, what is refused, what is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli/cli.h"
#include "common/cli/usage.h"
#include "common/mem.h"
#include "tests/support/suite.h"

static char *printed, *complained;
static size_t printed_size, complained_size;

/* Prints what the command was given: its words, then its options. */
static int tell(struct cli *cli)
{
	const char *state;
	int at = 0;

	for (int i = 0; i < cli->word_count; i++)
		(void)fprintf(cli->out, "%s,", cli->words[i]);
	while ((state = cli_next(cli, "--state", &at)))
		(void)fprintf(cli->out, " state %s", state);
	if (cli_has(cli, "--json"))
		(void)fputs(" json", cli->out);
	if (cli_option(cli, "--to"))
		(void)fprintf(cli->out, " to %s", cli_option(cli, "--to"));
	return CLI_OK;
}

static int count(struct cli *cli)
{
	int64_t limit = 7;
	struct id after = {{0}};

	if (cli_read_number(cli, "--limit", 1, 99, &limit) ||
	    cli_read_after(cli, &after))
		return CLI_USAGE;
	(void)fprintf(cli->out, "limit %d", (int)limit);
	return CLI_OK;
}

static int refuse(struct cli *cli)
{
	struct error err = {.text = ""};

	if (strcmp(cli->words[0], "plain") == 0)
		return cli_refuse(cli, ERR_INVALID, "no %s", cli->words[0]);
	err.code = ERR_UNAVAILABLE;
	return cli_fail_at(cli, "looking", &err);
}

static const struct cli_command commands[] = {
    {"queue", "list", "[--state S]... [--json | --csv] [--to A]",
     "lists what waits", 0, tell},
    {"queue", "show", "ID...", "shows", 0, tell},
    {"copy", NULL, "FROM [WHERE] --to A|B", "copies", 0, tell},
    {"count", NULL, "[--limit N] [--after ID]", "counts", 0, count},
    {"fail", NULL, "WORD", "fails", 0, refuse},
    {0},
};

static const struct cli_command *const tables[] = {commands};
static const struct cli_notes notes[] = {{"queue", "A note on queues.\n"}, {0}};

static int run_command(struct cli *cli)
{
	return cli->command->run(cli);
}

static const struct cli_program program = {.name = "prog",
                                           .daemon = "daemon",
                                           .config_path = "/etc/prog.conf",
                                           .tables = tables,
                                           .table_count = 1,
                                           .notes = notes,
                                           .run = run_command};

static void forget(void)
{
	free(printed);
	free(complained);
	printed = complained = NULL;
}

static int run(const char *line)
{
	char *copy = mem_copy_string(line), *rest = copy, *word;
	char *argv[32] = {(char *)(uintptr_t) "prog"};
	int argc = 1, status;
	FILE *out, *error;

	forget();
	out = open_memstream(&printed, &printed_size);
	error = open_memstream(&complained, &complained_size);
	while ((word = strsep(&rest, " ")))
		if (*word)
			argv[argc++] = word;
	status = cli_run(&program, argc, argv, stdin, out, error);
	(void)fclose(out);
	(void)fclose(error);
	free(copy);
	return status;
}

static const struct {
	const char *line, *printed;
} right[] = {
    {"queue list", ""},
    {"queue list --state a --json --state=b", " state a state b json"},
    {"queue list --to x --to y", " to y"},
    {"-c file queue list --json", " json"},
    {"queue list --to= --json", " json to "},
    {"queue show a b c", "a,b,c,"},
    {"queue show -- --json -c x", "--json,-c,x,"},
    {"queue show -", "-,"},
    {"copy x --to A", "x, to A"},
    {"copy --to -1 x y -c file", "x,y, to -1"},
    {"count", "limit 7"},
    {"count --limit 99", "limit 99"},
    {"version", "prog " TURING_VERSION "\n"},
};

START_TEST(what_is_right)
{
	ck_assert_int_eq(run(right[_i].line), CLI_OK);
	ck_assert_str_eq(printed, right[_i].printed);
	ck_assert_str_eq(complained, "");
}
END_TEST

static const struct {
	const char *line;
	int status;
	const char *complaint; /* how it begins */
} wrong[] = {
    {"", CLI_USAGE, "prog: missing COMMAND\nTry 'prog --help'.\n"},
    {"dance", CLI_USAGE, "prog: unknown command \"dance\"\nTry"},
    {"help dance", CLI_USAGE, "prog: unknown command \"dance\"\n"},
    {"queue", CLI_USAGE,
     "prog: queue: missing command\none of: list show\nTry 'prog queue "
     "--help'.\n"},
    {"queue dance", CLI_USAGE, "prog: unknown queue command \"dance\"\n"},
    {"queue --json", CLI_USAGE, "prog: queue: missing command\n"},
    {"queue list x", CLI_USAGE, "prog: queue list takes no \"x\"\nTry"},
    {"queue list --pass=secret", CLI_USAGE,
     "prog: queue list takes no --pass\nTry"},
    {"queue list --json=x", CLI_USAGE, "prog: queue list takes no --json\n"},
    {"queue list --state", CLI_USAGE, "prog: --state needs a value\n"},
    {"queue show", CLI_USAGE,
     "prog: queue show: missing ID\nusage: queue show ID...\nTry"},
    {"copy --to A", CLI_USAGE, "prog: copy: missing FROM\n"},
    {"copy x", CLI_USAGE, "prog: copy: missing --to\n"},
    {"copy x y z --to A", CLI_USAGE, "prog: copy takes no \"z\"\n"},
    {"copy x -c", CLI_USAGE, "prog: -c: missing FILE\n"},
    {"count --limit 0", CLI_USAGE, "prog: --limit: a number from 1 to 99\n"},
    {"count --limit 9x", CLI_USAGE, "prog: --limit: "},
    {"count --limit 99999999999999999999", CLI_USAGE, "prog: --limit: "},
    {"count --after x", CLI_USAGE, "prog: --after: \"x\" is no id\n"},
    {"fail plain", CLI_FAILURE, "prog: no plain\n"},
    {"fail away", CLI_TEMPORARY, "prog: looking: unavailable\n"},
    {"queue list --json --json --json --json --json --json --json --json --json"
     " --json --json --json --json --json --json --json --json",
     CLI_USAGE, "prog: too many options\n"},
};

START_TEST(what_is_wrong)
{
	int status = run(wrong[_i].line);

	ck_assert_msg(status == wrong[_i].status, "%s: %d", wrong[_i].line,
	              status);
	ck_assert_msg(strncmp(complained, wrong[_i].complaint,
	                      strlen(wrong[_i].complaint)) == 0,
	              "%s: %s", wrong[_i].line, complained);
	ck_assert_ptr_null(strstr(complained, "secret"));
	ck_assert_str_eq(printed, "");
}
END_TEST

START_TEST(help_is_that_of_the_command)
{
	const char *const all[] = {"--help", "-h", "help", "version --help"};
	const char *const one[] = {"queue --help", "help queue",
	                           "queue list -h --json"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_int_eq(run(all[i]), CLI_OK);
		ck_assert_ptr_nonnull(strstr(printed, "  copy FROM [WHERE]"));
		ck_assert_ptr_nonnull(strstr(printed, "/etc/prog.conf"));
		ck_assert_ptr_null(strstr(printed, "A note"));
	}
	for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
		ck_assert_int_eq(run(one[i]), CLI_OK);
		ck_assert_ptr_null(strstr(printed, "copies"));
		ck_assert_ptr_nonnull(strstr(printed, "A note on queues.\n"));
	}
}
END_TEST

static const struct {
	const char *usage;
	const char *items; /* as the test writes them */
} usages[] = {
    {"", ""},
    {"NAME", "NAME;"},
    {"NAME [--note TEXT]", "NAME; --note=?;"},
    {"A B... [C]", "A; B+; C?;"},
    {"[--held] [--state S]... ID", "--held?; --state=?+; ID;"},
    {"a|b [--domain D | --mailbox M] --role r|s",
     "a|b; --domain=?; --mailbox=?; --role=;"},
    {"[--a x|y | --b] [--c]", "--a=?; --b?; --c?;"},
};

START_TEST(usages_are_read)
{
	struct usage_walk walk = {.at = usages[_i].usage};
	struct usage_item item;
	char text[200] = "";
	size_t length = 0;

	while (usage_next(&walk, &item))
		length += (size_t)snprintf(
		    text + length, sizeof(text) - length, "%s%.*s%s%s%s;",
		    length ? " " : "", (int)item.length, item.name,
		    item.value ? "=" : "", item.optional ? "?" : "",
		    item.several ? "+" : "");
	ck_assert_str_eq(text, usages[_i].items);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tcase = tcase_create("command lines");

	tcase_add_checked_fixture(tcase, NULL, forget);
	tcase_add_loop_test(tcase, what_is_right, 0, ROWS(right));
	tcase_add_loop_test(tcase, what_is_wrong, 0, ROWS(wrong));
	tcase_add_test(tcase, help_is_that_of_the_command);
	tcase_add_loop_test(tcase, usages_are_read, 0, ROWS(usages));
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
