/* The addresses of messages that wait to be written to their table. */
#include "store/registry/sqlite/addresses-waiting.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"

/* The buckets lie in the order of the keys, the negative ones first. */
static size_t bucket_of(int32_t key)
{
	uint32_t place = (uint32_t)key ^ (UINT32_C(1) << 31);

	return place / (UINT32_MAX / ADDRESS_BUCKETS + 1);
}

int registry_sqlite_waiting_add(struct registry_sqlite_addresses *addresses,
                                const struct address_place *place,
                                struct error *err)
{
	size_t number = bucket_of(place->key);
	struct address_bucket *bucket = &addresses->buckets[number];
	int error;

	if (number < addresses->known_next &&
	    place->row <= addresses->known_row)
		return 0;
	error = array_grow((void **)&bucket->places, bucket->count,
	                   &bucket->capacity, sizeof(*bucket->places), err);
	if (error)
		return error;
	bucket->places[bucket->count++] = *place;
	addresses->count++;
	addresses->fresh += place->row > addresses->opened_row;
	return 0;
}

/* In the order of the table: by key, stamp, row. */
static int compare(const void *a, const void *b)
{
	const struct address_place *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->stamp != y->stamp)
		return x->stamp < y->stamp ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

int registry_sqlite_waiting_find(
    const struct registry_sqlite_addresses *addresses, int32_t key,
    int64_t stamp, struct address_places *found, struct error *err)
{
	const struct address_bucket *bucket =
	    &addresses->buckets[bucket_of(key)];
	size_t capacity = 0;
	int error;

	for (size_t i = 0; i < bucket->count; i++) {
		const struct address_place *place = &bucket->places[i];

		if (place->key != key || place->stamp < stamp)
			continue;
		error = array_grow((void **)&found->places, found->count,
		                   &capacity, sizeof(*found->places), err);
		if (error)
			return error;
		found->places[found->count++] = *place;
	}
	if (found->count > 1)
		qsort(found->places, found->count, sizeof(*found->places),
		      compare);
	return 0;
}

/* --- taking, round by round ----------------------------------------------- */

/* Of a bucket, what is there when its turn comes; what is added later waits
 * for the next round. */
static void begin_turn(struct registry_sqlite_addresses *addresses,
                       struct address_bucket *bucket)
{
	if (bucket->sorted)
		return; /* it has begun */
	if (!addresses->next)
		addresses->round_row = addresses->read_row;
	if (bucket->count > 1)
		qsort(bucket->places, bucket->count, sizeof(*bucket->places),
		      compare);
	bucket->sorted = bucket->count;
}

/* Takes up to wanted of the bucket; whether that ends its turn. */
static int take_turn(struct address_bucket *bucket, size_t wanted,
                     struct address_places *taken, size_t *capacity,
                     bool *ended, struct error *err)
{
	while (bucket->writing < bucket->sorted && taken->count < wanted) {
		int error = array_grow((void **)&taken->places, taken->count,
		                       capacity, sizeof(*taken->places), err);

		if (error)
			return error;
		taken->places[taken->count++] =
		    bucket->places[bucket->writing++];
	}
	*ended = bucket->writing == bucket->sorted;
	return 0;
}

int registry_sqlite_waiting_take(struct registry_sqlite_addresses *addresses,
                                 size_t wanted, struct address_places *taken,
                                 int64_t *done_row, struct error *err)
{
	size_t capacity = 0;
	bool ended = true;
	int error;

	addresses->first = addresses->last = addresses->next;
	addresses->writing = true;
	while (ended && taken->count < wanted) {
		struct address_bucket *bucket =
		    &addresses->buckets[addresses->next];

		addresses->last = addresses->next;
		begin_turn(addresses, bucket);
		error =
		    take_turn(bucket, wanted, taken, &capacity, &ended, err);
		if (error)
			return error;
		if (!ended)
			break;
		if (++addresses->next == ADDRESS_BUCKETS) {
			*done_row = addresses->round_row;
			addresses->next = 0;
			break;
		}
	}
	return 0;
}

/* Removes what the bucket had in the write, or lets its turn begin anew. */
static void end_turn(struct registry_sqlite_addresses *addresses,
                     struct address_bucket *bucket, bool committed)
{
	size_t written = bucket->writing;

	bucket->writing = 0;
	if (!committed)
		bucket->sorted = 0;
	if (!committed || !written)
		return;
	bucket->count -= written;
	bucket->sorted -= written;
	addresses->count -= written;
	memmove(bucket->places, bucket->places + written,
	        bucket->count * sizeof(*bucket->places));
}

void registry_sqlite_waiting_end(struct registry_sqlite_addresses *addresses,
                                 bool committed)
{
	if (!addresses->writing)
		return;
	for (size_t i = addresses->first; i <= addresses->last; i++)
		end_turn(addresses, &addresses->buckets[i], committed);
	if (!committed)
		addresses->next = addresses->first;
	addresses->writing = false;
}

void registry_sqlite_waiting_drop(struct registry_sqlite_addresses *addresses,
                                  int64_t written)
{
	for (size_t i = 0; i < ADDRESS_BUCKETS; i++) {
		struct address_bucket *bucket = &addresses->buckets[i];
		size_t kept = 0;

		for (size_t j = 0; j < bucket->count; j++)
			if (bucket->places[j].row > written)
				bucket->places[kept++] = bucket->places[j];
		addresses->count -= bucket->count - kept;
		bucket->count = kept;
		bucket->sorted = 0;
	}
}

void registry_sqlite_waiting_release(
    struct registry_sqlite_addresses *addresses)
{
	for (size_t i = 0; i < ADDRESS_BUCKETS; i++)
		free(addresses->buckets[i].places);
}
