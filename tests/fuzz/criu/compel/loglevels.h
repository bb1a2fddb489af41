/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the plugin needs of CRIU's headers, for a build where there are none. */
#ifndef FUZZ_LOGLEVELS_H
#define FUZZ_LOGLEVELS_H

enum { COMPEL_LOG_ERROR = 1, COMPEL_LOG_WARN, COMPEL_LOG_INFO };

#endif /* FUZZ_LOGLEVELS_H */
