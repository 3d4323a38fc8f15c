/* Addresses, subjects and fields of programs, and those of people. */
#include <string.h>

#include "common/mail/automatic-table.h"
#include "common/mail/automatic.h"
#include "common/mail/fold.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *text, *folded;
} fold_rows[] = {
    {"", ""},
    {"  R\u00c9ponse\t Automatique\u00a0:  devis ",
     "reponse automatique: devis"},
    {"Re\u0301ponse", "reponse"},
    {"Odpowied\u017a, \u0141\u00f3d\u017a", "odpowiedz, lodz"},
    {"Stra\u00dfe \u00c6r\u00f8 \u0152uvre", "strasse aero oeuvre"},
    {"\u0130STANBUL, \u0131l\u0131k", "istanbul, ilik"},
    {"\u0391\u03c5\u03c4\u03cc\u03bc\u03b1\u03c4\u03b7 \u0391\u03a0\u038c",
     "\u03b1\u03c5\u03c4\u03bf\u03bc\u03b1\u03c4\u03b7 "
     "\u03b1\u03c0\u03bf"},
    {"\u0410\u0432\u0442\u043e\u041e\u0422\u0412\u0415\u0422\u0401\u0419",
     "\u0430\u0432\u0442\u043e\u043e\u0442\u0432\u0435\u0442\u0435\u0438"},
    {"\uff21\uff55\uff54\uff4f\uff1a\u3000\u81ea\u52d5", "auto: \u81ea\u52d5"},
    {"l\u2019absence \u2013 a\u200bb", "l'absence - ab"},
    {"a\xff\xc3z", "az"},
};

START_TEST(folding)
{
	char folded[200], cut[8];

	ck_assert_uint_eq(
	    mail_fold_text(fold_rows[_i].text, folded, sizeof(folded)),
	    strlen(fold_rows[_i].folded));
	ck_assert_str_eq(folded, fold_rows[_i].folded);
	ck_assert_uint_lt(mail_fold_text(fold_rows[_i].text, cut, sizeof(cut)),
	                  8);
}
END_TEST

static const struct {
	const char *address;
	bool automatic;
} address_rows[] = {
    {"alice@example.org", false},
    {"norman.mailer@example.org", false},
    {"alertjones@example.org", false},
    {"rootbeer@example.org", false},
    {"bob.root@example.org", false},
    {"requests@example.org", false},
    {"info@example.org", false},
    {"alice@bouncecastle.example", false},
    {"robert.robot@example.org", false},
    {"paul.botte@example.org", false},
    {"alerte.sophie@example.org", false},
    {"system.admin.lee@example.org", false},
    {"jean.noreply-fan@example.org", false},
    {"vacation.rentals@example.org", false},
    {"c.ron@example.org", false},
    {"serena.server@example.org", false},
    {"gitte@example.org", false},
    {"monika@example.org", false},
    {"botond@example.org", false},
    /* a car dealer, and Mr Wu */
    {"auto@garage.example", false},
    {"wuhuifu@example.org", false},
    {"noreply@example.org", true},
    {"NoReply@example.org", true},
    {"no-reply@example.org", true},
    {"no_reply@example.org", true},
    {"no.reply@example.org", true},
    {"\"no reply\"@example.org", true},
    {"shop-noreply-fr@example.org", true},
    {"acme.noreply@example.org", true},
    {"acmenoreply2@example.org", true},
    {"noreply-orders-2026@example.org", true},
    {"a.noreply.b+jean=acme.example@example.org", true},
    {"donotreply@example.org", true},
    {"do-not-reply@example.org", true},
    {"nepasrepondre@example.org", true},
    {"ne_pas_repondre@example.org", true},
    {"NePasR\u00e9pondre@example.org", true},
    {"ne-pas-re\u0301pondre@example.org", true},
    {"keine.antwort@example.org", true},
    {"bitte-nicht-antworten@example.org", true},
    {"nao-responda@example.org", true},
    {"niet-beantwoorden@example.org", true},
    {"ikkesvar@example.org", true},
    {"ala-vastaa@example.org", true},
    {"nie_odpowiadac@example.org", true},
    {"neotvechat@example.org", true},
    {"yanitlamayin@example.org", true},
    {"bounce@example.org", true},
    {"bounces+123@example.org", true},
    {"bounce-12_HTML@example.org", true},
    {"list-bounces@example.org", true},
    {"owner-list@example.org", true},
    {"list-owner@example.org", true},
    {"list-request@example.org", true},
    {"list-return-5-jean=acme.example@example.org", true},
    {"listserv@example.org", true},
    {"Majordomo@example.org", true},
    {"www-data@example.org", true},
    {"root@example.org", true},
    {"robot@example.org", true},
    {"robot-2@example.org", true},
    {"robot.fr@example.org", true},
    {"mail.bot@example.org", true},
    {"nagios3@example.org", true},
    {"fail2ban@example.org", true},
    {"msprvs1=17=x@example.org", true},
    {"alice@bounces.example.org", true},
    {"alice@bounces2.example.org", true},
    {"alice@no-reply.example.org", true},
    {"noreply", true},
    /* initials behind a name, and first names that are programs' too */
    {"travis.b@example.org", false},
    {"grafana.k@example.org", false},
    {"hudson.k@example.org", false},
    {"amanda@example.org", false},
    {"gerrit@example.org", false},
    {"no-email@example.org", true},
    {"outbound-only@example.org", true},
    {"bitte-keine-rueckantwort@example.org", true},
    {"nobody@example.org", true},
    {"antworten-nicht@example.org", true},
    {"besvares-ikke@example.org", true},
    {"valasz-nelkul@example.org", true},
    {"otvet-ne-nuzhen@example.org", true},
    {"niet-reply@example.org", true},
    {"MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.org", true},
};

START_TEST(addresses)
{
	ck_assert_msg(automatic_address(address_rows[_i].address) ==
	                  address_rows[_i].automatic,
	              "%s", address_rows[_i].address);
}
END_TEST

static const struct {
	const char *subject;
	enum automatic_class class;
	bool answers;
} subject_rows[] = {
    {NULL, AUTOMATIC_NONE, false},
    {"", AUTOMATIC_NONE, false},
    {"[[", AUTOMATIC_NONE, false},
    {"[a]", AUTOMATIC_NONE, false},
    {"[a] [b] failure notice", AUTOMATIC_BOUNCE, false},
    {"R\u00e9ponse automatique : devis", AUTOMATIC_ANSWER, false},
    {"=?utf-8?q?R=C3=A9ponse_automatique=C2=A0:_devis?=", AUTOMATIC_ANSWER,
     false},
    {"REPONSE AUTOMATIQUE", AUTOMATIC_ANSWER, false},
    {"R\u00e9ponse automatique ou manuelle ?", AUTOMATIC_NONE, false},
    {"Automatic reply: are you there?", AUTOMATIC_ANSWER, false},
    {"Automatic reply feature of your program", AUTOMATIC_NONE, false},
    {"\u81ea\u52d5\u5fdc\u7b54\uff1a\u304a\u898b\u7a4d\u308a", AUTOMATIC_ANSWER,
     false},
    {"\u3010\u81ea\u52d5\u8fd4\u4fe1\u3011\u304a\u554f\u3044", AUTOMATIC_ANSWER,
     false},
    {"\u0410\u0412\u0422\u041e\u041e\u0422\u0412\u0415\u0422: x",
     AUTOMATIC_ANSWER, false},
    {"[Request received] Printer", AUTOMATIC_ANSWER, false},
    {"Re: [Request received] Printer", AUTOMATIC_HUMAN, false},
    {"Re: Out of office", AUTOMATIC_HUMAN, true},
    {"RE[2]: Out of office", AUTOMATIC_HUMAN, true},
    {"[EXTERNAL] AW: Automatische Antwort: x", AUTOMATIC_HUMAN, true},
    {"\u56de\u590d\uff1a\u81ea\u52a8\u56de\u590d", AUTOMATIC_HUMAN, true},
    {"Alex Doe is out of the office (returning 5 Jan)", AUTOMATIC_ANSWER,
     false},
    {"Alex Doe is out of the office.", AUTOMATIC_ANSWER, false},
    {"Who is out of the office until May?", AUTOMATIC_NONE, false},
    {"Mon absence du bureau lundi prochain", AUTOMATIC_NONE, false},
    {"Auto: your mail", AUTOMATIC_ANSWER, true},
    {"Auto: question about your car", AUTOMATIC_NONE, false},
    {"[Auto] Peugeot \u00e0 vendre", AUTOMATIC_NONE, false},
    {"(Automatic reply) your offer", AUTOMATIC_ANSWER, false},
    {"Delivery failure of the washing machine", AUTOMATIC_NONE, false},
    {"Undeliverable promises in the contract", AUTOMATIC_NONE, false},
    {"Undeliverable: the contract", AUTOMATIC_BOUNCE, false},
    {"\u00c9chec de la remise : devis", AUTOMATIC_BOUNCE, false},
    {"Accepted! I take the job", AUTOMATIC_NONE, false},
    {"Accept\u00e9 : Point hebdo", AUTOMATIC_CALENDAR, false},
    {"Lu : Devis", AUTOMATIC_REPORT, false},
    {"Lu dans le journal : Devis", AUTOMATIC_NONE, false},
    {"Your order of Tuesday, a question", AUTOMATIC_NONE, false},
    {"Your order #4711", AUTOMATIC_ORDER, false},
    {"Votre code de connexion : 123456", AUTOMATIC_ORDER, false},
    {"123456 ist Ihr Code", AUTOMATIC_ORDER, false},
    {"Code de la porte : 4711", AUTOMATIC_NONE, false},
    {"Ihr Best\u00e4tigungscode", AUTOMATIC_ORDER, false},
    {"The daily digest", AUTOMATIC_LIST, false},
    {"***SPAM*** Automatic reply: offer", AUTOMATIC_ANSWER, false},
    {"{Spam?} Automatic reply: offer", AUTOMATIC_ANSWER, false},
    {"*** SPAM *** Re: Automatic reply: offer", AUTOMATIC_HUMAN, true},
    {"***", AUTOMATIC_NONE, false},
    {"Ihre Bestellung 4711", AUTOMATIC_ORDER, false},
    {"Ihre Bestellung vom Montag, eine Frage", AUTOMATIC_NONE, false},
    {"Tu pedido ha sido enviado", AUTOMATIC_ORDER, false},
    {"Su pedido de informaci\u00f3n", AUTOMATIC_NONE, false},
    {"Il tuo ordine \u00e8 stato spedito", AUTOMATIC_ORDER, false},
    {"Il tuo ordine di ieri", AUTOMATIC_NONE, false},
    {"Il tuo codice fiscale", AUTOMATIC_NONE, false},
    {"Uw bestelling van maandag", AUTOMATIC_NONE, false},
    {"Din best\u00e4llning ig\u00e5r", AUTOMATIC_NONE, false},
    {"Votre colis est chez la voisine", AUTOMATIC_NONE, false},
    {"Votre colis est en route", AUTOMATIC_ORDER, false},
    {"Dein Code ist 123456", AUTOMATIC_ORDER, false},
    {"Dein Code ist zu lang", AUTOMATIC_NONE, false},
    {"Je suis absente jusqu'au 3 janvier", AUTOMATIC_ANSWER, false},
    {"Ich bin nicht im B\u00fcro", AUTOMATIC_ANSWER, false},
    {"Sono in ferie fino al 20 agosto", AUTOMATIC_ANSWER, false},
    {"Olen lomalla", AUTOMATIC_ANSWER, false},
    {"\u9000\u4fe1\u901a\u77e5", AUTOMATIC_BOUNCE, false},
    {"We have received your message", AUTOMATIC_ANSWER, false},
    {"We have received your parcel by mistake", AUTOMATIC_NONE, false},
    {"Cron <root@web1> /usr/bin/backup", AUTOMATIC_ANSWER, false},
    {"Unter Vorbehalt: Jour fixe", AUTOMATIC_CALENDAR, false},
    {"Non distribuable : devis", AUTOMATIC_BOUNCE, false},
};

START_TEST(subjects)
{
	ck_assert_msg(automatic_subject(subject_rows[_i].subject,
	                                subject_rows[_i].answers) ==
	                  subject_rows[_i].class,
	              "%s", subject_rows[_i].subject);
}
END_TEST

static const struct {
	const char *lines;
	enum automatic_class class;
} field_rows[] = {
    {"X-Mailer: PHPMailer 6.9\r\n", AUTOMATIC_NONE},
    {"X-Mailer: Zendesk Mailer\r\n", AUTOMATIC_ANSWER},
    {"X-Mailer: MyZendesker\r\n", AUTOMATIC_NONE},
    {"x-jira-fingerprint: 0a\r\n", AUTOMATIC_ANSWER},
    {"X-JIRA: 0a\r\n", AUTOMATIC_NONE},
    {"Precedence: first-class\r\n", AUTOMATIC_NONE},
    {"Precedence: autoreply\r\n", AUTOMATIC_ANSWER},
    {"PRECEDENCE: (c) Bulk\r\n", AUTOMATIC_LIST},
    {"Delivered-To: Autoresponder\r\n", AUTOMATIC_ANSWER},
    {"Delivered-To: mailing list foo@x.example\r\n", AUTOMATIC_LIST},
    {"Delivered-To: jean@acme.example\r\n", AUTOMATIC_NONE},
    {"X-SG-EID: x\r\n", AUTOMATIC_LIST},
    {"X-Foo-Campaign-Id: x\r\n", AUTOMATIC_LIST},
    /* Mimecast, Proton and KMail: people's */
    {"X-MC-Unique: x\r\n", AUTOMATIC_NONE},
    {"X-Pm-Message-Id: x\r\n", AUTOMATIC_NONE},
    {"X-KMail-Identity: 1\r\n", AUTOMATIC_NONE},
    {"X-Delivery-Agent: TMDA/1.1.12\r\n", AUTOMATIC_AGENT},
    {"Content-Class: urn:content-classes:calendarmessage\r\n",
     AUTOMATIC_CALENDAR},
};

START_TEST(header_fields)
{
	const char *lines = field_rows[_i].lines;
	unsigned wanted = field_rows[_i].class ? 1U << field_rows[_i].class : 0;
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, lines, strlen(lines));
	mail_header_feed(&header, "\r\n", 2);
	mail_header_parse(&header);
	ck_assert_msg(automatic_fields(&header) == wanted, "%s", lines);
	mail_header_release(&header);
}
END_TEST

/* The table is read, and its fields are in order for the search. */
START_TEST(table)
{
	const struct automatic_rows *fields = automatic_rows(AUTOMATIC_FIELD);
	size_t i;

	for (i = 0; i < AUTOMATIC_PLACE_COUNT; i++)
		ck_assert_uint_gt(
		    automatic_rows((enum automatic_place)i)->count, 0);
	for (i = 1; i < fields->count; i++)
		ck_assert(fields->rows[i].mark ||
		          strcmp(fields->rows[i - 1].text,
		                 fields->rows[i].text) <= 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("automatic");
	TCase *tests = tcase_create("rows");

	tcase_add_loop_test(tests, folding, 0, COUNT(fold_rows));
	tcase_add_loop_test(tests, addresses, 0, COUNT(address_rows));
	tcase_add_loop_test(tests, subjects, 0, COUNT(subject_rows));
	tcase_add_loop_test(tests, header_fields, 0, COUNT(field_rows));
	tcase_add_test(tests, table);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
