/*
 * Lost answers: a proxy between libmongoc and the server ends the connection
 * before a command, or after the server has done it and before its answer. What
 * is told must be so, and nothing is done twice.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "store/mongodb/private.h"
#include "store/registry/registry.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/suite.h"

/* --- the proxy ---------------------------------------------------------- */

enum fault { CUT_BEFORE, SWALLOW_ANSWER };

static struct sockaddr_in server_address;
static int listener = -1;
static atomic_int
    countdown; /* the command that fails: 1 is the next; 0: none */
static _Atomic(enum fault) fault;
static atomic_int faults;     /* how many there were */
static char command_name[32]; /* "": any that is not the driver's own */

static bool read_all(int from, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = recv(from, (char *)bytes + done, size - done, 0);

		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool write_all(int to, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t put = send(to, (const char *)bytes + done, size - done,
		                   MSG_NOSIGNAL);

		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

/* One message of the wire protocol: its first four bytes are its length. */
static char *read_message(int from, size_t *size)
{
	int32_t length;
	char *message;

	if (!read_all(from, &length, 4) || length < 16 || length > 50000000)
		return NULL;
	message = mem_alloc((size_t)length + 1);
	memcpy(message, &length, 4);
	*size = (size_t)length;
	if (read_all(from, message + 4, *size - 4)) {
		message[length] = '\0';
		return message;
	}
	free(message);
	return NULL;
}

/* Whether the fault is for this command: OP_MSG, whose first key names it. */
static bool is_struck(const char *message, size_t size)
{
	static const char *const own[] = {"isMaster", "ismaster", "hello",
	                                  "ping", "endSessions"};
	int32_t opcode;
	const char *name = message + 26;

	memcpy(&opcode, message + 12, 4);
	if (opcode != 2013 || size < 32)
		return false;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!strcmp(name, own[i]))
			return false;
	if (*command_name && strcmp(name, command_name) != 0)
		return false;
	if (atomic_load(&countdown) <= 0 ||
	    atomic_fetch_sub(&countdown, 1) != 1)
		return false;
	atomic_fetch_add(&faults, 1);
	return true;
}

/* A question and its answer; false when the connection ends. */
static bool exchange(int client, int server)
{
	size_t size;
	char *message = read_message(client, &size);
	bool struck, alive;

	if (!message)
		return false;
	struck = is_struck(message, size);
	alive = !(struck && atomic_load(&fault) == CUT_BEFORE) &&
	        write_all(server, message, size);
	free(message);
	if (!alive)
		return false;
	message = read_message(server, &size);
	alive = message && !struck && write_all(client, message, size);
	free(message);
	return alive;
}

static void *serve(void *context)
{
	int client = (int)(intptr_t)context;
	int server = socket(AF_INET, SOCK_STREAM, 0);

	if (!connect(server, (struct sockaddr *)&server_address,
	             sizeof(server_address)))
		while (exchange(client, server))
			;
	close(server);
	close(client);
	return NULL;
}

static void *accept_all(void *context)
{
	int client;

	(void)context;
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, serve,
		                   (void *)(intptr_t)client))
			abort();
		pthread_detach(thread);
	}
	return NULL;
}

/* Starts it before the server of a URI without a user; the URI through it. */
static char *start_proxy(const char *uri)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	mongoc_uri_t *parsed = mongoc_uri_new(uri);
	const mongoc_host_list_t *host = mongoc_uri_get_hosts(parsed);
	struct hostent *found = gethostbyname(host->host);
	pthread_t thread;
	char *through;

	ck_assert_ptr_nonnull(found);
	server_address.sin_family = AF_INET;
	server_address.sin_port = htons(host->port);
	memcpy(&server_address.sin_addr, found->h_addr_list[0], 4);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(!bind(listener, (struct sockaddr *)&address, size));
	ck_assert(!listen(listener, 64));
	ck_assert(!getsockname(listener, (struct sockaddr *)&address, &size));
	ck_assert(!pthread_create(&thread, NULL, accept_all, NULL));
	pthread_detach(thread);
	through =
	    mem_format("mongodb://127.0.0.1:%u/%s", ntohs(address.sin_port),
	               mongoc_uri_get_database(parsed));
	mongoc_uri_destroy(parsed);
	return through;
}

static void strike(const char *command, enum fault kind, int after)
{
	snprintf(command_name, sizeof(command_name), "%s", command);
	atomic_store(&fault, kind);
	atomic_store(&faults, 0);
	atomic_store(&countdown, after);
}

/* --- operations --------------------------------------------------------- */

static char *uri, *through;
static struct mongodb_db *db;
static struct error err;

static void setup(void)
{
	struct mongodb_options options = {.program = "turing-test"};

	mongodb_start_library();
	uri = mongodb_fixture_uri();
	through = start_proxy(uri);
	options.uri = through;
	ck_assert_msg(!mongodb_db_open(&db, &options, &err), "%s", err.text);
}

static void teardown(void)
{
	strike("", CUT_BEFORE, 0);
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
	free(through);
}

static int do_insert(void)
{
	bson_t *one = BCON_NEW("_id", BCON_INT32(1), "n", BCON_INT32(1));
	int code = mongodb_insert(db, "a", one, &err);

	bson_destroy(one);
	return code;
}

static int insert_some(bool ordered)
{
	bson_t *all[3];
	int results[3], code;

	for (int i = 0; i < 3; i++)
		all[i] =
		    BCON_NEW("_id", BCON_INT32(i + 1), "n", BCON_INT32(i == 0));
	code = mongodb_insert_many(db, "a", (const bson_t *const *)all, 3,
	                           ordered, results, &err);
	for (int i = 0; i < 3; i++) {
		bson_destroy(all[i]);
		if (!code)
			ck_assert_int_eq(results[i], 0);
	}
	return code;
}

static int do_insert_many(void)
{
	return insert_some(false);
}

static int do_insert_ordered(void)
{
	return insert_some(true);
}

static int update(const char *operator, int n, bool upsert, bool repeatable)
{
	bson_t *one = BCON_NEW("_id", BCON_INT32(1));
	bson_t *change = BCON_NEW(operator, "{", "n", BCON_INT32(n), "}");
	int code = mongodb_update(db, "a", one, change, upsert, repeatable,
	                          NULL, &err);

	bson_destroy(one);
	bson_destroy(change);
	return code;
}

static int do_set(void)
{
	return update("$set", 1, true, true);
}

static int do_add(void)
{
	return update("$inc", 1, true, false);
}

static int do_modify(void)
{
	bson_t *one = BCON_NEW("_id", BCON_INT32(1)), *found = NULL;
	bson_t *add = BCON_NEW("$inc", "{", "n", BCON_INT32(1), "}");
	int code = mongodb_find_and_modify(db, "a", one, NULL, add, true,
	                                   &found, &err);

	bson_destroy(one);
	bson_destroy(add);
	bson_destroy(found);
	return code;
}

static int do_delete(void)
{
	bson_t *nine = BCON_NEW("_id", BCON_INT32(9));
	int code = mongodb_delete(db, "a", nine, true, NULL, &err);

	bson_destroy(nine);
	return code;
}

/* The sum of all n: each operation that is done makes it 1. */
static int add_n(const bson_t *document, void *context, struct error *error)
{
	(void)error;
	*(int64_t *)context += mongodb_get_int(document, "n");
	return 0;
}

static int64_t sum(void)
{
	bson_t all = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = "a", .selector = &all};
	int64_t total = 0;

	ck_assert_msg(!mongodb_find_each(db, &find, add_n, &total, &err), "%s",
	              err.text);
	bson_destroy(&all);
	return total;
}

static const struct {
	const char *command;
	int (*run)(void);
	int code; /* whatever the fault is, with sessions 0 as well */
	int64_t cut, swallowed; /* the sum then */
} rows[] = {
    {"insert", do_insert, 0, 1, 1},
    {"insert", do_insert_many, 0, 1, 1},
    {"insert", do_insert_ordered, 0, 1, 1},
    {"update", do_set, 0, 1, 1},
    {"update", do_add, ERR_UNCERTAIN, 0, 1},
    {"findAndModify", do_modify, ERR_UNCERTAIN, 0, 1},
    {"delete", do_delete, ERR_UNCERTAIN, 0, 0},
};

/* Where libmongoc tries again by itself, all are done once. */
static void one_fault(int row, enum fault kind)
{
	int64_t expected =
	    kind == CUT_BEFORE ? rows[row].cut : rows[row].swallowed;
	int code;

	strike(rows[row].command, kind, 1);
	code = rows[row].run();
	ck_assert_int_eq(atomic_load(&faults), 1);
	if (db->retries && !code) {
		ck_assert(rows[row].run == do_delete || sum() == 1);
		return;
	}
	ck_assert_int_eq(code, rows[row].code);
	if (code)
		ck_assert_int_eq(err.code, code);
	ck_assert_int_eq(sum(), expected);
}

START_TEST(cut)
{
	one_fault(_i, CUT_BEFORE);
}
END_TEST

START_TEST(swallowed)
{
	one_fault(_i, SWALLOW_ANSWER);
}
END_TEST

START_TEST(reads_again)
{
	ck_assert_int_eq(do_insert(), 0);
	strike("find", _i ? SWALLOW_ANSWER : CUT_BEFORE, 1);
	ck_assert_int_eq(sum(), 1);
	ck_assert_int_eq(atomic_load(&faults), 1);
}
END_TEST

/* Another's document in the way is not taken for one's own. */
START_TEST(taken_is_taken)
{
	struct mongodb_index unique = {"a", "a_n", "n:1", true, NULL};
	bson_t *other = BCON_NEW("_id", BCON_INT32(2), "n", BCON_INT32(1));

	ck_assert_int_eq(mongodb_ensure_indexes(db, &unique, 1, &err), 0);
	ck_assert_int_eq(mongodb_insert(db, "a", other, &err), 0);
	strike("insert", _i ? SWALLOW_ANSWER : CUT_BEFORE, 1);
	ck_assert_int_eq(do_insert(), ERR_EXISTS);
	ck_assert_int_eq(sum(), 1);
	bson_destroy(other);
}
END_TEST

/* --- the registry ------------------------------------------------------- */

static const struct id tenant_id = {{1}};
static const struct id key_id = {{2}};

static struct entry some_entry(void)
{
	return (struct entry){.id = {{3}},
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .kind = ENTRY_ADDRESS,
	                      .scope_value = (char *)"",
	                      .value = (char *)"a@example.org",
	                      .note = (char *)""};
}

static int add_tenant(struct registry *registry)
{
	struct registry_tenant tenant = {.id = tenant_id,
	                                 .name = (char *)"acme",
	                                 .language = (char *)"en",
	                                 .created_ms = 1};

	return registry_tenant_add(registry, &tenant, &err);
}

static int put_entry(struct registry *registry)
{
	struct entry entry = some_entry(), stored;
	int code =
	    registry_entry_put(registry, &tenant_id, &entry, &stored, &err);

	if (!code)
		ck_assert_int_eq(stored.revision, 1);
	return code;
}

static int add_domain(struct registry *registry)
{
	return registry_domain_add(registry, &tenant_id, "example.org", &err);
}

static int add_key(struct registry *registry)
{
	struct registry_key key = {.id = key_id,
	                           .tenant = tenant_id,
	                           .agent = (char *)"mx",
	                           .prefix = (char *)"tk_12345678",
	                           .created_ms = 1};

	return registry_key_add(registry, &key, &err);
}

static int revoke_key(struct registry *registry)
{
	return registry_key_revoke(registry, &tenant_id, "tk_12345678", 2,
	                           &err);
}

static int lease(struct registry *registry)
{
	return registry_lease(registry, "expiry", "me", 1000, 1000, &err);
}

static int take_lease_over(struct registry *registry)
{
	return registry_lease(registry, "expiry", "you", 2000, 1000, &err);
}

static int remove_domain(struct registry *registry)
{
	return registry_domain_remove(registry, &tenant_id, "example.org",
	                              &err);
}

static int (*const calls[])(struct registry *) = {
    add_tenant, put_entry, add_domain,      add_key,
    revoke_key, lease,     take_lease_over, remove_domain};

#define CALLS ((int)(sizeof(calls) / sizeof(*calls)))

/* Each call works with each of its commands struck, and takes effect once:
 * three changes of the policy are three revisions. */
static void strike_each(int call, enum fault kind)
{
	for (int at = 1;; at++) {
		struct registry_options options = {"mongodb", through};
		struct registry *registry = NULL;
		struct registry_policy_cursor revision = {0};
		int struck;

		mongodb_fixture_drop(strdup(uri));
		ck_assert_msg(!registry_open(&registry, &options, &err), "%s",
		              err.text);
		for (int i = 0; i < CALLS; i++) {
			strike("", kind, i == call ? at : 0);
			ck_assert_msg(!calls[i](registry), "call %d at %d: %s",
			              i, at, err.text);
			if (i == call)
				break;
		}
		struck = atomic_load(&faults);
		strike("", kind, 0);
		for (int i = call + 1; i < CALLS; i++)
			ck_assert_msg(!calls[i](registry), "call %d: %s", i,
			              err.text);
		ck_assert_int_eq(registry_policy_revision(registry, &tenant_id,
		                                          &revision, &err),
		                 0);
		ck_assert_int_eq(revision.own, 3);
		ck_assert_int_eq(revision.global, 0);
		ck_assert_msg(!registry_check(registry, &err), "%s", err.text);
		registry_close(registry);
		if (!struck)
			return;
	}
}

START_TEST(calls_are_cut)
{
	strike_each(_i, CUT_BEFORE);
}
END_TEST

START_TEST(calls_are_swallowed)
{
	strike_each(_i, SWALLOW_ANSWER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-faults");
	TCase *operations = tcase_create("operations");
	int count = (int)(sizeof(rows) / sizeof(rows[0]));

	if (!mongodb_fixture_present())
		return EXIT_SUCCESS;
	tcase_add_checked_fixture(operations, setup, teardown);
	tcase_set_timeout(operations, 60);
	tcase_add_loop_test(operations, cut, 0, count);
	tcase_add_loop_test(operations, swallowed, 0, count);
	tcase_add_loop_test(operations, reads_again, 0, 2);
	tcase_add_loop_test(operations, taken_is_taken, 0, 2);
	tcase_add_loop_test(operations, calls_are_cut, 1, 3);
	tcase_add_loop_test(operations, calls_are_swallowed, 0, CALLS);
	suite_add_tcase(suite, operations);
	return suite_main(suite, NULL);
}
