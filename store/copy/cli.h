/*
 * What the command lines of both daemons share for copies of their stores:
 * where to, how far, what came of it. Nothing here ever prints a location,
 * which may hold a password.
 */
#ifndef STORE_COPY_CLI_H
#define STORE_COPY_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "store/copy/copy.h"

/*
 * Reads what --to-location says to a heap string: "-" is the first line of in,
 * "@FILE" the first line of a file, so that no password stands in the list of
 * processes; everything else is the location itself, which is then blotted out
 * in argument. ERR_INVALID for an empty one, ERR_IO, ERR_MEMORY.
 */
int copy_location_read(char *argument, FILE *in, char **location,
                       struct error *err);

/* Wipes and frees; NULL is allowed. */
void copy_location_release(char *location);

/* Whether two stores are one, as far as their names tell. */
bool copy_location_same(const char *backend, const char *location,
                        const char *other_backend, const char *other_location);

/* Shows progress: on a terminal in one line that is written again at most once
 * a second, else a line for every part that is done. */
struct copy_display {
	FILE *out;
	bool terminal;
	const char *what; /* the part under way */
	int64_t begun_ms, told_ms, told_done;
	bool open; /* a line without its end is on the terminal */
};

/* What to hand to a backup or a run; display and out must outlive it. */
struct store_progress copy_display_progress(struct copy_display *display,
                                            FILE *out);

/* Ends a line that is still open on the terminal. */
void copy_display_end(struct copy_display *display);

/*
 * From now on SIGINT and SIGTERM end a run between two writes; a second one
 * ends the process. The flag for copy_control.
 */
const volatile sig_atomic_t *copy_stop_on_signals(void);

/* A copy, comparison or restore of a command line: what it is shown by and
 * stopped by. */
struct copy_run {
	struct copy_display display;
	struct store_progress progress;
	struct copy_control control;
};

/* Begins one that shows its progress on out; see the two functions above. */
void copy_run_begin(struct copy_run *run, FILE *out);

/* Prints what a comparison found, a line a part; with both sides, or the
 * source alone. */
void copy_report_print(const struct copy_report *report, bool both, FILE *out);

/* Prints how many records a restore put back, a line a part. */
void copy_report_print_restore(const struct copy_report *report, FILE *out);

/* Tells what is not the same after a copy, in words; nothing when all is. */
void copy_report_explain(const struct copy_report *copy,
                         const struct copy_report *comparison, FILE *out);

#endif
