/* A few connections that read, shared by any number of threads. */
#include "store/sqlite/pool.h"

#include <pthread.h>

#include "store/sqlite/db.h"

#define POOL_MAXIMUM 16

struct sqlite_pool {
	char *path;
	int cache_kib;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t given_back;
	size_t size;
	size_t open; /* connections that exist or are being opened */
	size_t idle;
	struct sqlite_db *connections[POOL_MAXIMUM]; /* the idle ones */
};

int sqlite_pool_open(struct sqlite_pool **pool, const char *path, size_t size,
                     int cache_kib, struct error *err)
{
	struct sqlite_pool *made;

	if (size < 1 || size > POOL_MAXIMUM)
		return error_set(err, ERR_INVALID, "size of the pool");
	made = calloc(1, sizeof(*made));
	if (!made || !(made->path = strdup(path))) {
		free(made);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	made->size = size;
	made->cache_kib = cache_kib;
	(void)pthread_mutex_init(&made->mutex, NULL);
	(void)pthread_cond_init(&made->given_back, NULL);
	*pool = made;
	return 0;
}

void sqlite_pool_close(struct sqlite_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < pool->idle; i++)
		sqlite_db_close(pool->connections[i]);
	(void)pthread_mutex_destroy(&pool->mutex);
	(void)pthread_cond_destroy(&pool->given_back);
	free(pool->path);
	free(pool);
}

/* An idle connection, or NULL when the caller is to open one. */
static struct sqlite_db *wait_for_one(struct sqlite_pool *pool)
{
	struct sqlite_db *db = NULL;

	(void)pthread_mutex_lock(&pool->mutex);
	while (!pool->idle && pool->open == pool->size)
		(void)pthread_cond_wait(&pool->given_back, &pool->mutex);
	if (pool->idle)
		db = pool->connections[--pool->idle];
	else
		pool->open++;
	(void)pthread_mutex_unlock(&pool->mutex);
	return db;
}

int sqlite_pool_take(struct sqlite_pool *pool, struct sqlite_db **db,
                     struct error *err)
{
	struct sqlite_db_options options = {.path = pool->path,
	                                    .read_only = true,
	                                    .cache_kib = pool->cache_kib};
	struct sqlite_db *taken = wait_for_one(pool);
	int result = 0;

	if (!taken)
		result = sqlite_db_open(&taken, &options, err);
	if (result < 0) {
		(void)pthread_mutex_lock(&pool->mutex);
		pool->open--;
		(void)pthread_cond_signal(&pool->given_back);
		(void)pthread_mutex_unlock(&pool->mutex);
		return result;
	}
	*db = taken;
	return 0;
}

void sqlite_pool_give(struct sqlite_pool *pool, struct sqlite_db *db)
{
	if (!db)
		return;
	sqlite_db_rollback(db);
	(void)pthread_mutex_lock(&pool->mutex);
	pool->connections[pool->idle++] = db;
	(void)pthread_cond_signal(&pool->given_back);
	(void)pthread_mutex_unlock(&pool->mutex);
}
