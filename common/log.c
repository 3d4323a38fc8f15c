/* Log lines on standard error. */
#include "common/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"

#define LINE_MAXIMUM 2000

static _Atomic int least_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&least_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&least_level);
}

/* Copies text to line, control characters as \xNN; returns the new length. */
static size_t append_safely(char *line, size_t used, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text && used < LINE_MAXIMUM - 5; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x20 && byte != 0x7f) {
			line[used++] = (char)byte;
			continue;
		}
		line[used++] = '\\';
		line[used++] = 'x';
		line[used++] = digits[byte >> 4];
		line[used++] = digits[byte & 15];
	}
	return used;
}

/* Whether standard error is the journal's (sd-daemon(3), JOURNAL_STREAM in
 * systemd.exec(5)), which has times of its own and reads "<N>" priorities. */
static bool is_journal(void)
{
	static _Atomic int known; /* 1: it is, -1: it is not */
	const char *stream;
	struct stat info;
	char own[64] = "";

	if (!atomic_load(&known)) {
		stream = getenv("JOURNAL_STREAM");
		if (stream && !fstat(STDERR_FILENO, &info))
			(void)snprintf(own, sizeof(own), "%llu:%llu",
			               (unsigned long long)info.st_dev,
			               (unsigned long long)info.st_ino);
		else
			stream = NULL;
		atomic_store(&known, stream && !strcmp(stream, own) ? 1 : -1);
	}
	return atomic_load(&known) > 0;
}

void log_write(enum log_level level, const char *id, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "info",
	                                    "debug"};
	static const int priorities[] = {3, 4, 6, 7}; /* of syslog(3) */
	char text[LINE_MAXIMUM], line[LINE_MAXIMUM + 1], when[CLOCK_TEXT_SIZE];
	va_list arguments;
	size_t used;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	used =
	    is_journal()
	        ? (size_t)snprintf(line, 64, "<%d>", priorities[level])
	        : (size_t)snprintf(line, 64, "%s %s ",
	                           clock_format_rfc3339(clock_wall_ms(), when),
	                           names[level]);
	used = append_safely(line, used, id);
	used = append_safely(line, used, ": ");
	used = append_safely(line, used, text);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to say so */
}
