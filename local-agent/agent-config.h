/* The agent's configuration: the keys of turing-agent.conf. */
#ifndef LOCAL_AGENT_AGENT_CONFIG_H
#define LOCAL_AGENT_AGENT_CONFIG_H

#include <stdint.h>

#include "common/config/config.h"

/* Where mail or a request goes to, or where it is taken. */
struct agent_endpoint {
	char *address; /* numeric; NULL: switched off */
	uint16_t port;
};

/* How it is known that a recipient exists. */
enum recipients_check { RECIPIENTS_NEXT_HOP, RECIPIENTS_LIST, RECIPIENTS_OFF };

/* The file's keys, then what is worked out from them. */
struct agent_config {
	char *agent_name, *agent_hostname;

	char *smtp_listen;
	int64_t smtp_threads, smtp_max_message_size, smtp_max_recipients;
	int64_t smtp_max_sessions, smtp_max_sessions_per_address;
	int64_t smtp_max_sessions_per_listed;
	int64_t smtp_max_hops;
	struct config_list smtp_xforward_from;
	int64_t smtp_command_timeout_ms, smtp_data_timeout_ms;
	int64_t smtp_session_timeout_ms;

	int64_t recipients_check; /* an enum recipients_check */
	char *recipients_list, *recipients_delimiter, *recipients_sender;
	bool recipients_routed;
	int64_t recipients_positive_ms, recipients_negative_ms;
	int64_t recipients_stale_ms, recipients_timeout_ms;
	int64_t recipients_connections, recipients_cache_entries;

	char *next_hop_address;
	int64_t next_hop_connections, next_hop_messages_per_connection;
	int64_t next_hop_connect_timeout_ms, next_hop_timeout_percent;

	char *spool_backend, *spool_location, *spool_incoming;
	int64_t spool_large_body, spool_min_free;

	char *cloud_url, *cloud_key, *cloud_key_file, *cloud_ca_file;
	int64_t cloud_poll_wait_ms, cloud_retry_min_ms, cloud_retry_max_ms;

	char *policy_authserv_id, *policy_public_suffix_list;
	bool policy_accept_missing_authserv_id;
	int64_t policy_authres_position; /* 0: above, 1: below */
	int64_t policy_trusted_hops;
	bool policy_challenge_unauthenticated_senders, policy_upload_subject;
	int64_t policy_hold_for_ms;

	int64_t queue_retry_min_ms, queue_retry_max_ms, queue_give_up_ms;
	int64_t queue_keep_failed_ms, queue_keep_history_ms, queue_lease_ms;

	bool dsn_enabled;
	char *dsn_from; /* postmaster@hostname where the file has none */
	char *dsn_relay_address;

	char *metrics_listen;
	int64_t log_level; /* an enum log_level */

	/* Worked out: never NULL but for the addresses of the last two. */
	char *hostname, *key;
	struct agent_endpoint smtp, next_hop, metrics, dsn_relay;
	const char *path; /* of the file, borrowed; NULL: it was a text */
};

/* The table of keys. */
extern const struct config_field agent_config_fields[];

/*
 * Reads and checks the file at path, resolves the endpoints and reads the
 * key. 0, ERR_INVALID with "PATH:LINE: key: what is wrong" or "PATH: ...", or
 * ERR_IO. The caller releases *config after success only.
 */
int agent_config_load(const char *path, struct agent_config *config,
                      struct error *err);

/* As agent_config_load() from text; name stands for the path in errors. */
int agent_config_load_text(const char *name, const char *text,
                           struct agent_config *config, struct error *err);

/*
 * Turns "HOST:PORT" into a numeric address. ERR_INVALID with what is wrong;
 * the caller frees endpoint->address after success.
 */
int agent_endpoint_resolve(const char *text, struct agent_endpoint *endpoint,
                           struct error *err);

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" on the heap, which resolves to it. */
char *agent_endpoint_text(const struct agent_endpoint *endpoint);

/*
 * Whether the key has the form of those that "turing-cloud agent add" prints:
 * another is never accepted.
 */
bool agent_config_key_is_formed(const struct agent_config *config);

/* Frees what the configuration holds; the key is wiped. */
void agent_config_release(struct agent_config *config);

#endif
