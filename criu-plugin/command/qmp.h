/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A few words with QEMU's monitor, at the unix socket @path. Errors have a message.
 */
#ifndef QMP_H
#define QMP_H

/* Does the guest run? 1, 0 or -1. */
int qmp_is_running(const char *path);
/*
 * Pause the guest. Return: 0, -1 if QEMU does not do it, or, if it has not answered for long, what
 * has become of the guest. QEMU does what it was asked for when it can.
 */
enum { QMP_GOES_ON = 1, QMP_STUCK };
int qmp_stop(const char *path);
/* A command without arguments: 0 or -1. */
int qmp_do(const char *path, const char *command);

#endif /* QMP_H */
