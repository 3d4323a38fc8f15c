/*
 * The entries in memory: found by id and by key through hash tables, networks
 * and patterns in lists that are scanned.
 */
#include "common/policy/entry-set.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "common/network.h"

#define FIRST_BUCKETS 64

/*
 * An entry with its strings behind it, in one block: a million of them have
 * to fit. next_by_key leads along a bucket, or along a scan list.
 */
struct node {
	struct node *next_by_id;
	struct node *next_by_key;
	uint64_t key_hash;
	struct entry entry;
	char text[];
};

/* A network as it was parsed once, so that a scan compares bytes alone. */
struct network_node {
	struct network network;
	struct node *node;
};

struct entry_set {
	size_t count;
	size_t buckets; /* of either table; a power of two */
	struct node **by_id;
	struct node **by_key;
	struct network_node *networks;
	size_t network_count, network_capacity;
	struct node *patterns;
};

struct entry_set *entry_set_new(void)
{
	struct entry_set *set = mem_alloc(sizeof(*set));

	set->buckets = FIRST_BUCKETS;
	set->by_id = mem_alloc_array(set->buckets, sizeof(struct node *));
	set->by_key = mem_alloc_array(set->buckets, sizeof(struct node *));
	return set;
}

void entry_set_free(struct entry_set *set)
{
	size_t i;

	if (!set)
		return;
	for (i = 0; i < set->buckets; i++) {
		struct node *node = set->by_id[i];

		while (node) {
			struct node *next = node->next_by_id;

			free(node);
			node = next;
		}
	}
	free(set->by_id);
	free(set->by_key);
	free(set->networks);
	free(set);
}

static uint64_t hash_key(enum entry_scope scope, const char *scope_value,
                         enum entry_kind kind, const char *value)
{
	uint64_t hash = (uint64_t)scope << 8 | (uint64_t)kind;

	hash = crypto_table_hash(hash, scope_value, strlen(scope_value));
	return crypto_table_hash(hash, value, strlen(value));
}

static struct node **id_bucket(const struct entry_set *set, const struct id *id)
{
	uint64_t hash = crypto_table_hash(0, id->bytes, sizeof(id->bytes));

	return &set->by_id[hash & (set->buckets - 1)];
}

static bool is_scanned(enum entry_kind kind)
{
	return kind == ENTRY_NETWORK || kind == ENTRY_PATTERN;
}

static void link_key(struct entry_set *set, struct node *node)
{
	struct node **head = &set->by_key[node->key_hash & (set->buckets - 1)];

	if (node->entry.kind == ENTRY_PATTERN)
		head = &set->patterns;
	node->next_by_key = *head;
	*head = node;
}

static void grow(struct entry_set *set)
{
	struct node **old = set->by_id;
	size_t old_buckets = set->buckets, i;

	set->buckets *= 2;
	set->by_id = mem_alloc_array(set->buckets, sizeof(struct node *));
	free(set->by_key);
	set->by_key = mem_alloc_array(set->buckets, sizeof(struct node *));
	for (i = 0; i < old_buckets; i++) {
		struct node *node = old[i];

		while (node) {
			struct node *next = node->next_by_id;
			struct node **head = id_bucket(set, &node->entry.id);

			node->next_by_id = *head;
			*head = node;
			if (!is_scanned(node->entry.kind))
				link_key(set, node);
			node = next;
		}
	}
	free(old);
}

static char *place(char **out, const char *text)
{
	char *start = *out;
	size_t size = strlen(text) + 1;

	memcpy(start, text, size);
	*out += size;
	return start;
}

static struct node *node_new(const struct entry *entry)
{
	const char *scope_value = entry->scope_value ? entry->scope_value : "";
	const char *value = entry->value ? entry->value : "";
	const char *note = entry->note ? entry->note : "";
	struct node *node = mem_alloc(sizeof(*node) + strlen(scope_value) +
	                              strlen(value) + strlen(note) + 3);
	char *out = node->text;

	node->entry = *entry;
	node->entry.scope_value = place(&out, scope_value);
	node->entry.value = place(&out, value);
	node->entry.note = place(&out, note);
	node->key_hash =
	    hash_key(entry->scope, scope_value, entry->kind, value);
	return node;
}

static void add_network(struct entry_set *set, struct node *node)
{
	struct network_node item = {.node = node};

	/* One that does not parse can never match: it is kept by id alone. */
	if (network_parse(node->entry.value, &item.network) != 0)
		return;
	set->networks =
	    mem_grow(set->networks, set->network_count, &set->network_capacity,
	             sizeof(*set->networks));
	set->networks[set->network_count++] = item;
}

static void remove_network(struct entry_set *set, const struct node *node)
{
	size_t i;

	for (i = 0; i < set->network_count; i++) {
		if (set->networks[i].node != node)
			continue;
		set->networks[i] = set->networks[--set->network_count];
		return;
	}
}

static void unlink_key(struct entry_set *set, const struct node *node)
{
	struct node **at = &set->by_key[node->key_hash & (set->buckets - 1)];

	if (node->entry.kind == ENTRY_NETWORK) {
		remove_network(set, node);
		return;
	}
	if (node->entry.kind == ENTRY_PATTERN)
		at = &set->patterns;
	while (*at && *at != node)
		at = &(*at)->next_by_key;
	if (*at)
		*at = node->next_by_key;
}

static void take_out(struct entry_set *set, const struct id *id)
{
	struct node **at = id_bucket(set, id), *node;

	while (*at && !id_equal(&(*at)->entry.id, id))
		at = &(*at)->next_by_id;
	node = *at;
	if (!node)
		return;
	*at = node->next_by_id;
	unlink_key(set, node);
	set->count--;
	free(node);
}

void entry_set_put(struct entry_set *set, const struct entry *entry)
{
	struct node *node, **head;

	if (entry->deleted) {
		take_out(set, &entry->id);
		return;
	}
	/* Copied first: entry may be what a look-up returned. */
	node = node_new(entry);
	take_out(set, &node->entry.id);
	if (set->count >= set->buckets)
		grow(set);
	head = id_bucket(set, &node->entry.id);
	node->next_by_id = *head;
	*head = node;
	if (node->entry.kind == ENTRY_NETWORK)
		add_network(set, node);
	else
		link_key(set, node);
	set->count++;
}

size_t entry_set_count(const struct entry_set *set)
{
	return set->count;
}

/* A look-up on its way: the best so far. */
struct search {
	const struct entry_set *set;
	const struct entry_subject *subject;
	const struct entry *best;
};

static void consider(struct search *search, const struct node *node)
{
	if (entry_matches(&node->entry, search->subject))
		search->best = entry_stronger(search->best, &node->entry);
}

static void look_up_key(enum entry_scope scope, const char *scope_value,
                        enum entry_kind kind, const char *value, void *context)
{
	struct search *search = context;
	const struct entry_set *set = search->set;
	uint64_t hash = hash_key(scope, scope_value, kind, value);
	const struct node *node = set->by_key[hash & (set->buckets - 1)];

	for (; node; node = node->next_by_key)
		if (node->key_hash == hash && node->entry.kind == kind &&
		    node->entry.scope == scope)
			consider(search, node);
}

static void scan_networks(struct search *search)
{
	const struct entry_set *set = search->set;
	struct network address;
	size_t i;

	if (set->network_count == 0 ||
	    network_parse(search->subject->client_address, &address) != 0)
		return;
	for (i = 0; i < set->network_count; i++)
		if (network_contains(&set->networks[i].network, &address))
			consider(search, set->networks[i].node);
}

const struct entry *entry_set_find(const struct entry_set *set,
                                   const struct entry_subject *subject)
{
	struct search search = {.set = set, .subject = subject};
	const struct node *node;

	if (set->count == 0)
		return NULL;
	entry_each_key(subject, look_up_key, &search);
	scan_networks(&search);
	for (node = set->patterns; node; node = node->next_by_key)
		consider(&search, node);
	return search.best;
}
