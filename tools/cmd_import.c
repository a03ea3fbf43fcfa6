/* SPDX-License-Identifier: MIT
 * octet import: an ONNX file, or PyTorch's weights, into a run. */
#include <string.h>

#include "tools/cli.h"

/* "HxW"; the crop where only that is given and `crop`. */
static int take_size(const cli *c, bool crop, oct_import_opts *o) {
    if (!c->size.set) {
        o->height = o->width = crop && c->crop.set ? (int)c->crop.i : 0;
        return 0;
    }
    int used = 0;
    const char *s = c->size.s;
    bool plain = s[0] >= '0' && s[0] <= '9';
    for (const char *p = s; *p; p++) plain &= (*p >= '0' && *p <= '9') || *p == 'x';
    if (!plain || sscanf(s, "%5dx%5d%n", &o->height, &o->width, &used) != 2 || s[used] ||
        o->height < 1 || o->width < 1 || o->height > 1024 || o->width > 1024)
        return cli_usage("--size", "bad value", "HxW, such as 32x32, at most 1024", s, NULL);
    return 0;
}

/* "3x224x224": C, H, W; or the number of features. */
static const char *input_words(const oct_net *net) {
    static char words[64];
    const oct_shape *s =
        oct_value_shape(oct_graph_value(oct_net_graph(net), oct_graph_input(oct_net_graph(net))));
    if (s->rank == 4)
        snprintf(words, sizeof words, "%lldx%lldx%lld", (long long)s->dim[3], (long long)s->dim[1],
                 (long long)s->dim[2]);
    else
        snprintf(words, sizeof words, "%lld", (long long)s->dim[1]);
    return words;
}

static bool is_onnx(const char *path) {
    const size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".onnx");
}

/* No --model: what the file is says whether that is what is missing. */
static int without_model(const cli *c, const char *path) {
    static const char wanted[] = "a name that ends in .onnx, or a .safetensors file";
    oct_file_info *f = oct_file_inspect_for(c->ctx, path, wanted);
    if (!f) return cli_failed();
    const bool weights = f->kind == OCT_FILE_SAFETENSORS;
    char kind[64], hint[700];
    snprintf(kind, sizeof kind, "%s", oct_file_kind_name(f->kind));
    oct_file_info_free(c->ctx, f);
    snprintf(hint, sizeof hint, "octet import %s --model lenet --out %s, for weights of a lenet",
             cli_word(path), cli_word(c->out.s));
    if (weights)
        return cli_usage("--model", "option is missing", "the net whose weights they are", NULL,
                         hint);
    return cli_usage(path, "no weights and no model", wanted, kind, NULL);
}

/* An ONNX file says what net it is; weights need one of the zoo. */
static int take_kind(const cli *c, bool onnx) {
    if (onnx && c->model.set)
        return cli_usage("--model", "this is an ONNX model, which holds its own net", NULL,
                         c->model.s, NULL);
    return onnx || c->model.set ? 0 : without_model(c, c->operands[0]);
}

int cmd_import(cli *c) {
    const bool onnx = is_onnx(c->operands[0]);
    oct_import_opts o = {.model = c->model.s};
    int code = take_kind(c, onnx);
    if (!code) code = take_size(c, !onnx, &o);
    if (code) return code;
    if (oct_run_check(c->ctx, c->out.s, false, c->force.set) != OCT_OK) return cli_failed();
    oct_net *net =
        onnx ? oct_import_onnx(c->ctx, c->operands[0],
                               &(oct_import_onnx_opts){o.height, o.width, c->as_floats.set})
             : oct_import_torch(c->ctx, c->operands[0], &o);
    if (!net) return cli_failed();
    if ((code = cli_override(c, net))) return code;
    if (!c->dry_run.set && oct_run_save(net, c->out.s, cli_config_json(c), c->force.set) != OCT_OK)
        return cli_failed();
    long long values = 0;
    for (int32_t i = 0; i < oct_net_tensor_count(net); i++)
        values += oct_net_tensors(net)[i].role == OCT_ROLE_PARAM
                      ? (long long)oct_tensor_count(oct_net_tensors(net)[i].tensor)
                      : 0;
    const oct_input_desc *d = oct_net_input(net);
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "model", oct_net_model(net));
        json_shape(&j, "input",
                   oct_value_shape(
                       oct_graph_value(oct_net_graph(net), oct_graph_input(oct_net_graph(net)))));
        json_int(&j, "classes", oct_net_class_count(net));
        json_int(&j, "parameters", values);
        json_int(&j, "tensors", oct_net_tensor_count(net));
        json_bool(&j, "quantized", oct_net_stage(net) == OCT_STAGE_PREPARED);
        json_close(&j);
    } else
        cli_print("model %s  input %s  classes %d  parameters %lld  tensors %d\n",
                  oct_net_model(net), input_words(net), oct_net_class_count(net), values,
                  oct_net_tensor_count(net));
    bool unsaid = d->channels > 0; /* a file that octet wrote says how pixels become its input */
    for (int32_t k = 0; k < d->channels && !c->mean.set && !c->std.set; k++)
        unsaid &= d->mean[k] == 0 && d->std[k] == 1;
    if ((!c->mean.set || !c->std.set) && unsaid)
        cli_note(c,
                 "octet: %s%s%s not given: pixels become (pixel / %g - mean %g) / std %g; the "
                 "numbers of transforms.Normalize that the weights were trained with belong there",
                 c->mean.set ? "" : "--mean", c->mean.set || c->std.set ? "" : " and ",
                 c->std.set ? "" : "--std", (double)d->div, (double)d->mean[0], (double)d->std[0]);
    if (!c->dry_run.set && oct_net_stage(net) == OCT_STAGE_PREPARED)
        cli_next(
            c,
            "run in %s, on the file's own scales: nothing to calibrate; next: octet convert %s "
            "--out %s",
            cli_word(c->out.s), cli_word(c->out.s), cli_free_name(c->out.s, ".oct8"));
    else if (!c->dry_run.set)
        cli_next(c, "run in %s; next: octet eval %s --data SPEC", cli_word(c->out.s),
                 cli_word(c->out.s));
    return 0;
}
