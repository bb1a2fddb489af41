/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables that go through a stream as runs: what reads their records and what writes them share.
 */
#ifndef STREAM_RUNS_H
#define STREAM_RUNS_H

#include "stream-scan.h"

#define RECORD_HEAD	 (1 + 4 + 4)
#define RUN_SIZE	 (RECORD_HEAD + 8 + 8)
#define RECORD_WORDS_MAX 512
#define RECORD_MAX	 (RECORD_HEAD + RECORD_WORDS_MAX * sizeof(uint64_t))

enum record {
	RECORD_END = 0,
	RECORD_RUN = 1,
	RECORD_WORDS = 2,
};

/**
 * struct run_writer - the records of a table that are being written
 * @out: where they go.
 * @bytes: written so far.
 * @run: waits for what may go on with it.
 * @buf: room for one, with what @out wants in front of it.
 */
struct run_writer {
	const struct stream_output *out;
	uint64_t bytes;
	struct tce_run run;
	uint8_t buf[OUTPUT_HEADROOM + RECORD_MAX];
};

/* stream-runs-put.c: @count entries from @index on, in ascending order; then the end */
int tce_stream_put_runs(struct run_writer *writer, uint64_t index, const uint64_t *words,
			size_t count, struct tce_error *err);
int tce_stream_end_runs(struct run_writer *writer, struct tce_error *err);

#endif
