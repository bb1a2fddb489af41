/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input that can be looked at before it is read, and scratch files.
 */
#ifndef TCE_TOOLS_INPUT_H
#define TCE_TOOLS_INPUT_H

#include "message.h"

/**
 * open_scratch() - make an unnamed temporary file
 *
 * In $TMPDIR, else /var/tmp, else /tmp, else in memory.
 *
 * Return: a file descriptor, or a negative errno.
 */
int open_scratch(void);

#define AHEAD_MAX 4096 /* bytes that are read ahead */

/**
 * struct input - a file or standard input, the beginning of which can be looked at
 * @fd: what is read.
 * @name: for messages; not owned.
 * @again: it can be read a second time.
 * @start: position that rewind_input() goes back to.
 * @buf: bytes read ahead. Payloads are far larger, and go past it.
 * @begin: first byte of @buf not yet handed out.
 * @end: one past the last byte in @buf.
 */
struct input {
	int fd;
	const char *name;
	bool again;
	off_t start;
	uint8_t buf[AHEAD_MAX];
	size_t begin;
	size_t end;
};

/**
 * open_input() - open a file to read
 * @input: receives the input; free it with close_input().
 * @name: the file's name, or "-" for standard input. Must outlive the input.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_IO, or %TCE_ERR_NOMEM.
 */
int open_input(struct input **input, const char *name, struct tce_error *err);

/**
 * skip_input() - begin further on
 * @input: the input, from which nothing has been read.
 * @offset: bytes to pass over. A file's end may be before that; then the input is empty.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_TORN for a pipe that ends before, or %TCE_ERR_IO.
 */
int skip_input(struct input *input, uint64_t offset, struct tce_error *err);

/**
 * keep_input() - see to it that an input can be rewound
 * @input: the input, from which nothing has been taken. A pipe is read to its end, into a scratch
 *	file.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_IO.
 */
int keep_input(struct input *input, struct tce_error *err);

/**
 * peek_input() - look at the first bytes without taking them
 * @input: the input, from which nothing has been read.
 * @len: how many, at most %AHEAD_MAX.
 * @got: receives how many there are; fewer than @len only when the input is that short.
 * @err: what failed.
 *
 * Return: the bytes, or NULL.
 */
const uint8_t *peek_input(struct input *input, size_t len, size_t *got, struct tce_error *err);

/**
 * input_source() - an input as a source of libtce
 * @input: must outlive the source.
 *
 * Return: the source.
 */
struct tce_source input_source(struct input *input);

/**
 * rewind_input() - go back to the beginning
 * @input: the input.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_IO for what can be read only once.
 */
int rewind_input(struct input *input, struct tce_error *err);

/**
 * check_input_end() - nothing may follow an image that has been read to its end
 * @input: the input.
 * @err: what follows, or that it is not known.
 *
 * Return: 0, %TCE_ERR_CORRUPT, or %TCE_ERR_IO.
 */
int check_input_end(struct input *input, struct tce_error *err);

/**
 * close_input() - free an input
 * @input: from open_input(), or NULL.
 */
void close_input(struct input *input);

#endif /* TCE_TOOLS_INPUT_H */
