/* What a report of delivery says of a recipient, in rows. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/delivery-report.h"
#include "tests/support/suite.h"

#define HEAD                                                                   \
	"From: MAILER-DAEMON@mx.example\r\n"                                   \
	"Content-Type: multipart/report; report-type=delivery-status;\r\n"     \
	"\tboundary=\"q\"\r\n\r\n"
#define TEXT "--q\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\r\n"
#define STATUS                                                                 \
	"--q\r\nContent-Type: message/delivery-status\r\n\r\n"                 \
	"Reporting-MTA: dns; mx.example\r\n\r\n"
#define HIS "Final-Recipient: rfc822; his@a.example\r\nAction: failed\r\n"
#define END "\r\n--q--\r\n"

static const struct {
	const char *what, *mail;
	bool failed, nobody;
	const char *status;
} rows[] = {
    {"5.1.1", HEAD TEXT STATUS HIS "Status: 5.1.1\r\n" END, true, true,
     "5.1.1"},
    {"5.1.2", HEAD TEXT STATUS HIS "Status: 5.1.2\r\n" END, true, true,
     "5.1.2"},
    {"5.1.10", HEAD TEXT STATUS HIS "Status: 5.1.10 (null MX)\r\n" END, true,
     true, "5.1.10"},
    {"5.1.0", HEAD TEXT STATUS HIS "Status: 5.1.0\r\n" END, true, false,
     "5.1.0"},
    {"5.1.7", HEAD TEXT STATUS HIS "Status: 5.1.7\r\n" END, true, false,
     "5.1.7"},
    {"5.1.8", HEAD TEXT STATUS HIS "Status: 5.1.8\r\n" END, true, false,
     "5.1.8"},
    {"5.1.11", HEAD TEXT STATUS HIS "Status: 5.1.11\r\n" END, true, false,
     "5.1.11"},
    {"5.7.26", HEAD TEXT STATUS HIS "Status: 5.7.26\r\n" END, true, false,
     "5.7.26"},
    {"4.4.1", HEAD TEXT STATUS HIS "Status: 4.4.1\r\n" END, false, false, ""},
    {"delayed",
     HEAD TEXT STATUS "Final-Recipient: rfc822; his@a.example\r\n"
                      "Action: delayed\r\nStatus: 5.1.1\r\n" END,
     false, false, ""},
    {"no text part, no end, no CR",
     "Content-Type: multipart/report;report-type=delivery-status;boundary=q\n"
     "\n--q\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n"
     "\nStatus: 5.1.1\nFinal-Recipient: RFC822;His@A.Example\nAction: FAILED",
     true, true, "5.1.1"},
    {"words in other cases, comments, folded lines",
     "content-type: Multipart/Report (a report);\r\n"
     " Report-Type=\"Delivery-Status\"; BOUNDARY=\"q\"\r\n\r\n" TEXT
     "--q  \r\ncontent-type: MESSAGE/Delivery-Status\r\n"
     "Content-Transfer-Encoding: 7bit\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
     "final-recipient: rfc822 ;\r\n <his@a.example>\r\naction:\r\n failed\r\n"
     "status: 5.1.1 (unknown)\r\n" END,
     true, true, "5.1.1"},
    {"of an international address",
     HEAD TEXT "--q\r\nContent-Type: message/global-delivery-status\r\n\r\n"
               "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: utf-8; "
               "his@a.example\r\nAction: failed\r\nStatus: 5.1.1\r\n" END,
     true, true, "5.1.1"},

    {"somebody else's",
     HEAD TEXT STATUS "Final-Recipient: rfc822; other@a.example\r\n"
                      "Action: failed\r\nStatus: 5.1.1\r\n" END,
     false, false, ""},
    {"his alias failed, he got it",
     HEAD TEXT STATUS HIS "Status: 5.1.1\r\n\r\n"
                          "Final-Recipient: rfc822; his@a.example\r\n"
                          "Action: delivered\r\nStatus: 2.0.0\r\n" END,
     false, false, ""},
    {"another failed, he got it",
     HEAD TEXT STATUS "Final-Recipient: rfc822; other@a.example\r\n"
                      "Action: failed\r\nStatus: 5.1.1\r\n\r\n"
                      "Final-Recipient: rfc822; his@a.example\r\n"
                      "Action: delivered\r\nStatus: 2.0.0\r\n" END,
     false, false, ""},
    {"he is the second",
     HEAD TEXT STATUS "Final-Recipient: rfc822; other@a.example\r\n"
                      "Action: delivered\r\nStatus: 2.0.0\r\n\r\n" HIS
                      "Status: 5.1.1\r\n" END,
     true, true, "5.1.1"},
    {"his mailbox has another name",
     HEAD TEXT STATUS "Original-Recipient: rfc822; his@a.example\r\n"
                      "Final-Recipient: rfc822; box7@store.example\r\n"
                      "Action: failed\r\nStatus: 5.1.1\r\n" END,
     true, true, "5.1.1"},
    {"no recipient", HEAD TEXT STATUS "Action: failed\r\nStatus: 5.1.1\r\n" END,
     false, false, ""},
    {"two of a field",
     HEAD TEXT STATUS HIS "Status: 5.1.1\r\nStatus: 5.2.2\r\n" END, false,
     false, ""},
    {"no status", HEAD TEXT STATUS HIS END, false, false, ""},
    {"not a status", HEAD TEXT STATUS HIS "Status: 5.1.1.1\r\n" END, false,
     false, ""},
    {"a class that there is not", HEAD TEXT STATUS HIS "Status: 6.1.1\r\n" END,
     false, false, ""},
    {"no action",
     HEAD TEXT STATUS "Final-Recipient: rfc822; his@a.example\r\n"
                      "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"no address type",
     HEAD TEXT STATUS "Final-Recipient: his@a.example\r\nAction: failed\r\n"
                      "Status: 5.1.1\r\n" END,
     false, false, ""},

    {"plain text", "Subject: away\r\n\r\n" HIS "Status: 5.1.1\r\n", false,
     false, ""},
    {"fields in the text part",
     HEAD "--q\r\nContent-Type: text/plain\r\n\r\nYou wrote:\r\n\r\n" HIS
          "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"a part without a header that quotes one",
     HEAD "--q\r\n\r\nContent-Type: message/delivery-status\r\n\r\n" HIS
          "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"in the mail that came back",
     HEAD TEXT "--q\r\nContent-Type: message/rfc822\r\n\r\n"
               "Content-Type: multipart/report; report-type=delivery-status;"
               " boundary=i\r\n\r\n"
               "--i\r\nContent-Type: message/delivery-status\r\n\r\n" HIS
               "Status: 5.1.1\r\n\r\n--i--\r\n" END,
     false, false, ""},
    {"not a report",
     "Content-Type: multipart/mixed; boundary=\"q\"\r\n\r\n" TEXT STATUS HIS
     "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"a report of another type",
     "Content-Type: multipart/report; report-type=disposition-notification; "
     "boundary=q\r\n\r\n" TEXT STATUS HIS "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"two types",
     "Content-Type: text/plain\r\n" HEAD TEXT STATUS HIS
     "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"no header at all", "\r\n" HEAD TEXT STATUS HIS "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"after the end", HEAD TEXT "--q--\r\n" STATUS HIS "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"another boundary",
     HEAD "--qq\r\nContent-Type: message/delivery-status\r\n\r\n"
          "Reporting-MTA: dns; x\r\n\r\n" HIS "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"encoded",
     HEAD TEXT "--q\r\nContent-Type: message/delivery-status\r\n"
               "Content-Transfer-Encoding: base64\r\n\r\n" HIS
               "Status: 5.1.1\r\n" END,
     false, false, ""},
    {"nothing", "", false, false, ""},
    {"an empty line", "\r\n", false, false, ""},
};

START_TEST(reports)
{
	struct delivery_report report;

	delivery_report_read(rows[_i].mail, strlen(rows[_i].mail),
	                     "His@A.example", &report);
	ck_assert_msg(report.failed == rows[_i].failed, "%s: failed",
	              rows[_i].what);
	ck_assert_msg(report.nobody_there == rows[_i].nobody, "%s: nobody",
	              rows[_i].what);
	ck_assert_msg(!strcmp(report.status, rows[_i].status), "%s: %s",
	              rows[_i].what, report.status);
}
END_TEST

/* Cut anywhere, it is read without a byte beyond. */
START_TEST(cut_anywhere)
{
	const char *mail = rows[_i].mail;

	for (size_t size = 0; size < strlen(mail); size++) {
		struct delivery_report report;
		char *copy = malloc(size + 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, mail, size);
		delivery_report_read(copy, size, "his@a.example", &report);
		ck_assert(!report.failed || rows[_i].failed ||
		          strstr(mail, "delivered") || strstr(mail, "5.2.2") ||
		          strstr(mail, "5.1.1.1") || strstr(mail, "5.1.10"));
		free(copy);
	}
}
END_TEST

START_TEST(detail_is_cut)
{
	struct delivery_report report;
	char mail[4000];

	(void)snprintf(mail, sizeof(mail),
	               "%sDiagnostic-Code: smtp; %0900d\r\n",
	               HEAD TEXT STATUS HIS "Status: 5.2.2\r\n", 7);
	delivery_report_read(mail, strlen(mail), "his@a.example", &report);
	ck_assert(report.failed);
	ck_assert_uint_eq(strlen(report.detail), sizeof(report.detail) - 1);
	delivery_report_read(mail, strlen(mail), "no address", &report);
	ck_assert(!report.failed);
}
END_TEST

int main(void)
{
	const int count = (int)(sizeof(rows) / sizeof(rows[0]));
	Suite *suite = suite_create("cloud-delivery-report");
	TCase *tcase = tcase_create("reports");

	tcase_add_loop_test(tcase, reports, 0, count);
	tcase_add_loop_test(tcase, cut_anywhere, 0, count);
	tcase_add_test(tcase, detail_is_cut);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
