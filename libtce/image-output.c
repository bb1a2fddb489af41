// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The bytes and the records of an image that is being written.
 */
#include "image-private.h"

int tce_fail_writer(struct tce_writer *writer, struct tce_error *err, int code, int sys_errno,
		    const char *what)
{
	writer->state = FAILED;
	tce_set_error(err, code, sys_errno, "%s", what);
	if (err && writer->liobn_known) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = writer->liobn;
	}
	return code;
}

int tce_flush_writer(struct tce_writer *writer, struct tce_error *err)
{
	int ret;

	if (!writer->out_used)
		return TCE_OK;
	ret = writer->sink.write(writer->sink.ctx, writer->out, writer->out_used);
	if (ret < 0)
		return tce_fail_writer(writer, err, TCE_ERR_IO, -ret, "writing the image");
	writer->out_used = 0;
	return TCE_OK;
}

int tce_write_image_bytes(struct tce_writer *writer, const void *buf, size_t len,
			  struct tce_error *err)
{
	int ret;

	if (len > OUT_SIZE - writer->out_used) {
		ret = tce_flush_writer(writer, err);
		if (ret < 0)
			return ret;
	}
	if (!writer->out || len > OUT_SIZE) {
		ret = writer->sink.write(writer->sink.ctx, buf, len);
		if (ret < 0)
			return tce_fail_writer(writer, err, TCE_ERR_IO, -ret, "writing the image");
	} else {
		memcpy(writer->out + writer->out_used, buf, len);
		writer->out_used += len;
	}
	writer->size += len;
	return TCE_OK;
}

int tce_write_record(struct tce_writer *writer, const TceRecord *record, struct tce_error *err)
{
	uint8_t buf[4 + TCE_RECORD_MAX];
	size_t size = tce_record__get_packed_size(record);

	/* Cannot be: every string in a record is at most TCE_STRING_MAX long. */
	if (size > TCE_RECORD_MAX)
		return tce_fail_writer(writer, err, TCE_ERR_LIMIT, 0, "a record is too large");
	store_le32(buf, (uint32_t)size);
	tce_record__pack(record, buf + 4);
	XXH3_64bits_update(writer->hash, buf, 4 + size);
	return tce_write_image_bytes(writer, buf, 4 + size, err);
}
