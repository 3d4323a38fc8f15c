/* The spool's contract: bodies come back byte for byte, from memory or file. */
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

/* At the end those around what GridFS is read in: 8 chunks of 255 KiB. */
#define WINDOW (8U * 255 * 1024)
static const size_t sizes[] = {
    0,      1,        5120,   FIXTURE_LARGE, FIXTURE_LARGE + 1,
    100000, 20 << 20, WINDOW, WINDOW - 1,    2 * WINDOW + 1};
#define SIZES (int)(sizeof(sizes) / sizeof(sizes[0]))

/* Every byte value, NUL too, at no regular distance. */
static char *make_bytes(size_t size)
{
	char *bytes = mem_alloc(size + 1);
	uint32_t state = (uint32_t)size + 1;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525U + 1013904223U;
		bytes[i] = (char)(state >> 24);
	}
	return bytes;
}

static void check_body(struct id id, const char *bytes, size_t size)
{
	size_t got;
	char *body = fixture_body(&fixture, id, &got);

	ck_assert_uint_eq(got, size);
	ck_assert_int_eq(memcmp(body, bytes, size), 0);
	free(body);
}

static void round_trip(size_t size, bool file)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = make_bytes(size);
	char *path = file ? fixture_incoming(&fixture, bytes, size) : NULL;
	struct spool_change change =
	    fixture_add_change(&message, file ? NULL : bytes, size);
	struct spool_totals totals;
	struct error err;

	change.add.body.path = path;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_uint_eq(fixture_count_files(&fixture, "incoming"), 0);
	check_body(message.id, bytes, size);
	fixture_reopen(&fixture);
	check_body(message.id, bytes, size);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.body_bytes, (int64_t)size);
	ck_assert_int_eq(fixture_move(&fixture, message.id, 0, SPOOL_EXPIRED),
	                 0);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.body_bytes, 0);
	free(path);
	free(bytes);
	spool_message_release(&message);
}

START_TEST(from_memory)
{
	round_trip(sizes[_i], false);
}
END_TEST

START_TEST(from_a_file)
{
	round_trip(sizes[_i], true);
}
END_TEST

/* The file is the spool's once it was named, whatever becomes of the change. */
START_TEST(refused_files_are_removed)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = make_bytes(20000);
	char *first = fixture_incoming(&fixture, bytes, 20000);
	char *second = fixture_incoming(&fixture, bytes, 10000);
	char *third = fixture_incoming(&fixture, bytes, 10000);
	struct spool_change change = fixture_add_change(&message, NULL, 20000);

	change.add.body.path = first;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	change.add.body.path = second;
	change.add.body.size = 10000;
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_EXISTS);
	change.add.body.path = third;
	change.add.body.size = 9999; /* not what is there */
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_INVALID);
	ck_assert_uint_eq(fixture_count_files(&fixture, "incoming"), 0);
	ck_assert_int_eq(access(second, F_OK), -1);
	change.add.body.path = "/no/such/file";
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_INVALID);
	check_body(message.id, bytes, 20000);
	free(first);
	free(second);
	free(third);
	free(bytes);
	spool_message_release(&message);
}
END_TEST

/* Whoever has a body open reads it to its end. */
START_TEST(open_body_outlives_its_message)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	size_t size = sizes[_i];
	char *bytes = make_bytes(size);
	char *got = mem_alloc(size + 1);
	struct spool_body *body = NULL;
	size_t length = 0;
	struct error err;
	long part;

	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, bytes, size)),
	    0);
	ck_assert_int_eq(
	    spool_body_open(fixture.spool, &message.id, &body, &err), 0);
	ck_assert_int_eq(fixture_move(&fixture, message.id, 0, SPOOL_DELIVERED),
	                 0);
	while ((part = spool_body_read(body, got + length, 977)) > 0 &&
	       (length += (size_t)part) + 977 <= size)
		;
	while ((part = spool_body_read(body, got + length, 1)) > 0)
		length += (size_t)part;
	ck_assert_uint_eq(length, size);
	ck_assert_int_eq(memcmp(got, bytes, size), 0);
	ck_assert_int_eq(spool_body_read(body, got, 1), 0);
	spool_body_close(body);
	free(got);
	free(bytes);
	spool_message_release(&message);
}
END_TEST

/* Files of a batch, some kept and some not. */
START_TEST(batch_of_files)
{
	struct spool_message messages[6];
	struct spool_change changes[6];
	char *bytes = make_bytes(30000);
	struct error err;

	for (size_t i = 0; i < 6; i++) {
		messages[i] = fixture_message(1, SPOOL_HELD);
		changes[i] =
		    fixture_add_change(&messages[i], bytes + i, 20000 + i);
	}
	messages[5].id = messages[0].id;
	ck_assert_int_eq(spool_commit(fixture.spool, changes, 6, &err), 0);
	ck_assert_int_eq(changes[5].result, ERR_EXISTS);
	fixture_reopen(&fixture);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_eq(changes[i].result, 0);
		check_body(messages[i].id, bytes + i, 20000 + i);
	}
	for (size_t i = 0; i < 6; i++)
		spool_message_release(&messages[i]);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-bodies");
	TCase *tests = tcase_create("bodies");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, from_memory, 0, SIZES);
	tcase_add_loop_test(tests, from_a_file, 0, SIZES);
	tcase_add_test(tests, refused_files_are_removed);
	tcase_add_loop_test(tests, open_body_outlives_its_message, 2, 6);
	tcase_add_test(tests, batch_of_files);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
