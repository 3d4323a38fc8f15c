/* The sandbox mail server: an SMTP policy that stores all it gets. */
#include "sandbox/sandbox.h"

#include <string.h>

#include "common/fs.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/smtp/listener.h"
#include "sandbox/maildir.h"

#define LOOPS           4
#define MESSAGE_MAXIMUM (128 * 1024 * 1024)
#define COMMAND_MS      (5 * 60 * 1000)
#define SESSION_MS      (60 * 60 * 1000)
#define STOP_MS         5000

struct sandbox {
	struct sandbox_options options;
	struct loop *loops[LOOPS];
	struct smtp_listener *listener;
};

/* A client's session; the rest belongs to its transaction. */
struct session {
	struct sandbox *sandbox;
	char *sender;
	char **recipients;
	size_t recipient_count;
	struct buffer message;
};

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	struct session *session = context;

	(void)server;
	(void)reply;
	session->sender = mem_copy_string(mail->sender);
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	struct session *session = context;
	size_t count = session->recipient_count;

	(void)server;
	(void)reply;
	session->recipients =
	    mem_resize_array(session->recipients, count + 1, sizeof(char *));
	session->recipients[count] = mem_copy_string(recipient);
	session->recipient_count++;
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)reply;
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	struct session *session = context;

	/* Its maximum is that of the server's options. */
	(void)server;
	(void)buffer_append(&session->message, bytes, size);
}

/* One line for who watches. */
static void print_message(const struct session *session)
{
	if (session->sandbox->options.quiet)
		return;
	flockfile(stdout);
	(void)printf("sandbox: %zu bytes from <%s> to", session->message.length,
	             session->sender);
	for (size_t i = 0; i < session->recipient_count; i++)
		(void)printf(" <%s>", session->recipients[i]);
	(void)printf("\n");
	(void)fflush(stdout);
	funlockfile(stdout);
}

static void on_end(struct smtp_server *server, void *context)
{
	struct session *session = context;
	struct smtp_reply reply;
	struct error err;
	int result = 0;

	for (size_t i = 0; i < session->recipient_count && !result; i++)
		result = maildir_deliver(
		    session->sandbox->options.maildir, session->sender,
		    session->recipients[i], buffer_text(&session->message),
		    session->message.length, &err);
	if (result) {
		smtp_reply_set(&reply, 451, "4.3.0", "Not stored: %s",
		               err.text);
	} else {
		smtp_reply_set(&reply, 250, "2.0.0", "Stored");
		print_message(session);
	}
	smtp_server_finish(server, &reply);
}

static void on_reset(struct smtp_server *server, void *context)
{
	struct session *session = context;

	(void)server;
	for (size_t i = 0; i < session->recipient_count; i++)
		free(session->recipients[i]);
	free(session->recipients);
	free(session->sender);
	session->recipients = NULL;
	session->recipient_count = 0;
	session->sender = NULL;
	buffer_release(&session->message);
}

static void *session_new(void *context, struct loop *loop)
{
	struct session *session = mem_alloc(sizeof(*session));

	(void)loop;
	session->sandbox = context;
	buffer_init(&session->message, MESSAGE_MAXIMUM);
	return session;
}

static const struct smtp_server_policy policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};

static int listen_on(struct sandbox *sandbox, struct error *err)
{
	const struct smtp_listener_options options = {
	    .address = sandbox->options.address,
	    .port = sandbox->options.port,
	    .loops = sandbox->loops,
	    .loop_count = LOOPS,
	    .command_timeout_ms = COMMAND_MS,
	    .data_timeout_ms = COMMAND_MS,
	    .session_timeout_ms = SESSION_MS,
	    .smtp = {.hostname = "sandbox.invalid",
	             .maximum_message = MESSAGE_MAXIMUM,
	             .policy = &policy},
	    .session_new = session_new,
	    .session_free = free,
	    .context = sandbox,
	};

	return smtp_listener_start(&sandbox->listener, &options, err);
}

int sandbox_start(struct sandbox **sandbox,
                  const struct sandbox_options *options, struct error *err)
{
	struct sandbox *made = mem_alloc(sizeof(*made));
	int result = fs_make_directory(options->maildir, err);

	made->options = *options;
	for (int i = 0; i < LOOPS && !result; i++)
		result = loop_start(&made->loops[i], "sandbox", err);
	if (!result)
		result = listen_on(made, err);
	if (result) {
		sandbox_stop(made);
		return result;
	}
	*sandbox = made;
	return 0;
}

uint16_t sandbox_port(const struct sandbox *sandbox)
{
	return smtp_listener_port(sandbox->listener);
}

void sandbox_stop(struct sandbox *sandbox)
{
	if (!sandbox)
		return;
	smtp_listener_stop(sandbox->listener, STOP_MS);
	for (int i = 0; i < LOOPS; i++)
		loop_stop(sandbox->loops[i]);
	free(sandbox);
}
