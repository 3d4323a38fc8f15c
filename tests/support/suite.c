/* The common main of the test programs. */
#include "tests/support/suite.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/condition.h"

int suite_main(Suite *first, ...)
{
	SRunner *runner = srunner_create(first);
	va_list more;
	Suite *suite;
	int failed;

	condition_follow_clock();
	va_start(more, first);
	while ((suite = va_arg(more, Suite *)))
		srunner_add_suite(runner, suite);
	va_end(more);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
