/* smg_q_conv of one group. */
#include "conv_tiles.h"

static size_t tiles_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_conv_args *a = args;
    const smg_window w = conv_window(a);
    return a->groups == 1 ? smg_gemm_bytes(&w, a->out_c) : SMG_REFUSED;
}

static size_t tiles_scratch(const void *args) {
    return smg_tiles_scratch(args);
}

static void tiles_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_conv_args *a = args;
    const smg_window w = conv_window(a);
    const smg_layer layer = {pointers[1],    pointers[2], pointers[3], pointers[4],
                             a->per_channel, a->zero_x,   a->zero_y};
    smg_pack_gemm(&w, &layer, a->out_c, packed);
}

static void tiles_run(const void *args, const smg_job *job) {
    const smg_q_conv_args *a = args;
    const smg_image m = smg_conv_image(a);
    const smg_channels *channels = job->packed;
    const smg_gemm g = {conv_window(a),
                        channels,
                        (const smg_w *)(channels + smg_blocks(a->out_c)),
                        a->out_c,
                        (size_t)a->stride_w * a->in_c,
                        (size_t)a->out_c,
                        smg_make_bounds(a->lo, a->hi, a->zero_y)};
    smg_begin_tiles();
    for (int32_t s = 0; s < job->samples; s++) {
        smg_pad_image(&m, smg_at(job, 0, s), a->zero_x, job->scratch);
        smg_tile_image(a, &g, job->scratch, smg_store_bytes, 1, &g, smg_at(job, 5, s));
    }
    smg_end_tiles();
}

const smg_variant smg_q_conv_amx = {"smg_q_conv", ISA, tiles_packed, tiles_scratch, tiles_pack, tiles_run};
