/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOLD_H
#define HOLD_H

#include "kvm-plugin.h"

/*
 * Have vhost-net taken from @process until standard input ends, or until this process is killed.
 * The guest has to be paused; if QMP's @socket is named, it is paused meanwhile. Standard output
 * gets `held', or `paused' if the guest was paused for it, once that is done, or an empty line
 * after a message; it ends when all of it is given back. 0, or -1 after a message if nothing was
 * tried.
 */
int hold_vhosts(const struct kvm_process *process, const char *socket);

#endif /* HOLD_H */
