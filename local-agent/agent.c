/* Composition of the agent. */
#include "local-agent/agent.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/http/client.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/smtp/listener.h"
#include "local-agent/cloud/decisions.h"
#include "local-agent/delivery/delivery.h"
#include "local-agent/queue/disowned.h"
#include "local-agent/delivery/dsn-queue.h"
#include "local-agent/cloud/events.h"
#include "local-agent/intake/intake.h"
#include "local-agent/queue/maintenance.h"
#include "local-agent/ops-http.h"
#include "local-agent/cloud/policy-sync.h"
#include "local-agent/intake/recipient-check.h"
#include "local-agent/cloud/registrar.h"
#include "local-agent/cloud/replica.h"
#include "local-agent/queue/writer.h"

#define SMTP_STOP_MS     10000
#define DELIVERY_STOP_MS 10000
#define MAXIMUM_LOOPS    64
#define WAITING_REQUESTS 20000
#define WAITING_BYTES    ((size_t)256 << 20)
#define DELIVERY_BYTES   ((size_t)64 << 20)
#define MAXIMUM_ERRORS   20
#define MAXIMUM_COMMANDS 1000

struct agent {
	const struct agent_config *config;
	struct spool *spool;
	struct replica *replica;
	struct writer *writer;
	struct writer *outcomes; /* delivery's; may be the same */
	struct disowned *disowned;
	struct loop *delivery_loop;
	struct delivery *delivery;
	struct registrar *registrar;
	struct decisions *decisions;
	struct policy_sync *policy_sync;
	struct events *events;
	struct dsn_queue *dsn_queue;
	struct maintenance *maintenance;
	struct ops_http *ops;
	struct recipient_check *recipients;
	struct intake *intake;
	struct loop *loops[MAXIMUM_LOOPS];
	unsigned loop_count;
	struct smtp_listener *listener;
	atomic_bool broken, stopping, low_space;
	/* What the writer commits at the very end would wake what has gone:
	   once stopping is set under it, nobody is woken any more. */
	pthread_mutex_t waking;
};

/* --- what the parts tell each other ------------------------------------- */

static void on_broken(void *context, const struct error *err)
{
	struct agent *agent = context;

	log_error("agent", "the spool cannot be written any more: %s",
	          err->text);
	atomic_store(&agent->broken, true);
	(void)kill(getpid(), SIGUSR1);
}

static void on_held(void *context)
{
	struct agent *agent = context;

	(void)pthread_mutex_lock(&agent->waking);
	if (!atomic_load(&agent->stopping))
		registrar_wake(agent->registrar);
	(void)pthread_mutex_unlock(&agent->waking);
}

static void on_released(void *context)
{
	struct agent *agent = context;

	delivery_wake(agent->delivery);
}

static void on_ended(void *context)
{
	struct agent *agent = context;

	(void)pthread_mutex_lock(&agent->waking);
	if (!atomic_load(&agent->stopping))
		events_wake(agent->events);
	(void)pthread_mutex_unlock(&agent->waking);
}

static void on_low_space(void *context, bool low)
{
	struct agent *agent = context;

	atomic_store(&agent->low_space, low);
	intake_set_low_space(agent->intake, low);
}

static bool is_healthy(void *context)
{
	struct agent *agent = context;

	return !atomic_load(&agent->broken);
}

static bool is_ready(void *context, const char **why)
{
	struct agent *agent = context;
	const struct replica_view *view = replica_acquire(agent->replica);
	bool received = view->received;

	replica_release(agent->replica, view);
	if (!atomic_load(&agent->broken) &&
	    (writer_failure(agent->writer) || writer_away(agent->writer)))
		*why = "the store takes no commits at present";
	else if (atomic_load(&agent->broken))
		*why = "the spool cannot be written";
	else if (atomic_load(&agent->stopping))
		*why = "stopping";
	else if (atomic_load(&agent->low_space))
		*why = "too little free space";
	else if (!received)
		*why = "no policy has been received yet";
	else
		return true;
	return false;
}

/* --- start -------------------------------------------------------------- */

static int block_signals(struct error *err)
{
	sigset_t set;
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) == 0)
		return 0;
	return error_set(err, ERR_UNAVAILABLE, "cannot block signals");
}

static int start_libraries(struct error *err)
{
	mem_keep_freed();
	if (crypto_init() || http_client_global_init())
		return error_set(err, ERR_UNAVAILABLE,
		                 "libsodium or libcurl cannot be used");
	return 0;
}

/*
 * Where the store can, what became of mail is committed beside the mail that
 * comes in: what is not recorded when the agent crashes is delivered again.
 */
static int start_outcomes(struct agent *agent,
                          const struct writer_options *options,
                          struct error *err)
{
	if (spool_commits_at_once(options->spool))
		return writer_start(&agent->outcomes, options, err);
	agent->outcomes = agent->writer;
	return 0;
}

static int start_store(struct agent *agent, struct error *err)
{
	const struct agent_config *config = agent->config;
	struct spool_options options = {
	    .backend = config->spool_backend,
	    .location = config->spool_location,
	    .owner = config->agent_name,
	    .large_body_bytes = config->spool_large_body,
	    .incoming = config->spool_incoming,
	};
	struct writer_options writer = {
	    .maximum_requests = WAITING_REQUESTS,
	    .maximum_bytes = WAITING_BYTES,
	    .broken = on_broken,
	    .context = agent,
	};
	int result = spool_open(&agent->spool, &options, err);

	if (result)
		return result;
	log_info("agent", "spool: %s", spool_engine(agent->spool));
	writer.spool = agent->spool;
	agent->disowned = disowned_new();
	agent->replica = replica_new();
	result = replica_load(agent->replica, agent->spool, err);
	if (result == 0)
		result = writer_start(&agent->writer, &writer, err);
	if (result == 0)
		result = start_outcomes(agent, &writer, err);
	return result;
}

static int start_delivery(struct agent *agent, struct error *err)
{
	struct delivery_options options = {
	    .config = agent->config,
	    .spool = agent->spool,
	    .writer = agent->outcomes,
	    .disowned = agent->disowned,
	    .memory_bytes = DELIVERY_BYTES,
	    .ended = on_ended,
	    .context = agent,
	};
	int result = loop_start(&agent->delivery_loop, "delivery", err);

	if (result)
		return result;
	options.loop = agent->delivery_loop;
	return delivery_start(&agent->delivery, &options, err);
}

static int start_cloud(struct agent *agent, struct error *err)
{
	struct registrar_options registrar = {
	    agent->config, agent->spool, agent->writer, on_released, agent};
	struct decisions_options decisions = {
	    agent->config, agent->spool, agent->writer, on_released, agent};
	struct policy_sync_options sync = {agent->config, agent->spool,
	                                   agent->writer, agent->replica};
	int result = registrar_start(&agent->registrar, &registrar, err);

	if (result == 0)
		result = decisions_start(&agent->decisions, &decisions, err);
	if (result == 0)
		result = policy_sync_start(&agent->policy_sync, &sync, err);
	return result;
}

static int start_events(struct agent *agent, struct error *err)
{
	struct events_options options = {agent->config, agent->spool,
	                                 agent->writer};

	return events_start(&agent->events, &options, err);
}

static int start_recipients(struct agent *agent, struct error *err)
{
	if (agent->config->recipients_check == RECIPIENTS_OFF)
		return 0;
	return recipient_check_start(&agent->recipients, agent->config, err);
}

static void make_intake(struct agent *agent)
{
	struct intake_options options = {
	    .config = agent->config,
	    .spool = agent->spool,
	    .writer = agent->writer,
	    .replica = agent->replica,
	    .delivery = agent->delivery,
	    .recipients = agent->recipients,
	    .disowned = agent->disowned,
	    .held = on_held,
	    .context = agent,
	};

	agent->intake = intake_new(&options);
}

static int start_upkeep(struct agent *agent, struct error *err)
{
	struct maintenance_options maintenance = {
	    .config = agent->config,
	    .spool = agent->spool,
	    .writer = agent->writer,
	    .disowned = agent->disowned,
	    .low_space = on_low_space,
	    .context = agent,
	};
	struct ops_http_options ops = {
	    .address = agent->config->metrics.address,
	    .port = agent->config->metrics.port,
	    .ready = is_ready,
	    .healthy = is_healthy,
	    .context = agent,
	};
	struct dsn_queue_options dsn = {agent->config, agent->spool,
	                                agent->writer, agent->replica};
	int result = dsn_queue_start(&agent->dsn_queue, &dsn, err);

	if (result == 0)
		result =
		    maintenance_start(&agent->maintenance, &maintenance, err);

	if (result == 0 && ops.address)
		result = ops_http_start(&agent->ops, &ops, err);
	return result;
}

static int start_loops(struct agent *agent, struct error *err)
{
	unsigned count = (unsigned)agent->config->smtp_threads;
	int result = 0;

	while (result == 0 && agent->loop_count < count) {
		char name[16];

		(void)snprintf(name, sizeof(name), "smtp-%u",
		               agent->loop_count + 1);
		result =
		    loop_start(&agent->loops[agent->loop_count], name, err);
		agent->loop_count += result == 0;
	}
	return result;
}

static int start_smtp(struct agent *agent, struct error *err)
{
	const struct agent_config *config = agent->config;
	struct smtp_listener_options options = {
	    .address = config->smtp.address,
	    .port = config->smtp.port,
	    .loops = agent->loops,
	    .loop_count = (unsigned)config->smtp_threads,
	    .maximum_sessions = (unsigned)config->smtp_max_sessions,
	    .maximum_sessions_per_address =
	        (unsigned)config->smtp_max_sessions_per_address,
	    .maximum_sessions_per_listed =
	        (unsigned)config->smtp_max_sessions_per_listed,
	    .command_timeout_ms = config->smtp_command_timeout_ms,
	    .data_timeout_ms = config->smtp_data_timeout_ms,
	    .session_timeout_ms = config->smtp_session_timeout_ms,
	    .smtp =
	        {
	            .hostname = config->hostname,
	            .maximum_message = (size_t)config->smtp_max_message_size,
	            .maximum_recipients = (unsigned)config->smtp_max_recipients,
	            .maximum_errors = MAXIMUM_ERRORS,
	            .maximum_commands = MAXIMUM_COMMANDS,
	            .is_listed = intake_is_listed,
	            .policy = &intake_policy,
	        },
	    .session_new = intake_session_new,
	    .session_free = intake_session_free,
	    .context = agent->intake,
	};
	int result = start_loops(agent, err);

	if (result == 0)
		result = smtp_listener_start(&agent->listener, &options, err);
	return result;
}

int agent_start(struct agent **agent, const struct agent_config *config,
                struct error *err)
{
	/* Each part after those that it wakes. */
	static int (*const steps[])(struct agent *, struct error *) = {
	    start_store, start_events, start_delivery, start_cloud,
	    start_recipients};
	struct agent *made = mem_alloc(sizeof(*made));
	int result = block_signals(err);
	size_t i;

	made->config = config;
	(void)pthread_mutex_init(&made->waking, NULL);
	if (result == 0)
		result = start_libraries(err);
	for (i = 0; result == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		result = steps[i](made, err);
	if (result == 0) {
		make_intake(made);
		result = start_upkeep(made, err);
	}
	if (result == 0)
		result = start_smtp(made, err);
	if (result) {
		agent_stop(made);
		return result;
	}
	*agent = made;
	return 0;
}

/* --- wait and stop ------------------------------------------------------ */

int agent_wait(struct agent *agent)
{
	sigset_t set;
	int number = 0;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	while (!atomic_load(&agent->broken)) {
		if (sigwait(&set, &number) != 0)
			continue;
		if (number != SIGUSR1)
			break;
	}
	if (atomic_load(&agent->broken))
		return ERR_IO;
	log_info("agent", "signal %d: stopping", number);
	return 0;
}

static void stop_cloud(struct agent *agent)
{
	decisions_stop(agent->decisions);
	policy_sync_stop(agent->policy_sync);
	registrar_stop(agent->registrar);
}

/* What is still in the list may be in the store, and delivered. */
static void forget_disowned(struct agent *agent)
{
	size_t count = agent->disowned ? disowned_count(agent->disowned) : 0;

	if (count)
		log_warning(
		    "agent",
		    "%zu messages answered 451 were not found yet: what "
		    "the store has of them may be delivered besides the "
		    "sender's next try",
		    count);
	disowned_free(agent->disowned);
}

/*
 * First those that bring work, then those that do it; the writer answers what
 * is left through loops that still run.
 */
void agent_stop(struct agent *agent)
{
	unsigned i;

	if (!agent)
		return;
	(void)pthread_mutex_lock(&agent->waking);
	atomic_store(&agent->stopping, true);
	(void)pthread_mutex_unlock(&agent->waking);
	if (agent->intake)
		intake_refuse(agent->intake);
	smtp_listener_stop(agent->listener, SMTP_STOP_MS);
	recipient_check_stop(agent->recipients);
	stop_cloud(agent);
	maintenance_stop(agent->maintenance);
	dsn_queue_stop(agent->dsn_queue);
	if (agent->delivery)
		delivery_stop(agent->delivery, DELIVERY_STOP_MS);
	events_stop(agent->events);
	/* It asks the writer and the replica. */
	ops_http_stop(agent->ops);
	if (agent->outcomes != agent->writer)
		writer_stop(agent->outcomes);
	writer_stop(agent->writer);
	for (i = 0; i < agent->loop_count; i++)
		loop_stop(agent->loops[i]);
	loop_stop(agent->delivery_loop);
	delivery_free(agent->delivery);
	intake_free(agent->intake);
	replica_free(agent->replica);
	forget_disowned(agent);
	spool_close(agent->spool);
	(void)pthread_mutex_destroy(&agent->waking);
	free(agent);
}

uint16_t agent_smtp_port(const struct agent *agent)
{
	return smtp_listener_port(agent->listener);
}
