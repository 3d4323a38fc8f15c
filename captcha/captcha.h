/* The captcha: a code, and the picture that shows it. */
#ifndef CAPTCHA_CAPTCHA_H
#define CAPTCHA_CAPTCHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTCHA_CODE_LENGTH 6
#define CAPTCHA_CODE_SIZE   (CAPTCHA_CODE_LENGTH + 1)

/*
 * Writes a code drawn from size >= CAPTCHA_CODE_LENGTH random bytes with the
 * letters and digits that are not taken for one another. The bytes come from
 * the caller: this folder knows no source of randomness.
 */
void captcha_code(const uint8_t *random, size_t size,
                  char code[CAPTCHA_CODE_SIZE]);

/*
 * Whether answer is the code as a person may type it: case, spaces, hyphens
 * and look-alikes (0 for O, 1 for I ...) do not matter. Constant time in the
 * code. At most 64 bytes of answer are looked at; longer ones are wrong.
 */
bool captcha_matches(const char *code, const char *answer);

struct captcha_image_options {
	unsigned width, height; /* pixels; 320 x 110 is usual */
	uint64_t seed[2];       /* the distortion: same seed, same picture */
};

/*
 * Draws code as a PNG into *png (freed by free()) of *size bytes. 0, or
 * ERR_MEMORY, or ERR_INVALID for a code with other characters or a side that is
 * not within 40..2000 pixels.
 */
int captcha_image(const char *code, const struct captcha_image_options *options,
                  uint8_t **png, size_t *size);

#endif
