// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writes the records of a table that goes on as runs, when others have taken the place of its
 * entries. stream-runs.c describes them.
 */
#include "stream-runs.h"

/* From this many entries on, a run takes fewer bytes than the entries. */
#define RUN_MIN 4

static int put_record(struct run_writer *writer, size_t size, struct tce_error *err)
{
	writer->bytes += size;
	return writer->out->bytes(writer->out->ctx, writer->buf + OUTPUT_HEADROOM, size, err);
}

static uint8_t *make_head(struct run_writer *writer, enum record type, uint64_t first,
			  uint64_t count)
{
	uint8_t *record = writer->buf + OUTPUT_HEADROOM;

	record[0] = (uint8_t)type;
	store_be32(record + 1, (uint32_t)first);
	store_be32(record + 5, (uint32_t)count);
	return record + RECORD_HEAD;
}

static int put_run(struct run_writer *writer, struct tce_error *err)
{
	const struct tce_run *run = &writer->run;
	uint8_t *at;

	if (!run->count)
		return 0;
	at = make_head(writer, RECORD_RUN, run->first, run->count);
	store_be64(at, run->tce);
	store_be64(at + 8, run->stride);
	writer->run.count = 0;
	return put_record(writer, RUN_SIZE, err);
}

static int put_others(struct run_writer *writer, uint64_t index, const uint64_t *words,
		      size_t count, struct tce_error *err)
{
	uint8_t *at;
	size_t i;
	int ret = put_run(writer, err);

	if (ret)
		return ret;
	at = make_head(writer, RECORD_WORDS, index, count);
	for (i = 0; i < count; i++)
		store_be64(at + i * sizeof(*words), words[i]);
	return put_record(writer, RECORD_HEAD + count * sizeof(*words), err);
}

/* How many of @words go on with the run that waits. */
static size_t extend_run(struct run_writer *writer, uint64_t index, const uint64_t *words,
			 size_t count)
{
	struct tce_run *run = &writer->run;
	size_t n;

	if (!run->count || run->first + run->count != index)
		return 0;
	n = tce_extend_run(words, count, run->tce + run->count * run->stride, run->stride);
	run->count += n;
	return n;
}

/* How many of @words come before the next gap or run that is worth a record. */
static size_t measure_others(const uint64_t *words, size_t count)
{
	uint64_t stride;
	size_t n = 0, run;

	while (n < count && n < RECORD_WORDS_MAX) {
		run = tce_measure_run(words + n, count - n, &stride);
		if (run >= RUN_MIN)
			break;
		n += run;
	}
	return (size_t)min_u64(n, RECORD_WORDS_MAX);
}

int tce_stream_put_runs(struct run_writer *writer, uint64_t index, const uint64_t *words,
			size_t count, struct tce_error *err)
{
	uint64_t stride;
	size_t n;
	int ret = 0;

	for (; !ret && count; index += n, words += n, count -= n) {
		n = extend_run(writer, index, words, count);
		if (n)
			continue;
		n = tce_measure_run(words, count, &stride);
		if (!words[0])
			continue;
		if (n >= RUN_MIN) {
			ret = put_run(writer, err);
			writer->run = (struct tce_run){ index, n, words[0], stride };
			continue;
		}
		n = measure_others(words, count);
		ret = put_others(writer, index, words, n, err);
	}
	return ret;
}

int tce_stream_end_runs(struct run_writer *writer, struct tce_error *err)
{
	int ret = put_run(writer, err);

	if (ret)
		return ret;
	writer->buf[OUTPUT_HEADROOM] = RECORD_END;
	return put_record(writer, 1, err);
}
