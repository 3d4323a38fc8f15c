/* The person behind a mail, as far as a pass vouches for one. */
#ifndef MAIL_IDENTITY_H
#define MAIL_IDENTITY_H

/* What vouches for an address, the weakest first. */
enum mail_pass {
	MAIL_PASS_NONE,
	MAIL_PASS_SPF,
	MAIL_PASS_DKIM,
	MAIL_PASS_DMARC
};

/* "none", "pass" (of any kind), "dkim", "dmarc"; never NULL. */
const char *mail_pass_name(enum mail_pass pass);

/* The inverse: -1 for an unknown word. */
int mail_pass_parse(const char *name);

#endif
