/* Anti-aliased lines: the cover of a pixel follows from its distance. */
#include "captcha/canvas.h"

#include <math.h>

int canvas_init(struct canvas *canvas, int width, int height)
{
	canvas->width = width;
	canvas->height = height;
	canvas->ink = calloc((size_t)width, (size_t)height);
	return canvas->ink ? 0 : ERR_MEMORY;
}

void canvas_release(struct canvas *canvas)
{
	free(canvas->ink);
	canvas->ink = NULL;
}

/* A line as it is drawn: its start, its direction, its pixels. */
struct line {
	float x, y, dx, dy, length_squared, radius;
	int left, right, top, bottom;
};

static int clamp(float value, int maximum)
{
	if (!(value > 0))
		return 0;
	return value > (float)maximum ? maximum : (int)value;
}

static struct line line_of(const struct canvas *canvas, float x0, float y0,
                           float x1, float y1, float radius)
{
	float edge = radius + 1;
	struct line line = {
	    .x = x0, .y = y0, .dx = x1 - x0, .dy = y1 - y0, .radius = radius};
	line.length_squared = line.dx * line.dx + line.dy * line.dy;
	line.left = clamp(fminf(x0, x1) - edge, canvas->width);
	line.right = clamp(fmaxf(x0, x1) + edge + 1, canvas->width);
	line.top = clamp(fminf(y0, y1) - edge, canvas->height);
	line.bottom = clamp(fmaxf(y0, y1) + edge + 1, canvas->height);
	return line;
}

/* How much of the pixel at x,y the line covers, 0..1. */
static float cover(const struct line *line, int x, int y)
{
	float px = (float)x + 0.5F - line->x, py = (float)y + 0.5F - line->y;
	float along = 0;
	if (line->length_squared > 0)
		along = (px * line->dx + py * line->dy) / line->length_squared;
	along = fminf(fmaxf(along, 0), 1);
	float ex = px - along * line->dx, ey = py - along * line->dy;
	float distance = sqrtf(ex * ex + ey * ey);
	return fminf(fmaxf(line->radius + 0.5F - distance, 0), 1);
}

void canvas_line(struct canvas *canvas, float x0, float y0, float x1, float y1,
                 float radius, float strength)
{
	struct line line = line_of(canvas, x0, y0, x1, y1, radius);
	for (int y = line.top; y < line.bottom; y++) {
		uint8_t *row = canvas->ink + (size_t)y * (size_t)canvas->width;
		for (int x = line.left; x < line.right; x++) {
			float ink = cover(&line, x, y) * strength * 255;
			if (ink > row[x])
				row[x] = (uint8_t)ink;
		}
	}
}

void canvas_erase(struct canvas *canvas, float x0, float y0, float x1, float y1,
                  float radius)
{
	struct line line = line_of(canvas, x0, y0, x1, y1, radius);
	for (int y = line.top; y < line.bottom; y++) {
		uint8_t *row = canvas->ink + (size_t)y * (size_t)canvas->width;
		for (int x = line.left; x < line.right; x++)
			row[x] =
			    (uint8_t)((float)row[x] * (1 - cover(&line, x, y)));
	}
}
