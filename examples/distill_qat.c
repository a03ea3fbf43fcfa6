/* SPDX-License-Identifier: MIT
 * Distillation during QAT: the float net teaches its own quantized copy, so that few bits learn its
 * whole distribution and not the labels alone. A loop of one's own shows the parts of the loss;
 * oct_fit does the same with .teacher, and so does
 * `octet qat RUN --teacher RUN`.
 *
 *     distill_qat [DATA] [BITS] [STEPS]     DATA: a 28x28 grey set, default synth-digits; BITS of
 *     weights and activations, 3 */
#include <stdio.h>
#include <stdlib.h>

#include <octet.h>

/* loss = weight * distillation + (1 - weight) * labels */
static const float temperature = 4, weight = 0.7f;

/* Train `student` towards the labels, and towards the teacher where there is one. */
static oct_status train(oct_net *student, oct_net *teacher, oct_data *data, int steps) {
    oct_ctx *ctx = oct_net_ctx(student);
    int32_t count;
    const oct_named_tensor *params = oct_net_parameters(student, &count);
    oct_optim *optim =
        oct_optim_new(ctx, params, count, &(oct_optim_opts){.kind = OCT_OPTIM_ADAM, .lr = 0.0005f});
    oct_loader *loader =
        oct_loader_new(data, &(oct_loader_opts){.batch = 64, .shuffle = true, .drop_last = true});
    oct_runner *teach = oct_runner_new(teacher, NULL); /* NULL for NULL */
    oct_tape *tape = oct_tape_new(ctx);
    oct_status s = oct_ctx_status(ctx);
    double label_sum = 0, distill_sum = 0;
    for (int step = 0, epoch = 0; s == OCT_OK && step < steps; step++) {
        oct_batch b;
        bool done = false;
        if ((s = oct_loader_next(loader, &b, &done)) == OCT_OK && done &&
            (s = oct_loader_start(loader, ++epoch, 0)) == OCT_OK)
            s = oct_loader_next(loader, &b, &done);
        if (s != OCT_OK) break;
        oct_optim_zero_grad(optim);
        oct_tape_begin(tape, OCT_TRAIN);
        oct_var *logits = oct_net_forward(student, oct_input(tape, b.x));
        oct_var *labels = oct_cross_entropy(logits, b.labels, NULL), *distill = NULL,
                *loss = labels;
        if (teach) {
            distill = oct_distill_loss(logits, oct_runner_run(teach, b.x), temperature);
            loss = oct_mix(distill, labels, weight);
        }
        if ((s = oct_backward(loss)) == OCT_OK) s = oct_optim_step(optim);
        if (s != OCT_OK) break;
        label_sum += *oct_f32(oct_var_value(labels));
        if (teach) distill_sum += *oct_f32(oct_var_value(distill));
        if (step % 30 == 29) {
            printf("step %4d  labels %.4f", step + 1, label_sum / 30);
            if (teach)
                printf("  distillation %.4f  together %.4f", distill_sum / 30,
                       ((double)weight * distill_sum + (1 - (double)weight) * label_sum) / 30);
            printf("\n");
            label_sum = distill_sum = 0;
        }
    }
    oct_tape_free(tape);
    oct_runner_free(teach);
    oct_loader_free(loader);
    oct_optim_free(optim);
    return s;
}

static double accuracy(oct_net *net, oct_data *test) {
    oct_eval r = {0};
    return net && oct_evaluate(net, test, &(oct_eval_opts){.limit = 2000}, &r) == OCT_OK
               ? r.accuracy
               : -1;
}

int main(int argc, char **argv) {
    const char *spec = argc > 1 ? argv[1] : "synth-digits";
    int bits = argc > 2 ? atoi(argv[2]) : 3, steps = argc > 3 ? atoi(argv[3]) : 150;
    oct_ctx *ctx = oct_open(NULL);
    oct_data *data = oct_data_open(ctx, spec, &(oct_data_opts){.limit = 6000});
    oct_data *test = oct_data_open(
        ctx, spec, &(oct_data_opts){.split = OCT_SPLIT_TEST, .limit = argc > 1 ? 0 : 2000});
    oct_net *teacher = oct_zoo_net(ctx, "lenet", data);
    double score[2] = {-1, -1};
    if (teacher && oct_fit(teacher, data, &(oct_fit_opts){.epochs = 3}) == OCT_OK) {
        printf("float teacher: accuracy %.4f\n", accuracy(teacher, test));
        for (int taught = 0; taught < 2; taught++) {
            printf("%d bits, %s:\n", bits, taught ? "labels and teacher" : "labels alone");
            oct_net *student = oct_prepare(
                teacher, &(oct_qconfig){.wbits = bits, .abits = bits, .method = OCT_METHOD_LSQ});
            if (!student || oct_calibrate(student, data, 512) != OCT_OK ||
                train(student, taught ? teacher : NULL, data, steps) != OCT_OK)
                break;
            score[taught] = accuracy(oct_convert(student, NULL), test);
        }
        printf("int8 model: accuracy %.4f by labels alone, %.4f by labels and teacher\n", score[0],
               score[1]);
    }
    bool failed = score[0] < 0 || score[1] < 0;
    if (failed) fprintf(stderr, "%s\n", oct_error_message());
    oct_close(ctx);
    return failed;
}
