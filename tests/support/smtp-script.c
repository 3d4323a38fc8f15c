/* Plays a scripted SMTP server on a thread of its own. */
#include "tests/support/smtp-script.h"

#include <arpa/inet.h>
#include <check.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

#define PATIENCE_MS 8000

struct smtp_script {
	const struct script_step *steps;
	int listener, stop[2], fd;
	uint16_t port;
	pthread_t thread;
	SSL *ssl;
	char ca_file[64];
	EVP_PKEY *key;
	X509 *certificate;
	char input[65536];
	size_t length;
	struct smtp_script_report report;
};

/* --- the certificate --- */

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
	X509 *made = X509_new();
	X509_EXTENSION *extension;
	char *names = mem_format("DNS:%s", name);

	ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
	X509_set_version(made, 2);
	X509_gmtime_adj(X509_getm_notBefore(made), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made), 86400);
	X509_set_pubkey(made, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN",
	                           MBSTRING_ASC, (const unsigned char *)name,
	                           -1, -1, 0);
	X509_set_issuer_name(made, X509_get_subject_name(made));
	extension =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	X509_add_ext(made, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(made, key, EVP_sha256());
	free(names);
	return made;
}

static void prepare_tls(struct smtp_script *script, const char *name)
{
	FILE *file;
	int fd;

	script->key = EVP_EC_gen("P-256");
	script->certificate = make_certificate(script->key, name);
	snprintf(script->ca_file, sizeof(script->ca_file),
	         "/tmp/test-ca-XXXXXX");
	fd = mkstemp(script->ca_file);
	ck_assert_int_ge(fd, 0);
	file = fdopen(fd, "w");
	PEM_write_X509(file, script->certificate);
	fclose(file);
}

static bool do_handshake(struct smtp_script *script)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(context, script->certificate);
	SSL_CTX_use_PrivateKey(context, script->key);
	script->ssl = SSL_new(context);
	SSL_CTX_free(context);
	SSL_set_fd(script->ssl, script->fd);
	return SSL_accept(script->ssl) == 1;
}

/* --- bytes --- */

static bool send_text(struct smtp_script *script, const char *text)
{
	size_t length = strlen(text);

	if (script->ssl)
		return SSL_write(script->ssl, text, (int)length) > 0;
	return send(script->fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Waits for the socket, or the order to stop. */
static bool wait_readable(struct smtp_script *script, int fd)
{
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
	                        {.fd = script->stop[0], .events = POLLIN}};

	if (script->ssl && fd == script->fd && SSL_pending(script->ssl))
		return true;
	return poll(fds, 2, PATIENCE_MS) > 0 && fds[0].revents;
}

static bool receive(struct smtp_script *script)
{
	char *to = script->input + script->length;
	size_t room = sizeof(script->input) - 1 - script->length;
	long got;

	if (room == 0 || !wait_readable(script, script->fd))
		return false;
	if (script->ssl)
		got = SSL_read(script->ssl, to, (int)room);
	else
		got = recv(script->fd, to, room, 0);
	if (got <= 0)
		return false;
	script->length += (size_t)got;
	script->input[script->length] = '\0';
	return true;
}

static void consume(struct smtp_script *script, size_t size)
{
	memmove(script->input, script->input + size, script->length - size + 1);
	script->length -= size;
}

/* --- the steps --- */

static bool hear(struct smtp_script *script, const char *expected)
{
	char *heard = script->report.heard;
	size_t known = strlen(heard), length;
	char *end;

	while (!(end = strstr(script->input, "\r\n")))
		if (!receive(script))
			return false;
	length = (size_t)(end - script->input) + 2;
	if (known + length < sizeof(script->report.heard)) {
		memcpy(heard + known, script->input, length);
		heard[known + length] = '\0';
	}
	if (!strncasecmp(script->input, "MAIL", 4))
		script->report.mail_heard = true;
	if (strncasecmp(script->input, expected, strlen(expected)))
		script->report.off_script = true;
	consume(script, length);
	return !script->report.off_script;
}

static bool hear_body(struct smtp_script *script)
{
	char *end;

	while (!(end = strstr(script->input, "\r\n.\r\n")))
		if (!receive(script))
			return false;
	script->report.message_whole = true;
	consume(script, (size_t)(end - script->input) + 5);
	return true;
}

static void stall(struct smtp_script *script)
{
	while (receive(script))
		script->length = 0;
}

static void reset(struct smtp_script *script)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(script->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* Whether the next step is to be done. */
static bool follow(struct smtp_script *script, const struct script_step *step)
{
	switch (step->action) {
	case SCRIPT_SAY:
		return send_text(script, step->text);
	case SCRIPT_HEAR:
		return hear(script, step->text);
	case SCRIPT_BODY:
		return hear_body(script);
	case SCRIPT_TLS:
		return do_handshake(script);
	case SCRIPT_STALL:
		stall(script);
		return false;
	case SCRIPT_FLOOD:
		while (send_text(script, step->text))
			;
		return false;
	case SCRIPT_RESET:
		reset(script);
		return false;
	case SCRIPT_END:
		break;
	}
	return false;
}

static void serve(struct smtp_script *script)
{
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	const struct script_step *step = script->steps;

	setsockopt(script->fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
	           sizeof(patience));
	setsockopt(script->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	           sizeof(patience));
	script->report.connected = true;
	while (follow(script, step))
		step++;
	SSL_free(script->ssl);
	close(script->fd);
}

/* A client that only tries the connection sends nothing and closes: it is not
 * the one. */
static bool is_probe(struct smtp_script *script)
{
	char byte;
	struct pollfd wait = {.fd = script->fd, .events = POLLIN};

	return poll(&wait, 1, 50) > 0 &&
	       recv(script->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void *run(void *argument)
{
	struct smtp_script *script = argument;
	bool served = false;

	while (wait_readable(script, script->listener)) {
		struct pollfd stop = {.fd = script->stop[0], .events = POLLIN};

		if (poll(&stop, 1, 0) > 0)
			break;
		script->fd = accept(script->listener, NULL, NULL);
		if (script->fd < 0)
			break;
		if (served || is_probe(script)) {
			close(script->fd);
			continue;
		}
		served = true;
		serve(script);
	}
	return NULL;
}

struct smtp_script *smtp_script_start(const struct script_step *steps)
{
	struct smtp_script *script = mem_alloc(sizeof(*script));
	struct sockaddr_in address = {.sin_family = AF_INET};
	const struct script_step *step;
	const char *name = "localhost";
	socklen_t size = sizeof(address);

	script->steps = steps;
	for (step = steps; step->action != SCRIPT_END; step++)
		if (step->action == SCRIPT_TLS)
			name = step->text;
	prepare_tls(script, name);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	script->listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(script->listener, (struct sockaddr *)&address,
	                      sizeof(address)),
	                 0);
	ck_assert_int_eq(listen(script->listener, 5), 0);
	getsockname(script->listener, (struct sockaddr *)&address, &size);
	script->port = ntohs(address.sin_port);
	ck_assert_int_eq(pipe(script->stop), 0);
	ck_assert_int_eq(pthread_create(&script->thread, NULL, run, script), 0);
	return script;
}

uint16_t smtp_script_port(const struct smtp_script *script)
{
	return script->port;
}

const char *smtp_script_ca_file(const struct smtp_script *script)
{
	return script->ca_file;
}

void smtp_script_stop(struct smtp_script *script,
                      struct smtp_script_report *report)
{
	close(script->stop[1]);
	pthread_join(script->thread, NULL);
	close(script->stop[0]);
	close(script->listener);
	*report = script->report;
	unlink(script->ca_file);
	X509_free(script->certificate);
	EVP_PKEY_free(script->key);
	free(script);
}
