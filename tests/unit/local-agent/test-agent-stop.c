/*
 * The whole agent, started and stopped again and again while monitors ask and
 * mail comes in and goes out: what is freed meanwhile is read by nobody. It is
 * for the sanitizers to find out.
 */
#include "local-agent/agent.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/policy/entry.h"
#include "local-agent/cloud/replica.h"
#include "tests/support/http-peer.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/lab.h"

#define ROUNDS   12
#define MONITORS 3
#define SENDERS  2

static struct spool_fixture store;
static _Atomic bool ended;
static _Atomic unsigned answers, mails;
static uint16_t smtp_port, metrics_port, hop_port;
static int hop;

/* A port that was free just now. */
static uint16_t free_port(void)
{
	uint16_t port;

	(void)close(peer_listen(&port));
	return port;
}

/* A connection, or -1: the agent comes and goes. */
static int try_connect(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	                 sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	(void)close(fd);
	(void)poll(NULL, 0, 1);
	return -1;
}

/* Sends text and reads until the other end closes; whether it said all. */
static bool exchange(uint16_t port, const char *text, const char *wanted)
{
	char answer[16384];
	size_t length = 0;
	ssize_t got;
	int fd = try_connect(port);

	if (fd < 0)
		return false;
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	while (length < sizeof(answer) - 1 &&
	       (got = recv(fd, answer + length, sizeof(answer) - 1 - length,
	                   0)) > 0)
		length += (size_t)got;
	answer[length] = '\0';
	(void)close(fd);
	return strstr(answer, wanted) != NULL;
}

static void *monitor(void *argument)
{
	static const char *const requests[] = {
	    "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	    "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};

	(void)argument;
	for (size_t i = 0; !atomic_load(&ended); i++)
		if (exchange(metrics_port, requests[i % 3], "HTTP/1.1"))
			atomic_fetch_add(&answers, 1);
	return NULL;
}

/* Known and unknown senders by turns. */
static void *send_mail(void *argument)
{
	char text[400];

	(void)argument;
	for (unsigned i = 0; !atomic_load(&ended); i++) {
		(void)snprintf(text, sizeof(text),
		               "EHLO mx\r\nMAIL FROM:<%s@x.test>\r\n"
		               "RCPT TO:<a@ours.test>\r\nDATA\r\n"
		               "Subject: %u\r\n\r\nbody\r\n.\r\nQUIT\r\n",
		               i % 2 ? "white" : "stranger", i);
		if (exchange(smtp_port, text, "250 2.0.0"))
			atomic_fetch_add(&mails, 1);
	}
	return NULL;
}

/* Takes everything, in as many sessions as there are. */
static void *serve_session(void *argument)
{
	int fd = *(int *)argument;
	FILE *lines = fdopen(fd, "r");
	bool body = false;
	char line[1200];

	free(argument);
	(void)peer_send_text(fd, "220 hop\r\n");
	while (lines && fgets(line, sizeof(line), lines)) {
		if (body && strcmp(line, ".\r\n") != 0)
			continue;
		body = strncmp(line, "DATA", 4) == 0;
		(void)peer_send_text(fd, body ? "354 go\r\n" : "250 hop\r\n");
	}
	if (lines)
		(void)fclose(lines);
	return NULL;
}

static void *serve(void *argument)
{
	(void)argument;
	for (;;) {
		int *fd = mem_alloc(sizeof(*fd));
		pthread_t thread;

		*fd = accept(hop, NULL, NULL);
		if (*fd < 0) {
			free(fd);
			return NULL;
		}
		ck_assert_int_eq(
		    pthread_create(&thread, NULL, serve_session, fd), 0);
		(void)pthread_detach(thread);
	}
}

/* One domain and one white entry, as a cloud would have sent them. */
static void give_policy(void)
{
	struct entry entry = {.id = id_new(),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .colour = ENTRY_WHITE,
	                      .kind = ENTRY_ADDRESS,
	                      .scope_value = mem_copy_string(""),
	                      .value = mem_copy_string("white@x.test"),
	                      .note = mem_copy_string("")};
	struct spool_change change = {.kind = SPOOL_SET};

	change.set.name = REPLICA_DOMAINS_VALUE;
	change.set.value = "[\"ours.test\"]";
	ck_assert_int_eq(fixture_commit(&store, change), 0);
	ck_assert_int_eq(
	    spool_entries_apply(store.spool, true, &entry, 1, 1, NULL), 0);
	entry_release(&entry);
}

static void make_config(struct agent_config *config)
{
	struct error err = {.text = ""};
	char text[1200];

	(void)snprintf(
	    text, sizeof(text),
	    "agent { name = agent-1; hostname = agent.test; }\n"
	    "smtp { listen = \"127.0.0.1:%u\"; }\n"
	    "next_hop { address = \"127.0.0.1:%u\"; }\n"
	    "spool { location = \"%s\"; min_free = 0; }\n"
	    "cloud { url = \"http://127.0.0.1:1\"; key = k; }\n" LAB_POLICY
	    "metrics { listen = \"127.0.0.1:%u\"; }\n",
	    smtp_port, hop_port, store.options.location, metrics_port);
	ck_assert_msg(!agent_config_load_text("stop", text, config, &err), "%s",
	              err.text);
}

START_TEST(nothing_is_read_after_its_end)
{
	pthread_t threads[MONITORS + SENDERS], server;
	struct agent_config config;
	struct error err = {.text = ""};

	if (!fixture_is_sqlite())
		return;
	smtp_port = free_port();
	metrics_port = free_port();
	hop = peer_listen(&hop_port);
	make_config(&config);
	give_policy();
	spool_close(store.spool);
	ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
	for (size_t i = 0; i < MONITORS + SENDERS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL,
		                   i < MONITORS ? monitor : send_mail, NULL),
		    0);
	for (int i = 0; i < ROUNDS; i++) {
		struct agent *agent = NULL;

		ck_assert_msg(!agent_start(&agent, &config, &err), "%s",
		              err.text);
		(void)poll(NULL, 0, 100 + 30 * i);
		agent_stop(agent);
	}
	atomic_store(&ended, true);
	for (size_t i = 0; i < MONITORS + SENDERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	(void)shutdown(hop, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(server, NULL), 0);
	(void)close(hop);
	ck_assert_int_eq(spool_open(&store.spool, &store.options, &err), 0);
	ck_assert_uint_ge(atomic_load(&answers), ROUNDS);
	ck_assert_uint_ge(atomic_load(&mails), ROUNDS);
	agent_config_release(&config);
}
END_TEST

static void setup(void)
{
	lab_init();
	fixture_open(&store);
}

static void teardown(void)
{
	fixture_close(&store);
}

int main(void)
{
	Suite *suite = suite_create("agent stop");
	TCase *tests = tcase_create("stop");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 240);
	tcase_add_test(tests, nothing_is_read_after_its_end);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
