/* The SMTP listener that takes bounces of challenge mails. */
#include "cloud-service/mail/bounce.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/smtp/listener.h"

#define MAXIMUM_SIZE     ((size_t)1024 * 1024)
#define MAXIMUM_READ     ((size_t)128 * 1024) /* what a report says is before */
#define MAXIMUM_SESSIONS 100
#define STOP_MS          2000

struct bounce_listener {
	struct bounce_options options;
	struct loop *loop;
	struct smtp_listener *smtp;
	char *host;
};

/* A session and the bounce in it. */
struct bounce_session {
	const struct bounce_options *options;
	struct id challenge;
	bool addressed;
	struct buffer mail; /* its first bytes */
};

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	/* Only bounces are taken, and they have the null sender. */
	if (*mail->sender)
		smtp_reply_set(reply, 550, "5.7.1",
		               "only delivery reports are accepted here");
	else
		smtp_reply_set(reply, 250, "2.1.0", "ok");
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	struct bounce_session *session = context;
	const struct bounce_options *options = session->options;
	struct id challenge;

	(void)server;
	if (session->addressed)
		smtp_reply_set(reply, 452, "4.5.3", "one recipient at a time");
	else if (bounce_address_read(options->key, recipient,
	                             options->config->bounce_domain,
	                             &challenge))
		smtp_reply_set(reply, 550, "5.1.1", "no such address");
	else {
		session->challenge = challenge;
		session->addressed = true;
		smtp_reply_set(reply, 250, "2.1.5", "ok");
	}
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	struct bounce_session *session = context;

	(void)server;
	buffer_reset(&session->mail);
	smtp_reply_set(reply, 354, "", "go ahead");
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	struct bounce_session *session = context;

	(void)server;
	if (size > MAXIMUM_READ - session->mail.length)
		size = MAXIMUM_READ - session->mail.length;
	(void)buffer_append(&session->mail, bytes, size);
}

static void on_end(struct smtp_server *server, void *context)
{
	struct bounce_session *session = context;
	struct smtp_reply reply;
	struct error err = {0};
	char text[ID_TEXT_SIZE];

	if (bounce_apply(session->options->registry, &session->challenge,
	                 session->mail.data, session->mail.length, &err)) {
		log_error(id_format(&session->challenge, text),
		          "bounce not written down: %s", err.text);
		smtp_reply_set(&reply, 451, "4.3.0", "try again later");
	} else {
		smtp_reply_set(&reply, 250, "2.0.0", "thank you");
	}
	smtp_server_finish(server, &reply);
}

static void on_reset(struct smtp_server *server, void *context)
{
	struct bounce_session *session = context;

	(void)server;
	session->addressed = false;
	buffer_reset(&session->mail);
}

static const struct smtp_server_policy policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};

static void *session_new(void *context, struct loop *loop)
{
	struct bounce_session *session = mem_alloc(sizeof(*session));

	(void)loop;
	session->options = context;
	buffer_init(&session->mail, MAXIMUM_READ);
	return session;
}

static void session_free(void *context)
{
	struct bounce_session *session = context;

	buffer_release(&session->mail);
	free(session);
}

static int listen_on(struct bounce_listener *listener, const char *host,
                     uint16_t port, struct error *err)
{
	struct smtp_listener_options options = {
	    .address = host,
	    .port = port,
	    .loops = &listener->loop,
	    .loop_count = 1,
	    .maximum_sessions = MAXIMUM_SESSIONS,
	    .command_timeout_ms = 60 * 1000,
	    .data_timeout_ms = 60 * 1000,
	    .session_timeout_ms = 10 * 60 * 1000,
	    .smtp =
	        {
	            .hostname = listener->options.config->bounce_domain,
	            .maximum_message = MAXIMUM_SIZE,
	            .maximum_recipients = 10,
	            .maximum_errors = 10,
	            .maximum_commands = 100,
	            .policy = &policy,
	        },
	    .session_new = session_new,
	    .session_free = session_free,
	    .context = &listener->options,
	};

	return smtp_listener_start(&listener->smtp, &options, err);
}

int bounce_start(struct bounce_listener **listener,
                 const struct bounce_options *options, struct error *err)
{
	struct bounce_listener *made = mem_alloc(sizeof(*made));
	uint16_t port;
	int result;

	made->options = *options;
	result = config_parse_endpoint(options->config->bounce_listen,
	                               &made->host, &port, err);
	if (!result)
		result = loop_start(&made->loop, "bounce", err);
	if (!result)
		result = listen_on(made, made->host, port, err);
	if (result)
		bounce_stop(made);
	else
		*listener = made;
	return result;
}

uint16_t bounce_port(const struct bounce_listener *listener)
{
	return smtp_listener_port(listener->smtp);
}

void bounce_stop(struct bounce_listener *listener)
{
	if (!listener)
		return;
	smtp_listener_stop(listener->smtp, STOP_MS);
	loop_stop(listener->loop);
	free(listener->host);
	free(listener);
}
