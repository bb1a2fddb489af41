// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Back end for the table fd of a stock kernel, which has mmap() and nothing else. Looking at a page
 * of the table allocates it in the kernel; there is no way to see beforehand whether it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tce-private.h"

#define WORD sizeof(uint64_t)

/* Entries mapped at a time: what is mapped and touched counts as this process's memory. */
#define WINDOW_ENTRIES (1ULL << 20)

/* More host pages than any table has; ends the search for the end in any case. */
#define PAGES_MAX (1ULL << 40)

/*
 * Is there a table page @page? mmap() of a stock kernel takes any range and raises SIGBUS past the
 * end. The kernel itself meets the same fault with EFAULT when it is to copy from there.
 *
 * Return: 1, 0, or a negative errno.
 */
static int page_exists(int fd, const int pipe_fds[2], uint64_t page, size_t page_size)
{
	char byte;
	void *map;
	int ret = 1;

	map = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, (off_t)(page * page_size));
	if (map == MAP_FAILED)
		return errno == EINVAL || errno == EOVERFLOW ? 0 : -errno;
	if (write(pipe_fds[1], map, 1) != 1)
		ret = errno == EFAULT ? 0 : -errno;
	else if (read(pipe_fds[0], &byte, 1) != 1)
		ret = -EIO;
	munmap(map, page_size);
	return ret;
}

static int open_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fds[0] = tce_keep_fd(fds[0]);
	fds[1] = tce_keep_fd(fds[1]);
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return -EMFILE;
}

/*
 * Find the size of a table, in entries of whole host pages. Looks at few pages: it doubles up to
 * the first that is not there, then halves the rest.
 */
int tce_measure_stock_table(int fd, uint64_t *entries, struct tce_error *err)
{
	const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t there = 0, beyond = 1;
	int pipe_fds[2];
	int ret;

	ret = open_pipe(pipe_fds);
	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "cannot make a pipe");

	/* Pages below @there exist, page @beyond - 1 is the next to look at. */
	while ((ret = page_exists(fd, pipe_fds, beyond - 1, page_size)) > 0 && beyond < PAGES_MAX) {
		there = beyond;
		beyond *= 2;
	}
	while (ret >= 0 && beyond - there > 1) {
		uint64_t middle = there + (beyond - there) / 2;

		ret = page_exists(fd, pipe_fds, middle - 1, page_size);
		if (ret > 0)
			there = middle;
		else
			beyond = middle;
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	if (ret < 0)
		return tce_set_error(err, TCE_ERR_IO, -ret, "mapping the table");
	if (!there)
		return tce_set_error(err, TCE_ERR_NOT_TABLE, 0, "the table cannot be read");
	*entries = there * (page_size / WORD);
	return TCE_OK;
}

static void unmap_window(struct tce_table *table)
{
	if (table->window)
		munmap((void *)(uintptr_t)table->window, table->window_count * WORD);
	table->window = NULL;
}

static int map_window(struct tce_table *table, uint64_t index, struct tce_error *err)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE) / WORD;
	uint64_t end = (table->geometry.entries + page - 1) / page * page;
	void *map;

	unmap_window(table);
	table->window_first = index / WINDOW_ENTRIES * WINDOW_ENTRIES;
	table->window_count = min_u64(end - table->window_first, WINDOW_ENTRIES);
	map = mmap(NULL, table->window_count * WORD, PROT_READ, MAP_SHARED, table->fd,
		   (off_t)(table->window_first * WORD));
	if (map == MAP_FAILED)
		return tce_set_table_error(table, err, TCE_ERR_IO, errno, index,
					   "mapping the table");
	table->window = map;
	return TCE_OK;
}

static int mmap_read(struct tce_table *table, uint64_t index, uint64_t *words, size_t count,
		     struct tce_error *err)
{
	while (count) {
		size_t n;

		if (!table->window || index < table->window_first ||
		    index - table->window_first >= table->window_count) {
			int ret = map_window(table, index, err);

			if (ret < 0)
				return ret;
		}
		n = min_u64(count, table->window_count - (index - table->window_first));
		memcpy(words, table->window + (index - table->window_first), n * WORD);
		index += n;
		words += n;
		count -= n;
	}
	return TCE_OK;
}

static int mmap_next_data(struct tce_table *table, uint64_t index, uint64_t *first, uint64_t *count,
			  struct tce_error *err)
{
	*first = index;
	*count = table->geometry.entries - index;
	return 1;
}

/* Writing and clearing never come here: table.c refuses them for this back end. */
const struct tce_table_ops tce_mmap_ops = {
	.read = mmap_read,
	.next_data = mmap_next_data,
	.close = unmap_window,
};
