/*
 * The spool's contract: what was acknowledged is there after a kill -9 at any
 * moment, whole, and what was not is there whole or not at all.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define ROUNDS     15
#define BATCH      4
#define LARGE_SIZE ((size_t)20000)

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

/* The body tells its id, and its size whether it is in a file. */
static void fill_body(char *body, size_t size, struct id id)
{
	memset(body, id.bytes[15], size);
	memcpy(body, id.bytes, sizeof(id.bytes));
}

static size_t body_size(struct id id)
{
	return id.bytes[15] % 8 ? 600 : LARGE_SIZE;
}

/* What the child tells of one batch that was committed. */
struct acknowledged {
	struct id added[BATCH];
	struct id released; /* none in a child's first batch */
};

/* One batch: adds, and the release of the first of the batch before. */
static void commit_batch(int pipe_fd, struct id *previous)
{
	struct spool_message messages[BATCH];
	struct spool_change changes[BATCH + 1];
	struct acknowledged done = {.released = *previous};
	char *bodies = mem_alloc(BATCH * LARGE_SIZE);
	size_t count = BATCH;

	for (size_t i = 0; i < BATCH; i++) {
		char *body = bodies + i * LARGE_SIZE;

		messages[i] = fixture_message(1, SPOOL_HELD);
		done.added[i] = messages[i].id;
		fill_body(body, body_size(messages[i].id), messages[i].id);
		changes[i] = fixture_add_change(&messages[i], body,
		                                body_size(messages[i].id));
	}
	if (!id_is_none(previous))
		changes[count++] =
		    fixture_move_change(*previous, 0, SPOOL_QUEUED);
	if (spool_commit(fixture.spool, changes, count, NULL))
		_exit(3);
	if (write(pipe_fd, &done, sizeof(done)) != (ssize_t)sizeof(done))
		_exit(4);
	*previous = done.added[0];
	for (size_t i = 0; i < BATCH; i++)
		spool_message_release(&messages[i]);
	free(bodies);
}

/* Commits until it is killed; what is acknowledged goes into the pipe. */
static int child(const char *location, const char *incoming, int pipe_fd)
{
	struct id previous = {{0}};
	struct error err;

	fixture.options =
	    (struct spool_options){.backend = fixture_backend(),
	                           .location = location,
	                           .owner = FIXTURE_OWNER,
	                           .large_body_bytes = FIXTURE_LARGE,
	                           .incoming = *incoming ? incoming : NULL};
	if (crypto_init() || spool_open(&fixture.spool, &fixture.options, &err))
		return 2;
	for (;;)
		commit_batch(pipe_fd, &previous);
}

/* A new program, since not every backend's library survives a fork. */
static void become_child(int pipe_fd)
{
	const char *incoming = fixture.options.incoming;
	char *number = mem_format("%d", pipe_fd);

	(void)execl("/proc/self/exe", "self", "child", fixture.options.location,
	            incoming ? incoming : "", number, NULL);
	_exit(127);
}

struct list {
	struct acknowledged *batches;
	size_t count;
};

static void read_acknowledged(int fd, struct list *list)
{
	struct acknowledged done;

	while (read(fd, &done, sizeof(done)) == (ssize_t)sizeof(done)) {
		list->batches = mem_resize_array(list->batches, list->count + 1,
		                                 sizeof(done));
		list->batches[list->count++] = done;
	}
}

static void run_and_kill(struct list *list)
{
	struct pollfd ready = {.events = POLLIN};
	int ends[2];
	int status;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		(void)close(ends[0]);
		become_child(ends[1]);
	}
	(void)close(ends[1]);
	ready.fd = ends[0];
	ck_assert_int_eq(poll(&ready, 1, 20000), 1);
	/* At any moment: that is what is tested. */
	(void)usleep(random_below(150000));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "child ended: %d", status);
	read_acknowledged(ends[0], list);
	(void)close(ends[0]);
}

static void check_message(struct id id)
{
	size_t size;
	char *body = fixture_body(&fixture, id, &size);
	char *expected = mem_alloc(body_size(id));

	fill_body(expected, body_size(id), id);
	ck_assert_uint_eq(size, body_size(id));
	ck_assert_int_eq(memcmp(body, expected, size), 0);
	free(expected);
	free(body);
}

static void check_batch(const struct acknowledged *done)
{
	for (size_t i = 0; i < BATCH; i++)
		check_message(done->added[i]);
	if (!id_is_none(&done->released))
		ck_assert_int_eq(fixture_state(&fixture, done->released, 0),
		                 SPOOL_QUEUED);
}

/* What nobody was told of has to be whole all the same. */
static size_t check_all(void)
{
	struct spool_query query = {.limit = 100};
	struct spool_page page;
	struct error err;
	size_t count = 0;
	bool more = true;

	while (more) {
		ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err),
		                 0);
		for (size_t i = 0; i < page.count; i++) {
			check_message(page.messages[i].id);
			query.after = page.messages[i].id;
		}
		count += page.count;
		more = page.more;
		spool_page_release(&page);
	}
	return count;
}

START_TEST(acknowledged_is_recovered)
{
	struct list list = {.count = 0};
	struct error err = {.text = ""};

	for (int round = 0; round < ROUNDS; round++) {
		spool_close(fixture.spool);
		run_and_kill(&list);
		ck_assert_msg(
		    !spool_open(&fixture.spool, &fixture.options, &err), "%s",
		    err.text);
		ck_assert_uint_eq(fixture_count_files(&fixture, "incoming"), 0);
	}
	ck_assert_uint_gt(list.count, ROUNDS);
	for (size_t i = 0; i < list.count; i++)
		check_batch(&list.batches[i]);
	ck_assert_uint_ge(check_all(), list.count * BATCH);
	(void)printf("acknowledged %zu, lost 0\n", list.count * BATCH);
	free(list.batches);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tests;

	if (argc == 5 && !strcmp(argv[1], "child"))
		return child(argv[2], argv[3], atoi(argv[4]));
	suite = suite_create("spool-crash");
	tests = tcase_create("crash");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, acknowledged_is_recovered);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
