/* One instance of the cloud: what its parts share, and how it starts. */
#ifndef CLOUD_H
#define CLOUD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cloud-service/cloud-config.h"
#include "common/error.h"
#include "common/http/server.h"
#include "store/registry/registry.h"

struct bounce_listener;
struct bounce_options;
struct challenge_page_context;
struct jobs;
struct jobs_options;
struct key_cache;
struct mail_worker;
struct mail_worker_options;
struct quota;
struct readiness;
struct settler;
struct totals;
struct watcher;

/*
 * What every part may read once cloud_start() returned; nothing in it changes
 * until cloud_stop(). It is the context of every HTTP handler.
 */
struct cloud {
	const struct cloud_config *config;
	struct registry *registry;
	pthread_mutex_t http_lock;
	struct http_server
	    *http; /* under http_lock; others wake by settler->waker */
	uint8_t token_key[32];  /* of the links in challenge mails */
	uint8_t sender_key[32]; /* of the hashes that stand for senders */
	uint8_t bounce_key[32]; /* of the VERP return paths */
	/* What the parts are given. */
	struct settler *settler;
	struct jobs_options *jobs_options;
	struct mail_worker_options *mail_options;
	struct bounce_options *bounce_options;
	struct challenge_page_context *challenge_page;
	struct key_cache *keys;
	struct quota *quota;
	struct readiness *readiness;
	struct totals *totals;
	struct watcher *watcher;
	struct jobs *jobs;
	struct mail_worker *mail_worker;
	struct bounce_listener *bounce;
};

/*
 * Opens the registry and reads the secrets into *cloud, without starting
 * anything: what tests and the command line need. config must outlive it.
 */
int cloud_open(struct cloud *cloud, const struct cloud_config *config,
               struct error *err);

/* Opens, then starts the workers and, last, the HTTP server. On failure all
 * that was started is stopped again. */
int cloud_start(struct cloud *cloud, const struct cloud_config *config,
                struct error *err);

/*
 * Not ready any more, though everything is still served: long-polls are
 * answered, and every answer ends its connection, so that whoever balances
 * the load takes this instance out.
 */
void cloud_drain(struct cloud *cloud);

/* Stops what runs, in the reverse order, and closes. A zeroed struct is
 * allowed. */
void cloud_stop(struct cloud *cloud);

/*
 * Starts, waits for SIGTERM or SIGINT, drains for http.drain or until a second
 * signal, stops. 0 or an error.
 */
int cloud_run(const struct cloud_config *config, struct error *err);

/* The port of the HTTP server; once started. */
uint16_t cloud_port(struct cloud *cloud);

/* The challenge page's view of the context of an HTTP handler. */
const struct challenge_page_context *challenge_page_context_of(
    void *http_context);

#endif
