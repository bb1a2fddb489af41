// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables that are plain files and memfds, files replaced whole or not at all, and what a process
 * without tables is answered. Tables in a real kernel are tried in the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define UNTOUCHED 0xa5a5a5a5a5a5a5a5

static int make_memfd(uint64_t entries)
{
	int fd = memfd_create("table", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(entries * 8)), 0);
	return fd;
}

static struct tce_table *open_memfd(uint64_t entries)
{
	struct tce_table *table;
	int fd = make_memfd(entries);

	assert_int_equal(tce_open_table(&table, fd, NULL), 0);
	close(fd);
	return table;
}

static void save(struct tce_table *table, struct memory *memory)
{
	struct tce_sink sink = memory_sink(memory);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_writer *writer;

	assert_int_equal(tce_create_writer(&writer, &sink, NULL, &err), 0);
	assert_int_equal(tce_save_table(table, writer, NULL, &err), 0);
	assert_int_equal(tce_end_image(writer, &err), 0);
	tce_destroy_writer(writer);
}

static int load(struct tce_table *table, struct memory *memory, struct tce_loaded *loaded,
		struct tce_error *err)
{
	struct tce_source source = memory_source(memory);
	struct tce_geometry geometry;
	struct tce_reader *reader;
	int ret;

	assert_int_equal(tce_create_reader(&reader, &source, err), 0);
	assert_int_equal(tce_next_table(reader, &geometry, err), 1);
	ret = tce_load_table(table, reader, loaded, NULL, err);
	if (!ret)
		assert_int_equal(tce_next_table(reader, &geometry, err), 0);
	tce_destroy_reader(reader);
	return ret;
}

/*
 * If this fails, a table that held something before keeps entries that the saved one did not
 * have.
 */
static void save_and_load_every_content(void **state)
{
	const uint64_t entries = 100003;
	uint64_t *words = malloc(entries * 8), *back = malloc(entries * 8);
	struct tce_loaded loaded;
	struct tce_error err = TCE_ERROR_INIT;
	size_t i, k, used;

	assert_non_null(words);
	assert_non_null(back);
	for (i = 0; i < content_count; i++) {
		struct tce_table *from = open_memfd(entries), *to = open_memfd(entries);
		struct memory memory = { 0 };

		memset(words, 0, entries * 8);
		contents[i].fill(words, entries);
		assert_int_equal(tce_write_words(from, 0, words, entries, NULL, &err), 0);
		for (k = 0; k < entries; k++)
			back[k] = UNTOUCHED;
		assert_int_equal(tce_write_words(to, 0, back, entries, NULL, &err), 0);

		save(from, &memory);
		assert_int_equal(load(to, &memory, &loaded, &err), 0);
		assert_int_equal(loaded.written, entries);
		for (k = 0, used = 0; k < entries; k++)
			used += words[k] != 0;
		assert_int_equal(loaded.used, used);
		assert_int_equal(tce_read_words(to, 0, back, entries, &err), 0);
		if (memcmp(words, back, entries * 8))
			fail_msg("%s: came back different", contents[i].name);
		free_memory(&memory);
		tce_close_table(from);
		tce_close_table(to);
	}
	free(words);
	free(back);
}

static uint64_t pages_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / 4096;
}

/*
 * If this fails, saving the table of a large, mostly empty window takes as much memory as a full
 * one.
 */
static void sparse_table_of_64_mi_entries(void **state)
{
	const uint64_t entries = 1 << 26;
	static const uint64_t used[] = { 0, 12345678, 33554431, (1 << 26) - 1 };
	int from_fd = make_memfd(entries), to_fd = make_memfd(entries);
	struct tce_table *from, *to;
	struct memory memory = { 0 };
	uint64_t word, first, count, next = 0;
	size_t i, ranges = 0;

	assert_int_equal(tce_open_table(&from, from_fd, NULL), 0);
	assert_int_equal(tce_open_table(&to, to_fd, NULL), 0);
	for (i = 0; i < ARRAY_SIZE(used); i++) {
		word = used[i] << 12 | 3;
		assert_int_equal(tce_write_words(from, used[i], &word, 1, NULL, NULL), 0);
	}
	while (tce_next_data(from, next, &first, &count, NULL) > 0) {
		assert_true(first >= next && count <= 512);
		next = first + count;
		ranges++;
	}
	assert_int_equal(ranges, ARRAY_SIZE(used));

	save(from, &memory);
	assert_true(memory.size < 400);
	assert_int_equal(load(to, &memory, NULL, NULL), 0);
	for (i = 0; i < ARRAY_SIZE(used); i++) {
		assert_int_equal(tce_read_words(to, used[i], &word, 1, NULL), 0);
		assert_int_equal(word, used[i] << 12 | 3);
	}
	assert_int_equal(pages_of(from_fd), ARRAY_SIZE(used));
	assert_int_equal(pages_of(to_fd), ARRAY_SIZE(used));
	free_memory(&memory);
	tce_close_table(from);
	tce_close_table(to);
	close(from_fd);
	close(to_fd);
}

/* If this fails, an index one too far writes into the next table, or off the end of a buffer. */
static void ranges_are_checked(void **state)
{
	struct tce_table *table = open_memfd(100);
	uint64_t words[2] = { UNTOUCHED, UNTOUCHED };
	struct tce_error err = TCE_ERROR_INIT;
	uint64_t first, count;
	size_t written = 99;

	assert_int_equal(tce_read_words(table, 99, words, 2, &err), TCE_ERR_RANGE);
	assert_int_equal(err.index, 99);
	assert_int_equal(tce_read_words(table, UINT64_MAX, words, 2, &err), TCE_ERR_RANGE);
	assert_int_equal(words[0], UNTOUCHED);
	assert_int_equal(tce_write_words(table, 99, words, 2, &written, &err), TCE_ERR_RANGE);
	assert_int_equal(written, 0);
	assert_int_equal(tce_clear_words(table, 101, 0, &err), TCE_ERR_RANGE);
	assert_int_equal(tce_clear_words(table, 1, UINT64_MAX, &err), TCE_ERR_RANGE);
	assert_int_equal(tce_next_data(table, 100, &first, &count, &err), 0);
	assert_int_equal(tce_next_data(table, UINT64_MAX, &first, &count, &err), 0);
	assert_int_equal(tce_clear_words(table, 100, 0, &err), 0);
	tce_close_table(table);
}

/* If this fails, what a user says by hand overrides what the kernel knows better. */
static void declared_geometry_must_agree(void **state)
{
	struct tce_geometry by_hand = make_geometry(5, 12, 0, 100);
	struct tce_table *table = open_memfd(100);
	struct tce_error err;

	assert_int_equal(tce_table_backend(table), TCE_BACKEND_FILE);
	assert_int_equal(tce_table_geometry(table)->known, TCE_KNOWN_ENTRIES);
	by_hand.entries = 99;
	assert_int_equal(tce_declare_geometry(table, &by_hand, &err), TCE_ERR_GEOMETRY);
	assert_int_equal(tce_table_geometry(table)->known, TCE_KNOWN_ENTRIES);
	by_hand.entries = 100;
	by_hand.page_shift = 35;
	assert_int_equal(tce_declare_geometry(table, &by_hand, &err), TCE_ERR_GEOMETRY);
	by_hand.page_shift = 12;
	assert_int_equal(tce_declare_geometry(table, &by_hand, &err), 0);
	assert_int_equal(tce_table_geometry(table)->known, TCE_KNOWN_ALL);
	by_hand.liobn = 6;
	assert_int_equal(tce_declare_geometry(table, &by_hand, &err), TCE_ERR_GEOMETRY);
	tce_close_table(table);
}

/* If this fails, a wrong fd is read or overwritten as if it were a table. */
static void what_is_no_table(void **state)
{
	struct tce_table_stats stats;
	struct tce_table *table;
	int pipe_fds[2], fd;

	assert_int_equal(tce_open_table(&table, -1, NULL), TCE_ERR_IO);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(tce_open_table(&table, pipe_fds[0], NULL), TCE_ERR_NOT_TABLE);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	fd = memfd_create("table", MFD_CLOEXEC);
	assert_int_equal(tce_open_table(&table, fd, NULL), TCE_ERR_GEOMETRY);
	assert_int_equal(ftruncate(fd, 12), 0);
	assert_int_equal(tce_open_table(&table, fd, NULL), TCE_ERR_GEOMETRY);
	assert_int_equal(ftruncate(fd, 16), 0);
	assert_int_equal(tce_open_table(&table, fd, NULL), 0);
	assert_int_equal(tce_read_stats(table, &stats, NULL), TCE_ERR_UNSUPPORTED);
	tce_close_table(table);
	close(fd);
	tce_close_table(NULL);
}

/* If this fails, a table file that cannot grow or shrinks meanwhile is taken for restored. */
static void failing_files_are_reported(void **state)
{
	struct tce_table *table;
	struct tce_error err = TCE_ERROR_INIT;
	uint64_t words[4] = { 1, 2, 3, 4 };
	size_t written;
	int fd = make_memfd(1024);

	assert_int_equal(tce_open_table(&table, fd, NULL), 0);
	assert_int_equal(ftruncate(fd, 8 * 512), 0);
	assert_int_equal(tce_read_words(table, 510, words, 4, &err), TCE_ERR_IO);
	assert_int_equal(err.index, 512);
	tce_close_table(table);

	close(fd);
	fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(tce_open_table(&table, fd, NULL), 0);
	assert_int_equal(tce_write_words(table, 7, words, 4, &written, &err), TCE_ERR_IO);
	assert_int_equal(written, 0);
	assert_int_equal(err.sys_errno, EPERM);
	assert_int_equal(err.index, 7);
	assert_int_equal(tce_clear_words(table, 7, 4, &err), TCE_ERR_IO);
	tce_close_table(table);
	close(fd);
}

/* --pid with a wrong number ends in something other than a clear answer. */
static void processes_without_tables(void **state)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_vmm *vmm;

	assert_int_equal(tce_open_vmm(&vmm, getpid(), &err), TCE_ERR_NO_KVM);
	assert_int_equal(tce_open_vmm(&vmm, 0x3ffffff, &err), TCE_ERR_NO_PROCESS);
	assert_int_equal(tce_open_vmm(&vmm, 0, &err), TCE_ERR_NO_PROCESS);
	assert_int_equal(tce_open_vmm(&vmm, -1, &err), TCE_ERR_NO_PROCESS);
	tce_close_vmm(NULL);
}

static char *test_folder;

static void path_of(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", test_folder, name);
}

static void expect_file(const char *path, const char *text)
{
	char buf[64] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_true(fread(buf, 1, sizeof(buf) - 1, file) > 0);
	fclose(file);
	assert_string_equal(buf, text);
}

static int write_text(const char *path, const char *text, bool commit)
{
	struct tce_file *file;
	struct tce_sink sink;
	int ret = tce_create_file(&file, path, NULL);

	if (ret)
		return ret;
	sink = tce_file_sink(file);
	assert_int_equal(sink.write(sink.ctx, text, strlen(text)), 0);
	if (commit)
		ret = tce_commit_file(file, NULL);
	tce_close_file(file);
	return ret;
}

/* If this fails, a dump that fails takes the last good image with it. */
static void old_file_stays_until_the_commit(void **state)
{
	char path[256], link[256], folder[256];
	struct stat st;

	path_of(path, sizeof(path), "a.img");
	path_of(link, sizeof(link), "link");
	path_of(folder, sizeof(folder), "no/such/folder");
	assert_int_equal(write_text(path, "never", false), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(write_text(path, "old", true), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(write_text(path, "new, not committed", false), 0);
	expect_file(path, "old");
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(symlink("a.img", link), 0);
	assert_int_equal(write_text(link, "through a link", true), 0);
	expect_file(path, "through a link");
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);

	assert_int_equal(write_text(folder, "x", true), TCE_ERR_IO);
	assert_int_equal(write_text(test_folder, "x", true), TCE_ERR_IO);
	assert_int_equal(write_text("/dev/null", "x", true), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
	tce_close_file(NULL);
}

static int make_folder(void **state)
{
	static char template[] = "/tmp/tce-unit-XXXXXX";

	test_folder = mkdtemp(template);
	return test_folder ? 0 : -1;
}

/* Fails when the tests have left a file behind. */
static int remove_folder(void **state)
{
	return rmdir(test_folder);
}

/* Which of the standard fds are open, in a process where all of them should not be. */
static bool standard_fd_taken(void)
{
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			return true;
	}
	return false;
}

/* In a child without standard fds: 0, or the number of the step that opened one of them. */
static int open_without_standard_fds(int table_fd, const char *path)
{
	struct tce_table *table;
	struct tce_file *file;
	struct tce_vmm *vmm;
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++)
		close(fd);
	if (tce_open_table(&table, table_fd, NULL) || standard_fd_taken())
		return 1;
	tce_close_table(table);
	if (tce_create_file(&file, path, NULL) || standard_fd_taken())
		return 2;
	tce_close_file(file);
	/* This process has no VM; what matters is what looking for one opens. */
	if (tce_open_vmm(&vmm, getpid(), NULL) != TCE_ERR_NO_KVM || standard_fd_taken())
		return 3;
	return 0;
}

/* If this fails, a program started with its output closed prints into a table. */
static void standard_fds_are_not_taken(void **state)
{
	char path[] = "/tmp/tce-unit-XXXXXX";
	int fd = make_memfd(512), made = mkstemp(path), status;
	pid_t pid;

	assert_true(made >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(open_without_standard_fds(fd, path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(made);
	close(fd);
	unlink(path);
}

/* If this fails, an image is cut off where the reader of a pipe is slower than its writer. */
static void sinks_and_sources_wait(void **state)
{
	static uint8_t out[1 << 20], in[(1 << 20) + 1];
	struct tce_source source;
	struct tce_sink sink;
	size_t got = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	memset(out, 0x5a, sizeof(out));
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(fds[0]);
		sink = tce_fd_sink(fds[1]);
		usleep(20000);
		_exit(sink.write(sink.ctx, out, sizeof(out)) != 0);
	}
	close(fds[1]);
	source = tce_fd_source(fds[0]);
	while ((n = source.read(source.ctx, in + got, sizeof(in) - got)) > 0)
		got += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fds[0]);
}

static void commit_empty(const char *path)
{
	struct tce_file *file;

	assert_int_equal(tce_create_file(&file, path, NULL), 0);
	assert_int_equal(tce_commit_file(file, NULL), 0);
	tce_close_file(file);
}

/* If this fails, the link that an administrator has set up is gone, or its file is another's. */
static void links_and_owners_are_kept(void **state)
{
	char folder[] = "/tmp/tce-unit-XXXXXX", link[64], other[64], target[64];
	struct tce_file *file;
	struct stat st;

	assert_non_null(mkdtemp(folder));
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(symlink(other, link), 0);
	assert_int_equal(symlink("target", other), 0);
	commit_empty(link);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(target, &st), 0);
	assert_true(S_ISREG(st.st_mode));

	/* Only root can give a file away. */
	if (!chown(target, 1234, 1235) && !chmod(target, 0640)) {
		commit_empty(link);
		assert_int_equal(lstat(target, &st), 0);
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 1235);
		assert_int_equal(st.st_mode & 07777, 0640);
	}
	unlink(target);
	unlink(other);
	assert_int_equal(symlink("link", other), 0);
	unlink(link);
	assert_int_equal(symlink("other", link), 0);
	assert_int_equal(tce_create_file(&file, link, NULL), TCE_ERR_IO);
	unlink(link);
	unlink(other);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(save_and_load_every_content),
		cmocka_unit_test(sparse_table_of_64_mi_entries),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(declared_geometry_must_agree),
		cmocka_unit_test(what_is_no_table),
		cmocka_unit_test(failing_files_are_reported),
		cmocka_unit_test(processes_without_tables),
		cmocka_unit_test(old_file_stays_until_the_commit),
		cmocka_unit_test(standard_fds_are_not_taken),
		cmocka_unit_test(links_and_owners_are_kept),
		cmocka_unit_test(sinks_and_sources_wait),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
