/*
 * Records in MongoDB over a connection that is hurt at every exchange in turn:
 * each operation is done once and says so, whatever becomes of the answers.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/mongodb/db.h"
#include "store/record/mongodb/engine.h"
#include "tests/support/fault-control.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/ok.h"
#include "tests/support/suite.h"

#define RETRIES 8
#define STALL   0.9 /* seconds: more than the client waits for an answer */
#define NOW     INT64_C(1700000000000)

/* --- a kind ------------------------------------------------------------- */

struct job {
	struct record_head head;
	char *name;
	struct record_claim claim;
	int64_t over_ms;
};

#define AT(member) .offset = offsetof(struct job, member)

static const struct record_field fields[] = {
    RECORD_HEAD_FIELDS,
    {.name = "name", .type = RECORD_TEXT, AT(name), .flags = RECORD_REQUIRED},
    RECORD_CLAIM_FIELDS(offsetof(struct job, claim)),
    {.name = "over", .type = RECORD_TIME, AT(over_ms)},
    {.name = NULL}};

static const struct record_index indexes[] = {{"name", true, NULL},
                                              {"due", false, "due"},
                                              {"over", false, "over"},
                                              {NULL, false, NULL}};

static const struct record_kind kind = {.name = "job",
                                        .label = "jobs",
                                        .size = sizeof(struct job),
                                        .owner = RECORD_OF_OPERATOR,
                                        .fields = fields,
                                        .indexes = indexes,
                                        .key = "id",
                                        .purge_by = "over"};

static const struct record_kind *const kinds[] = {&kind, NULL};

static unsigned number; /* of the workload */

/* A name of this workload's alone: a command that waited on its way may be done
 * when the next workload is under way. */
static struct job job_of(const char *name)
{
	return (struct job){.head = {.id = id_new(), .created_ms = NOW},
	                    .name = mem_format("%s%u", name, number),
	                    .claim = {.due_ms = NOW}};
}

/* --- the stores --------------------------------------------------------- */

static char *uri, *direct_uri;
static struct mongodb_db *databases[2];
static struct record_store *store, *direct; /* past the proxy, to look at */
static int refused[2];                      /* ERR_UNAVAILABLE, ERR_UNCERTAIN */

static void ignore(void *context)
{
	(void)context;
}

static struct record_store *open_store(const char *location,
                                       struct mongodb_db **db)
{
	struct mongodb_options options = {.uri = location, .program = "test"};
	struct record_store *opened = NULL;

	ok(mongodb_db_open(db, &options, E));
	ok(record_mongodb_open(&opened, *db, kinds, ignore, NULL, E));
	return opened;
}

static void set_up(void)
{
	uri = mongodb_fixture_uri();
	direct_uri = fault_direct_uri(uri);
	direct = open_store(direct_uri, &databases[1]); /* makes the indexes */
	store = open_store(uri, &databases[0]);
}

static void tear_down(void)
{
	record_mongodb_close(store);
	record_mongodb_close(direct);
	mongodb_db_close(databases[0]);
	mongodb_db_close(databases[1]);
	free(direct_uri);
	mongodb_fixture_drop(uri);
}

/* Whether a call is to be tried again; counts why. */
static bool again(int code)
{
	if (code != ERR_UNAVAILABLE && code != ERR_UNCERTAIN)
		return false;
	refused[code == ERR_UNCERTAIN]++;
	return true;
}

/* A call as a daemon makes it: again while it is known not to be done. */
#define surely(call)                                                           \
	do {                                                                   \
		int code_ = 0;                                                 \
		for (int i_ = 0; i_ < RETRIES; i_++)                           \
			if (!again(code_ = (call)))                            \
				break;                                         \
		ck_assert_msg(!code_, "%s: %s", #call, error_name(code_));     \
	} while (0)

/* --- the workload ------------------------------------------------------- */

/* Takes the claimed one in the place of *job. */
static int claim(struct job *job)
{
	struct record_page page = {0};
	int code = record_claim(store, &kind, "w", NOW, 1000, 10, &page, NULL);
	bool found = false;

	for (size_t i = 0; i < page.count; i++) {
		struct job *one = record_at(&kind, &page, i), old = *job;

		if (!id_equal(&one->head.id, &job->head.id))
			continue;
		*job = *one;
		*one = old;
		found = true;
	}
	record_page_release(&kind, &page);
	return code ? code : found ? 0 : ERR_NOT_FOUND;
}

static int list_all(void)
{
	struct record_query query = {.index = "name", .limit = 10};
	struct record_page page = {0};
	int code = record_list(store, &kind, &query, &page, NULL);

	if (!code)
		ck_assert_uint_ge(page.count, 1);
	record_page_release(&kind, &page);
	return code;
}

/* Through the proxy nothing is found to be done twice; past it, the record is
 * as it was told. */
static void expect(const struct job *job)
{
	struct job found = {.over_ms = 0};

	ok(record_read(direct, &kind, "name", job, &found, E));
	ck_assert_int_eq(found.head.version, job->head.version);
	ck_assert_int_eq(found.claim.attempts, job->claim.attempts);
	ck_assert_int_eq(found.claim.due_ms, job->claim.due_ms);
	ck_assert_int_eq(found.over_ms, job->over_ms);
	record_release(&kind, &found);
}

static void put_two(struct job jobs[2])
{
	int results[2] = {1, 1};

	for (int i = 0; i < 2; i++) {
		jobs[i].head.version = 5;
		jobs[i].over_ms = NOW + i;
		jobs[i].claim.due_ms = 0;
	}
	surely(record_put(store, &kind, jobs, 2, false, results, NULL));
	ck_assert_int_eq(results[0] | results[1], 0);
	expect(&jobs[0]);
	jobs[1].over_ms = NOW + 2;
	surely(record_put(store, &kind, jobs, 2, true, results, NULL));
	ck_assert_int_eq(results[0] | results[1], 0);
	expect(&jobs[1]);
	surely(record_put(store, &kind, jobs, 2, false, results, NULL));
	ck_assert_int_eq(results[0], ERR_EXISTS);
	ck_assert_int_eq(results[1], ERR_EXISTS);
}

/* An answer to a deletion of many that is lost leaves their number unknown. */
static void purge(const struct job *gone)
{
	struct job found;
	size_t deleted = 0;

	surely(record_purge(store, &kind, NOW + 9, 10, &deleted, NULL));
	fails(ERR_NOT_FOUND,
	      record_read(direct, &kind, NULL, gone, &found, NULL));
}

static void workload(void)
{
	struct job given, job = {.over_ms = 0}, found, two[2];

	number++;
	given = job_of("j");
	surely(record_add(store, &kind, &given, NULL));
	expect(&given);
	surely(record_read(store, &kind, NULL, &given, &job, NULL));
	job.over_ms = NOW + 100;
	surely(record_update(store, &kind, &job, NOW + 1, NULL));
	ck_assert_int_eq(job.head.version, 2);
	expect(&job);
	surely(claim(&job));
	ck_assert_int_eq(job.head.version, 3);
	ck_assert_int_eq(job.claim.attempts, 1);
	expect(&job);
	surely(list_all());
	surely(record_delete(store, &kind, &job, NULL));
	fails(ERR_NOT_FOUND,
	      record_read(direct, &kind, NULL, &job, &found, NULL));
	record_release(&kind, &job);
	two[0] = job_of("a");
	two[1] = job_of("b");
	put_two(two);
	purge(&two[0]);
	purge(&two[1]);
	for (int i = 0; i < 2; i++)
		record_release(&kind, &two[i]);
	record_release(&kind, &given);
}

START_TEST(every_exchange_is_hurt)
{
	const char *fault = fault_names[_i];
	int exchanges, hurt = 0;

	workload();
	fault_reset();
	workload();
	exchanges = fault_exchanges();
	for (int at = 1; at <= exchanges;
	     at += strncmp(fault, "st", 2) ? 1 : 2) {
		fault_arm(fault, at, STALL);
		workload();
		hurt += fault_disarm();
	}
	(void)printf("told: records, %s: %d of %d exchanges hurt, 0 done "
	             "twice, %d unavailable, %d uncertain\n",
	             fault, hurt, exchanges, refused[0], refused[1]);
	(void)fflush(stdout);
	ck_assert_int_ge(hurt, exchanges / 4);
	/* A purge tells how many records it deleted. */
	ck_assert_int_le(refused[1], 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-record-faults");
	TCase *tcase = tcase_create("faults");

	if (!mongodb_fixture_present() || !fault_control_present())
		return 0;
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, every_exchange_is_hurt, 0, fault_count);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
