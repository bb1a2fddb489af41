/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtce: TCE tables of PAPR guests as things that can be read, saved, restored
 * and moved.
 *
 * A table is an array of 64-bit TCEs, one for each I/O page of a DMA window.
 * In this interface a TCE is always a host-endian uint64_t, an index counts
 * entries from the window's beginning, and a bus offset is in bytes. An entry
 * that was never written is zero; a *hole* is a range known to be zero without
 * looking at it.
 *
 * The library prints nothing, never exits, and keeps no global state. Functions
 * that can fail return a negative &enum tce_status and, through the last
 * argument (which may be NULL), say what failed and where. An object may be used
 * by one thread at a time; different objects are independent.
 */
#ifndef TCE_H
#define TCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** define TCE_LIBRARY_VERSION - version of this header, as text */
#define TCE_LIBRARY_VERSION "0.2.0"

/**
 * define TCE_LIBRARY_NUMBER - the same as a number
 *
 * Two decimal digits each for the minor version and the patch level, so that newer ones are
 * larger.
 */
#define TCE_LIBRARY_NUMBER 200

/**
 * tce_library_version() - version of the library that is loaded
 *
 * Return: a static string, as %TCE_LIBRARY_VERSION.
 */
const char *tce_library_version(void);

/**
 * tce_library_number() - the same as a number
 *
 * Return: as %TCE_LIBRARY_NUMBER.
 */
unsigned int tce_library_number(void);

/** define TCE_READ - permission bit of a TCE: the device may read the page */
#define TCE_READ 1ULL
/** define TCE_WRITE - permission bit of a TCE: the device may write the page */
#define TCE_WRITE 2ULL
/** define TCE_PERMISSIONS - both; a non-zero TCE with neither is a *poison* entry */
#define TCE_PERMISSIONS (TCE_READ | TCE_WRITE)

/** define TCE_BLOCK_MAX - most entries that any block of words handed out has */
#define TCE_BLOCK_MAX 32768

/**
 * enum tce_status - what a function returns
 * @TCE_OK: done.
 * @TCE_ERR_ARG: the caller's mistake: an argument out of its range, or calls out of order.
 * @TCE_ERR_NOMEM: memory could not be allocated.
 * @TCE_ERR_IO: a system call or a callback failed; tce_error.sys_errno says how.
 * @TCE_ERR_NOT_IMAGE: the input does not begin as a TCE image does.
 * @TCE_ERR_VERSION: an image of a version that this library does not know.
 * @TCE_ERR_TORN: the input ends in the middle.
 * @TCE_ERR_CORRUPT: the input is damaged: a hash or a record's contents do not agree.
 * @TCE_ERR_LIMIT: a size or a count in the input is past what the format allows.
 * @TCE_ERR_RANGE: an index or a count reaches past the table's end.
 * @TCE_ERR_GEOMETRY: a table's geometry is not the one asked for, or impossible.
 * @TCE_ERR_UNKNOWN: a part of the geometry that is needed is not known, or which table is meant.
 * @TCE_ERR_NOT_TABLE: the file descriptor is not a TCE table.
 * @TCE_ERR_NO_TABLE: no table with this LIOBN.
 * @TCE_ERR_UNSUPPORTED: needs a kernel with this project's patches.
 * @TCE_ERR_REFUSED: the kernel refused an entry; tce_error.index says which.
 * @TCE_ERR_PERMISSION: not allowed to look into that process.
 * @TCE_ERR_NO_PROCESS: there is no such process.
 * @TCE_ERR_NO_KVM: the process has no KVM virtual machine.
 * @TCE_ERR_STREAM: malformed QEMU migration stream.
 */
enum tce_status {
	TCE_OK = 0,
	TCE_ERR_ARG = -1,
	TCE_ERR_NOMEM = -2,
	TCE_ERR_IO = -3,
	TCE_ERR_NOT_IMAGE = -4,
	TCE_ERR_VERSION = -5,
	TCE_ERR_TORN = -6,
	TCE_ERR_CORRUPT = -7,
	TCE_ERR_LIMIT = -8,
	TCE_ERR_RANGE = -9,
	TCE_ERR_GEOMETRY = -10,
	TCE_ERR_UNKNOWN = -11,
	TCE_ERR_NOT_TABLE = -12,
	TCE_ERR_NO_TABLE = -13,
	TCE_ERR_UNSUPPORTED = -14,
	TCE_ERR_REFUSED = -15,
	TCE_ERR_PERMISSION = -16,
	TCE_ERR_NO_PROCESS = -17,
	TCE_ERR_NO_KVM = -18,
	TCE_ERR_STREAM = -19,
};

/**
 * tce_strerror() - the meaning of a status, in a few words
 * @status: what a function of this library returned.
 *
 * Return: a static string, for numbers that are not a status, too.
 */
const char *tce_strerror(int status);

/**
 * define TCE_ERROR_INIT - an empty &struct tce_error
 */
#ifdef __cplusplus
#define TCE_ERROR_INIT \
	{              \
	}
#else
#define TCE_ERROR_INIT { .code = TCE_OK }
#endif

/* Which places of a struct tce_error are filled in, beside code and message. */
#define TCE_ERROR_LIOBN	 (1U << 0)
#define TCE_ERROR_INDEX	 (1U << 1)
#define TCE_ERROR_OFFSET (1U << 2)

/**
 * struct tce_error - what failed, and where
 * @code: the &enum tce_status that was returned.
 * @sys_errno: errno of the failed system call or callback, or 0.
 * @fields: TCE_ERROR_* bits: which of the next three are filled in.
 * @liobn: the table.
 * @index: the entry.
 * @offset: byte offset in the image or the stream.
 * @file: the file's name, or an empty string. A caller that knows the name sets it.
 * @message: what failed, one line without a newline.
 *
 * Functions fill it in only when they fail. It owns nothing.
 */
struct tce_error {
	int code;
	int sys_errno;
	unsigned int fields;
	uint64_t liobn;
	uint64_t index;
	uint64_t offset;
	char file[256];
	char message[256];
};

/**
 * tce_set_error() - fill in an error
 * @err: where, or NULL.
 * @code: a negative &enum tce_status.
 * @sys_errno: errno that goes with it, or 0.
 * @format: as for printf().
 *
 * Leaves @err->file as it is and clears the other places; set them after this call.
 *
 * Return: @code, so that "return tce_set_error(...)" reads well.
 */
int tce_set_error(struct tce_error *err, int code, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * tce_format_error() - an error as one line for people
 * @err: a filled-in error.
 * @buf: where to put the line; always ended with a NUL when @size is not 0.
 * @size: bytes of @buf.
 *
 * The line names the file, the LIOBN, the index and the offset as far as they are
 * known, then the message and the system's word for the errno. No newline.
 *
 * Return: @buf.
 */
char *tce_format_error(const struct tce_error *err, char *buf, size_t size);

/* Which parts of a struct tce_geometry are known. */
#define TCE_KNOWN_LIOBN	     (1U << 0)
#define TCE_KNOWN_PAGE_SHIFT (1U << 1)
#define TCE_KNOWN_BUS_OFFSET (1U << 2)
#define TCE_KNOWN_ENTRIES    (1U << 3)
#define TCE_KNOWN_ALL	     0xfU

/**
 * struct tce_geometry - which table it is, and the window it translates
 * @known: TCE_KNOWN_* bits. A stock kernel tells none of it.
 * @page_shift: log2 of the I/O page size in bytes, 12 to 34.
 * @flags: flags of KVM_CREATE_SPAPR_TCE_64; 0 today.
 * @liobn: logical I/O bus number.
 * @bus_offset: bus address (IOBA) of entry 0, in bytes.
 * @entries: number of entries. Without %TCE_KNOWN_ENTRIES it is rounded up to whole
 *	host pages and the table may end anywhere in the last of them.
 * @has_vm: @vm is known.
 * @vm: number of the virtual machine that the table is of. It tells VMs of one host apart while it
 *	is up, and means nothing on another host. No part of the window: nothing here compares it.
 * @origin: where the table came from, for people; ended with a NUL, may be empty.
 */
struct tce_geometry {
	unsigned int known;
	uint32_t page_shift;
	uint32_t flags;
	uint64_t liobn;
	uint64_t bus_offset;
	uint64_t entries;
	bool has_vm;
	uint64_t vm;
	char origin[128];
};

/**
 * tce_check_geometry() - can such a table exist?
 * @geometry: what to check. Unknown parts are not looked at.
 * @err: what is wrong with it.
 *
 * Return: 0, or %TCE_ERR_GEOMETRY.
 */
int tce_check_geometry(const struct tce_geometry *geometry, struct tce_error *err);

/**
 * tce_match_geometry() - may the contents of one table go into another?
 * @from: the saved table.
 * @to: the table to be filled. Its LIOBN is not compared: a table may be given a new one.
 * @err: the first part that differs, or that @from or @to does not know.
 *
 * Return: 0, %TCE_ERR_GEOMETRY, or %TCE_ERR_UNKNOWN.
 */
int tce_match_geometry(const struct tce_geometry *from, const struct tce_geometry *to,
		       struct tce_error *err);

/**
 * tce_ioba() - bus address that an entry translates
 * @geometry: the table's; page shift and bus offset must be known.
 * @index: the entry.
 *
 * Return: the I/O bus address in bytes.
 */
static inline uint64_t tce_ioba(const struct tce_geometry *geometry, uint64_t index)
{
	return geometry->bus_offset + (index << geometry->page_shift);
}

/**
 * struct tce_sink - where an image goes
 * @write: takes all @len bytes and returns 0, or returns a negative errno.
 * @ctx: handed to @write.
 */
struct tce_sink {
	int (*write)(void *ctx, const void *buf, size_t len);
	void *ctx;
};

/**
 * struct tce_source - where an image comes from
 * @read: puts up to @len (never 0) bytes into @buf and returns how many, 0 at the end, or
 *	a negative errno. It may return fewer than asked for.
 * @ctx: handed to the other two.
 * @seek: moves @distance bytes forward, or back if it is negative, and returns 0 or a negative
 *	errno. NULL if that can't be done. Needed only for tce_skip_table() and for images with
 *	updates, which are of tables that were saved while their guest ran.
 */
struct tce_source {
	ssize_t (*read)(void *ctx, void *buf, size_t len);
	void *ctx;
	int (*seek)(void *ctx, int64_t distance);
};

/**
 * tce_fd_sink() - a sink that writes to a file descriptor
 * @fd: an open file, pipe or socket; stays the caller's. If it is non-blocking, the sink waits.
 *
 * Writing to a pipe or a socket that nobody reads any more raises SIGPIPE. A caller that ignores
 * this signal gets %TCE_ERR_IO with EPIPE instead.
 *
 * Return: the sink. Nothing needs to be freed.
 */
struct tce_sink tce_fd_sink(int fd);

/**
 * tce_fd_source() - a source that reads from a file descriptor
 * @fd: an open file, pipe or socket; stays the caller's. Reads from its position. If it is
 *	non-blocking, the source waits.
 *
 * Return: the source. Nothing needs to be freed.
 */
struct tce_source tce_fd_source(int fd);

/**
 * DOC: Writing images
 *
 * tce_create_writer(), then for each table tce_begin_table(), tce_put_words() as often as
 * wanted, tce_end_table(), then tce_end_image(), then tce_destroy_writer(). The bytes that
 * reach the sink depend only on the tables' contents and headers, not on how the words were
 * cut into calls. Memory is constant, about 2 MiB. After an error the only call that a writer
 * takes is tce_destroy_writer().
 */
struct tce_writer;
struct tce_extent;

/**
 * tce_create_writer() - begin an image
 * @writer: receives the writer; free it with tce_destroy_writer().
 * @sink: where the image goes; copied. Its ctx must outlive the writer.
 * @made_by: name of the program, for people, at most 127 bytes; or NULL.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_NOMEM, %TCE_ERR_IO, or %TCE_ERR_ARG.
 */
int tce_create_writer(struct tce_writer **writer, const struct tce_sink *sink, const char *made_by,
		      struct tce_error *err);

/**
 * tce_begin_table() - begin the next table of an image
 * @writer: the writer, not inside a table.
 * @geometry: header of the table. The number of entries must be given, exact or rounded.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_ARG, %TCE_ERR_GEOMETRY, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_begin_table(struct tce_writer *writer, const struct tce_geometry *geometry,
		    struct tce_error *err);

/**
 * tce_put_words() - add entries to the table
 * @writer: the writer, inside a table.
 * @index: entry that @words[0] is. Never below what was put before; what is skipped is zero.
 * @words: TCEs in host byte order; not kept after the call. Zeros are as good as a hole.
 * @count: how many, any number.
 * @err: what failed.
 *
 * Full blocks of %TCE_BLOCK_MAX words that begin at a multiple of %TCE_BLOCK_MAX are encoded in
 * place; everything else is copied once.
 *
 * Return: 0, %TCE_ERR_ARG, %TCE_ERR_RANGE, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_put_words(struct tce_writer *writer, uint64_t index, const uint64_t *words, size_t count,
		  struct tce_error *err);

/**
 * tce_put_run() - add an arithmetic run of entries to the table
 * @writer: the writer, inside a table.
 * @run: the run: an extent without words. Its place is as for tce_put_words().
 * @err: what failed.
 *
 * The image is the same as if the entries had been put as words. A long run takes no longer than a
 * short one, provided that none or all of its entries are zero. See tce_first_zero() for runs that
 * come from outside.
 *
 * Return: as tce_put_words().
 */
int tce_put_run(struct tce_writer *writer, const struct tce_extent *run, struct tce_error *err);

/**
 * tce_end_table() - the rest of the table is zero
 * @writer: the writer, inside a table.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_ARG, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_end_table(struct tce_writer *writer, struct tce_error *err);

/**
 * tce_end_image() - write the image's end
 * @writer: the writer, not inside a table. It can only be destroyed afterwards.
 * @err: what failed.
 *
 * An image without this is torn. Flushing and closing the sink is the caller's.
 *
 * Return: 0, %TCE_ERR_ARG, or %TCE_ERR_IO.
 */
int tce_end_image(struct tce_writer *writer, struct tce_error *err);

/**
 * tce_writer_size() - bytes written so far
 * @writer: the writer.
 *
 * Return: how many bytes the sink has taken.
 */
uint64_t tce_writer_size(const struct tce_writer *writer);

/**
 * tce_destroy_writer() - free a writer
 * @writer: from tce_create_writer(), or NULL. May be in the middle of an image.
 */
void tce_destroy_writer(struct tce_writer *writer);

/**
 * DOC: Reading images
 *
 * tce_create_reader(), then tce_next_table() until it returns 0, and for each table
 * tce_next_extent() until it returns 0. Nothing read is believed before it is checked: limits,
 * order, and each extent's own hash before the extent is handed out. Only when tce_next_table()
 * has returned 0 is the image known to be whole and what its writer wrote. Not one byte after the
 * image is read. Memory is constant, about 1 MiB, and a quarter of that more for each update that
 * the image has (at most 63). After an error the only call that a reader takes is
 * tce_destroy_reader().
 */
struct tce_reader;

/**
 * struct tce_extent - a piece of a table
 * @first: index of its first entry.
 * @count: entries, at least 1. At most %TCE_BLOCK_MAX when @words is set.
 * @words: @count TCEs in host byte order (zeros may be among them), valid until the next call
 *	on the object that gave it; or NULL for an arithmetic run.
 * @tce: of a run: its first TCE.
 * @stride: of a run: entry @first + n is @tce + n * @stride, modulo 2^64.
 */
struct tce_extent {
	uint64_t first;
	uint64_t count;
	const uint64_t *words;
	uint64_t tce;
	uint64_t stride;
};

/**
 * tce_create_reader() - begin to read an image
 * @reader: receives the reader; free it with tce_destroy_reader().
 * @source: where the image comes from; copied. Its ctx must outlive the reader.
 * @err: what failed.
 *
 * Reads the magic and the header.
 *
 * Return: 0, %TCE_ERR_ARG without a @source, %TCE_ERR_NOT_IMAGE, %TCE_ERR_VERSION,
 * %TCE_ERR_TORN, %TCE_ERR_CORRUPT, %TCE_ERR_LIMIT, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_create_reader(struct tce_reader **reader, const struct tce_source *source,
		      struct tce_error *err);

/**
 * tce_reader_made_by() - the program that wrote the image
 * @reader: the reader.
 *
 * Return: its name as the image has it (not to be trusted: may contain anything but NUL), maybe
 * empty. Belongs to the reader.
 */
const char *tce_reader_made_by(const struct tce_reader *reader);

/**
 * tce_reader_version() - version of the image's format
 * @reader: the reader.
 *
 * Return: 1, or 2 for an image that may have updates: it can't be read through a pipe.
 */
uint32_t tce_reader_version(const struct tce_reader *reader);

/**
 * tce_next_table() - go to the next table
 * @reader: the reader. What is left of the table before is read and checked.
 * @geometry: receives the table's header.
 * @err: what failed.
 *
 * Return: 1 with a table, 0 at the end of an image that is whole, %TCE_ERR_GEOMETRY for one that no
 * table can have, %TCE_ERR_RANGE, %TCE_ERR_UNSUPPORTED for an image with updates that comes through
 * a pipe, %TCE_ERR_ARG after an error, or as tce_create_reader().
 */
int tce_next_table(struct tce_reader *reader, struct tce_geometry *geometry, struct tce_error *err);

/**
 * tce_next_extent() - get the next piece of the table
 * @reader: the reader, in a table.
 * @extent: receives the piece. Pieces come in index order and do not overlap.
 * @err: what failed.
 *
 * Return: 1 with an extent, 0 at the table's end or outside a table, %TCE_ERR_RANGE,
 * %TCE_ERR_UNSUPPORTED, %TCE_ERR_ARG after an error, or as tce_create_reader().
 */
int tce_next_extent(struct tce_reader *reader, struct tce_extent *extent, struct tce_error *err);

/**
 * tce_skip_table() - go to the table's end without reading what it holds
 * @reader: the reader, whose source can seek.
 * @err: what failed.
 *
 * The table's records are checked and hashed like those of any other. So when tce_next_table() has
 * returned 0, only the payloads of skipped tables can still be damaged. An image with updates is
 * read as a whole.
 *
 * Return: 0, %TCE_ERR_UNSUPPORTED where the source can't seek, or as tce_next_table().
 */
int tce_skip_table(struct tce_reader *reader, struct tce_error *err);

/**
 * tce_reader_offset() - bytes read so far
 * @reader: the reader.
 *
 * Return: how many bytes of the source have been used.
 */
uint64_t tce_reader_offset(const struct tce_reader *reader);

/**
 * tce_destroy_reader() - free a reader
 * @reader: from tce_create_reader(), or NULL.
 */
void tce_destroy_reader(struct tce_reader *reader);

/**
 * struct tce_cursor - a table of an image, word by word
 *
 * An alternative to tce_next_extent() for callers that want every entry, holes included. Its
 * members are those of the library.
 */
struct tce_cursor {
	struct tce_reader *reader;
	struct tce_extent extent;
	uint64_t done;
	uint64_t index;
	bool at_end;
};

/**
 * tce_begin_cursor() - begin at entry 0
 * @cursor: filled in; nothing needs to be freed.
 * @reader: the reader, just after tce_next_table() returned the table.
 */
void tce_begin_cursor(struct tce_cursor *cursor, struct tce_reader *reader);

/**
 * tce_cursor_words() - the next entries
 * @cursor: from tce_begin_cursor().
 * @words: receives the TCEs, host-endian.
 * @count: how many. Entries past the table's end read as zero.
 * @err: what failed.
 *
 * Return: 0, or as tce_next_extent().
 */
int tce_cursor_words(struct tce_cursor *cursor, uint64_t *words, size_t count,
		     struct tce_error *err);

/**
 * tce_expand_extent() - the entries of an extent as words
 * @extent: the extent.
 * @skip: how many of its entries to leave out at its beginning.
 * @words: receives the TCEs, host-endian.
 * @count: how many; @skip + @count is at most @extent->count.
 */
void tce_expand_extent(const struct tce_extent *extent, uint64_t skip, uint64_t *words,
		       size_t count);

/**
 * tce_measure_run() - length of the arithmetic run at the beginning of some words
 * @words: TCEs.
 * @count: how many, at least 1.
 * @stride: receives the run's stride, 0 when the run is one entry.
 *
 * A run of zeros counts as a run; otherwise a run ends before a zero.
 *
 * Return: entries in the run, 1 to @count.
 */
size_t tce_measure_run(const uint64_t *words, size_t count, uint64_t *stride);

/**
 * tce_count_used() - how many of some words are not zero
 * @words: TCEs.
 * @count: how many.
 *
 * Return: the number.
 */
size_t tce_count_used(const uint64_t *words, size_t count);

/**
 * tce_first_zero() - the first entry of an arithmetic run that is zero
 * @tce: the run's first TCE.
 * @stride: what is added from one entry to the next.
 *
 * Return: the smallest n for which @tce + n * @stride is 0 modulo 2^64, or %UINT64_MAX. After it
 * every 2^(64 - k)th entry is zero, where 2^k is the largest power of two that divides @stride.
 */
uint64_t tce_first_zero(uint64_t tce, uint64_t stride);

/**
 * DOC: Files that are whole or not there
 *
 * tce_create_file(), write to its sink, tce_commit_file(). Until the commit the old file of that
 * name stays as it was, whatever happens to the process or the machine.
 */
struct tce_file;

/**
 * tce_create_file() - begin to replace a file
 * @file: receives the file; free it with tce_close_file().
 * @path: its name. A symbolic link is followed, also to a file that does not exist yet. The owner,
 *	the group and the permissions (an access control list, too) of a file that exists are kept,
 *	or this fails; a new file is for its owner only. What exists and is not a regular file (a
 *	device, a pipe) is written to directly.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_IO, or %TCE_ERR_NOMEM.
 */
int tce_create_file(struct tce_file **file, const char *path, struct tce_error *err);

/**
 * tce_file_sink() - sink of a file that is being replaced
 * @file: the file.
 *
 * Return: the sink; valid until the file is committed or closed.
 */
struct tce_sink tce_file_sink(struct tce_file *file);

/**
 * tce_commit_file() - put the new file in the old one's place
 * @file: the file.
 * @err: what failed.
 *
 * The contents are on disk before the name is, and the name before this returns.
 *
 * Return: 0, or %TCE_ERR_IO. Then the old file is still there, unless the message says that the new
 * one is in place: only its name may not be on disk yet.
 */
int tce_commit_file(struct tce_file *file, struct tce_error *err);

/**
 * tce_discard_file() - remove what was written of a file
 * @file: the file.
 *
 * For the handler of a signal that ends the process, since it is async-signal-safe and frees
 * nothing. Most file systems can have a file without a name; where one can't, something would stay
 * in the folder.
 */
void tce_discard_file(const struct tce_file *file);

/**
 * tce_close_file() - free a file
 * @file: from tce_create_file(), or NULL. What was not committed is thrown away.
 */
void tce_close_file(struct tce_file *file);

/**
 * DOC: Tables
 *
 * One interface to whatever holds a table: a table fd of a patched kernel, a table fd of a stock
 * kernel (read through mmap, never written), or a plain file or memfd of host-endian words.
 */
struct tce_table;

/**
 * enum tce_backend - what holds a table
 * @TCE_BACKEND_KVM: table fd of a kernel with this project's patches.
 * @TCE_BACKEND_KVM_STOCK: table fd of a stock kernel. Reading allocates the table's pages in the
 *	kernel, there are no holes, nothing can be written, and only the size is known, rounded up
 *	to host pages.
 * @TCE_BACKEND_FILE: plain file or memfd; sparse where it has holes. Only the size is known.
 */
enum tce_backend {
	TCE_BACKEND_KVM,
	TCE_BACKEND_KVM_STOCK,
	TCE_BACKEND_FILE,
};

/**
 * struct tce_table_stats - what a patched kernel says about a table beside its geometry
 * @allocated_pages: host pages that hold entries.
 * @hw_tables: hardware tables attached (VFIO groups).
 * @dirty_log: the dirty log is on.
 */
struct tce_table_stats {
	uint64_t allocated_pages;
	uint64_t hw_tables;
	bool dirty_log;
};

/**
 * tce_open_table() - use a file descriptor as a table
 * @table: receives the table; free it with tce_close_table().
 * @fd: table fd, plain file or memfd. Duplicated; yours stays yours. The file position, which
 *	may be shared with the VMM, is moved.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_NOT_TABLE, %TCE_ERR_GEOMETRY, %TCE_ERR_NOMEM, or %TCE_ERR_IO, also for an fd
 * that is not open.
 */
int tce_open_table(struct tce_table **table, int fd, struct tce_error *err);

/**
 * tce_table_geometry() - header of a table
 * @table: the table.
 *
 * Return: what is known. Belongs to the table.
 */
const struct tce_geometry *tce_table_geometry(const struct tce_table *table);

/**
 * tce_declare_geometry() - say by hand what the kernel does not tell
 * @table: the table.
 * @geometry: parts in @known are taken. A part that the kernel did tell must agree. The number of
 *	entries may only cut off the last, partly used host page.
 * @err: the part that does not agree.
 *
 * Return: 0, or %TCE_ERR_GEOMETRY.
 */
int tce_declare_geometry(struct tce_table *table, const struct tce_geometry *geometry,
			 struct tce_error *err);

/**
 * tce_table_backend() - what holds a table
 * @table: the table.
 *
 * Return: its kind.
 */
enum tce_backend tce_table_backend(const struct tce_table *table);

/**
 * tce_read_stats() - what the kernel counts for a table
 * @table: the table.
 * @stats: receives the counts, as they are now.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_UNSUPPORTED for tables that are not %TCE_BACKEND_KVM, or %TCE_ERR_IO.
 */
int tce_read_stats(const struct tce_table *table, struct tce_table_stats *stats,
		   struct tce_error *err);

/**
 * tce_read_words() - read entries
 * @table: the table.
 * @index: first entry.
 * @words: receives the TCEs, host-endian.
 * @count: how many.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_RANGE, or %TCE_ERR_IO.
 */
int tce_read_words(struct tce_table *table, uint64_t index, uint64_t *words, size_t count,
		   struct tce_error *err);

/**
 * tce_next_data() - find the next range that is not a hole
 * @table: the table.
 * @index: where to begin to look.
 * @first: receives the first entry of the range, at least @index.
 * @count: receives its length.
 * @err: what failed.
 *
 * Reads no entry and allocates nothing. If holes are not known, the rest of the table is one range.
 *
 * Return: 1 with a range, 0 when only holes are left, or %TCE_ERR_IO.
 */
int tce_next_data(struct tce_table *table, uint64_t index, uint64_t *first, uint64_t *count,
		  struct tce_error *err);

/**
 * tce_write_words() - write entries
 * @table: the table.
 * @index: first entry.
 * @words: the TCEs, host-endian. A zero clears the entry.
 * @count: how many.
 * @written: receives how many entries, from @index on, were written, also on failure. May be NULL.
 * @err: what failed; with %TCE_ERR_REFUSED its index is that of the refused entry.
 *
 * Return: 0, %TCE_ERR_RANGE, %TCE_ERR_REFUSED, %TCE_ERR_UNSUPPORTED, or %TCE_ERR_IO.
 */
int tce_write_words(struct tce_table *table, uint64_t index, const uint64_t *words, size_t count,
		    size_t *written, struct tce_error *err);

/**
 * tce_clear_words() - make entries zero, giving back whole pages
 * @table: the table.
 * @index: first entry.
 * @count: how many.
 * @err: what failed.
 *
 * With a @count of 0 it only tells whether the table can be written.
 *
 * Return: 0, %TCE_ERR_RANGE, %TCE_ERR_UNSUPPORTED, or %TCE_ERR_IO.
 */
int tce_clear_words(struct tce_table *table, uint64_t index, uint64_t count, struct tce_error *err);

/**
 * tce_keep_position() - leave the file position of a table alone
 * @table: the table.
 *
 * For a table whose VMM is running and may be using the position. Then holes are not looked for;
 * they are read as zeros.
 */
void tce_keep_position(struct tce_table *table);

/**
 * tce_close_table() - stop using a table
 * @table: from tce_open_table(), or NULL. The table itself stays.
 */
void tce_close_table(struct tce_table *table);

/**
 * struct tce_progress - tells how far a long job is
 * @step: called now and then with entries done and in all; may be NULL.
 * @ctx: handed to @step.
 */
struct tce_progress {
	void (*step)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

/**
 * struct tce_extents - where the entries of a table come from, piece by piece
 * @next: gives the next piece, in index order: 1 with an extent, whose words are valid until the
 *	next call; 0 at the table's end; or a negative &enum tce_status with @err filled in.
 * @ctx: handed to @next.
 */
struct tce_extents {
	int (*next)(void *ctx, struct tce_extent *extent, struct tce_error *err);
	void *ctx;
};

/**
 * tce_reader_extents() - the pieces of a table of an image
 * @reader: the reader, just after tce_next_table() returned the table.
 *
 * Return: the pieces. Nothing needs to be freed.
 */
struct tce_extents tce_reader_extents(struct tce_reader *reader);

/**
 * tce_copy_table() - put a whole table into an image, from wherever it comes
 * @writer: the writer, not inside a table.
 * @geometry: the table's header.
 * @from: the table's entries.
 * @progress: told how far it is, or NULL.
 * @err: what failed.
 *
 * Return: 0, or as @from, tce_begin_table(), tce_put_words() and tce_end_table().
 */
int tce_copy_table(struct tce_writer *writer, const struct tce_geometry *geometry,
		   const struct tce_extents *from, const struct tce_progress *progress,
		   struct tce_error *err);

/**
 * tce_save_table() - put a whole table into an image
 * @table: the table; its geometry is the header.
 * @writer: the writer, not inside a table.
 * @progress: told how far it is, or NULL.
 * @err: what failed.
 *
 * Holes are not read. While the guest runs, what comes out is entries of different moments.
 *
 * Return: 0, or as tce_next_data(), tce_read_words() and the writer's functions.
 */
int tce_save_table(struct tce_table *table, struct tce_writer *writer,
		   const struct tce_progress *progress, struct tce_error *err);

/**
 * struct tce_loaded - how far tce_load_table() came
 * @written: entries of the table, from index 0 on, that are already what the image says.
 * @used: how many of them are not zero, as of the last extent that was written whole.
 */
struct tce_loaded {
	uint64_t written;
	uint64_t used;
};

/**
 * tce_load_table() - make a table what an image says
 * @table: the table to fill.
 * @reader: the reader, just after tce_next_table() returned the table to take.
 * @loaded: receives how far it came, also on failure. May be NULL.
 * @progress: told how far it is, or NULL.
 * @err: what failed; with %TCE_ERR_REFUSED its index is that of the refused entry.
 *
 * Entries that the image does not have are cleared. Each extent is checked before it is written.
 * The caller compares the geometries first (tce_match_geometry()). To know beforehand that the
 * image is not torn, read it once before.
 *
 * Return: 0, or as tce_next_extent(), tce_write_words() and tce_clear_words().
 */
int tce_load_table(struct tce_table *table, struct tce_reader *reader, struct tce_loaded *loaded,
		   const struct tce_progress *progress, struct tce_error *err);

/**
 * DOC: A table that moves while its guest runs
 *
 * For a VMM that migrates its guest itself. The source makes a sender, sends rounds, stops the
 * guest when a round was small enough, and sends the last one. The first round is the whole table,
 * each one after it what has changed since, if the kernel has a dirty log; if not, the whole table
 * again. The destination receives into its own, empty table.
 *
 * What is sent is an image of version 2. In a file it is an image like any other, of the table as
 * it was at the last round. There are at most 64 rounds. Between rounds a sender has no buffers.
 */
struct tce_sender;

/**
 * struct tce_round - what a round was
 * @entries: entries sent.
 * @bytes: bytes that they took.
 * @logged: they were chosen by the dirty log.
 */
struct tce_round {
	uint64_t entries;
	uint64_t bytes;
	bool logged;
};

/**
 * tce_create_sender() - begin to send a table
 * @sender: receives the sender; free it with tce_destroy_sender().
 * @table: the table, of which the number of entries must be known; must outlive the sender.
 *	Its dirty log is started, and must not be in use.
 * @sink: where to; copied.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_UNKNOWN, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_create_sender(struct tce_sender **sender, struct tce_table *table,
		      const struct tce_sink *sink, struct tce_error *err);

/**
 * tce_send_round() - send a round
 * @sender: the sender.
 * @last: the guest has been stopped: what is received after this is the whole table.
 * @round: receives what was sent, or NULL.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_IO, %TCE_ERR_NOMEM, %TCE_ERR_ARG after the last round or an error,
 * %TCE_ERR_LIMIT after too many, or as tce_next_data() and tce_read_words().
 */
int tce_send_round(struct tce_sender *sender, bool last, struct tce_round *round,
		   struct tce_error *err);

/**
 * tce_destroy_sender() - stop the dirty log and free a sender
 * @sender: from tce_create_sender(), or NULL.
 */
void tce_destroy_sender(struct tce_sender *sender);

/**
 * tce_receive_table() - receive all rounds into a table
 * @table: where to; empty. As far as both geometries are known, they must be the same, the LIOBN
 *	excepted.
 * @source: where from. Nothing after the last round is read.
 * @err: what failed; with %TCE_ERR_REFUSED its index is that of the refused entry.
 *
 * Return: 0, %TCE_ERR_ARG without a @source, %TCE_ERR_NOT_IMAGE, %TCE_ERR_VERSION, %TCE_ERR_TORN,
 * %TCE_ERR_CORRUPT, %TCE_ERR_GEOMETRY, %TCE_ERR_LIMIT, %TCE_ERR_RANGE, %TCE_ERR_NOMEM, or as
 * tce_write_words() and tce_clear_words().
 */
int tce_receive_table(struct tce_table *table, const struct tce_source *source,
		      struct tce_error *err);

/**
 * DOC: Running VMMs
 */
struct tce_vmm;

/**
 * tce_open_vmm() - find the TCE tables of a running process
 * @vmm: receives the tables found; free with tce_close_vmm().
 * @pid: process ID of the VMM.
 * @err: what failed.
 *
 * The fds are taken with pidfd_getfd(), which asks for the right to ptrace the process. Tables
 * come ordered by LIOBN, those whose LIOBN the kernel does not tell by fd number. A table that the
 * process holds through several fds comes once. A VM without tables is no error.
 *
 * Return: 0, %TCE_ERR_NO_PROCESS, %TCE_ERR_PERMISSION, %TCE_ERR_NO_KVM, %TCE_ERR_GEOMETRY if the
 * kernel tells an impossible geometry of a table, %TCE_ERR_NOMEM, or %TCE_ERR_IO.
 */
int tce_open_vmm(struct tce_vmm **vmm, pid_t pid, struct tce_error *err);

/**
 * tce_vmm_count() - number of tables found
 * @vmm: from tce_open_vmm().
 *
 * Return: how many.
 */
size_t tce_vmm_count(const struct tce_vmm *vmm);

/**
 * tce_vmm_table() - one of the tables found
 * @vmm: from tce_open_vmm().
 * @number: 0 to tce_vmm_count() - 1.
 *
 * Return: the table. Belongs to @vmm: do not close it.
 */
struct tce_table *tce_vmm_table(const struct tce_vmm *vmm, size_t number);

/**
 * tce_vmm_fd() - number that a table's fd has in the process
 * @vmm: from tce_open_vmm().
 * @number: 0 to tce_vmm_count() - 1.
 *
 * Return: the lowest fd number, in the VMM, that is this table.
 */
int tce_vmm_fd(const struct tce_vmm *vmm, size_t number);

/**
 * tce_find_table() - the table with a LIOBN
 * @vmm: from tce_open_vmm().
 * @liobn: the LIOBN.
 * @table: receives the table. Belongs to @vmm: do not close it.
 * @err: what failed.
 *
 * Return: 0, %TCE_ERR_NO_TABLE if there is none, or %TCE_ERR_UNKNOWN if several VMs of the process
 * have one, so that nobody knows which is meant.
 */
int tce_find_table(const struct tce_vmm *vmm, uint64_t liobn, struct tce_table **table,
		   struct tce_error *err);

/**
 * tce_close_vmm() - stop using a VMM and its tables
 * @vmm: from tce_open_vmm(), or NULL.
 */
void tce_close_vmm(struct tce_vmm *vmm);

#ifdef __cplusplus
}
#endif
#endif /* TCE_H */
