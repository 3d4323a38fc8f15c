/* Takes a command line apart, finds its command, and prints the help. */
#include "common/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli/usage.h"
#include "common/text.h"

#define HELP_COLUMNS 79

static void say(struct cli *cli, const char *format, va_list list)
{
	(void)fprintf(cli->error, "%s: ", cli->program->name);
	(void)vfprintf(cli->error, format, list);
}

void cli_warn(struct cli *cli, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(cli, format, list);
	va_end(list);
	(void)fputc('\n', cli->error);
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	const char *first = cli->command ? cli->command->first : NULL;
	va_list list;

	va_start(list, format);
	say(cli, format, list);
	va_end(list);
	(void)fprintf(cli->error, "\nTry '%s %s%s--help'.\n",
	              cli->program->name, first ? first : "", first ? " " : "");
	return CLI_USAGE;
}

static int status_of(int code)
{
	switch (code) {
	case ERR_UNAVAILABLE:
	case ERR_UNCERTAIN:
	case ERR_TIMEOUT:
	case ERR_FULL:
		return CLI_TEMPORARY;
	default:
		return CLI_FAILURE;
	}
}

int cli_fail(struct cli *cli, const struct error *err)
{
	cli_warn(cli, "%s", *err->text ? err->text : error_name(err->code));
	return status_of(err->code);
}

int cli_fail_at(struct cli *cli, const char *what, const struct error *err)
{
	cli_warn(cli, "%s: %s", what,
	         *err->text ? err->text : error_name(err->code));
	return status_of(err->code);
}

int cli_refuse(struct cli *cli, int code, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(cli, format, list);
	va_end(list);
	(void)fputc('\n', cli->error);
	return status_of(code);
}

/* --- options -------------------------------------------------------------- */

char *cli_next(const struct cli *cli, const char *name, int *at)
{
	size_t length = strlen(name);

	while (*at < cli->given_count) {
		const struct cli_given *given = &cli->given[(*at)++];

		if (strncmp(given->name, name, length) == 0 &&
		    (!given->name[length] || given->name[length] == '='))
			return given->value ? given->value : given->name;
	}
	return NULL;
}

char *cli_option(const struct cli *cli, const char *name)
{
	char *value, *last = NULL;
	int at = 0;

	while ((value = cli_next(cli, name, &at)))
		last = value;
	return last;
}

bool cli_has(const struct cli *cli, const char *name)
{
	return cli_option(cli, name) != NULL;
}

/* --- help ----------------------------------------------------------------- */

/* Calls each for every command, or those whose first word it is. */
static int each_command(const struct cli_program *program, const char *first,
                        void (*each)(const struct cli_command *command,
                                     FILE *out),
                        FILE *out)
{
	int count = 0;

	for (size_t i = 0; i < program->table_count; i++)
		for (const struct cli_command *command = program->tables[i];
		     command->first; command++)
			if (!first || strcmp(first, command->first) == 0) {
				each(command, out);
				count++;
			}
	return count;
}

/* Prints text word by word, in lines of HELP_COLUMNS behind indent spaces; the
 * first line goes on at column. Ends the line. */
static void print_wrapped(const char *text, int column, int indent, FILE *out)
{
	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column > indent && column + 1 + length > HELP_COLUMNS) {
			(void)fprintf(out, "\n%*s", indent, "");
			column = indent;
		}
		column += fprintf(out, "%s%.*s", column > indent ? " " : "",
		                  length, text);
		text += length;
		text += strspn(text, " ");
	}
	(void)fputc('\n', out);
}

static void print_command(const struct cli_command *command, FILE *out)
{
	int column =
	    fprintf(out, "  %s%s%s", command->first, command->second ? " " : "",
	            command->second ? command->second : "");

	print_wrapped(command->usage, column, 4, out);
	(void)fprintf(out, "%*s", 6, "");
	print_wrapped(command->help, 6, 6, out);
}

static void print_second(const struct cli_command *command, FILE *out)
{
	(void)fprintf(out, " %s", command->second);
}

static void print_nothing(const struct cli_command *command, FILE *out)
{
	(void)command;
	(void)out;
}

static bool is_first(const struct cli_program *program, const char *first)
{
	return each_command(program, first, print_nothing, NULL) > 0;
}

static void print_help(const struct cli_program *program, const char *first,
                       FILE *out)
{
	const struct cli_notes *notes = program->notes;

	(void)fprintf(out, "Usage: %s [-c FILE] COMMAND ...\n\n",
	              program->name);
	(void)each_command(program, first, print_command, out);
	for (; first && notes && notes->first; notes++)
		if (strcmp(first, notes->first) == 0)
			(void)fprintf(out, "\n%s", notes->text);
	(void)fprintf(out,
	              "\n-c FILE    the configuration (%s)\n"
	              "--help     this text; after a command, that command's\n"
	              "--version  the version\n"
	              "Exit status: 0 done, 1 failed, 2 wrong usage, 75 try "
	              "again later.\n",
	              program->config_path);
}

/* Help for a word that may be a command's: an exit status. */
static int help(struct cli *cli, const char *first)
{
	bool known = first && is_first(cli->program, first);

	if (first && !known && strcmp(first, "version") != 0)
		return cli_usage(cli, "unknown command \"%.*s\"",
		                 text_shown_length(first), first);
	print_help(cli->program, known ? first : NULL, cli->out);
	return CLI_OK;
}

/* --- the command line ----------------------------------------------------- */

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/*
 * Takes "-c FILE" or "--config FILE" out of the arguments, wherever it stands
 * before a "--": 0, or CLI_USAGE when the file is missing.
 */
static int take_config_path(struct cli *cli, int *argc, char **argv)
{
	bool only_words = false;
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		only_words = only_words || strcmp(argv[i], "--") == 0;
		if (only_words || (strcmp(argv[i], "-c") != 0 &&
		                   strcmp(argv[i], "--config") != 0)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (++i == *argc)
			return cli_usage(cli, "-c: missing FILE");
		cli->config_path = argv[i];
	}
	*argc = kept;
	return 0;
}

static const struct cli_command *find(const struct cli_program *program,
                                      const char *first, const char *second)
{
	for (size_t i = 0; i < program->table_count; i++)
		for (const struct cli_command *command = program->tables[i];
		     command->first; command++)
			if (strcmp(command->first, first) == 0 &&
			    (!command->second ||
			     (second && strcmp(command->second, second) == 0)))
				return command;
	return NULL;
}

/* Finds the command that argv begins with; NULL after it was told why not. */
static const struct cli_command *find_command(struct cli *cli, int argc,
                                              char **argv)
{
	const char *second = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
	const struct cli_command *command = find(cli->program, argv[0], second);

	if (command)
		return command;
	if (!is_first(cli->program, argv[0])) {
		(void)cli_usage(cli, "unknown command \"%.*s\"",
		                text_shown_length(argv[0]), argv[0]);
		return NULL;
	}
	if (second)
		cli_warn(cli, "unknown %s command \"%.*s\"", argv[0],
		         text_shown_length(second), second);
	else
		cli_warn(cli, "%s: missing command", argv[0]);
	(void)fputs("one of:", cli->error);
	(void)each_command(cli->program, argv[0], print_second, cli->error);
	(void)fprintf(cli->error, "\nTry '%s %s --help'.\n", cli->program->name,
	              argv[0]);
	return NULL;
}

/* Says that the command takes no such word. */
static int refuse_word(struct cli *cli, const char *word)
{
	const struct cli_command *command = cli->command;
	const char *quote = word[0] == '-' ? "" : "\"";

	/* Not what stands behind "=": it may be a secret. */
	return cli_usage(cli, "%s%s%s takes no %s%.*s%s", command->first,
	                 command->second ? " " : "",
	                 command->second ? command->second : "", quote,
	                 text_shown_length(word), word, quote);
}

/* Takes the option at argv[*at]; 0 or CLI_USAGE. */
static int take_option(struct cli *cli, int argc, char **argv, int *at)
{
	char *name = argv[*at];
	char *behind = strchr(name, '=');
	struct cli_given *given = &cli->given[cli->given_count];
	struct usage_item item;

	if (!usage_find(cli->command->usage, name, &item) ||
	    (behind && !item.value))
		return refuse_word(cli, name);
	if (cli->given_count == CLI_MAXIMUM_OPTIONS)
		return cli_usage(cli, "too many options");
	*given = (struct cli_given){.name = name};
	if (item.value && behind)
		given->value = behind + 1;
	else if (item.value && *at + 1 < argc)
		given->value = argv[++*at];
	else if (item.value)
		return cli_usage(cli, "%s needs a value", name);
	cli->given_count++;
	return 0;
}

/* Splits what stands behind the command into words and options. */
static int take_apart(struct cli *cli, int argc, char **argv)
{
	bool only_words = false;
	int status;

	cli->words = argv;
	for (int at = 0; at < argc; at++) {
		if (!only_words && strcmp(argv[at], "--") == 0) {
			only_words = true;
		} else if (!only_words && argv[at][0] == '-' && argv[at][1]) {
			status = take_option(cli, argc, argv, &at);
			if (status)
				return status;
		} else {
			argv[cli->word_count++] = argv[at];
		}
	}
	return 0;
}

static int refuse_missing(struct cli *cli, const struct usage_item *item)
{
	const struct cli_command *command = cli->command;

	cli_warn(cli, "%s%s%s: missing %.*s", command->first,
	         command->second ? " " : "",
	         command->second ? command->second : "", (int)item->length,
	         item->name);
	(void)fprintf(cli->error, "usage: %s%s%s %s\nTry '%s %s --help'.\n",
	              command->first, command->second ? " " : "",
	              command->second ? command->second : "", command->usage,
	              cli->program->name, command->first);
	return CLI_USAGE;
}

/* Whether all that is needed is there, and no more words: 0 or CLI_USAGE. */
static int check_usage(struct cli *cli)
{
	struct usage_walk walk = {.at = cli->command->usage};
	struct usage_item item;
	int words = 0;
	bool several = false;
	char name[64];

	while (usage_next(&walk, &item)) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)item.length,
		               item.name);
		if (item.option && !item.optional && !cli_has(cli, name))
			return refuse_missing(cli, &item);
		if (item.option)
			continue;
		if (!item.optional && words == cli->word_count)
			return refuse_missing(cli, &item);
		words++;
		several = several || item.several;
	}
	if (cli->word_count > words && !several)
		return refuse_word(cli, cli->words[words]);
	return 0;
}

static bool has_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* What stands behind the program's name: an exit status. */
static int run_words(struct cli *cli, int argc, char **argv)
{
	int own, status;

	if (strcmp(argv[0], "help") == 0)
		return help(cli, argc > 1 ? argv[1] : NULL);
	if (has_help(argc, argv))
		return help(cli, is_help(argv[0]) ? NULL : argv[0]);
	if (strcmp(argv[0], "version") == 0 ||
	    strcmp(argv[0], "--version") == 0) {
		(void)fprintf(cli->out, "%s " TURING_VERSION "\n",
		              cli->program->name);
		return CLI_OK;
	}
	cli->command = find_command(cli, argc, argv);
	if (!cli->command)
		return CLI_USAGE;
	own = cli->command->second ? 2 : 1;
	status = take_apart(cli, argc - own, argv + own);
	if (!status)
		status = check_usage(cli);
	return status ? status : cli->program->run(cli);
}

int cli_run(const struct cli_program *program, int argc, char **argv, FILE *in,
            FILE *out, FILE *error)
{
	struct cli cli = {.program = program,
	                  .in = in,
	                  .out = out,
	                  .error = error,
	                  .config_path = program->config_path};
	int status = take_config_path(&cli, &argc, argv);

	if (status)
		return status;
	if (argc < 2) {
		(void)cli_usage(&cli, "missing COMMAND");
		print_help(program, NULL, error);
		return CLI_USAGE;
	}
	status = run_words(&cli, argc - 1, argv + 1);
	if (fflush(out) && status == CLI_OK)
		status = CLI_FAILURE;
	return status;
}
