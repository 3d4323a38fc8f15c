/*
 * Fills a spool with held mail that the cloud knows, as a ground for other
 * measurements: bench-fill BACKEND LOCATION MESSAGES. Prints the rate.
 */
#include "common/clock.h"
#include "common/crypto.h"
#include "common/mem.h"
#include "store/spool/spool.h"

#define BODY_SIZE 5120
#define BATCH     500

/* Text that no server can compress much, in lines as mail has them. */
static void fill_body(char body[BODY_SIZE + 1], const struct id *id)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
	    "pqrstuvwxyz0123456789+/";
	char text[ID_TEXT_SIZE];
	uint8_t random[BODY_SIZE];
	int head;

	head = snprintf(body, BODY_SIZE,
	                "From: <stranger@elsewhere.example>\r\n"
	                "To: <somebody@customer.example>\r\n"
	                "Subject: A subject of the usual length, about this\r\n"
	                "Message-ID: <%s@elsewhere.example>\r\n\r\n",
	                id_format(id, text));
	random_bytes(random, sizeof(random));
	for (int i = head; i < BODY_SIZE; i++)
		body[i] = letters[random[i] % 64];
	for (int i = head + 76; i + 2 < BODY_SIZE; i += 78)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + BODY_SIZE - 2, "\r\n", 2);
}

static void fill_message(struct spool_message *message,
                         struct spool_recipient *recipient, size_t number)
{
	int64_t now_ms = clock_wall_ms();

	*recipient = (struct spool_recipient){
	    .address = (char *)"somebody@customer.example",
	    .state = SPOOL_HELD,
	    .changed_ms = now_ms,
	    .by = (char *)"list",
	    .why = (char *)"no entry for this sender"};
	*message = (struct spool_message){
	    .id = id_new(),
	    .received_ms = now_ms,
	    .expires_ms = now_ms + 14 * 86400000LL,
	    .size = BODY_SIZE,
	    .registered = true,
	    .sender = mem_format("stranger%zu@elsewhere.example", number),
	    .header_from = (char *)"stranger@elsewhere.example",
	    .subject = (char *)"A subject of the usual length, about this",
	    .message_id = (char *)"<20261121080000.1234@elsewhere.example>",
	    .client_address = (char *)"192.0.2.25",
	    .client_name = (char *)"mail.elsewhere.example",
	    .helo = (char *)"mail.elsewhere.example",
	    .protocol = (char *)"ESMTP",
	    .recipients = recipient,
	    .recipient_count = 1};
	message->sender_normal = message->sender;
}

static int add_batch(struct spool *spool, size_t first, size_t count,
                     struct error *err)
{
	static struct spool_message messages[BATCH];
	static struct spool_recipient recipients[BATCH];
	static struct spool_change changes[BATCH];
	static char bodies[BATCH][BODY_SIZE + 1];
	int result;

	for (size_t i = 0; i < count; i++) {
		fill_message(&messages[i], &recipients[i], first + i);
		fill_body(bodies[i], &messages[i].id);
		changes[i] = (struct spool_change){
		    .kind = SPOOL_ADD,
		    .add = {.message = &messages[i],
		            .body = {.bytes = bodies[i], .size = BODY_SIZE}}};
	}
	result = spool_commit(spool, changes, count, err);
	for (size_t i = 0; i < count; i++) {
		free(messages[i].sender);
		if (!result && changes[i].result)
			result = error_set(
			    err, (enum error_code)changes[i].result, "add");
	}
	return result;
}

static int fill(struct spool *spool, size_t messages, struct error *err)
{
	int64_t begin_ms = clock_monotonic_ms(), took_ms;
	int result = 0;

	for (size_t done = 0; done < messages && !result; done += BATCH)
		result = add_batch(
		    spool, done,
		    messages - done < BATCH ? messages - done : BATCH, err);
	took_ms = clock_monotonic_ms() - begin_ms;
	if (!result)
		(void)printf("%zu messages in %s: %.0f/s\n", messages,
		             spool_engine(spool),
		             (double)messages * 1000 /
		                 (double)(took_ms ? took_ms : 1));
	return result;
}

int main(int argc, char **argv)
{
	struct spool_options options = {.owner = "agent-1",
	                                .large_body_bytes = 100000};
	struct spool *spool = NULL;
	struct error err = {.text = ""};
	int result;

	if (argc != 4) {
		(void)fprintf(stderr,
		              "usage: bench-fill BACKEND LOCATION MESSAGES\n");
		return 2;
	}
	options.backend = argv[1];
	options.location = argv[2];
	result = crypto_init();
	if (!result)
		result = spool_open(&spool, &options, &err);
	if (!result)
		result = fill(spool, strtoul(argv[3], NULL, 10), &err);
	if (result)
		(void)fprintf(stderr, "bench-fill: %s\n", err.text);
	spool_close(spool);
	return result != 0;
}
