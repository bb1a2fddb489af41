/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a tool says: errors, notes and results. All of it goes through one place, where nothing
 * that a file, a stream or a process said reaches a terminal as it is.
 */
#ifndef TCE_TOOLS_MESSAGE_H
#define TCE_TOOLS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tce.h"

/* Exit codes of all tools. */
#define EXIT_DONE   0
#define EXIT_FAILED 1
#define EXIT_MISUSE 2

/* Exit codes of questions, as diff(1), cmp(1) and grep(1) have them. */
#define EXIT_NO	      1 /* the tables differ; nothing was found */
#define EXIT_TROUBLE  2 /* the answer is not known */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The first character that takes two units of UTF-16, and four bytes of UTF-8. */
#define UTF16_PAIRS 0x10000U

/* "LIOBN 0x", 16 digits, " of VM ", 20 digits, NUL */
#define TABLE_NAME_SIZE 52

/* Set once by begin_program(). */
extern const char *program;

/* Notes, results and progress are not wanted: --quiet. */
extern bool quiet;

/**
 * begin_program() - what every tool does first
 * @name: its name.
 *
 * Takes the locale of the environment for characters. Sees that file descriptors 0 to 2 are in use:
 * where one is closed, the next file opened would take its place, and what is printed would land in
 * that file. A descriptor put there fails as a closed one does. Children can be waited for.
 */
void begin_program(const char *name);

/**
 * print_error() - say on stderr what failed
 * @err: a filled-in error.
 *
 * Return: %EXIT_FAILED.
 */
int print_error(const struct tce_error *err);

/**
 * print_note() - say something on stderr that is no error, unless --quiet
 * @format: as for printf(), without a newline.
 */
void print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * print_warning() - say something on stderr that --quiet does not silence
 * @format: as for printf(), without a newline.
 */
void print_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * print_result() - say on stdout what was done, unless --quiet
 * @format: as for printf(), without a newline.
 */
void print_result(const char *format, ...) __attribute__((format(printf, 1, 2)));

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
 * no_memory() - the error for memory that could not be had
 * @err: filled in.
 * @what: what it was for: "a list of tables".
 *
 * Return: %TCE_ERR_NOMEM.
 */
int no_memory(struct tce_error *err, const char *what);

/**
 * print_text() - print text from an untrusted place
 * @out: where to.
 * @text: what does not show in this locale, and what would change the order in which the rest is
 *	shown, is printed as \xHH, byte by byte.
 */
void print_text(FILE *out, const char *text);

/**
 * print_json_string() - print text as a JSON string
 * @out: where to.
 * @text: taken for UTF-8. Characters beyond ASCII are printed as \uHHHH, so that no locale and no
 *	terminal matters; a byte that is no UTF-8 becomes \udcHH, as in Python's "surrogateescape".
 */
void print_json_string(FILE *out, const char *text);

/**
 * print_json_name() - print which table it is, as members of a JSON object
 * @geometry: header of the table. What is not known is null.
 */
void print_json_name(const struct tce_geometry *geometry);

/**
 * format_table() - a table's name for people: its LIOBN, which may be unknown, and its VM, if named
 * @geometry: header of the table.
 * @buf: %TABLE_NAME_SIZE bytes.
 *
 * Return: @buf.
 */
const char *format_table(const struct tce_geometry *geometry, char *buf);

/**
 * knows_ioba() - can bus addresses be told for a table?
 * @geometry: header of the table.
 *
 * Return: whether its page shift and bus offset are known.
 */
bool knows_ioba(const struct tce_geometry *geometry);

/**
 * finish_output() - see that what was printed has arrived
 * @code: exit code so far.
 *
 * Return: @code, or %EXIT_FAILED after a message when stdout could not be written.
 */
int finish_output(int code);

#endif /* TCE_TOOLS_MESSAGE_H */
