/* Commands that move, save, check and restore the registry. */
#include "cloud-service/cli/cli.h"

#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "store/copy/cli.h"
#include "store/copy/registry.h"

/* Backups are registries of this backend, in this file. */
#define BACKUP_BACKEND "sqlite"
#define BACKUP_FILE    "registry.db"

/*
 * The configuration's registry, and no more: opening a whole cloud draws the
 * secrets that a restore is to put back.
 */
static int open_own(struct cli *cli, struct registry **registry,
                    struct error *err)
{
	struct registry_options options = {
	    .backend = cli_config(cli)->store_backend,
	    .location = cli_config(cli)->store_location};

	return registry_open(registry, &options, err);
}

/* Checks a registry and prints what is in it. */
static int check_registry(struct cli *cli, struct registry *registry)
{
	struct copy_report report = {.count = 0};
	struct copy_run run;
	struct error err = {.text = ""};
	int result = registry_check(registry, &err);

	copy_run_begin(&run, cli->error);
	if (!result)
		result = registry_compare(registry, NULL, &run.control, &report,
		                          &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail(cli, &err);
	copy_report_print(&report, false, cli->out);
	return CLI_OK;
}

static int store_check(struct cli *cli)
{
	struct registry *registry = NULL;
	struct error err = {.text = ""};
	int status;

	if (open_own(cli, &registry, &err))
		return cli_fail(cli, &err);
	status = check_registry(cli, registry);
	registry_close(registry);
	return status;
}

/* --- store copy --------------------------------------------------------- */

static int copy_registries(struct cli *cli, struct registry *source,
                           struct registry *destination)
{
	struct copy_report copied = {.count = 0}, compared = {.count = 0};
	struct copy_run run;
	struct error err = {.text = ""};
	int result;

	copy_run_begin(&run, cli->error);
	fprintf(cli->error, "copying from %s to %s\n", registry_engine(source),
	        registry_engine(destination));
	result =
	    registry_copy(source, destination, &run.control, &copied, &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail(cli, &err);
	fputs("comparing\n", cli->error);
	result = registry_compare(source, destination, &run.control, &compared,
	                          &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail(cli, &err);
	copy_report_print(&compared, true, cli->out);
	copy_report_explain(&copied, &compared, cli->error);
	return copy_report_equal(&compared) ? CLI_OK : CLI_FAILURE;
}

static int open_and_copy(struct cli *cli, const char *location)
{
	struct registry_options to = {
	    .backend = cli_option(cli, "--to-backend"), .location = location};
	struct registry *source = NULL, *destination = NULL;
	struct error err = {.text = ""};
	int status;

	if (open_own(cli, &source, &err))
		return cli_fail(cli, &err);
	if (registry_open(&destination, &to, &err))
		status = cli_fail(cli, &err);
	else
		status = copy_registries(cli, source, destination);
	registry_close(destination);
	registry_close(source);
	return status;
}

static int store_copy(struct cli *cli)
{
	struct error err = {.text = ""};
	char *location = NULL;
	int status;

	if (copy_location_read(cli_option(cli, "--to-location"), cli->in,
	                       &location, &err))
		return cli_fail(cli, &err);
	if (copy_location_same(cli_config(cli)->store_backend,
	                       cli_config(cli)->store_location,
	                       cli_option(cli, "--to-backend"), location)) {
		status = cli_refuse(cli, ERR_INVALID,
		                    "the destination is the "
		                    "registry itself");
	} else {
		status = open_and_copy(cli, location);
	}
	copy_location_release(location);
	return status;
}

/* --- backup and restore ------------------------------------------------- */

static int backup(struct cli *cli)
{
	struct copy_run run;
	struct registry *registry = NULL;
	struct error err = {.text = ""};
	int result;

	if (strcmp(cli_config(cli)->store_backend, BACKUP_BACKEND) != 0) {
		return cli_refuse(
		    cli, ERR_INVALID,
		    "a registry in MongoDB is saved with mongodump, or "
		    "with \"store copy\" to sqlite");
	}
	if (open_own(cli, &registry, &err))
		return cli_fail(cli, &err);
	copy_run_begin(&run, cli->error);
	result = registry_backup(registry, cli->words[0], &run.progress, &err);
	copy_display_end(&run.display);
	registry_close(registry);
	return result ? cli_fail(cli, &err) : CLI_OK;
}

/* Opening one that is not there would make it. */
static int open_backup(const char *directory, struct registry **registry,
                       struct error *err)
{
	struct registry_options options = {.backend = BACKUP_BACKEND,
	                                   .location = directory};
	char *file = mem_format("%s/" BACKUP_FILE, directory);
	int result = 0;

	if (access(file, R_OK))
		result = error_set(err, ERR_NOT_FOUND,
		                   "%.400s: no backup of a registry", file);
	else
		result = registry_open(registry, &options, err);
	free(file);
	return result;
}

static int restore_into_own(struct cli *cli, struct registry *saved)
{
	struct copy_report report = {.count = 0};
	struct copy_run run;
	struct registry *registry = NULL;
	struct error err = {.text = ""};
	int result = open_own(cli, &registry, &err);

	if (result)
		return cli_fail(cli, &err);
	copy_run_begin(&run, cli->error);
	result = registry_restore(saved, registry, &run.control, &report, &err);
	copy_display_end(&run.display);
	registry_close(registry);
	copy_report_print_restore(&report, cli->out);
	return result ? cli_fail(cli, &err) : CLI_OK;
}

static int restore(struct cli *cli)
{
	struct registry *saved = NULL;
	struct error err = {.text = ""};
	int status;

	if (copy_location_same(BACKUP_BACKEND, cli->words[0],
	                       cli_config(cli)->store_backend,
	                       cli_config(cli)->store_location))
		return cli_usage(cli, "the backup is the registry itself");
	if (open_backup(cli->words[0], &saved, &err))
		return cli_fail(cli, &err);
	status = cli_has(cli, "--check") ? check_registry(cli, saved)
	                                 : restore_into_own(cli, saved);
	registry_close(saved);
	return status;
}

const struct cli_command cli_store_commands[] = {
    {"store", "copy", "--to-backend sqlite|mongodb --to-location LOCATION",
     "copies the registry to another one and compares them; LOCATION may be "
     "\"-\" (standard input) or @FILE",
     CLI_NEEDS_CONFIG, store_copy},
    {"store", "check", "", "checks the registry, counts and hashes it",
     CLI_NEEDS_CONFIG, store_check},
    {"backup", NULL, "DIRECTORY",
     "saves the registry to a new directory, beside running clouds",
     CLI_NEEDS_CONFIG, backup},
    {"restore", NULL, "[--check] DIRECTORY",
     "puts back what the backup has and the registry has not; --check only "
     "checks it",
     CLI_NEEDS_CONFIG, restore},
    {0},
};
