/* The captcha: codes, answers as people type them, and the picture. */
#include <stdint.h>

#include <png.h>

#include "captcha/captcha.h"
#include "captcha/glyph.h"
#include "common/error.h"
#include "tests/support/suite.h"

START_TEST(codes_come_from_the_alphabet)
{
	char code[CAPTCHA_CODE_SIZE];
	unsigned seen[256] = {0};
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15ULL;
		uint8_t random[8];
		memcpy(random, &mixed, sizeof(random));
		captcha_code(random, sizeof(random), code);
		ck_assert_uint_eq(strlen(code), CAPTCHA_CODE_LENGTH);
		ck_assert_uint_eq(strspn(code, glyph_alphabet),
		                  CAPTCHA_CODE_LENGTH);
		for (int j = 0; j < CAPTCHA_CODE_LENGTH; j++)
			seen[(unsigned char)code[j]]++;
	}
	/* Each about 7,058 times of 120,000. */
	for (const char *c = glyph_alphabet; *c; c++) {
		ck_assert_uint_gt(seen[(unsigned char)*c], 6400);
		ck_assert_uint_lt(seen[(unsigned char)*c], 7700);
	}
}
END_TEST

START_TEST(every_random_byte_counts)
{
	for (size_t at = 0; at < 6; at++) {
		uint8_t random[6] = {9, 8, 7, 6, 5, 4};
		char one[CAPTCHA_CODE_SIZE], two[CAPTCHA_CODE_SIZE];
		captcha_code(random, sizeof(random), one);
		random[at] ^= 1;
		captcha_code(random, sizeof(random), two);
		ck_assert_str_ne(one, two);
	}
}
END_TEST

#define X10 "XXXXXXXXXX"

static const struct {
	const char *code, *answer;
	bool right;
} answers[] = {
    {"ACE234", "ACE234", true},
    {"ACE234", "ace234", true},
    {"ACE234", " a c e-2 3_4 ", true},
    {"ACE234", "ACEZ34", true}, /* Z is not drawn: it was a 2 */
    {"25RT9X", "zspt9y", true},
    {"9ACEHK", "gacehk", true},
    {"9ACEHK", "QACEHK", true},
    {"EEEEEE", "ffffff", true},
    {"ACE234", "ACE235", false},
    {"ACE234", "BCE234", false},
    {"ACE234", "ACE23", false},
    {"ACE234", "ACE2344", false},
    {"ACE234", "", false},
    {"ACE234", "      ", false},
    {"ACE234", "ACE23\xc3\xa9", false},
    {"ACE234", "ACE234\n", false},
    {"ACE234", "ACE234'--", false},
    {"ACE23", "ACE23", false}, /* a code that is too short is no code */
    {"", "", false},
    {"ACE234", "ACE234 " X10 X10 X10 X10 X10 X10, false},
    {"ACE234",
     "ACE234                                                              "
     "                                                             ",
     false}, /* beyond 64 bytes */
};

START_TEST(answers_as_people_type_them)
{
	ck_assert_msg(captcha_matches(answers[_i].code, answers[_i].answer) ==
	                  answers[_i].right,
	              "%s / %s", answers[_i].code, answers[_i].answer);
}
END_TEST

/* The alphabet must not hold two that are taken for the same answer. */
START_TEST(no_two_letters_are_alike)
{
	char code[] = "AAAAAA", answer[] = "AAAAAA";
	for (const char *a = glyph_alphabet; *a; a++)
		for (const char *b = glyph_alphabet; *b; b++) {
			code[0] = *a;
			answer[0] = *b;
			ck_assert_int_eq(captcha_matches(code, answer), a == b);
		}
}
END_TEST

/* Decodes the picture and returns its grey pixels, freed by the caller. */
static uint8_t *decode(const uint8_t *bytes, size_t size, unsigned width,
                       unsigned height)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	ck_assert(png_image_begin_read_from_memory(&image, bytes, size));
	ck_assert_uint_eq(image.width, width);
	ck_assert_uint_eq(image.height, height);
	image.format = PNG_FORMAT_GRAY;
	uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
	ck_assert_ptr_nonnull(pixels);
	ck_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	return pixels;
}

static double dark_share(const uint8_t *pixels, size_t count)
{
	size_t dark = 0;
	for (size_t i = 0; i < count; i++)
		dark += pixels[i] < 128;
	return (double)dark / (double)count;
}

START_TEST(every_letter_is_drawn)
{
	for (const char *c = glyph_alphabet; *c; c++) {
		char code[CAPTCHA_CODE_SIZE];
		memset(code, *c, CAPTCHA_CODE_LENGTH);
		code[CAPTCHA_CODE_LENGTH] = '\0';
		struct captcha_image_options options = {
		    320, 110, {(uint64_t)*c, 1}};
		uint8_t *png;
		size_t size;
		ck_assert_int_eq(captcha_image(code, &options, &png, &size), 0);
		uint8_t *pixels = decode(png, size, 320, 110);
		double share = dark_share(pixels, 320 * 110);
		ck_assert_msg(share > 0.06 && share < 0.35, "%c: %f", *c,
		              share);
		free(pixels);
		free(png);
	}
}
END_TEST

START_TEST(the_seed_makes_the_picture)
{
	struct captcha_image_options options = {320, 110, {1, 2}};
	uint8_t *png[4];
	size_t size[4];
	ck_assert(!captcha_image("ACE234", &options, &png[0], &size[0]));
	ck_assert(!captcha_image("ACE234", &options, &png[1], &size[1]));
	options.seed[1] = 3;
	ck_assert(!captcha_image("ACE234", &options, &png[2], &size[2]));
	options.seed[0] = 0;
	options.seed[1] = 0;
	ck_assert(!captcha_image("ACE234", &options, &png[3], &size[3]));
	ck_assert_uint_eq(size[0], size[1]);
	ck_assert_mem_eq(png[0], png[1], size[0]);
	ck_assert(size[0] != size[2] || memcmp(png[0], png[2], size[0]) != 0);
	ck_assert(size[0] != size[3] || memcmp(png[0], png[3], size[0]) != 0);
	for (int i = 0; i < 4; i++)
		free(png[i]);
}
END_TEST

static const struct {
	const char *code;
	unsigned width, height;
	int result;
} images[] = {
    {"ACE234", 320, 110, 0},
    {"ACE234", 40, 40, 0},
    {"ACE234", 2000, 40, 0},
    {"ACE234", 39, 110, ERR_INVALID},
    {"ACE234", 320, 2001, ERR_INVALID},
    {"ACE234", 0, 0, ERR_INVALID},
    {"ACE234", UINT32_MAX, UINT32_MAX, ERR_INVALID},
    {"ACE23O", 320, 110, ERR_INVALID},
    {"ace234", 320, 110, ERR_INVALID},
    {"ACE23", 320, 110, ERR_INVALID},
    {"ACE2345", 320, 110, ERR_INVALID},
    {"", 320, 110, ERR_INVALID},
    {"ACE\xff"
     "34",
     320, 110, ERR_INVALID},
};

START_TEST(sizes_and_codes_have_bounds)
{
	struct captcha_image_options options = {
	    images[_i].width, images[_i].height, {7, 7}};
	uint8_t *png = NULL;
	size_t size = 0;
	int r = captcha_image(images[_i].code, &options, &png, &size);
	ck_assert_int_eq(r, images[_i].result);
	ck_assert_int_eq(png != NULL, r == 0);
	free(png);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("captcha");
	TCase *code = tcase_create("code");
	tcase_add_test(code, codes_come_from_the_alphabet);
	tcase_add_test(code, every_random_byte_counts);
	tcase_add_test(code, no_two_letters_are_alike);
	tcase_add_loop_test(code, answers_as_people_type_them, 0,
	                    sizeof(answers) / sizeof(answers[0]));
	suite_add_tcase(suite, code);
	TCase *image = tcase_create("image");
	tcase_add_test(image, every_letter_is_drawn);
	tcase_add_test(image, the_seed_makes_the_picture);
	tcase_add_loop_test(image, sizes_and_codes_have_bounds, 0,
	                    sizeof(images) / sizeof(images[0]));
	suite_add_tcase(suite, image);
	return suite_main(suite, NULL);
}
