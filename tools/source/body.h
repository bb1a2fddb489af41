/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is around a stream in a file: libvirt's header, and the compression that it or somebody else
 * chose. gzip and zstd are undone by their libraries, the others by their programs, as libvirt
 * does it.
 */
#ifndef TCE_TOOLS_BODY_H
#define TCE_TOOLS_BODY_H

#include "input.h"

struct body;

/* Does a file that begins so have a stream in it, which is compressed or has libvirt's header? */
bool has_body(const uint8_t *head, size_t len);

/**
 * open_body() - find the stream in whatever a file begins with
 * @body: receives it; free it with close_body().
 * @file: the file. What is behind it must outlive the body.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int open_body(struct body **body, const struct tce_source *file, struct tce_error *err);

/* The stream as a source. */
struct tce_source body_source(struct body *body);

/**
 * finish_body() - after the source has failed or has been read to its end: was the body whole?
 * @body: the body.
 * @ret: what reading the stream returned, with @err filled in if that is negative.
 * @err: what failed; says so instead if it was the compression.
 *
 * Return: @ret, or a negative status.
 */
int finish_body(struct body *body, int ret, struct tce_error *err);

/* Free a body, or NULL. */
void close_body(struct body *body);

#endif /* TCE_TOOLS_BODY_H */
