/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tools share: messages, numbers from the command line, input that can be looked at
 * before it is read, scratch files, progress on a terminal.
 */
#ifndef TCE_TOOLS_UTIL_H
#define TCE_TOOLS_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "tce.h"

/* Exit codes of all tools. */
#define EXIT_DONE	0
#define EXIT_FAILED	1	/* or: the tables differ */
#define EXIT_MISUSE	2

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Set once in main(). */
extern const char *program;

/**
 * print_error() - say on stderr what failed
 * @err: a filled-in error.
 *
 * Return: %EXIT_FAILED.
 */
int print_error(const struct tce_error *err);

/**
 * print_note() - say something on stderr that is no error
 * @format: as for printf(), without a newline.
 */
void print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * misuse() - say what is wrong with the command line
 * @format: as for printf(), without a newline.
 *
 * Return: %EXIT_MISUSE.
 */
int misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * name_error() - put a file's name into an error that has none
 * @err: the error.
 * @name: the name.
 */
void name_error(struct tce_error *err, const char *name);

/**
 * parse_number() - read a number, decimal or 0x hexadecimal
 * @text: all of it must be the number.
 * @max: largest number allowed.
 * @value: receives it.
 *
 * Return: false when @text is not such a number.
 */
bool parse_number(const char *text, uint64_t max, uint64_t *value);

/**
 * print_text() - print text from an untrusted place
 * @out: where to.
 * @text: control characters in it are printed as '?'.
 */
void print_text(FILE *out, const char *text);

/* "LIOBN 0x", 16 digits, NUL */
#define TABLE_NAME_SIZE	25

/**
 * format_table() - a table's name for people: its LIOBN, which may be unknown
 * @geometry: header of the table.
 * @buf: %TABLE_NAME_SIZE bytes.
 *
 * Return: @buf.
 */
const char *format_table(const struct tce_geometry *geometry, char *buf);

/**
 * finish_output() - see that what was printed has arrived
 * @code: exit code so far.
 *
 * Return: @code, or %EXIT_FAILED after a message when stdout could not be written.
 */
int finish_output(int code);

/**
 * open_scratch() - make an unnamed temporary file
 *
 * In $TMPDIR, else /var/tmp, else /tmp, else in memory.
 *
 * Return: a file descriptor, or a negative errno.
 */
int open_scratch(void);

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
	uint8_t buf[4096];
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
 * @len: how many, at most 4096.
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
 * close_input() - free an input
 * @input: from open_input(), or NULL.
 */
void close_input(struct input *input);

/**
 * struct meter - progress of a long job, shown when stderr is a terminal
 * @what: the table that is read or written.
 * @began: when.
 * @shown: when a line was shown last; 0 seconds before the first.
 */
struct meter {
	char what[TABLE_NAME_SIZE];
	struct timespec began;
	struct timespec shown;
};

/**
 * begin_meter() - start to measure progress
 * @meter: filled in.
 * @geometry: header of the table that is read or written.
 *
 * Return: what to hand to libtce.
 */
struct tce_progress begin_meter(struct meter *meter, const struct tce_geometry *geometry);

/**
 * end_meter() - wipe the line, if one was shown
 * @meter: from begin_meter().
 */
void end_meter(struct meter *meter);

#endif /* TCE_TOOLS_UTIL_H */
