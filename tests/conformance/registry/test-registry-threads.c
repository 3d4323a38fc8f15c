/*
 * Conformance of the registry: many at once. Each test runs with all threads
 * on one registry (loop 0) and with one of its own for each (loop 1), as
 * several instances would have it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "tests/conformance/registry/fixture.h"

#define THREADS 8
#define ROUNDS  20

struct worker {
	pthread_t thread;
	struct registry *registry;
	unsigned number;
	unsigned won, failed; /* failed: neither won nor properly lost */
	unsigned claims[ROUNDS];
};

static struct worker workers[THREADS];
static atomic_bool stop;

/* Runs job on threads of them; nothing is asserted on their threads. */
static void run_threads(unsigned threads, bool own, void *(*job)(void *))
{
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].registry = own ? open_again() : registry;
	}
	for (unsigned i = 0; i < threads; i++)
		ck_assert_int_eq(
		    pthread_create(&workers[i].thread, NULL, job, &workers[i]),
		    0);
}

static void join_threads(unsigned threads, bool own)
{
	for (unsigned i = 0; i < threads; i++) {
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
		if (own)
			registry_close(workers[i].registry);
		ck_assert_msg(workers[i].failed == 0, "%u of thread %u",
		              workers[i].failed, i);
	}
}

static unsigned total_won(void)
{
	unsigned won = 0;

	for (unsigned i = 0; i < THREADS; i++)
		won += workers[i].won;
	return won;
}

static void note(struct worker *worker, int code, int lost)
{
	worker->won += code == 0;
	worker->failed += code != 0 && code != lost;
	if (code && code != lost)
		(void)fprintf(stderr, "thread %u: %s\n", worker->number,
		              error_name(code));
}

/* --- one wins ----------------------------------------------------------- */

static void *decide_all(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct registry_decision decision = {
		    .message = id_of(i),
		    .recipient = (char *)"r@a",
		    .verdict = (enum registry_verdict)(worker->number % 3),
		    .by = (char *)"t",
		};

		note(worker,
		     registry_decide(worker->registry, &tenant_a, &decision,
		                     NULL),
		     ERR_CONFLICT);
	}
	return NULL;
}

/* Every message has one decision in the log, the one that its state shows. */
static void expect_one_decision_each(void)
{
	struct registry_decisions page;
	bool seen[ROUNDS + 1] = {false};

	ok(registry_decision_list(registry, &tenant_a, 0, 1000, &page, E));
	ck_assert_uint_eq(page.count, ROUNDS);
	for (size_t i = 0; i < page.count; i++) {
		static const enum registry_state states[] = {
		    REGISTRY_RELEASED, REGISTRY_DISCARDED, REGISTRY_EXPIRED};
		const struct registry_decision *decision = &page.decisions[i];
		unsigned number = decision->message.bytes[15];

		ck_assert_int_eq(decision->sequence, (int64_t)i + 1);
		ck_assert(!seen[number]);
		seen[number] = true;
		ck_assert_int_eq(state_of(&tenant_a, number, "r@a"),
		                 states[decision->verdict]);
	}
	registry_decisions_release(&page);
	ok(registry_check(registry, E));
}

START_TEST(decision_has_one_winner)
{
	for (unsigned i = 1; i <= ROUNDS; i++)
		put_message(&tenant_a, i, "s", "r@a", NULL);
	run_threads(THREADS, _i == 1, decide_all);
	join_threads(THREADS, _i == 1);
	ck_assert_uint_eq(total_won(), ROUNDS);
	expect_one_decision_each();
}
END_TEST

static void *add_all(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct registry_recipient recipient = {.address =
		                                           (char *)"r@a"};
		struct registry_message message = {
		    .id = id_of(i),
		    .tenant = tenant_a,
		    .recipients = &recipient,
		    .recipient_count = 1,
		};
		int result = 1;

		if (registry_message_add(worker->registry, &message, 1, &result,
		                         NULL))
			worker->failed++;
		note(worker, result, ERR_EXISTS);
	}
	return NULL;
}

START_TEST(message_has_one_winner)
{
	struct registry_totals totals;

	run_threads(THREADS, _i == 1, add_all);
	join_threads(THREADS, _i == 1);
	ck_assert_uint_eq(total_won(), ROUNDS);
	ok(registry_count(registry, &totals, E));
	ck_assert_int_eq(totals.messages, ROUNDS);
	ck_assert_int_eq(totals.recipients_held, ROUNDS);
	ok(registry_check(registry, E));
}
END_TEST

static struct id opened[THREADS][ROUNDS]; /* what each believes is open */

static void *open_all(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct registry_challenge challenge =
		    challenge_of(1 + i * THREADS + worker->number, (uint8_t)i);
		int code = open_one(worker->registry, &challenge,
		                    &opened[worker->number][i], NULL);

		if (!code)
			opened[worker->number][i] = challenge.id;
		note(worker, code, ERR_EXISTS);
	}
	return NULL;
}

START_TEST(challenge_has_one_winner)
{
	run_threads(THREADS, _i == 1, open_all);
	join_threads(THREADS, _i == 1);
	ck_assert_uint_eq(total_won(), ROUNDS);
	for (unsigned i = 0; i < ROUNDS; i++)
		for (unsigned j = 1; j < THREADS; j++)
			ck_assert(id_equal(&opened[0][i], &opened[j][i]));
}
END_TEST

static void *recode_all(void *context)
{
	struct worker *worker = context;
	struct id id = id_of(1);

	for (int64_t i = 0; i < ROUNDS; i++)
		note(worker,
		     registry_challenge_recode(worker->registry, &id, i, true,
		                               "X", NULL),
		     ERR_CONFLICT);
	return NULL;
}

/* A serial is used up once. */
START_TEST(code_has_one_winner)
{
	struct registry_challenge found, challenge = challenge_of(1, 1);

	ok(open_one(registry, &challenge, NULL, E));
	run_threads(THREADS, _i == 1, recode_all);
	join_threads(THREADS, _i == 1);
	ok(registry_challenge_read(registry, &challenge.id, &found, E));
	ck_assert_int_eq(found.code_serial, total_won());
	ck_assert_int_eq(found.attempts, total_won());
	ck_assert_uint_ge(total_won(), 1);
	ck_assert_uint_le(total_won(), ROUNDS);
	registry_challenge_release(&found);
}
END_TEST

static void *solve_all(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct id id = id_of(i);
		enum registry_challenge_state to =
		    worker->number % 2 ? CHALLENGE_STATE_SOLVED
		                       : CHALLENGE_STATE_EXPIRED;

		note(worker,
		     registry_challenge_move(worker->registry, &id,
		                             CHALLENGE_STATE_OPEN, to, NOW,
		                             NULL),
		     ERR_CONFLICT);
	}
	return NULL;
}

START_TEST(solution_has_one_winner)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct registry_challenge challenge =
		    challenge_of(i, (uint8_t)i);

		ok(open_one(registry, &challenge, NULL, E));
	}
	run_threads(THREADS, _i == 1, solve_all);
	join_threads(THREADS, _i == 1);
	ck_assert_uint_eq(total_won(), ROUNDS);
}
END_TEST

static void *take_lease(void *context)
{
	struct worker *worker = context;
	char owner[16];

	(void)snprintf(owner, sizeof(owner), "w%u", worker->number);
	note(worker,
	     registry_lease(worker->registry, "job", owner, NOW, 100, NULL),
	     ERR_CONFLICT);
	return NULL;
}

START_TEST(lease_has_one_winner)
{
	run_threads(THREADS, _i == 1, take_lease);
	join_threads(THREADS, _i == 1);
	ck_assert_uint_eq(total_won(), 1);
}
END_TEST

static void *claim_all(void *context)
{
	struct worker *worker = context;
	char owner[16];
	bool more = true;

	(void)snprintf(owner, sizeof(owner), "w%u", worker->number);
	while (more) {
		struct registry_challenges page = {0};
		int code = registry_challenge_claim_mail(
		    worker->registry, owner, NOW, 1000, 3, &page, NULL);

		worker->failed += code != 0;
		for (size_t i = 0; i < page.count; i++)
			worker->claims[page.challenges[i].id.bytes[15] - 1]++;
		more = page.count > 0;
		registry_challenges_release(&page);
	}
	return NULL;
}

START_TEST(mail_is_claimed_once)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct registry_challenge challenge =
		    challenge_of(i, (uint8_t)i);

		ok(open_one(registry, &challenge, NULL, E));
	}
	run_threads(THREADS, _i == 1, claim_all);
	join_threads(THREADS, _i == 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned claims = 0;

		for (unsigned j = 0; j < THREADS; j++)
			claims += workers[j].claims[i];
		ck_assert_uint_eq(claims, 1);
	}
}
END_TEST

/* --- nothing is missed -------------------------------------------------- */

#define WRITERS (THREADS / 2)

/* The first half decides its share of the messages. */
static void *decide_share(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		struct registry_decision decision = {
		    .message = id_of(worker->number * ROUNDS + i),
		    .recipient = (char *)"r@a",
		};

		note(worker,
		     registry_decide(worker->registry, &tenant_a, &decision,
		                     NULL),
		     0);
	}
	return NULL;
}

/* The other half pages through the log: what it has read so far in won. */
static void *follow_decisions(void *context)
{
	struct worker *worker = context;
	int64_t after = 0;
	bool last = false;

	for (; !last;) {
		struct registry_decisions page = {0};

		last = atomic_load(&stop);
		worker->failed +=
		    registry_decision_list(worker->registry, &tenant_a, after,
		                           7, &page, NULL) != 0;
		for (size_t i = 0; i < page.count; i++) {
			worker->failed += page.decisions[i].sequence <= after;
			after = page.decisions[i].sequence;
			worker->won++;
		}
		last = last && !page.more;
		registry_decisions_release(&page);
	}
	return NULL;
}

static void *write_or_follow_decisions(void *context)
{
	struct worker *worker = context;

	return worker->number < WRITERS ? decide_share(context)
	                                : follow_decisions(context);
}

/* Waits for the writers, tells the readers to come to their end. */
static void join_writers_first(bool own)
{
	for (unsigned i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
	atomic_store(&stop, true);
	for (unsigned i = WRITERS; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		if (own)
			registry_close(workers[i].registry);
		ck_assert_uint_eq(workers[i].failed, 0);
	}
}

START_TEST(no_decision_is_missed)
{
	for (unsigned i = 1; i <= WRITERS * ROUNDS; i++)
		put_message(&tenant_a, i, "s", "r@a", NULL);
	atomic_store(&stop, false);
	run_threads(THREADS, _i == 1, write_or_follow_decisions);
	join_writers_first(_i == 1);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_uint_eq(workers[i].won,
		                  i < WRITERS ? ROUNDS : WRITERS * ROUNDS);
}
END_TEST

/* Puts entries of a tenant and global ones, and takes every fifth away. */
static void *change_entries(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct entry entry =
		    entry_of(1 + worker->number * ROUNDS + i, "");
		const struct id *tenant = i % 2 ? &no_id : &tenant_a;
		char value[32];

		(void)snprintf(value, sizeof(value), "s%u-%u@x", worker->number,
		               i);
		entry.value = value;
		if (i % 2)
			entry.scope = ENTRY_SCOPE_GLOBAL;
		note(worker,
		     registry_entry_put(worker->registry, tenant, &entry, NULL,
		                        NULL),
		     0);
		if (i % 5 == 0)
			note(worker,
			     registry_entry_remove(worker->registry, tenant,
			                           &entry.id, NULL),
			     0);
	}
	return NULL;
}

/* Follows the changes; counts the entries that its replica knows in won. */
static void *follow_entries(void *context)
{
	struct worker *worker = context;
	bool known[1 + WRITERS * ROUNDS] = {false}, last = false;
	struct registry_policy_cursor cursor = {0};

	while (!last) {
		struct registry_policy_cursor after = cursor;
		struct registry_entries page = {0};

		last = atomic_load(&stop);
		worker->failed +=
		    registry_entry_changes(worker->registry, &tenant_a, &cursor,
		                           7, &page, NULL) != 0;
		for (size_t i = 0; i < page.count; i++) {
			const struct entry *entry = &page.entries[i];

			int64_t *before = entry->scope == ENTRY_SCOPE_GLOBAL
			                      ? &after.global
			                      : &after.own;

			worker->failed += entry->revision <= *before;
			*before = entry->revision;
			known[entry->id.bytes[15]] = !entry->deleted;
		}
		worker->failed +=
		    cursor.own != after.own || cursor.global != after.global;
		last = last && !page.more;
		registry_entries_release(&page);
	}
	for (size_t i = 0; i < sizeof(known); i++)
		worker->won += known[i];
	return NULL;
}

/* Two tenants' threads add the same domains. */
static void *add_domains(void *context)
{
	struct worker *worker = context;
	const struct id *tenant = worker->number % 2 ? &tenant_a : &tenant_b;

	for (unsigned i = 0; i < ROUNDS; i++) {
		char name[24];

		(void)snprintf(name, sizeof(name), "d%u.example", i);
		note(worker,
		     registry_domain_add(worker->registry, tenant, name, NULL),
		     ERR_EXISTS);
	}
	return NULL;
}

static void count_domain(const char *domain, void *context)
{
	(void)domain;
	++*(unsigned *)context;
}

/* Each goes to one of them, who knows it. */
START_TEST(domains_are_added_once)
{
	unsigned of[2] = {0}, won[2] = {0};

	run_threads(THREADS, _i == 1, add_domains);
	join_threads(THREADS, _i == 1);
	for (unsigned i = 0; i < THREADS; i++)
		won[i % 2] += workers[i].won;
	ok(registry_domain_each(registry, &tenant_b, count_domain, &of[0], E));
	ok(registry_domain_each(registry, &tenant_a, count_domain, &of[1], E));
	ck_assert_uint_eq(won[0], of[0]);
	ck_assert_uint_eq(won[1], of[1]);
	ck_assert_uint_eq(of[0] + of[1], ROUNDS);
	ok(registry_check(registry, E));
}
END_TEST

static void *write_or_follow_entries(void *context)
{
	struct worker *worker = context;

	return worker->number < WRITERS ? change_entries(context)
	                                : follow_entries(context);
}

START_TEST(no_revision_is_missed)
{
	atomic_store(&stop, false);
	run_threads(THREADS, _i == 1, write_or_follow_entries);
	join_writers_first(_i == 1);
	for (unsigned i = WRITERS; i < THREADS; i++)
		ck_assert_uint_eq(workers[i].won,
		                  WRITERS * (ROUNDS - (ROUNDS + 4) / 5));
	ok(registry_check(registry, E));
}
END_TEST

/* --- processes ---------------------------------------------------------- */

/* A new process decides all; its exit status is how many it won. */
static int decide_elsewhere(const char *where)
{
	struct registry_options options = {backend(), where};
	struct worker worker = {.number = 1};

	tenant_a = id_of(0xa0000000);
	if (crypto_init() || registry_open(&worker.registry, &options, NULL))
		return 255;
	(void)decide_all(&worker);
	registry_close(worker.registry);
	return worker.failed ? 254 : (int)worker.won;
}

START_TEST(processes_share_the_decisions)
{
	pid_t children[4];
	int won = 0;

	for (unsigned i = 1; i <= ROUNDS; i++)
		put_message(&tenant_a, i, "s", "r@a", NULL);
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			(void)execl("/proc/self/exe", "self", "decide",
			            location, NULL);
			_exit(253);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert(WIFEXITED(status));
		won += WEXITSTATUS(status);
	}
	ck_assert_int_eq(won, ROUNDS);
	expect_one_decision_each();
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tcase;

	if (argc == 3 && !strcmp(argv[1], "decide"))
		return decide_elsewhere(argv[2]);
	suite = suite_create("registry-threads");
	tcase = case_in(suite, "one wins");
	tcase_add_loop_test(tcase, decision_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, message_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, challenge_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, code_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, solution_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, lease_has_one_winner, 0, 2);
	tcase_add_loop_test(tcase, mail_is_claimed_once, 0, 2);
	tcase_add_loop_test(tcase, domains_are_added_once, 0, 2);
	tcase = case_in(suite, "nothing is missed");
	tcase_add_loop_test(tcase, no_decision_is_missed, 0, 2);
	tcase_add_loop_test(tcase, no_revision_is_missed, 0, 2);
	tcase = case_in(suite, "processes");
	tcase_add_test(tcase, processes_share_the_decisions);
	return suite_main(suite, NULL);
}
