/* A file layer under SQLite whose writes and syncs fail when they are told. */
#include "tests/support/fault-vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* in the memory behind this struct */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool armed, happened;
	enum fault fault;
	int skip, code;
	pthread_t thread;
	bool others;
} plan;

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;

/* Whether the plan is for the calling thread. */
static bool is_meant(void)
{
	return !pthread_equal(plan.thread, pthread_self()) == plan.others;
}

/* SQLITE_OK, or the failure that is due. */
static int ask(enum fault fault)
{
	int code = SQLITE_OK;

	(void)pthread_mutex_lock(&mutex);
	if (plan.armed && plan.fault == fault && is_meant() &&
	    plan.skip-- <= 0) {
		plan.armed = false;
		plan.happened = true;
		code = plan.code;
	}
	(void)pthread_mutex_unlock(&mutex);
	return code;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

static int close_file(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int read_file(sqlite3_file *file, void *bytes, int size,
                     sqlite3_int64 offset)
{
	int code = ask(FAULT_READ);

	return code ? code
	            : real_of(file)->pMethods->xRead(real_of(file), bytes, size,
	                                             offset);
}

static int write_file(sqlite3_file *file, const void *bytes, int size,
                      sqlite3_int64 offset)
{
	int code = ask(FAULT_WRITE);

	return code ? code
	            : real_of(file)->pMethods->xWrite(real_of(file), bytes,
	                                              size, offset);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int sync_file(sqlite3_file *file, int flags)
{
	int code = ask(FAULT_SYNC);

	return code ? code
	            : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int lock_file(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int unlock_file(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int check_lock(sqlite3_file *file, int *result)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file),
	                                                   result);
}

static int control(sqlite3_file *file, int operation, void *argument)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), operation,
	                                             argument);
}

static int sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shm_map(sqlite3_file *file, int page, int size, int extend,
                   void volatile **memory)
{
	return real_of(file)->pMethods->xShmMap(real_of(file), page, size,
	                                        extend, memory);
}

static int shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, count,
	                                         flags);
}

static void shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shm_unmap(sqlite3_file *file, int delete)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

static int open_file(sqlite3_vfs *ours, const char *name, sqlite3_file *file,
                     int flags, int *out_flags)
{
	struct fault_file *opened = (struct fault_file *)file;
	int code;

	(void)ours;
	opened->real = (sqlite3_file *)(opened + 1);
	code = real_vfs->xOpen(real_vfs, name, opened->real, flags, out_flags);
	opened->base.pMethods = opened->real->pMethods ? &methods : NULL;
	return code;
}

void fault_vfs_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	methods =
	    (sqlite3_io_methods){.iVersion = 2,
	                         .xClose = close_file,
	                         .xRead = read_file,
	                         .xWrite = write_file,
	                         .xTruncate = truncate_file,
	                         .xSync = sync_file,
	                         .xFileSize = file_size,
	                         .xLock = lock_file,
	                         .xUnlock = unlock_file,
	                         .xCheckReservedLock = check_lock,
	                         .xFileControl = control,
	                         .xSectorSize = sector_size,
	                         .xDeviceCharacteristics = characteristics,
	                         .xShmMap = shm_map,
	                         .xShmLock = shm_lock,
	                         .xShmBarrier = shm_barrier,
	                         .xShmUnmap = shm_unmap};
	vfs = *real_vfs;
	vfs.zName = "fault";
	vfs.szOsFile = real_vfs->szOsFile + (int)sizeof(struct fault_file);
	vfs.xOpen = open_file;
	(void)sqlite3_vfs_register(&vfs, 1);
}

static void arm(enum fault fault, int skip, int code, bool others)
{
	(void)pthread_mutex_lock(&mutex);
	plan.armed = true;
	plan.happened = false;
	plan.fault = fault;
	plan.skip = skip;
	plan.code = code;
	plan.thread = pthread_self();
	plan.others = others;
	(void)pthread_mutex_unlock(&mutex);
}

void fault_vfs_arm(enum fault fault, int skip, int code)
{
	arm(fault, skip, code, false);
}

void fault_vfs_arm_others(enum fault fault, int skip, int code)
{
	arm(fault, skip, code, true);
}

bool fault_vfs_disarm(void)
{
	bool happened;

	(void)pthread_mutex_lock(&mutex);
	plan.armed = false;
	happened = plan.happened;
	(void)pthread_mutex_unlock(&mutex);
	return happened;
}
