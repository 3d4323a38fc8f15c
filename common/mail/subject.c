/* The fixed phrases of mail programs, in the languages that they speak. */
#include "common/mail/subject.h"

#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/header.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/*
 * A phrase, in lower case of ASCII; letters beyond it are compared as they
 * stand, so both cases are listed where they begin a phrase.
 */
struct phrase {
	const char *text;
	enum subject_shape shape;
};

/* These have to begin the subject: within one, people quote them. */
static const struct phrase beginnings[] = {
    {"undelivered mail returned to sender", SUBJECT_BOUNCE},
    {"undeliverable:", SUBJECT_BOUNCE},
    {"undeliverable mail", SUBJECT_BOUNCE},
    {"mail delivery failed", SUBJECT_BOUNCE},
    {"mail delivery failure", SUBJECT_BOUNCE},
    {"mail system error - returned mail", SUBJECT_BOUNCE},
    {"delivery failure", SUBJECT_BOUNCE},
    {"delivery status notification", SUBJECT_BOUNCE},
    {"delivery notification:", SUBJECT_BOUNCE},
    {"failure notice", SUBJECT_BOUNCE},
    {"returned mail:", SUBJECT_BOUNCE},
    {"non remis", SUBJECT_BOUNCE},
    {"unzustellbar:", SUBJECT_BOUNCE},
    {"out of office", SUBJECT_AUTO_REPLY},
    {"out-of-office", SUBJECT_AUTO_REPLY},
    {"automatic reply", SUBJECT_AUTO_REPLY},
    {"automated reply", SUBJECT_AUTO_REPLY},
    {"auto reply:", SUBJECT_AUTO_REPLY},
    {"auto-reply:", SUBJECT_AUTO_REPLY},
    {"autoreply:", SUBJECT_AUTO_REPLY},
    {"auto response:", SUBJECT_AUTO_REPLY},
    {"auto:", SUBJECT_AUTO_REPLY},
    {"r\xc3\xa9ponse automatique", SUBJECT_AUTO_REPLY},
    {"absence du bureau", SUBJECT_AUTO_REPLY},
    {"message d'absence", SUBJECT_AUTO_REPLY},
    {"automatische antwort", SUBJECT_AUTO_REPLY},
    {"abwesenheitsnotiz", SUBJECT_AUTO_REPLY},
    {"respuesta autom\xc3\xa1tica", SUBJECT_AUTO_REPLY},
    {"risposta automatica", SUBJECT_AUTO_REPLY},
    {"accepted:", SUBJECT_CALENDAR},
    {"declined:", SUBJECT_CALENDAR},
    {"tentative:", SUBJECT_CALENDAR},
    {"tentatively accepted:", SUBJECT_CALENDAR},
    {"new time proposed:", SUBJECT_CALENDAR},
    {"invitation:", SUBJECT_CALENDAR},
    {"updated invitation:", SUBJECT_CALENDAR},
    {"canceled event", SUBJECT_CALENDAR},
    {"canceled:", SUBJECT_CALENDAR},
    {"accept\xc3\xa9:", SUBJECT_CALENDAR},
    {"accept\xc3\xa9 :", SUBJECT_CALENDAR},
    {"annul\xc3\xa9 :", SUBJECT_CALENDAR},
    {"complaint about message from", SUBJECT_REPORT},
    {"email feedback report for ip", SUBJECT_REPORT},
    {"your order", SUBJECT_TRANSACTIONAL},
    {"your receipt", SUBJECT_TRANSACTIONAL},
    {"votre commande", SUBJECT_TRANSACTIONAL},
    {"ihre bestellung", SUBJECT_TRANSACTIONAL},
    {"il tuo ordine", SUBJECT_TRANSACTIONAL},
    {"tu pedido", SUBJECT_TRANSACTIONAL}};

/* These tell the shape wherever they stand. */
static const struct phrase parts[] = {
    {"daily digest", SUBJECT_LIST},
    {"weekly digest", SUBJECT_LIST},
    {"order confirmation", SUBJECT_TRANSACTIONAL},
    {"confirmation de commande", SUBJECT_TRANSACTIONAL},
    {"bestellbest\xc3\xa4tigung", SUBJECT_TRANSACTIONAL},
    {"receipt for your", SUBJECT_TRANSACTIONAL},
    {"your receipt from", SUBJECT_TRANSACTIONAL},
    {"out for delivery", SUBJECT_TRANSACTIONAL},
    {"expected delivery", SUBJECT_TRANSACTIONAL},
    {"delivery notification", SUBJECT_TRANSACTIONAL},
    {"order has shipped", SUBJECT_TRANSACTIONAL},
    {"votre colis", SUBJECT_TRANSACTIONAL},
    {"verification code", SUBJECT_TRANSACTIONAL},
    {"security code", SUBJECT_TRANSACTIONAL},
    {"one-time code", SUBJECT_TRANSACTIONAL},
    {"one-time password", SUBJECT_TRANSACTIONAL},
    {"one-time passcode", SUBJECT_TRANSACTIONAL},
    {"sign-in code", SUBJECT_TRANSACTIONAL},
    {"login code", SUBJECT_TRANSACTIONAL},
    {"code de v\xc3\xa9rification", SUBJECT_TRANSACTIONAL},
    {"code de s\xc3\xa9"
     "curit\xc3\xa9",
     SUBJECT_TRANSACTIONAL},
    {"code \xc3\xa0 usage unique", SUBJECT_TRANSACTIONAL},
    {"password reset", SUBJECT_TRANSACTIONAL},
    {"reset your password", SUBJECT_TRANSACTIONAL},
    {"r\xc3\xa9initialisation de votre mot de passe", SUBJECT_TRANSACTIONAL},
    {"verify your email", SUBJECT_TRANSACTIONAL},
    {"confirm your email", SUBJECT_TRANSACTIONAL}};

/* "[queue #4711] " in front is a ticket system's or a list's. */
static const char *skip_tags(const char *text)
{
	for (;;) {
		const char *end;

		text += strspn(text, " \t");
		end = *text == '[' ? strchr(text, ']') : NULL;
		if (!end)
			return text;
		text = end + 1;
	}
}

static int is_answer(const char *text)
{
	static const char *const marks[] = {
	    "re:", "re ", "fwd:", "fw:", "aw:",  "wg:",
	    "tr:", "rv:", "rif:", "sv:", "antw:"};
	size_t i;

	for (i = 0; i < COUNT(marks); i++)
		if (strncasecmp(text, marks[i], strlen(marks[i])) == 0)
			return 1;
	return 0;
}

enum subject_shape mail_subject_shape(const char *value)
{
	char decoded[512];
	const char *text;
	size_t i;

	if (!value)
		return SUBJECT_PLAIN;
	text = skip_tags(mail_header_decode(value, decoded, sizeof(decoded)));
	if (is_answer(text))
		return SUBJECT_PLAIN;
	for (i = 0; i < COUNT(beginnings); i++)
		if (strncasecmp(text, beginnings[i].text,
		                strlen(beginnings[i].text)) == 0)
			return beginnings[i].shape;
	for (i = 0; i < COUNT(parts); i++)
		if (strcasestr(text, parts[i].text))
			return parts[i].shape;
	return SUBJECT_PLAIN;
}
