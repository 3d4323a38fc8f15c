/* The table of turing-cloud's keys, and the checks that span several. */
#include "cloud-service/cloud-config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mail/suffix.h"
#include "common/mem.h"
#include "common/network.h"
#include "store/registry/registry.h"

static int check_network(const char *text, struct error *err)
{
	struct network network;

	if (!network_parse(text, &network))
		return 0;
	return error_set(err, ERR_INVALID,
	                 "\"%.128s\" is neither a numeric address nor a "
	                 "network such as 10.0.0.0/8",
	                 text);
}

/* clang-format off */
#define AT(member) offsetof(struct cloud_config, member)
#define SECOND     INT64_C(1000)
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)

static const char *const return_paths[] = {"null", "verp", NULL};
static const char *const starttls_words[] = {"no", "required", NULL};
static const char *const log_levels[] = {"error", "warning", "info", "debug",
					 NULL};

/* Mailbox providers: their customers are strangers to each other. */
static const char mailbox_providers[] =
	"[\"gmail.com\", \"googlemail.com\", \"outlook.com\", "
	"\"outlook.fr\", \"hotmail.com\", \"hotmail.fr\", "
	"\"hotmail.co.uk\", \"live.com\", \"live.fr\", \"msn.com\", "
	"\"yahoo.com\", \"yahoo.fr\", \"yahoo.co.uk\", \"ymail.com\", "
	"\"aol.com\", \"icloud.com\", \"me.com\", \"mac.com\", "
	"\"orange.fr\", \"wanadoo.fr\", \"free.fr\", \"sfr.fr\", "
	"\"neuf.fr\", \"bbox.fr\", \"numericable.fr\", "
	"\"laposte.net\", \"gmx.de\", \"gmx.net\", \"gmx.com\", "
	"\"gmx.fr\", \"gmx.at\", \"gmx.ch\", \"web.de\", "
	"\"t-online.de\", \"freenet.de\", \"posteo.de\", "
	"\"mailbox.org\", \"proton.me\", \"protonmail.com\", "
	"\"pm.me\", \"fastmail.com\", \"zoho.com\", \"bluewin.ch\", "
	"\"skynet.be\", \"telenet.be\", \"proximus.be\", \"ziggo.nl\", "
	"\"kpnmail.nl\", \"btinternet.com\", \"libero.it\", "
	"\"virgilio.it\", \"tiscali.it\", \"alice.it\", \"sapo.pt\", "
	"\"seznam.cz\", \"wp.pl\", \"o2.pl\", \"onet.pl\", "
	"\"interia.pl\", \"mail.ru\", \"yandex.ru\", \"comcast.net\", "
	"\"verizon.net\", \"att.net\", \"sympatico.ca\", "
	"\"videotron.ca\", \"uol.com.br\", \"terra.com.br\", "
	"\"bol.com.br\", \"qq.com\", \"163.com\", \"126.com\", "
	"\"naver.com\", \"docomo.ne.jp\"]";

static const struct config_field fields[] = {
	{.name = "instance.name", .type = CONFIG_STRING,
	 .offset = AT(instance_name),
	 .help = "name of this instance; unset: host name and process id"},
	{.name = "http.listen", .type = CONFIG_STRING,
	 .offset = AT(http_listen), .standard = "127.0.0.1:8080",
	 .help = "numeric address and port of the HTTP server"},
	{.name = "http.public_url", .type = CONFIG_STRING,
	 .offset = AT(public_url), .standard = "http://127.0.0.1:8080",
	 .help = "what links in challenge mails begin with"},
	{.name = "http.trusted_proxies", .type = CONFIG_LIST,
	 .offset = AT(trusted_proxies), .check = check_network,
	 .help = "addresses and networks whose X-Forwarded-For is believed"},
	{.name = "http.threads", .type = CONFIG_INTEGER,
	 .offset = AT(http_threads), .standard = "0",
	 .minimum = 0, .maximum = 256,
	 .help = "threads of the HTTP server; 0: one a core"},
	{.name = "http.workers", .type = CONFIG_INTEGER,
	 .offset = AT(http_workers), .standard = "8",
	 .minimum = 2, .maximum = 256,
	 .help = "threads that work on requests that need the store"},
	{.name = "http.max_connections", .type = CONFIG_INTEGER,
	 .offset = AT(http_max_connections), .standard = "20000",
	 .minimum = 10, .maximum = 1000000,
	 .help = "HTTP connections at once, waiting ones included"},
	{.name = "http.polls_per_key", .type = CONFIG_INTEGER,
	 .offset = AT(polls_per_key), .standard = "16",
	 .minimum = 2, .maximum = 100000,
	 .help = "requests with one API key that may wait at once; each "
		 "machine with it needs two"},
	{.name = "http.drain", .type = CONFIG_DURATION_MS,
	 .offset = AT(http_drain_ms), .standard = "5s",
	 .minimum = 0, .maximum = 10 * MINUTE,
	 .help = "how long a daemon that was told to stop goes on serving"},
	{.name = "store.backend", .type = CONFIG_STRING,
	 .offset = AT(store_backend), .standard = "sqlite",
	 .choices = registry_backend_names,
	 .help = "the registry's store"},
	{.name = "store.location", .type = CONFIG_STRING,
	 .offset = AT(store_location), .required = true, .secret = true,
	 .location = true,
	 .help = "the registry's directory, or its connection URI"},
	{.name = "store.keep_messages", .type = CONFIG_DURATION_MS,
	 .offset = AT(keep_messages_ms), .standard = "90d",
	 .minimum = HOUR, .maximum = 36500 * DAY,
	 .help = "how long messages are kept that expired, or would have"},
	{.name = "store.keep_decisions", .type = CONFIG_DURATION_MS,
	 .offset = AT(keep_decisions_ms), .standard = "90d",
	 .minimum = DAY, .maximum = 36500 * DAY,
	 .help = "how long decisions are kept, for agents that were away"},
	{.name = "store.keep_challenges", .type = CONFIG_DURATION_MS,
	 .offset = AT(keep_challenges_ms), .standard = "90d",
	 .minimum = HOUR, .maximum = 36500 * DAY,
	 .help = "how long challenges are kept that came to their end"},
	{.name = "store.keep_audit", .type = CONFIG_DURATION_MS,
	 .offset = AT(keep_audit_ms), .standard = "400d",
	 .minimum = DAY, .maximum = 36500 * DAY,
	 .help = "how long the lines of the audit are kept"},
	{.name = "store.keep_dead_senders", .type = CONFIG_DURATION_MS,
	 .offset = AT(keep_dead_senders_ms), .standard = "180d",
	 .minimum = HOUR, .maximum = 36500 * DAY,
	 .help = "how long senders stay marked as not there"},
	{.name = "quota.messages", .type = CONFIG_INTEGER,
	 .offset = AT(quota_messages), .standard = "1000000",
	 .minimum = 0, .maximum = INT64_MAX,
	 .help = "held messages that a tenant may have registered; 0: no limit"},
	{.name = "quota.bytes", .type = CONFIG_BYTES,
	 .offset = AT(quota_bytes), .standard = "0",
	 .minimum = 0, .maximum = INT64_MAX,
	 .help = "the same, of their sizes in all; 0: no limit"},
	{.name = "challenge.from", .type = CONFIG_STRING,
	 .offset = AT(challenge_from), .required = true,
	 .help = "mail address in the From field of challenge mails"},
	{.name = "challenge.from_name", .type = CONFIG_STRING,
	 .offset = AT(challenge_from_name),
	 .help = "name beside that address"},
	{.name = "challenge.return_path", .type = CONFIG_CHOICE,
	 .offset = AT(return_path), .standard = "null",
	 .choices = return_paths,
	 .help = "envelope sender of challenge mails"},
	{.name = "challenge.bounce_domain", .type = CONFIG_STRING,
	 .offset = AT(bounce_domain),
	 .help = "domain of VERP return paths, whose mail comes to "
		 "bounce.listen"},
	{.name = "challenge.expires", .type = CONFIG_DURATION_MS,
	 .offset = AT(challenge_expires_ms), .standard = "7d",
	 .minimum = SECOND, .maximum = 90 * DAY,
	 .help = "how long a challenge may be solved"},
	{.name = "challenge.max_attempts", .type = CONFIG_INTEGER,
	 .offset = AT(challenge_max_attempts), .standard = "10",
	 .minimum = 1, .maximum = 1000,
	 .help = "wrong answers before a challenge is closed"},
	{.name = "challenge.enabled", .type = CONFIG_BOOLEAN,
	 .offset = AT(challenge_enabled), .standard = "yes",
	 .help = "no: the kill switch, no challenge is opened"},
	{.name = "challenge.cap_sender_hour", .type = CONFIG_INTEGER,
	 .offset = AT(cap_hour[CHALLENGES_OF_SENDER]), .standard = "3",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges to one sender within an hour; 0: no cap"},
	{.name = "challenge.cap_sender_day", .type = CONFIG_INTEGER,
	 .offset = AT(cap_day[CHALLENGES_OF_SENDER]), .standard = "6",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges to one sender within a day; 0: no cap"},
	{.name = "challenge.cap_client_hour", .type = CONFIG_INTEGER,
	 .offset = AT(cap_hour[CHALLENGES_OF_CLIENT]), .standard = "40",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges for mail from one network of clients within an hour; 0: no cap"},
	{.name = "challenge.cap_client_day", .type = CONFIG_INTEGER,
	 .offset = AT(cap_day[CHALLENGES_OF_CLIENT]), .standard = "200",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges for mail from one network of clients within a day; 0: no cap"},
	{.name = "challenge.cap_domain_hour", .type = CONFIG_INTEGER,
	 .offset = AT(cap_hour[CHALLENGES_OF_DOMAIN]), .standard = "40",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges to one registered domain and all below it within an hour; 0: no cap"},
	{.name = "challenge.cap_domain_day", .type = CONFIG_INTEGER,
	 .offset = AT(cap_day[CHALLENGES_OF_DOMAIN]), .standard = "200",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges to one registered domain and all below it within a day; 0: no cap"},
	{.name = "challenge.shared_domains", .type = CONFIG_LIST,
	 .offset = AT(shared_domains), .standard = mailbox_providers,
	 .help = "registered domains where everybody may have a mailbox: the "
		 "caps of client and domain are not for their senders"},
	{.name = "challenge.cap_tenant_hour", .type = CONFIG_INTEGER,
	 .offset = AT(cap_hour[CHALLENGES_OF_TENANT]), .standard = "200",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges for one tenant within an hour; 0: no cap"},
	{.name = "challenge.cap_tenant_day", .type = CONFIG_INTEGER,
	 .offset = AT(cap_day[CHALLENGES_OF_TENANT]), .standard = "1000",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges for one tenant within a day; 0: no cap"},
	{.name = "challenge.cap_all_hour", .type = CONFIG_INTEGER,
	 .offset = AT(cap_hour[CHALLENGES_OF_ALL]), .standard = "1000",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges in all within an hour; 0: no cap"},
	{.name = "challenge.cap_all_day", .type = CONFIG_INTEGER,
	 .offset = AT(cap_day[CHALLENGES_OF_ALL]), .standard = "4000",
	 .minimum = 0, .maximum = 1000000,
	 .help = "challenges in all within a day; 0: no cap"},
	{.name = "challenge.dead_pause", .type = CONFIG_DURATION_MS,
	 .offset = AT(dead_pause_ms), .standard = "1h",
	 .minimum = SECOND, .maximum = 30 * DAY,
	 .help = "how long a sender whose challenge came back is left alone "
		 "when he writes to another tenant"},
	{.name = "challenge.mail_retry_min", .type = CONFIG_DURATION_MS,
	 .offset = AT(mail_retry_min_ms), .standard = "1min",
	 .minimum = SECOND, .maximum = DAY,
	 .help = "pause before the second try of a challenge mail"},
	{.name = "challenge.mail_retry_max", .type = CONFIG_DURATION_MS,
	 .offset = AT(mail_retry_max_ms), .standard = "4h",
	 .minimum = SECOND, .maximum = 7 * DAY,
	 .help = "longest pause between tries"},
	{.name = "challenge.mail_attempts", .type = CONFIG_INTEGER,
	 .offset = AT(mail_attempts), .standard = "8",
	 .minimum = 1, .maximum = 100,
	 .help = "tries before a challenge mail is given up"},
	{.name = "smarthost.address", .type = CONFIG_STRING,
	 .offset = AT(smarthost_address), .standard = "127.0.0.1:25",
	 .help = "host and port that challenge mails are handed to"},
	{.name = "smarthost.helo", .type = CONFIG_STRING,
	 .offset = AT(smarthost_helo),
	 .help = "name in EHLO; unset: the domain of challenge.from"},
	{.name = "smarthost.starttls", .type = CONFIG_CHOICE,
	 .offset = AT(smarthost_starttls), .standard = "no",
	 .choices = starttls_words,
	 .help = "whether the session must be encrypted"},
	{.name = "smarthost.ca_file", .type = CONFIG_STRING,
	 .offset = AT(smarthost_ca_file),
	 .help = "authorities for its certificate; unset: the system's"},
	{.name = "smarthost.user", .type = CONFIG_STRING,
	 .offset = AT(smarthost_user), .help = "user name for AUTH"},
	{.name = "smarthost.password", .type = CONFIG_STRING,
	 .offset = AT(smarthost_password), .secret = true,
	 .help = "password for AUTH"},
	{.name = "smarthost.timeout", .type = CONFIG_DURATION_MS,
	 .offset = AT(smarthost_timeout_ms), .standard = "60s",
	 .minimum = SECOND, .maximum = HOUR,
	 .help = "for connecting and for each answer"},
	{.name = "smarthost.threads", .type = CONFIG_INTEGER,
	 .offset = AT(smarthost_threads), .standard = "2",
	 .minimum = 1, .maximum = 64,
	 .help = "challenge mails sent at once"},
	{.name = "bounce.listen", .type = CONFIG_STRING,
	 .offset = AT(bounce_listen), .standard = "127.0.0.1:8025",
	 .help = "SMTP address for bounces with return_path = verp; "
		 "empty: off"},
	{.name = "policy.public_suffix_list", .type = CONFIG_STRING,
	 .offset = AT(public_suffix_list),
	 .help = "file with the list of public suffixes; unset: the system's"},
	{.name = "log.level", .type = CONFIG_CHOICE,
	 .offset = AT(log_level), .standard = "info", .choices = log_levels,
	 .help = "least important lines that are written"},
	{.name = NULL},
};
/* clang-format on */

static int check_endpoint(const char *key, const char *text, bool numeric,
                          struct error *err)
{
	struct error why = {0};
	char *host = NULL;
	uint16_t port = 0;
	unsigned char bytes[16];
	bool is_numeric;

	if (config_parse_endpoint(text, &host, &port, &why))
		return error_set(err, ERR_INVALID, "%s: %.400s", key, why.text);
	is_numeric = inet_pton(AF_INET, host, bytes) == 1 ||
	             inet_pton(AF_INET6, host, bytes) == 1;
	free(host);
	if (numeric && !is_numeric)
		return error_set(err, ERR_INVALID,
		                 "%s: the address must be numeric", key);
	return 0;
}

static int check_public_url(struct cloud_config *config, struct error *err)
{
	char *url = config->public_url;
	size_t length = strlen(url);
	size_t i;

	if (strncmp(url, "https://", 8) && strncmp(url, "http://", 7))
		return error_set(err, ERR_INVALID,
		                 "http.public_url: must begin with https:// "
		                 "or http://");
	for (i = 0; i < length; i++)
		if (!isgraph((unsigned char)url[i]) || strchr("<>\"?#", url[i]))
			return error_set(err, ERR_INVALID,
			                 "http.public_url: character %zu is "
			                 "not allowed",
			                 i + 1);
	if (length > 200)
		return error_set(err, ERR_INVALID,
		                 "http.public_url: longer than 200 bytes");
	while (length > 0 && url[length - 1] == '/')
		url[--length] = '\0';
	return 0;
}

static int check_challenge(struct cloud_config *config, struct error *err)
{
	char folded[256];

	if (!mail_address_valid(config->challenge_from, false))
		return error_set(err, ERR_INVALID,
		                 "challenge.from: not a mail address");
	if (config->mail_retry_max_ms < config->mail_retry_min_ms)
		return error_set(err, ERR_INVALID,
		                 "challenge.mail_retry_max: less than "
		                 "challenge.mail_retry_min");
	if (config->return_path != RETURN_PATH_VERP)
		return 0;
	if (!config->bounce_domain ||
	    mail_domain_fold(config->bounce_domain, folded, sizeof(folded)))
		return error_set(err, ERR_INVALID,
		                 "challenge.bounce_domain: a domain is needed "
		                 "with challenge.return_path = verp");
	if (!*config->bounce_listen)
		return error_set(err, ERR_INVALID,
		                 "bounce.listen: needed with "
		                 "challenge.return_path = verp");
	free(config->bounce_domain);
	config->bounce_domain = mem_copy_string(folded);
	return 0;
}

static int check_smarthost(const struct cloud_config *config, struct error *err)
{
	struct error why = {0};
	int result = check_endpoint("smarthost.address",
	                            config->smarthost_address, false, err);

	if (result)
		return result;
	if (config->smarthost_address[0] == '[')
		return error_set(err, ERR_INVALID,
		                 "smarthost.address: an IPv6 address cannot be "
		                 "used here: give a name");
	if (config->smarthost_ca_file &&
	    fs_check_certificates(config->smarthost_ca_file, &why))
		return error_set(err, ERR_INVALID, "smarthost.ca_file: %.400s",
		                 why.text);
	if (!config->smarthost_user != !config->smarthost_password)
		return error_set(err, ERR_INVALID,
		                 "smarthost.user: user and password belong "
		                 "together");
	if (config->smarthost_user &&
	    config->smarthost_starttls != STARTTLS_REQUIRED)
		return error_set(err, ERR_INVALID,
		                 "smarthost.user: a password is sent only "
		                 "with smarthost.starttls = required");
	return 0;
}

static void fill_defaults(struct cloud_config *config)
{
	char host[128] = "cloud";

	if (config->instance_name && *config->instance_name)
		return;
	free(config->instance_name);
	gethostname(host, sizeof(host) - 1);
	config->instance_name = mem_format("%.100s-%ld", host, (long)getpid());
}

static int verify(struct cloud_config *config, struct error *err)
{
	struct error why = {0};
	int result;

	result = check_endpoint("http.listen", config->http_listen, true, err);
	if (!result)
		result = check_public_url(config, err);
	if (!result)
		result = check_challenge(config, err);
	if (!result)
		result = check_smarthost(config, err);
	if (!result && *config->bounce_listen)
		result = check_endpoint("bounce.listen", config->bounce_listen,
		                        true, err);
	/* The list that the file names is in force from here on. */
	if (!result &&
	    (result = mail_suffixes_load(config->public_suffix_list, &why)))
		error_set(err, why.code, "policy.public_suffix_list: %.400s",
		          why.text);
	if (!result)
		fill_defaults(config);
	return result;
}

/* Checks what was loaded; on failure nothing stays allocated. */
static int finish(const char *name, struct cloud_config *config,
                  struct error *err)
{
	struct error why = {0};
	int result = verify(config, &why);

	if (!result)
		return 0;
	config_release(fields, config);
	return error_set(err, why.code, "%s: %.400s", name, why.text);
}

int cloud_config_load(const char *path, struct cloud_config *config,
                      struct error *err)
{
	int result;

	memset(config, 0, sizeof(*config));
	result = config_load(path, fields, config, err);
	return result ? result : finish(path, config, err);
}

int cloud_config_load_text(const char *name, const char *text,
                           struct cloud_config *config, struct error *err)
{
	int result;

	memset(config, 0, sizeof(*config));
	result = config_load_text(name, text, fields, config, err);
	return result ? result : finish(name, config, err);
}

void cloud_config_release(struct cloud_config *config)
{
	config_release(fields, config);
}

void cloud_config_print(const struct cloud_config *config, const char *path,
                        FILE *out)
{
	config_print(fields, config, path, out);
}

void cloud_config_print_reference(FILE *out)
{
	config_print_reference(fields, out);
}
