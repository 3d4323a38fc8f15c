/*
 * Sends through libesmtp, and believes it only as far as a witness of the
 * dialogue confirms: the library can report a 250 for a message that it never
 * sent.
 */
#include "cloud-service/mail/smarthost.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <auth-client.h>
#include <libesmtp.h>

#include "cloud-service/mail/breaker.h"
#include "cloud-service/mail/smarthost-peer.h"
#include "cloud-service/mail/smarthost-refusal.h"
#include "cloud-service/mail/smtp-dialogue.h"
#include "common/clock.h"
#include "common/mail/address.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/smtp/reply.h"

/* The first pause after a refusal of us; the setting for mails is the limit. */
#define FIRST_PAUSE_MS 5000

struct smarthost {
	const struct cloud_config *config;
	char *host;
	uint16_t port;
	char *helo;
	SSL_CTX *tls; /* NULL: in the clear */
	struct breaker breaker;
	pthread_mutex_t lock;
	char
	    peer[PEER_TEXT_SIZE]; /* where the last sending reached it, or "" */
};

/* One sending. */
struct sending {
	struct smarthost *smarthost;
	struct dialogue dialogue;
	const char *bytes;
	size_t size;
	size_t handed; /* bytes given to the library */
	bool ended;    /* it asked once more and was told that that is all */
	bool connected;
	int64_t last_ms; /* of the last callback while the message goes out */
	bool stalled;
	size_t hiding; /* letters of CHUNKING that were read last */
};

static int set_authorities(SSL_CTX *tls, const char *ca_file, struct error *err)
{
	int done = ca_file ? SSL_CTX_load_verify_locations(tls, ca_file, NULL)
	                   : SSL_CTX_set_default_verify_paths(tls);

	if (done != 1)
		return error_set(err, ERR_INVALID,
		                 "smarthost.ca_file: cannot read authorities");
	return 0;
}

/*
 * TLS 1.2 with forward secrecy, and the name as configured in the certificate:
 * libesmtp checks the name that the DNS gave. Not TLS 1.3: when the tickets
 * that follow its handshake come early, libesmtp takes them for the answer to
 * a command that it has not sent yet, and waits for the rest in vain.
 */
static int make_tls(struct smarthost *smarthost, struct error *err)
{
	X509_VERIFY_PARAM *parameter;
	int result;

	smarthost->tls = SSL_CTX_new(TLS_client_method());
	if (!smarthost->tls)
		return error_set(err, ERR_UNAVAILABLE, "no TLS context");
	SSL_CTX_set_min_proto_version(smarthost->tls, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(smarthost->tls, TLS1_2_VERSION);
	if (SSL_CTX_set_cipher_list(smarthost->tls,
	                            "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return error_set(err, ERR_UNAVAILABLE, "no TLS ciphers");
	SSL_CTX_set_verify(smarthost->tls, SSL_VERIFY_PEER, NULL);
	result = set_authorities(smarthost->tls,
	                         smarthost->config->smarthost_ca_file, err);
	if (result)
		return result;
	parameter = SSL_CTX_get0_param(smarthost->tls);
	if (X509_VERIFY_PARAM_set1_ip_asc(parameter, smarthost->host) != 1 &&
	    X509_VERIFY_PARAM_set1_host(parameter, smarthost->host, 0) != 1)
		return error_set(err, ERR_INVALID,
		                 "smarthost.address: no name to verify");
	return 0;
}

static void start_auth_library(void)
{
	auth_client_init();
}

int smarthost_new(struct smarthost **smarthost,
                  const struct cloud_config *config, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct smarthost *made = mem_alloc(sizeof(*made));
	const char *helo = config->smarthost_helo;
	int result;

	pthread_once(&once, start_auth_library);
	made->config = config;
	pthread_mutex_init(&made->lock, NULL);
	breaker_init(&made->breaker,
	             config->mail_retry_min_ms < FIRST_PAUSE_MS
	                 ? config->mail_retry_min_ms
	                 : FIRST_PAUSE_MS,
	             config->mail_retry_max_ms);
	if (!helo || !*helo)
		helo = mail_address_domain(config->challenge_from);
	made->helo = mem_copy_string(helo);
	result = config_parse_endpoint(config->smarthost_address, &made->host,
	                               &made->port, err);
	if (!result && config->smarthost_starttls == STARTTLS_REQUIRED)
		result = make_tls(made, err);
	if (result)
		smarthost_free(made);
	else
		*smarthost = made;
	return result;
}

void smarthost_free(struct smarthost *smarthost)
{
	if (!smarthost)
		return;
	pthread_mutex_destroy(&smarthost->lock);
	breaker_release(&smarthost->breaker);
	SSL_CTX_free(smarthost->tls);
	free(smarthost->host);
	free(smarthost->helo);
	free(smarthost);
}

/* A gap as long as the timeout between two callbacks: the library gave up
 * writing something and went on as if nothing were missing. */
static void watch_clock(struct sending *sending)
{
	int64_t now = clock_monotonic_ms();

	if (sending->last_ms &&
	    now - sending->last_ms >=
	        sending->smarthost->config->smarthost_timeout_ms)
		sending->stalled = true;
	sending->last_ms = now;
}

static const char *next_piece(void **buffer, int *length, void *argument)
{
	struct sending *sending = argument;

	(void)buffer;
	if (!length) { /* from the start */
		sending->handed = 0;
		sending->ended = false;
		errno = 0;
		return NULL;
	}
	watch_clock(sending);
	*length = 0;
	if (sending->dialogue.broken || sending->stalled) {
		errno = EPROTO; /* makes it drop the connection, no dot sent */
		return NULL;
	}
	errno = 0;
	if (sending->handed == sending->size) {
		sending->ended = true;
		sending->dialogue.body_sent = true;
		return NULL;
	}
	*length = (int)(sending->size - sending->handed);
	sending->handed = sending->size;
	return sending->bytes;
}

/*
 * Makes another word of CHUNKING (RFC 3030) in an answer before the library
 * reads it. With BDAT it would take the monitor away from before RCPT on, and
 * forget the refusal of a chunk when a later one is accepted. DATA, which such
 * a server takes as well (RFC 3030 section 2), is watched to its end.
 */
static void hide_chunking(struct sending *sending, char *bytes, size_t size)
{
	static const char word[] = "CHUNKING";

	for (size_t i = 0; i < size; i++) {
		char letter = bytes[i];

		if (letter >= 'a' && letter <= 'z')
			letter = (char)(letter - 'a' + 'A');
		if (letter != word[sending->hiding])
			sending->hiding = letter == word[0];
		else if (++sending->hiding == sizeof(word) - 1) {
			bytes[i] = '-';
			sending->hiding = 0;
		}
	}
}

static void monitor(const char *bytes, int size, int writing, void *argument)
{
	struct sending *sending = argument;

	if (size <= 0)
		return;
	if (writing == 1) {
		dialogue_written(&sending->dialogue, bytes, (size_t)size);
	} else if (writing == 0) {
		if (sending->ended)
			watch_clock(sending);
		dialogue_read(&sending->dialogue, bytes, (size_t)size);
		/* The library's own buffer, which it reads next. */
		if (!sending->dialogue.mail_code)
			hide_chunking(sending, (char *)(uintptr_t)bytes,
			              (size_t)size);
	}
}

static void on_event(smtp_session_t session, int number, void *argument, ...)
{
	struct sending *sending = argument;
	va_list list;

	(void)session;
	va_start(list, argument);
	switch (number) {
	case SMTP_EV_CONNECT:
		sending->connected = true;
		break;
	case SMTP_EV_MESSAGEDATA:
		watch_clock(sending);
		break;
	case SMTP_EV_STARTTLS_OK:
		/* An old error of this thread would be taken for the next
		 * read's: the library never clears them. */
		ERR_clear_error();
		dialogue_encrypted(&sending->dialogue);
		break;
	case SMTP_EV_WRONG_PEER_CERTIFICATE:
		/* It compares with a numeric address. Ours was compared with
		 * the name as configured, during the handshake. */
		*va_arg(list, int *) = sending->smarthost->tls != NULL;
		break;
	default: /* what asks whether to go on is answered no by default */
		break;
	}
	va_end(list);
}

static int tell_credentials(auth_client_request_t request, char **result,
                            int fields, void *argument)
{
	const struct cloud_config *config = argument;
	int i;

	for (i = 0; i < fields; i++) {
		if (request[i].flags & AUTH_USER)
			result[i] = config->smarthost_user;
		else if (request[i].flags & AUTH_PASS)
			result[i] = config->smarthost_password;
		else
			result[i] = NULL;
	}
	return 1;
}

static void set_timeouts(smtp_session_t session, int64_t timeout_ms)
{
	static const int which[] = {Timeout_GREETING, Timeout_ENVELOPE,
	                            Timeout_DATA, Timeout_TRANSFER,
	                            Timeout_DATA2};
	size_t i;

	for (i = 0; i < sizeof(which) / sizeof(which[0]); i++)
		smtp_set_timeout(session,
		                 which[i] | Timeout_OVERRIDE_RFC2822_MINIMUM,
		                 (long)timeout_ms);
}

/* 0, or ERR_UNAVAILABLE when the library has no memory. */
static int set_up(struct sending *sending, smtp_session_t session,
                  const char *peer, const char *sender, const char *recipient)
{
	const struct smarthost *smarthost = sending->smarthost;
	smtp_message_t message = smtp_add_message(session);

	if (!message || !smtp_set_server(session, peer) ||
	    !smtp_set_hostname(session, smarthost->helo) ||
	    !smtp_set_eventcb(session, on_event, sending) ||
	    !smtp_set_monitorcb(session, monitor, sending, 0) ||
	    !smtp_set_reverse_path(message, *sender ? sender : NULL) ||
	    !smtp_add_recipient(message, recipient) ||
	    !smtp_set_messagecb(message, next_piece, sending))
		return ERR_UNAVAILABLE;
	set_timeouts(session, smarthost->config->smarthost_timeout_ms);
	if (!smarthost->tls)
		return 0;
	if (!smtp_starttls_enable(session, Starttls_REQUIRED) ||
	    !smtp_starttls_set_ctx(session, smarthost->tls))
		return ERR_UNAVAILABLE;
	return 0;
}

static auth_context_t make_auth(const struct smarthost *smarthost)
{
	auth_context_t auth;

	if (!smarthost->config->smarthost_user)
		return NULL;
	auth = auth_create_context();
	if (!auth)
		return NULL;
	auth_set_mechanism_flags(auth, AUTH_PLUGIN_PLAIN, 0);
	auth_set_interact_cb(auth, tell_credentials,
	                     (void *)(uintptr_t)smarthost->config);
	return auth;
}

static void set_library_error(struct smarthost_reply *reply)
{
	char text[128] = "";
	int number = smtp_errno();

	if (!smtp_strerror(number, text, sizeof(text)) || !*text)
		snprintf(text, sizeof(text), "no answer");
	snprintf(reply->text, sizeof(reply->text), "%s", text);
}

static void copy_enhanced(const char *text, char enhanced[12])
{
	size_t length = smtp_enhanced_length(text);

	memcpy(enhanced, text, length);
	enhanced[length] = '\0';
}

static enum smarthost_outcome judge_refusal(const struct sending *sending,
                                            enum dialogue_command verb,
                                            struct smarthost_reply *reply)
{
	enum refusal refusal =
	    refusal_judge(verb, reply->code, reply->enhanced, reply->text);
	struct breaker *breaker = &sending->smarthost->breaker;

	if (refusal == REFUSAL_FOR_NOW)
		return SMARTHOST_DEFERRED;
	if (refusal == REFUSAL_OF_US) {
		/* What is said of a whole message may be about it alone. */
		reply->others_pass = breaker_refused(
		    breaker, verb == DIALOGUE_DOT, clock_monotonic_ms());
		log_error("mail",
		          "the smarthost refuses us, mails wait %" PRId64
		          " ms: %s",
		          breaker_pause_ms(breaker, clock_monotonic_ms()),
		          reply->text);
		return SMARTHOST_REFUSES_US;
	}
	breaker_taken(breaker);
	reply->nobody_there = refusal == REFUSAL_NOBODY_THERE;
	return refusal == REFUSAL_OF_MESSAGE ? SMARTHOST_REFUSES_MESSAGE
	                                     : SMARTHOST_REFUSES_RECIPIENT;
}

static enum smarthost_outcome judge(const struct sending *sending,
                                    int library_code,
                                    struct smarthost_reply *reply)
{
	const struct dialogue *dialogue = &sending->dialogue;
	enum dialogue_command verb;
	int refusal = dialogue_refusal(dialogue, &verb);

	if (dialogue->broken || sending->stalled) {
		snprintf(reply->text, sizeof(reply->text), "%s",
		         dialogue->broken ? dialogue->broken
		                          : "the transfer stalled");
		return SMARTHOST_DEFERRED;
	}
	if (dialogue->last[0]) {
		reply->code = refusal ? refusal : dialogue->final_code;
		snprintf(reply->text, sizeof(reply->text), "%s",
		         dialogue->last);
		if (strlen(dialogue->last) > 4)
			copy_enhanced(dialogue->last + 4, reply->enhanced);
	}
	if (refusal)
		return judge_refusal(sending, verb, reply);
	if (dialogue_accepted(dialogue) && sending->ended &&
	    library_code / 100 == 2) {
		breaker_taken(&sending->smarthost->breaker);
		return SMARTHOST_SENT;
	}
	reply->code = 0;
	set_library_error(reply);
	return SMARTHOST_DEFERRED;
}

static void note_code(smtp_message_t message, void *argument)
{
	const smtp_status_t *status = smtp_message_transfer_status(message);

	if (status)
		*(int *)argument = status->code;
}

static enum smarthost_outcome run_session(struct sending *sending,
                                          const char *peer, const char *sender,
                                          const char *recipient,
                                          struct smarthost_reply *reply)
{
	smtp_session_t session = smtp_create_session();
	auth_context_t auth = NULL;
	enum smarthost_outcome outcome = SMARTHOST_DEFERRED;
	int code = 0;

	if (!session || set_up(sending, session, peer, sender, recipient)) {
		snprintf(reply->text, sizeof(reply->text), "out of memory");
		goto done;
	}
	auth = make_auth(sending->smarthost);
	if (auth)
		smtp_auth_set_context(session, auth);
	ERR_clear_error();
	if (smtp_start_session(session))
		smtp_enumerate_messages(session, note_code, &code);
	outcome = judge(sending, code, reply);
done:
	if (session)
		smtp_destroy_session(session);
	if (auth)
		auth_destroy_context(auth);
	return outcome;
}

/* Stricter than the syntax: what no real address holds, and what libesmtp
 * would write raw into its command. */
static bool address_is_plain(const char *address)
{
	const char *at;

	if (!mail_address_valid(address, false))
		return false;
	for (at = address; *at; at++)
		if (*at <= ' ' || *at >= 127 || strchr("<>\\\"", *at))
			return false;
	return true;
}

/*
 * Where to connect. While all goes well the address that answered is used
 * again, without a connection to try it.
 */
static int choose_peer(struct smarthost *smarthost, char peer[PEER_TEXT_SIZE],
                       struct error *err)
{
	int result = 0;

	pthread_mutex_lock(&smarthost->lock);
	memcpy(peer, smarthost->peer, PEER_TEXT_SIZE);
	pthread_mutex_unlock(&smarthost->lock);
	if (!*peer)
		result = peer_find(smarthost->host, smarthost->port,
		                   smarthost->config->smarthost_timeout_ms,
		                   peer, err);
	return result;
}

/* Remembers the address where the smarthost was, or forgets it. */
static void keep_peer(struct smarthost *smarthost, const char *peer)
{
	pthread_mutex_lock(&smarthost->lock);
	snprintf(smarthost->peer, sizeof(smarthost->peer), "%s", peer);
	pthread_mutex_unlock(&smarthost->lock);
}

enum smarthost_outcome smarthost_send(struct smarthost *smarthost,
                                      const char *sender, const char *recipient,
                                      const char *bytes, size_t size,
                                      struct smarthost_reply *reply)
{
	struct sending sending = {
	    .smarthost = smarthost, .bytes = bytes, .size = size};
	enum smarthost_outcome outcome;
	char peer[PEER_TEXT_SIZE];
	struct error err = {0};
	int result;

	memset(reply, 0, sizeof(*reply));
	if ((*sender && !address_is_plain(sender)) ||
	    !address_is_plain(recipient)) {
		snprintf(reply->text, sizeof(reply->text),
		         "the address is not one that we write to");
		return SMARTHOST_REFUSES_MESSAGE;
	}
	dialogue_init(&sending.dialogue, smarthost->tls != NULL);
	result = choose_peer(smarthost, peer, &err);
	if (result) {
		snprintf(reply->text, sizeof(reply->text), "%.255s", err.text);
		return SMARTHOST_DEFERRED;
	}
	outcome = run_session(&sending, peer, sender, recipient, reply);
	keep_peer(smarthost, sending.connected && sending.dialogue.greeting_code
	                         ? peer
	                         : "");
	return outcome;
}

int64_t smarthost_pause_ms(struct smarthost *smarthost)
{
	return breaker_pause_ms(&smarthost->breaker, clock_monotonic_ms());
}
