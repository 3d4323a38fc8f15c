/* The table of the agent's keys, and the checks that span several of them. */
#include "local-agent/agent-config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/http/client.h"
#include "common/mail/address.h"
#include "common/mail/suffix.h"
#include "common/mem.h"
#include "store/spool/spool.h"

#define MINUTE_MS    INT64_C(60000)
#define HOUR_MS      (60 * MINUTE_MS)
#define DAY_MS       (24 * HOUR_MS)
#define MIB          INT64_C(1048576)
#define KEY_MAXIMUM  4096
#define NAME_MAXIMUM 253
#define AGENT_NAME   "agent"

static const char *const positions[] = {"above", "below", NULL};
static const char *const checks[] = {"next_hop", "list", "off", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

/* Of an API key: "tk_" and 8 letters, "_", 43 more. */
#define KEY_PREFIX_LENGTH 11
#define KEY_LENGTH        55

/* A peer of a session is compared with it as a text. */
static int check_address(const char *text, struct error *err)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char canonical[INET6_ADDRSTRLEN];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, bytes) != 1)
		return error_set(err, ERR_INVALID,
		                 "\"%.128s\" is no numeric address such as "
		                 "192.0.2.1 or 2001:db8::1",
		                 text);
	(void)inet_ntop(family, bytes, canonical, sizeof(canonical));
	if (strcmp(text, canonical) != 0)
		return error_set(err, ERR_INVALID, "\"%.128s\" is written %s",
		                 text, canonical);
	return 0;
}

/* clang-format off */
#define AT(field) offsetof(struct agent_config, field)
#define TEXT(n, f, s, h)                                                    \
	{.name = (n), .type = CONFIG_STRING, .offset = AT(f),               \
	 .standard = (s), .help = (h)}
#define NUMBER(n, t, f, s, lo, hi, h)                                       \
	{.name = (n), .type = (t), .offset = AT(f), .standard = (s),        \
	 .minimum = (lo), .maximum = (hi), .help = (h)}

const struct config_field agent_config_fields[] = {
	TEXT("agent.name", agent_name, NULL,
	     "name of this agent among those that share a spool, each its "
	     "own; \"agent\" if unset, required with MongoDB"),
	TEXT("agent.hostname", agent_hostname, NULL,
	     "name in greetings and Received headers; the system's if unset"),
	TEXT("smtp.listen", smtp_listen, "127.0.0.1:10025",
	     "address and port to take mail on"),
	NUMBER("smtp.threads", CONFIG_INTEGER, smtp_threads, "2", 1, 64,
	     "threads that talk SMTP"),
	NUMBER("smtp.max_message_size", CONFIG_BYTES, smtp_max_message_size,
	     "50M", 1024, 2048 * MIB, "largest message taken"),
	NUMBER("smtp.max_recipients", CONFIG_INTEGER, smtp_max_recipients,
	     "1000", 1, 10000, "recipients of one message"),
	NUMBER("smtp.max_sessions", CONFIG_INTEGER, smtp_max_sessions, "1000",
	     1, 100000, "sessions at once"),
	NUMBER("smtp.max_sessions_per_address", CONFIG_INTEGER,
	     smtp_max_sessions_per_address, "20", 0, 100000,
	     "sessions at once from one address; 0: no limit"),
	NUMBER("smtp.max_sessions_per_listed", CONFIG_INTEGER,
	     smtp_max_sessions_per_listed, "500", 0, 100000,
	     "the same for each address of xforward_from"),
	NUMBER("smtp.max_hops", CONFIG_INTEGER, smtp_max_hops, "100", 10, 1000,
	     "Received fields of a message that may be delivered; more are a "
	     "loop"),
	{.name = "smtp.xforward_from", .type = CONFIG_LIST,
	 .offset = AT(smtp_xforward_from),
	 .standard = "[\"127.0.0.1\", \"::1\"]", .check = check_address,
	 .help = "addresses whose XFORWARD is believed"},
	NUMBER("smtp.command_timeout", CONFIG_DURATION_MS,
	     smtp_command_timeout_ms, "5min", 1000, HOUR_MS,
	     "time for one command"),
	NUMBER("smtp.data_timeout", CONFIG_DURATION_MS, smtp_data_timeout_ms,
	     "10min", 1000, HOUR_MS, "time for each 64 KiB of a message"),
	NUMBER("smtp.session_timeout", CONFIG_DURATION_MS,
	     smtp_session_timeout_ms, "1h", 1000, DAY_MS,
	     "time for a session"),
	{.name = "recipients.check", .type = CONFIG_CHOICE,
	 .offset = AT(recipients_check), .standard = "next_hop",
	 .choices = checks,
	 .help = "who knows which recipients exist: the next hop, a list, "
		 "nobody"},
	TEXT("recipients.list", recipients_list, NULL,
	     "file of recipients, as Postfix's texthash has them"),
	TEXT("recipients.delimiter", recipients_delimiter, "",
	     "characters that begin an extension, for the list"),
	TEXT("recipients.sender", recipients_sender, "",
	     "envelope sender of questions to the next hop; null if empty"),
	NUMBER("recipients.positive", CONFIG_DURATION_MS,
	     recipients_positive_ms, "1h", 0, 366 * DAY_MS,
	     "how long it is believed that a recipient exists"),
	NUMBER("recipients.stale", CONFIG_DURATION_MS, recipients_stale_ms,
	     "31d", 0, 366 * DAY_MS,
	     "the same while the next hop cannot be asked"),
	NUMBER("recipients.negative", CONFIG_DURATION_MS,
	     recipients_negative_ms, "10min", 0, 366 * DAY_MS,
	     "how long it is believed that a recipient does not exist"),
	NUMBER("recipients.timeout", CONFIG_DURATION_MS, recipients_timeout_ms,
	     "30s", 100, 5 * MINUTE_MS, "time for the next hop's answer"),
	NUMBER("recipients.connections", CONFIG_INTEGER,
	     recipients_connections, "4", 1, 100,
	     "connections that ask the next hop at once"),
	NUMBER("recipients.cache", CONFIG_INTEGER, recipients_cache_entries,
	     "100000", 1000, 10000000, "recipients that are remembered"),
	{.name = "recipients.routed", .type = CONFIG_BOOLEAN,
	 .offset = AT(recipients_routed), .standard = "no",
	 .help = "take recipients whose local part has %, ! or a quoted @, "
		 "which a next hop may relay elsewhere"},
	TEXT("next_hop.address", next_hop_address, "127.0.0.1:10026",
	     "where released mail goes to"),
	NUMBER("next_hop.connections", CONFIG_INTEGER, next_hop_connections,
	     "20", 1, 1000, "connections to the next hop at once"),
	NUMBER("next_hop.messages_per_connection", CONFIG_INTEGER,
	     next_hop_messages_per_connection, "100", 1, 1000000,
	     "messages before a connection is closed"),
	NUMBER("next_hop.connect_timeout", CONFIG_DURATION_MS,
	     next_hop_connect_timeout_ms, "30s", 100, 10 * MINUTE_MS,
	     "time to connect"),
	NUMBER("next_hop.timeout_percent", CONFIG_INTEGER,
	     next_hop_timeout_percent, "100", 1, 1000,
	     "the timeouts of RFC 5321 4.5.3.2, in percent"),
	{.name = "spool.backend", .type = CONFIG_STRING,
	 .offset = AT(spool_backend), .standard = "sqlite",
	 .choices = spool_backend_names,
	 .help = "store of held and queued mail"},
	{.name = "spool.location", .type = CONFIG_STRING,
	 .offset = AT(spool_location), .required = true, .secret = true,
	 .location = true,
	 .help = "directory of the spool, on a local file system; with "
		 "MongoDB the URI of a connection"},
	TEXT("spool.incoming", spool_incoming, NULL,
	     "directory where large messages wait for their commit to MongoDB; "
	     "a private one below /var/tmp if unset"),
	NUMBER("spool.large_body", CONFIG_BYTES, spool_large_body, "100k",
	     1024, 64 * MIB, "larger messages are kept in files"),
	NUMBER("spool.min_free", CONFIG_BYTES, spool_min_free, "64M", 0,
	     INT64_C(1) << 50, "free space below which no mail is taken"),
	{.name = "cloud.url", .type = CONFIG_STRING, .offset = AT(cloud_url),
	 .required = true, .help = "base URL of the cloud service"},
	{.name = "cloud.key", .type = CONFIG_STRING, .offset = AT(cloud_key),
	 .secret = true, .help = "API key of this agent"},
	TEXT("cloud.key_file", cloud_key_file, NULL,
	     "file that holds the API key"),
	TEXT("cloud.ca_file", cloud_ca_file, NULL,
	     "authorities to trust; the system's if unset"),
	NUMBER("cloud.poll_wait", CONFIG_DURATION_MS, cloud_poll_wait_ms,
	     "50s", 0, MINUTE_MS, "how long the cloud may keep a poll open"),
	NUMBER("cloud.retry_min", CONFIG_DURATION_MS, cloud_retry_min_ms,
	     "1s", 10, HOUR_MS, "first pause when the cloud is away"),
	NUMBER("cloud.retry_max", CONFIG_DURATION_MS, cloud_retry_max_ms,
	     "5min", 10, DAY_MS, "longest pause when the cloud is away"),
	TEXT("policy.authserv_id", policy_authserv_id, NULL,
	     "authserv-id of the MX whose Authentication-Results are trusted"),
	{.name = "policy.accept_missing_authserv_id", .type = CONFIG_BOOLEAN,
	 .offset = AT(policy_accept_missing_authserv_id), .standard = "no",
	 .help = "the MX writes Authentication-Results without an "
		 "authserv-id"},
	{.name = "policy.authres_position", .type = CONFIG_CHOICE,
	 .offset = AT(policy_authres_position), .standard = "above",
	 .choices = positions,
	 .help = "where the MX writes Authentication-Results: above or below "
		 "its own Received line"},
	NUMBER("policy.trusted_hops", CONFIG_INTEGER, policy_trusted_hops, "1",
	     1, 50, "the MX's own Received line, counted from the top"),
	{.name = "policy.challenge_unauthenticated_senders",
	 .type = CONFIG_BOOLEAN,
	 .offset = AT(policy_challenge_unauthenticated_senders),
	 .standard = "no",
	 .help = "challenge senders that no MX has authenticated"},
	TEXT("policy.public_suffix_list", policy_public_suffix_list, NULL,
	     "file with the list of public suffixes; the system's if unset"),
	{.name = "policy.upload_subject", .type = CONFIG_BOOLEAN,
	 .offset = AT(policy_upload_subject), .standard = "yes",
	 .help = "send the subject of held mail to the cloud"},
	NUMBER("policy.hold_for", CONFIG_DURATION_MS, policy_hold_for_ms,
	     "14d", 1000, 366 * DAY_MS, "how long mail is held"),
	NUMBER("queue.retry_min", CONFIG_DURATION_MS, queue_retry_min_ms,
	     "5min", 100, DAY_MS, "first pause before another try"),
	NUMBER("queue.retry_max", CONFIG_DURATION_MS, queue_retry_max_ms,
	     "4h", 100, 7 * DAY_MS, "longest pause before another try"),
	NUMBER("queue.give_up", CONFIG_DURATION_MS, queue_give_up_ms, "5d",
	     100, 30 * DAY_MS, "pauses in all before delivery fails"),
	NUMBER("queue.keep_failed", CONFIG_DURATION_MS, queue_keep_failed_ms,
	     "14d", 1000, 366 * DAY_MS,
	     "how long mail that the next hop refused is kept for the admin "
	     "while its sender has not been told"),
	NUMBER("queue.keep_history", CONFIG_DURATION_MS,
	     queue_keep_history_ms, "30d", 0, 3660 * DAY_MS,
	     "how long the record of finished mail is kept"),
	NUMBER("queue.lease", CONFIG_DURATION_MS, queue_lease_ms, "2min", 1000,
	     DAY_MS, "after which mail that an agent died over is delivered by "
	     "another one of the same spool"),
	{.name = "dsn.enabled", .type = CONFIG_BOOLEAN,
	 .offset = AT(dsn_enabled), .standard = "yes",
	 .help = "tell authenticated senders of mail that failed"},
	TEXT("dsn.from", dsn_from, NULL,
	     "address in From of what they are sent; postmaster@ with "
	     "agent.hostname if unset"),
	TEXT("dsn.relay", dsn_relay_address, NULL,
	     "server that takes what they are sent; the next hop if unset"),
	TEXT("metrics.listen", metrics_listen, "127.0.0.1:10027",
	     "address and port of /healthz, /readyz, /metrics; \"\": none"),
	{.name = "log.level", .type = CONFIG_CHOICE, .offset = AT(log_level),
	 .standard = "info", .choices = levels,
	 .help = "least important lines written"},
	{.name = NULL},
};
/* clang-format on */

static bool is_set(const char *text)
{
	return text && *text;
}

/* Whether text can stand in a greeting and in a Received header. */
static bool is_host_name(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length <= NAME_MAXIMUM &&
	       strspn(text,
	              "abcdefghijklmnopqrstuvwxyz"
	              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == length;
}

static int find_hostname(const char *name, struct agent_config *config,
                         struct error *err)
{
	char own[NAME_MAXIMUM + 1] = "";

	if (is_set(config->agent_hostname)) {
		config->hostname = mem_copy_string(config->agent_hostname);
	} else {
		if (gethostname(own, sizeof(own) - 1) != 0 || !*own)
			(void)snprintf(own, sizeof(own), "localhost");
		config->hostname = mem_copy_string(own);
	}
	if (!is_host_name(config->hostname))
		return error_set(err, ERR_INVALID,
		                 "%s: agent.hostname: \"%s\" is no host name",
		                 name, config->hostname);
	return 0;
}

int agent_endpoint_resolve(const char *text, struct agent_endpoint *endpoint,
                           struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char numeric[NI_MAXHOST], *host = NULL;
	uint16_t port;
	int result = config_parse_endpoint(text, &host, &port, err);

	if (result)
		return result;
	result = getaddrinfo(host, NULL, &hints, &found);
	if (result == 0)
		result = getnameinfo(found->ai_addr, found->ai_addrlen, numeric,
		                     sizeof(numeric), NULL, 0, NI_NUMERICHOST);
	if (found)
		freeaddrinfo(found);
	free(host);
	if (result)
		return error_set(err, ERR_INVALID, "%s: %s", text,
		                 gai_strerror(result));
	endpoint->address = mem_copy_string(numeric);
	endpoint->port = port;
	return 0;
}

char *agent_endpoint_text(const struct agent_endpoint *endpoint)
{
	bool brackets = strchr(endpoint->address, ':') != NULL;

	return mem_format("%s%s%s:%u", brackets ? "[" : "", endpoint->address,
	                  brackets ? "]" : "", endpoint->port);
}

/* Resolves an endpoint of the file, once, at the start. */
static int resolve(const char *name, const char *key, const char *text,
                   struct agent_endpoint *endpoint, struct error *err)
{
	struct error detail = {.text = ""};

	if (agent_endpoint_resolve(text, endpoint, &detail))
		return error_set(err, ERR_INVALID, "%s: %s: %s", name, key,
		                 detail.text);
	return 0;
}

static int resolve_endpoints(const char *name, struct agent_config *config,
                             struct error *err)
{
	int result = resolve(name, "smtp.listen", config->smtp_listen,
	                     &config->smtp, err);

	if (result == 0)
		result =
		    resolve(name, "next_hop.address", config->next_hop_address,
		            &config->next_hop, err);
	if (result == 0 && is_set(config->metrics_listen))
		result = resolve(name, "metrics.listen", config->metrics_listen,
		                 &config->metrics, err);
	if (result == 0 && is_set(config->dsn_relay_address))
		result = resolve(name, "dsn.relay", config->dsn_relay_address,
		                 &config->dsn_relay, err);
	return result;
}

/* Whether who listens at one takes what is sent to other. */
static bool is_met(const struct agent_endpoint *one,
                   const struct agent_endpoint *other)
{
	bool loopback = strncmp(other->address, "127.", 4) == 0 ||
	                strcmp(other->address, "::1") == 0;

	if (one->port != other->port)
		return false;
	return strcmp(one->address, other->address) == 0 ||
	       (loopback && (strcmp(one->address, "0.0.0.0") == 0 ||
	                     strcmp(one->address, "::") == 0));
}

/* Mail that goes to the agent itself would come back for ever. */
static int check_endpoints(const char *name, const struct agent_config *config,
                           struct error *err)
{
	const char *key = NULL;

	if (is_met(&config->smtp, &config->next_hop))
		key = "next_hop.address";
	else if (config->dsn_relay.address &&
	         is_met(&config->smtp, &config->dsn_relay))
		key = "dsn.relay";
	else if (config->metrics.address &&
	         is_met(&config->smtp, &config->metrics))
		key = "metrics.listen";
	if (!key)
		return 0;
	return error_set(err, ERR_INVALID,
	                 "%s: %s: that is smtp.listen, the agent's own", name,
	                 key);
}

static int find_dsn_from(const char *name, struct agent_config *config,
                         struct error *err)
{
	if (!is_set(config->dsn_from)) {
		free(config->dsn_from);
		config->dsn_from =
		    mem_format("postmaster@%s", config->hostname);
	} else if (!mail_address_valid(config->dsn_from, false)) {
		return error_set(err, ERR_INVALID,
		                 "%s: dsn.from: \"%s\" is no mail address",
		                 name, config->dsn_from);
	}
	return 0;
}

static int read_key_file(const char *name, struct agent_config *config,
                         struct error *err)
{
	struct buffer file;
	struct error detail;
	size_t length;

	buffer_init(&file, KEY_MAXIMUM);
	if (fs_read_file(config->cloud_key_file, &file, &detail)) {
		buffer_release(&file);
		return error_set(err, ERR_IO, "%s: cloud.key_file: %s", name,
		                 detail.text);
	}
	length = strcspn(buffer_text(&file), "\r\n");
	config->key = mem_copy_bytes(buffer_text(&file), length);
	explicit_bzero(file.data, file.length);
	buffer_release(&file);
	return 0;
}

static int find_key(const char *name, struct agent_config *config,
                    struct error *err)
{
	int result = 0;
	size_t i;

	if (is_set(config->cloud_key) == is_set(config->cloud_key_file))
		return error_set(err, ERR_INVALID,
		                 "%s: one of cloud.key and cloud.key_file is "
		                 "needed, not both",
		                 name);
	if (is_set(config->cloud_key))
		config->key = mem_copy_string(config->cloud_key);
	else
		result = read_key_file(name, config, err);
	if (result)
		return result;
	for (i = 0; config->key[i]; i++)
		if (config->key[i] <= ' ' || config->key[i] > '~')
			break;
	if (i == 0 || config->key[i])
		return error_set(err, ERR_INVALID,
		                 "%s: cloud.key: empty, or with characters "
		                 "that no key has",
		                 name);
	return 0;
}

/* What the client would refuse at the start, or at its first call. */
static int check_cloud(const char *name, const struct agent_config *config,
                       struct error *err)
{
	struct error why = {.text = ""};

	if (http_client_check_url(config->cloud_url, &why))
		return error_set(err, ERR_INVALID, "%s: cloud.url: %.400s",
		                 name, why.text);
	if (is_set(config->cloud_ca_file) &&
	    fs_check_certificates(config->cloud_ca_file, &why))
		return error_set(err, ERR_INVALID, "%s: cloud.ca_file: %.400s",
		                 name, why.text);
	if (is_set(config->cloud_key_file) &&
	    fs_is_open_to_others(config->cloud_key_file))
		return error_set(err, ERR_INVALID,
		                 "%s: cloud.key_file: everybody can read %s: "
		                 "chmod o-r",
		                 name, config->cloud_key_file);
	return 0;
}

static int check_recipients(const char *name, const struct agent_config *config,
                            struct error *err)
{
	bool by_list = config->recipients_check == RECIPIENTS_LIST;

	if (by_list != is_set(config->recipients_list))
		return error_set(err, ERR_INVALID, "%s: recipients.list: %s",
		                 name,
		                 by_list ? "needed with recipients.check = list"
		                         : "needs recipients.check = list");
	if (is_set(config->recipients_sender) &&
	    !mail_address_valid(config->recipients_sender, false))
		return error_set(err, ERR_INVALID,
		                 "%s: recipients.sender: no mail address",
		                 name);
	return 0;
}

/* The list that the file names is in force from here on. */
static int load_suffixes(const char *name, const struct agent_config *config,
                         struct error *err)
{
	struct error why = {0};
	int result =
	    mail_suffixes_load(config->policy_public_suffix_list, &why);

	if (result)
		return error_set(err, (enum error_code)result,
		                 "%s: policy.public_suffix_list: %.400s", name,
		                 why.text);
	return 0;
}

static int check_authserv_id(const char *name,
                             const struct agent_config *config,
                             struct error *err)
{
	const char *id = config->policy_authserv_id;

	if (is_set(id) && strpbrk(id, " \t\r\n;=/()<>@,\\\""))
		return error_set(err, ERR_INVALID,
		                 "%s: policy.authserv_id: \"%s\" is none: it "
		                 "is the first word of the field, up to \";\" "
		                 "or \"/\"",
		                 name, id);
	if (!is_set(id) && !config->policy_accept_missing_authserv_id &&
	    !config->policy_challenge_unauthenticated_senders)
		return error_set(
		    err, ERR_INVALID,
		    "%s: policy.authserv_id: needed to know who a sender is; "
		    "where your MX writes no Authentication-Results, say "
		    "policy.challenge_unauthenticated_senders = yes",
		    name);
	return 0;
}

static int check_relations(const char *name, const struct agent_config *config,
                           struct error *err)
{
	int result = check_authserv_id(name, config, err);

	if (result)
		return result;
	if (config->queue_retry_min_ms > config->queue_retry_max_ms)
		return error_set(err, ERR_INVALID,
		                 "%s: queue.retry_min: above queue.retry_max",
		                 name);
	if (config->cloud_retry_min_ms > config->cloud_retry_max_ms)
		return error_set(err, ERR_INVALID,
		                 "%s: cloud.retry_min: above cloud.retry_max",
		                 name);
	result = check_recipients(name, config, err);
	return result ? result : load_suffixes(name, config, err);
}

/*
 * Who opens a spool drops the claims of its own name, as those of its past:
 * two agents of one name would take each other's mail.
 */
static int find_name(const char *name, struct agent_config *config,
                     struct error *err)
{
	if (!config->agent_name &&
	    strcmp(config->spool_backend, "mongodb") == 0)
		return error_set(
		    err, ERR_INVALID,
		    "%s: agent.name: required with spool.backend = mongodb: "
		    "each agent that shares the spool needs a name of its own",
		    name);
	if (!config->agent_name)
		config->agent_name = mem_copy_string(AGENT_NAME);
	if (!*config->agent_name)
		return error_set(err, ERR_INVALID, "%s: agent.name: empty",
		                 name);
	return 0;
}

static void release_derived(struct agent_config *config)
{
	if (config->key)
		explicit_bzero(config->key, strlen(config->key));
	free(config->key);
	free(config->hostname);
	free(config->smtp.address);
	free(config->next_hop.address);
	free(config->metrics.address);
	free(config->dsn_relay.address);
}

/* Works out what follows from the keys of a file that was read. */
static int complete(const char *name, struct agent_config *config,
                    struct error *err)
{
	int result = check_relations(name, config, err);

	if (result == 0)
		result = check_cloud(name, config, err);
	if (result == 0)
		result = find_name(name, config, err);
	if (result == 0)
		result = find_hostname(name, config, err);
	if (result == 0)
		result = find_dsn_from(name, config, err);
	if (result == 0)
		result = find_key(name, config, err);
	if (result == 0)
		result = resolve_endpoints(name, config, err);
	if (result == 0)
		result = check_endpoints(name, config, err);
	if (result)
		agent_config_release(config);
	return result;
}

int agent_config_load(const char *path, struct agent_config *config,
                      struct error *err)
{
	struct agent_config loaded = {0};
	int result = config_load(path, agent_config_fields, &loaded, err);

	if (result == 0)
		result = complete(path, &loaded, err);
	loaded.path = path;
	if (result == 0)
		*config = loaded;
	return result;
}

int agent_config_load_text(const char *name, const char *text,
                           struct agent_config *config, struct error *err)
{
	struct agent_config loaded = {0};
	int result =
	    config_load_text(name, text, agent_config_fields, &loaded, err);

	if (result == 0)
		result = complete(name, &loaded, err);
	if (result == 0)
		*config = loaded;
	return result;
}

void agent_config_release(struct agent_config *config)
{
	release_derived(config);
	if (config->cloud_key)
		explicit_bzero(config->cloud_key, strlen(config->cloud_key));
	config_release(agent_config_fields, config);
	*config = (struct agent_config){0};
}

bool agent_config_key_is_formed(const struct agent_config *config)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                               "abcdefghijklmnopqrstuvwxyz"
	                               "0123456789-_";
	const char *key = config->key;

	return strlen(key) == KEY_LENGTH && !strncmp(key, "tk_", 3) &&
	       key[KEY_PREFIX_LENGTH] == '_' &&
	       strspn(key, alphabet) == KEY_LENGTH;
}
