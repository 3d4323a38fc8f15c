/* The threads that send challenge mails. */
#ifndef CLOUD_MAIL_WORKER_H
#define CLOUD_MAIL_WORKER_H

#include "cloud-service/cloud-config.h"
#include "store/registry/registry.h"

struct mail_leases;
struct mail_worker;
struct smarthost;

/* What the worker needs; all of it must outlive it. */
struct mail_worker_options {
	struct registry *registry;
	const struct cloud_config *config;
	const uint8_t *token_key;  /* 32 bytes: of the links in the mails */
	const uint8_t *bounce_key; /* 32 bytes: of the return paths */
};

/*
 * Starts smarthost.threads threads that claim challenge mails by lease, render
 * and send them. ERR_INVALID when the smarthost's configuration is unusable.
 */
int mail_worker_start(struct mail_worker **worker,
                      const struct mail_worker_options *options,
                      struct error *err);

/* There is a mail to send; any thread. */
void mail_worker_wake(struct mail_worker *worker);

/* What keeps challenge mails from going out, as a constant text, or NULL. Any
 * thread. */
const char *mail_worker_fault(struct mail_worker *worker);

/* Lets the mails under way end, gives back what is claimed but not begun, stops
 * and frees. NULL is allowed. */
void mail_worker_stop(struct mail_worker *worker);

/*
 * Claims and sends at most one mail as owner, its claim kept among leases;
 * *worked tells whether there was one; there is none while the smarthost
 * refuses us. What the threads repeat; for tests too.
 * 0 or an error of the store.
 */
int mail_worker_step(const struct mail_worker_options *options,
                     struct smarthost *smarthost, struct mail_leases *leases,
                     const char *owner, bool *worked, struct error *err);

/* The pause before try number attempts + 1. */
int64_t mail_worker_backoff_ms(const struct cloud_config *config,
                               int64_t attempts);

#endif
