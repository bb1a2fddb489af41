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

/* Return: 0, or a negative status; 1 after a message about the command line. */
static int run(char **operands, const char *output, struct tce_error *err)
{
	const char *what = operands[0];

	operands++;
	if (!strcmp(what, "merge")) {
		if (!operands[0])
			return misuse("merge: one or more sources are needed") > 0;
		return merge_images(operands, output, err);
	}
	if (strcmp(what, "from-json") && strcmp(what, "split"))
		return misuse("'%s' is not from-json, merge or split", what) > 0;
	if (!operands[0] || operands[1])
		return misuse("%s: one input is needed", what) > 0;
	if (!strcmp(what, "split"))
		return split_image(operands[0], output, err);
	return image_from_json(operands[0], output, err);
}

int main(int argc, char **argv)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct options options = { 0 };
	char **operands;
	int ret;

	begin_program(cli.name);
	ret = cli_parse(&cli, &options, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	if (!operands[0])
		return misuse("one of from-json, merge and split must be given");
	if (!options.output)
		return misuse("--output is needed");
	ret = run(operands, options.output, &err);
	if (ret > 0)
		return EXIT_MISUSE;
	if (ret < 0)
		return print_error(&err);
	return finish_output(EXIT_DONE);
}
