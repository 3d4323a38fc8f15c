/* What a report of delivery says of one recipient (RFC 3464). */
#ifndef CLOUD_DELIVERY_REPORT_H
#define CLOUD_DELIVERY_REPORT_H

#include <stdbool.h>
#include <stddef.h>

/* What became of the mail for the recipient asked for. */
struct delivery_report {
	bool failed;       /* for good: Action failed, Status 5.x.x */
	bool nobody_there; /* failed with 5.1.1, 5.1.2 or 5.1.10 */
	char status[12];   /* "5.1.1" when it failed, else "" */
	char detail[200];  /* its Diagnostic-Code, "" where there is none */
};

/*
 * Reads a whole mail. It says something only when it is a multipart/report of
 * the type delivery-status (RFC 6522), in its part message/delivery-status or
 * message/global-delivery-status (RFC 6533), in plain lines, in a group of
 * fields whose Final-Recipient or Original-Recipient is the recipient; all
 * other text, attached mails too, says nothing. Where another group tells that
 * he got the mail, it did not fail.
 */
void delivery_report_read(const char *mail, size_t size, const char *recipient,
                          struct delivery_report *report);

#endif
