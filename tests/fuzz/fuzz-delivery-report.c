/*
 * Fuzzes reports of delivery: nothing is read beyond the mail, and what is said
 * to have failed has a status of class 5.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/delivery-report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct delivery_report report;
	char *copy = malloc(size + 1); /* no NUL behind it */

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	delivery_report_read(copy, size, "his@a.example", &report);
	if (report.failed != (report.status[0] == '5') ||
	    (report.nobody_there && !report.failed) ||
	    (report.nobody_there && strncmp(report.status, "5.1.", 4) != 0))
		abort();
	free(copy);
	return 0;
}
