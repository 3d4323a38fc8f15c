/* Finds the converter for a label, and converts. */
#include "common/mail/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"
#include "common/mail/lexical.h"
#include "common/mem.h"
#include "common/text.h"

#define LABEL_SIZE   40
#define REPLACEMENT  "\xef\xbf\xbd"
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* How the bytes are brought to a charset that iconv knows. */
enum preparation {
	AS_IT_IS,
	GUESSED,     /* UTF-8, or else windows-1252 */
	ISO_2022_JP, /* to EUC, whose converter has all of its signs */
	ISO_2022_KR,
	HZ
};

struct charset {
	const char *label; /* letters and digits, small, without "x" in front */
	const char *iconv_name;
	enum preparation preparation;
};

/*
 * Only these reach iconv: its rarer modules have a history of endless loops,
 * and "/" would name its own options.
 */
static const struct charset charsets[] = {
    {"utf8", "UTF-8", AS_IT_IS},
    {"unicode11utf8", "UTF-8", AS_IT_IS},
    {"utf16", "UTF-16", AS_IT_IS},
    {"utf16be", "UTF-16BE", AS_IT_IS},
    {"utf16le", "UTF-16LE", AS_IT_IS},
    {"utf7", "UTF-7", AS_IT_IS},
    {"unicode11utf7", "UTF-7", AS_IT_IS},
    {"usascii", "", GUESSED},
    {"ascii", "", GUESSED},
    {"ansix341968", "", GUESSED},
    {"iso646us", "", GUESSED},
    {"unknown8bit", "", GUESSED},
    {"unknown", "", GUESSED},
    {"default", "", GUESSED},
    {"defaultcharset", "", GUESSED},
    {"8bit", "", GUESSED},
    {"binary", "", GUESSED},
    {"iso88591", "CP1252", AS_IT_IS},
    {"iso885911987", "CP1252", AS_IT_IS},
    {"latin1", "CP1252", AS_IT_IS},
    {"l1", "CP1252", AS_IT_IS},
    {"isoir100", "CP1252", AS_IT_IS},
    {"csisolatin1", "CP1252", AS_IT_IS},
    {"ibm819", "CP1252", AS_IT_IS},
    {"cp819", "CP1252", AS_IT_IS},
    {"ansi", "CP1252", AS_IT_IS},
    {"iso88599", "CP1254", AS_IT_IS},
    {"latin5", "CP1254", AS_IT_IS},
    {"csisolatin5", "CP1254", AS_IT_IS},
    {"iso885911", "CP874", AS_IT_IS},
    {"tis620", "CP874", AS_IT_IS},
    {"windows874", "CP874", AS_IT_IS},
    {"dos874", "CP874", AS_IT_IS},
    {"latin2", "ISO-8859-2", AS_IT_IS},
    {"l2", "ISO-8859-2", AS_IT_IS},
    {"csisolatin2", "ISO-8859-2", AS_IT_IS},
    {"iso885921987", "ISO-8859-2", AS_IT_IS},
    {"latin3", "ISO-8859-3", AS_IT_IS},
    {"latin4", "ISO-8859-4", AS_IT_IS},
    {"cyrillic", "ISO-8859-5", AS_IT_IS},
    {"arabic", "ISO-8859-6", AS_IT_IS},
    {"iso88596i", "ISO-8859-6", AS_IT_IS},
    {"iso88596e", "ISO-8859-6", AS_IT_IS},
    {"csiso88596i", "ISO-8859-6", AS_IT_IS},
    {"csiso88596e", "ISO-8859-6", AS_IT_IS},
    {"asmo708", "ISO-8859-6", AS_IT_IS},
    {"ecma114", "ISO-8859-6", AS_IT_IS},
    {"greek", "ISO-8859-7", AS_IT_IS},
    {"greek8", "ISO-8859-7", AS_IT_IS},
    {"ecma118", "ISO-8859-7", AS_IT_IS},
    {"elot928", "ISO-8859-7", AS_IT_IS},
    {"hebrew", "ISO-8859-8", AS_IT_IS},
    {"visual", "ISO-8859-8", AS_IT_IS},
    {"logical", "ISO-8859-8", AS_IT_IS},
    {"iso88598i", "ISO-8859-8", AS_IT_IS},
    {"iso88598e", "ISO-8859-8", AS_IT_IS},
    {"csiso88598i", "ISO-8859-8", AS_IT_IS},
    {"csiso88598e", "ISO-8859-8", AS_IT_IS},
    {"latin6", "ISO-8859-10", AS_IT_IS},
    {"latin9", "ISO-8859-15", AS_IT_IS},
    {"latin10", "ISO-8859-16", AS_IT_IS},
    {"viscii", "VISCII", AS_IT_IS},
    {"tcvn", "TCVN", AS_IT_IS},
    {"johab", "JOHAB", AS_IT_IS},
    {"koi", "KOI8-R", AS_IT_IS},
    {"koi8", "KOI8-R", AS_IT_IS},
    {"koi8r", "KOI8-R", AS_IT_IS},
    {"cskoi8r", "KOI8-R", AS_IT_IS},
    {"koi8u", "KOI8-U", AS_IT_IS},
    {"koi8ru", "KOI8-U", AS_IT_IS},
    {"ibm866", "CP866", AS_IT_IS},
    {"cp866", "CP866", AS_IT_IS},
    {"866", "CP866", AS_IT_IS},
    {"csibm866", "CP866", AS_IT_IS},
    {"macintosh", "MACINTOSH", AS_IT_IS},
    {"csmacintosh", "MACINTOSH", AS_IT_IS},
    {"mac", "MACINTOSH", AS_IT_IS},
    {"macroman", "MACINTOSH", AS_IT_IS},
    {"maccyrillic", "MAC-UK", AS_IT_IS},
    {"macukrainian", "MAC-UK", AS_IT_IS},
    {"maccentraleurroman", "MAC-CENTRALEUROPE", AS_IT_IS},
    {"macce", "MAC-CENTRALEUROPE", AS_IT_IS},
    {"gb2312", "GB18030", AS_IT_IS},
    {"gb231280", "GB18030", AS_IT_IS},
    {"csgb2312", "GB18030", AS_IT_IS},
    {"csiso58gb231280", "GB18030", AS_IT_IS},
    {"isoir58", "GB18030", AS_IT_IS},
    {"chinese", "GB18030", AS_IT_IS},
    {"euccn", "GB18030", AS_IT_IS},
    {"gbk", "GB18030", AS_IT_IS},
    {"cp936", "GB18030", AS_IT_IS},
    {"ms936", "GB18030", AS_IT_IS},
    {"windows936", "GB18030", AS_IT_IS},
    {"gb18030", "GB18030", AS_IT_IS},
    {"hzgb2312", "GB18030", HZ},
    {"hz", "GB18030", HZ},
    {"big5", "BIG5-HKSCS", AS_IT_IS},
    {"big5hkscs", "BIG5-HKSCS", AS_IT_IS},
    {"cnbig5", "BIG5-HKSCS", AS_IT_IS},
    {"csbig5", "BIG5-HKSCS", AS_IT_IS},
    {"xbig5", "BIG5-HKSCS", AS_IT_IS},
    {"cp950", "BIG5-HKSCS", AS_IT_IS},
    {"ms950", "BIG5-HKSCS", AS_IT_IS},
    {"windows950", "BIG5-HKSCS", AS_IT_IS},
    {"euctw", "EUC-TW", AS_IT_IS},
    {"eucjp", "EUC-JP-MS", AS_IT_IS},
    {"cseucpkdfmtjapanese", "EUC-JP-MS", AS_IT_IS},
    {"ujis", "EUC-JP-MS", AS_IT_IS},
    {"shiftjis", "CP932", AS_IT_IS},
    {"csshiftjis", "CP932", AS_IT_IS},
    {"sjis", "CP932", AS_IT_IS},
    {"mskanji", "CP932", AS_IT_IS},
    {"ms932", "CP932", AS_IT_IS},
    {"cp932", "CP932", AS_IT_IS},
    {"windows31j", "CP932", AS_IT_IS},
    {"cswindows31j", "CP932", AS_IT_IS},
    {"windows932", "CP932", AS_IT_IS},
    {"iso2022jp", "EUC-JP-MS", ISO_2022_JP},
    {"iso2022jp1", "EUC-JP-MS", ISO_2022_JP},
    {"iso2022jp2", "EUC-JP-MS", ISO_2022_JP},
    {"iso2022jpms", "EUC-JP-MS", ISO_2022_JP},
    {"csiso2022jp", "EUC-JP-MS", ISO_2022_JP},
    {"cp50220", "EUC-JP-MS", ISO_2022_JP},
    {"cp50221", "EUC-JP-MS", ISO_2022_JP},
    {"cp50222", "EUC-JP-MS", ISO_2022_JP},
    {"jis", "EUC-JP-MS", ISO_2022_JP},
    {"euckr", "UHC", AS_IT_IS},
    {"cseuckr", "UHC", AS_IT_IS},
    {"korean", "UHC", AS_IT_IS},
    {"isoir149", "UHC", AS_IT_IS},
    {"ksc5601", "UHC", AS_IT_IS},
    {"ksc56011987", "UHC", AS_IT_IS},
    {"ksc56011989", "UHC", AS_IT_IS},
    {"csksc56011987", "UHC", AS_IT_IS},
    {"ksx1001", "UHC", AS_IT_IS},
    {"uhc", "UHC", AS_IT_IS},
    {"cp949", "UHC", AS_IT_IS},
    {"ms949", "UHC", AS_IT_IS},
    {"windows949", "UHC", AS_IT_IS},
    {"iso2022kr", "UHC", ISO_2022_KR},
    {"csiso2022kr", "UHC", ISO_2022_KR},
};

/* Families whose labels end in a number that iconv's names have too. */
static const struct {
	const char *label, *numbers, *iconv_start;
} families[] = {
    {"iso8859", " 2 3 4 5 6 7 8 10 13 14 15 16 ", "ISO-8859-"},
    {"windows", " 1250 1251 1252 1253 1254 1255 1256 1257 1258 ", "CP"},
    {"cp", " 1250 1251 1252 1253 1254 1255 1256 1257 1258 ", "CP"},
    {"win", " 1250 1251 1252 1253 1254 1255 1256 1257 1258 ", "CP"},
    {"cp", " 437 850 852 855 857 858 860 861 862 863 864 865 869 ", "CP"},
    {"ibm", " 437 850 852 855 857 860 861 862 863 864 865 869 ", "CP"},
};

/* Letters and digits alone, without the "x-" of private labels. */
static void squeeze(const char *label, char squeezed[LABEL_SIZE])
{
	size_t length = 0;

	if ((label[0] == 'x' || label[0] == 'X') && label[1] == '-')
		label += 2;
	for (; *label && length < LABEL_SIZE - 1; label++)
		if (mail_is_alnum(*label))
			squeezed[length++] = mail_ascii_lower(*label);
		else if (!strchr("-_:. ", *label))
			break;
	squeezed[*label ? 0 : length] = '\0';
}

static bool find_family(const char *squeezed, char name[LABEL_SIZE])
{
	size_t i;

	for (i = 0; i < COUNT(families); i++) {
		size_t length = strlen(families[i].label);
		const char *number = squeezed + length;
		char spaced[8];

		if (strncmp(squeezed, families[i].label, length) != 0 ||
		    !*number || strlen(number) > 4)
			continue;
		(void)snprintf(spaced, sizeof(spaced), " %.4s ", number);
		if (!strstr(families[i].numbers, spaced))
			continue;
		(void)snprintf(name, LABEL_SIZE, "%s%.4s",
		               families[i].iconv_start, number);
		return true;
	}
	return false;
}

/* iconv's name for the label; false for one that nobody knows. */
static bool find(const char *label, char name[LABEL_SIZE],
                 enum preparation *preparation)
{
	char squeezed[LABEL_SIZE];
	size_t i;

	squeeze(label, squeezed);
	*preparation = AS_IT_IS;
	for (i = 0; i < COUNT(charsets); i++)
		if (strcmp(squeezed, charsets[i].label) == 0) {
			(void)snprintf(name, LABEL_SIZE, "%s",
			               charsets[i].iconv_name);
			*preparation = charsets[i].preparation;
			return true;
		}
	return find_family(squeezed, name);
}

bool mail_charset_known(const char *label)
{
	enum preparation preparation;
	char name[LABEL_SIZE];

	return find(label, name, &preparation);
}

bool mail_charset_is_utf8(const char *bytes, size_t size)
{
	uint32_t code;

	while (size > 0) {
		size_t length = text_utf8_read(bytes, size, &code);

		if (!length)
			return false;
		bytes += length;
		size -= length;
	}
	return true;
}

/* --- escapes ---------------------------------------------------------------
 */

/* What bytes stand for between two escape sequences. */
enum set { ASCII, TWO_BYTES, KATAKANA, SUPPLEMENT };

/* Reads an escape sequence of ISO-2022-JP; its length, 0 when it is none. */
static size_t read_escape(const char *bytes, size_t size, enum set *set)
{
	static const struct {
		const char *sequence;
		enum set set;
	} escapes[] = {{"\x1b(B", ASCII},     {"\x1b(J", ASCII},
	               {"\x1b(I", KATAKANA},  {"\x1b$@", TWO_BYTES},
	               {"\x1b$B", TWO_BYTES}, {"\x1b$(D", SUPPLEMENT}};
	size_t i;

	for (i = 0; i < COUNT(escapes); i++) {
		size_t length = strlen(escapes[i].sequence);

		if (size >= length &&
		    memcmp(bytes, escapes[i].sequence, length) == 0) {
			*set = escapes[i].set;
			return length;
		}
	}
	return 0;
}

static bool in_set(char byte)
{
	return byte >= 0x21 && byte <= 0x7e;
}

/* To EUC-JP; out has room for 3 bytes for each. Returns the length. */
static size_t prepare_jp(const char *bytes, size_t size, char *out)
{
	enum set set = ASCII;
	size_t length = 0, i = 0;

	while (i < size) {
		size_t escape = read_escape(bytes + i, size - i, &set);
		bool pair =
		    i + 1 < size && in_set(bytes[i]) && in_set(bytes[i + 1]);

		if (escape) {
			i += escape;
		} else if ((set == TWO_BYTES || set == SUPPLEMENT) && pair) {
			if (set == SUPPLEMENT)
				out[length++] = '\x8f';
			out[length++] = (char)(bytes[i++] | 0x80);
			out[length++] = (char)(bytes[i++] | 0x80);
		} else if (set == KATAKANA && in_set(bytes[i])) {
			out[length++] = '\x8e';
			out[length++] = (char)(bytes[i++] | 0x80);
		} else {
			out[length++] = bytes[i++];
		}
	}
	return length;
}

/* To EUC-KR: shift out and in, behind "ESC $ ) C". */
static size_t prepare_kr(const char *bytes, size_t size, char *out)
{
	bool shifted = false;
	size_t length = 0, i;

	for (i = 0; i < size; i++)
		if (size - i >= 4 && memcmp(bytes + i, "\x1b$)C", 4) == 0)
			i += 3;
		else if (bytes[i] == 0x0e || bytes[i] == 0x0f)
			shifted = bytes[i] == 0x0e;
		else
			out[length++] =
			    (char)(shifted && in_set(bytes[i]) ? bytes[i] | 0x80
			                                       : bytes[i]);
	return length;
}

/* To GB 2312 in eight bits: "~{" and "~}" (RFC 1843). */
static size_t prepare_hz(const char *bytes, size_t size, char *out)
{
	bool shifted = false;
	size_t length = 0, i;

	for (i = 0; i < size; i++) {
		char next = i + 1 < size ? bytes[i + 1] : '\0';

		if (bytes[i] == '~' && (next == '{' || next == '}')) {
			shifted = next == '{';
			i++;
		} else if (bytes[i] == '~' && next == '~') {
			out[length++] = '~';
			i++;
		} else {
			out[length++] =
			    (char)(shifted && in_set(bytes[i]) ? bytes[i] | 0x80
			                                       : bytes[i]);
		}
	}
	return length;
}

/* --- converting -------------------------------------------------------------
 */

/* Each step either consumes input or writes U+FFFD for one byte of it. */
static void convert_all(iconv_t converter, char *bytes, size_t size,
                        mail_charset_write write, void *context)
{
	char out[256], *to;
	size_t room;

	while (size > 0) {
		size_t before = size, result;

		to = out;
		room = sizeof(out);
		result = iconv(converter, &bytes, &size, &to, &room);
		write(out, (size_t)(to - out), context);
		if (result == (size_t)-1 && to == out && size > 0 &&
		    size == before) {
			write(REPLACEMENT, 3, context);
			bytes++;
			size--;
			(void)iconv(converter, NULL, NULL, NULL, NULL);
		}
	}
	/* A letter that might have got an accent is still in there. */
	to = out;
	room = sizeof(out);
	(void)iconv(converter, NULL, NULL, &to, &room);
	write(out, (size_t)(to - out), context);
}

static void convert(const char *name, const char *bytes, size_t size,
                    mail_charset_write write, void *context)
{
	iconv_t converter = iconv_open("UTF-8", name);

	if (converter == (iconv_t)-1) { /* not among those of this libc */
		write(REPLACEMENT, 3, context);
		return;
	}
	/* iconv() does not change what it reads. */
	convert_all(converter, (char *)(uintptr_t)bytes, size, write, context);
	(void)iconv_close(converter);
}

/* Whether the converter has all of it. */
static bool converts(const char *name, const char *bytes, size_t size)
{
	iconv_t converter = iconv_open("UTF-8", name);
	char out[256], *from = (char *)(uintptr_t)bytes;
	bool good = converter != (iconv_t)-1;

	while (good && size > 0) {
		char *to = out;
		size_t room = sizeof(out);

		good =
		    iconv(converter, &from, &size, &to, &room) != (size_t)-1 ||
		    errno == E2BIG;
	}
	if (converter != (iconv_t)-1)
		(void)iconv_close(converter);
	return good;
}

void mail_charset_convert(const char *label, const char *bytes, size_t size,
                          mail_charset_write write, void *context)
{
	static size_t (*const prepare[])(const char *, size_t,
	                                 char *) = {[ISO_2022_JP] = prepare_jp,
	                                            [ISO_2022_KR] = prepare_kr,
	                                            [HZ] = prepare_hz};
	enum preparation preparation;
	char name[LABEL_SIZE], *prepared;

	if (size == 0)
		return;
	if (!find(label, name, &preparation) || preparation == GUESSED)
		(void)snprintf(name, sizeof(name), "%s",
		               mail_charset_is_utf8(bytes, size) ? "UTF-8"
		                                                 : "CP1252");
	/* Of Big5 there are two extensions, which nobody tells apart. */
	if (strcmp(name, "BIG5-HKSCS") == 0 && !converts(name, bytes, size))
		(void)snprintf(name, sizeof(name), "CP950");
	if (strcmp(name, "UTF-8") == 0) {
		write(bytes, size, context);
		return;
	}
	if (preparation <= GUESSED) {
		convert(name, bytes, size, write, context);
		return;
	}
	prepared = mem_alloc_array(size, 3);
	size = prepare[preparation](bytes, size, prepared);
	convert(name, prepared, size, write, context);
	free(prepared);
}
