/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the kernel's asynchronous I/O. Functions return -1 with errno.
 */
#ifndef ODD_AIO_H
#define ODD_AIO_H

/* Make a context; with a @path also keep requests to that file or device in flight. */
int start_aio(const char *path);
/* How many have ended since the last call. Each is begun again. */
int take_aio(void);

#endif /* ODD_AIO_H */
