/* Tests of the lists that the writer commits and tells. */
#include "local-agent/queue/writer-requests.h"

#include "tests/unit/local-agent/lab.h"

#define MIB (1U << 20)

/* Requests with up to three changes each, and the order they were told in. */
struct asked {
	struct writer_request request; /* first */
	struct spool_change changes[3];
	int result;
	unsigned told; /* its place */
	bool on_loop;
};

static struct writer_requests list, taken;
static struct asked asked[6];
static _Atomic unsigned told;

static void on_done(struct writer_request *request, int result)
{
	struct asked *one = (struct asked *)request;

	one->result = result;
	one->on_loop = request->loop && loop_is_current(request->loop);
	one->told = atomic_fetch_add(&told, 1) + 1;
}

static void setup(void)
{
	size_t i;

	lab_init();
	list = taken = (struct writer_requests){.first = NULL};
	atomic_store(&told, 0);
	for (i = 0; i < LAB_COUNT(asked); i++) {
		asked[i] =
		    (struct asked){.request.done = on_done, .request.count = 1};
		asked[i].request.changes = asked[i].changes;
		asked[i].changes[0].kind = SPOOL_SET;
	}
}

static void queue_all(void)
{
	size_t i;

	for (i = 0; i < LAB_COUNT(asked); i++)
		writer_requests_append(&list, &asked[i].request);
}

/* What waits, and how much of it is one batch. */
static const struct {
	size_t count[3]; /* changes; no request where 0 */
	size_t bytes[3];
	size_t batch;
} batches[] = {
    {{0}, {0}, 0},
    {{1, 1, 1}, {10, 10, 10}, 3},
    {{512, 1}, {0}, 1},
    {{511, 1, 1}, {0}, 2},
    {{511, 2}, {0}, 1},
    {{9000, 1}, {0}, 1},
    {{1, 1}, {16 * MIB, 1}, 1},
    {{1, 1, 1}, {8 * MIB, 8 * MIB, 1}, 2},
    {{1, 1}, {100 * MIB, 0}, 1},
    /* The order is kept: what would still fit does not overtake. */
    {{1, 512, 1}, {0}, 1},
};

START_TEST(batch_ends)
{
	size_t i, left = 0, bytes = 0;

	for (i = 0; i < 3 && batches[_i].count[i]; i++) {
		asked[i].request.count = batches[_i].count[i];
		asked[i].request.bytes = batches[_i].bytes[i];
		writer_requests_append(&list, &asked[i].request);
		if (i >= batches[_i].batch) {
			left++;
			bytes += batches[_i].bytes[i];
		}
	}
	writer_requests_take_batch(&list, &taken);
	ck_assert_uint_eq(taken.count, batches[_i].batch);
	ck_assert_uint_eq(list.count, left);
	ck_assert_uint_eq(list.bytes, bytes);
	ck_assert_ptr_eq(list.first,
	                 left ? &asked[batches[_i].batch].request : NULL);
	ck_assert((list.last == NULL) == (left == 0));
}
END_TEST

START_TEST(what_adds_mail_is_taken_out)
{
	asked[0].changes[0].kind = SPOOL_ADD;
	asked[3].request.count = 3;
	asked[3].changes[2].kind = SPOOL_ADD;
	queue_all();
	writer_requests_take_adds(&list, &taken);
	ck_assert_uint_eq(list.count, 4);
	ck_assert_ptr_eq(list.first, &asked[1].request);
	ck_assert_ptr_eq(list.last, &asked[5].request);
	ck_assert_uint_eq(taken.count, 2);
	ck_assert_ptr_eq(taken.first, &asked[0].request);
	ck_assert_ptr_eq(taken.last, &asked[3].request);
}
END_TEST

START_TEST(each_change_gets_the_result_of_its_copy)
{
	struct writer_changes flat = {.all = NULL};
	size_t i, n = 0, k;

	for (i = 0; i < LAB_COUNT(asked); i++) {
		asked[i].request.count = i % 4; /* none is possible */
		for (k = 0; k < i % 4; k++)
			asked[i].changes[k].result = (int)++n;
	}
	queue_all();
	writer_requests_flatten(&list, &flat);
	ck_assert_uint_eq(flat.count, 7);
	for (n = 0; n < flat.count; n++) {
		ck_assert_int_eq(flat.all[n].result, (int)n + 1);
		flat.all[n].result = -(int)n - 1;
	}
	writer_requests_succeed(&list, &flat);
	for (i = 0, n = 0; i < LAB_COUNT(asked); i++)
		for (k = 0; k < i % 4; k++)
			ck_assert_int_eq(asked[i].changes[k].result, -(int)++n);
	free(flat.all);
}
END_TEST

/* A failure leaves the results of the changes alone: they say nothing. */
START_TEST(failure_is_that_of_all)
{
	size_t i;

	queue_all();
	writer_requests_fail(&list, ERR_FULL);
	writer_requests_tell(&list);
	ck_assert_ptr_null(list.first);
	ck_assert_ptr_null(list.last);
	ck_assert_uint_eq(list.count, 0);
	for (i = 0; i < LAB_COUNT(asked); i++) {
		ck_assert_uint_eq(asked[i].told, i + 1);
		ck_assert_int_eq(asked[i].result, ERR_FULL);
		ck_assert_int_eq(asked[i].changes[0].result, 0);
	}
}
END_TEST

START_TEST(each_is_told_on_its_loop)
{
	struct loop *loop = NULL;
	size_t i;

	ck_assert_int_eq(loop_start(&loop, "test", NULL), 0);
	for (i = 0; i < LAB_COUNT(asked); i += 2)
		asked[i].request.loop = loop;
	queue_all();
	writer_requests_tell(&list);
	LAB_AWAIT(atomic_load(&told) == LAB_COUNT(asked));
	loop_stop(loop);
	for (i = 0; i < LAB_COUNT(asked); i++)
		ck_assert_int_eq(asked[i].on_loop, i % 2 == 0);
	ck_assert_uint_lt(asked[0].told, asked[2].told);
	ck_assert_uint_lt(asked[2].told, asked[4].told);
	ck_assert_uint_lt(asked[1].told, asked[3].told);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent writer: requests");
	TCase *tests = tcase_create("lists");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_loop_test(tests, batch_ends, 0, LAB_COUNT(batches));
	tcase_add_test(tests, what_adds_mail_is_taken_out);
	tcase_add_test(tests, each_change_gets_the_result_of_its_copy);
	tcase_add_test(tests, failure_is_that_of_all);
	tcase_add_test(tests, each_is_told_on_its_loop);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
