/* Puts the cloud together, starts it and stops it. */
#include "cloud-service/cloud.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cloud-service/api/api.h"
#include "cloud-service/api/auth.h"
#include "cloud-service/mail/bounce.h"
#include "cloud-service/challenge/page.h"
#include "cloud-service/jobs/jobs.h"
#include "cloud-service/api/key-cache.h"
#include "cloud-service/mail/worker.h"
#include "cloud-service/api/quota.h"
#include "cloud-service/api/readiness.h"
#include "cloud-service/api/totals.h"
#include "cloud-service/decide/settle.h"
#include "cloud-service/jobs/watcher.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/mem.h"

#define HTTP_IDLE_MS 75000 /* above the longest long-poll */

/* The waker of the parts: resumes the long-polls of a tenant. */
static void wake(void *context, const struct id *tenant)
{
	struct cloud *cloud = context;
	char key[ID_TEXT_SIZE];

	pthread_mutex_lock(&cloud->http_lock);
	if (cloud->http)
		http_wake(cloud->http, id_format(tenant, key));
	pthread_mutex_unlock(&cloud->http_lock);
}

uint16_t cloud_port(struct cloud *cloud)
{
	uint16_t port;

	pthread_mutex_lock(&cloud->http_lock);
	port = cloud->http ? http_server_port(cloud->http) : 0;
	pthread_mutex_unlock(&cloud->http_lock);
	return port;
}

/* Puts server in place of the old one, which is returned. */
static struct http_server *exchange_http(struct cloud *cloud,
                                         struct http_server *server)
{
	struct http_server *old;

	pthread_mutex_lock(&cloud->http_lock);
	old = cloud->http;
	cloud->http = server;
	pthread_mutex_unlock(&cloud->http_lock);
	return old;
}

const struct challenge_page_context *challenge_page_context_of(
    void *http_context)
{
	return ((struct cloud *)http_context)->challenge_page;
}

static int read_secrets(struct cloud *cloud, struct error *err)
{
	struct registry *registry = cloud->registry;
	int result = registry_secret(registry, "token", cloud->token_key, err);

	if (!result)
		result = registry_secret(registry, "sender-hash",
		                         cloud->sender_key, err);
	if (!result)
		result =
		    registry_secret(registry, "bounce", cloud->bounce_key, err);
	return result;
}

/* What the parts are given of the cloud. */
static void prepare_options(struct cloud *cloud)
{
	const struct cloud_config *config = cloud->config;

	cloud->settler = mem_alloc(sizeof(*cloud->settler));
	cloud->jobs_options = mem_alloc(sizeof(*cloud->jobs_options));
	cloud->mail_options = mem_alloc(sizeof(*cloud->mail_options));
	cloud->bounce_options = mem_alloc(sizeof(*cloud->bounce_options));
	*cloud->settler = (struct settler){
	    .registry = cloud->registry,
	    .waker = {.wake = wake, .context = cloud},
	};
	*cloud->jobs_options =
	    (struct jobs_options){.config = config, .settler = cloud->settler};
	*cloud->mail_options = (struct mail_worker_options){
	    .registry = cloud->registry,
	    .config = config,
	    .token_key = cloud->token_key,
	    .bounce_key = cloud->bounce_key,
	};
	*cloud->bounce_options = (struct bounce_options){
	    .registry = cloud->registry,
	    .config = config,
	    .key = cloud->bounce_key,
	};
}

static void prepare_page(struct cloud *cloud)
{
	struct challenge_page_context *page = mem_alloc(sizeof(*page));

	page->registry = cloud->registry;
	page->public_url = cloud->config->public_url;
	page->max_attempts = cloud->config->challenge_max_attempts;
	page->solved = settle_solved;
	page->context = cloud->settler;
	memcpy(page->token_key, cloud->token_key, sizeof(page->token_key));
	cloud->challenge_page = page;
}

int cloud_open(struct cloud *cloud, const struct cloud_config *config,
               struct error *err)
{
	struct registry_options options = {.backend = config->store_backend,
	                                   .location = config->store_location};
	int result;

	memset(cloud, 0, sizeof(*cloud));
	result = registry_open(&cloud->registry, &options, err);
	if (result)
		return result;
	cloud->config = config;
	pthread_mutex_init(&cloud->http_lock, NULL);
	cloud->keys = key_cache_new();
	cloud->quota = quota_new(config);
	prepare_options(cloud);
	result = read_secrets(cloud, err);
	if (result)
		cloud_stop(cloud);
	else
		prepare_page(cloud);
	return result;
}

static int start_http(struct cloud *cloud, struct error *err)
{
	const struct cloud_config *config = cloud->config;
	size_t count = config->trusted_proxies.count;
	const char **proxies = mem_alloc_array(count + 1, sizeof(*proxies));
	struct http_server_options options = {
	    .threads = (unsigned)config->http_threads,
	    .workers = (unsigned)config->http_workers,
	    .maximum_connections = (unsigned)config->http_max_connections,
	    .idle_timeout_ms = HTTP_IDLE_MS,
	    .trusted_proxies = proxies,
	    .routes = api_routes(),
	    .authorise = api_admit,
	    .explain = challenge_page_explain,
	    .context = cloud,
	    .log_id = "http",
	};
	struct http_server *server = NULL;
	char *host;
	size_t i;
	int result;

	for (i = 0; i < count; i++)
		proxies[i] = config->trusted_proxies.items[i];
	result = config_parse_endpoint(config->http_listen, &host,
	                               &options.port, err);
	if (!result) {
		options.address = host;
		result = http_server_start(&server, &options, err);
		free(host);
	}
	free(proxies);
	if (result)
		return result;
	exchange_http(cloud, server);
	/* Whatever changed before the server could be told. */
	http_wake(server, NULL);
	return 0;
}

int cloud_start(struct cloud *cloud, const struct cloud_config *config,
                struct error *err)
{
	int result = cloud_open(cloud, config, err);

	if (result)
		return result;
	result =
	    mail_worker_start(&cloud->mail_worker, cloud->mail_options, err);
	if (!result && config->return_path == RETURN_PATH_VERP)
		result =
		    bounce_start(&cloud->bounce, cloud->bounce_options, err);
	if (!result)
		result = jobs_start(&cloud->jobs, cloud->jobs_options, err);
	if (!result)
		result = watcher_start(&cloud->watcher, cloud->registry,
		                       &cloud->settler->waker, err);
	if (!result)
		result = readiness_start(&cloud->readiness, cloud, err);
	if (!result)
		result = totals_start(&cloud->totals, cloud->registry, err);
	if (!result)
		result = start_http(cloud, err);
	if (result)
		cloud_stop(cloud);
	return result;
}

void cloud_drain(struct cloud *cloud)
{
	readiness_drain(cloud->readiness);
	pthread_mutex_lock(&cloud->http_lock);
	if (cloud->http)
		http_server_drain(cloud->http);
	pthread_mutex_unlock(&cloud->http_lock);
}

void cloud_stop(struct cloud *cloud)
{
	if (!cloud->registry)
		return;
	/* The server first: its requests use all the rest. Whoever still
	 * wants to wake one finds it gone. */
	http_server_stop(exchange_http(cloud, NULL));
	totals_stop(cloud->totals);
	readiness_stop(cloud->readiness);
	watcher_stop(cloud->watcher);
	bounce_stop(cloud->bounce);
	jobs_stop(cloud->jobs);
	mail_worker_stop(cloud->mail_worker);
	registry_close(cloud->registry);
	pthread_mutex_destroy(&cloud->http_lock);
	free(cloud->settler);
	free(cloud->jobs_options);
	free(cloud->mail_options);
	free(cloud->bounce_options);
	free(cloud->challenge_page);
	key_cache_free(cloud->keys);
	quota_free(cloud->quota);
	memset(cloud, 0, sizeof(*cloud));
}

/* Threads started later leave the signals to the one that waits for them. */
static void block_signals(sigset_t *stop)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(stop);
	sigaddset(stop, SIGTERM);
	sigaddset(stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, stop, NULL);
}

/* Serves on for a while, or until a second signal. */
static void drain(struct cloud *cloud, const sigset_t *stop, int number)
{
	int64_t drain_ms = cloud->config->http_drain_ms;
	struct timespec pause = {
	    .tv_sec = (time_t)(drain_ms / 1000),
	    .tv_nsec = (long)(drain_ms % 1000) * 1000000,
	};

	if (drain_ms > 0) {
		log_info("cloud", "draining on signal %d", number);
		cloud_drain(cloud);
		/* Nothing interrupts it: all signals that are caught end it. */
		(void)sigtimedwait(stop, NULL, &pause);
	}
	log_info("cloud", "stopping on signal %d", number);
}

int cloud_run(const struct cloud_config *config, struct error *err)
{
	struct cloud cloud;
	sigset_t stop;
	int result, number = 0;

	mem_keep_freed();
	block_signals(&stop);
	log_set_level((enum log_level)config->log_level);
	result = cloud_start(&cloud, config, err);
	if (result)
		return result;
	log_info("cloud", "turing-cloud " TURING_VERSION " serves %s, port %u",
	         config->http_listen, (unsigned)cloud_port(&cloud));
	sigwait(&stop, &number);
	drain(&cloud, &stop, number);
	cloud_stop(&cloud);
	log_info("cloud", "stopped");
	return 0;
}
