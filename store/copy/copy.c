/* The report of a copy, and how one is watched and stopped. */
#include "store/copy/copy.h"

#include <string.h>

struct copy_part *copy_report_part(struct copy_report *report, const char *name)
{
	for (size_t i = 0; i < report->count; i++)
		if (strcmp(report->parts[i].name, name) == 0)
			return &report->parts[i];
	if (report->count < COPY_PARTS_MAXIMUM)
		report->count++;
	report->parts[report->count - 1].name = name;
	return &report->parts[report->count - 1];
}

bool copy_part_equal(const struct copy_part *part)
{
	/* The digests decide: the order of a walk only finds the culprits. */
	return copy_digest_equal(&part->source, &part->destination) ||
	       (part->only_source == 0 && part->only_destination == 0 &&
	        part->different == 0);
}

bool copy_report_equal(const struct copy_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (!copy_part_equal(&report->parts[i]))
			return false;
	return true;
}

void copy_tell(const struct copy_control *control, const char *what,
               int64_t done, int64_t total)
{
	if (control)
		store_progress_tell(control->progress, what, done, total);
}

int copy_go_on(const struct copy_control *control, struct error *err)
{
	if (!control || !control->stop || !*control->stop)
		return 0;
	return error_set(err, ERR_UNAVAILABLE,
	                 "stopped: run it again, what is done is kept");
}
