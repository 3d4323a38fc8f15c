/* Tests of the group commit, on a spool that fails as it is told. */
#include "tests/unit/local-agent/lab.h"

#define MANY 2000

/* A request that counts what it was told. */
struct probe {
	struct writer_request request; /* first */
	struct spool_change change;
	int result;
	_Atomic int told;
	bool on_loop;
};

static void on_done(struct writer_request *request, int result)
{
	struct probe *probe = (struct probe *)request;

	probe->result = result;
	probe->on_loop = request->loop && loop_is_current(request->loop);
	atomic_fetch_add(&probe->told, 1);
}

static void probe_init(struct probe *probe, enum spool_change_kind kind)
{
	static const struct spool_message nobody;

	*probe = (struct probe){.change = {.kind = kind}};
	if (kind == SPOOL_ADD)
		probe->change.add.message = &nobody;
	probe->request = (struct writer_request){.changes = &probe->change,
	                                         .count = 1,
	                                         .bytes = 10,
	                                         .done = on_done};
}

static _Atomic int broken_calls;

static void on_broken(void *context, const struct error *err)
{
	(void)context;
	(void)err;
	atomic_fetch_add(&broken_calls, 1);
}

static struct lab_spool lab;
static struct writer *writer;

static void setup(void)
{
	struct writer_options options = {.spool = &lab.spool,
	                                 .maximum_requests = 10,
	                                 .maximum_bytes = 200,
	                                 .stall_ms = 300,
	                                 .broken = on_broken};

	lab_init();
	lab_spool_init(&lab);
	atomic_store(&broken_calls, 0);
	ck_assert_int_eq(writer_start(&writer, &options, NULL), 0);
}

static void teardown(void)
{
	writer_stop(writer);
	lab_spool_release(&lab);
}

/* Closes the gate and lets one commit stand at it. */
static void hold_first(struct probe *first)
{
	lab_gate(&lab, true);
	probe_init(first, SPOOL_SET);
	ck_assert_int_eq(writer_offer(writer, &first->request), 0);
	lab_await_commit(&lab);
}

START_TEST(lone_request_does_not_wait)
{
	struct probe probe;

	probe_init(&probe, SPOOL_SET);
	ck_assert_int_eq(writer_offer(writer, &probe.request), 0);
	LAB_AWAIT(atomic_load(&probe.told));
	ck_assert_int_eq(probe.result, 0);
	ck_assert_uint_eq(lab.commits, 1);
}
END_TEST

START_TEST(what_queued_during_a_sync_is_one_commit)
{
	struct probe first, probes[10];
	int i;

	hold_first(&first);
	for (i = 0; i < 10; i++) {
		probe_init(&probes[i], SPOOL_SET);
		ck_assert_int_eq(writer_offer(writer, &probes[i].request), 0);
	}
	lab_gate(&lab, false);
	for (i = 0; i < 10; i++)
		LAB_AWAIT(atomic_load(&probes[i].told));
	ck_assert_uint_eq(lab.commits, 2);
	ck_assert_uint_eq(lab.largest, 10);
}
END_TEST

START_TEST(too_much_is_refused_but_not_what_has_happened)
{
	struct probe first, probes[12];
	int i;

	hold_first(&first);
	for (i = 0; i < 10; i++) {
		probe_init(&probes[i], SPOOL_ADD);
		ck_assert_int_eq(writer_offer(writer, &probes[i].request), 0);
	}
	probe_init(&probes[10], SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &probes[10].request), ERR_LIMIT);
	probe_init(&probes[11], SPOOL_MOVE);
	ck_assert_int_eq(writer_submit(writer, &probes[11].request), 0);
	lab_gate(&lab, false);
	LAB_AWAIT(atomic_load(&probes[11].told));
	ck_assert_int_eq(atomic_load(&probes[10].told), 0);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], 10);
}
END_TEST

START_TEST(bytes_are_bounded)
{
	struct probe first, big, next;

	hold_first(&first);
	probe_init(&big, SPOOL_ADD);
	big.request.bytes = 1000;
	ck_assert_int_eq(writer_offer(writer, &big.request), 0);
	probe_init(&next, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &next.request), ERR_LIMIT);
	lab_gate(&lab, false);
	LAB_AWAIT(atomic_load(&big.told));
	ck_assert_int_eq(writer_offer(writer, &next.request), 0);
	LAB_AWAIT(atomic_load(&next.told));
}
END_TEST

START_TEST(batch_is_bounded)
{
	struct probe first, *probes = mem_alloc_array(MANY, sizeof(*probes));
	int i;

	hold_first(&first);
	for (i = 0; i < MANY; i++) {
		probe_init(&probes[i], SPOOL_SET);
		ck_assert_int_eq(writer_submit(writer, &probes[i].request), 0);
	}
	lab_gate(&lab, false);
	for (i = 0; i < MANY; i++)
		LAB_AWAIT(atomic_load(&probes[i].told));
	ck_assert_uint_le(lab.largest, 512);
	ck_assert_uint_eq(lab.kinds[SPOOL_SET], MANY + 1);
	free(probes);
}
END_TEST

/* A full medium refuses new mail; what happened already is still written. */
START_TEST(full_medium_refuses_mail_alone)
{
	struct probe first, add, move, later;

	hold_first(&first);
	probe_init(&add, SPOOL_ADD);
	probe_init(&move, SPOOL_MOVE);
	ck_assert_int_eq(writer_offer(writer, &add.request), 0);
	ck_assert_int_eq(writer_offer(writer, &move.request), 0);
	lab_fail(&lab, ERR_FULL, 2); /* the first, and the mixed batch */
	lab_gate(&lab, false);
	LAB_AWAIT(atomic_load(&move.told));
	LAB_AWAIT(atomic_load(&add.told));
	ck_assert_int_eq(first.result, ERR_FULL);
	ck_assert_int_eq(add.result, ERR_FULL);
	ck_assert_int_eq(move.result, 0);
	ck_assert_int_eq(move.change.result, 0);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], 0);
	ck_assert(!writer_is_broken(writer));
	probe_init(&later, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &later.request), 0);
	LAB_AWAIT(atomic_load(&later.told));
	ck_assert_int_eq(later.result, 0);
}
END_TEST

static const struct {
	int result;
	bool breaks;
	int waiting; /* what the request gets that waited meanwhile */
} failures[] = {{ERR_IO, true, ERR_IO},
                {ERR_CORRUPT, true, ERR_IO},
                {ERR_UNCERTAIN, false, ERR_UNAVAILABLE},
                {ERR_UNAVAILABLE, false, ERR_UNAVAILABLE},
                {ERR_TIMEOUT, false, ERR_UNAVAILABLE},
                {ERR_DENIED, false, ERR_DENIED},
                {ERR_MEMORY, false, 0}};

START_TEST(failure_is_told_to_everybody)
{
	struct probe first, waiting, later;
	struct spool_change change = {.kind = SPOOL_SET};
	int expected = failures[_i].breaks ? failures[_i].result : 0;

	hold_first(&first);
	probe_init(&waiting, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &waiting.request), 0);
	lab_fail(&lab, failures[_i].result, 1);
	lab_gate(&lab, false);
	LAB_AWAIT(atomic_load(&waiting.told));
	ck_assert_int_eq(first.result, failures[_i].result);
	ck_assert_int_eq(writer_is_broken(writer), failures[_i].breaks);
	ck_assert_int_eq(atomic_load(&broken_calls), failures[_i].breaks);
	/* A failed sync is never tried again: nobody is told of a success. */
	probe_init(&later, SPOOL_ADD);
	ck_assert_int_eq(waiting.result, failures[_i].waiting);
	if (expected) {
		ck_assert_int_eq(writer_offer(writer, &later.request), ERR_IO);
		ck_assert_int_eq(writer_commit(writer, &change, 1), ERR_IO);
		ck_assert_uint_eq(lab.commits, 1);
	} else {
		/* It finds out by itself that commits succeed again. */
		LAB_AWAIT(!writer_failure(writer) && !writer_away(writer));
		ck_assert_int_eq(writer_commit(writer, &change, 1), 0);
	}
}
END_TEST

/* Nobody who comes meanwhile waits for a commit that does not end. */
START_TEST(stalled_commit_refuses_mail)
{
	struct probe first, waiting, later, move;

	hold_first(&first);
	probe_init(&waiting, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &waiting.request), 0);
	LAB_AWAIT(writer_away(writer) == ERR_UNAVAILABLE);
	probe_init(&later, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &later.request), ERR_UNAVAILABLE);
	probe_init(&move, SPOOL_MOVE);
	ck_assert_int_eq(writer_submit(writer, &move.request), 0);
	lab_gate(&lab, false);
	LAB_AWAIT(atomic_load(&waiting.told) && atomic_load(&move.told));
	ck_assert_int_eq(first.result, 0);
	ck_assert_int_eq(waiting.result, 0);
	ck_assert_int_eq(move.result, 0);
	ck_assert_int_eq(writer_away(writer), 0);
}
END_TEST

START_TEST(each_change_has_its_result)
{
	struct spool_change changes[3] = {
	    {.kind = SPOOL_MOVE}, {.kind = SPOOL_MOVE}, {.kind = SPOOL_SET}};
	int i;

	lab.change_result = ERR_CONFLICT;
	ck_assert_int_eq(writer_commit(writer, changes, 3), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(changes[i].result, ERR_CONFLICT);
}
END_TEST

START_TEST(done_runs_on_the_loop)
{
	struct loop *loop = NULL;
	struct probe probes[3];
	int i;

	ck_assert_int_eq(loop_start(&loop, "test", NULL), 0);
	for (i = 0; i < 3; i++) {
		probe_init(&probes[i], SPOOL_SET);
		probes[i].request.loop = loop;
		ck_assert_int_eq(writer_offer(writer, &probes[i].request), 0);
	}
	for (i = 0; i < 3; i++)
		LAB_AWAIT(atomic_load(&probes[i].told));
	for (i = 0; i < 3; i++)
		ck_assert(probes[i].on_loop);
	loop_stop(loop);
}
END_TEST

START_TEST(stop_commits_what_is_queued)
{
	struct probe first, queued;

	hold_first(&first);
	probe_init(&queued, SPOOL_ADD);
	ck_assert_int_eq(writer_offer(writer, &queued.request), 0);
	lab_gate(&lab, false);
	writer_stop(writer);
	writer = NULL;
	ck_assert_int_eq(atomic_load(&queued.told), 1);
	ck_assert_int_eq(queued.result, 0);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], 1);
}
END_TEST

static void *commit_often(void *argument)
{
	int i;

	(void)argument;
	for (i = 0; i < 200; i++) {
		struct spool_change change = {.kind = SPOOL_SET};

		if (writer_commit(writer, &change, 1) || change.result)
			return argument;
	}
	return NULL;
}

START_TEST(threads_share_commits)
{
	pthread_t threads[8];
	void *failed;
	int i, one = 1;

	for (i = 0; i < 8; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, commit_often, &one), 0);
	for (i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	ck_assert_uint_eq(lab.kinds[SPOOL_SET], 1600);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent writer");
	TCase *tests = tcase_create("commits");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, lone_request_does_not_wait);
	tcase_add_test(tests, what_queued_during_a_sync_is_one_commit);
	tcase_add_test(tests, too_much_is_refused_but_not_what_has_happened);
	tcase_add_test(tests, bytes_are_bounded);
	tcase_add_test(tests, batch_is_bounded);
	tcase_add_test(tests, full_medium_refuses_mail_alone);
	tcase_add_loop_test(tests, failure_is_told_to_everybody, 0,
	                    LAB_COUNT(failures));
	tcase_add_test(tests, stalled_commit_refuses_mail);
	tcase_add_test(tests, each_change_has_its_result);
	tcase_add_test(tests, done_runs_on_the_loop);
	tcase_add_test(tests, stop_commits_what_is_queued);
	tcase_add_test(tests, threads_share_commits);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
