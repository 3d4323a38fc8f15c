/* The policy callbacks of the agent's SMTP server. */
#include "local-agent/intake/intake.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "local-agent/delivery/delivery.h"
#include "local-agent/intake/private.h"

static const char *const verdict_names[SPOOL_STATE_COUNT] = {
    [SPOOL_HELD] = "hold",
    [SPOOL_QUEUED] = "deliver",
    [SPOOL_DISCARDED] = "discard",
    [SPOOL_FAILED] = "loop",
};

struct intake *intake_new(const struct intake_options *options)
{
	struct intake *intake = mem_alloc(sizeof(*intake));
	char labels[40];
	int i;

	intake->options = *options;
	intake->directory = spool_incoming_directory(options->spool);
	atomic_init(&intake->low_space, false);
	atomic_init(&intake->refusing, false);
	atomic_init(&intake->pending, 0);
	(void)pthread_mutex_init(&intake->lock, NULL);
	intake->trouble.part = "intake";
	stamp_watch_init(&intake->stamps);
	for (i = 0; i < SPOOL_STATE_COUNT; i++) {
		if (!verdict_names[i])
			continue;
		(void)snprintf(labels, sizeof(labels), "verdict=\"%s\"",
		               verdict_names[i]);
		intake->received[i] =
		    metric_counter("turing_agent_received_total", labels,
		                   "Recipients of mail taken, by verdict");
	}
	intake->messages =
	    metric_counter("turing_agent_messages_total", "", "Messages taken");
	intake->bytes = metric_counter("turing_agent_received_bytes_total", "",
	                               "Bytes of messages taken");
	intake->refused =
	    metric_counter("turing_agent_not_stored_total", "",
	                   "Messages answered 4xx because they could not be "
	                   "stored");
	return intake;
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	stamp_watch_release(&intake->stamps);
	(void)pthread_mutex_destroy(&intake->lock);
	free(intake);
}

void intake_set_low_space(struct intake *intake, bool low)
{
	atomic_store(&intake->low_space, low);
}

void intake_refuse(struct intake *intake)
{
	atomic_store(&intake->refusing, true);
}

unsigned intake_pending(const struct intake *intake)
{
	return atomic_load(&intake->pending);
}

void *intake_session_new(void *context, struct loop *loop)
{
	struct session *session = mem_alloc(sizeof(*session));

	session->intake = context;
	session->loop = loop;
	return session;
}

void intake_session_free(void *session_context)
{
	free(session_context);
}

bool intake_is_listed(const char *address, void *context)
{
	const struct intake *intake = context;
	const struct config_list *list =
	    &intake->options.config->smtp_xforward_from;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (strcmp(list->items[i], address) == 0)
			return true;
	return false;
}

/* A fault of ours is answered 4xx: never 5xx, never 250. */
static void set_failure_reply(struct smtp_reply *reply, int code)
{
	if (code == ERR_FULL)
		smtp_reply_set(reply, 452, "4.3.1",
		               "Insufficient system storage");
	else if (code == ERR_LIMIT)
		smtp_reply_set(reply, 451, "4.3.1",
		               "Too much mail waits to be stored, try again "
		               "later");
	else
		smtp_reply_set(reply, 451, "4.3.0",
		               "The message could not be stored, try again "
		               "later");
}

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	struct session *session = context;
	struct intake *intake = session->intake;
	int away;

	(void)server;
	if (atomic_load(&intake->refusing)) {
		smtp_reply_set(reply, 451, "4.3.0",
		               "Mail cannot be stored, try again later");
		return;
	}
	if (atomic_load(&intake->low_space)) {
		smtp_reply_set(reply, 452, "4.3.1",
		               "Insufficient system storage");
		return;
	}
	/* Without its body, which could not be stored either. */
	away = writer_away(intake->options.writer);
	if (away) {
		metric_add(intake->refused, 1);
		set_failure_reply(reply, away);
		return;
	}
	session->letter = letter_new(
	    mail->sender, intake->directory,
	    (size_t)intake->options.config->spool_large_body, mail->size);
	session->letter->message.eight_bit = mail->eight_bit;
	session->letter->message.smtputf8 = mail->utf8;
	smtp_reply_set(reply, 250, "2.1.0", "Ok");
}

/* Whether the domain is the tenant's and the local part asks for no relay. */
static bool may_relay(const struct intake *intake,
                      const struct replica_view *view, const char *recipient)
{
	char folded[256];
	const char *domain = mail_address_domain(recipient);

	if (!*domain || mail_domain_fold(domain, folded, sizeof(folded)) ||
	    !replica_view_has_domain(view, folded))
		return false;
	return intake->options.config->recipients_routed ||
	       !mail_address_is_routed(recipient);
}

/*
 * Whether we take mail for it: sets full to the recipient, or to a
 * postmaster's address in full; fills the reply if not.
 */
static bool is_ours(const struct intake *intake,
                    const struct replica_view *view, const char *recipient,
                    char full[SMTP_PATH_SIZE], struct smtp_reply *reply)
{
	if (!view->received) {
		smtp_reply_set(reply, 451, "4.3.0",
		               "No policy has been received yet, try again "
		               "later");
		return false;
	}
	if (strcasecmp(recipient, "postmaster") == 0 &&
	    view->domain_count > 0) {
		(void)snprintf(full, SMTP_PATH_SIZE, "postmaster@%s",
		               view->domains[0]);
		return true;
	}
	if (!may_relay(intake, view, recipient)) {
		smtp_reply_set(reply, 550, "5.7.1", "Relay access denied");
		return false;
	}
	(void)snprintf(full, SMTP_PATH_SIZE, "%s", recipient);
	return true;
}

/* What is known of session->recipient: takes it or fills the refusal in. */
static void take_answer(struct session *session, enum recipient_answer answer,
                        struct smtp_reply *reply)
{
	if (answer == RECIPIENT_ABSENT) {
		smtp_reply_set(reply, 550, "5.1.1", "No such mailbox here");
	} else if (answer == RECIPIENT_EXISTS) {
		letter_add_recipient(session->letter, session->recipient);
		smtp_reply_set(reply, 250, "2.1.5", "Ok");
	} else {
		smtp_reply_set(reply, 451, "4.4.0",
		               "The mailbox cannot be verified now, try again "
		               "later");
	}
}

/* On the session's loop. */
static void on_answer(void *context, enum recipient_answer answer)
{
	struct session *session = context;
	struct smtp_reply reply;

	session->question = NULL;
	take_answer(session, answer, &reply);
	smtp_server_answer_rcpt(session->server, &reply);
}

/*
 * Whether session->recipient exists. A postmaster does (RFC 5321 section
 * 4.5.1); what an MX handed over and no mailbox can be called is held, since
 * the MX would bounce it.
 */
static enum recipient_answer ask(struct session *session)
{
	struct recipient_check *check = session->intake->options.recipients;
	char folded[MAIL_ADDRESS_SIZE];

	if (!check || strncasecmp(session->recipient, "postmaster@", 11) == 0 ||
	    mail_address_fold(session->recipient, folded))
		return RECIPIENT_EXISTS;
	return recipient_check_ask(check, folded, session->loop, on_answer,
	                           session, &session->question);
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	struct session *session = context;
	struct intake *intake = session->intake;
	struct replica *replica = intake->options.replica;
	const struct replica_view *view = replica_acquire(replica);
	bool ours = is_ours(intake, view, recipient, session->recipient, reply);
	enum recipient_answer answer;

	replica_release(replica, view);
	if (!ours)
		return;
	session->server = server;
	answer = ask(session);
	if (answer == RECIPIENT_ASKED)
		reply->code = 0;
	else
		take_answer(session, answer, reply);
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	smtp_reply_set(reply, 354, "", "End data with <CR><LF>.<CR><LF>");
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	struct session *session = context;

	(void)server;
	letter_add_body(session->letter, bytes, size);
}

static void count_stored(struct intake *intake, const struct letter *letter)
{
	size_t i;

	metric_add(intake->messages, 1);
	metric_add(intake->bytes, letter->message.size);
	for (i = 0; i < letter->message.recipient_count; i++)
		metric_add(
		    intake->received[letter->message.recipients[i].state], 1);
}

static void log_stored(const struct letter *letter, const char *id)
{
	const struct spool_message *message = &letter->message;

	log_info(id,
	         "received from=<%s> client=[%s] size=%lld held=%zu queued=%zu "
	         "discarded=%zu no-challenge=%s",
	         message->sender, message->client_address,
	         (long long)message->size, letter_count(letter, SPOOL_HELD),
	         letter_count(letter, SPOOL_QUEUED),
	         letter_count(letter, SPOOL_DISCARDED),
	         message->challenge_reason);
	for (size_t i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == SPOOL_FAILED)
			log_warning(id,
			            "not delivered to=<%s>: %s; kept, see "
			            "queue list",
			            message->recipients[i].address,
			            message->recipients[i].why);
}

/* Passes a stored message on to those who work with it; letter is freed. */
static void pass_on(struct intake *intake, struct letter *letter)
{
	const struct intake_options *options = &intake->options;

	free(letter->path); /* the spool has taken the file over */
	letter->path = NULL;
	if (!letter->message.registered && options->held)
		options->held(options->context);
	if (letter->reserved > 0) {
		bool in_memory = letter->change.add.body.bytes != NULL;

		delivery_take(options->delivery, &letter->message,
		              in_memory ? buffer_take(&letter->body) : NULL,
		              (size_t)(in_memory ? letter->message.size : 0),
		              letter->reserved);
		letter->reserved = 0;
	}
	letter_free(letter);
}

/* What the store's absence refuses is logged once a period. */
static void log_refused(struct intake *intake, const struct letter *letter,
                        int code)
{
	const struct spool_message *message = &letter->message;
	char id[ID_TEXT_SIZE];

	if (trouble_is_passing(code)) {
		(void)pthread_mutex_lock(&intake->lock);
		trouble_tell(&intake->trouble, code, "a message is refused",
		             "the sender is to try again later");
		(void)pthread_mutex_unlock(&intake->lock);
		return;
	}
	log_warning(id_is_none(&message->id) ? "intake"
	                                     : id_format(&message->id, id),
	            "not stored: %s; from=<%s> client=[%s]", error_name(code),
	            message->sender,
	            message->client_address ? message->client_address : "");
}

/*
 * The message was not stored, or may have been, which is found out later;
 * letter is freed.
 */
static void give_up(struct intake *intake, struct letter *letter, int code)
{
	metric_add(intake->refused, 1);
	log_refused(intake, letter, code);
	if (letter->reserved > 0)
		delivery_unreserve(intake->options.delivery, letter->reserved);
	if (code == ERR_UNCERTAIN && intake->options.disowned)
		disowned_add(intake->options.disowned, &letter->message.id);
	letter_free(letter);
}

/* The outcome of the commit; on the session's loop. */
static void on_commit(struct writer_request *request, int result)
{
	struct letter *letter = (struct letter *)request;
	struct session *session = letter->session;
	struct intake *intake = letter->intake;
	struct smtp_reply reply;
	char id[ID_TEXT_SIZE];

	if (result == 0)
		result = letter->change.result;
	(void)id_format(&letter->message.id, id);
	if (result == 0) {
		count_stored(intake, letter);
		log_stored(letter, id);
		smtp_reply_set(&reply, 250, "2.0.0", "Ok: taken as %s", id);
		pass_on(intake, letter);
	} else {
		set_failure_reply(&reply, result);
		give_up(intake, letter, result);
	}
	atomic_fetch_sub(&intake->pending, 1);
	if (session) {
		session->letter = NULL;
		smtp_server_finish(session->server, &reply);
	}
}

static void prepare_change(struct letter *letter, struct session *session)
{
	struct spool_change *change = &letter->change;

	change->kind = SPOOL_ADD;
	change->add.message = &letter->message;
	change->add.body = (struct spool_body_source){
	    .size = (size_t)letter->message.size,
	    .path = letter->path,
	};
	if (!letter->path)
		change->add.body.bytes = buffer_text(&letter->body);
	if (!letter->message.body_present) {
		change->add.body.bytes = "";
		change->add.body.size = 0;
	}
	letter->request = (struct writer_request){
	    .changes = change,
	    .count = 1,
	    .bytes = letter->path ? 0 : letter->body.length,
	    .loop = session->loop,
	    .done = on_commit,
	};
}

/* Hands the letter to the writer; a negative error when it is not taken. */
static int submit(struct letter *letter, struct session *session,
                  const struct smtp_client_info *client)
{
	struct intake *intake = session->intake;
	int result;

	letter_complete(letter);
	if (letter->failure)
		return letter->failure;
	letter_judge(letter, intake, client);
	prepare_change(letter, session);
	letter->submitted = true;
	letter->intake = intake;
	letter->session = session;
	atomic_fetch_add(&intake->pending, 1);
	result = writer_offer(intake->options.writer, &letter->request);
	if (result) {
		atomic_fetch_sub(&intake->pending, 1);
		letter->submitted = false;
	}
	return result;
}

static void on_end(struct smtp_server *server, void *context)
{
	struct session *session = context;
	struct letter *letter = session->letter;
	struct smtp_reply reply;
	int result;

	session->server = server;
	letter->fault = smtp_server_fault(server);
	result = submit(letter, session, smtp_server_client(server));
	if (result == 0)
		return;
	session->letter = NULL;
	set_failure_reply(&reply, result);
	give_up(session->intake, letter, result);
	smtp_server_finish(server, &reply);
}

/* A letter that the writer has is let go: it is stored, nobody is told. */
static void on_reset(struct smtp_server *server, void *context)
{
	struct session *session = context;
	struct letter *letter = session->letter;

	(void)server;
	recipient_question_drop(session->question);
	session->question = NULL;
	session->letter = NULL;
	if (letter && letter->submitted)
		letter->session = NULL;
	else
		letter_free(letter);
}

const struct smtp_server_policy intake_policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};
