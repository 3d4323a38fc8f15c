/* "turing-agent store|backup|restore": moves and saves the spool. */
#include "local-agent/cli/store.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/text.h"
#include "local-agent/cli/cli.h"
#include "store/copy/cli.h"
#include "store/copy/spool.h"
#include "store/spool/spool.h"

/* Backups are spools of this backend. */
#define BACKUP_BACKEND "sqlite"

/* What the options say. */
struct arguments {
	const char *backend;
	char *location; /* as given */
	bool check;
	char **words;
	int count;
};

void cli_store_usage(void)
{
	(void)fputs(
	    "usage: turing-agent store copy [-c FILE]\n"
	    "         --to-backend sqlite|mongodb --to-location LOCATION\n"
	    "       turing-agent store check [-c FILE]\n\n"
	    "copy: copies the spool to another one, for a change of the\n"
	    "backend, and compares them. Stop every agent of both before. An\n"
	    "interrupted copy is simply run again. LOCATION may be \"-\" "
	    "(read\n"
	    "from standard input) or @FILE, to keep a password secret.\n"
	    "check: checks the spool, counts and hashes what is in it.\n",
	    stdout);
}

void cli_backup_usage(void)
{
	(void)fputs("usage: turing-agent backup [-c FILE] DIRECTORY\n\n"
	            "Writes the spool as it is at this moment to a new\n"
	            "directory, beside a running agent.\n",
	            stdout);
}

void cli_restore_usage(void)
{
	(void)fputs(
	    "usage: turing-agent restore [-c FILE] [--check] "
	    "DIRECTORY\n\n"
	    "Puts back into the spool what the backup in DIRECTORY has\n"
	    "and the spool has not, beside a running agent. --check:\n"
	    "checks the backup and changes nothing.\n",
	    stdout);
}

/* --- common steps ------------------------------------------------------- */

static int fail(const char *what, int result, const struct error *err)
{
	(void)fprintf(stderr, "turing-agent: %s: %s\n", what,
	              *err->text ? err->text : error_name(result));
	switch (result) {
	case ERR_UNAVAILABLE:
	case ERR_UNCERTAIN:
	case ERR_TIMEOUT:
	case ERR_FULL:
		return CLI_TEMPORARY;
	default:
		return CLI_FAILURE;
	}
}

static int usage(const char *command)
{
	(void)fprintf(stderr, "try \"turing-agent %.*s --help\"\n",
	              (int)strcspn(command, " "), command);
	return CLI_USAGE;
}

/* A word that is missing, or one too many: exit status. */
static int wrong_words(const char *command, const struct arguments *arguments,
                       const char *missing)
{
	const char *last =
	    arguments->count ? arguments->words[arguments->count - 1] : "";

	if (missing)
		(void)fprintf(stderr, "turing-agent: %s: missing %s\n", command,
		              missing);
	else
		(void)fprintf(stderr, "turing-agent: %s takes no \"%.*s\"\n",
		              command, text_shown_length(last), last);
	return usage(command);
}

/* allowed: of the options those that the command argv[0] takes. */
static int parse(int argc, char **argv, const char *allowed,
                 struct arguments *arguments)
{
	static const struct option options[] = {
	    {"to-backend", required_argument, NULL, 'b'},
	    {"to-location", required_argument, NULL, 'l'},
	    {"check", no_argument, NULL, 'k'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	opterr = 0; /* it would print what may be a password */
	while ((option = cli_next_option(argc, argv, ":", options, allowed)) !=
	       -1)
		switch (option) {
		case 'b':
			arguments->backend = optarg;
			break;
		case 'l':
			arguments->location = optarg;
			break;
		case 'k':
			arguments->check = true;
			break;
		default:
			return -1;
		}
	arguments->words = argv + optind;
	arguments->count = argc - optind;
	return 0;
}

static struct spool_options options_of(const struct agent_config *config,
                                       const char *backend,
                                       const char *location)
{
	return (struct spool_options){
	    .backend = backend,
	    .location = location,
	    .owner = config->agent_name,
	    .large_body_bytes = config->spool_large_body,
	};
}

static struct spool_options own_options(const struct agent_config *config)
{
	struct spool_options options =
	    options_of(config, config->spool_backend, config->spool_location);

	options.incoming = config->spool_incoming;
	return options;
}

/* Checks a spool and prints what is in it. */
static int check_spool(struct spool *spool, const struct copy_control *control,
                       struct copy_display *display)
{
	struct copy_report report = {.count = 0};
	struct error err = {.text = ""};
	int result = spool_check(spool, &err);

	if (!result)
		result = spool_compare(spool, NULL, control, &report, &err);
	copy_display_end(display);
	if (result)
		return fail("the spool is not sound", result, &err);
	copy_report_print(&report, false, stdout);
	return CLI_OK;
}

/* --- store copy, store check -------------------------------------------- */

static int copy_spools(struct spool *source, struct spool *destination)
{
	struct copy_report copied = {.count = 0}, compared = {.count = 0};
	struct copy_display display;
	struct store_progress progress =
	    copy_display_progress(&display, stderr);
	struct copy_control control = {.progress = &progress,
	                               .stop = copy_stop_on_signals()};
	struct error err = {.text = ""};
	int result;

	(void)fprintf(stderr, "copying from %s to %s\n", spool_engine(source),
	              spool_engine(destination));
	result = spool_copy(source, destination, &control, &copied, &err);
	copy_display_end(&display);
	if (result)
		return fail("copying", result, &err);
	(void)fputs("comparing\n", stderr);
	result = spool_compare(source, destination, &control, &compared, &err);
	copy_display_end(&display);
	if (result)
		return fail("comparing", result, &err);
	copy_report_print(&compared, true, stdout);
	(void)fflush(stdout);
	copy_report_explain(&copied, &compared, stderr);
	return copy_report_equal(&compared) ? CLI_OK : CLI_FAILURE;
}

static int open_and_copy(const struct agent_config *config, const char *backend,
                         const char *location)
{
	struct spool_options from = own_options(config);
	struct spool_options to = options_of(config, backend, location);
	struct spool *source = NULL, *destination = NULL;
	struct error err = {.text = ""};
	int status, result;

	/* SQLite's has a folder of its own, and one folder serves one spool. */
	if (strcmp(from.backend, backend) != 0)
		to.incoming = config->spool_incoming;
	result = spool_open(&source, &from, &err);
	if (result)
		return fail(result == ERR_EXISTS
		                ? "the spool is in use: stop the agent"
		                : "cannot open the spool",
		            result, &err);
	result = spool_open(&destination, &to, &err);
	if (result)
		status = fail("cannot open the destination", result, &err);
	else
		status = copy_spools(source, destination);
	spool_close(destination);
	spool_close(source);
	return status;
}

static int store_copy(const struct agent_config *config,
                      const struct arguments *arguments)
{
	struct error err = {.text = ""};
	char *location = NULL;
	int status, result;

	if (!arguments->backend || !arguments->location || arguments->count)
		return wrong_words("store copy", arguments,
		                   !arguments->backend    ? "--to-backend"
		                   : !arguments->location ? "--to-location"
		                                          : NULL);
	result =
	    copy_location_read(arguments->location, stdin, &location, &err);
	if (result)
		return fail("--to-location", result, &err);
	if (copy_location_same(config->spool_backend, config->spool_location,
	                       arguments->backend, location)) {
		(void)fputs("turing-agent: the destination is the spool "
		            "itself\n",
		            stderr);
		status = CLI_FAILURE;
	} else {
		status = open_and_copy(config, arguments->backend, location);
	}
	copy_location_release(location);
	return status;
}

static int store_check(const struct agent_config *config)
{
	struct spool_options options = own_options(config);
	struct copy_display display;
	struct store_progress progress =
	    copy_display_progress(&display, stderr);
	struct copy_control control = {.progress = &progress,
	                               .stop = copy_stop_on_signals()};
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int status, result = spool_open_shared(&spool, &options, &err);

	if (result)
		return fail("cannot open the spool", result, &err);
	status = check_spool(spool, &control, &display);
	spool_close(spool);
	return status;
}

int cli_store(const struct agent_config *config, int argc, char **argv)
{
	struct arguments arguments = {0};
	bool copy = argc >= 2 && strcmp(argv[1], "copy") == 0;

	if (argc < 2)
		return wrong_words("store", &arguments, "command");
	if (!copy && strcmp(argv[1], "check") != 0) {
		(void)fprintf(stderr,
		              "turing-agent: unknown store command \"%.*s\"\n",
		              text_shown_length(argv[1]), argv[1]);
		return usage("store");
	}
	if (parse(argc - 1, argv + 1, copy ? "bl" : "", &arguments))
		return usage("store");
	if (crypto_init())
		return CLI_TEMPORARY;
	if (copy)
		return store_copy(config, &arguments);
	return arguments.count ? wrong_words("store check", &arguments, NULL)
	                       : store_check(config);
}

/* --- backup ------------------------------------------------------------- */

int cli_backup(const struct agent_config *config, int argc, char **argv)
{
	struct spool_options options = own_options(config);
	struct arguments arguments = {0};
	struct copy_display display;
	struct store_progress progress =
	    copy_display_progress(&display, stderr);
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int result;

	if (parse(argc, argv, "", &arguments))
		return usage("backup");
	if (arguments.count != 1)
		return wrong_words("backup", &arguments,
		                   arguments.count ? NULL : "DIRECTORY");
	if (strcmp(config->spool_backend, BACKUP_BACKEND) != 0) {
		(void)fputs("turing-agent: a spool in MongoDB is saved with "
		            "mongodump, or with \"store copy\" to sqlite\n",
		            stderr);
		return CLI_FAILURE;
	}
	if (crypto_init())
		return CLI_TEMPORARY;
	result = spool_open_shared(&spool, &options, &err);
	if (result)
		return fail("cannot open the spool", result, &err);
	result = spool_backup(spool, arguments.words[0], &progress, &err);
	copy_display_end(&display);
	spool_close(spool);
	return result ? fail("cannot save the spool", result, &err) : CLI_OK;
}

/* --- restore ------------------------------------------------------------ */

/*
 * Beside a running agent it is opened as shared; where there is no agent, and
 * perhaps no spool yet, as the agent would. A spool that has no lock is not
 * opened as the agent would while it is there: its leases would be dropped.
 */
static int open_for_restore(struct spool **spool,
                            const struct spool_options *options,
                            struct error *err)
{
	int result;

	if (strcmp(options->backend, BACKUP_BACKEND) == 0) {
		result = spool_open(spool, options, err);
		if (result != ERR_EXISTS)
			return result;
		return spool_open_shared(spool, options, err);
	}
	result = spool_open_shared(spool, options, err);
	if (result == ERR_NOT_FOUND || result == ERR_VERSION)
		result = spool_open(spool, options, err);
	return result;
}

/* A backup of an older version is brought to today's where it is; a newer one
 * is ERR_VERSION. */
static int open_backup(struct spool **backup,
                       const struct spool_options *options, struct error *err)
{
	int result = spool_open_shared(backup, options, err);

	if (result == ERR_VERSION)
		result = spool_open(backup, options, err);
	return result;
}

static int restore_into_own(const struct agent_config *config,
                            struct spool *backup,
                            const struct copy_control *control,
                            struct copy_display *display)
{
	struct spool_options options = own_options(config);
	struct copy_report report = {.count = 0};
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int result = open_for_restore(&spool, &options, &err);

	if (result)
		return fail("cannot open the spool", result, &err);
	result = spool_restore(backup, spool, control, &report, &err);
	copy_display_end(display);
	spool_close(spool);
	copy_report_print_restore(&report, stdout);
	return result ? fail("restoring", result, &err) : CLI_OK;
}

int cli_restore(const struct agent_config *config, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct copy_display display;
	struct store_progress progress =
	    copy_display_progress(&display, stderr);
	struct copy_control control = {.progress = &progress,
	                               .stop = copy_stop_on_signals()};
	struct spool_options options;
	struct spool *backup = NULL;
	struct error err = {.text = ""};
	int status, result;

	if (parse(argc, argv, "k", &arguments))
		return usage("restore");
	if (arguments.count != 1)
		return wrong_words("restore", &arguments,
		                   arguments.count ? NULL : "DIRECTORY");
	if (crypto_init())
		return CLI_TEMPORARY;
	options = options_of(config, BACKUP_BACKEND, arguments.words[0]);
	result = open_backup(&backup, &options, &err);
	if (result)
		return fail("cannot open the backup", result, &err);
	status = arguments.check
	             ? check_spool(backup, &control, &display)
	             : restore_into_own(config, backup, &control, &display);
	spool_close(backup);
	return status;
}
