// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-restore: put the tables of a TCE image into the live tables of a VMM, all of them or none.
 *
 * The image is read twice: the first time to see that it is not torn and that every table of it
 * has a table to go to, with the same geometry. That is a matter of its records; words are
 * verified when they are read, once, to be written. Before the first of them is, what the live
 * tables hold is saved to a scratch image; when some are damaged, or the kernel refuses an entry,
 * that is put back. A second process, the guard, does so when the first one is killed.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restore/restore.h"
#include "vmm.h"

static int add_mapping(void *values, const char *text)
{
	struct options *options = values;
	struct mapping *mapping = &options->mappings[options->mapping_count];
	const char *equals = strchr(text, '=');
	char from[32];
	size_t i;

	if (options->mapping_count == MAPPINGS_MAX)
		return misuse("--map-liobn: more than %u times", MAPPINGS_MAX);
	if (!equals || (size_t)(equals - text) >= sizeof(from))
		return misuse("--map-liobn: '%s' is not LIOBN=LIOBN", text);
	memcpy(from, text, (size_t)(equals - text));
	from[equals - text] = '\0';
	if (!parse_number(from, UINT64_MAX, &mapping->from) ||
	    !parse_number(equals + 1, UINT64_MAX, &mapping->to))
		return misuse("--map-liobn: '%s' is not LIOBN=LIOBN", text);
	for (i = 0; i < options->mapping_count; i++) {
		if (options->mappings[i].from == mapping->from)
			return misuse("--map-liobn: 0x%" PRIx64 " is mapped twice", mapping->from);
	}
	options->mapping_count++;
	return 0;
}

#define PLACE(member) offsetof(struct options, member)

static const struct cli_option option_table[] = {
	{ CLI_GROUP, .name = "Where to" },
	{ CLI_NUMBER, 0, "pid", "PID", .help = "the tables of a running VMM", .place = PLACE(pid),
	  .min = 1, .max = INT_MAX },
	{ CLI_NUMBER, 0, "fd", "N",
	  .help = "the table that is fd N of the VMM, or of tce-restore itself", .place = PLACE(fd),
	  .max = INT_MAX },
	{ CLI_CALL, 0, "map-liobn", "A=B",
	  .help = "table A of the image goes to table B; may be repeated", .call = add_mapping },
	{ CLI_GROUP, .name = "What" },
	{ CLI_NUMBER, 0, "liobn", "LIOBN", .help = "only this table of the image",
	  .place = PLACE(liobn), .max = UINT64_MAX },
	{ CLI_NUMBER, 0, "vm", "N",
	  .help = "only tables of this virtual machine, of an image of several", .place = PLACE(vm),
	  .max = UINT64_MAX },
	{ CLI_FLAG, 0, "dry-run", .help = "check everything, write nothing",
	  .place = PLACE(dry_run) },
	{ CLI_FLAG, 0, "json", .help = "report as JSON what was restored", .place = PLACE(json) },
	{ CLI_GROUP, .name = "To say what the image does not know" },
	GEOMETRY_OPTIONS(struct options),
};

static const struct cli cli = {
	.name = "tce-restore",
	.usage =
		(const char *const[]){
			"[OPTIONS] --pid PID IMAGE",
			"[OPTIONS] --fd N IMAGE",
			NULL,
		},
	.about = "Put the TCE tables of IMAGE (- for standard input) into a running VMM: all of "
		 "them, or none.",
	.options = option_table,
	.count = ARRAY_SIZE(option_table),
};

/* Return: CLI_GO, or an exit code. */
static int parse_options(struct options *options, int argc, char **argv)
{
	char **operands;
	int ret;

	ret = cli_parse(&cli, options, argc, argv, &operands);
	if (ret != CLI_GO)
		return ret;
	if (!options->pid.given && !options->fd.given)
		return misuse("--pid or --fd is needed");
	if (!operands[0] || operands[1])
		return misuse("one image is needed");
	options->image = operands[0];
	take_stated(&options->stated, &options->by_hand);
	if (!options->pid.given)
		return check_fd_number((int)options->fd.value);
	return CLI_GO;
}

/* What is known of the live table, as a member of a JSON object. */
static void print_json_target(const struct restore *restore, const struct target *target)
{
	const struct tce_geometry *to = tce_table_geometry(target->table);

	printf("{");
	print_json_name(&target->saved);
	printf(", \"used\": %" PRIu64 ", \"entries\": %" PRIu64 ", \"into\": {",
	       target->loaded.used, target->saved.entries);
	print_json_name(to);
	printf(", \"origin\": ");
	print_json_string(stdout, to->origin);
	printf("}}");
}

static void print_json_plan(const struct restore *restore)
{
	const char *before = "\n\t\t";
	size_t i;

	printf("{\n\t\"image\": ");
	print_json_string(stdout, restore->input->name);
	printf(",\n\t\"restored\": %s,\n\t\"tables\": [",
	       restore->options->dry_run ? "false" : "true");
	for (i = 0; i < restore->count; i++) {
		if (!restore->targets[i].chosen)
			continue;
		printf("%s", before);
		print_json_target(restore, &restore->targets[i]);
		before = ",\n\t\t";
	}
	printf("\n\t]\n}\n");
}

static void print_plan(const struct restore *restore)
{
	const char *what = restore->options->dry_run ? "would go into" : "restored into";
	char name[TABLE_NAME_SIZE], live[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i < restore->count; i++) {
		const struct target *target = &restore->targets[i];
		const struct tce_geometry *to;

		if (!target->chosen)
			continue;
		to = tce_table_geometry(target->table);
		print_result("%s: %" PRIu64 " of %" PRIu64 " entries %s %s%s%s%s",
			     format_table(&target->saved, name), target->loaded.used,
			     target->saved.entries, what, to->origin,
			     to->known & TCE_KNOWN_LIOBN ? " (" : "",
			     to->known & TCE_KNOWN_LIOBN ? format_table(to, live) : "",
			     to->known & TCE_KNOWN_LIOBN ? ")" : "");
	}
}

/* Return: an exit code. */
static int run(struct options *options)
{
	struct restore restore = { .options = options, .scratch = -1 };
	struct tce_error err = TCE_ERROR_INIT;
	int code, ret;

	ret = open_input(&restore.input, options->image, &err);
	if (!ret)
		ret = keep_input(restore.input, &err);
	if (!ret)
		ret = check_image(&restore, &err);
	if (!ret)
		ret = open_target(&restore, &err);
	if (!ret)
		ret = find_targets(&restore, &err);
	if (ret < 0)
		print_error(&err);
	if (!ret && !options->dry_run)
		ret = restore_tables(&restore);
	if (!ret && options->json)
		print_json_plan(&restore);
	else if (!ret)
		print_plan(&restore);
	code = finish_output(ret < 0 ? EXIT_FAILED : EXIT_DONE);
	/* Otherwise a failure means that the tables are as they were. */
	if (!ret && code != EXIT_DONE && !options->dry_run)
		print_warning("every table is restored all the same");
	allow_signals(&restore);

	if (restore.scratch >= 0)
		close(restore.scratch);
	free(restore.targets);
	tce_close_table(restore.own);
	tce_close_vmm(restore.vmm);
	close_input(restore.input);
	return code;
}

int main(int argc, char **argv)
{
	static struct options options;
	int ret;

	begin_program(cli.name);
	ret = parse_options(&options, argc, argv);
	if (ret != CLI_GO)
		return ret;
	return run(&options);
}
