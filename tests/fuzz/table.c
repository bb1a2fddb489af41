// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: an image into a table, as a restore does it (tce_load_table()) and as a table that
 * was sent in rounds arrives (tce_receive_table()). Whatever was taken without an error is in the
 * table, and the two agree with each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tce.h"

#define ENTRIES_MAX (2 * TCE_BLOCK_MAX)
#define ENTRIES	    1000 /* of the table when the image's is larger, or there is none */

static uint64_t loaded[ENTRIES_MAX], received[ENTRIES_MAX];

static int bytes_seek(void *ctx, int64_t distance)
{
	struct fuzz_bytes *bytes = ctx;

	if (distance > 0 && (uint64_t)distance > bytes->size)
		distance = (int64_t)bytes->size;
	bytes->data += distance;
	bytes->size -= (size_t)distance;
	return 0;
}

/* A table of zeros. */
static struct tce_table *open_table(uint64_t entries)
{
	static int fd = -1;
	struct tce_table *table;

	if (fd < 0)
		fd = memfd_create("table", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || ftruncate(fd, (off_t)(entries * sizeof(uint64_t))))
		abort();
	return tce_open_table(&table, fd, NULL) ? NULL : table;
}

static int ignore(void *ctx, const void *buf, size_t len)
{
	return fails_now() ? -EIO : 0;
}

/* What is no table, or none to write to: said, and nothing is changed. */
static void open_others(const struct tce_geometry *geometry)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR | O_APPEND, O_PATH };
	static const uint64_t word = 3;
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_table *table;
	char name[] = "/proc/self/fd/9999999";
	size_t i;
	int ret, fd, file = memfd_create("other", MFD_CLOEXEC);

	ret = tce_open_table(&table, -1, &err);
	check_status(ret, &err);
	fuzz_put_file(file, name, geometry->entries % 24);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		fd = openat(AT_FDCWD, i == geometry->liobn % 8 ? "/" : name, flags[i] | O_CLOEXEC);
		ret = tce_open_table(&table, fd, &err);
		check_status(ret, &err);
		if (!ret) {
			ret = tce_write_words(table, 0, &word, 1, NULL, &err);
			check_status(ret, &err);
			ret = tce_clear_words(table, 0, 2, &err);
			check_status(ret, &err);
			tce_close_table(table);
		}
		close(fd);
	}
	close(file);
}

/* What else is done with a table: its geometry is given by hand, and it is saved and cleared. */
static void use(struct tce_table *table, const struct tce_geometry *geometry)
{
	const struct tce_sink sink = { .write = ignore };
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_sender *sender;
	struct tce_geometry other;
	struct tce_writer *writer;
	unsigned int i;
	int ret;

	ret = tce_declare_geometry(table, geometry, &err);
	check_status(ret, &err);
	ret = tce_match_geometry(geometry, geometry, &err);
	check_status(ret, &err);
	for (i = 0; i < 4; i++) {
		other = *geometry;
		other.liobn += i == 0;
		other.page_shift += i == 1;
		other.bus_offset += i == 2;
		other.entries += i == 3;
		ret = tce_match_geometry(&other, geometry, &err);
		check_status(ret, &err);
		other.known = 1U << i;
		ret = tce_declare_geometry(table, &other, &err);
		check_status(ret, &err);
		ret = tce_match_geometry(&other, geometry, &err);
		check_status(ret, &err);
	}
	ret = tce_match_geometry(geometry, tce_table_geometry(table), &err);
	check_status(ret, &err);
	if (geometry->entries % 3)
		tce_keep_position(table);
	ret = tce_create_writer(&writer, &sink, "fuzz", &err);
	check_status(ret, &err);
	if (!ret) {
		ret = tce_save_table(table, writer, NULL, &err);
		check_status(ret, &err);
		tce_destroy_writer(writer);
	}
	ret = tce_create_sender(&sender, table, &sink, &err);
	check_status(ret, &err);
	if (!ret) {
		ret = tce_send_round(sender, true, NULL, &err);
		check_status(ret, &err);
		tce_destroy_sender(sender);
	}
	ret = tce_clear_words(table, geometry->liobn % 7, geometry->entries / 2, &err);
	check_status(ret, &err);
}

static int load(const uint8_t *data, size_t size, uint64_t *entries, struct tce_error *err)
{
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	struct tce_loaded done;
	struct tce_table *table;
	int ret;

	source.seek = bytes_seek;
	ret = tce_create_reader(&reader, &source, err);
	if (ret)
		return ret;
	ret = tce_next_table(reader, &geometry, err);
	if (ret > 0 && geometry.entries <= ENTRIES_MAX)
		*entries = geometry.entries;
	table = ret > 0 ? open_table(*entries) : NULL;
	if (table) {
		ret = tce_load_table(table, reader, &done, NULL, err);
		if (!ret && tce_read_words(table, 0, loaded, *entries, NULL) && !has_failed())
			abort();
		use(table, &geometry);
		open_others(&geometry);
		tce_close_table(table);
	}
	tce_destroy_reader(reader);
	return ret;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_bytes bytes = { data, size };
	struct tce_source source = bytes_source(&bytes);
	struct tce_error err = TCE_ERROR_INIT;
	uint64_t entries = ENTRIES;
	struct tce_table *table;
	int ret, load_ret;

	load_ret = load(data, size, &entries, &err);
	check_status(load_ret, &err);
	table = open_table(entries);
	if (!table)
		return;
	ret = tce_receive_table(table, &source, &err);
	check_status(ret, &err);
	if (!ret && !load_ret) {
		ret = tce_read_words(table, 0, received, entries, NULL);
		if (!has_failed() && (ret || memcmp(loaded, received, entries * sizeof(*loaded))))
			abort();
	}
	tce_close_table(table);
}
