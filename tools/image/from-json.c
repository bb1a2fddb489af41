// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An image from JSON. What tce-dump --json prints gives the image that it was printed of. Members
 * may come in any order: a table's runs are gone over first, and read when its header is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "image/image.h"
#include "image/json.h"
#include "output.h"

/* The longest origin and made_by. */
#define STRING_SIZE 128

/**
 * struct document - the JSON of some tables
 * @json: the file.
 * @made_by: the program that made the image, or empty.
 * @tables: where the array of tables is.
 * @has_tables: it is somewhere.
 * @count: tables written.
 * @writer: of the image.
 */
struct document {
	struct json json;
	char made_by[STRING_SIZE];
	struct json_place tables;
	bool has_tables;
	unsigned int count;
	struct tce_writer *writer;
};

/* Read a part of the geometry that may be null: not known. */
static bool read_part(struct json *json, struct tce_geometry *geometry, unsigned int known,
		      uint64_t *value)
{
	bool is_null;

	if (!read_json_number(json, value, &is_null))
		return false;
	if (!is_null)
		geometry->known |= known;
	return true;
}

static bool read_small(struct json *json, struct tce_geometry *geometry, unsigned int known,
		       uint32_t *small)
{
	uint64_t value = 0;

	if (!read_part(json, geometry, known, &value))
		return false;
	*small = (uint32_t)value;
	return value <= UINT32_MAX || fail_json(json, "%" PRIu64 " is too large", value);
}

static bool read_liobn(struct json *json, struct tce_geometry *geometry)
{
	return read_part(json, geometry, TCE_KNOWN_LIOBN, &geometry->liobn);
}

static bool read_vm(struct json *json, struct tce_geometry *geometry)
{
	bool is_null;

	if (!read_json_number(json, &geometry->vm, &is_null))
		return false;
	geometry->has_vm = !is_null;
	return true;
}

static bool read_page_shift(struct json *json, struct tce_geometry *geometry)
{
	return read_small(json, geometry, TCE_KNOWN_PAGE_SHIFT, &geometry->page_shift);
}

static bool read_bus_offset(struct json *json, struct tce_geometry *geometry)
{
	return read_part(json, geometry, TCE_KNOWN_BUS_OFFSET, &geometry->bus_offset);
}

static bool read_entries(struct json *json, struct tce_geometry *geometry)
{
	return read_json_number(json, &geometry->entries, NULL);
}

static bool read_exact(struct json *json, struct tce_geometry *geometry)
{
	bool exact;

	if (!read_json_bool(json, &exact))
		return false;
	if (exact)
		geometry->known |= TCE_KNOWN_ENTRIES;
	else
		geometry->known &= ~TCE_KNOWN_ENTRIES;
	return true;
}

static bool read_flags(struct json *json, struct tce_geometry *geometry)
{
	return read_small(json, geometry, 0, &geometry->flags);
}

static bool read_origin(struct json *json, struct tce_geometry *geometry)
{
	return read_json_string(json, geometry->origin, sizeof(geometry->origin));
}

/* What the rest of a table's JSON says as well: nobody has to keep it right. */
static bool skip_derived(struct json *json, struct tce_geometry *geometry)
{
	return skip_json_value(json);
}

/* The members of a table but its runs. */
static const struct {
	const char *key;
	bool (*read)(struct json *json, struct tce_geometry *geometry);
} header_members[] = {
	{ "liobn", read_liobn },	   { "vm", read_vm },
	{ "page_shift", read_page_shift }, { "bus_offset", read_bus_offset },
	{ "entries", read_entries },	   { "entries_exact", read_exact },
	{ "flags", read_flags },	   { "origin", read_origin },
	{ "used", skip_derived },	   { "read_write", skip_derived },
	{ "read_only", skip_derived },	   { "write_only", skip_derived },
	{ "poison", skip_derived },	   { "allocated_pages", skip_derived },
	{ "hw_tables", skip_derived },	   { "dirty_log", skip_derived },
};

static bool read_header_member(struct json *json, const char *key, struct tce_geometry *geometry)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(header_members); i++)
		if (!strcmp(key, header_members[i].key))
			return header_members[i].read(json, geometry);
	return fail_json(json, "a table has no member \"%s\"", key);
}

/* Read one member of a run. */
static bool read_run_member(struct json *json, const char *key, struct tce_extent *run)
{
	const struct {
		const char *key;
		uint64_t *value; /* NULL: what the others say as well */
	} members[] = {
		{ "first", &run->first },   { "count", &run->count }, { "tce", &run->tce },
		{ "stride", &run->stride }, { "ioba", NULL },	      { "access", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(members); i++) {
		if (strcmp(key, members[i].key))
			continue;
		if (!members[i].value)
			return skip_json_value(json);
		return read_json_number(json, members[i].value, NULL);
	}
	return fail_json(json, "a run has no member \"%s\"", key);
}

static bool read_run(struct document *document)
{
	struct json *json = &document->json;
	struct tce_extent run = { 0 };
	char key[JSON_STRING_SIZE];
	bool first = true;

	if (!begin_json_list(json, '{'))
		return false;
	while (next_json_member(json, &first, key) && key[0])
		if (!read_run_member(json, key, &run))
			return false;
	if (json->err->code)
		return false;
	if (!run.count)
		return fail_json(json, "a run without a count");
	/* Nothing prints such a run, and a short text would be a huge image. */
	if ((run.tce || run.stride) && tce_first_zero(run.tce, run.stride) < run.count)
		return fail_json(json, "a run with an entry of 0 among others");
	if (tce_put_run(document->writer, &run, json->err) < 0) {
		name_error(json->err, json->name);
		return false;
	}
	return true;
}

static bool read_runs(struct document *document)
{
	struct json *json = &document->json;
	bool first = true, more;

	if (!begin_json_list(json, '['))
		return false;
	while (next_json_element(json, &first, &more)) {
		if (!more)
			return true;
		if (!read_run(document))
			return false;
	}
	return false;
}

static bool write_table(struct document *document, const struct tce_geometry *geometry,
			const struct json_place *runs)
{
	struct json *json = &document->json;
	struct json_place end;
	int ret;

	if (!get_json_place(json, &end) || !go_to_json_place(json, runs))
		return false;
	ret = tce_begin_table(document->writer, geometry, json->err);
	if (!ret && !read_runs(document))
		return false;
	if (!ret)
		ret = tce_end_table(document->writer, json->err);
	if (ret < 0) {
		name_error(json->err, json->name);
		return false;
	}
	document->count++;
	return go_to_json_place(json, &end);
}

static bool read_table(struct document *document)
{
	struct tce_geometry geometry = { .known = TCE_KNOWN_ENTRIES };
	struct json *json = &document->json;
	struct json_place runs = { .offset = -1 };
	char key[JSON_STRING_SIZE];
	bool first = true, ok;

	if (!begin_json_list(json, '{'))
		return false;
	while (next_json_member(json, &first, key) && key[0]) {
		if (!strcmp(key, "runs"))
			ok = (runs.offset < 0 || fail_json(json, "a table with runs twice")) &&
			     get_json_place(json, &runs) && skip_json_value(json);
		else
			ok = read_header_member(json, key, &geometry);
		if (!ok)
			return false;
	}
	if (json->err->code)
		return false;
	if (runs.offset < 0)
		return fail_json(json, "a table without runs");
	return write_table(document, &geometry, &runs);
}

static bool read_tables(struct document *document)
{
	struct json *json = &document->json;
	bool first = true, more;

	if (!go_to_json_place(json, &document->tables) || !begin_json_list(json, '['))
		return false;
	while (next_json_element(json, &first, &more)) {
		if (!more)
			return true;
		if (!read_table(document))
			return false;
	}
	return false;
}

static bool find_tables(struct document *document)
{
	struct json *json = &document->json;

	if (document->has_tables)
		return fail_json(json, "there are tables twice");
	document->has_tables = true;
	return get_json_place(json, &document->tables) && skip_json_value(json);
}

static bool read_made_by(struct document *document)
{
	return read_json_string(&document->json, document->made_by, STRING_SIZE);
}

static bool skip_source(struct document *document)
{
	return skip_json_value(&document->json);
}

static bool read_document_member(struct document *document, const char *key)
{
	static const struct {
		const char *key;
		bool (*read)(struct document *document);
	} members[] = {
		{ "tables", find_tables },
		{ "made_by", read_made_by },
		{ "source", skip_source },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(members); i++)
		if (!strcmp(key, members[i].key))
			return members[i].read(document);
	return fail_json(&document->json, "there is no member \"%s\"", key);
}

/* Go over all of it: where are the tables, and who made them? */
static bool read_document(struct document *document)
{
	struct json *json = &document->json;
	char key[JSON_STRING_SIZE];
	bool first = true;

	if (!begin_json_list(json, '{'))
		return false;
	while (next_json_member(json, &first, key) && key[0])
		if (!read_document_member(document, key))
			return false;
	return !json->err->code && end_json(json) &&
	       (document->has_tables || fail_json(json, "there are no tables in it"));
}

static int write_image(struct document *document, const char *path, struct tce_error *err)
{
	struct output output;
	uint64_t size;
	int ret;

	ret = open_output(&output, path, err);
	if (ret < 0)
		return ret;
	ret = tce_create_writer(&document->writer, &output.sink,
				document->made_by[0] ? document->made_by : NULL, err);
	if (!ret)
		ret = read_tables(document) ? tce_end_image(document->writer, err) : err->code;
	if (!ret)
		ret = commit_output(&output, err);
	if (ret < 0) {
		name_error(err, output.path);
	} else if (output.file) {
		size = tce_writer_size(document->writer);
		print_result("%s: %u table%s in %" PRIu64 " bytes", path, document->count,
			     document->count == 1 ? "" : "s", size);
	}
	tce_destroy_writer(document->writer);
	close_output(&output);
	return ret;
}

int image_from_json(const char *name, const char *path, struct tce_error *err)
{
	struct document document = { 0 };
	struct input *input;
	int fd, ret;

	ret = open_input(&input, name, err);
	if (ret < 0)
		return ret;
	/* It is read twice. */
	ret = keep_input(input, err);
	if (ret < 0)
		goto out_close;
	fd = fcntl(input->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	document.json = (struct json){ .name = input->name, .line = 1, .err = err };
	document.json.file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!document.json.file) {
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot be read");
		name_error(err, input->name);
		if (fd >= 0)
			close(fd);
		goto out_close;
	}
	ret = read_document(&document) ? write_image(&document, path, err) : err->code;
	fclose(document.json.file);
out_close:
	close_input(input);
	return ret;
}
