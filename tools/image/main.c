// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-image: make TCE images from JSON, from several images, or from the parts of one.
 */
#include <string.h>

#include "cli.h"
#include "image/image.h"

struct options {
	const char *output;
};

static const struct cli_option option_table[] = {
	{ CLI_TEXT, 'o', "output", "PATH",
	  .help = "the image to write (- for standard output), or the folder",
	  .place = offsetof(struct options, output) },
};

static const struct cli cli = {
	.name = "tce-image",
	.usage =
		(const char *const[]){
			"from-json -o IMAGE JSON",
			"merge -o IMAGE SOURCE...",
			"split -o FOLDER SOURCE",
			NULL,
		},
	.about =
		"Make a TCE image from the JSON that tce-dump prints, one image from the tables of "
		"several sources, or one for each table of a source. A source is anything that "
		"tce-dump reads, - for standard input.",
	.options = option_table,
	.count = ARRAY_SIZE(option_table),
};

static int run_from_json(char *const *names, const char *output, struct tce_error *err)
{
	return image_from_json(*names, output, err);
}

static int run_split(char *const *names, const char *output, struct tce_error *err)
{
	return split_image(*names, output, err);
}

static const struct command {
	const char *name;
	int (*run)(char *const *names, const char *output, struct tce_error *err);
	bool several; /* inputs; the others have one */
} commands[] = {
	{ "from-json", run_from_json, false },
	{ "merge", merge_images, true },
	{ "split", run_split, false },
};

/* Return: the command, or NULL after a message about the command line. */
static const struct command *find_command(char *const *operands)
{
	size_t i;

	if (!operands[0]) {
		misuse("one of from-json, merge and split must be given");
		return NULL;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(operands[0], commands[i].name))
			break;
	if (i == ARRAY_SIZE(commands)) {
		misuse("'%s' is not from-json, merge or split", operands[0]);
		return NULL;
	}
	if (operands[1] && (commands[i].several || !operands[2]))
		return &commands[i];
	misuse(commands[i].several ? "%s: one or more sources are needed" :
				     "%s: one input is needed",
	       operands[0]);
	return NULL;
}

int main(int argc, char **argv)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct options options = { 0 };
	const struct command *command;
	char **operands;
	int ret;

	begin_program(cli.name);
	ret = cli_parse(&cli, &options, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	command = find_command(operands);
	if (!command)
		return EXIT_MISUSE;
	if (!options.output)
		return misuse("--output is needed");
	ret = command->run(operands + 1, options.output, &err);
	return ret < 0 ? print_error(&err) : finish_output(EXIT_DONE);
}
