/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the plugin's code has of CRIU, for a program without CRIU around it.
 */
#ifndef STAND_IN_H
#define STAND_IN_H

/* From now on that is where images are. Returns 0, or -1 with errno. */
int open_image_dir(const char *path);

#endif /* STAND_IN_H */
