/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOLD_H
#define HOLD_H

#include "kvm-plugin.h"

/*
 * Take vhost-net from @process until standard input ends, or until this process is killed. The
 * guest has to be paused; if QMP's @socket is named, it is paused meanwhile. Says `held', or
 * `paused' if it has paused the guest, once that is done; standard output ends when all of it is
 * given back. 0, or -1 after a message, with everything as it was.
 */
int hold_vhosts(const struct kvm_process *process, const char *socket);

#endif /* HOLD_H */
