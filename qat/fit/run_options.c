/* SPDX-License-Identifier: MIT
 * The options that a run was made by, handed back: what lets a resumed run do without them. */
#include <string.h>

#include "qat/fit/run_files.h"
#include "src/format/json.h"
#include "src/mem.h"
#include "src/words.h"

/* Texts as they are, all else as JSON writes it. */
static int hand(const cJSON *item, oct_run_option_fn fn, void *user) {
    if (cJSON_IsString(item)) return fn(user, item->string, item->valuestring);
    char *text = cJSON_PrintUnformatted(item);
    int stop = text ? fn(user, item->string, text) : 0;
    cJSON_free(text);
    return stop;
}

oct_status oct_run_options(oct_ctx *ctx, const char *dir, oct_run_option_fn fn, void *user,
                           int *stopped) {
    if (!ctx || !dir || !fn) return octi_fail_null("oct_run_options");
    char *text = NULL;
    cJSON *root = NULL;
    octi_run *run = octi_run_open(ctx, dir);
    if (!run) return oct_last_error()->code;
    oct_status s = octi_run_read_config(ctx, octi_run_folder(run), &text);
    if (s == OCT_OK && text)
        s = octi_json_parse(ctx, text, strlen(text), octi_fmt("%s/config.json", dir), &root);
    octi_run_close(run);
    octi_free(ctx, text);
    if (s != OCT_OK) return s;
    int stop = 0;
    const cJSON *item, *command = octi_json_get(root, "command");
    const cJSON *own[] = {octi_json_get(root, "seed"),
                          octi_json_get(octi_json_get(root, "fit"), "epochs")};
    cJSON_ArrayForEach(item, command) if (!stop) stop = hand(item, fn, user);
    for (int i = 0; i < 2 && !stop; i++)
        if (own[i] && !octi_json_get(command, own[i]->string)) stop = hand(own[i], fn, user);
    octi_json_free(root);
    if (stopped) *stopped = stop;
    return OCT_OK;
}
