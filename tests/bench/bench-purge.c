/*
 * How long a commit takes while ended messages are purged, against commits
 * alone. bench-purge DIRECTORY [ENDED [ADDS]]; the backend is that of
 * TURING_TEST_BACKEND (default sqlite). One JSON line a figure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/spool/spool.h"

#define BODY_SIZE    5120
#define FILL_BATCH   500
#define PURGE_LIMIT  500
#define ADDS_MAXIMUM 1000000

struct bench {
	struct spool *spool;
	size_t ended;
	char body[BODY_SIZE];
	int64_t *took_us;
	size_t count;
	atomic_bool purged;
	size_t deleted;
	int64_t purge_ms;
};

static void fail(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "bench-purge: %s: %s\n", what, err->text);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fill_message(struct spool_message *message,
                         struct spool_recipient *recipient,
                         enum spool_state state)
{
	*recipient = (struct spool_recipient){
	    .address = (char *)"somebody@customer.example",
	    .state = state,
	    .changed_ms = clock_wall_ms() - 86400000,
	    .by = (char *)"list",
	    .why = (char *)"no entry for this sender"};
	*message = (struct spool_message){
	    .id = id_new(),
	    .received_ms = recipient->changed_ms,
	    .expires_ms = recipient->changed_ms + 14 * 86400000LL,
	    .size = BODY_SIZE,
	    .registered = true,
	    .sender = (char *)"stranger@elsewhere.example",
	    .sender_normal = (char *)"stranger@elsewhere.example",
	    .header_from = (char *)"stranger@elsewhere.example",
	    .subject = (char *)"A subject of the usual length, about this",
	    .message_id = (char *)"<20261121080000.1@elsewhere.example>",
	    .recipients = recipient,
	    .recipient_count = 1};
}

static void add(struct bench *bench, size_t count, enum spool_state state)
{
	static struct spool_message messages[FILL_BATCH];
	static struct spool_recipient recipients[FILL_BATCH];
	static struct spool_change changes[FILL_BATCH];
	struct error err;

	for (size_t i = 0; i < count; i++) {
		fill_message(&messages[i], &recipients[i], state);
		changes[i] = (struct spool_change){
		    .kind = SPOOL_ADD,
		    .add = {.message = &messages[i],
		            .body = {.bytes = bench->body, .size = BODY_SIZE}}};
	}
	if (spool_commit(bench->spool, changes, count, &err))
		fail("commit", &err);
}

static void add_timed(struct bench *bench)
{
	int64_t start_us = now_us();

	add(bench, 1, SPOOL_HELD);
	if (bench->count < ADDS_MAXIMUM)
		bench->took_us[bench->count++] = now_us() - start_us;
}

static int by_size(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static void tell(const char *name, const int64_t *took_us, const char *what,
                 size_t count)
{
	(void)printf("{\"name\": \"spool: commit %s, %s\", \"value\": %.2f, "
	             "\"unit\": \"ms\", \"conditions\": \"%zu commits of one "
	             "message of %d B\"}\n",
	             name, what, (double)*took_us / 1000, count, BODY_SIZE);
}

static void report(struct bench *bench, const char *what)
{
	size_t count = bench->count;

	qsort(bench->took_us, count, sizeof(*bench->took_us), by_size);
	tell("median", &bench->took_us[count / 2], what, count);
	tell("p99", &bench->took_us[count * 99 / 100], what, count);
	tell("slowest", &bench->took_us[count - 1], what, count);
	(void)fflush(stdout);
	bench->count = 0;
}

static void *purge(void *context)
{
	struct bench *bench = context;
	int64_t start_ms = clock_monotonic_ms();
	size_t deleted = PURGE_LIMIT;
	struct error err;

	while (deleted == PURGE_LIMIT) {
		if (spool_purge(bench->spool, clock_wall_ms(), PURGE_LIMIT,
		                &deleted, &err))
			fail("purge", &err);
		bench->deleted += deleted;
	}
	bench->purge_ms = clock_monotonic_ms() - start_ms;
	atomic_store(&bench->purged, true);
	return NULL;
}

static void open_spool(struct bench *bench, const char *directory)
{
	const char *backend = getenv("TURING_TEST_BACKEND");
	struct spool_options options = {.backend = backend ? backend : "sqlite",
	                                .location = directory,
	                                .owner = "bench",
	                                .large_body_bytes = 100 << 10};
	struct error err;

	if (spool_open(&bench->spool, &options, &err))
		fail("open", &err);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	size_t adds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5000;
	pthread_t thread;

	if (argc < 2) {
		(void)fputs("usage: bench-purge DIRECTORY [ENDED [ADDS]]\n",
		            stderr);
		return 2;
	}
	bench.ended = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
	bench.took_us = mem_alloc_array(ADDS_MAXIMUM, sizeof(*bench.took_us));
	open_spool(&bench, argv[1]);
	for (size_t done = 0; done < bench.ended; done += FILL_BATCH)
		add(&bench, FILL_BATCH, SPOOL_EXPIRED);
	for (size_t i = 0; i < adds; i++)
		add_timed(&bench);
	report(&bench, "alone");
	if (pthread_create(&thread, NULL, purge, &bench))
		return 1;
	while (!atomic_load(&bench.purged))
		add_timed(&bench);
	(void)pthread_join(thread, NULL);
	report(&bench, "beside a purge");
	(void)printf("{\"name\": \"spool: purge beside commits\", \"value\": "
	             "%lld, \"unit\": \"ms\", \"conditions\": \"%zu messages\"}"
	             "\n",
	             (long long)bench.purge_ms, bench.deleted);
	spool_close(bench.spool);
	free(bench.took_us);
	return 0;
}
