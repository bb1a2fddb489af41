/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A proxy between two QEMUs, one at each end of a migration.
 */
#ifndef TCE_TOOLS_PROXY_H
#define TCE_TOOLS_PROXY_H

#include "stream/stream.h"

/**
 * run_proxy() - take the connections of one migration, and treat the streams in them
 * @job: the command line: where to listen and to connect, and what to do with streams.
 *
 * Of each connection, what comes is handed on: packed or unpacked when it begins as such a stream
 * does, else as it is. What goes back is handed back as it is. An end that dies is an end that has
 * died for the other one. Prints what fails.
 *
 * Return: an exit code.
 */
int run_proxy(struct job *job);

#endif /* TCE_TOOLS_PROXY_H */
