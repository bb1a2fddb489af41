// SPDX-License-Identifier: GPL-2.0-or-later
/* What the series adds to fs/eventfd.c, for a vmlinux without it. */
#include <linux/eventfd.h>

#include "eventfd-id.h"

int eventfd_ctx_id(const struct eventfd_ctx *ctx)
{
	return ctx->id;
}
