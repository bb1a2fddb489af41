/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of every tool: a table of options, from which --help is printed and the
 * arguments are read.
 */
#ifndef TCE_TOOLS_CLI_H
#define TCE_TOOLS_CLI_H

#include <stddef.h>

#include "message.h"

/* What cli_parse() returns when the tool is to go on: no exit code. */
#define CLI_GO (-1)

/**
 * enum cli_kind - what an option does
 * @CLI_GROUP: nothing: a heading in --help.
 * @CLI_FLAG: sets a bool.
 * @CLI_NUMBER: its argument is a number, for a &struct cli_number.
 * @CLI_TEXT: its argument is text, for a const char *.
 * @CLI_CHOICE: sets an int to the option's value. Of the options with one place only one may be
 *	given; those with an argument take it as @CLI_TEXT does, to their second place.
 * @CLI_CALL: its argument is handed to a function.
 */
enum cli_kind {
	CLI_GROUP,
	CLI_FLAG,
	CLI_NUMBER,
	CLI_TEXT,
	CLI_CHOICE,
	CLI_CALL,
};

/**
 * struct cli_number - a number that may be given
 * @given: it was.
 * @value: the number, or 0.
 */
struct cli_number {
	bool given;
	uint64_t value;
};

/**
 * struct cli_option - an option
 * @kind: what it does.
 * @letter: its one-letter name, or 0.
 * @name: its long name; of a group, the heading.
 * @argument: what its argument is called in --help, or NULL when it takes none.
 * @optional: the argument may be left out.
 * @help: what it does, in a few words.
 * @place: offset of what it sets in the values.
 * @text_place: of @CLI_CHOICE with an argument: offset of the const char *.
 * @min: smallest number.
 * @max: largest number.
 * @value: of @CLI_CHOICE.
 * @call: of @CLI_CALL: takes the values and the argument; returns 0, or an exit code.
 */
struct cli_option {
	enum cli_kind kind;
	char letter;
	const char *name;
	const char *argument;
	bool optional;
	const char *help;
	size_t place;
	size_t text_place;
	uint64_t min;
	uint64_t max;
	int value;
	int (*call)(void *values, const char *text);
};

/**
 * struct cli - a tool's command line
 * @name: the tool's name.
 * @usage: what may follow the name, a line for each way to call it; ends with NULL.
 * @about: what the tool does, a paragraph.
 * @options: its options, without --help, --quiet and --version, which all tools have.
 * @count: how many.
 * @after: what --help ends with, or NULL.
 */
struct cli {
	const char *name;
	const char *const *usage;
	const char *about;
	const struct cli_option *options;
	size_t count;
	const char *after;
};

/**
 * cli_parse() - read the arguments
 * @cli: the command line.
 * @values: what the options set; all zeros, or defaults.
 * @argc: as main() has it.
 * @argv: as main() has it; is put into another order.
 * @operands: receives the arguments that are no options; ends with NULL.
 *
 * Return: %CLI_GO, or an exit code when there is nothing more to do.
 */
int cli_parse(const struct cli *cli, void *values, int argc, char **argv, char ***operands);

/**
 * parse_number() - read a number, decimal or 0x hexadecimal
 * @text: all of it must be the number.
 * @max: largest number allowed.
 * @value: receives it.
 *
 * Return: false when @text is not such a number.
 */
bool parse_number(const char *text, uint64_t max, uint64_t *value);

#endif /* TCE_TOOLS_CLI_H */
