/* Claims, renders and sends challenge mails, and writes down the outcome. */
#include "cloud-service/mail/worker.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/bounce.h"
#include "cloud-service/challenge/end.h"
#include "cloud-service/mail/challenge-mail.h"
#include "cloud-service/cloud-metrics.h"
#include "cloud-service/mail/leases.h"
#include "cloud-service/mail/need.h"
#include "cloud-service/mail/smarthost.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"

#define MAXIMUM_MAIL 65536
/* Claims of other instances whose leases ended are found this often. */
#define POLL_MS 5000
/* While another challenge of the sender is being settled. */
#define LATER_MS 1000

struct mail_worker {
	struct mail_worker_options options;
	struct smarthost *smarthost;
	struct mail_leases *leases;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	uint64_t wakes; /* so that none is lost while all threads send */
	pthread_t *threads;
	unsigned thread_count;
	unsigned next_number;
};

int64_t mail_worker_backoff_ms(const struct cloud_config *config,
                               int64_t attempts)
{
	struct backoff backoff = {.minimum_ms = config->mail_retry_min_ms,
	                          .maximum_ms = config->mail_retry_max_ms};

	return backoff_delay_ms(
	    &backoff, attempts < UINT_MAX ? (unsigned)attempts : UINT_MAX);
}

static int render(const struct mail_worker_options *options,
                  const struct registry_challenge *challenge,
                  struct buffer *out, struct error *err)
{
	const struct cloud_config *config = options->config;
	struct registry_tenant tenant;
	struct registry_message message;
	struct challenge_mail mail = {.challenge = challenge,
	                              .from = config->challenge_from,
	                              .from_name = config->challenge_from_name,
	                              .public_url = config->public_url,
	                              .token_key = options->token_key,
	                              .now_ms = clock_wall_ms()};
	int result;

	result = registry_tenant_read(options->registry, &challenge->tenant,
	                              &tenant, err);
	if (result)
		return result;
	result = registry_message_read(options->registry, &challenge->tenant,
	                               &challenge->message, &message, err);
	if (!result) {
		mail.message = &message;
		mail.tenant = &tenant;
		result = challenge_mail_render(&mail, out, err);
		registry_message_release(&message);
	}
	registry_tenant_release(&tenant);
	return result;
}

/* The answer to one attempt, as the registry takes it. */
struct attempt {
	enum registry_mail_state state;
	int64_t next_ms;
	bool counted;
	char reply[300];
	/* What ends the challenge with the reply as its reason. */
	bool bounced, given_up;
	bool nobody_there; /* with bounced: the address does not exist */
};

/*
 * It refuses us, so the attempt is not this mail's. Only a mail that meets the
 * same refusal again although others were taken in between is to blame itself.
 */
static void wait_for_smarthost(const struct cloud_config *config,
                               const struct registry_challenge *challenge,
                               const struct smarthost_reply *reply,
                               int64_t pause_ms, struct attempt *attempt)
{
	int64_t backoff =
	    mail_worker_backoff_ms(config, challenge->mail_attempts);
	/* Its codes: the text may have the server's own number of the mail. */
	size_t codes = strlen("554 ") + strlen(reply->enhanced);

	attempt->counted = reply->others_pass &&
	                   !strncmp(challenge->mail_reply, reply->text, codes);
	/* The pause is for all mails; this one comes after those that are due
	 * longer. */
	if (!attempt->counted && pause_ms > 0)
		backoff = 0;
	attempt->next_ms = clock_wall_ms() + backoff;
	count_mail("held-back");
}

static void fail(struct attempt *attempt)
{
	attempt->state = MAIL_STATE_FAILED;
	count_mail("failed");
}

static void judge(const struct cloud_config *config,
                  const struct registry_challenge *challenge,
                  enum smarthost_outcome outcome,
                  const struct smarthost_reply *reply, int64_t pause_ms,
                  struct attempt *attempt)
{
	snprintf(attempt->reply, sizeof(attempt->reply), "%s", reply->text);
	attempt->state = MAIL_STATE_PENDING;
	attempt->counted = true;
	switch (outcome) {
	case SMARTHOST_SENT:
		attempt->state = MAIL_STATE_SENT;
		count_mail("sent");
		return;
	case SMARTHOST_REFUSES_RECIPIENT:
		fail(attempt);
		attempt->bounced = true;
		attempt->nobody_there = reply->nobody_there;
		return;
	case SMARTHOST_REFUSES_MESSAGE:
		fail(attempt);
		attempt->given_up = true;
		return;
	case SMARTHOST_REFUSES_US:
		wait_for_smarthost(config, challenge, reply, pause_ms, attempt);
		break;
	case SMARTHOST_DEFERRED:
		attempt->next_ms =
		    clock_wall_ms() +
		    mail_worker_backoff_ms(config, challenge->mail_attempts);
		count_mail("deferred");
		break;
	}
	if (attempt->counted &&
	    challenge->mail_attempts >= config->mail_attempts) {
		fail(attempt);
		attempt->given_up = true;
	}
}

static void send_mail(const struct mail_worker_options *options,
                      struct smarthost *smarthost,
                      const struct registry_challenge *challenge,
                      const struct buffer *mail, struct attempt *attempt)
{
	char sender[MAIL_ADDRESS_SIZE] = "";
	struct smarthost_reply reply;
	enum smarthost_outcome outcome;

	if (options->config->return_path == RETURN_PATH_VERP &&
	    bounce_address_make(options->bounce_key, &challenge->id,
	                        options->config->bounce_domain, sender))
		sender[0] = '\0';
	outcome = smarthost_send(smarthost, sender, challenge->sender,
	                         mail->data, mail->length, &reply);
	judge(options->config, challenge, outcome, &reply,
	      smarthost_pause_ms(smarthost), attempt);
}

/* Renders and sends it; what cannot be rendered fails at once. */
static void try_mail(const struct mail_worker_options *options,
                     struct smarthost *smarthost,
                     const struct registry_challenge *challenge,
                     struct attempt *attempt)
{
	struct buffer mail;
	struct error why = {0};

	buffer_init(&mail, MAXIMUM_MAIL);
	if (!render(options, challenge, &mail, &why)) {
		send_mail(options, smarthost, challenge, &mail, attempt);
	} else { /* no attempt of the network's will mend that */
		snprintf(attempt->reply, sizeof(attempt->reply), "%.299s",
		         why.text);
		fail(attempt);
		attempt->given_up = true;
	}
	buffer_release(&mail);
}

/* Nothing waits for it any more: the sender is not written to. */
static void withdraw(struct attempt *attempt)
{
	attempt->state = MAIL_STATE_FAILED;
	attempt->given_up = true;
	snprintf(attempt->reply, sizeof(attempt->reply),
	         "not sent: nothing that waits for it is held any more");
	count_mail("withdrawn");
}

static int attempt_mail(const struct mail_worker_options *options,
                        struct smarthost *smarthost,
                        const struct registry_challenge *challenge,
                        struct attempt *attempt, struct error *err)
{
	enum mail_need need;
	bool ended;
	int result = mail_need_look(options->registry, challenge, &need, err);

	if (result)
		return result;
	attempt->counted = true;
	if (need == MAIL_NEED_LATER) {
		attempt->state = MAIL_STATE_PENDING;
		attempt->next_ms = clock_wall_ms() + LATER_MS;
		snprintf(attempt->reply, sizeof(attempt->reply),
		         "another challenge of the sender is being settled");
		return 0;
	}
	if (need == MAIL_NEED_NONE)
		withdraw(attempt);
	else
		try_mail(options, smarthost, challenge, attempt);
	if (attempt->bounced)
		return challenge_bounced(options->registry, challenge,
		                         attempt->reply, attempt->nobody_there,
		                         &ended, err);
	return attempt->given_up
	           ? challenge_given_up(options->registry, challenge,
	                                attempt->reply, err)
	           : 0;
}

static int work_on(const struct mail_worker_options *options,
                   struct smarthost *smarthost, const char *owner,
                   const struct registry_challenge *challenge,
                   struct error *err)
{
	static const char *const words[] = {"deferred", "sent", "failed"};
	struct attempt attempt = {0};
	char text[ID_TEXT_SIZE];
	int result = attempt_mail(options, smarthost, challenge, &attempt, err);

	if (attempt.reply[0])
		log_info(id_format(&challenge->message, text),
		         "challenge mail to %s %s: %s", challenge->sender,
		         words[attempt.state], attempt.reply);
	if (!result)
		result = registry_challenge_mail_done(
		    options->registry, &challenge->id, owner, attempt.state,
		    attempt.next_ms, attempt.counted, attempt.reply, err);
	return result == ERR_CONFLICT ? 0 : result;
}

/* What was claimed but is not to be begun: for whoever comes next, at once. */
static int give_back(const struct mail_worker_options *options,
                     const char *owner,
                     const struct registry_challenge *challenge,
                     struct error *err)
{
	int result = registry_challenge_mail_done(
	    options->registry, &challenge->id, owner, MAIL_STATE_PENDING,
	    clock_wall_ms(), false, challenge->mail_reply, err);

	return result == ERR_CONFLICT ? 0 : result;
}

static int work_with_lease(const struct mail_worker_options *options,
                           struct smarthost *smarthost,
                           struct mail_leases *leases, const char *owner,
                           const struct registry_challenge *challenge,
                           struct error *err)
{
	struct mail_lease lease = {.challenge = challenge->id, .owner = owner};
	int result;

	if (!mail_leases_keep(leases, &lease))
		return give_back(options, owner, challenge, err);
	result = work_on(options, smarthost, owner, challenge, err);
	mail_leases_drop(leases, &lease);
	return result;
}

int mail_worker_step(const struct mail_worker_options *options,
                     struct smarthost *smarthost, struct mail_leases *leases,
                     const char *owner, bool *worked, struct error *err)
{
	struct registry_challenges page = {0};
	size_t i;
	int result;

	*worked = false;
	if (smarthost_pause_ms(smarthost) > 0)
		return 0;
	result = registry_challenge_claim_mail(options->registry, owner,
	                                       clock_wall_ms(), MAIL_LEASE_MS,
	                                       1, &page, err);
	if (result)
		return result;
	*worked = page.count > 0;
	for (i = 0; i < page.count && !result; i++)
		result = work_with_lease(options, smarthost, leases, owner,
		                         &page.challenges[i], err);
	registry_challenges_release(&page);
	return result;
}

/* Until there is something to do, as far as this instance knows. */
static void rest(struct mail_worker *worker, uint64_t seen)
{
	int64_t pause_ms = smarthost_pause_ms(worker->smarthost);
	int64_t until_ms =
	    clock_monotonic_ms() +
	    (pause_ms > 0 && pause_ms < POLL_MS ? pause_ms : POLL_MS);

	pthread_mutex_lock(&worker->lock);
	while (!worker->stopping && worker->wakes == seen &&
	       condition_wait_until(&worker->wake, &worker->lock, until_ms))
		;
	pthread_mutex_unlock(&worker->lock);
}

static bool look(struct mail_worker *worker, uint64_t *seen)
{
	bool stopping;

	pthread_mutex_lock(&worker->lock);
	stopping = worker->stopping;
	*seen = worker->wakes;
	pthread_mutex_unlock(&worker->lock);
	return !stopping;
}

static void *run(void *argument)
{
	struct mail_worker *worker = argument;
	char owner[192];
	uint64_t seen;

	pthread_mutex_lock(&worker->lock);
	snprintf(owner, sizeof(owner), "%.150s/mail-%u",
	         worker->options.config->instance_name, worker->next_number++);
	pthread_mutex_unlock(&worker->lock);
	while (look(worker, &seen)) {
		struct error err = {0};
		bool worked;
		int result =
		    mail_worker_step(&worker->options, worker->smarthost,
		                     worker->leases, owner, &worked, &err);

		if (result)
			log_error("mail", "%s", err.text);
		if (result || !worked)
			rest(worker, seen);
	}
	return NULL;
}

static int start_threads(struct mail_worker *worker, struct error *err)
{
	unsigned count = (unsigned)worker->options.config->smarthost_threads;
	int number;

	worker->threads = mem_alloc_array(count, sizeof(*worker->threads));
	while (worker->thread_count < count) {
		number = pthread_create(&worker->threads[worker->thread_count],
		                        NULL, run, worker);
		if (number)
			return error_set_errno(err, ERR_UNAVAILABLE, number,
			                       "mail thread");
		worker->thread_count++;
	}
	return 0;
}

int mail_worker_start(struct mail_worker **worker,
                      const struct mail_worker_options *options,
                      struct error *err)
{
	struct mail_worker *made = mem_alloc(sizeof(*made));
	int result;

	made->options = *options;
	pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->wake);
	result = smarthost_new(&made->smarthost, options->config, err);
	if (!result)
		result = mail_leases_start(&made->leases, options->registry,
		                           MAIL_LEASE_MS, err);
	if (!result)
		result = start_threads(made, err);
	if (result)
		mail_worker_stop(made);
	else
		*worker = made;
	return result;
}

void mail_worker_wake(struct mail_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->wakes++;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

const char *mail_worker_fault(struct mail_worker *worker)
{
	return smarthost_pause_ms(worker->smarthost) > 0
	           ? "the smarthost refuses us: challenge mails wait"
	           : NULL;
}

void mail_worker_stop(struct mail_worker *worker)
{
	unsigned i;

	if (!worker)
		return;
	if (worker->leases)
		mail_leases_close(worker->leases);
	pthread_mutex_lock(&worker->lock);
	worker->stopping = true;
	pthread_cond_broadcast(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	for (i = 0; i < worker->thread_count; i++)
		pthread_join(worker->threads[i], NULL);
	mail_leases_stop(worker->leases);
	smarthost_free(worker->smarthost);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker->threads);
	free(worker);
}
