/* The configuration of turing-cloud. */
#ifndef CLOUD_CONFIG_H
#define CLOUD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/config/config.h"
#include "store/registry/registry.h"

enum cloud_return_path { RETURN_PATH_NULL, RETURN_PATH_VERP };
enum cloud_starttls { STARTTLS_NO, STARTTLS_REQUIRED };

/* What the file says; filled by cloud_config_load(). */
struct cloud_config {
	char *instance_name; /* never NULL after loading */
	char *http_listen;
	char *public_url; /* without a slash at its end */
	struct config_list trusted_proxies;
	int64_t http_threads;
	int64_t http_workers;
	int64_t http_max_connections;
	int64_t polls_per_key;
	int64_t quota_messages, quota_bytes;
	int64_t http_drain_ms;
	char *store_backend;
	char *store_location;
	int64_t keep_messages_ms;     /* after a message's expiry */
	int64_t keep_decisions_ms;    /* after they were taken */
	int64_t keep_challenges_ms;   /* after they came to their end */
	int64_t keep_audit_ms;        /* after a line was written */
	int64_t keep_dead_senders_ms; /* after one was marked */
	char *challenge_from;
	char *challenge_from_name; /* may be NULL */
	int64_t return_path;       /* enum cloud_return_path */
	char *bounce_domain;       /* NULL unless given */
	int64_t challenge_expires_ms;
	int64_t challenge_max_attempts;
	bool challenge_enabled;
	int64_t dead_pause_ms; /* see challenge_gate() */
	/* How many challenges of a group may be opened; 0: no cap. */
	struct config_list shared_domains;
	int64_t cap_hour[CHALLENGES_OF_ALL + 1];
	int64_t cap_day[CHALLENGES_OF_ALL + 1];
	int64_t mail_retry_min_ms;
	int64_t mail_retry_max_ms;
	int64_t mail_attempts;
	char *smarthost_address;
	char *smarthost_helo;       /* NULL: the domain of challenge.from */
	int64_t smarthost_starttls; /* enum cloud_starttls */
	char *smarthost_ca_file;
	char *smarthost_user;
	char *smarthost_password;
	int64_t smarthost_timeout_ms;
	int64_t smarthost_threads;
	char *bounce_listen;      /* "" = off */
	char *public_suffix_list; /* NULL: the system's */
	int64_t log_level;        /* enum log_level */
};

/*
 * Reads and checks the file: types and bounds, then what depends on several
 * keys. ERR_INVALID with the key named, ERR_IO; the caller releases *config
 * after success only.
 */
int cloud_config_load(const char *path, struct cloud_config *config,
                      struct error *err);

/* As cloud_config_load() from text; name stands for the path in errors. */
int cloud_config_load_text(const char *name, const char *text,
                           struct cloud_config *config, struct error *err);

/* Frees what *config holds. */
void cloud_config_release(struct cloud_config *config);

/* Prints every key with its value in force, secrets hidden. */
void cloud_config_print(const struct cloud_config *config, const char *path,
                        FILE *out);

/* Prints every key with type, default and help. */
void cloud_config_print_reference(FILE *out);

#endif
