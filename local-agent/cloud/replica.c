/* The policy in force, which messages read while a change of it waits. */
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

/* How many changes are made while readers wait: some 20 us. */
#define PORTION 16

struct replica {
	pthread_rwlock_t lock; /* of what follows: each view is a reader */
	struct replica_view view;
	struct entry_set *entries; /* the view's */
};

struct replica *replica_new(void)
{
	struct replica *replica = mem_alloc(sizeof(*replica));
	pthread_rwlockattr_t attributes;

	/* Readers that come without a gap would keep a change out. */
	(void)pthread_rwlockattr_init(&attributes);
	(void)pthread_rwlockattr_setkind_np(
	    &attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&replica->lock, &attributes);
	(void)pthread_rwlockattr_destroy(&attributes);
	replica->entries = entry_set_new();
	replica->view.entries = replica->entries;
	return replica;
}

static void release_domains(char **domains, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(domains[i]);
	free(domains);
}

void replica_free(struct replica *replica)
{
	if (!replica)
		return;
	release_domains(replica->view.domains, replica->view.domain_count);
	entry_set_free(replica->entries);
	(void)pthread_rwlock_destroy(&replica->lock);
	free(replica);
}

const struct replica_view *replica_acquire(struct replica *replica)
{
	(void)pthread_rwlock_rdlock(&replica->lock);
	return &replica->view;
}

void replica_release(struct replica *replica, const struct replica_view *view)
{
	if (view)
		(void)pthread_rwlock_unlock(&replica->lock);
}

bool replica_view_has_domain(const struct replica_view *view,
                             const char *folded)
{
	return view->domain_count > 0 &&
	       bsearch(&folded, view->domains, view->domain_count,
	               sizeof(*view->domains), text_compare) != NULL;
}

static void count_entries(const struct replica *replica)
{
	metric_set(metric_gauge("turing_agent_policy_entries", "",
	                        "Entries of the lists in force"),
	           (int64_t)entry_set_count(replica->entries));
}

void replica_change(struct replica *replica, const struct entry *entries,
                    size_t count)
{
	size_t i, end;

	for (i = 0; i < count; i = end) {
		end = count - i < PORTION ? count : i + PORTION;
		(void)pthread_rwlock_wrlock(&replica->lock);
		for (; i < end; i++)
			entry_set_put(replica->entries, &entries[i]);
		(void)pthread_rwlock_unlock(&replica->lock);
	}
	count_entries(replica);
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
	struct replica_view view = {.received = true}, old;
	struct entry_set *unused = NULL;
	size_t i;

	view.domains = mem_alloc_array(domain_count, sizeof(*view.domains));
	for (i = 0; i < domain_count; i++)
		add_domain(&view, domains[i]);
	qsort(view.domains, view.domain_count, sizeof(*view.domains),
	      text_compare);
	(void)pthread_rwlock_wrlock(&replica->lock);
	old = replica->view;
	if (entries) {
		unused = replica->entries;
		replica->entries = entries;
	}
	view.entries = replica->entries;
	replica->view = view;
	(void)pthread_rwlock_unlock(&replica->lock);
	release_domains(old.domains, old.domain_count);
	entry_set_free(unused);
	count_entries(replica);
}

static void put_entry(const struct entry *entry, void *context)
{
	entry_set_put(context, entry);
}

int replica_replace_text(struct replica *replica, struct entry_set *entries,
                         const char *domains, struct error *err)
{
	json_t *list = json_loads(domains, JSON_REJECT_DUPLICATES, NULL);
	const char **names;
	size_t i, count = 0;

	if (!json_is_array(list)) {
		json_decref(list);
		entry_set_free(entries);
		return error_set(err, ERR_CORRUPT, "domains: no JSON array");
	}
	names = mem_alloc_array(json_array_size(list), sizeof(*names));
	for (i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			names[count++] =
			    json_string_value(json_array_get(list, i));
	replica_replace(replica, entries, names, count);
	free(names);
	json_decref(list);
	return 0;
}

int replica_load(struct replica *replica, struct spool *spool,
                 struct error *err)
{
	struct entry_set *entries = entry_set_new();
	char *domains = NULL;
	int result = spool_entries_each(spool, put_entry, entries, err);

	if (result == 0)
		result = spool_get(spool, REPLICA_DOMAINS_VALUE, &domains, err);
	if (result == 0)
		result = replica_replace_text(replica, entries, domains, err);
	else
		entry_set_free(entries);
	free(domains);
	/* No policy was ever received. */
	return result == ERR_NOT_FOUND ? 0 : result;
}
