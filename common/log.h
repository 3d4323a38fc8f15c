/*
 * The log of a daemon: one line an event, to standard error, each with the id
 * of the message, session or job that it speaks of.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Sets the least important level written (default info). Any thread. */
void log_set_level(enum log_level level);

/* Whether a line of this level would be written. Any thread. */
bool log_enabled(enum log_level level);

/*
 * Writes "TIME LEVEL ID: text\n" in one write(2), or "<PRIORITY>ID: text\n"
 * where standard error is the journal's: see systemd.exec(5), JOURNAL_STREAM.
 * id is the message's, session's or job's id, or a word for the part that
 * speaks, such as "agent"; never NULL. Control characters in the text are
 * written as \xNN, so that no peer can forge a line. Lines are cut at 2,000
 * bytes. Any thread.
 */
void log_write(enum log_level level, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* clang-format off */
#define log_error(id, ...)   log_write(LOG_LEVEL_ERROR, id, __VA_ARGS__)
#define log_warning(id, ...) log_write(LOG_LEVEL_WARNING, id, __VA_ARGS__)
#define log_info(id, ...)    log_write(LOG_LEVEL_INFO, id, __VA_ARGS__)
#define log_debug(id, ...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_write(LOG_LEVEL_DEBUG, id, __VA_ARGS__); \
	} while (0)
/* clang-format on */

#endif
