/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The views of tce-dump, and the walk over a table's runs that they share.
 */
#ifndef TCE_TOOLS_DUMP_H
#define TCE_TOOLS_DUMP_H

#include "source/source.h"

/**
 * struct run - an arithmetic run of entries, none of them zero
 * @first: index of its first entry.
 * @count: entries, at least 1.
 * @tce: its first TCE.
 * @stride: what is added from one entry to the next, modulo 2^64; 0 for one entry.
 */
struct run {
	uint64_t first;
	uint64_t count;
	uint64_t tce;
	uint64_t stride;
};

/**
 * struct totals - what a table has in all
 * @runs: runs.
 * @used: entries that are not zero.
 * @access: of these, by the two permission bits: [0] poison, [1] read-only, [2] write-only,
 *	[3] read-write.
 */
struct totals {
	uint64_t runs;
	uint64_t used;
	uint64_t access[4];
};

/**
 * walk_runs() - take a table apart into runs
 * @source: the source, in a table.
 * @geometry: header of the table.
 * @take: called for each run, in index order.
 * @ctx: handed to @take.
 * @totals: receives the sums. May be NULL.
 * @err: what failed.
 *
 * What the runs are depends on the entries alone, not on how the source hands them out.
 *
 * Return: 0, or a negative status.
 */
int walk_runs(struct source *source, const struct tce_geometry *geometry,
	      void (*take)(void *ctx, const struct run *run), void *ctx, struct totals *totals,
	      struct tce_error *err);

/**
 * run_access() - permissions that all entries of a run have
 * @run: the run.
 *
 * Return: "read-write", "read-only", "write-only", "poison", or "mixed".
 */
const char *run_access(const struct run *run);

/**
 * struct choice - which tables, and how much of them
 * @liobn_given: only the table with @liobn.
 * @liobn: the LIOBN.
 * @vm_given: only tables of the VM @vm.
 * @vm: the VM's number.
 * @vm_unknown: tables of an unknown VM, too.
 * @all: no limit on lines.
 * @json: print JSON.
 * @other: what to compare with.
 * @output: file to save in, or "-".
 * @address: bus address to look up.
 * @first_gpa: first guest address to look for.
 * @last_gpa: last one.
 */
struct choice {
	bool liobn_given;
	uint64_t liobn;
	bool vm_given;
	uint64_t vm;
	bool vm_unknown;
	bool all;
	bool json;
	const char *other;
	const char *output;
	uint64_t address;
	uint64_t first_gpa;
	uint64_t last_gpa;
};

/* Were certain tables asked for? */
static inline bool is_choice(const struct choice *choice)
{
	return choice->liobn_given || choice->vm_given;
}

/**
 * next_chosen_table() - go to the next table that was asked for
 * @source: the source.
 * @choice: which tables.
 * @geometry: receives the header.
 * @err: what failed.
 *
 * Return: as source_ops.next_table.
 */
int next_chosen_table(struct source *source, const struct choice *choice,
		      struct tce_geometry *geometry, struct tce_error *err);

/*
 * What tce-dump can do with a source. @no is set when the answer is no: the sources differ, or
 * nothing was found. Return: number of tables, or a negative status.
 */
int view_text(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);
int view_map(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);
int view_diff(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);
int view_verify(struct source *source, const struct choice *choice, bool *no,
		struct tce_error *err);
int save_source(struct source *source, const struct choice *choice, bool *no,
		struct tce_error *err);

int view_info(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);
int view_at(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);
int view_find(struct source *source, const struct choice *choice, bool *no, struct tce_error *err);

/* json.c: view_text() with --json, and what view_info() takes from it. */
int view_json(struct source *source, const struct choice *choice, struct tce_error *err);
void begin_json(const struct source *source);
void print_json_header(struct source *source, const struct tce_geometry *geometry);

/* text.c: the header of a table. */
void print_header(struct source *source, const struct tce_geometry *geometry);

/**
 * watch_tables() - show live tables until a signal comes
 * @live: which VMM or fd.
 * @choice: which tables.
 * @seconds: from one look to the next.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int watch_tables(const struct live_choice *live, const struct choice *choice, uint64_t seconds,
		 struct tce_error *err);

#endif /* TCE_TOOLS_DUMP_H */
