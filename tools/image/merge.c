// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several images into one, and one into several.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "image/image.h"
#include "output.h"
#include "source/source.h"

/**
 * struct names - the tables that an image has got so far
 * @list: their headers.
 * @count: how many.
 */
struct names {
	struct tce_geometry *list;
	size_t count;
};

static int next_of_source(void *ctx, struct tce_extent *extent, struct tce_error *err)
{
	struct source *source = ctx;

	return source->ops->next_extent(source, extent, err);
}

static int copy_table(struct source *source, const struct tce_geometry *geometry,
		      struct tce_writer *writer, struct tce_error *err)
{
	const struct tce_extents entries = { .next = next_of_source, .ctx = source };

	return tce_copy_table(writer, geometry, &entries, NULL, err);
}

static int note_name(struct names *names, const struct tce_geometry *geometry,
		     struct tce_error *err)
{
	const size_t n = names->count;
	struct tce_geometry *grown;

	if (!(n & (n - 1))) {
		grown = realloc(names->list, (n ? 2 * n : 1) * sizeof(*grown));
		if (!grown)
			return no_memory(err, "a list of tables");
		names->list = grown;
	}
	names->list[names->count++] = *geometry;
	return TCE_OK;
}

static int compare_names(const void *a, const void *b)
{
	const struct tce_geometry *one = a, *two = b;
	const unsigned int one_known = one->known & TCE_KNOWN_LIOBN;
	const unsigned int two_known = two->known & TCE_KNOWN_LIOBN;

	if (one_known != two_known)
		return one_known ? 1 : -1;
	if (one->liobn != two->liobn)
		return one->liobn < two->liobn ? -1 : 1;
	if (one->has_vm != two->has_vm)
		return one->has_vm ? 1 : -1;
	return one->vm < two->vm ? -1 : one->vm > two->vm;
}

/*
 * Tables of one name could not be told apart when they are restored. In one image, that is so too
 * when one of two does not say of which VM it is; as files of their own they have different names.
 */
static int check_names(struct names *names, bool one_image, struct tce_error *err)
{
	char name[TABLE_NAME_SIZE];
	size_t i;

	if (names->count)
		qsort(names->list, names->count, sizeof(*names->list), compare_names);
	for (i = 0; i + 1 < names->count; i++) {
		const struct tce_geometry *table = &names->list[i];

		if (!(table->known & table[1].known & TCE_KNOWN_LIOBN))
			continue;
		if (!compare_names(table, table + 1))
			return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "%s is there twice",
					     format_table(table, name));
		/* Those without a VM come first. */
		if (one_image && table->liobn == table[1].liobn && !table->has_vm)
			return tce_set_error(err, TCE_ERR_NO_TABLE, 0,
					     "%s is there twice, once of an unknown VM",
					     format_table(table, name));
	}
	return TCE_OK;
}

static int add_source(const char *path, struct names *names, struct tce_writer *writer,
		      struct tce_error *err)
{
	struct tce_geometry geometry;
	struct source *source;
	int ret;

	ret = open_source(&source, path, false, err);
	if (ret < 0)
		return ret;
	while ((ret = source->ops->next_table(source, &geometry, err)) > 0) {
		ret = note_name(names, &geometry, err);
		if (!ret)
			ret = copy_table(source, &geometry, writer, err);
		if (ret < 0)
			break;
	}
	close_source(source);
	return ret;
}

int merge_images(char *const *paths, const char *path, struct tce_error *err)
{
	struct tce_writer *writer = NULL;
	struct names names = { 0 };
	struct output output;
	int ret;

	ret = open_output(&output, path, err);
	if (ret < 0)
		return ret;
	ret = tce_create_writer(&writer, &output.sink, "tce-image " TCE_VERSION, err);
	for (; !ret && *paths; paths++)
		ret = add_source(*paths, &names, writer, err);
	if (!ret)
		ret = check_names(&names, true, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	if (!ret)
		ret = commit_output(&output, err);
	if (ret < 0)
		name_error(err, output.path);
	else if (output.file)
		print_result("%s: %zu table%s in %" PRIu64 " bytes", path, names.count,
			     names.count == 1 ? "" : "s", tce_writer_size(writer));
	tce_destroy_writer(writer);
	close_output(&output);
	free(names.list);
	return ret;
}

/* The name of a table's own image: its LIOBN, with its VM before it. */
static int make_path(char path[PATH_MAX], const char *folder, const struct tce_geometry *geometry,
		     unsigned int number, struct tce_error *err)
{
	char vm[24] = "", table[24];
	int n;

	if (geometry->has_vm)
		snprintf(vm, sizeof(vm), "%" PRIu64 "-", geometry->vm);
	if (geometry->known & TCE_KNOWN_LIOBN)
		snprintf(table, sizeof(table), "%08" PRIx64, geometry->liobn);
	else
		snprintf(table, sizeof(table), "unknown-%u", number);
	n = snprintf(path, PATH_MAX, "%s/%s%s.tce", folder, vm, table);
	if (n < 0 || n >= PATH_MAX) {
		tce_set_error(err, TCE_ERR_IO, ENAMETOOLONG, "cannot be created");
		name_error(err, folder);
		return TCE_ERR_IO;
	}
	return TCE_OK;
}

static int write_alone(struct source *source, const struct tce_geometry *geometry, const char *path,
		       struct tce_error *err)
{
	struct tce_writer *writer = NULL;
	struct output output;
	int ret;

	ret = open_output(&output, path, err);
	if (ret < 0)
		return ret;
	ret = tce_create_writer(&writer, &output.sink, "tce-image " TCE_VERSION, err);
	if (!ret)
		ret = copy_table(source, geometry, writer, err);
	if (!ret)
		ret = tce_end_image(writer, err);
	if (!ret)
		ret = commit_output(&output, err);
	if (ret < 0)
		name_error(err, path);
	else
		print_result("%s", path);
	tce_destroy_writer(writer);
	close_output(&output);
	return ret;
}

/* First only the names: what can't be split into files of different names is left whole. */
static int check_source_names(struct source *source, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct names names = { 0 };
	int ret;

	do {
		ret = source->ops->next_table(source, &geometry, err);
		if (ret > 0)
			ret = note_name(&names, &geometry, err) < 0 ? err->code : 1;
	} while (ret > 0);
	if (!ret)
		ret = check_names(&names, false, err);
	free(names.list);
	return ret ? ret : source->ops->rewind(source, err);
}

int split_image(const char *name, const char *folder, struct tce_error *err)
{
	struct tce_geometry geometry;
	struct source *source;
	unsigned int number;
	char path[PATH_MAX];
	int ret;

	ret = open_source(&source, name, true, err);
	if (ret < 0)
		return ret;
	ret = check_source_names(source, err);
	for (number = 0; !ret; number++) {
		ret = source->ops->next_table(source, &geometry, err);
		if (ret <= 0)
			break;
		ret = make_path(path, folder, &geometry, number, err);
		if (!ret)
			ret = write_alone(source, &geometry, path, err);
	}
	if (ret < 0)
		name_error(err, source->name);
	close_source(source);
	return ret;
}
