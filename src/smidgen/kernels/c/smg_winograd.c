#include "smg_library.h"

/* Inputs and outputs of a batch of tiles at all points. */
size_t smg_winograd_scratch(const smg_winograd_args *a) {
    const int32_t points =
        smg_winograd_points(a->kernel_h, a->tile) * smg_winograd_points(a->kernel_w, a->tile);
    return (size_t)smg_winograd_batch(a) * (size_t)points * ((size_t)a->in + (size_t)a->out) * sizeof(float);
}

typedef struct {
    int32_t points_h, points_w, tile_h, tile_w;
} shape;

static float entry(const float *matrix, int32_t columns, int32_t i, int32_t j, int32_t kernel) {
    return kernel == 1 ? 1 : matrix[i * columns + j];
}

/* Point (i, j) of channel `c` of the tile whose first output is (y, x). */
static float input_point(const smg_winograd_args *a, const shape *f, const float *image, const int32_t at[4],
                         int32_t c) {
    float sum = 0;
    for (int32_t p = 0; p < f->points_h; p++)
        for (int32_t q = 0; q < f->points_w; q++) {
            const int32_t row = at[0] + p - a->pad_h, column = at[1] + q - a->pad_w;
            if (row >= 0 && row < a->height && column >= 0 && column < a->width)
                sum += entry(a->input, f->points_h, at[2], p, a->kernel_h) *
                       entry(a->input, f->points_w, at[3], q, a->kernel_w) *
                       image[((size_t)row * (size_t)a->width + (size_t)column) * (size_t)a->in + (size_t)c];
        }
    return sum;
}

/* Point (i, j) of output channel `o`, then spread over the tile's outputs. */
static void add_point(const smg_winograd_args *a, const shape *f, const float *inputs, const int32_t at[4],
                      int32_t o, float *y) {
    const int32_t rows = a->height + 2 * a->pad_h - a->kernel_h + 1;
    const int32_t columns = a->width + 2 * a->pad_w - a->kernel_w + 1;
    const float *filter = a->filters + (size_t)(at[2] * f->points_w + at[3]) * (size_t)a->in * (size_t)a->out;
    float product = 0;
    for (int32_t c = 0; c < a->in; c++)
        product += inputs[c] * filter[(size_t)c * (size_t)a->out + (size_t)o];
    for (int32_t p = 0; p < f->tile_h && at[0] + p < rows; p++)
        for (int32_t q = 0; q < f->tile_w && at[1] + q < columns; q++)
            y[((size_t)(at[0] + p) * (size_t)columns + (size_t)(at[1] + q)) * (size_t)a->out + (size_t)o] +=
                entry(a->output, f->points_h, p, at[2], a->kernel_h) *
                entry(a->output, f->points_w, q, at[3], a->kernel_w) * product;
}

void smg_winograd(const smg_winograd_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const shape f = {smg_winograd_points(a->kernel_h, a->tile), smg_winograd_points(a->kernel_w, a->tile),
                     a->kernel_h == 1 ? 1 : a->tile, a->kernel_w == 1 ? 1 : a->tile};
    const int32_t rows = a->height + 2 * a->pad_h - a->kernel_h + 1;
    const int32_t columns = a->width + 2 * a->pad_w - a->kernel_w + 1;
    const size_t y_size = (size_t)rows * (size_t)columns * (size_t)a->out;
    float *inputs = scratch;
    for (int32_t s = 0; s < samples;
         s++, x += (size_t)a->height * (size_t)a->width * (size_t)a->in, y += y_size) {
        for (size_t i = 0; i < y_size; i++)
            y[i] = 0;
        for (int32_t row = 0; row < rows; row += f.tile_h)
            for (int32_t column = 0; column < columns; column += f.tile_w)
                for (int32_t point = 0; point < f.points_h * f.points_w; point++) {
                    const int32_t at[4] = {row, column, point / f.points_w, point % f.points_w};
                    for (int32_t c = 0; c < a->in; c++)
                        inputs[c] = input_point(a, &f, x, at, c);
                    for (int32_t o = 0; o < a->out; o++)
                        add_point(a, &f, inputs, at, o, y);
                }
    }
}
