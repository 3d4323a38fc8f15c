/* The files of pages/, taken in by the assembler. */
#include "cloud-service/challenge/assets.h"

#include "common/error.h"

#define EMBED(symbol, file)                                                    \
	__asm__(".section .rodata\n"                                           \
	        ".balign 16\n"                                                 \
	        ".global asset_" #symbol "\n"                                  \
	        ".hidden asset_" #symbol "\n"                                  \
	        "asset_" #symbol ":\n"                                         \
	        ".incbin \"cloud-service/challenge/pages/" file "\"\n"         \
	        ".global asset_" #symbol "_end\n"                              \
	        ".hidden asset_" #symbol "_end\n"                              \
	        "asset_" #symbol "_end:\n"                                     \
	        ".byte 0\n"                                                    \
	        ".previous\n");                                                \
	extern const char asset_##symbol[], asset_##symbol##_end[]

EMBED(layout_html, "layout.html");
EMBED(open_html, "open.html");
EMBED(details_html, "details.html");
EMBED(outcome_html, "outcome.html");
EMBED(page_css, "page.css");
EMBED(mail_txt, "mail.txt");
EMBED(mail_html, "mail.html");
EMBED(mail_part_txt, "mail-part.txt");
EMBED(mail_part_html, "mail-part.html");

/* Sizes are known to the linker alone, not to a static initialiser. */
static const struct {
	const char *name, *begin, *end;
} files[] = {
    {"layout.html", asset_layout_html, asset_layout_html_end},
    {"open.html", asset_open_html, asset_open_html_end},
    {"details.html", asset_details_html, asset_details_html_end},
    {"outcome.html", asset_outcome_html, asset_outcome_html_end},
    {"page.css", asset_page_css, asset_page_css_end},
    {"mail.txt", asset_mail_txt, asset_mail_txt_end},
    {"mail.html", asset_mail_html, asset_mail_html_end},
    {"mail-part.txt", asset_mail_part_txt, asset_mail_part_txt_end},
    {"mail-part.html", asset_mail_part_html, asset_mail_part_html_end},
};

int asset_find(const char *name, struct asset *asset)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(files[i].name, name) != 0)
			continue;
		asset->name = files[i].name;
		asset->bytes = files[i].begin;
		asset->size = (size_t)(files[i].end - files[i].begin);
		return 0;
	}
	return ERR_NOT_FOUND;
}
