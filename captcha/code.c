/* The captcha's code: drawn, and compared with what a person typed. */
#include "captcha/captcha.h"

#include "captcha/glyph.h"

/* As many bytes of an answer as are looked at. */
#define ANSWER_MAXIMUM 64

void captcha_code(const uint8_t *random, size_t size,
                  char code[CAPTCHA_CODE_SIZE])
{
	/* 48 bits or more for 25 bits of code: the bias is below 2^-23. */
	uint64_t number = 0;
	for (size_t i = 0; i < size && i < sizeof(number); i++)
		number = number << 8 | random[i];
	for (size_t i = 0; i < CAPTCHA_CODE_LENGTH; i++) {
		code[i] = glyph_alphabet[number % GLYPH_COUNT];
		number /= GLYPH_COUNT;
	}
	code[CAPTCHA_CODE_LENGTH] = '\0';
}

/*
 * One character for all that look alike; 0 for what does not count. The
 * alphabet has at most one of each kind.
 */
static char fold(char c)
{
	static const char *const alike[] = {
	    "0OD", "1IL|", "2Z", "5S", "8B", "9GQ", "EF", "RP", "XY",
	};
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == ' ' || c == '-' || c == '\t' || c == '_' || c == '.')
		return 0;
	for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
		if (strchr(alike[i], c))
			return alike[i][0];
	return c;
}

bool captcha_matches(const char *code, const char *answer)
{
	size_t size = strnlen(answer, ANSWER_MAXIMUM + 1);
	if (size > ANSWER_MAXIMUM ||
	    strnlen(code, CAPTCHA_CODE_SIZE) != CAPTCHA_CODE_LENGTH)
		return false;
	char typed[CAPTCHA_CODE_LENGTH] = {0};
	size_t length = 0;
	for (size_t i = 0; i < size; i++) {
		char c = fold(answer[i]);
		if (c && length < CAPTCHA_CODE_LENGTH)
			typed[length] = c;
		length += c != 0;
	}
	/* Every character is compared, so that time tells nothing of them. */
	unsigned different = length != CAPTCHA_CODE_LENGTH;
	for (size_t i = 0; i < CAPTCHA_CODE_LENGTH; i++)
		different |= (unsigned char)(typed[i] ^ fold(code[i]));
	return different == 0;
}
