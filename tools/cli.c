// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line of every tool.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* --help: where the descriptions begin, and where they end. */
#define HELP_COLUMN 24
#define HELP_WIDTH  80

#define OPTIONS_MAX 48

/* What getopt_long() returns for the options of the table; letters are below. */
#define FIRST_OPTION 256

/* All tools have these, after their own. */
enum common {
	COMMON_HELP,
	COMMON_QUIET,
	COMMON_VERSION,
	COMMON_COUNT,
};

static const struct cli_option common[COMMON_COUNT] = {
	[COMMON_HELP] = { CLI_FLAG, 'h', "help", .help = "this text" },
	[COMMON_QUIET] = { CLI_FLAG, 'q', "quiet", .help = "say nothing but errors" },
	[COMMON_VERSION] = { CLI_FLAG, 'V', "version", .help = "the version" },
};

bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	/* strtoull() would take blanks and signs. */
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, hex ? 16 : 10);
	return !errno && !*end && *value <= max;
}

/* An option by its number: first the tool's own, then those of all tools. */
static const struct cli_option *get_option(const struct cli *cli, size_t number)
{
	return number < cli->count ? &cli->options[number] : &common[number - cli->count];
}

static void print_wrapped(const char *text, size_t indent)
{
	size_t column = indent, n;

	while (*text) {
		n = strcspn(text, " ");
		if (column > indent && column + 1 + n > HELP_WIDTH) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)n, text);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct cli_option *option)
{
	int n;

	if (option->kind == CLI_GROUP) {
		printf("\n%s:\n", option->name);
		return;
	}
	if (option->letter)
		n = printf("  -%c, --%s", option->letter, option->name);
	else
		n = printf("      --%s", option->name);
	if (option->argument)
		n += printf(option->optional ? "[=%s]" : " %s", option->argument);
	if (n + 1 > HELP_COLUMN) {
		putchar('\n');
		n = 0;
	}
	printf("%*s", HELP_COLUMN - n, "");
	print_wrapped(option->help, HELP_COLUMN);
}

static void print_help(const struct cli *cli)
{
	size_t i;

	for (i = 0; cli->usage[i]; i++)
		printf("%s %s %s\n", i ? "      " : "Usage:", cli->name, cli->usage[i]);
	print_wrapped(cli->about, 0);
	if (cli->count && cli->options[0].kind != CLI_GROUP)
		putchar('\n');
	for (i = 0; i < cli->count; i++)
		print_option(&cli->options[i]);
	putchar('\n');
	for (i = 0; i < COMMON_COUNT; i++)
		print_option(&common[i]);
	if (cli->after)
		printf("\n%s", cli->after);
}

static int set_number(const struct cli_option *option, struct cli_number *number, const char *text)
{
	if (!parse_number(text, option->max, &number->value) || number->value < option->min)
		return misuse("--%s: '%s' is not a number from %" PRIu64 " to %" PRIu64,
			      option->name, text, option->min, option->max);
	number->given = true;
	return 0;
}

/* "--a, --b and --c": the options that choose among one place's values. */
static void list_choices(const struct cli *cli, size_t place, char *buf, size_t size)
{
	const struct cli_option *last = NULL;
	size_t i, used = 0;

	for (i = 0; i < cli->count; i++) {
		if (cli->options[i].kind != CLI_CHOICE || cli->options[i].place != place)
			continue;
		if (last && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s--%s",
						 used ? ", " : "", last->name);
		last = &cli->options[i];
	}
	if (last && used < size)
		snprintf(buf + used, size - used, " and --%s", last->name);
}

static int set_choice(const struct cli *cli, const struct cli_option *option, void *values,
		      const char *text)
{
	int *choice = (void *)((char *)values + option->place);
	char list[256];

	if (*choice) {
		list_choices(cli, option->place, list, sizeof(list));
		return misuse("only one of %s at a time", list);
	}
	*choice = option->value;
	if (option->argument)
		memcpy((char *)values + option->text_place, &text, sizeof(text));
	return 0;
}

/* Return: 0, or an exit code. */
static int take_option(const struct cli *cli, const struct cli_option *option, void *values,
		       const char *text)
{
	void *place = (char *)values + option->place;

	/* A folder without a name would be the root of all. */
	if (text && !*text)
		return misuse("--%s: its argument is empty", option->name);
	switch (option->kind) {
	case CLI_FLAG:
		*(bool *)place = true;
		return 0;
	case CLI_NUMBER:
		return set_number(option, place, text);
	case CLI_TEXT:
		memcpy(place, &text, sizeof(text));
		return 0;
	case CLI_CHOICE:
		return set_choice(cli, option, values, text);
	case CLI_CALL:
		return option->call(values, text);
	case CLI_GROUP:
		break;
	}
	return misuse("that is not an option");
}

/* getopt_long() says '?' for several things: find out which. */
static int say_wrong_option(const struct cli *cli, const char *word)
{
	const struct cli_option *option, *found = NULL;
	char names[256] = "";
	size_t i, n, used = 0, count = 0;

	/* In a word of several letters, getopt_long() has not gone past the word yet. */
	if (optopt && optopt < FIRST_OPTION)
		return misuse("-%c: no such option", optopt);
	word += 2;
	n = strcspn(word, "=");
	for (i = 0; i < cli->count + COMMON_COUNT; i++) {
		option = get_option(cli, i);
		if (option->kind == CLI_GROUP || strncmp(option->name, word, n))
			continue;
		if (!option->name[n]) {
			found = option;
			count = 1;
			break;
		}
		found = option;
		count++;
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s--%s",
						 used ? ", " : "", option->name);
	}
	if (count > 1)
		return misuse("--%.*s is short for more than one option: %s", (int)n, word, names);
	if (found && word[n] == '=')
		return misuse("--%s takes no argument", found->name);
	return misuse("--%.*s: no such option", (int)n, word);
}

/* What getopt_long() needs to know of the options. */
struct getopt_tables {
	struct option longs[OPTIONS_MAX + 1];
	char letters[2 + 3 * OPTIONS_MAX];
};

static void fill_getopt_tables(const struct cli *cli, struct getopt_tables *tables)
{
	size_t i, n = 0, used = 0;

	memset(tables, 0, sizeof(*tables));
	/* Missing arguments are told from unknown options. */
	tables->letters[used++] = ':';
	for (i = 0; i < cli->count + COMMON_COUNT; i++) {
		const struct cli_option *option = get_option(cli, i);

		if (option->kind == CLI_GROUP)
			continue;
		tables->longs[n].name = option->name;
		tables->longs[n].has_arg = !option->argument ? no_argument :
					   option->optional  ? optional_argument :
							       required_argument;
		tables->longs[n++].val = FIRST_OPTION + (int)i;
		if (!option->letter)
			continue;
		tables->letters[used++] = option->letter;
		if (option->argument)
			tables->letters[used++] = ':';
	}
}

/* The option that getopt_long() has returned, by letter or number. */
static const struct cli_option *find_option(const struct cli *cli, int c)
{
	size_t i;

	if (c >= FIRST_OPTION)
		return get_option(cli, (size_t)(c - FIRST_OPTION));
	for (i = 0; get_option(cli, i)->letter != c; i++)
		;
	return get_option(cli, i);
}

int cli_parse(const struct cli *cli, void *values, int argc, char **argv, char ***operands)
{
	const struct cli_option *option;
	struct getopt_tables tables;
	int c, ret;

	fill_getopt_tables(cli, &tables);
	opterr = 0;
	while ((c = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		if (c == '?')
			return say_wrong_option(cli, argv[optind - 1]);
		option = find_option(cli, c == ':' ? optopt : c);
		if (c == ':')
			return misuse("--%s needs an argument: %s", option->name, option->argument);
		if (option == &common[COMMON_HELP]) {
			print_help(cli);
			return finish_output(EXIT_DONE);
		}
		if (option == &common[COMMON_VERSION]) {
			printf("%s %s\n", cli->name, TCE_VERSION);
			return finish_output(EXIT_DONE);
		}
		if (option == &common[COMMON_QUIET]) {
			quiet = true;
			continue;
		}
		ret = take_option(cli, option, values, optarg);
		if (ret)
			return ret;
	}
	*operands = argv + optind;
	return CLI_GO;
}
