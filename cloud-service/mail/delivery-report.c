/* What a report of delivery says of one recipient (RFC 3464). */
#include "cloud-service/mail/delivery-report.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mail/address.h"
#include "common/mail/header.h"
#include "common/mail/lexical.h"
#include "common/smtp/reply.h"

#define BOUNDARY_SIZE 72 /* RFC 2046 section 5.1.1: 70 at most */
#define WORD_SIZE     64

/* Bytes from at to end. */
struct span {
	const char *at, *end;
};

/* Takes the next line off span, without its CR LF; false at the end. */
static bool next_line(struct span *span, struct span *line)
{
	const char *end;

	if (span->at == span->end)
		return false;
	line->at = span->at;
	end = memchr(span->at, '\n', (size_t)(span->end - span->at));
	span->at = end ? end + 1 : span->end;
	line->end = end ? end : span->end;
	if (line->end > line->at && line->end[-1] == '\r')
		line->end--;
	return true;
}

/* An empty line at once: there is none, and what follows is text. */
static bool has_header(struct span span)
{
	struct span line;

	return next_line(&span, &line) && line.at < line.end;
}

/* Takes the next fields up to an empty line, or the end, off span, to be
 * released by the caller; false, and nothing to release, when none come. */
static bool next_fields(struct span *span, struct mail_header *header)
{
	const char *start;
	struct span line;

	do {
		start = span->at;
		if (!next_line(span, &line))
			return false;
	} while (line.at == line.end);
	while (next_line(span, &line) && line.at < line.end)
		;
	mail_header_init(header);
	mail_header_feed(header, start, (size_t)(span->at - start));
	mail_header_feed(header, "\r\n\r\n", 4);
	mail_header_parse(header);
	return true;
}

/* The value of the field when there is exactly one. */
static const char *single(const struct mail_header *header, const char *name)
{
	long first = mail_header_find(header, name, 0);

	if (first < 0 || mail_header_find(header, name, (size_t)first + 1) >= 0)
		return NULL;
	return header->fields[first].value;
}

/* Reads type and one parameter of a Content-Type; both "" when it is none. */
static void read_type(const char *value, const char *name, char type[WORD_SIZE],
                      char parameter[BOUNDARY_SIZE])
{
	char other[BOUNDARY_SIZE], key[WORD_SIZE];

	*type = *parameter = '\0';
	if (!value)
		return;
	value = mail_read_word(mail_skip_cfws(value), "", type, WORD_SIZE);
	while (*(value = mail_skip_cfws(value)) == ';') {
		value = mail_read_word(mail_skip_cfws(value + 1), "=", key,
		                       sizeof(key));
		value = mail_skip_cfws(value);
		if (*value != '=')
			continue;
		value = mail_read_word(mail_skip_cfws(value + 1), "", other,
		                       sizeof(other));
		if (!strcasecmp(key, name) && !*parameter)
			memcpy(parameter, other, sizeof(other));
	}
}

static bool is_plain(const struct mail_header *header)
{
	const char *value =
	    mail_header_get(header, "Content-Transfer-Encoding");
	char encoding[WORD_SIZE];

	if (!value)
		return true;
	(void)mail_read_word(mail_skip_cfws(value), "", encoding,
	                     sizeof(encoding));
	return !strcasecmp(encoding, "7bit") || !strcasecmp(encoding, "8bit") ||
	       !strcasecmp(encoding, "binary");
}

/* 1: the line begins a part, 2: it ends the last one, 0: neither. */
static int delimits(const struct span *line, const char *boundary)
{
	size_t length = strlen(boundary);
	size_t size = (size_t)(line->end - line->at);

	if (size < length + 2 || memcmp(line->at, "--", 2) ||
	    memcmp(line->at + 2, boundary, length))
		return 0;
	line = &(struct span){line->at + length + 2, line->end};
	if (line->end - line->at >= 2 && !memcmp(line->at, "--", 2))
		return 2;
	for (const char *at = line->at; at < line->end; at++)
		if (*at != ' ' && *at != '\t')
			return 0;
	return 1;
}

/* Takes the next part off the body. */
static bool next_part(struct span *body, const char *boundary, bool *within,
                      struct span *part)
{
	struct span line;
	int kind;

	while (!*within) {
		if (!next_line(body, &line))
			return false;
		*within = delimits(&line, boundary) == 1;
	}
	part->at = part->end = body->at;
	while (next_line(body, &line)) {
		kind = delimits(&line, boundary);
		if (kind == 2)
			body->at = body->end;
		if (kind)
			return true;
		part->end = body->at;
	}
	*within = false;
	return true;
}

/* Finds the part with the fields in a multipart/report. */
static bool find_status(struct span mail, struct span *status)
{
	char type[WORD_SIZE], kind[BOUNDARY_SIZE], boundary[BOUNDARY_SIZE];
	struct mail_header header;
	bool found = false, within = false;
	struct span part;
	const char *value;

	if (!has_header(mail) || !next_fields(&mail, &header))
		return false;
	value = single(&header, "Content-Type");
	read_type(value, "report-type", type, kind);
	read_type(value, "boundary", type, boundary);
	mail_header_release(&header);
	if (strcasecmp(type, "multipart/report") ||
	    strcasecmp(kind, "delivery-status") || !*boundary)
		return false;
	while (!found && next_part(&mail, boundary, &within, &part)) {
		if (has_header(part) && next_fields(&part, &header)) {
			read_type(single(&header, "Content-Type"), "", type,
			          kind);
			found = (!strcasecmp(type, "message/delivery-status") ||
			         !strcasecmp(type, "message/global-delivery-"
			                           "status")) &&
			        is_plain(&header);
			mail_header_release(&header);
		}
	}
	*status = part;
	return found;
}

/* Whether "rfc822; ADDRESS" names the recipient, given folded. */
static bool names(const char *value, const char *folded)
{
	char address[MAIL_ADDRESS_SIZE], given[MAIL_ADDRESS_SIZE];
	size_t length;

	if (!value || !(value = strchr(value, ';')))
		return false;
	value = mail_skip_cfws(value + 1);
	value += *value == '<';
	length = strcspn(value, "<>() \t");
	if (length >= sizeof(given))
		return false;
	memcpy(given, value, length);
	given[length] = '\0';
	return !mail_address_fold(given, address) && !strcmp(address, folded);
}

/* RFC 3463 section 2: class "." subject "." detail. */
static bool read_status(const char *value, char status[12])
{
	char word[WORD_SIZE];
	size_t length;

	if (!value)
		return false;
	(void)mail_read_word(mail_skip_cfws(value), "", word, sizeof(word));
	length = smtp_enhanced_length(word);
	if (length == 0 || word[length])
		return false;
	memcpy(status, word, length + 1);
	return true;
}

/* Reads one group of the recipient's; true when it says that the mail arrived.
 */
static bool read_group(const struct mail_header *group,
                       struct delivery_report *report)
{
	const char *value = single(group, "Action");
	const char *detail = mail_header_get(group, "Diagnostic-Code");
	char action[WORD_SIZE], status[12];

	if (!value || !read_status(single(group, "Status"), status))
		return false;
	(void)mail_read_word(mail_skip_cfws(value), "", action, sizeof(action));
	if (!strcasecmp(action, "delivered") ||
	    !strcasecmp(action, "relayed") || !strcasecmp(action, "expanded"))
		return true;
	if (strcasecmp(action, "failed") || *status != '5' || report->failed)
		return false;
	report->failed = true;
	report->nobody_there = !strcmp(status, "5.1.1") ||
	                       !strcmp(status, "5.1.2") ||
	                       !strcmp(status, "5.1.10");
	memcpy(report->status, status, sizeof(status));
	if (detail)
		snprintf(report->detail, sizeof(report->detail), "%s", detail);
	return false;
}

void delivery_report_read(const char *mail, size_t size, const char *recipient,
                          struct delivery_report *report)
{
	char folded[MAIL_ADDRESS_SIZE];
	struct mail_header group;
	struct span status;
	bool arrived = false;

	memset(report, 0, sizeof(*report));
	if (mail_address_fold(recipient, folded) ||
	    !find_status((struct span){mail, mail + size}, &status))
		return;
	while (!arrived && next_fields(&status, &group)) {
		if (names(single(&group, "Final-Recipient"), folded) ||
		    names(single(&group, "Original-Recipient"), folded))
			arrived = read_group(&group, report);
		mail_header_release(&group);
	}
	if (arrived)
		memset(report, 0, sizeof(*report));
}
