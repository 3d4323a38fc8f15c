/* What machines write into a Subject, where the header says nothing else. */
#ifndef MAIL_SUBJECT_H
#define MAIL_SUBJECT_H

/* Which program wrote a subject of this shape. */
enum subject_shape {
	SUBJECT_PLAIN,
	SUBJECT_BOUNCE,        /* "Undelivered Mail Returned to Sender" */
	SUBJECT_AUTO_REPLY,    /* "Out of Office: ..." */
	SUBJECT_LIST,          /* "... daily digest" */
	SUBJECT_TRANSACTIONAL, /* receipts, codes, deliveries */
	SUBJECT_CALENDAR,      /* "Accepted: ..." */
	SUBJECT_REPORT         /* a provider's complaint report */
};

/*
 * The shape of a Subject's value, encoded words and all; NULL is plain. What
 * begins with "Re:" or "Fwd:", in the languages of the usual programs, was
 * written by a person and is plain.
 */
enum subject_shape mail_subject_shape(const char *value);

#endif
