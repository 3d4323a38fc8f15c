/* Who waits for what is known of recipients, and the list that is reread. */
#include "local-agent/intake/recipient-check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/intake/recipient-cache.h"
#include "local-agent/intake/recipient-list.h"

/* How often the list's file is looked at. */
#define LOOK_MS 1000

struct recipient_question {
	struct recipient_question *next; /* of those with the same address */
	struct loop *loop;
	void (*answered)(void *context, enum recipient_answer answer);
	void *context; /* of the loop's thread alone, as answered */
	enum recipient_answer answer;
};

/* The file as it was when it was read last, good or bad. */
struct seen_file {
	struct timespec changed;
	ino_t inode;
	off_t size;
};

struct recipient_check {
	const struct agent_config *config;
	struct loop *loop;
	struct call_ahead *call_ahead; /* of the loop; NULL with a list */
	struct loop_timer *look;       /* of the loop; NULL without a list */
	struct seen_file seen;         /* of the loop, once it runs */
	pthread_mutex_t lock;          /* of what follows */
	struct recipient_cache *cache; /* NULL with a list */
	struct recipient_list *list;   /* NULL without */
	struct metric *answers[RECIPIENT_ASKED], *asked, *known;
};

/* --- answers ------------------------------------------------------------ */

/* On the loop of the question. */
static void deliver(void *argument)
{
	struct recipient_question *question = argument;

	if (question->answered)
		question->answered(question->context, question->answer);
	free(question);
}

void recipient_question_drop(struct recipient_question *question)
{
	if (question)
		question->answered = NULL;
}

/*
 * What is known without asking anew: an answer that is young enough, or of a
 * next hop that cannot be asked now, that the recipient existed lately.
 */
static enum recipient_answer from_cache(const struct recipient_check *check,
                                        const struct recipient_known *known,
                                        bool away)
{
	const struct agent_config *config = check->config;
	int64_t age_ms = clock_monotonic_ms() - known->told_ms;

	if (known->answer == RECIPIENT_EXISTS &&
	    age_ms < (away ? config->recipients_stale_ms
	                   : config->recipients_positive_ms))
		return RECIPIENT_EXISTS;
	if (known->answer == RECIPIENT_ABSENT &&
	    age_ms < config->recipients_negative_ms)
		return RECIPIENT_ABSENT;
	return RECIPIENT_UNSURE;
}

/* The next hop's answer; on the check's loop. */
static void on_answered(void *context, const char *address,
                        enum recipient_answer answer, const char *words)
{
	struct recipient_check *check = context;
	struct recipient_question *question, *next;
	struct recipient_known *known;

	log_debug("recipients", "<%s>: answer %d: %s", address, (int)answer,
	          words);
	(void)pthread_mutex_lock(&check->lock);
	known = recipient_cache_find(check->cache, address);
	question = known->waiting;
	known->waiting = NULL;
	if (answer == RECIPIENT_UNSURE) {
		answer = from_cache(check, known, true);
	} else {
		known->answer = answer;
		known->told_ms = clock_monotonic_ms();
	}
	metric_set(check->known, (int64_t)recipient_cache_count(check->cache));
	(void)pthread_mutex_unlock(&check->lock);
	for (; question; question = next) {
		next = question->next;
		metric_add(check->answers[answer], 1);
		question->answer = answer;
		loop_post(question->loop, deliver, question);
	}
}

/* --- questions ---------------------------------------------------------- */

/* An address on its way to the check's loop. */
struct errand {
	struct recipient_check *check;
	char address[];
};

static void run_errand(void *argument)
{
	struct errand *errand = argument;

	call_ahead_ask(errand->check->call_ahead, errand->address);
	free(errand);
}

static void send_errand(struct recipient_check *check, const char *address)
{
	size_t size = strlen(address) + 1;
	struct errand *errand = mem_alloc(sizeof(*errand) + size);

	errand->check = check;
	memcpy(errand->address, address, size);
	metric_add(check->asked, 1);
	loop_post(check->loop, run_errand, errand);
}

static enum recipient_answer look_up(struct recipient_check *check,
                                     const char *address)
{
	bool found;

	(void)pthread_mutex_lock(&check->lock);
	found = recipient_list_has(check->list, address,
	                           check->config->recipients_delimiter);
	(void)pthread_mutex_unlock(&check->lock);
	return found ? RECIPIENT_EXISTS : RECIPIENT_ABSENT;
}

enum recipient_answer recipient_check_ask(
    struct recipient_check *check, const char *address, struct loop *loop,
    void (*answered)(void *context, enum recipient_answer answer),
    void *context, struct recipient_question **question)
{
	enum recipient_answer answer;
	struct recipient_known *known;
	struct recipient_question *made;
	bool first;

	if (check->config->recipients_check == RECIPIENTS_LIST) {
		answer = look_up(check, address);
		metric_add(check->answers[answer], 1);
		return answer;
	}
	(void)pthread_mutex_lock(&check->lock);
	known = recipient_cache_get(check->cache, address);
	answer = from_cache(check, known, false);
	if (answer != RECIPIENT_UNSURE) {
		(void)pthread_mutex_unlock(&check->lock);
		metric_add(check->answers[answer], 1);
		return answer;
	}
	made = mem_alloc(sizeof(*made));
	made->loop = loop;
	made->answered = answered;
	made->context = context;
	first = !known->waiting;
	made->next = known->waiting;
	known->waiting = made;
	(void)pthread_mutex_unlock(&check->lock);
	if (first)
		send_errand(check, address);
	*question = made;
	return RECIPIENT_ASKED;
}

/* --- the list ----------------------------------------------------------- */

/* Whether the file is another than the one seen last; notes it then. */
static bool is_changed(struct recipient_check *check)
{
	struct stat found;
	struct seen_file now = {.size = -1};

	if (stat(check->config->recipients_list, &found) == 0)
		now = (struct seen_file){.changed = found.st_mtim,
		                         .inode = found.st_ino,
		                         .size = found.st_size};
	if (now.changed.tv_sec == check->seen.changed.tv_sec &&
	    now.changed.tv_nsec == check->seen.changed.tv_nsec &&
	    now.inode == check->seen.inode && now.size == check->seen.size)
		return false;
	check->seen = now;
	return true;
}

static int load_list(struct recipient_check *check, struct error *err)
{
	struct recipient_list *list, *old;
	int result =
	    recipient_list_load(&list, check->config->recipients_list, err);

	if (result)
		return result;
	(void)pthread_mutex_lock(&check->lock);
	old = check->list;
	check->list = list;
	(void)pthread_mutex_unlock(&check->lock);
	recipient_list_free(old);
	metric_set(check->known, (int64_t)recipient_list_count(list));
	log_info("recipients", "%zu entries read from %s",
	         recipient_list_count(list), check->config->recipients_list);
	return 0;
}

/* A bad file changes nothing: the list that was read before stays. */
static void on_look(void *argument)
{
	struct recipient_check *check = argument;
	struct error err = {.text = ""};

	if (is_changed(check) && load_list(check, &err))
		log_error("recipients",
		          "the list was not read, the one before stays: %s",
		          err.text);
	loop_timer_start(check->look, LOOK_MS);
}

/* --- start and stop ----------------------------------------------------- */

static void make_metrics(struct recipient_check *check)
{
	static const char *const labels[RECIPIENT_ASKED] = {
	    [RECIPIENT_UNSURE] = "answer=\"unsure\"",
	    [RECIPIENT_EXISTS] = "answer=\"exists\"",
	    [RECIPIENT_ABSENT] = "answer=\"absent\"",
	};

	for (int i = 0; i < RECIPIENT_ASKED; i++)
		check->answers[i] =
		    metric_counter("turing_agent_recipients_total", labels[i],
		                   "Recipients asked for, by answer");
	check->asked = metric_counter("turing_agent_call_aheads_total", "",
	                              "Recipients that the next hop was asked "
	                              "about");
	check->known = metric_gauge("turing_agent_recipients_known", "",
	                            "Recipients in the cache, or in the list");
}

/* On the check's loop. */
static void begin(void *argument)
{
	struct recipient_check *check = argument;
	const struct call_ahead_options options = {
	    .config = check->config,
	    .loop = check->loop,
	    .answered = on_answered,
	    .context = check,
	};

	if (check->config->recipients_check != RECIPIENTS_LIST) {
		check->call_ahead = call_ahead_new(&options);
		return;
	}
	check->look = loop_timer_new(check->loop, on_look, check);
	loop_timer_start(check->look, LOOK_MS);
}

static void end(void *argument)
{
	struct recipient_check *check = argument;

	loop_timer_free(check->look);
	call_ahead_free(check->call_ahead);
}

static void free_check(struct recipient_check *check)
{
	recipient_cache_free(check->cache);
	recipient_list_free(check->list);
	(void)pthread_mutex_destroy(&check->lock);
	free(check);
}

int recipient_check_start(struct recipient_check **check,
                          const struct agent_config *config, struct error *err)
{
	struct recipient_check *made = mem_alloc(sizeof(*made));
	int result = 0;

	made->config = config;
	(void)pthread_mutex_init(&made->lock, NULL);
	make_metrics(made);
	if (config->recipients_check == RECIPIENTS_LIST) {
		(void)is_changed(made);
		result = load_list(made, err);
	} else {
		made->cache = recipient_cache_new(
		    (size_t)config->recipients_cache_entries);
	}
	if (!result)
		result = loop_start(&made->loop, "recipients", err);
	if (result) {
		free_check(made);
		return result;
	}
	loop_post(made->loop, begin, made);
	*check = made;
	return 0;
}

void recipient_check_stop(struct recipient_check *check)
{
	if (!check)
		return;
	loop_post(check->loop, end, check);
	loop_stop(check->loop);
	free_check(check);
}
