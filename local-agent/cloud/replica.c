/* Immutable views of the policy, counted and swapped under a lock. */
#include "local-agent/cloud/replica.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/text.h"

#define DOMAIN_SIZE 256

/* A view with its count; the first member is what others see. */
struct counted_view {
	struct replica_view view;
	struct entry_set *entries;
	unsigned references; /* under the replica's lock */
};

struct replica {
	pthread_mutex_t lock;
	struct counted_view *current;
};

static struct counted_view *view_new(struct entry_set *entries)
{
	struct counted_view *counted = mem_alloc(sizeof(*counted));

	counted->entries = entries;
	counted->view.entries = entries;
	counted->references = 1;
	return counted;
}

static void view_free(struct counted_view *counted)
{
	size_t i;

	for (i = 0; i < counted->view.domain_count; i++)
		free(counted->view.domains[i]);
	free(counted->view.domains);
	entry_set_free(counted->entries);
	free(counted);
}

/* Drops a reference under the lock; returns what is to be freed without it. */
static struct counted_view *drop(struct counted_view *counted)
{
	return --counted->references == 0 ? counted : NULL;
}

struct replica *replica_new(void)
{
	struct replica *replica = mem_alloc(sizeof(*replica));

	(void)pthread_mutex_init(&replica->lock, NULL);
	replica->current = view_new(entry_set_new());
	return replica;
}

void replica_free(struct replica *replica)
{
	if (!replica)
		return;
	view_free(replica->current);
	(void)pthread_mutex_destroy(&replica->lock);
	free(replica);
}

const struct replica_view *replica_acquire(struct replica *replica)
{
	struct counted_view *counted;

	(void)pthread_mutex_lock(&replica->lock);
	counted = replica->current;
	counted->references++;
	(void)pthread_mutex_unlock(&replica->lock);
	return &counted->view;
}

void replica_release(struct replica *replica, const struct replica_view *view)
{
	struct counted_view *unused;

	if (!view)
		return;
	(void)pthread_mutex_lock(&replica->lock);
	unused = drop((struct counted_view *)(uintptr_t)view);
	(void)pthread_mutex_unlock(&replica->lock);
	if (unused)
		view_free(unused);
}

bool replica_view_has_domain(const struct replica_view *view,
                             const char *folded)
{
	return view->domain_count > 0 &&
	       bsearch(&folded, view->domains, view->domain_count,
	               sizeof(*view->domains), text_compare) != NULL;
}

static void install(struct replica *replica, struct counted_view *counted)
{
	struct counted_view *unused;

	metric_set(metric_gauge("turing_agent_policy_entries", "",
	                        "Entries of the lists in force"),
	           (int64_t)entry_set_count(counted->view.entries));
	(void)pthread_mutex_lock(&replica->lock);
	unused = drop(replica->current);
	replica->current = counted;
	(void)pthread_mutex_unlock(&replica->lock);
	if (unused)
		view_free(unused);
}

/* Folds and keeps a domain; one that is no domain is left out. */
static void add_domain(struct replica_view *view, const char *domain)
{
	char folded[DOMAIN_SIZE];

	if (mail_domain_fold(domain, folded, sizeof(folded)) == 0)
		view->domains[view->domain_count++] = mem_copy_string(folded);
}

void replica_replace(struct replica *replica, struct entry_set *entries,
                     const char *const *domains, size_t domain_count)
{
	struct counted_view *counted = view_new(entries);
	struct replica_view *view = &counted->view;
	size_t i;

	view->received = true;
	view->domains = mem_alloc_array(domain_count, sizeof(*view->domains));
	for (i = 0; i < domain_count; i++)
		add_domain(view, domains[i]);
	qsort(view->domains, view->domain_count, sizeof(*view->domains),
	      text_compare);
	install(replica, counted);
}

static void put_entry(const struct entry *entry, void *context)
{
	entry_set_put(context, entry);
}

/* Reads the domains into *list, NULL where no policy was ever received. */
static int read_domains(struct spool *spool, json_t **list, struct error *err)
{
	char *value = NULL;
	int result = spool_get(spool, REPLICA_DOMAINS_VALUE, &value, err);

	*list = NULL;
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	*list = json_loads(value, JSON_REJECT_DUPLICATES, NULL);
	free(value);
	if (!json_is_array(*list)) {
		json_decref(*list);
		return error_set(err, ERR_CORRUPT,
		                 "the spool's value " REPLICA_DOMAINS_VALUE
		                 " is no JSON array");
	}
	return 0;
}

static void replace_from_list(struct replica *replica,
                              struct entry_set *entries, const json_t *list)
{
	const char **domains =
	    mem_alloc_array(json_array_size(list), sizeof(*domains));
	size_t i, count = 0;

	for (i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			domains[count++] =
			    json_string_value(json_array_get(list, i));
	replica_replace(replica, entries, domains, count);
	free(domains);
}

int replica_load(struct replica *replica, struct spool *spool,
                 struct error *err)
{
	struct entry_set *entries = entry_set_new();
	json_t *list = NULL;
	int result = spool_entries_each(spool, put_entry, entries, err);

	if (result == 0)
		result = read_domains(spool, &list, err);
	if (result || !list) {
		entry_set_free(entries);
		return result;
	}
	replace_from_list(replica, entries, list);
	json_decref(list);
	return 0;
}
