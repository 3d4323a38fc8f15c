/* Sessions of call-aheads with the next hop, and the questions that wait. */
#include "local-agent/intake/call-ahead.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/smtp/dialer.h"

#define BATCH          50  /* recipients of one MAIL */
#define SESSION_ROUNDS 100 /* MAILs of one session */
#define IDLE_MS        10000
#define SILENT_MS      60000 /* between two lines about a next hop that fails */
#define RFC_TIMEOUT_MS (5 * 60 * 1000) /* what timeout_scale_percent scales */

/* An address that is asked about. */
struct question {
	struct question *next;
	int64_t since_ms;
	bool again; /* asked before over a session that was lost */
	char address[];
};

struct session {
	struct session *next;
	struct call_ahead *call_ahead;
	struct smtp_dialer *dialer;
	struct loop_timer *idle;
	struct question *asked[BATCH];
	const char *addresses[BATCH];
	size_t count;
	struct smtp_transaction transaction;
	unsigned rounds;
	bool greeted, ready;
};

struct call_ahead {
	struct call_ahead_options options;
	struct question *first, **last;
	struct session *sessions;
	int64_t session_count;
	int64_t silent_until_ms;
	bool stopping;
};

struct call_ahead *call_ahead_new(const struct call_ahead_options *options)
{
	struct call_ahead *made = mem_alloc(sizeof(*made));

	made->options = *options;
	made->last = &made->first;
	return made;
}

/* Says, once a period, why recipients cannot be asked about. */
static void tell_trouble(struct call_ahead *call_ahead, const char *words)
{
	int64_t now_ms = clock_monotonic_ms();

	if (call_ahead->stopping || now_ms < call_ahead->silent_until_ms)
		return;
	call_ahead->silent_until_ms = now_ms + SILENT_MS;
	log_warning("recipients",
	            "the next hop does not say whether recipients exist: %s; "
	            "those that are not known are answered 451",
	            words);
}

/* Answers a question and frees it. */
static void answer(struct call_ahead *call_ahead, struct question *question,
                   enum recipient_answer verdict, const char *words)
{
	if (verdict == RECIPIENT_UNSURE)
		tell_trouble(call_ahead, words);
	call_ahead->options.answered(call_ahead->options.context,
	                             question->address, verdict, words);
	free(question);
}

static struct question *take(struct call_ahead *call_ahead)
{
	struct question *question = call_ahead->first;

	if (!question)
		return NULL;
	call_ahead->first = question->next;
	if (!call_ahead->first)
		call_ahead->last = &call_ahead->first;
	return question;
}

static void put(struct call_ahead *call_ahead, struct question *question)
{
	question->next = NULL;
	*call_ahead->last = question;
	call_ahead->last = &question->next;
}

/* Nobody can be asked: all that wait get to know. */
static void fail_waiting(struct call_ahead *call_ahead, const char *words)
{
	struct question *question;

	while ((question = take(call_ahead)))
		answer(call_ahead, question, RECIPIENT_UNSURE, words);
}

/* --- what a reply says -------------------------------------------------- */

/*
 * A code of class 5.1 speaks of an address, 5.1.7 and 5.1.8 of the sender's
 * (RFC 3463 section 3.2); 5.2.1 is a mailbox that is shut (3.3), any other 5.2
 * one that is there. Others speak of us, or of the protocol.
 */
static enum recipient_answer judge_enhanced(const char *enhanced)
{
	if (strcmp(enhanced, "5.1.7") == 0 || strcmp(enhanced, "5.1.8") == 0)
		return RECIPIENT_UNSURE;
	if (strncmp(enhanced, "5.1.", 4) == 0 || strcmp(enhanced, "5.2.1") == 0)
		return RECIPIENT_ABSENT;
	return strncmp(enhanced, "5.2.", 4) == 0 ? RECIPIENT_EXISTS
	                                         : RECIPIENT_UNSURE;
}

enum recipient_answer call_ahead_judge(enum smtp_outcome outcome,
                                       const struct smtp_reply *reply)
{
	if (outcome == SMTP_ACCEPTED)
		return RECIPIENT_EXISTS;
	if (outcome != SMTP_REFUSED)
		return RECIPIENT_UNSURE;
	/* It cannot be asked about: what becomes of it, delivery tells. */
	if (reply->code == 0)
		return RECIPIENT_EXISTS;
	if (*reply->enhanced)
		return judge_enhanced(reply->enhanced);
	if (reply->code == 552)
		return RECIPIENT_EXISTS;
	return reply->code == 550 || reply->code == 551 || reply->code == 553
	           ? RECIPIENT_ABSENT
	           : RECIPIENT_UNSURE;
}

/* --- sessions ----------------------------------------------------------- */

static void pump(struct call_ahead *call_ahead);

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct session *session = context;
	struct call_ahead *call_ahead = session->call_ahead;
	struct question *question = session->asked[index];
	bool lost = outcome == SMTP_DEFERRED &&
	            (reply->code == 0 || reply->code == 421);
	char *words;

	session->asked[index] = NULL;
	/* A session that was kept may have ended meanwhile: no fault of it. */
	if (lost && session->rounds > 1 && !question->again &&
	    !call_ahead->stopping) {
		question->again = true;
		put(call_ahead, question);
		return;
	}
	words = smtp_reply_line(reply);
	answer(call_ahead, question, call_ahead_judge(outcome, reply), words);
	free(words);
}

static void on_done(void *context)
{
	struct session *session = context;

	session->count = 0;
}

/* Takes what waits, but what has waited too long; whether there was any. */
static bool fill(struct session *session)
{
	struct call_ahead *call_ahead = session->call_ahead;
	int64_t oldest_ms = clock_monotonic_ms() -
	                    call_ahead->options.config->recipients_timeout_ms;
	struct question *question;

	session->count = 0;
	while (session->count < BATCH && (question = take(call_ahead))) {
		if (question->since_ms < oldest_ms) {
			answer(call_ahead, question, RECIPIENT_UNSURE,
			       "it did not answer in time");
			continue;
		}
		session->addresses[session->count] = question->address;
		session->asked[session->count++] = question;
	}
	return session->count > 0;
}

static void ask(struct session *session)
{
	struct call_ahead *call_ahead = session->call_ahead;

	loop_timer_stop(session->idle);
	session->ready = false;
	session->rounds++;
	session->transaction = (struct smtp_transaction){
	    .sender = call_ahead->options.config->recipients_sender,
	    .recipients = session->addresses,
	    .recipient_count = session->count,
	    .probe = true,
	    .recipient = on_recipient,
	    .done = on_done,
	    .context = session,
	};
	if (smtp_dialer_begin(session->dialer, &session->transaction) == 0)
		return;
	for (size_t i = 0; i < session->count; i++)
		answer(call_ahead, session->asked[i], RECIPIENT_UNSURE,
		       "the session was over");
	session->count = 0;
	smtp_dialer_quit(session->dialer);
}

static void on_ready(void *context)
{
	struct session *session = context;

	session->greeted = true;
	if (session->rounds >= SESSION_ROUNDS ||
	    session->call_ahead->stopping) {
		smtp_dialer_quit(session->dialer);
		return;
	}
	session->ready = true;
	loop_timer_start(session->idle, IDLE_MS);
	pump(session->call_ahead);
}

static void on_idle(void *context)
{
	struct session *session = context;

	session->ready = false;
	smtp_dialer_quit(session->dialer);
}

static void free_session(struct session *session)
{
	struct call_ahead *call_ahead = session->call_ahead;
	struct session **link = &call_ahead->sessions;

	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	call_ahead->session_count--;
	loop_timer_free(session->idle);
	smtp_dialer_free(session->dialer);
	free(session);
}

static void on_closed(void *context, const char *why)
{
	struct session *session = context;
	struct call_ahead *call_ahead = session->call_ahead;
	bool reached = session->greeted;
	char words[SMTP_REPLY_TEXT_SIZE];

	(void)snprintf(words, sizeof(words), "%s", why ? why : "closed");
	free_session(session);
	if (!reached)
		fail_waiting(call_ahead, words);
	pump(call_ahead);
}

static void open_session(struct call_ahead *call_ahead)
{
	const struct agent_config *config = call_ahead->options.config;
	int64_t timeout_ms = config->recipients_timeout_ms;
	int64_t percent = timeout_ms * 100 / RFC_TIMEOUT_MS;
	struct session *session = mem_alloc(sizeof(*session));
	struct smtp_dialer_options options = {
	    .address = config->next_hop.address,
	    .port = config->next_hop.port,
	    .connect_timeout_ms = config->next_hop_connect_timeout_ms,
	    .timeout_scale_percent = percent > 0 ? percent : 1,
	    .smtp = {.hostname = config->hostname},
	    .ready = on_ready,
	    .closed = on_closed,
	    .context = session,
	};

	if (options.connect_timeout_ms > timeout_ms)
		options.connect_timeout_ms = timeout_ms;
	session->call_ahead = call_ahead;
	session->next = call_ahead->sessions;
	call_ahead->sessions = session;
	call_ahead->session_count++;
	session->idle =
	    loop_timer_new(call_ahead->options.loop, on_idle, session);
	session->dialer = smtp_dialer_new(call_ahead->options.loop, &options);
}

/* Whether a session is on its way to be ready. */
static bool is_connecting(const struct call_ahead *call_ahead)
{
	const struct session *session;

	for (session = call_ahead->sessions; session; session = session->next)
		if (!session->greeted)
			return true;
	return false;
}

/* Gives what waits to the sessions that are ready; opens one where none is. */
static void pump(struct call_ahead *call_ahead)
{
	struct session *session;

	for (session = call_ahead->sessions; session && call_ahead->first;
	     session = session->next)
		if (session->ready && fill(session))
			ask(session);
	if (call_ahead->first && !call_ahead->stopping &&
	    !is_connecting(call_ahead) &&
	    call_ahead->session_count <
	        call_ahead->options.config->recipients_connections)
		open_session(call_ahead);
}

void call_ahead_ask(struct call_ahead *call_ahead, const char *address)
{
	size_t size = strlen(address) + 1;
	struct question *question = mem_alloc(sizeof(*question) + size);

	memcpy(question->address, address, size);
	question->since_ms = clock_monotonic_ms();
	put(call_ahead, question);
	pump(call_ahead);
}

void call_ahead_free(struct call_ahead *call_ahead)
{
	struct session *session, *next;

	if (!call_ahead)
		return;
	call_ahead->stopping = true;
	fail_waiting(call_ahead, "the agent is stopping");
	for (session = call_ahead->sessions; session; session = next) {
		next = session->next;
		free_session(session);
	}
	free(call_ahead);
}
