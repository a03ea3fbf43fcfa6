/* SPDX-License-Identifier: MIT
 * octet import: PyTorch's weights into a run. */
#include "tools/cli.h"

/* "HxW"; the crop where only that is given. */
static int take_size(const cli *c, oct_import_opts *o) {
    if (!c->size.set) {
        o->height = o->width = c->crop.set ? (int)c->crop.i : 0;
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

int cmd_import(cli *c) {
    oct_import_opts o = {.model = c->model.s};
    int code = take_size(c, &o);
    if (code) return code;
    if (oct_run_check(c->ctx, c->out.s, false, c->force.set) != OCT_OK) return cli_failed();
    oct_net *net = oct_import_torch(c->ctx, c->operands[0], &o);
    if (!net) return cli_failed();
    if ((code = cli_override(c, net))) return code;
    if (!c->dry_run.set && oct_run_save(net, c->out.s, cli_config_json(c), c->force.set) != OCT_OK)
        return cli_failed();
    long long values = 0;
    for (int32_t i = 0; i < net->tensor_count; i++)
        values += net->tensors[i].role == OCT_ROLE_PARAM
                      ? (long long)oct_tensor_count(net->tensors[i].tensor)
                      : 0;
    const oct_input_desc *d = &net->input;
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "model", net->model);
        json_shape(&j, "input",
                   &(oct_shape){.rank = 4, .dim = {-1, d->height, d->width, d->channels}});
        json_int(&j, "classes", net->class_count);
        json_int(&j, "parameters", values);
        json_int(&j, "tensors", net->tensor_count);
        json_close(&j);
    } else
        cli_print("model %s  input %dx%dx%d  classes %d  parameters %lld  tensors %d\n", net->model,
                  d->channels, d->height, d->width, net->class_count, values, net->tensor_count);
    if ((!c->mean.set || !c->std.set) && d->channels)
        cli_note(c,
                 "octet: %s%s%s not given: pixels become (pixel / %g - mean %g) / std %g; the "
                 "numbers of transforms.Normalize that the weights were trained with belong there",
                 c->mean.set ? "" : "--mean", c->mean.set || c->std.set ? "" : " and ",
                 c->std.set ? "" : "--std", (double)d->div, (double)d->mean[0], (double)d->std[0]);
    if (!c->dry_run.set)
        cli_next(c, "run in %s; next: octet eval %s --data SPEC", cli_word(c->out.s),
                 cli_word(c->out.s));
    return 0;
}
