/* The captcha's picture: bent, touching letters under crossing curves. */
#include "captcha/captcha.h"

#include <math.h>
#include <png.h>

#include "captcha/canvas.h"
#include "captcha/glyph.h"
#include "captcha/seeded.h"

#define SIDE_MINIMUM 40
#define SIDE_MAXIMUM 2000
#define PI           3.14159265F

/* One sine field: bends along one axis by the place on the other. */
struct wave {
	float amplitude, frequency, phase;
};

/* All that one picture is drawn with. */
struct scene {
	struct canvas canvas;
	struct seeded seeded;
	struct wave across[2], down[2];
	float unit; /* the height of a letter, in pixels */
};

static float bend(const struct wave waves[2], float place)
{
	float sum = 0;
	for (int i = 0; i < 2; i++)
		sum += waves[i].amplitude *
		       sinf(waves[i].frequency * place + waves[i].phase);
	return sum;
}

/* A wave whose length is about length, in pixels. */
static struct wave wave_new(struct seeded *seeded, float amplitude,
                            float length)
{
	return (struct wave){amplitude * seeded_between(seeded, 0.6F, 1.0F),
	                     2 * PI /
	                         (length * seeded_between(seeded, 0.8F, 1.25F)),
	                     seeded_between(seeded, 0, 2 * PI)};
}

/* The box of one letter on the canvas. */
struct placing {
	float x, y, width, height, cosine, sine, shear, radius;
};

static void place(const struct scene *scene, const struct placing *at,
                  const struct glyph_point *point, float *x, float *y)
{
	float u = (point->x - 0.5F) * at->width;
	float v = (point->y - 0.5F) * at->height;
	u += v * at->shear;
	float px = at->x + u * at->cosine - v * at->sine;
	float py = at->y + u * at->sine + v * at->cosine;
	*x = px + bend(scene->across, py);
	*y = py + bend(scene->down, px);
}

static int draw_letter(struct scene *scene, char letter,
                       const struct placing *at)
{
	struct glyph_point points[GLYPH_POINTS_MAXIMUM];
	int count = glyph_trace(letter, points);
	if (count < 0)
		return count;
	float x0 = 0, y0 = 0, x1, y1;
	for (int i = 0; i < count; i++, x0 = x1, y0 = y1) {
		place(scene, at, &points[i], &x1, &y1);
		if (!points[i].starts)
			canvas_line(&scene->canvas, x0, y0, x1, y1, at->radius,
			            1);
	}
	return 0;
}

/* How letter stands: turned, stretched and slanted by itself. */
static struct placing placing_of(struct scene *scene, float x, float room)
{
	struct seeded *seeded = &scene->seeded;
	float unit = scene->unit;
	float angle = seeded_between(seeded, -0.24F, 0.24F);
	return (struct placing){
	    .x = x + seeded_between(seeded, -0.03F, 0.03F) * unit,
	    .y = (float)scene->canvas.height / 2 +
	         seeded_between(seeded, -0.11F, 0.11F) * unit,
	    .width = room * seeded_between(seeded, 0.66F, 0.78F),
	    .height = unit * seeded_between(seeded, 0.88F, 1.10F),
	    .cosine = cosf(angle),
	    .sine = sinf(angle),
	    .shear = seeded_between(seeded, -0.12F, 0.12F),
	    .radius = unit * seeded_between(seeded, 0.050F, 0.062F),
	};
}

/* Letters share the width by their own, so close that they touch at times. */
static int draw_code(struct scene *scene, const char *code)
{
	float total = 0;
	for (int i = 0; i < CAPTCHA_CODE_LENGTH; i++)
		total += glyph_width(code[i]);
	float margin = scene->unit * 0.36F, x = margin;
	float scale = ((float)scene->canvas.width - 2 * margin) / total;
	for (int i = 0; i < CAPTCHA_CODE_LENGTH; i++) {
		float room = glyph_width(code[i]) * scale;
		struct placing at = placing_of(scene, x + room / 2, room);
		int r = draw_letter(scene, code[i], &at);
		if (r)
			return r;
		x += room;
	}
	return 0;
}

/* A curve over the whole width, drawn (radius) or taken away (-radius). */
static void cross(struct scene *scene, float radius)
{
	struct seeded *seeded = &scene->seeded;
	float width = (float)scene->canvas.width;
	float height = (float)scene->canvas.height;
	float y0 = seeded_between(seeded, 0.2F, 0.8F) * height;
	float slope = seeded_between(seeded, -0.4F, 0.4F) * height / width;
	y0 -= slope * width / 2;
	struct wave waves[2] = {wave_new(seeded, height * 0.16F, width * 0.55F),
	                        wave_new(seeded, height * 0.07F, width * 0.2F)};
	float step = 4, last = y0 + bend(waves, -step);
	int count = (int)ceilf(width / step) + 1;
	for (int i = 0; i < count; i++) {
		float x = (float)i * step;
		float y = y0 + slope * x + bend(waves, x);
		if (radius > 0)
			canvas_line(&scene->canvas, x - step, last, x, y,
			            radius, 0.8F);
		else
			canvas_erase(&scene->canvas, x - step, last, x, y,
			             -radius);
		last = y;
	}
}

/* Short strokes and dots in the ink of the letters. */
static void sprinkle(struct scene *scene, int count)
{
	struct seeded *seeded = &scene->seeded;
	for (int i = 0; i < count; i++) {
		float x = seeded_between(seeded, 0, (float)scene->canvas.width);
		float y =
		    seeded_between(seeded, 0, (float)scene->canvas.height);
		float length = scene->unit * seeded_between(seeded, 0, 0.16F);
		float angle = seeded_between(seeded, 0, 2 * PI);
		canvas_line(&scene->canvas, x, y, x + length * cosf(angle),
		            y + length * sinf(angle),
		            scene->unit * seeded_between(seeded, 0.01F, 0.025F),
		            seeded_between(seeded, 0.5F, 0.9F));
	}
}

/* Turns ink into grey, over a ground that is not even. */
static void tint(struct scene *scene)
{
	struct canvas *canvas = &scene->canvas;
	struct wave ground[2] = {
	    wave_new(&scene->seeded, 7, (float)canvas->width * 0.8F),
	    wave_new(&scene->seeded, 4, (float)canvas->width * 0.3F)};
	float dark = seeded_between(&scene->seeded, 30, 60);
	for (int y = 0; y < canvas->height; y++) {
		uint8_t *row = canvas->ink + (size_t)y * (size_t)canvas->width;
		for (int x = 0; x < canvas->width; x++) {
			float light =
			    240 + bend(ground, (float)x + 0.7F * (float)y);
			float ink = (float)row[x] / 255;
			row[x] = (uint8_t)(light + (dark - light) * ink);
		}
	}
}

static int draw(struct scene *scene, const char *code)
{
	struct seeded *seeded = &scene->seeded;
	float unit = scene->unit;
	for (int i = 0; i < 2; i++) {
		scene->across[i] = wave_new(seeded, unit * 0.05F, unit * 1.4F);
		scene->down[i] = wave_new(seeded, unit * 0.06F, unit * 1.8F);
	}
	int r = draw_code(scene, code);
	if (r)
		return r;
	cross(scene, -unit * 0.018F);
	cross(scene, unit * seeded_between(seeded, 0.020F, 0.026F));
	cross(scene, unit * seeded_between(seeded, 0.020F, 0.026F));
	sprinkle(scene, 26);
	tint(scene);
	return 0;
}

static int encode(const struct canvas *canvas, uint8_t **png, size_t *size)
{
	png_image image = {.version = PNG_IMAGE_VERSION,
	                   .width = (png_uint_32)canvas->width,
	                   .height = (png_uint_32)canvas->height,
	                   .format = PNG_FORMAT_GRAY,
	                   .flags = PNG_IMAGE_FLAG_FAST};
	png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(image);
	uint8_t *bytes = malloc(room);
	if (!bytes)
		return ERR_MEMORY;
	if (!png_image_write_to_memory(&image, bytes, &room, 0, canvas->ink, 0,
	                               NULL)) {
		png_image_free(&image);
		free(bytes);
		return ERR_MEMORY;
	}
	*png = bytes;
	*size = room;
	return 0;
}

int captcha_image(const char *code, const struct captcha_image_options *options,
                  uint8_t **png, size_t *size)
{
	if (strnlen(code, CAPTCHA_CODE_SIZE) != CAPTCHA_CODE_LENGTH ||
	    options->width < SIDE_MINIMUM || options->width > SIDE_MAXIMUM ||
	    options->height < SIDE_MINIMUM || options->height > SIDE_MAXIMUM)
		return ERR_INVALID;
	struct scene scene = {0};
	scene.unit = fminf((float)options->height * 0.60F,
	                   (float)options->width * 0.19F);
	seeded_init(&scene.seeded, options->seed);
	int r = canvas_init(&scene.canvas, (int)options->width,
	                    (int)options->height);
	if (r)
		return r;
	r = draw(&scene, code);
	if (!r)
		r = encode(&scene.canvas, png, size);
	canvas_release(&scene.canvas);
	return r;
}
