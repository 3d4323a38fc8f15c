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

/* The tables begin with one segment; each further one has as many buckets as
 * all before. */
#define FIRST_BITS    6
#define FIRST_BUCKETS ((size_t)1 << FIRST_BITS)
#define SEGMENTS      (65 - FIRST_BITS)

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

/* Chains of nodes. */
struct table {
	struct node **segments[SEGMENTS];
};

/*
 * The tables grow by linear hashing: each entry that finds them full adds one
 * bucket, to which the nodes of one other go over, so that no put has to move
 * many.
 */
struct entry_set {
	size_t count;
	size_t buckets; /* of either table */
	size_t half;    /* the greatest power of two up to that */
	struct table by_id, by_key;
	struct network_node *networks;
	size_t network_count, network_capacity;
	struct node *patterns;
};

/* Adds the segment that begins with bucket first: 0 or a power of two. */
static void add_segment(struct table *table, size_t first)
{
	size_t i = 0;

	while (table->segments[i])
		i++;
	table->segments[i] = mem_alloc_array(first ? first : FIRST_BUCKETS,
	                                     sizeof(struct node *));
}

/* The head of bucket i. */
static struct node **head_of(const struct table *table, size_t i)
{
	int bit;

	if (i < FIRST_BUCKETS)
		return &table->segments[0][i];
	bit = 63 - __builtin_clzll(i);
	return &table->segments[bit - FIRST_BITS + 1][i - ((size_t)1 << bit)];
}

static struct node **bucket(const struct entry_set *set,
                            const struct table *table, uint64_t hash)
{
	size_t i = hash & (2 * set->half - 1);

	return head_of(table, i < set->buckets ? i : i - set->half);
}

struct entry_set *entry_set_new(void)
{
	struct entry_set *set = mem_alloc(sizeof(*set));

	set->buckets = set->half = FIRST_BUCKETS;
	add_segment(&set->by_id, 0);
	add_segment(&set->by_key, 0);
	return set;
}

static void table_release(struct table *table)
{
	for (size_t i = 0; i < SEGMENTS; i++)
		free(table->segments[i]);
}

void entry_set_free(struct entry_set *set)
{
	size_t i;

	if (!set)
		return;
	for (i = 0; i < set->buckets; i++) {
		struct node *node = *head_of(&set->by_id, i);

		while (node) {
			struct node *next = node->next_by_id;

			free(node);
			node = next;
		}
	}
	table_release(&set->by_id);
	table_release(&set->by_key);
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
	return bucket(set, &set->by_id,
	              crypto_table_hash(0, id->bytes, sizeof(id->bytes)));
}

static void link_id(struct entry_set *set, struct node *node)
{
	struct node **head = id_bucket(set, &node->entry.id);

	node->next_by_id = *head;
	*head = node;
}

static void link_key(struct entry_set *set, struct node *node)
{
	struct node **head = node->entry.kind == ENTRY_PATTERN
	                         ? &set->patterns
	                         : bucket(set, &set->by_key, node->key_hash);

	node->next_by_key = *head;
	*head = node;
}

/* Adds a bucket, and links the nodes of the one that it is split from anew. */
static void grow(struct entry_set *set)
{
	size_t from = set->buckets - set->half;
	struct node *id_node, *key_node, *next;

	if (set->buckets == set->half) {
		add_segment(&set->by_id, set->half);
		add_segment(&set->by_key, set->half);
	}
	id_node = *head_of(&set->by_id, from);
	key_node = *head_of(&set->by_key, from);
	*head_of(&set->by_id, from) = NULL;
	*head_of(&set->by_key, from) = NULL;
	if (++set->buckets == 2 * set->half)
		set->half *= 2;
	for (; id_node; id_node = next) {
		next = id_node->next_by_id;
		link_id(set, id_node);
	}
	for (; key_node; key_node = next) {
		next = key_node->next_by_key;
		link_key(set, key_node);
	}
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
	struct node **at = bucket(set, &set->by_key, node->key_hash);

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
	struct node *node;

	if (entry->deleted) {
		take_out(set, &entry->id);
		return;
	}
	/* Copied first: entry may be what a look-up returned. */
	node = node_new(entry);
	take_out(set, &node->entry.id);
	if (set->count >= set->buckets)
		grow(set);
	link_id(set, node);
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
	const struct node *node = *bucket(set, &set->by_key, hash);

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
