/* Commands about tenants, domains, agents' keys and users. */
#include "cloud-service/cli/cli.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/auth.h"
#include "common/clock.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "common/zone.h"

#define MINIMUM_PASSWORD 10

/* Puts a text in place of the one on the heap, where the option is given. */
static void replace(char **text, const char *option)
{
	if (!option)
		return;
	free(*text);
	*text = mem_copy_string(option);
}

/* Takes what the options say of the tenant; an exit status, told, when they
 * are wrong. */
static int take_options(struct cli *cli, struct registry_tenant *tenant)
{
	const char *language = cli_option(cli, "--language");
	const char *time_zone = cli_option(cli, "--time-zone");
	struct zone *zone = NULL;
	struct error err = {0};

	if (language && strcmp(language, "fr") && strcmp(language, "en"))
		return cli_usage(cli, "--language: fr or en");
	if (time_zone && *time_zone) {
		if (zone_read(&zone, ZONE_DIRECTORY, time_zone, &err))
			return cli_usage(cli, "--time-zone: %s", err.text);
		zone_free(zone);
	}
	if (cli_read_number(cli, "--quota-messages", 0, INT64_MAX,
	                    &tenant->quota_messages) ||
	    cli_read_number(cli, "--quota-bytes", 0, INT64_MAX,
	                    &tenant->quota_bytes))
		return CLI_USAGE;
	replace(&tenant->language, language);
	replace(&tenant->display_name, cli_option(cli, "--display-name"));
	replace(&tenant->time_zone, time_zone);
	replace(&tenant->from_name, cli_option(cli, "--from-name"));
	return 0;
}

static int add_tenant(struct cli *cli, const struct registry_tenant *tenant)
{
	struct error err = {0};
	char text[ID_TEXT_SIZE];
	int result = registry_tenant_add(cli_registry(cli), tenant, &err);

	if (result == ERR_EXISTS)
		error_set(&err, ERR_EXISTS, "there is a tenant \"%.100s\"",
		          tenant->name);
	if (result)
		return cli_fail(cli, &err);
	cli_audit(cli, &tenant->id, "tenant-add", tenant->name,
	          tenant->language);
	fprintf(cli->out, "%s\n", id_format(&tenant->id, text));
	return CLI_OK;
}

static int tenant_add(struct cli *cli)
{
	struct registry_tenant tenant = {.id = id_new(),
	                                 .name = mem_copy_string(cli->words[0]),
	                                 .language = mem_copy_string("fr"),
	                                 .created_ms = clock_wall_ms()};
	int status = take_options(cli, &tenant);

	if (!status)
		status = add_tenant(cli, &tenant);
	registry_tenant_release(&tenant);
	return status;
}

static int change_tenant(struct cli *cli, const struct registry_tenant *tenant)
{
	struct error err = {0};
	char detail[400];

	if (registry_tenant_change(cli_registry(cli), tenant, &err))
		return cli_fail(cli, &err);
	snprintf(detail, sizeof(detail), "%s; %s; %s; %s; %lld; %lld",
	         tenant->language, tenant->display_name, tenant->time_zone,
	         tenant->from_name, (long long)tenant->quota_messages,
	         (long long)tenant->quota_bytes);
	cli_audit(cli, &tenant->id, "tenant-set", tenant->name, detail);
	return CLI_OK;
}

static int tenant_set(struct cli *cli)
{
	struct registry_tenant tenant;
	int status;

	if (cli->given_count == 0)
		return cli_usage(cli, "tenant set: nothing to set: --language, "
		                      "--display-name, --time-zone, "
		                      "--from-name, --quota-messages or "
		                      "--quota-bytes");
	status = cli_tenant(cli, cli->words[0], &tenant);
	if (status)
		return status;
	status = take_options(cli, &tenant);
	if (!status)
		status = change_tenant(cli, &tenant);
	registry_tenant_release(&tenant);
	return status;
}

/* How much is held of what may be, by the tenant's own quota or the
 * configuration's. */
static void print_share(FILE *out, const char *name, int64_t used, int64_t own,
                        int64_t standard)
{
	int64_t maximum = own ? own : standard;

	fprintf(out, "held-%s\t%lld of ", name, (long long)used);
	if (maximum)
		fprintf(out, "%lld%s\n", (long long)maximum,
		        own ? "" : " (as configured)");
	else
		fputs("any number\n", out);
}

static int tenant_show(struct cli *cli)
{
	struct registry_tenant tenant;
	struct registry_usage usage;
	struct error err = {0};
	char id[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];
	int status = cli_tenant(cli, cli->words[0], &tenant);

	if (status)
		return status;
	if (registry_tenant_usage(cli_registry(cli), &tenant.id, &usage,
	                          &err)) {
		registry_tenant_release(&tenant);
		return cli_fail(cli, &err);
	}
	fprintf(cli->out,
	        "name\t%s\nid\t%s\ncreated\t%s\nlanguage\t%s\n"
	        "display-name\t%s\ntime-zone\t%s\nfrom-name\t%s\n",
	        tenant.name, id_format(&tenant.id, id),
	        clock_format_rfc3339(tenant.created_ms, time), tenant.language,
	        tenant.display_name, tenant.time_zone, tenant.from_name);
	print_share(cli->out, "messages", usage.messages, tenant.quota_messages,
	            cli_config(cli)->quota_messages);
	print_share(cli->out, "bytes", usage.bytes, tenant.quota_bytes,
	            cli_config(cli)->quota_bytes);
	registry_tenant_release(&tenant);
	return CLI_OK;
}

static void print_tenant(const struct registry_tenant *tenant, void *context)
{
	char id[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];

	fprintf(context, "%s\t%s\t%s\t%s\n", tenant->name, tenant->language,
	        id_format(&tenant->id, id),
	        clock_format_rfc3339(tenant->created_ms, time));
}

static int tenant_list(struct cli *cli)
{
	struct error err = {0};

	if (registry_tenant_each(cli_registry(cli), print_tenant, cli->out,
	                         &err))
		return cli_fail(cli, &err);
	return CLI_OK;
}

/* What a command about one domain does to it. */
typedef int (*domain_function)(struct registry *registry,
                               const struct id *tenant, const char *domain,
                               struct error *err);

static int change_domain(struct cli *cli, domain_function change,
                         const char *action)
{
	struct registry_tenant tenant;
	struct error err = {0};
	char folded[256];
	int result, status;

	if (mail_domain_fold(cli->words[1], folded, sizeof(folded)))
		return cli_usage(cli, "\"%s\" is no domain", cli->words[1]);
	status = cli_tenant(cli, cli->words[0], &tenant);
	if (status)
		return status;
	result = change(cli_registry(cli), &tenant.id, folded, &err);
	if (result == ERR_EXISTS)
		error_set(&err, ERR_EXISTS, "%s belongs to a tenant already",
		          folded);
	else if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "%s is no domain of %.63s",
		          folded, tenant.name);
	if (result)
		status = cli_fail(cli, &err);
	else
		cli_audit(cli, &tenant.id, action, folded, "");
	registry_tenant_release(&tenant);
	return status;
}

static int domain_add(struct cli *cli)
{
	return change_domain(cli, registry_domain_add, "domain-add");
}

static int domain_remove(struct cli *cli)
{
	return change_domain(cli, registry_domain_remove, "domain-remove");
}

static void print_domain(const char *domain, void *context)
{
	fprintf(context, "%s\n", domain);
}

static int domain_list(struct cli *cli)
{
	struct registry_tenant tenant;
	struct error err = {0};
	int status = cli_tenant(cli, cli->words[0], &tenant);

	if (status)
		return status;
	if (registry_domain_each(cli_registry(cli), &tenant.id, print_domain,
	                         cli->out, &err))
		status = cli_fail(cli, &err);
	registry_tenant_release(&tenant);
	return status;
}

static bool is_agent_name(const char *name)
{
	return *name && strlen(name) < API_AGENT_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") ==
	           strlen(name);
}

static int add_key(struct cli *cli, const struct id *tenant)
{
	char key_text[API_KEY_SIZE], prefix[API_KEY_PREFIX_SIZE];
	struct registry_key key = {
	    .id = id_new(), .tenant = *tenant, .created_ms = clock_wall_ms()};
	struct error err = {0};
	int result;

	api_key_draw(key_text, prefix, key.hash);
	key.agent = mem_copy_string(cli->words[1]);
	key.prefix = mem_copy_string(prefix);
	result = registry_key_add(cli_registry(cli), &key, &err);
	registry_key_release(&key);
	if (result == ERR_LIMIT)
		error_set(&err, ERR_LIMIT,
		          "%s has two valid keys: revoke one first",
		          cli->words[1]);
	if (result)
		return cli_fail(cli, &err);
	cli_audit(cli, tenant, "agent-add", cli->words[1], prefix);
	fprintf(cli->out, "%s\n", key_text);
	sodium_memzero(key_text, sizeof(key_text));
	return CLI_OK;
}

static int agent_add(struct cli *cli)
{
	struct registry_tenant tenant;
	int status;

	if (!is_agent_name(cli->words[1]))
		return cli_usage(cli, "an agent's name has lower-case letters, "
		                      "digits, hyphens and dots");
	status = cli_tenant(cli, cli->words[0], &tenant);
	if (status)
		return status;
	status = add_key(cli, &tenant.id);
	registry_tenant_release(&tenant);
	return status;
}

static void print_key(const struct registry_key *key, void *context)
{
	char time[CLOCK_TEXT_SIZE];

	fprintf(context, "%s\t%s\t%s", key->agent, key->prefix,
	        clock_format_rfc3339(key->created_ms, time));
	if (key->revoked_ms)
		fprintf(context, "\trevoked %s",
		        clock_format_rfc3339(key->revoked_ms, time));
	fputc('\n', context);
}

static int agent_list(struct cli *cli)
{
	struct registry_tenant tenant;
	struct error err = {0};
	int status = cli_tenant(cli, cli->words[0], &tenant);

	if (status)
		return status;
	if (registry_key_each(cli_registry(cli), &tenant.id, print_key,
	                      cli->out, &err))
		status = cli_fail(cli, &err);
	registry_tenant_release(&tenant);
	return status;
}

static int agent_revoke(struct cli *cli)
{
	struct registry_tenant tenant;
	struct error err = {0};
	int result, status = cli_tenant(cli, cli->words[0], &tenant);

	if (status)
		return status;
	result = registry_key_revoke(cli_registry(cli), &tenant.id,
	                             cli->words[1], clock_wall_ms(), &err);
	if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "no key \"%.40s\"",
		          cli->words[1]);
	else if (result == ERR_CONFLICT)
		error_set(&err, ERR_CONFLICT, "it is revoked already");
	if (result)
		status = cli_fail(cli, &err);
	else
		cli_audit(cli, &tenant.id, "agent-revoke", cli->words[1], "");
	registry_tenant_release(&tenant);
	return status;
}

static bool is_role(const char *role)
{
	return !strcmp(role, "admin") || !strcmp(role, "recipient") ||
	       !strcmp(role, "operator");
}

/* Reads the first line of the input; an exit status when it is no password. */
static int read_password(struct cli *cli, char *line, int size)
{
	if (!fgets(line, size, cli->in))
		return cli_usage(cli, "the password is read from standard "
		                      "input");
	line[strcspn(line, "\r\n")] = '\0';
	if (strlen(line) < MINIMUM_PASSWORD)
		return cli_usage(cli, "a password has %d characters at least",
		                 MINIMUM_PASSWORD);
	return 0;
}

static int add_user(struct cli *cli, const struct id *tenant,
                    const char *password)
{
	const char *role = cli_option(cli, "--role");
	char hash[crypto_pwhash_STRBYTES], login[MAIL_ADDRESS_SIZE];
	struct registry_user user = {
	    .id = id_new(), .tenant = *tenant, .created_ms = clock_wall_ms()};
	struct error err = {0};
	int result;

	if (!mail_address_valid(cli->words[1], false) ||
	    mail_address_fold(cli->words[1], login))
		return cli_usage(cli, "a login is a mail address");
	if (crypto_pwhash_str(hash, password, strlen(password),
	                      crypto_pwhash_OPSLIMIT_INTERACTIVE,
	                      crypto_pwhash_MEMLIMIT_INTERACTIVE)) {
		error_set(&err, ERR_UNAVAILABLE, "no memory for the hash");
		return cli_fail(cli, &err);
	}
	user.login = mem_copy_string(login);
	user.role = mem_copy_string(role);
	user.password = mem_copy_string(hash);
	result = registry_user_add(cli_registry(cli), &user, &err);
	registry_user_release(&user);
	if (result == ERR_EXISTS)
		error_set(&err, ERR_EXISTS, "there is a user %s", login);
	if (result)
		return cli_fail(cli, &err);
	cli_audit(cli, tenant, "user-add", login, role);
	return CLI_OK;
}

static int user_add(struct cli *cli)
{
	struct registry_tenant tenant;
	char password[256];
	int status;

	if (!is_role(cli_option(cli, "--role")))
		return cli_usage(cli, "--role: admin, recipient or operator");
	status = read_password(cli, password, sizeof(password));
	if (!status)
		status = cli_tenant(cli, cli->words[0], &tenant);
	if (!status) {
		status = add_user(cli, &tenant.id, password);
		registry_tenant_release(&tenant);
	}
	sodium_memzero(password, sizeof(password));
	return status;
}

static int user_show(struct cli *cli)
{
	char login[MAIL_ADDRESS_SIZE], time[CLOCK_TEXT_SIZE];
	struct registry_user user;
	struct error err = {0};
	int result;

	if (mail_address_fold(cli->words[0], login))
		return cli_usage(cli, "a login is a mail address");
	result = registry_user_find(cli_registry(cli), login, &user, &err);
	if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "no user %s", login);
	if (result)
		return cli_fail(cli, &err);
	fprintf(cli->out, "%s\t%s\t%s\n", user.login, user.role,
	        clock_format_rfc3339(user.created_ms, time));
	registry_user_release(&user);
	return CLI_OK;
}

const struct cli_command cli_account_commands[] = {
    {"tenant", "add",
     "NAME [--language fr|en] [--display-name TEXT] [--time-zone ZONE] "
     "[--from-name TEXT] [--quota-messages N] [--quota-bytes N]",
     "adds a customer and prints the id", CLI_NEEDS_CLOUD, tenant_add},
    {"tenant", "set",
     "NAME [--language fr|en] [--display-name TEXT] [--time-zone ZONE] "
     "[--from-name TEXT] [--quota-messages N] [--quota-bytes N]",
     "changes what strangers are shown of a customer", CLI_NEEDS_CLOUD,
     tenant_set},
    {"tenant", "show", "NAME", "shows a customer", CLI_NEEDS_CLOUD,
     tenant_show},
    {"tenant", "list", "", "lists the customers", CLI_NEEDS_CLOUD, tenant_list},
    {"domain", "add", "TENANT DOMAIN", "adds a mail domain", CLI_NEEDS_CLOUD,
     domain_add},
    {"domain", "remove", "TENANT DOMAIN", "takes a mail domain away",
     CLI_NEEDS_CLOUD, domain_remove},
    {"domain", "list", "TENANT", "lists the tenant's domains", CLI_NEEDS_CLOUD,
     domain_list},
    {"agent", "add", "TENANT NAME",
     "adds a key for an agent and prints it, this once", CLI_NEEDS_CLOUD,
     agent_add},
    {"agent", "list", "TENANT", "lists agents and the prefixes of their keys",
     CLI_NEEDS_CLOUD, agent_list},
    {"agent", "revoke", "TENANT PREFIX", "makes a key invalid", CLI_NEEDS_CLOUD,
     agent_revoke},
    {"user", "add", "TENANT LOGIN --role admin|recipient|operator",
     "adds a user; the password is read from standard input", CLI_NEEDS_CLOUD,
     user_add},
    {"user", "show", "LOGIN", "shows a user", CLI_NEEDS_CLOUD, user_show},
    {0},
};
