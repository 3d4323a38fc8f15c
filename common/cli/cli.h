/*
 * Command lines: a program is a table of commands, each with a usage text from
 * which its arguments and options are read, so that help, errors and parser
 * never differ.
 */
#ifndef COMMON_CLI_CLI_H
#define COMMON_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "common/id.h"

/* Exit statuses; the last as sysexits(3) has it. */
#define CLI_OK        0
#define CLI_FAILURE   1
#define CLI_USAGE     2
#define CLI_TEMPORARY 75

#define CLI_MAXIMUM_OPTIONS 16

struct cli;

/* One command; a table of them ends with a row whose first is NULL. */
struct cli_command {
	const char *first, *second; /* "tenant", "add"; second may be NULL */
	/*
	 * Arguments and options: "NAME [--language fr|en] [--note TEXT]".
	 * What is not in brackets is needed; an option has a value where a
	 * word follows that is no option; "ID..." and "[--state S]..." may
	 * come several times, "A | B" are no two of one thing.
	 */
	const char *usage;
	const char *help; /* one line */
	/* What the program prepares for it, in the program's own measure. */
	int needs;
	int (*run)(struct cli *cli); /* an exit status */
};

/* What commands whose first word is the same tell together in their help. */
struct cli_notes {
	const char *first;
	const char *text; /* lines */
};

struct cli_program {
	const char *name;        /* "turing-cloud" */
	const char *daemon;      /* what it is called in a sentence: "cloud" */
	const char *config_path; /* where -c is not given */
	const struct cli_command *const *tables;
	size_t table_count;
	const struct cli_notes *notes; /* ends with a NULL; or NULL */
	/* Prepares what the command needs, calls its run, and puts all away
	 * again: an exit status. */
	int (*run)(struct cli *cli);
};

/* An option as it was given. */
struct cli_given {
	char *name;  /* "--limit", perhaps with "=..." behind it */
	char *value; /* NULL: it has none */
};

/* A command line, taken apart, and what its command works with. */
struct cli {
	const struct cli_program *program;
	const struct cli_command *command;
	FILE *in, *out, *error;
	const char *config_path;
	char **words; /* the arguments, those of argv */
	int word_count;
	struct cli_given given[CLI_MAXIMUM_OPTIONS];
	int given_count;
	void *context; /* the program's: its configuration, its store */
};

/*
 * Runs a command line of program, with its help, and returns the exit status.
 * argv is changed. Errors go to error, one a line, with the program's name; no
 * option's value is ever in them unless a command puts it there.
 */
int cli_run(const struct cli_program *program, int argc, char **argv, FILE *in,
            FILE *out, FILE *error);

/* The value of an option of the command: the last one given; NULL when it was
 * not. It is argv's, and may be wiped. */
char *cli_option(const struct cli *cli, const char *name);

/* Whether the option was given. */
bool cli_has(const struct cli *cli, const char *name);

/* The next value of an option that may come several times; *at is 0 before the
 * first. NULL: there are no more. */
char *cli_next(const struct cli *cli, const char *name, int *at);

/* Prints "PROGRAM: TEXT" for err; returns the exit status that fits its code:
 * CLI_TEMPORARY where trying again may help. */
int cli_fail(struct cli *cli, const struct error *err);

/* As cli_fail(): "PROGRAM: WHAT: TEXT". */
int cli_fail_at(struct cli *cli, const char *what, const struct error *err);

/* As cli_fail() with a text and an error code. */
int cli_refuse(struct cli *cli, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says what is wrong with the command line, and where help is: CLI_USAGE. */
int cli_usage(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints "PROGRAM: TEXT" and changes no status. */
void cli_warn(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads text, which argument name has, as an id: 0, or CLI_USAGE, told. */
int cli_read_id(struct cli *cli, const char *name, const char *text,
                struct id *id);

/*
 * Reads the whole number of an option, from minimum to maximum, where it was
 * given; *number stays else. 0, or CLI_USAGE, told.
 */
int cli_read_number(struct cli *cli, const char *name, int64_t minimum,
                    int64_t maximum, int64_t *number);

/* Reads --after: *after stays when it was not given. 0, or CLI_USAGE. */
int cli_read_after(struct cli *cli, struct id *after);

/*
 * Tells on the error output, not among the lines that a script reads, that a
 * list was cut behind this id, and how to go on; last NULL: by a higher
 * --limit.
 */
void cli_more(struct cli *cli, const struct id *last);

/* Prints text from outside; controls as "\x1b". */
void cli_print_text(FILE *out, const char *text);

/*
 * Whether the numeric address and port, which key configures, can be listened
 * on. One that is taken is no fault where running says that a daemon of ours
 * has it. 0, or 1: a fault; told.
 */
int cli_check_listen(struct cli *cli, const char *key, const char *address,
                     uint16_t port, bool running);

#endif
