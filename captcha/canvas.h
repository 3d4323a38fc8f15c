/* A grey drawing surface with anti-aliased lines. */
#ifndef CAPTCHA_CANVAS_H
#define CAPTCHA_CANVAS_H

#include <stdint.h>

#include "common/error.h"

/* How much ink lies on each pixel: 0 none, 255 all. */
struct canvas {
	int width, height;
	uint8_t *ink; /* rows from the top; owned by the canvas */
};

/* An empty canvas; ERR_MEMORY. Freed by canvas_release(). */
int canvas_init(struct canvas *canvas, int width, int height);

/* Frees the pixels. */
void canvas_release(struct canvas *canvas);

/*
 * Draws a line with round ends, width 2 * radius, from x0,y0 to x1,y1; strength
 * 0..1 of the ink. What lies outside of the canvas is left out.
 */
void canvas_line(struct canvas *canvas, float x0, float y0, float x1, float y1,
                 float radius, float strength);

/* Takes ink away under such a line. */
void canvas_erase(struct canvas *canvas, float x0, float y0, float x1, float y1,
                  float radius);

#endif
