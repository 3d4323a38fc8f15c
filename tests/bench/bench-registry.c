/*
 * What a registry does in a second with as many messages stored as asked, and
 * how long a registration takes beside a purge. One JSON line a figure:
 *
 *   bench-registry --backend NAME --location PLACE
 *     [--fill N]      imports messages until N are stored, of N / 10 people,
 *                     of whom what is measured is
 *     [--measure]     registrations, decisions, look-ups, searches
 *     [--messages N]  both
 *     [--purge N]     deletes N expired messages beside live registrations
 */
#include <dirent.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/mem.h"
#include "store/registry/registry.h"

#define IMPORT_BATCH   1000
#define REGISTER_BATCH 100
#define BATCHES        100
#define DECISIONS      4000
#define LOOKUPS        20000
#define SEARCHES       10000
#define DECIDERS       8
#define READERS        2
#define PER_SENDER     10 /* messages; as many to a recipient */
#define DAY_MS         INT64_C(86400000)
#define LIVE_BATCH     10
#define LIVE_PAUSE_US  5000
#define PURGE_STEP     200
#define PURGE_PAUSE_US 10000
#define LIVE_BEFORE_MS 3000
#define TEXT_SIZE      64

struct bench {
	struct registry *registry;
	const char *backend, *location;
	struct id tenant;
	int64_t stored; /* messages, when the measuring begins */
	int64_t people; /* who wrote those that it was filled with */
	struct id *registered;
	atomic_size_t next;
	atomic_bool purging;
	size_t purged;
	int64_t purge_us;
};

static void fail(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "bench-registry: %s: %s\n", what, err->text);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void print(const struct bench *bench, const char *name, double value,
                  const char *unit, const char *conditions)
{
	(void)printf("{\"name\": \"%s\", \"value\": %.2f, \"unit\": \"%s\", "
	             "\"conditions\": \"%s; %lld messages stored\", "
	             "\"engine\": \"%s\"}\n",
	             name, value, unit, conditions, (long long)bench->stored,
	             registry_engine(bench->registry));
	(void)fflush(stdout);
}

/* --- records ------------------------------------------------------------ */

/* A message with its texts beside it. */
struct held {
	struct registry_message message;
	struct registry_recipient recipient;
	char sender[TEXT_SIZE], address[TEXT_SIZE], message_id[TEXT_SIZE];
};

static void name_sender(char sender[TEXT_SIZE], int64_t number)
{
	(void)snprintf(sender, TEXT_SIZE, "stranger%lld@elsewhere%lld.example",
	               (long long)number, (long long)(number % 997));
}

static void name_recipient(char address[TEXT_SIZE], int64_t number)
{
	(void)snprintf(address, TEXT_SIZE, "user%lld@customer.example",
	               (long long)number);
}

static void make_message(const struct bench *bench, struct held *held,
                         int64_t person, int64_t expires_ms)
{
	char id[ID_TEXT_SIZE];
	struct registry_message *message = &held->message;

	*held = (struct held){.recipient = {.state = REGISTRY_HELD}};
	name_sender(held->sender, person);
	name_recipient(held->address, person);
	held->recipient.address = held->address;
	*message = (struct registry_message){
	    .id = id_new(),
	    .tenant = bench->tenant,
	    .received_ms = clock_wall_ms(),
	    .registered_ms = clock_wall_ms(),
	    .expires_ms = expires_ms,
	    .size = 5120,
	    .sender = held->sender,
	    .sender_normal = held->sender,
	    .header_from = held->sender,
	    .subject = (char *)"A subject of the usual length, about this",
	    .message_id = held->message_id,
	    .client_address = (char *)"192.0.2.25",
	    .helo = (char *)"mail.elsewhere.example",
	    .recipients = &held->recipient,
	    .recipient_count = 1,
	};
	(void)snprintf(held->message_id, TEXT_SIZE, "<%s@elsewhere.example>",
	               id_format(&message->id, id));
}

/* Of those who wrote the messages that the registry was filled with. */
static int64_t anybody(const struct bench *bench)
{
	return bench->people > 0
	           ? (int64_t)random_below((uint32_t)bench->people)
	           : 0;
}

static void import_messages(struct bench *bench, int64_t first, size_t count,
                            int64_t expires_ms)
{
	struct held *held = mem_alloc_array(count, sizeof(*held));
	struct registry_record *records =
	    mem_alloc_array(count, sizeof(*records));
	int *results = mem_alloc_array(count, sizeof(*results));
	struct error err;

	for (size_t i = 0; i < count; i++) {
		int64_t number = first + (int64_t)i;

		/* Neighbours in time are of different people. */
		make_message(bench, &held[i], number / PER_SENDER, expires_ms);
		if (number % 10 || expires_ms < clock_wall_ms())
			held[i].recipient.state = REGISTRY_EXPIRED;
		held[i].recipient.changed_ms = held[i].message.received_ms;
		records[i] = (struct registry_record){
		    .kind = REGISTRY_MESSAGES, .message = held[i].message};
	}
	if (registry_import(bench->registry, records, count, false, results,
	                    &err))
		fail("import", &err);
	free(held);
	free(records);
	free(results);
}

/* Half of the people have a white entry. */
static void import_entries(struct bench *bench, int64_t first, size_t count)
{
	struct registry_record *records =
	    mem_alloc_array(count, sizeof(*records));
	char(*values)[TEXT_SIZE] = mem_alloc_array(count, sizeof(*values));
	int *results = mem_alloc_array(count, sizeof(*results));
	struct error err;

	for (size_t i = 0; i < count; i++) {
		name_sender(values[i], (first + (int64_t)i) * 2);
		records[i] = (struct registry_record){
		    .kind = REGISTRY_ENTRIES,
		    .tenant = bench->tenant,
		    .entry = {.id = id_new(),
		              .scope = ENTRY_SCOPE_TENANT,
		              .colour = ENTRY_WHITE,
		              .kind = ENTRY_ADDRESS,
		              .origin = ENTRY_FROM_CAPTCHA,
		              .created_ms = clock_wall_ms(),
		              .revision = first + (int64_t)i + 1,
		              .scope_value = (char *)"",
		              .value = values[i],
		              .note = (char *)""}};
	}
	if (registry_import(bench->registry, records, count, false, results,
	                    &err))
		fail("import", &err);
	free(records);
	free(values);
	free(results);
}

static int64_t count_messages(struct bench *bench)
{
	struct registry_totals totals;
	struct error err;

	if (registry_count(bench->registry, &totals, &err))
		fail("count", &err);
	return totals.messages;
}

/* Bytes of the files in the directory; 0 when it is none. */
static int64_t directory_bytes(const char *path)
{
	DIR *entries = opendir(path);
	const struct dirent *entry;
	int64_t bytes = 0;

	while (entries && (entry = readdir(entries))) {
		struct stat status;

		if (!fstatat(dirfd(entries), entry->d_name, &status, 0) &&
		    S_ISREG(status.st_mode))
			bytes += status.st_size;
	}
	if (entries)
		(void)closedir(entries);
	return bytes;
}

static void fill(struct bench *bench, int64_t wanted)
{
	int64_t begin_us = now_us(), first = count_messages(bench);
	int64_t expires_ms = clock_wall_ms() + 14 * DAY_MS;

	for (int64_t at = first; at < wanted; at += IMPORT_BATCH) {
		int64_t left = wanted - at;

		import_messages(
		    bench, at,
		    (size_t)(left < IMPORT_BATCH ? left : IMPORT_BATCH),
		    expires_ms);
	}
	for (int64_t at = first / 20; at < wanted / 20; at += IMPORT_BATCH) {
		int64_t left = wanted / 20 - at;

		import_entries(
		    bench, at,
		    (size_t)(left < IMPORT_BATCH ? left : IMPORT_BATCH));
	}
	bench->stored = count_messages(bench);
	bench->people = wanted / PER_SENDER;
	if (wanted > first)
		print(bench, "registry imports",
		      (double)(wanted - first) * 1e6 /
		          (double)(now_us() - begin_us),
		      "messages/s", "in batches of 1000");
	if (wanted > first && directory_bytes(bench->location) > 0)
		print(bench, "registry bytes per message",
		      (double)directory_bytes(bench->location) /
		          (double)bench->stored,
		      "bytes",
		      "one recipient each; lists, indexes and log included");
}

/* --- figures ------------------------------------------------------------ */

/* Registers count messages at once and keeps their ids. */
static void register_messages(struct bench *bench, size_t count, struct id *ids)
{
	struct held held[REGISTER_BATCH];
	struct registry_message messages[REGISTER_BATCH];
	int results[REGISTER_BATCH];
	struct error err = {.text = ""};

	for (size_t i = 0; i < count; i++) {
		make_message(bench, &held[i], anybody(bench),
		             clock_wall_ms() + 14 * DAY_MS);
		messages[i] = held[i].message;
		if (ids)
			ids[i] = held[i].message.id;
	}
	if (registry_message_add(bench->registry, messages, count, results,
	                         &err))
		fail("register", &err);
	for (size_t i = 0; i < count; i++)
		if (results[i])
			fail("register", &err);
}

static void decide(struct bench *bench, size_t number)
{
	struct registry_message message;
	struct registry_decision decision = {.message =
	                                         bench->registered[number],
	                                     .verdict = REGISTRY_RELEASE,
	                                     .by = (char *)"captcha",
	                                     .why = (char *)"solved",
	                                     .decided_ms = clock_wall_ms()};
	struct error err;

	if (registry_message_read(bench->registry, &bench->tenant,
	                          &decision.message, &message, &err))
		fail("read", &err);
	decision.recipient = message.recipients[0].address;
	if (registry_decide(bench->registry, &bench->tenant, &decision, &err))
		fail("decide", &err);
	registry_message_release(&message);
}

static void look_up(struct bench *bench, size_t number)
{
	char sender[TEXT_SIZE];
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "user@customer.example",
	                                .client_address = "192.0.2.25",
	                                .now_ms = clock_wall_ms()};
	struct entry entry;
	struct error err;

	(void)number;
	name_sender(sender, anybody(bench));
	mail_identity_find(&identity, sender, "", NULL);
	if (registry_entry_match(bench->registry, &bench->tenant, &subject, 1,
	                         &entry, &err))
		fail("look-up", &err);
	entry_release(&entry);
}

static void search(struct bench *bench, const char *sender,
                   const char *recipient)
{
	struct registry_query query = {.tenant = &bench->tenant,
	                               .sender_normal = sender,
	                               .recipient = recipient,
	                               .limit = 10};
	struct registry_messages page = {0};
	struct error err;

	if (registry_message_list(bench->registry, &query, &page, &err))
		fail("search", &err);
	registry_messages_release(&page);
}

static void search_sender(struct bench *bench, size_t number)
{
	char sender[TEXT_SIZE];

	(void)number;
	name_sender(sender, anybody(bench));
	search(bench, sender, NULL);
}

static void search_recipient(struct bench *bench, size_t number)
{
	char recipient[TEXT_SIZE];

	(void)number;
	name_recipient(recipient, anybody(bench));
	search(bench, NULL, recipient);
}

/* What several threads do, each number once. */
struct work {
	struct bench *bench;
	void (*act)(struct bench *bench, size_t number);
	size_t count;
};

static void *do_work(void *context)
{
	const struct work *work = context;
	size_t number;

	while ((number = atomic_fetch_add(&work->bench->next, 1)) < work->count)
		work->act(work->bench, number);
	return NULL;
}

static void work_through(struct bench *bench, size_t threads, size_t count,
                         void (*act)(struct bench *, size_t))
{
	struct work work = {bench, act, count};
	pthread_t handles[DECIDERS];

	atomic_store(&bench->next, 0);
	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&handles[i], NULL, do_work, &work))
			abort();
	for (size_t i = 0; i < threads; i++)
		(void)pthread_join(handles[i], NULL);
}

static void measure_one(struct bench *bench, const char *name, size_t threads,
                        size_t count, void (*act)(struct bench *, size_t))
{
	int64_t begin_us = now_us();
	char conditions[64];

	work_through(bench, threads, count, act);
	(void)snprintf(conditions, sizeof(conditions), "%zu by %zu threads",
	               count, threads);
	print(bench, name, (double)count * 1e6 / (double)(now_us() - begin_us),
	      "/s", conditions);
}

/* As in a cloud that runs for long: as many before that are not counted. */
static void measure_reading(struct bench *bench, const char *name, size_t count,
                            void (*act)(struct bench *, size_t))
{
	work_through(bench, READERS, count, act);
	measure_one(bench, name, READERS, count, act);
}

static void register_batches(struct bench *bench)
{
	for (size_t i = 0; i < BATCHES; i++)
		register_messages(bench, REGISTER_BATCH,
		                  &bench->registered[i * REGISTER_BATCH]);
}

static void measure(struct bench *bench)
{
	int64_t begin_us;

	bench->registered = mem_alloc_array(BATCHES * REGISTER_BATCH,
	                                    sizeof(*bench->registered));
	register_batches(bench);
	bench->stored = count_messages(bench);
	begin_us = now_us();
	register_batches(bench);
	print(bench, "registry registrations",
	      (double)(BATCHES * REGISTER_BATCH) * 1e6 /
	          (double)(now_us() - begin_us),
	      "/s", "in batches of 100, after as many that are not counted");
	measure_one(bench, "registry decisions", DECIDERS, DECISIONS, decide);
	measure_reading(bench, "registry list look-ups", LOOKUPS, look_up);
	measure_reading(bench, "registry search by sender", SEARCHES,
	                search_sender);
	measure_reading(bench, "registry search by recipient", SEARCHES,
	                search_recipient);
	free(bench->registered);
}

/* --- the purge ---------------------------------------------------------- */

static void *purge_steps(void *context)
{
	struct bench *bench = context;
	int64_t begin_us = now_us();
	size_t deleted;

	do {
		struct error err;

		if (registry_purge(bench->registry, REGISTRY_MESSAGES,
		                   clock_wall_ms() - 100 * DAY_MS, PURGE_STEP,
		                   &deleted, &err))
			fail("purge", &err);
		bench->purged += deleted;
		(void)usleep(PURGE_PAUSE_US);
	} while (deleted == PURGE_STEP);
	bench->purge_us = now_us() - begin_us;
	atomic_store(&bench->purging, false);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_latencies(struct bench *bench, int64_t *took_us, size_t count,
                            const char *beside)
{
	static const struct {
		const char *name;
		double place;
	} figures[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1.0}};
	char name[96], conditions[96];

	qsort(took_us, count, sizeof(*took_us), compare);
	(void)snprintf(conditions, sizeof(conditions),
	               "%zu batches of %d, a pause of %d ms behind each", count,
	               LIVE_BATCH, LIVE_PAUSE_US / 1000);
	for (size_t i = 0; i < 3; i++) {
		size_t at = (size_t)((double)(count - 1) * figures[i].place);

		(void)snprintf(name, sizeof(name), "registry registration %s%s",
		               figures[i].name, beside);
		print(bench, name, (double)took_us[at] / 1000.0, "ms",
		      conditions);
	}
}

/* Registers in small batches until end_us (0: until the purge is over). */
static void live_load(struct bench *bench, int64_t end_us, const char *beside)
{
	size_t count = 0, room = 4096;
	int64_t *took_us = mem_alloc_array(room, sizeof(*took_us));

	while (end_us ? now_us() < end_us : atomic_load(&bench->purging)) {
		int64_t begin_us = now_us();

		register_messages(bench, LIVE_BATCH, NULL);
		if (count == room) {
			room *= 2;
			took_us =
			    mem_resize_array(took_us, room, sizeof(*took_us));
		}
		took_us[count++] = now_us() - begin_us;
		(void)usleep(LIVE_PAUSE_US);
	}
	if (count)
		print_latencies(bench, took_us, count, beside);
	free(took_us);
}

static void purge(struct bench *bench, int64_t wanted)
{
	int64_t expired_ms = clock_wall_ms() - 400 * DAY_MS;
	pthread_t thread;

	bench->stored = count_messages(bench);
	for (int64_t at = 0; at < wanted; at += IMPORT_BATCH)
		import_messages(bench, at, IMPORT_BATCH, expired_ms);
	live_load(bench, now_us() + LIVE_BEFORE_MS * 1000, ", nothing beside");
	atomic_store(&bench->purging, true);
	if (pthread_create(&thread, NULL, purge_steps, bench))
		abort();
	live_load(bench, 0, ", beside a purge");
	(void)pthread_join(thread, NULL);
	print(bench, "registry purge",
	      (double)bench->purged * 1e6 / (double)bench->purge_us, "/s",
	      "expired messages, 200 at a time, a pause of 10 ms behind each, "
	      "beside live registrations");
}

/* --- the start ---------------------------------------------------------- */

static void open_bench(struct bench *bench)
{
	struct registry_options options = {bench->backend, bench->location};
	struct registry_tenant tenant = {.id = id_new(),
	                                 .name = (char *)"bench",
	                                 .language = (char *)"en",
	                                 .created_ms = clock_wall_ms()};
	struct registry_tenant found;
	struct error err;
	int result;

	if (crypto_init() || registry_open(&bench->registry, &options, &err))
		fail("open", &err);
	result = registry_tenant_find(bench->registry, "bench", &found, &err);
	if (!result) {
		bench->tenant = found.id;
		registry_tenant_release(&found);
		return;
	}
	if (result != ERR_NOT_FOUND ||
	    registry_tenant_add(bench->registry, &tenant, &err))
		fail("tenant", &err);
	bench->tenant = tenant.id;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"backend", required_argument, NULL, 'b'},
	    {"location", required_argument, NULL, 'l'},
	    {"fill", required_argument, NULL, 'f'},
	    {"messages", required_argument, NULL, 'm'},
	    {"measure", no_argument, NULL, 'x'},
	    {"purge", required_argument, NULL, 'p'},
	    {NULL, 0, NULL, 0}};
	struct bench bench = {.backend = "sqlite"};
	int64_t wanted = 0, expired = 0;
	bool measuring = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b')
			bench.backend = optarg;
		else if (option == 'l')
			bench.location = optarg;
		else if (option == 'f' || option == 'm')
			wanted = strtoll(optarg, NULL, 10);
		else if (option == 'p')
			expired = strtoll(optarg, NULL, 10);
		else if (option != 'x')
			return 2;
		measuring = measuring || option == 'm' || option == 'x';
	}
	if (!bench.location) {
		(void)fprintf(stderr, "usage: bench-registry --backend NAME "
		                      "--location PLACE [--fill N] [--measure]"
		                      " [--messages N] [--purge N]\n");
		return 2;
	}
	open_bench(&bench);
	if (wanted)
		fill(&bench, wanted);
	if (measuring)
		measure(&bench);
	if (expired)
		purge(&bench, expired);
	registry_close(bench.registry);
	return 0;
}
