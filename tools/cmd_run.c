/* SPDX-License-Identifier: MIT
 * octet run: raw outputs of any model, or the values of one layer. */
#include <string.h>

#include "tools/cli.h"

/* Batches of x through the runner; *y gets all rows. */
static oct_status run_all(cli *c, oct_runner *r, const oct_tensor *x, int64_t batch, oct_tensor **y, float *scale, int32_t *zero_point) {
    int64_t n = x->shape.dim[0], each = oct_tensor_count(x) / (n > 0 ? n : 1);
    *y = NULL;
    for (int64_t i = 0; i < n; i += batch) {
        oct_tensor part = *x;
        part.shape.dim[0] = n - i < batch ? n - i : batch;
        part.data = oct_f32(x) + i * each;
        const oct_tensor *out = oct_runner_run(r, &part);
        if (out && c->layer.set) out = oct_runner_value(r, c->layer.s, scale, zero_point);
        if (!out) return oct_last_error()->code;
        if (!*y) {
            oct_shape s = out->shape;
            s.dim[0] = n;
            if (!(*y = oct_tensor_new(c->ctx, out->dtype, s))) return oct_last_error()->code;
        }
        size_t row = oct_tensor_bytes(out) / (size_t)part.shape.dim[0];
        memcpy((char *)(*y)->data + (size_t)i * row, out->data, oct_tensor_bytes(out));
    }
    return OCT_OK;
}

int cmd_run(cli *c) {
    enum { BATCH = 32 };
    if (!c->input.set) return cli_need("--input", "an .npz with array x");
    if (!c->output.set) return cli_need("--output", "the .npz to write");
    if (!strcmp(c->input.s, c->output.s)) return cli_usage("--output", "input and output are the same", "another path", c->output.s, NULL);
    int load_code;
    oct_net *net = cli_load(c, c->operands[0], false, &load_code);
    if (!net) return load_code;
    if (c->layer.set && oct_graph_find_node(net->graph, c->layer.s) < 0)
        return cli_usage("--layer", "no such layer", "a name that octet inspect lists", c->layer.s, NULL);
    oct_tensor *x = oct_npz_images(net, c->input.s);
    oct_runner *r = x ? oct_runner_new(net, &(oct_runner_opts){.batch = BATCH, .values = c->layer.set}) : NULL;
    if (!r) return cli_failed();
    if (x->shape.dim[0] < 1) return fprintf(stderr, "octet: %s: array x is empty\n", c->input.s), 3;
    if (c->dry_run.set) return 0;
    oct_tensor *y;
    float scale = 0;
    int32_t zero_point = 0;
    if (run_all(c, r, x, BATCH, &y, &scale, &zero_point) != OCT_OK) return cli_failed();
    if (oct_npz_save(c->ctx, c->output.s, y, y->dtype == OCT_F32 ? 0 : scale, zero_point) != OCT_OK) return cli_failed();
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "output", c->output.s);
        json_string(&j, "dtype", oct_dtype_name(y->dtype));
        if (y->dtype != OCT_F32) {
            json_number(&j, "scale", scale);
            json_int(&j, "zero_point", zero_point);
        }
        json_close(&j);
    } else
        printf("%s: y %s %s\n", c->output.s, oct_dtype_name(y->dtype), oct_shape_text(&y->shape));
    return 0;
}
