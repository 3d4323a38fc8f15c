/* The runs over two spools: copy, comparison, restore. */
#include "store/copy/spool-private.h"

/* The replica comes before the values: one of them is its revision. */
static int run_all(const struct copy_spool_run *run, struct error *err)
{
	int result = copy_spool_messages(run, err);

	if (!result)
		result = copy_spool_entries(run, err);
	if (!result)
		result = copy_spool_values(run, err);
	return result;
}

int spool_copy(struct spool *source, struct spool *destination,
               const struct copy_control *control, struct copy_report *report,
               struct error *err)
{
	const struct copy_spool_run run = {COPY_ALL, source, destination,
	                                   control, report};

	return run_all(&run, err);
}

int spool_compare(struct spool *source, struct spool *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err)
{
	const struct copy_spool_run run = {COPY_COMPARE, source, destination,
	                                   control, report};

	return run_all(&run, err);
}

int spool_restore(struct spool *backup, struct spool *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err)
{
	const struct copy_spool_run run = {COPY_RESTORE, backup, destination,
	                                   control, report};

	return run_all(&run, err);
}
