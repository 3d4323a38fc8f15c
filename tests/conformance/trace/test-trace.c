/*
 * The recorded trace: the same thousands of operations, refused ones among
 * them, give the same results on SQLite and on the backend under test, to the
 * letter.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"
#include "tests/support/trace.h"

#define SEEDS   3
#define STEPS   1200
#define CONTEXT 6 /* lines shown before the first that differ */

static char *spool_text(const char *backend, uint64_t seed)
{
	struct spool_fixture fixture;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(setenv("TURING_TEST_BACKEND", backend, 1), 0);
	fixture_open(&fixture);
	trace_spool(&fixture, seed, STEPS, out);
	fixture_close(&fixture);
	(void)fclose(out);
	return text;
}

static char *registry_text(const char *backend, uint64_t seed)
{
	char folder[] = "/tmp/turing-trace-XXXXXX";
	bool sqlite = !strcmp(backend, "sqlite");
	char *location;
	struct registry_options options = {.backend = backend};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	location =
	    sqlite ? mem_format("%s/data", folder) : mongodb_fixture_uri();
	options.location = location;
	trace_registry(&options, seed, STEPS, out);
	(void)remove_tree(folder);
	if (sqlite)
		free(location);
	else
		mongodb_fixture_drop(location);
	(void)fclose(out);
	return text;
}

/* Writes the lines around the first that differs. */
static void show(const char *backend, const char *text, size_t at)
{
	const char *start = text + at;

	for (int lines = 0; start > text; start--)
		if (start[-1] == '\n' && ++lines > CONTEXT)
			break;
	(void)printf("--- %s\n%.1500s\n", backend, start);
}

static void compare(char *(*make)(const char *, uint64_t), uint64_t seed)
{
	const char *backend = fixture_backend();
	char *tested, *reference;
	size_t at = 0, line = 1;

	/* The environment is changed for the reference. */
	backend = mem_copy_string(backend);
	tested = make(backend, seed);
	reference = make("sqlite", seed);
	while (tested[at] && tested[at] == reference[at])
		line += tested[at++] == '\n';
	if (tested[at] != reference[at]) {
		show("sqlite", reference, at);
		show(backend, tested, at);
		(void)fflush(stdout);
	}
	ck_assert_msg(tested[at] == reference[at],
	              "seed %d: line %zu of the trace differs", (int)seed,
	              line);
	(void)printf("told: %zu lines are the same\n", line - 1);
	(void)fflush(stdout);
	free(tested);
	free(reference);
	free((char *)backend);
}

START_TEST(spools_agree)
{
	ck_assert_int_eq(crypto_init(), 0);
	compare(spool_text, (uint64_t)_i + 1);
}
END_TEST

START_TEST(registries_agree)
{
	ck_assert_int_eq(crypto_init(), 0);
	compare(registry_text, (uint64_t)_i + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tcase = tcase_create("trace");

	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, spools_agree, 0, SEEDS);
	tcase_add_loop_test(tcase, registries_agree, 0, SEEDS);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
