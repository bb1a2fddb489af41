/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON, read piece by piece: the tables of a large guest would not fit into memory as a tree.
 */
#ifndef TCE_TOOLS_JSON_H
#define TCE_TOOLS_JSON_H

#include "input.h"

/* The longest string that is read, and one more. */
#define JSON_STRING_SIZE 256

/**
 * struct json - a file of JSON
 * @file: the file.
 * @name: for messages.
 * @line: line that is being read.
 * @err: what failed first; every function returns false from then on.
 */
struct json {
	FILE *file;
	const char *name;
	unsigned long line;
	struct tce_error *err;
};

/**
 * struct json_place - a place in the file
 * @offset: in bytes.
 * @line: and its line.
 */
struct json_place {
	off_t offset;
	unsigned long line;
};

/**
 * fail_json() - say what is wrong with the text here
 * @json: the file.
 * @format: as for printf().
 *
 * Return: false.
 */
bool fail_json(struct json *json, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * begin_json_list() - an object or an array begins
 * @json: the file.
 * @bracket: '{' or '['.
 *
 * Return: false when it does not.
 */
bool begin_json_list(struct json *json, char bracket);

/**
 * next_json_element() - go to the next element of an array
 * @json: the file, after '[' or an element.
 * @first: set before the first call; is cleared.
 * @more: receives whether there is one.
 *
 * Return: false when the text is wrong.
 */
bool next_json_element(struct json *json, bool *first, bool *more);

/**
 * next_json_member() - go to the next member of an object
 * @json: the file, after '{' or a value.
 * @first: set before the first call; is cleared.
 * @key: receives its name, or an empty string at the end.
 *
 * Return: false when the text is wrong.
 */
bool next_json_member(struct json *json, bool *first, char key[JSON_STRING_SIZE]);

/*
 * Read one value. A number may be text, as 64-bit numbers are; @is_null may be NULL: not allowed.
 */
bool read_json_string(struct json *json, char *buf, size_t size);
bool read_json_number(struct json *json, uint64_t *value, bool *is_null);
bool read_json_bool(struct json *json, bool *value);

/**
 * skip_json_value() - go over a value of any kind
 * @json: the file.
 *
 * Return: false when the text is wrong.
 */
bool skip_json_value(struct json *json);

/* Where the file stands, and going there again. */
bool get_json_place(struct json *json, struct json_place *place);
bool go_to_json_place(struct json *json, const struct json_place *place);

/* Nothing but blanks may follow. */
bool end_json(struct json *json);

#endif /* TCE_TOOLS_JSON_H */
