/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tce-image can do. Each prints what it did, and returns 0 or a negative status.
 */
#ifndef TCE_TOOLS_IMAGE_H
#define TCE_TOOLS_IMAGE_H

#include "message.h"

/* An image from the JSON that tce-dump prints. */
int image_from_json(const char *name, const char *output, struct tce_error *err);

/* One image of the tables of several sources; @names ends with NULL. */
int merge_images(char *const *names, const char *output, struct tce_error *err);

/* An image for each table of a source, in a folder. */
int split_image(const char *name, const char *folder, struct tce_error *err);

#endif /* TCE_TOOLS_IMAGE_H */
