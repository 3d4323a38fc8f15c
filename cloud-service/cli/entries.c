/* Commands about the white and black lists. */
#include "cloud-service/cli/cli.h"

#include <string.h>

#include "cloud-service/decide/lists.h"
#include "cloud-service/decide/tenant-domains.h"
#include "common/clock.h"
#include "common/mem.h"

#define PAGE_SIZE 500

/* What authentication the entry demands; 0 or an exit status. */
static int read_demand(struct cli *cli, struct entry *entry)
{
	const char *asked = cli_option(cli, "--demand");
	bool pass = cli_has(cli, "--demand-pass");
	int demand = asked ? mail_pass_parse(asked) : 0;

	if (asked && pass)
		return cli_usage(cli, "--demand or --demand-pass, not both");
	if (demand < 0)
		return cli_usage(cli, "--demand: none, pass, dkim or dmarc");
	entry->demand = pass ? MAIL_PASS_SPF : (enum mail_pass)demand;
	return 0;
}

/* Reads whose mail the entry is about; 0 or an exit status. */
static int read_scope(struct cli *cli, struct entry *entry)
{
	const char *domain = cli_option(cli, "--domain");
	const char *mailbox = cli_option(cli, "--mailbox");
	char folded[MAIL_ADDRESS_SIZE];

	if (domain && mailbox)
		return cli_usage(cli, "--domain or --mailbox, not both");
	if (domain && mail_domain_fold(domain, folded, sizeof(folded)))
		return cli_usage(cli, "--domain: not a domain");
	if (mailbox && mail_address_fold(mailbox, folded))
		return cli_usage(cli, "--mailbox: not a mail address");
	entry->scope = mailbox  ? ENTRY_SCOPE_MAILBOX
	               : domain ? ENTRY_SCOPE_DOMAIN
	                        : ENTRY_SCOPE_TENANT;
	entry->scope_value = mem_copy_string(mailbox  ? mailbox
	                                     : domain ? domain
	                                              : "");
	return 0;
}

/* Reads until when the entry counts; 0 or an exit status. */
static int read_expiry(struct cli *cli, struct entry *entry)
{
	const char *expires = cli_option(cli, "--expires");

	if (!expires)
		return 0;
	if (clock_parse_rfc3339(expires, &entry->expires_ms))
		return cli_usage(cli, "--expires: an RFC 3339 time, such as "
		                      "2030-01-31T00:00:00Z");
	if (entry->expires_ms <= clock_wall_ms())
		return cli_usage(cli, "--expires: %s is past", expires);
	return 0;
}

/* Fills the entry from words and options, to release in any case; 0 or an exit
 * status. */
static int read_entry(struct cli *cli, struct entry *entry)
{
	const char *note = cli_option(cli, "--note");
	int colour = entry_colour_parse(cli->words[1]);
	int kind = entry_kind_parse(cli->words[2]);
	int status;

	if (colour < 0)
		return cli_usage(cli, "\"%s\": white or black", cli->words[1]);
	if (kind < 0)
		return cli_usage(cli,
		                 "\"%s\": address, domain, subdomains, "
		                 "network or pattern",
		                 cli->words[2]);
	entry->colour = (enum entry_colour)colour;
	entry->kind = (enum entry_kind)kind;
	entry->value = mem_copy_string(cli->words[3]);
	entry->note = mem_copy_string(note ? note : "");
	status = read_scope(cli, entry);
	if (!status)
		status = read_expiry(cli, entry);
	return status ? status : read_demand(cli, entry);
}

/* Whether the entry is about the tenant's own domains: 0 or an exit status. */
static int check_scope(struct cli *cli, const struct registry_tenant *tenant,
                       const struct tenant_domains *domains,
                       const struct entry *entry)
{
	const char *at = strrchr(entry->scope_value, '@');
	const char *domain = at ? at + 1 : entry->scope_value;

	if (entry->scope == ENTRY_SCOPE_TENANT ||
	    tenant_domains_include(domains, domain))
		return 0;
	return cli_usage(cli, "%s: %s is no domain of %s",
	                 at ? "--mailbox" : "--domain", domain, tenant->name);
}

/* Stores the entry and decides the held mail it matches: an exit status. */
static int put_entry(struct cli *cli, const struct id *tenant,
                     const struct tenant_domains *domains,
                     const struct entry *entry)
{
	const struct registry_query all = {.tenant = tenant};
	struct lists_count count = {0};
	struct entry stored = {0};
	struct error err = {0};
	char text[ID_TEXT_SIZE];

	if (registry_entry_put(cli_registry(cli), tenant, entry, &stored, &err))
		return cli_fail(cli, &err);
	cli_audit(cli, tenant, "entry-add", entry->value,
	          entry_colour_name(entry->colour));
	fprintf(cli->out, "%s\n", id_format(&stored.id, text));
	entry_release(&stored);
	if (lists_decide_held(cli_registry(cli), domains, &all, "list", &count,
	                      &err))
		return cli_fail(cli, &err);
	if (count.released || count.discarded)
		fprintf(cli->error,
		        "of the held mail %zu released, %zu discarded\n",
		        count.released, count.discarded);
	return CLI_OK;
}

static int add_entry(struct cli *cli, const struct registry_tenant *tenant,
                     struct entry *entry)
{
	struct tenant_domains domains = {0};
	struct error err = {0};
	int status;

	if (entry_canonicalise(entry, &err))
		return cli_usage(cli, "%s", err.text);
	if (tenant_domains_load(&domains, cli_registry(cli), &tenant->id, &err))
		return cli_fail(cli, &err);
	status = check_scope(cli, tenant, &domains, entry);
	if (!status)
		status = put_entry(cli, &tenant->id, &domains, entry);
	tenant_domains_release(&domains);
	return status;
}

static int entry_add(struct cli *cli)
{
	struct entry entry = {.id = id_new(),
	                      .origin = ENTRY_FROM_ADMIN,
	                      .created_ms = clock_wall_ms()};
	struct registry_tenant tenant;
	int status = read_entry(cli, &entry);

	if (!status)
		status = cli_tenant(cli, cli->words[0], &tenant);
	if (!status) {
		status = add_entry(cli, &tenant, &entry);
		registry_tenant_release(&tenant);
	}
	entry_release(&entry);
	return status;
}

static int entry_remove(struct cli *cli)
{
	struct registry_tenant tenant;
	struct error err = {0};
	struct id id;
	int result, status = cli_tenant_and_id(cli, &tenant, &id);

	if (status)
		return status;
	result =
	    registry_entry_remove(cli_registry(cli), &tenant.id, &id, &err);
	if (result == ERR_NOT_FOUND)
		error_set(&err, ERR_NOT_FOUND, "no entry %s", cli->words[1]);
	if (result)
		status = cli_fail(cli, &err);
	else
		cli_audit(cli, &tenant.id, "entry-remove", cli->words[1], "");
	registry_tenant_release(&tenant);
	return status;
}

static void print_entry(FILE *out, const struct entry *entry)
{
	char id[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];
	enum mail_pass demand = entry_demand(entry);

	fprintf(out, "%s\t%s\t%s\t%s\t%s", id_format(&entry->id, id),
	        entry_colour_name(entry->colour), entry_kind_name(entry->kind),
	        entry->value, entry_scope_name(entry->scope));
	if (*entry->scope_value)
		fprintf(out, "=%s", entry->scope_value);
	fprintf(out, "\t%s", entry_origin_name(entry->origin));
	if (demand != MAIL_PASS_NONE)
		fputs("\tdemands-pass", out);
	if (demand > MAIL_PASS_SPF)
		fprintf(out, "=%s", mail_pass_name(demand));
	if (entry->expires_ms)
		fprintf(out, "\tuntil %s",
		        clock_format_rfc3339(entry->expires_ms, time));
	if (*entry->note) {
		fputc('\t', out);
		cli_print_text(out, entry->note);
	}
	fputc('\n', out);
}

static int list_pages(struct cli *cli, const struct id *tenant)
{
	struct registry_entries page;
	struct error err = {0};
	struct id after = {{0}};
	bool more = true;
	size_t i;

	while (more) {
		memset(&page, 0, sizeof(page));
		if (registry_entry_list(cli_registry(cli), tenant, &after,
		                        PAGE_SIZE, &page, &err))
			return cli_fail(cli, &err);
		for (i = 0; i < page.count; i++)
			print_entry(cli->out, &page.entries[i]);
		if (page.count > 0)
			after = page.entries[page.count - 1].id;
		more = page.more && page.count > 0;
		registry_entries_release(&page);
	}
	return CLI_OK;
}

static int entry_list(struct cli *cli)
{
	struct registry_tenant tenant;
	int status = cli_tenant(cli, cli->words[0], &tenant);

	if (status)
		return status;
	status = list_pages(cli, &tenant.id);
	registry_tenant_release(&tenant);
	return status;
}

const struct cli_command cli_entry_commands[] = {
    {"entry", "add",
     "TENANT white|black KIND VALUE [--domain D | --mailbox M] "
     "[--demand none|pass|dkim|dmarc | --demand-pass] "
     "[--expires TIME] [--note TEXT]",
     "adds an entry, prints its id, and decides the held mail it matches; "
     "KIND: address, domain, subdomains, network or pattern",
     CLI_NEEDS_CLOUD, entry_add},
    {"entry", "remove", "TENANT ID", "takes an entry away", CLI_NEEDS_CLOUD,
     entry_remove},
    {"entry", "list", "TENANT", "lists the tenant's entries", CLI_NEEDS_CLOUD,
     entry_list},
    {0},
};
