/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the plugin needs of CRIU's headers, for a build where there are none. */
#ifndef FUZZ_CRIU_PLUGIN_H
#define FUZZ_CRIU_PLUGIN_H

int criu_get_image_dir(void);

#endif /* FUZZ_CRIU_PLUGIN_H */
