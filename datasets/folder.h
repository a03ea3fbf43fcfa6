/* SPDX-License-Identifier: MIT
 * datasets/folder.h - a folder of images: what its three files share. folder_list.c reads
 * directories, folder_describe.c finds size and normalization, folder.c opens the set and gives its
 * images. */
#ifndef OCT_DATASETS_FOLDER_H
#define OCT_DATASETS_FOLDER_H

#include <stdatomic.h>

#include "datasets/set.h"

typedef struct octi_file_of_class {
    const char *path;
    int32_t label;
} octi_file_of_class;

typedef struct octi_files {
    octi_file_of_class *list;
    size_t count, cap;
} octi_files;

typedef struct octi_folder {
    const char *root;        /* real path: links may not lead out of it */
    octi_files files, train; /* train: where it is another part, and is looked at */
    /* left out: links that lead out of the root or nowhere, pictures of other formats */
    size_t links, others;
    const char *first_link, *first_other;
    uint8_t *cache;      /* NULL: decoded at every access */
    atomic_uchar *state; /* 0 absent, 1 being written, 2 there */
} octi_folder;

typedef struct octi_names {
    char **name;
    size_t count, cap;
} octi_names;

/** Names of the directories in a directory, sorted bytewise. */
oct_status octi_folder_dirs(oct_data *d, const char *path, octi_names *out);
/** The set's classes: opts', or one for each directory, by the names that classes.txt gives
 *  them. */
oct_status octi_folder_classes(oct_data *d, const octi_names *dirs, const oct_data_opts *opts,
                               const char *root);
/** The files of a part, class by class, each class sorted. A class of the training part without an
 *  image is OCT_EFORMAT. */
oct_status octi_folder_add(oct_data *d, const char *part, const octi_names *dirs, bool train,
                           octi_files *to);
/** root/WORD for the first of the words that is a directory; *part is NULL where none is. */
oct_status octi_folder_part(oct_data *d, const char *root, const char *const *words,
                            const char **part);
/** What was left out, as warnings. */
void octi_folder_tell(const oct_data *d);
/** d->input from the training part's files and opts; then the part and the limit. */
oct_status octi_folder_describe(oct_data *d, const octi_files *train, const octi_names *dirs,
                                const oct_data_opts *opts);
/** Sides of an image file. */
oct_status octi_folder_size(oct_data *d, const char *path, int32_t *width, int32_t *height);

#endif
