/* A copy's location, progress and findings on a command line. */
#include "store/copy/cli.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define LOCATION_MAXIMUM 4096
#define TELL_EVERY_MS    1000

/* --- the location ------------------------------------------------------- */

/* Cuts white space off the end and skips that at the beginning. */
static char *trim(char *text)
{
	static const char white[] = " \t\r\n";
	size_t length = strcspn(text, "\r\n");

	while (length > 0 && strchr(white, text[length - 1]))
		length--;
	text[length] = '\0';
	return text + strspn(text, white);
}

static int read_line(FILE *in, char **line, struct error *err)
{
	char text[LOCATION_MAXIMUM];
	int result = 0;

	if (!fgets(text, sizeof(text), in))
		result = error_set(err, ERR_IO, "no location could be read");
	else if (strlen(text) == sizeof(text) - 1)
		result = error_set(err, ERR_INVALID, "location: too long");
	if (!result) {
		*line = strdup(trim(text));
		if (!*line)
			result = error_set(err, ERR_MEMORY, "out of memory");
	}
	explicit_bzero(text, sizeof(text));
	return result;
}

static int read_from(const char *path, char **line, struct error *err)
{
	FILE *file = fopen(path, "re");
	int result;

	if (!file)
		return error_set(err, ERR_IO, "%.400s cannot be read", path);
	/* No copy of it in a buffer that nobody wipes. */
	(void)setvbuf(file, NULL, _IONBF, 0);
	result = read_line(file, line, err);
	(void)fclose(file);
	return result;
}

/* The list of processes shows the arguments as they stand in memory. */
static int take_argument(char *argument, char **location, struct error *err)
{
	*location = strdup(argument);
	if (!*location)
		return error_set(err, ERR_MEMORY, "out of memory");
	if (strstr(argument, "://"))
		memset(argument, 'x', strlen(argument));
	return 0;
}

int copy_location_read(char *argument, FILE *in, char **location,
                       struct error *err)
{
	char *read = NULL;
	int result;

	if (strcmp(argument, "-") == 0)
		result = read_line(in, &read, err);
	else if (*argument == '@')
		result = read_from(argument + 1, &read, err);
	else
		result = take_argument(argument, &read, err);
	if (!result && !*read) {
		free(read);
		return error_set(err, ERR_INVALID, "location: empty");
	}
	if (!result)
		*location = read;
	return result;
}

void copy_location_release(char *location)
{
	if (location)
		explicit_bzero(location, strlen(location));
	free(location);
}

bool copy_location_same(const char *backend, const char *location,
                        const char *other_backend, const char *other_location)
{
	char ours[PATH_MAX], theirs[PATH_MAX];

	if (strcmp(backend, other_backend) != 0)
		return false;
	if (strcmp(location, other_location) == 0)
		return true;
	return realpath(location, ours) && realpath(other_location, theirs) &&
	       strcmp(ours, theirs) == 0;
}

/* --- progress ----------------------------------------------------------- */

static void print_state(const struct copy_display *display, int64_t done,
                        int64_t total)
{
	int64_t took_ms = clock_monotonic_ms() - display->begun_ms;

	(void)fprintf(display->out, "%s: %lld", display->what, (long long)done);
	if (total > done)
		(void)fprintf(display->out, " of %lld (%d%%)", (long long)total,
		              (int)((double)done * 100 / (double)total));
	if (took_ms >= TELL_EVERY_MS)
		(void)fprintf(display->out, ", %.0f/s",
		              (double)done * 1000 / (double)took_ms);
}

static void tell_terminal(struct copy_display *display, int64_t done,
                          int64_t total)
{
	int64_t now_ms = clock_monotonic_ms();

	if (done != total && now_ms - display->told_ms < TELL_EVERY_MS)
		return;
	display->told_ms = now_ms;
	(void)fputs("\r", display->out);
	print_state(display, done, total);
	(void)fputs("\x1b[K", display->out);
	display->open = true;
	(void)fflush(display->out);
}

static void tell(void *context, const char *what, int64_t done, int64_t total)
{
	struct copy_display *display = context;

	if (!display->what || strcmp(display->what, what) != 0) {
		copy_display_end(display);
		display->what = what;
		display->begun_ms = display->told_ms = clock_monotonic_ms();
		display->told_done = 0;
	}
	if (display->terminal) {
		tell_terminal(display, done, total);
	} else if (done == total && done != display->told_done) {
		display->told_done = done;
		print_state(display, done, total);
		(void)fputs("\n", display->out);
	}
}

struct store_progress copy_display_progress(struct copy_display *display,
                                            FILE *out)
{
	int fd = fileno(out);

	*display = (struct copy_display){
	    .out = out, .terminal = fd >= 0 && isatty(fd) == 1};
	return (struct store_progress){.tell = tell, .context = display};
}

void copy_display_end(struct copy_display *display)
{
	if (display->open)
		(void)fputs("\n", display->out);
	display->open = false;
	display->what = NULL;
}

/* --- signals ------------------------------------------------------------ */

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

const volatile sig_atomic_t *copy_stop_on_signals(void)
{
	struct sigaction action = {.sa_handler = stop,
	                           .sa_flags = (int)SA_RESETHAND};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	return &stopped;
}

void copy_run_begin(struct copy_run *run, FILE *out)
{
	run->progress = copy_display_progress(&run->display, out);
	run->control = (struct copy_control){.progress = &run->progress,
	                                     .stop = copy_stop_on_signals()};
}

/* --- findings ----------------------------------------------------------- */

static void print_part(const struct copy_part *part, bool both, FILE *out)
{
	char ours[COPY_DIGEST_TEXT_SIZE], theirs[COPY_DIGEST_TEXT_SIZE];

	if (!both) {
		(void)fprintf(out, "%-13s %10lld  %s\n", part->name,
		              (long long)part->source.count,
		              copy_digest_format(&part->source, ours));
		return;
	}
	(void)fprintf(out, "%-13s %10lld  %s  %10lld  %s  %s\n", part->name,
	              (long long)part->source.count,
	              copy_digest_format(&part->source, ours),
	              (long long)part->destination.count,
	              copy_digest_format(&part->destination, theirs),
	              copy_digest_equal(&part->source, &part->destination)
	                  ? "same"
	              : copy_part_equal(part) ? "same or higher"
	                                      : "DIFFERENT");
}

void copy_report_print(const struct copy_report *report, bool both, FILE *out)
{
	if (both)
		(void)fprintf(out, "%-13s %10s  %-32s  %10s  %-32s\n", "",
		              "source", "digest", "copy", "digest");
	else
		(void)fprintf(out, "%-13s %10s  %s\n", "", "records", "digest");
	for (size_t i = 0; i < report->count; i++)
		print_part(&report->parts[i], both, out);
}

void copy_report_print_restore(const struct copy_report *report, FILE *out)
{
	(void)fprintf(out, "%-13s %10s  %10s\n", "", "put back", "were there");
	for (size_t i = 0; i < report->count; i++)
		(void)fprintf(out, "%-13s %10lld  %10lld\n",
		              report->parts[i].name,
		              (long long)report->parts[i].written,
		              (long long)report->parts[i].there);
}

static void say(FILE *out, int64_t count, const char *text, bool *said)
{
	if (count <= 0)
		return;
	(void)fprintf(out, "%s%lld %s %s", *said ? ", " : " ", (long long)count,
	              count == 1 ? "record is" : "records are", text);
	*said = true;
}

static void explain_part(const struct copy_part *part, FILE *out)
{
	bool said = false;

	(void)fprintf(out, "%s differ:", part->name);
	say(out, part->only_source, "only in the source", &said);
	say(out, part->only_destination, "only in the destination", &said);
	say(out, part->different, "not the same", &said);
	(void)fputs("\n", out);
}

void copy_report_explain(const struct copy_report *copy,
                         const struct copy_report *comparison, FILE *out)
{
	bool missing = false, extra = false;
	int64_t refused = 0;

	for (size_t i = 0; i < copy->count; i++)
		refused += copy->parts[i].refused;
	for (size_t i = 0; i < comparison->count; i++) {
		const struct copy_part *part = &comparison->parts[i];

		if (copy_part_equal(part))
			continue;
		explain_part(part, out);
		missing |= part->only_source > 0 || part->different > 0;
		extra |= part->only_destination > 0;
	}
	if (missing && refused > 0)
		(void)fprintf(out,
		              "%lld %s refused: the destination has other "
		              "records with their names or places; copy to "
		              "an empty one\n",
		              (long long)refused,
		              refused == 1 ? "record was" : "records were");
	else if (missing)
		(void)fputs("the source changed while it was copied: run it "
		            "again\n",
		            out);
	if (extra)
		(void)fputs("what is only in the destination was deleted at "
		            "the source after an earlier run, or was never "
		            "there; it was left as it is\n",
		            out);
}
