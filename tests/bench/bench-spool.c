/*
 * How many messages a second the spool takes, releases, claims and delivers,
 * by the size of the batches. bench-spool DIRECTORY [MESSAGES [BATCH...]];
 * the backend is that of TURING_TEST_BACKEND (default sqlite).
 */
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/spool/spool.h"

#define BODY_SIZE     5120
#define BATCH_MAXIMUM 1000

struct bench {
	struct spool *spool;
	size_t messages, batch;
	struct id *ids;
	char body[BODY_SIZE];
	int64_t slowest_ms; /* commit of the phase */
};

static void fail(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "bench-spool: %s: %s\n", what, err->text);
	exit(1);
}

static void commit(struct bench *bench, struct spool_change *changes,
                   size_t count)
{
	int64_t begin_ms = clock_monotonic_ms();
	struct error err;
	int64_t took_ms;

	if (spool_commit(bench->spool, changes, count, &err))
		fail("commit", &err);
	took_ms = clock_monotonic_ms() - begin_ms;
	if (took_ms > bench->slowest_ms)
		bench->slowest_ms = took_ms;
	for (size_t i = 0; i < count; i++)
		if (changes[i].result) {
			(void)error_set(&err,
			                (enum error_code)changes[i].result,
			                "refused");
			fail("change", &err);
		}
}

static void report(struct bench *bench, const char *what, int64_t begin_ms)
{
	int64_t took_ms = clock_monotonic_ms() - begin_ms;

	(void)printf("%-10s batch %4zu  %8.0f /s  slowest %3lld ms\n", what,
	             bench->batch,
	             (double)bench->messages * 1000.0 /
	                 (double)(took_ms ? took_ms : 1),
	             (long long)bench->slowest_ms);
	bench->slowest_ms = 0;
	(void)fflush(stdout);
}

static void fill_message(struct spool_message *message,
                         struct spool_recipient *recipient, struct id id)
{
	*recipient = (struct spool_recipient){
	    .address = (char *)"somebody@customer.example",
	    .state = SPOOL_HELD,
	    .changed_ms = clock_wall_ms(),
	    .by = (char *)"list",
	    .why = (char *)"no entry for this sender"};
	*message = (struct spool_message){
	    .id = id,
	    .received_ms = recipient->changed_ms,
	    .expires_ms = recipient->changed_ms + 14 * 86400000LL,
	    .size = BODY_SIZE,
	    .sender = (char *)"stranger@elsewhere.example",
	    .sender_normal = (char *)"stranger@elsewhere.example",
	    .header_from = (char *)"stranger@elsewhere.example",
	    .subject = (char *)"A subject of the usual length, about this",
	    .message_id = (char *)"<20261121080000.1234@elsewhere.example>",
	    .client_address = (char *)"192.0.2.25",
	    .client_name = (char *)"mail.elsewhere.example",
	    .helo = (char *)"mail.elsewhere.example",
	    .protocol = (char *)"ESMTP",
	    .recipients = recipient,
	    .recipient_count = 1};
}

static void fill_add(struct bench *bench, size_t index,
                     struct spool_change *change, struct spool_message *message,
                     struct spool_recipient *recipient)
{
	bench->ids[index] = id_new();
	fill_message(message, recipient, bench->ids[index]);
	*change = (struct spool_change){
	    .kind = SPOOL_ADD,
	    .add = {.message = message,
	            .body = {.bytes = bench->body, .size = BODY_SIZE}}};
}

/* How many of the messages the next batch has. */
static size_t next_count(const struct bench *bench, size_t done)
{
	size_t left = bench->messages - done;

	return left < bench->batch ? left : bench->batch;
}

static void add_all(struct bench *bench)
{
	static struct spool_change changes[BATCH_MAXIMUM];
	static struct spool_message messages[BATCH_MAXIMUM];
	static struct spool_recipient recipients[BATCH_MAXIMUM];
	size_t count;

	for (size_t done = 0; done < bench->messages; done += count) {
		count = next_count(bench, done);
		for (size_t i = 0; i < count; i++)
			fill_add(bench, done + i, &changes[i], &messages[i],
			         &recipients[i]);
		commit(bench, changes, count);
	}
}

static struct spool_change move(struct id id, enum spool_state to)
{
	return (struct spool_change){
	    .kind = SPOOL_MOVE,
	    .move = {.id = id,
	             .from = SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUEUED),
	             .to = to,
	             .now_ms = clock_wall_ms(),
	             .by = "captcha",
	             .why = "the sender solved it",
	             .reply = to == SPOOL_DELIVERED ? "250 2.0.0 queued" : NULL,
	             .event = true}};
}

static void move_all(struct bench *bench, enum spool_state to)
{
	static struct spool_change changes[BATCH_MAXIMUM];
	size_t count;

	for (size_t done = 0; done < bench->messages; done += count) {
		count = next_count(bench, done);
		for (size_t i = 0; i < count; i++)
			changes[i] = move(bench->ids[done + i], to);
		commit(bench, changes, count);
	}
}

static void mark_all(struct bench *bench, enum spool_change_kind kind)
{
	static struct spool_change changes[BATCH_MAXIMUM];
	size_t count;

	for (size_t done = 0; done < bench->messages; done += count) {
		count = next_count(bench, done);
		for (size_t i = 0; i < count; i++)
			changes[i] = (struct spool_change){
			    .kind = kind, .mark = {.id = bench->ids[done + i]}};
		commit(bench, changes, count);
	}
}

static void claim_all(struct bench *bench)
{
	for (size_t done = 0; done < bench->messages;) {
		struct spool_page page = {.count = 0};
		struct error err;

		if (spool_claim(bench->spool, "bench", clock_wall_ms(), 60000,
		                bench->batch, &page, &err) ||
		    !page.count)
			fail("claim", &err);
		done += page.count;
		spool_page_release(&page);
	}
}

static void run(struct bench *bench)
{
	int64_t begin_ms = clock_monotonic_ms();

	add_all(bench);
	report(bench, "add", begin_ms);
	begin_ms = clock_monotonic_ms();
	mark_all(bench, SPOOL_REGISTERED);
	report(bench, "registered", begin_ms);
	begin_ms = clock_monotonic_ms();
	move_all(bench, SPOOL_QUEUED);
	report(bench, "release", begin_ms);
	begin_ms = clock_monotonic_ms();
	claim_all(bench);
	report(bench, "claim", begin_ms);
	begin_ms = clock_monotonic_ms();
	move_all(bench, SPOOL_DELIVERED);
	report(bench, "delivered", begin_ms);
	begin_ms = clock_monotonic_ms();
	mark_all(bench, SPOOL_REPORTED);
	report(bench, "reported", begin_ms);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {1, 4, 10, 16, 64};
	const char *backend = getenv("TURING_TEST_BACKEND");
	struct spool_options options = {.backend = backend ? backend : "sqlite",
	                                .owner = "bench",
	                                .large_body_bytes = 100000};
	struct bench bench = {.messages = 20000};
	struct error err;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench-spool DIRECTORY "
		                      "[MESSAGES [BATCH...]]\n");
		return 2;
	}
	options.location = argv[1];
	if (argc > 2)
		bench.messages = strtoul(argv[2], NULL, 10);
	if (spool_open(&bench.spool, &options, &err))
		fail("open", &err);
	memset(bench.body, 'x', sizeof(bench.body));
	bench.ids = mem_alloc_array(bench.messages, sizeof(*bench.ids));
	for (int i = 3; i < argc; i++) {
		bench.batch = strtoul(argv[i], NULL, 10) % (BATCH_MAXIMUM + 1);
		if (bench.batch)
			run(&bench);
	}
	for (size_t i = 0; argc <= 3 && i < sizeof(sizes) / sizeof(*sizes);
	     i++) {
		bench.batch = sizes[i];
		run(&bench);
	}
	free(bench.ids);
	spool_close(bench.spool);
	return 0;
}
