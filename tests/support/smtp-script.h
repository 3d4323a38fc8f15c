/* An SMTP server that follows a script, however hostile, for one client. */
#ifndef TESTS_SUPPORT_SMTP_SCRIPT_H
#define TESTS_SUPPORT_SMTP_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

/* What the server does next. */
enum script_action {
	SCRIPT_END,   /* closes the connection */
	SCRIPT_SAY,   /* sends text as it is */
	SCRIPT_HEAR,  /* reads a line that begins with text */
	SCRIPT_BODY,  /* reads a message up to its dot */
	SCRIPT_TLS,   /* does the handshake; text: the name it shows */
	SCRIPT_STALL, /* says nothing until the client goes away */
	SCRIPT_RESET, /* cuts the connection off with RST */
	SCRIPT_FLOOD  /* sends text until the client goes away */
};

struct script_step {
	enum script_action action;
	const char *text;
};

struct smtp_script;

/* Listens and follows the steps, which end with SCRIPT_END, with the first
 * client; a second one is closed at once. Fails the test when it cannot. */
struct smtp_script *smtp_script_start(const struct script_step *steps);

/* The port to connect to. */
uint16_t smtp_script_port(const struct smtp_script *script);

/* The file with the authority to trust for SCRIPT_TLS; there is always one. */
const char *smtp_script_ca_file(const struct smtp_script *script);

/* What became of it. */
struct smtp_script_report {
	bool connected;
	bool mail_heard;    /* any line that begins with MAIL */
	bool message_whole; /* a message came with its dot */
	bool off_script;    /* a line was not as expected */
	char heard[4096];   /* all lines, the message left out */
};

/* Waits for the end of the script, fills in the report, frees. */
void smtp_script_stop(struct smtp_script *script,
                      struct smtp_script_report *report);

#endif
