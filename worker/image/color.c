#include "worker/image/color.h"

#include <math.h>

/* [Y, Cb, Cr][offset, red, green, blue] */
static const double forward[3][4] = {
    { 16, 65.481, 128.553, 24.966 },
    { 128, -37.797, -74.203, 112.0 },
    { 128, 112.0, -93.786, -18.214 },
};

static void component_row(const double weight[4], const uint8_t *pixel, int channels, int n, double *out)
{
    const int green = channels == 3 ? 1 : 0, blue = channels == 3 ? 2 : 0;

    for (int i = 0; i < n; i++, pixel += channels)
        out[i] =
            weight[0] + (weight[1] * pixel[0] + weight[2] * pixel[green] + weight[3] * pixel[blue]) / 255;
}

void color_luma_row(const uint8_t *pixel, int channels, int n, double *y)
{
    component_row(forward[0], pixel, channels, n, y);
}

static void component(const struct image *image, int which, struct plane *plane)
{
    const size_t row = (size_t)image->width * image->channels;

    for (int y = 0; y < image->height; y++)
        component_row(forward[which], image->pixel + y * row, image->channels, image->width,
                      plane->value + (size_t)y * image->width);
}

int color_luma(const struct image *image, struct plane *y, struct err *e)
{
    int r = plane_make(y, image->width, image->height, e);

    if (r == 0)
        component(image, 0, y);
    return r;
}

int color_split(const struct image *image, struct plane ycc[3], struct err *e)
{
    int r = 0;

    for (int c = 0; c < 3; c++)
        ycc[c] = (struct plane){ 0 };
    for (int c = 0; c < 3 && r == 0; c++)
        if ((r = plane_make(&ycc[c], image->width, image->height, e)) == 0)
            component(image, c, &ycc[c]);
    for (int c = 0; c < 3 && r < 0; c++)
        plane_free(&ycc[c]);
    return r;
}

static uint8_t byte_of(double v)
{
    v = floor(v + 0.5);
    return v >= 255 ? 255 : v > 0 ? (uint8_t)v : 0;
}

/* The inverse of `forward` by Cramer's rule, so that the numbers stand in one place only. */
static void invert(double inverse[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            inverse[i][j] = forward[a][1 + c] * forward[b][1 + d] - forward[a][1 + d] * forward[b][1 + c];
        }
    double determinant = 0;
    for (int j = 0; j < 3; j++)
        determinant += forward[j][1] * inverse[0][j];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            inverse[i][j] *= 255 / determinant;
}

int color_join(const struct plane ycc[3], struct image *image, struct err *e)
{
    const size_t pixels = (size_t)ycc[0].width * ycc[0].height;
    double inverse[3][3];
    int r = image_make(image, ycc[0].width, ycc[0].height, 3, SIZE_MAX, e);

    invert(inverse);
    for (size_t i = 0; r == 0 && i < pixels; i++)
        for (int c = 0; c < 3; c++) {
            double v = 0;
            for (int k = 0; k < 3; k++)
                v += inverse[c][k] * (ycc[k].value[i] - forward[k][0]);
            image->pixel[3 * i + c] = byte_of(v);
        }
    return r;
}

int color_channel(const struct image *image, int channel, struct plane *plane, struct err *e)
{
    const size_t pixels = (size_t)image->width * image->height;
    int r = plane_make(plane, image->width, image->height, e);

    for (size_t i = 0; r == 0 && i < pixels; i++)
        plane->value[i] = image->pixel[i * image->channels + channel];
    return r;
}

int color_bytes(const struct plane *planes, int channels, struct image *image, struct err *e)
{
    const size_t pixels = (size_t)planes[0].width * planes[0].height;
    int r = image_make(image, planes[0].width, planes[0].height, channels, SIZE_MAX, e);

    for (size_t i = 0; r == 0 && i < pixels; i++)
        for (int c = 0; c < channels; c++)
            image->pixel[i * channels + c] = byte_of(planes[c].value[i]);
    return r;
}
