/* The shapes of the captcha's characters, as strokes. */
#ifndef CAPTCHA_GLYPH_H
#define CAPTCHA_GLYPH_H

#include "common/error.h"

#define GLYPH_COUNT 17

/* Of points that one character's strokes are made of. */
#define GLYPH_POINTS_MAXIMUM 256

/*
 * The characters, without those that are taken for one another when they are
 * bent and crossed by lines: of each such group at most one is here.
 */
extern const char glyph_alphabet[GLYPH_COUNT + 1];

/* A point of a stroke; the glyph's box is 0..1, y downwards. */
struct glyph_point {
	float x, y;
	int starts; /* a new stroke begins here */
};

/*
 * Writes the strokes of character as short straight pieces into points; the
 * number of points, or ERR_INVALID for a character of no shape.
 */
int glyph_trace(char character,
                struct glyph_point points[GLYPH_POINTS_MAXIMUM]);

/* How wide the character is beside the others: about 1. */
float glyph_width(char character);

#endif
