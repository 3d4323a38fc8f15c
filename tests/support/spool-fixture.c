/* A spool of its own for each test, and short ways to fill it. */
#include "tests/support/spool-fixture.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/remove-tree.h"

static void open_it(struct spool_fixture *fixture)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_open(&fixture->spool, &fixture->options, &err),
	              "%s", err.text);
}

const char *fixture_backend(void)
{
	const char *name = getenv("TURING_TEST_BACKEND");

	return name && *name ? name : "sqlite";
}

bool fixture_is_sqlite(void)
{
	return !strcmp(fixture_backend(), "sqlite");
}

/* A database beside the folder, which then has large bodies that wait. */
static void use_mongodb(struct spool_fixture *fixture)
{
	char *incoming = mem_format("%s/incoming", fixture->directory);

	ck_assert_int_eq(mkdir(incoming, 0700), 0);
	fixture->uri = mongodb_fixture_uri();
	fixture->options.location = fixture->uri;
	fixture->options.incoming = incoming;
}

void fixture_open(struct spool_fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	(void)snprintf(fixture->directory, sizeof(fixture->directory),
	               "/tmp/turing-spool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->directory));
	fixture->options =
	    (struct spool_options){.backend = fixture_backend(),
	                           .location = fixture->directory,
	                           .owner = FIXTURE_OWNER,
	                           .large_body_bytes = FIXTURE_LARGE};
	if (!fixture_is_sqlite())
		use_mongodb(fixture);
	open_it(fixture);
}

void fixture_reopen(struct spool_fixture *fixture)
{
	spool_close(fixture->spool);
	open_it(fixture);
}

void fixture_close(struct spool_fixture *fixture)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_check(fixture->spool, &err), "%s", err.text);
	spool_close(fixture->spool);
	mongodb_fixture_drop(fixture->uri);
	free((char *)fixture->options.incoming);
	(void)remove_tree(fixture->directory);
}

static void fill_texts(struct spool_message *message)
{
	message->sender = mem_copy_string("Stranger@Elsewhere.example");
	message->sender_normal = mem_copy_string("stranger@elsewhere.example");
	message->header_from = mem_copy_string("stranger@elsewhere.example");
	message->subject = mem_copy_string("Caf\xc3\xa9 'and' \"more\"; --");
	message->message_id = mem_copy_string("<1@elsewhere.example>");
	message->client_address = mem_copy_string("192.0.2.1");
	message->client_name = mem_copy_string("mx.elsewhere.example");
	message->helo = mem_copy_string("helo.elsewhere.example");
	message->protocol = mem_copy_string("ESMTP");
	message->challenge_reason = mem_copy_string("list");
	message->auth_notice = mem_copy_string("another id \"x'y\"");
	message->registration_refusal = mem_copy_string("");
}

struct spool_message fixture_message(size_t count, enum spool_state state)
{
	struct spool_message message = {
	    .id = id_new(),
	    .received_ms = FIXTURE_NOW_MS,
	    .expires_ms = FIXTURE_NOW_MS + 1000,
	    .size = 6,
	    .eight_bit = true,
	    .recipient_count = count,
	    .auth = {.stated = true,
	             .spf = AUTH_PASS,
	             .dkim = AUTH_FAIL,
	             .dmarc = AUTH_TEMPERROR,
	             .spf_domain = "elsewhere.example",
	             .dkim_domain = "signer.example",
	             .dmarc_domain = "from.example",
	             .aligned = true}};

	fill_texts(&message);
	message.recipients =
	    mem_alloc_array(count, sizeof(*message.recipients));
	for (size_t i = 0; i < count; i++)
		message.recipients[i] = (struct spool_recipient){
		    .address = mem_format("User%zu@customer.example", i),
		    .state = state,
		    .changed_ms = FIXTURE_NOW_MS,
		    .by = mem_copy_string("list"),
		    .why = mem_copy_string("no entry"),
		    .next_attempt_ms = FIXTURE_NOW_MS,
		    .reply = mem_copy_string(""),
		    .next_hop = mem_copy_string("")};
	return message;
}

struct spool_change fixture_add_change(const struct spool_message *message,
                                       const void *body, size_t size)
{
	return (struct spool_change){
	    .kind = SPOOL_ADD,
	    .add = {.message = message, .body = {.bytes = body, .size = size}}};
}

int fixture_commit(struct spool_fixture *fixture, struct spool_change change)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_commit(fixture->spool, &change, 1, &err), "%s",
	              err.text);
	return change.result;
}

struct id fixture_add(struct spool_fixture *fixture, size_t count,
                      enum spool_state state)
{
	struct spool_message message = fixture_message(count, state);
	struct id id = message.id;

	ck_assert_int_eq(fixture_commit(fixture, fixture_add_change(
	                                             &message, "body\r\n", 6)),
	                 0);
	spool_message_release(&message);
	return id;
}

struct spool_change fixture_move_change(struct id id, size_t recipient,
                                        enum spool_state to)
{
	return (struct spool_change){
	    .kind = SPOOL_MOVE,
	    .move = {.id = id,
	             .recipient = recipient,
	             .from = SPOOL_IN(SPOOL_STATE_COUNT) - 1,
	             .to = to,
	             .now_ms = FIXTURE_NOW_MS + 5,
	             .by = "admin",
	             .why = "test",
	             .next_attempt_ms = FIXTURE_NOW_MS + 7}};
}

int fixture_move(struct spool_fixture *fixture, struct id id, size_t recipient,
                 enum spool_state to)
{
	return fixture_commit(fixture, fixture_move_change(id, recipient, to));
}

struct spool_message fixture_read(struct spool_fixture *fixture, struct id id)
{
	struct spool_message message = {.recipient_count = 0};
	struct error err = {.text = ""};

	ck_assert_msg(!spool_read(fixture->spool, &id, &message, &err), "%s",
	              err.text);
	return message;
}

size_t fixture_count(struct spool_fixture *fixture, struct spool_query query)
{
	struct spool_page page = {.count = 0};
	struct error err = {.text = ""};
	size_t found;

	query.limit = 1000;
	ck_assert_msg(!spool_list(fixture->spool, &query, &page, &err), "%s",
	              err.text);
	found = page.count;
	spool_page_release(&page);
	return found;
}

enum spool_state fixture_state(struct spool_fixture *fixture, struct id id,
                               size_t recipient)
{
	struct spool_message message = fixture_read(fixture, id);
	enum spool_state state;

	ck_assert_uint_lt(recipient, message.recipient_count);
	state = message.recipients[recipient].state;
	spool_message_release(&message);
	return state;
}

char *fixture_body(struct spool_fixture *fixture, struct id id, size_t *size)
{
	struct spool_body *body = NULL;
	struct error err = {.text = ""};
	size_t room = 1000;
	char *bytes = mem_alloc(room);
	long got;

	ck_assert_msg(!spool_body_open(fixture->spool, &id, &body, &err), "%s",
	              err.text);
	*size = 0;
	while ((got = spool_body_read(body, bytes + *size, room - *size)) > 0) {
		*size += (size_t)got;
		if (*size == room)
			bytes = mem_resize_array(bytes, room *= 2, 1);
	}
	ck_assert_int_eq(got, 0);
	spool_body_close(body);
	return bytes;
}

char *fixture_incoming(struct spool_fixture *fixture, const void *bytes,
                       size_t size)
{
	static unsigned serial;
	char *path = mem_format(
	    "%s/test-%u", spool_incoming_directory(fixture->spool), serial++);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	(void)close(fd);
	return path;
}

size_t fixture_count_files(struct spool_fixture *fixture, const char *name)
{
	char *path = mem_format("%s/%s", fixture->directory, name);
	DIR *directory = opendir(path);
	const struct dirent *entry;
	size_t count = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	(void)closedir(directory);
	free(path);
	return count;
}
