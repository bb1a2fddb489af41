// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The bytes and the records of an image that is being read. They are not trusted: a size is
 * compared with its limit before it is used.
 */
#include <errno.h>

#include "image-private.h"

int tce_fail_reader(struct tce_reader *reader, struct tce_error *err, int code, int sys_errno,
		    const char *what)
{
	reader->state = FAILED;
	tce_set_error(err, code, sys_errno, "%s", what);
	if (err) {
		err->fields |= TCE_ERROR_OFFSET;
		err->offset = reader->record_offset;
		if (reader->geometry.known & TCE_KNOWN_LIOBN) {
			err->fields |= TCE_ERROR_LIOBN;
			err->liobn = reader->geometry.liobn;
		}
	}
	return code;
}

int tce_read_image_bytes(struct tce_reader *reader, void *buf, size_t len, struct tce_error *err)
{
	size_t got;
	int ret = tce_read_fully(&reader->source, buf, len, &got);

	reader->offset += got;
	if (ret < 0)
		return tce_fail_reader(reader, err, TCE_ERR_IO, -ret, "reading the image");
	if (got < len) {
		ret = tce_fail_reader(reader, err, TCE_ERR_TORN, 0, "the image ends in the middle");
		if (err)
			err->offset = reader->offset;
		return ret;
	}
	return TCE_OK;
}

int tce_seek_image(struct tce_reader *reader, uint64_t offset, struct tce_error *err)
{
	int ret = -ESPIPE;

	if (offset == reader->offset)
		return TCE_OK;
	if (reader->source.seek)
		ret = reader->source.seek(reader->source.ctx, (int64_t)(offset - reader->offset));
	if (ret == -ESPIPE)
		return tce_fail_reader(reader, err, TCE_ERR_UNSUPPORTED, 0,
				       "this image can only be read from a file");
	if (ret < 0)
		return tce_fail_reader(reader, err, TCE_ERR_IO, -ret, "reading the image");
	reader->offset = offset;
	return TCE_OK;
}

/*
 * Read a record; the caller frees it. It is of one of the six kinds. With its size word it is the
 * first @length bytes of @reader->buf.
 */
int tce_read_record(struct tce_reader *reader, TceRecord **record, size_t *length,
		    struct tce_error *err)
{
	uint32_t size;
	int ret;

	reader->record_offset = reader->offset;
	ret = tce_read_image_bytes(reader, reader->buf, 4, err);
	if (ret < 0)
		return ret;
	size = load_le32(reader->buf);
	if (!size || size > TCE_RECORD_MAX)
		return tce_fail_reader(reader, err, TCE_ERR_LIMIT, 0,
				       "a record of impossible size");
	ret = tce_read_image_bytes(reader, reader->buf + 4, size, err);
	if (ret < 0)
		return ret;

	*record = tce_record__unpack(NULL, size, reader->buf + 4);
	if (!*record)
		return tce_fail_reader(reader, err, TCE_ERR_CORRUPT, 0,
				       "a record that cannot be decoded");
	*length = 4 + size;
	return TCE_OK;
}

/* The same for the records that the image's hash is of, which the end record carries. */
int tce_read_hashed_record(struct tce_reader *reader, TceRecord **record, struct tce_error *err)
{
	size_t length;
	int ret = tce_read_record(reader, record, &length, err);

	if (!ret && !reader->side_by_side && (*record)->kind_case != TCE_RECORD__KIND_END)
		XXH3_64bits_update(reader->hash, reader->buf, length);
	return ret;
}
