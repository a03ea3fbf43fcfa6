/* SPDX-License-Identifier: MIT
 * Image files to pixels. The one file that sees stb_image (PNG, BMP), behind octi_image_check and
 * with its memory taken, zeroed and bounded, from the context; JPEG is jpeg.c's. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "datasets/image_check.h"
#include "datasets/resize.h"
#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/format/bytes.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/words.h"

/* The context whose memory the decoder uses on this thread, and the largest block that an honest
 * image asks for. */
static _Thread_local struct hook {
    oct_ctx *ctx;
    size_t most;
    bool failed;
} t_hook;

static void *hook_alloc(size_t bytes) {
    void *p = bytes <= t_hook.most ? octi_alloc(t_hook.ctx, bytes) : NULL;
    if (bytes > t_hook.most)
        octi_fail(OCT_ELIMIT, "image", "decoder asks for too much memory", NULL,
                  octi_fmt("%zu bytes", bytes), NULL);
    t_hook.failed |= !p;
    return p;
}

static void *hook_realloc(void *p, size_t bytes) {
    void *q = bytes <= t_hook.most ? octi_realloc(t_hook.ctx, p, bytes) : NULL;
    if (bytes > t_hook.most)
        octi_fail(OCT_ELIMIT, "image", "decoder asks for too much memory", NULL,
                  octi_fmt("%zu bytes", bytes), NULL);
    t_hook.failed |= !q;
    return q;
}

#define STBI_MALLOC(n)     hook_alloc(n)
#define STBI_REALLOC(p, n) hook_realloc(p, n)
#define STBI_FREE(p)       octi_free(t_hook.ctx, p)
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_ASSERT(x)      ((void)0) /* bad data must not stop the host */
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored                                                                     \
    "-Wunused-function" /* declared static, not all built; told at the end of the file */
#include <stb_image.h>

typedef struct picture {
    uint8_t *pixels; /* [h, w, c] */
    int w, h, c;
} picture;

/* Indices, which the decoder gave as grey levels, to colours. */
static oct_status apply_palette(oct_ctx *ctx, const octi_image_info *info, const char *where,
                                picture *pic) {
    static const uint8_t scale[9] = {[1] = 255, [2] = 85, [4] = 17, [8] = 1};
    size_t n = (size_t)pic->w * (size_t)pic->h;
    uint8_t *rgb = octi_alloc_raw(ctx, 3 * n);
    if (!rgb) return oct_last_error()->code;
    for (size_t i = 0; i < n; i++) {
        int v = pic->pixels[i] / scale[info->depth];
        if (v >= info->palette_count) {
            octi_free(ctx, rgb);
            return octi_fail(OCT_EFORMAT, where, octi_fmt("palette index of pixel %zu", i),
                             octi_fmt("below %d", info->palette_count), octi_fmt("%d", v), NULL);
        }
        memcpy(rgb + 3 * i, info->palette + 3 * v, 3);
    }
    octi_free(ctx, pic->pixels);
    pic->pixels = rgb;
    pic->c = 3;
    return OCT_OK;
}

static oct_status decode_jpeg(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                              const octi_image_info *info, picture *pic) {
    const size_t w = (size_t)info->width;
    *pic = (picture){.w = info->width, .h = info->height, .c = info->grey ? 1 : 3};
    pic->pixels = octi_alloc(ctx, w * (size_t)info->height * (size_t)pic->c);
    uint8_t *row = pic->pixels ? octi_alloc(ctx, 4 * w) : NULL;
    oct_status s =
        row ? octi_jpeg_decode(bytes, size, where, info, pic->pixels, row) : oct_last_error()->code;
    octi_free(ctx, row);
    if (s != OCT_OK) octi_free(ctx, pic->pixels), pic->pixels = NULL;
    return s;
}

static oct_status decode(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                         picture *pic) {
    octi_image_info info;
    *pic = (picture){0};
    OCT_TRY(octi_image_check(bytes, size, where, &info));
    if (info.kind == OCTI_IMAGE_JPEG) return decode_jpeg(ctx, bytes, size, where, &info, pic);
    bool palette = info.palette != NULL;
    uint8_t *plain = NULL;
    oct_status s = OCT_OK;
    if (info.kind == OCTI_IMAGE_PNG) {
        size_t n = octi_png_plain_size(&info);
        if (!(plain = octi_alloc_raw(ctx, n))) return oct_last_error()->code;
        s = octi_png_plain(bytes, size, where, &info, plain);
        if (s != OCT_OK) return octi_free(ctx, plain), s;
        bytes = plain;
        size = n;
    }
    /* 4 channels of 2 bytes, with room for filter bytes and the decoder's own state */
    t_hook = (struct hook){
        ctx, ((size_t)info.width + 64) * ((size_t)info.height + 64) * 8 + (1 << 20), false};
    pic->c = info.grey || palette ? 1 : 3;
    int was;
    pic->pixels = stbi_load_from_memory(bytes, (int)size, &pic->w, &pic->h, &was, pic->c);
    octi_free(ctx, plain);
    if (!pic->pixels)
        return t_hook.failed ? oct_last_error()->code
                             : octi_fail(OCT_EFORMAT, where, "image data damaged", NULL,
                                         stbi_failure_reason(), NULL);
    if (pic->w != info.width || pic->h != info.height)
        s = octi_fail(OCT_EFORMAT, where, "decoded size",
                      octi_fmt("%d x %d", info.width, info.height),
                      octi_fmt("%d x %d", pic->w, pic->h), NULL);
    else if (palette)
        s = apply_palette(ctx, &info, where, pic);
    if (s != OCT_OK) octi_free(ctx, pic->pixels), pic->pixels = NULL;
    return s;
}

/* ITU-R 601 luma as Pillow rounds it. In place: the grey image needs less. */
static void to_grey(picture *pic) {
    size_t n = (size_t)pic->w * (size_t)pic->h;
    const uint8_t *p = pic->pixels;
    for (size_t i = 0; i < n; i++, p += 3)
        pic->pixels[i] = (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000u) >> 16);
    pic->c = 1;
}

static oct_status resize_to(oct_ctx *ctx, picture *pic, int64_t w, int64_t h, const char *where) {
    if (w == pic->w && h == pic->h) return OCT_OK;
    if (w < 1 || h < 1 || w > INT32_MAX || h > INT32_MAX || w * h > OCTI_IMAGE_PIXELS)
        return octi_fail(OCT_ELIMIT, where, "size behind the resize",
                         octi_fmt("at most %d pixels", OCTI_IMAGE_PIXELS),
                         octi_fmt("%lld x %lld", (long long)w, (long long)h),
                         "the image is too narrow");
    uint8_t *to = octi_alloc_raw(ctx, (size_t)w * (size_t)h * (size_t)pic->c);
    if (!to) return oct_last_error()->code;
    oct_status s = octi_resize_u8(ctx, pic->pixels, pic->h, pic->w, pic->c, to, (int)h, (int)w);
    octi_free(ctx, s == OCT_OK ? pic->pixels : to);
    if (s == OCT_OK) *pic = (picture){to, (int)w, (int)h, pic->c};
    return s;
}

/* Half of d, half to even: torchvision's centre. */
static int half(int d) { return (int)lrint(d / 2.0); }

/* Centre crop to w x h; black where the image is smaller. */
static oct_status crop_to(oct_ctx *ctx, picture *pic, int w, int h) {
    if (w == pic->w && h == pic->h) return OCT_OK;
    size_t c = (size_t)pic->c;
    uint8_t *to = octi_calloc(ctx, (size_t)w * (size_t)h, c);
    if (!to) return oct_last_error()->code;
    int left = half(pic->w - w), top = half(pic->h - h);
    int x0 = left < 0 ? -left : 0, n = pic->w < w ? pic->w : w;
    for (int y = 0; y < h; y++)
        if (y + top >= 0 && y + top < pic->h)
            memcpy(to + ((size_t)y * (size_t)w + (size_t)x0) * c,
                   pic->pixels +
                       ((size_t)(y + top) * (size_t)pic->w + (size_t)(left > 0 ? left : 0)) * c,
                   (size_t)n * c);
    octi_free(ctx, pic->pixels);
    *pic = (picture){to, w, h, pic->c};
    return OCT_OK;
}

static oct_status shape(oct_ctx *ctx, picture *pic, const oct_input_desc *in, const char *where) {
    if (in->resize > 0) {
        int64_t r = in->resize, w = r, h = r;
        if (pic->w < pic->h)
            h = r * pic->h / pic->w;
        else
            w = r * pic->w / pic->h;
        OCT_TRY(resize_to(ctx, pic, w, h, where));
    }
    if (in->crop > 0)
        OCT_TRY(crop_to(ctx, pic, in->crop, in->crop));
    else if (in->resize > 0)
        OCT_TRY(crop_to(ctx, pic, in->width, in->height));
    return resize_to(ctx, pic, in->width, in->height, where);
}

static void deliver(const picture *pic, const oct_input_desc *in, uint8_t *pixels) {
    size_t n = (size_t)pic->w * (size_t)pic->h;
    if (pic->c == in->channels)
        memcpy(pixels, pic->pixels, n * (size_t)pic->c);
    else
        /* grey in a colour net */
        for (size_t i = 0; i < n; i++) memset(pixels + 3 * i, pic->pixels[i], 3);
    if (in->channels == 3 && in->color == OCT_COLOR_BGR)
        for (size_t i = 0; i < n; i++) {
            uint8_t red = pixels[3 * i];
            pixels[3 * i] = pixels[3 * i + 2];
            pixels[3 * i + 2] = red;
        }
}

/* *channels: those of the file, 1 or 3. */
static oct_status decode_to(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                            const oct_input_desc *in, uint8_t *pixels, int32_t *channels) {
    if ((in->channels != 1 && in->channels != 3) || in->width < 1 || in->height < 1 ||
        in->width > OCTI_IMAGE_SIDE || in->height > OCTI_IMAGE_SIDE || in->resize < 0 ||
        in->crop < 0 || in->resize > OCTI_IMAGE_SIDE || in->crop > OCTI_IMAGE_SIDE)
        return octi_fail(OCT_EUSAGE, where, "description of the input",
                         "1 or 3 channels, sides 1 to 16384",
                         octi_fmt("%d channels, %d x %d, resize %d, crop %d", in->channels,
                                  in->width, in->height, in->resize, in->crop),
                         NULL);
    picture pic;
    OCT_TRY(decode(ctx, bytes, size, where, &pic));
    *channels = pic.c;
    if (in->channels == 1 && pic.c == 3) to_grey(&pic);
    oct_status s = shape(ctx, &pic, in, where);
    if (s == OCT_OK) deliver(&pic, in, pixels);
    octi_free(ctx, pic.pixels);
    return s;
}

static oct_status load_to(oct_ctx *ctx, const char *path, const oct_input_desc *in, uint8_t *pixels,
                          int32_t *channels) {
    uint8_t *bytes;
    size_t size;
    OCT_TRY(octi_file_read(ctx, path, OCTI_IMAGE_BYTES, &bytes, &size));
    oct_status s = decode_to(ctx, bytes, size, path, in, pixels, channels);
    octi_free(ctx, bytes);
    return s;
}

oct_status oct_image_decode(oct_ctx *ctx, const void *bytes, size_t size, const char *where,
                            const oct_input_desc *in, uint8_t *pixels) {
    OCTI_LAW_MODE();
    int32_t channels;
    if (!ctx || !bytes || !in || !pixels) return octi_fail_null("oct_image_decode");
    return decode_to(ctx, bytes, size, where ? where : "image", in, pixels, &channels);
}

oct_status oct_image_load(oct_ctx *ctx, const char *path, const oct_input_desc *in,
                          uint8_t *pixels) {
    OCTI_LAW_MODE();
    int32_t channels;
    if (!ctx || !path || !in || !pixels) return octi_fail_null("oct_image_load");
    return load_to(ctx, path, in, pixels, &channels);
}

oct_status oct_image_input(oct_ctx *ctx, const char *path, const oct_input_desc *in, float *x) {
    int32_t channels;
    return oct_image_input_from(ctx, path, in, x, &channels);
}

oct_status oct_image_input_from(oct_ctx *ctx, const char *path, const oct_input_desc *in, float *x,
                                int32_t *channels) {
    OCTI_LAW_MODE();
    if (!ctx || !path || !in || !x || !channels)
        return octi_fail(OCT_EUSAGE, "oct_image_input", "argument is NULL", NULL, NULL, NULL);
    if ((in->channels != 1 && in->channels != 3) || in->width < 1 || in->height < 1 ||
        in->width > OCTI_IMAGE_SIDE || in->height > OCTI_IMAGE_SIDE)
        return octi_fail(
            OCT_EUSAGE, path, "description of the input", "1 or 3 channels, sides 1 to 16384",
            octi_fmt("%d channels, %d x %d", in->channels, in->width, in->height), NULL);
    octi_norm_warn(ctx, path, in, NULL);
    const size_t n = (size_t)in->width * (size_t)in->height * (size_t)in->channels;
    uint8_t *pixels = octi_alloc_raw(ctx, n);
    oct_status s = pixels ? load_to(ctx, path, in, pixels, channels) : oct_last_error()->code;
    for (size_t i = 0, c = 0; s == OCT_OK && i < n;
         i++, c = c + 1 < (size_t)in->channels ? c + 1 : 0)
        x[i] = octq_pixel(pixels[i], in->div, in->mean[c], in->std[c]);
    octi_free(ctx, pixels);
    return s;
}
