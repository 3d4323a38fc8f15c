/* The strokes of each character, and their way into short pieces. */
#include "captcha/glyph.h"

#include <math.h>

/* Into as many pieces a line or a curve is cut. */
#define PIECES 10

const char glyph_alphabet[GLYPH_COUNT + 1] = "234579ACEHKMNRTWX";

/*
 * In the alphabet's order. M moves to a point, L draws a line to one, C a
 * cubic curve with two control points; a point is two letters, x and y, from
 * a (left, top) to m (right, bottom).
 */
static const char *const shapes[GLYPH_COUNT] = {
    /* 2 */ "MadCabdagaCkamcmeCmhgjamLmm",
    /* 3 */ "MbbCdafagaCkalcldClfjgfgCkgmimjCmljmgmCemcmak",
    /* 4 */ "MjmLjaLajLmj",
    /* 5 */ "MlaLcaLbfCdefegeCkemgmiCmljmgmCemcmak",
    /* 7 */ "MaaLmaLem",
    /* 9 */ "MmeCmckagaCcaacaeCagcigiCkimgmeCmjkmem",
    /* A */ "MamLgaLmmMciLki",
    /* C */ "MlcCjahagaCcaadagCajcmgmChmjmlk",
    /* E */ "MlaLaaLamLlmMagLjg",
    /* H */ "MaaLamMmaLmmMagLmg",
    /* K */ "MaaLamMlaLahMefLmm",
    /* M */ "MamLbaLgiLlaLmm",
    /* N */ "MamLaaLmmLma",
    /* R */ "MamLaaLgaCkambmdLmeCmgkhghLahMghLmm",
    /* T */ "MaaLmaMgaLgm",
    /* W */ "MaaLdmLgeLjmLma",
    /* X */ "MaaLmmMmaLam",
};

static struct glyph_point read_point(const char *text)
{
	return (struct glyph_point){.x = (float)(text[0] - 'a') / 12.0F,
	                            .y = (float)(text[1] - 'a') / 12.0F};
}

/* The point at t (0..1) of the cubic curve p[0] .. p[3]. */
static struct glyph_point curve_at(const struct glyph_point p[4], float t)
{
	float u = 1.0F - t;
	float a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t,
	      d = t * t * t;
	return (struct glyph_point){
	    .x = a * p[0].x + b * p[1].x + c * p[2].x + d * p[3].x,
	    .y = a * p[0].y + b * p[1].y + c * p[2].y + d * p[3].y};
}

/* A line is a curve whose control points lie on it. */
static void read_curve(char verb, const char *text, struct glyph_point p[4])
{
	if (verb == 'C') {
		p[1] = read_point(text);
		p[2] = read_point(text + 2);
		p[3] = read_point(text + 4);
		return;
	}
	p[3] = read_point(text);
	p[1].x = p[0].x + (p[3].x - p[0].x) / 3;
	p[1].y = p[0].y + (p[3].y - p[0].y) / 3;
	p[2].x = p[0].x + (p[3].x - p[0].x) * 2 / 3;
	p[2].y = p[0].y + (p[3].y - p[0].y) * 2 / 3;
}

int glyph_trace(char character, struct glyph_point points[GLYPH_POINTS_MAXIMUM])
{
	const char *found =
	    character ? strchr(glyph_alphabet, character) : NULL;
	if (!found)
		return ERR_INVALID;
	int count = 0;
	const char *shape = shapes[found - glyph_alphabet];
	while (*shape && count + PIECES <= GLYPH_POINTS_MAXIMUM) {
		char verb = *shape++;
		if (verb == 'M') {
			points[count] = read_point(shape);
			points[count++].starts = 1;
			shape += 2;
			continue;
		}
		struct glyph_point p[4] = {points[count - 1]};
		read_curve(verb, shape, p);
		for (int i = 1; i <= PIECES; i++)
			points[count++] = curve_at(p, (float)i / PIECES);
		shape += verb == 'C' ? 6 : 2;
	}
	return count;
}

float glyph_width(char character)
{
	return character == 'M' || character == 'W' ? 1.3F : 1.0F;
}
