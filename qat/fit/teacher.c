/* SPDX-License-Identifier: MIT
 * Runs the teacher on each batch of a training, and mixes what it says into the loss. */
#include "qat/fit/teacher.h"

#include <string.h>

#include "autograd/tape.h"

/* Shapes but for the batch. */
static bool same_image(const oct_shape *a, const oct_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 1; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

static oct_status same_input(const oct_input_desc *s, const oct_input_desc *t) {
    /* not described: the shapes say what there is to say */
    if (!s->channels || !t->channels) return OCT_OK;
    bool same = s->div == t->div && (s->channels == 1 || s->color == t->color);
    for (int32_t i = 0; i < s->channels && same; i++)
        same = s->mean[i] == t->mean[i] && s->std[i] == t->std[i];
    return same ? OCT_OK
                : octi_fail(OCT_EUSAGE, "teacher", "pixels become its input in another way",
                            "the student's div, mean, std and colors", NULL,
                            "oct_net_describe gives the student the teacher's");
}

oct_status octi_teacher_check(const oct_net *student, const oct_net *teacher) {
    if (student == teacher)
        return octi_fail(OCT_EUSAGE, "teacher", "is the net that learns", "another net", NULL,
                         NULL);
    const oct_graph *s = student->graph, *t = teacher->graph;
    const struct {
        const char *what;
        int32_t of_student, of_teacher;
    } sides[2] = {{"input of the teacher", s->input, t->input},
                  {"output of the teacher", s->output, t->output}};
    for (int i = 0; i < 2; i++) {
        const oct_shape *a = &s->values[sides[i].of_student].shape,
                        *b = &t->values[sides[i].of_teacher].shape;
        if (!same_image(a, b))
            return octi_fail(OCT_ESHAPE, sides[i].what, "is not the student's", oct_shape_text(a),
                             oct_shape_text(b), NULL);
    }
    bool named = !oct_classes_unnamed(student->classes, student->class_count) &&
                 !oct_classes_unnamed(teacher->classes, teacher->class_count);
    /* without names there is nothing to compare */
    int32_t n = named && student->class_count == teacher->class_count ? student->class_count : 0;
    for (int32_t i = 0; i < n; i++)
        if (strcmp(student->classes[i].id, teacher->classes[i].id) &&
            strcmp(student->classes[i].name, teacher->classes[i].name))
            return octi_fail(OCT_EUSAGE, octi_fmt("class %d of the teacher", i),
                             "is not the student's", student->classes[i].name,
                             teacher->classes[i].name,
                             "both need the same classes in the same order");
    return same_input(&student->input, &teacher->input);
}

oct_var *octi_teacher_loss(oct_runner *teacher, const oct_tensor *x, oct_var *logits,
                           oct_var *label_loss, float temperature, float weight) {
    if (!logits || !label_loss) return NULL;
    if (weight == 0) return label_loss;
    const oct_tensor *t = oct_runner_run(teacher, x);
    if (!t) return octi_tape_failed(oct_var_tape(logits));
    return oct_mix(oct_distill_loss(logits, t, temperature), label_loss, weight);
}
