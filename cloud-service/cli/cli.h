/* The command line of turing-cloud. */
#ifndef CLOUD_SERVICE_CLI_CLI_H
#define CLOUD_SERVICE_CLI_CLI_H

#include <stdio.h>

#include "cloud-service/cloud.h"
#include "common/cli/cli.h"

/* What a command needs: see struct cli_command. */
enum cloud_cli_needs {
	CLI_NEEDS_CONFIG,
	CLI_NEEDS_CLOUD /* opened, not started */
};

/* The context of the commands. */
struct cloud_cli {
	struct cloud_config *config;
	struct cloud *cloud; /* NULL for those that need none */
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

/* The configuration of a command. */
const struct cloud_config *cli_config(const struct cli *cli);

/* The cloud of a command that needs it. */
struct cloud *cli_cloud(const struct cli *cli);

/* Its registry. */
struct registry *cli_registry(const struct cli *cli);

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

/* Reads --limit: *limit stays when it was not given; 0, or CLI_USAGE. */
int cli_limit(struct cli *cli, int64_t *limit);

#endif
