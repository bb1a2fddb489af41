/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the proxy listens and where it connects to: unix:PATH, tcp:HOST:PORT, fd:N.
 */
#ifndef TCE_TOOLS_ADDRESS_H
#define TCE_TOOLS_ADDRESS_H

#include "message.h"

/**
 * struct listener - a socket that connections are taken from
 * @fd: the socket, or -1.
 * @single: it is one connection, and not a listening socket.
 * @path: of a unix socket that is to be removed, or NULL.
 */
struct listener {
	int fd;
	bool single;
	const char *path;
};

/**
 * check_address() - does it look like an address?
 * @option: the option that has it, for the message.
 * @address: the address.
 *
 * Return: true, or false after a message.
 */
bool check_address(const char *option, const char *address);

/**
 * open_listener() - listen
 * @listener: filled in; free it with close_listener().
 * @address: must outlive the listener.
 * @err: what failed.
 *
 * A unix socket is its owner's only. One that is there already is left alone: whether somebody
 * listens could only be found out by a connection, which would be taken for a migration.
 *
 * Return: 0, or %TCE_ERR_IO.
 */
int open_listener(struct listener *listener, const char *address, struct tce_error *err);

/**
 * close_listener() - stop to listen
 * @listener: from open_listener(), or with an @fd of -1.
 */
void close_listener(struct listener *listener);

/**
 * take_connection() - take a connection
 * @listener: is not ready only by mistake.
 *
 * Return: the connection, or a negative errno.
 */
int take_connection(struct listener *listener);

/**
 * connect_to() - connect
 * @address: where to. A connection that is handed over, as fd:N, can be used once.
 * @err: what failed.
 *
 * Return: the connection, or %TCE_ERR_IO.
 */
int connect_to(const char *address, struct tce_error *err);

#endif /* TCE_TOOLS_ADDRESS_H */
