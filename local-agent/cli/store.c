/* "turing-agent store|backup|restore": moves and saves the spool. */
#include <string.h>

#include "local-agent/cli/cli.h"
#include "store/copy/cli.h"
#include "store/copy/spool.h"
#include "store/spool/spool.h"

/* Backups are spools of this backend. */
#define BACKUP_BACKEND "sqlite"

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
static int check_spool(struct cli *cli, struct spool *spool)
{
	struct copy_report report = {.count = 0};
	struct copy_run run;
	struct error err = {.text = ""};
	int result = spool_check(spool, &err);

	copy_run_begin(&run, cli->error);
	if (!result)
		result =
		    spool_compare(spool, NULL, &run.control, &report, &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail_at(cli, "the spool is not sound", &err);
	copy_report_print(&report, false, cli->out);
	return CLI_OK;
}

/* --- store copy, store check -------------------------------------------- */

static int copy_spools(struct cli *cli, struct spool *source,
                       struct spool *destination)
{
	struct copy_report copied = {.count = 0}, compared = {.count = 0};
	struct copy_run run;
	struct error err = {.text = ""};
	int result;

	copy_run_begin(&run, cli->error);
	(void)fprintf(cli->error, "copying from %s to %s\n",
	              spool_engine(source), spool_engine(destination));
	result = spool_copy(source, destination, &run.control, &copied, &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail_at(cli, "copying", &err);
	(void)fputs("comparing\n", cli->error);
	result =
	    spool_compare(source, destination, &run.control, &compared, &err);
	copy_display_end(&run.display);
	if (result)
		return cli_fail_at(cli, "comparing", &err);
	copy_report_print(&compared, true, cli->out);
	(void)fflush(cli->out);
	copy_report_explain(&copied, &compared, cli->error);
	return copy_report_equal(&compared) ? CLI_OK : CLI_FAILURE;
}

static int open_and_copy(struct cli *cli, const char *location)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct spool_options from = own_options(config);
	struct spool_options to =
	    options_of(config, cli_option(cli, "--to-backend"), location);
	struct spool *source = NULL, *destination = NULL;
	struct error err = {.text = ""};
	int status, result;

	/* SQLite's has a folder of its own, and one folder serves one spool. */
	if (strcmp(from.backend, to.backend) != 0)
		to.incoming = config->spool_incoming;
	result = spool_open(&source, &from, &err);
	if (result)
		return cli_fail_at(cli,
		                   result == ERR_EXISTS
		                       ? "the spool is in use: stop the agent"
		                       : "cannot open the spool",
		                   &err);
	if (spool_open(&destination, &to, &err))
		status = cli_fail_at(cli, "cannot open the destination", &err);
	else
		status = copy_spools(cli, source, destination);
	spool_close(destination);
	spool_close(source);
	return status;
}

static int store_copy(struct cli *cli)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct error err = {.text = ""};
	char *location = NULL;
	int status;

	if (copy_location_read(cli_option(cli, "--to-location"), cli->in,
	                       &location, &err))
		return cli_fail_at(cli, "--to-location", &err);
	if (copy_location_same(config->spool_backend, config->spool_location,
	                       cli_option(cli, "--to-backend"), location))
		status = cli_refuse(cli, ERR_INVALID,
		                    "the destination is the spool itself");
	else
		status = open_and_copy(cli, location);
	copy_location_release(location);
	return status;
}

static int store_check(struct cli *cli)
{
	struct spool_options options = own_options(agent_cli_config(cli));
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int status;

	if (spool_open_shared(&spool, &options, &err))
		return cli_fail_at(cli, "cannot open the spool", &err);
	status = check_spool(cli, spool);
	spool_close(spool);
	return status;
}

/* --- backup and restore ------------------------------------------------- */

static int backup(struct cli *cli)
{
	const struct agent_config *config = agent_cli_config(cli);
	struct spool_options options = own_options(config);
	struct spool *spool = NULL;
	struct copy_run run;
	struct error err = {.text = ""};
	int result;

	if (strcmp(config->spool_backend, BACKUP_BACKEND) != 0)
		return cli_refuse(cli, ERR_INVALID,
		                  "a spool in MongoDB is saved with mongodump, "
		                  "or with \"store copy\" to sqlite");
	if (spool_open_shared(&spool, &options, &err))
		return cli_fail_at(cli, "cannot open the spool", &err);
	copy_run_begin(&run, cli->error);
	result = spool_backup(spool, cli->words[0], &run.progress, &err);
	copy_display_end(&run.display);
	spool_close(spool);
	return result ? cli_fail_at(cli, "cannot save the spool", &err)
	              : CLI_OK;
}

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

static int restore_into_own(struct cli *cli, struct spool *saved)
{
	struct spool_options options = own_options(agent_cli_config(cli));
	struct copy_report report = {.count = 0};
	struct spool *spool = NULL;
	struct copy_run run;
	struct error err = {.text = ""};
	int result;

	if (open_for_restore(&spool, &options, &err))
		return cli_fail_at(cli, "cannot open the spool", &err);
	copy_run_begin(&run, cli->error);
	result = spool_restore(saved, spool, &run.control, &report, &err);
	copy_display_end(&run.display);
	spool_close(spool);
	copy_report_print_restore(&report, cli->out);
	return result ? cli_fail_at(cli, "restoring", &err) : CLI_OK;
}

static int restore(struct cli *cli)
{
	struct spool_options options =
	    options_of(agent_cli_config(cli), BACKUP_BACKEND, cli->words[0]);
	struct spool *saved = NULL;
	struct error err = {.text = ""};
	int status;

	if (open_backup(&saved, &options, &err))
		return cli_fail_at(cli, "cannot open the backup", &err);
	status = cli_has(cli, "--check") ? check_spool(cli, saved)
	                                 : restore_into_own(cli, saved);
	spool_close(saved);
	return status;
}

const struct cli_command agent_store_commands[] = {
    {"store", "copy", "--to-backend sqlite|mongodb --to-location LOCATION",
     "copies the spool to another one, for a change of the backend, and "
     "compares them",
     0, store_copy},
    {"store", "check", "", "checks the spool, counts and hashes what is in it",
     0, store_check},
    {"backup", NULL, "DIRECTORY",
     "writes the spool as it is at this moment to a new directory, beside a "
     "running agent",
     0, backup},
    {"restore", NULL, "[--check] DIRECTORY",
     "puts back what the backup has and the spool has not, beside a running "
     "agent; --check only checks it",
     0, restore},
    {0},
};
