/* The command line of turing-cloud. */
#ifndef CLOUD_CLI_H
#define CLOUD_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "cloud-service/cloud.h"

#define CLI_OK        0
#define CLI_FAILURE   1
#define CLI_USAGE     2
#define CLI_TEMPORARY 75

#define CLI_MAXIMUM_WORDS   8
#define CLI_MAXIMUM_OPTIONS 16

/* A command line, taken apart, and what the command works with. */
struct cli {
	FILE *in, *out, *error;
	const char *config_path;
	const char *words[CLI_MAXIMUM_WORDS]; /* after the command's own */
	int word_count;
	const char *given[CLI_MAXIMUM_OPTIONS]; /* the options' names */
	int given_count;
	/* Options; NULL or false when not given. */
	const char *display_name, *time_zone, *from_name;
	const char *language, *role, *domain, *mailbox, *note, *expires;
	const char *quota_messages, *quota_bytes;
	const char *sender, *limit, *after, *state, *demand, *to_backend;
	char *to_location; /* may hold a password: never printed */
	bool demand_pass, held, check;
	/* Set for commands that need them. */
	struct cloud_config *config;
	struct cloud *cloud;
};

/* One command; a table of them ends with a row whose first is NULL. */
struct cli_command {
	const char *first, *second; /* "tenant", "add"; second may be NULL */
	/* For the usage, and which options it takes: "NAME [--language L]";
	 * each word that is no option's value stands for one argument. */
	const char *arguments;
	const char *help;            /* one line */
	int minimum, maximum;        /* words after the command */
	bool registry;               /* needs the registry opened */
	int (*run)(struct cli *cli); /* an exit status */
};

/* Runs the command line and returns the exit status. */
int cloud_cli_main(int argc, char **argv, FILE *in, FILE *out, FILE *error);

/* The tables, by what they are about. */
extern const struct cli_command cli_daemon_commands[];
extern const struct cli_command cli_account_commands[];
extern const struct cli_command cli_entry_commands[];
extern const struct cli_command cli_report_commands[];
extern const struct cli_command cli_sender_commands[];
extern const struct cli_command cli_store_commands[];

/* Prints "turing-cloud: TEXT" and returns the exit status for err. */
int cli_fail(struct cli *cli, const struct error *err);

/* As cli_fail() with a text: a wrong command line. */
int cli_usage(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the tenant of this name: 0, or an exit status after it was told. The
 * caller releases *tenant after success. */
int cli_tenant(struct cli *cli, const char *name,
               struct registry_tenant *tenant);

/* As cli_tenant(), for the words TENANT ID. */
int cli_tenant_and_id(struct cli *cli, struct registry_tenant *tenant,
                      struct id *id);

/* Writes a line to the audit. */
void cli_audit(struct cli *cli, const struct id *tenant, const char *action,
               const char *object, const char *detail);

/* Prints text, controls shown as "?". */
void cli_print_text(FILE *out, const char *text);

/*
 * Tells on the error output that a list was cut behind this id, and how to go
 * on; last NULL: by a higher --limit.
 */
void cli_more(struct cli *cli, const struct id *last);

/* Reads --after: none when not given; 0, or an exit status. */
int cli_after(struct cli *cli, struct id *after);

/* Reads --limit: standard when not given; -1 after a wrong one was told. */
long cli_limit(struct cli *cli, long standard);

#endif
