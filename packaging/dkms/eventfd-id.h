/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An eventfd's context, which is private to fs/eventfd.c; layout.c compares it with vmlinux's. */
#ifndef EVENTFD_ID_H
#define EVENTFD_ID_H

#include <linux/kref.h>
#include <linux/wait.h>

struct eventfd_ctx {
	struct kref kref;
	wait_queue_head_t wqh;
	__u64 count;
	unsigned int flags;
	int id;
};

#endif
