/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tap's interface, for the two sides of a move. Functions return 0 or -1 after a message.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>

#include "kvm-plugin.h"

/* Linux 6.2 and later have these. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_VERSION 1
#define TUN_DEVICE  "/dev/net/tun"
/* What TUNSETIFF takes: drivers/net/tun.c, TUN_FEATURES and the kind. */
#define TAP_FLAGS                                                                          \
	(IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NAPI | \
	 IFF_NAPI_FRAGS)

/* Return: a socket for questions about interfaces, or -1. */
int open_interfaces(void);
/* Read the interface behind @fd into @tap, or make the interface like @tap. */
int read_interface(KvmCriu__Tap *tap, int fd);
int write_interface(const KvmCriu__Tap *tap, int fd);
/* Count the queues that a tap has open, if it is of the kind that has several; else none. */
int count_queues(const char *name, unsigned int *count);
/* Set what each queue may set again. */
int write_queue(const KvmCriu__Tap *tap, int fd);

#endif /* TAP_H */
