// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables of a running VMM, or behind a table fd that was inherited.
 */
#include <stdlib.h>
#include <string.h>

#include "source/source.h"
#include "vmm.h"

/**
 * struct live_source - live tables
 * @base: the source.
 * @vmm: the VMM, or NULL for an inherited fd.
 * @own: the table behind the inherited fd, or NULL.
 * @chosen: the one table chosen, or NULL for all of @vmm.
 * @next: number of the next table.
 * @table: the table being read, or NULL.
 * @index: next entry of it to look at.
 * @end: end of the range of data that @index is in.
 * @words: entries handed out.
 */
struct live_source {
	struct source base;
	struct tce_vmm *vmm;
	struct tce_table *own;
	struct tce_table *chosen;
	size_t next;
	struct tce_table *table;
	uint64_t index;
	uint64_t end;
	uint64_t words[TCE_BLOCK_MAX];
};

static int live_next_table(struct source *source, struct tce_geometry *geometry,
			   struct tce_error *err)
{
	struct live_source *live = (struct live_source *)source;
	size_t count = live->chosen ? 1 : tce_vmm_count(live->vmm);

	if (live->next >= count)
		return 0;
	live->table = live->chosen ? live->chosen : tce_vmm_table(live->vmm, live->next);
	live->next++;
	live->index = 0;
	live->end = 0;
	*geometry = *tce_table_geometry(live->table);
	return 1;
}

static int live_next_extent(struct source *source, struct tce_extent *extent, struct tce_error *err)
{
	struct live_source *live = (struct live_source *)source;
	uint64_t count;
	int ret;

	if (live->index == live->end) {
		ret = tce_next_data(live->table, live->index, &live->index, &count, err);
		if (ret <= 0)
			goto out;
		live->end = live->index + count;
	}
	/* Up to the next multiple: that is what an image writer takes without a copy. */
	count = TCE_BLOCK_MAX - live->index % TCE_BLOCK_MAX;
	if (count > live->end - live->index)
		count = live->end - live->index;
	ret = tce_read_words(live->table, live->index, live->words, count, err);
	if (ret < 0)
		goto out;
	extent->first = live->index;
	extent->count = count;
	extent->words = live->words;
	live->index += count;
	ret = 1;
out:
	if (ret < 0)
		name_error(err, source->name);
	return ret;
}

static int live_read_entry(struct source *source, uint64_t index, uint64_t *tce,
			   struct tce_error *err)
{
	struct live_source *live = (struct live_source *)source;
	int ret = tce_read_words(live->table, index, tce, 1, err);

	if (ret < 0)
		name_error(err, source->name);
	return ret;
}

static int live_read_stats(struct source *source, struct tce_table_stats *stats,
			   struct tce_error *err)
{
	struct live_source *live = (struct live_source *)source;

	return tce_read_stats(live->table, stats, err);
}

static int live_rewind(struct source *source, struct tce_error *err)
{
	struct live_source *live = (struct live_source *)source;

	live->next = 0;
	live->table = NULL;
	return TCE_OK;
}

static void live_close(struct source *source)
{
	struct live_source *live = (struct live_source *)source;

	tce_close_table(live->own);
	tce_close_vmm(live->vmm);
	free(live);
}

static const struct source_ops live_ops = {
	.next_table = live_next_table,
	.next_extent = live_next_extent,
	.read_entry = live_read_entry,
	.read_stats = live_read_stats,
	.rewind = live_rewind,
	.close = live_close,
};

/*
 * What was said by hand is of one table. A stock kernel does not tell LIOBNs: with one table the
 * user's word is enough, else not.
 */
static int choose_unnamed(const struct tce_vmm *vmm, pid_t pid, struct tce_table **table,
			  struct tce_error *err)
{
	char fds[128] = "";
	size_t i, used = 0;

	if (tce_vmm_count(vmm) == 1) {
		*table = tce_vmm_table(vmm, 0);
		return TCE_OK;
	}
	for (i = 0; i < tce_vmm_count(vmm) && used < sizeof(fds); i++)
		used += (size_t)snprintf(fds + used, sizeof(fds) - used, " %d", tce_vmm_fd(vmm, i));
	if (tce_table_geometry(tce_vmm_table(vmm, 0))->known & TCE_KNOWN_LIOBN)
		return tce_set_error(err, TCE_ERR_UNKNOWN, 0,
				     "PID %d has several tables, and these options are for one: "
				     "choose with --liobn, or with --fd among%s",
				     (int)pid, fds);
	return tce_set_error(
		err, TCE_ERR_UNKNOWN, 0,
		"PID %d: this kernel does not tell which table has which LIOBN: choose "
		"with --fd among%s",
		(int)pid, fds);
}

/* Of several VMs in one process, the table of one. */
static int find_in_vm(const struct tce_vmm *vmm, pid_t pid, const struct tce_geometry *wanted,
		      struct tce_table **table, struct tce_error *err)
{
	const struct tce_geometry *geometry;
	char name[TABLE_NAME_SIZE];
	size_t i;

	for (i = 0; i < tce_vmm_count(vmm); i++) {
		geometry = tce_table_geometry(tce_vmm_table(vmm, i));
		if (geometry->known & TCE_KNOWN_LIOBN && geometry->liobn == wanted->liobn &&
		    geometry->has_vm && geometry->vm == wanted->vm) {
			*table = tce_vmm_table(vmm, i);
			return TCE_OK;
		}
	}
	return tce_set_error(err, TCE_ERR_NO_TABLE, 0, "PID %d has no table with %s", (int)pid,
			     format_table(wanted, name));
}

static int choose_table(struct live_source *live, const struct live_choice *choice,
			struct tce_error *err)
{
	const struct tce_geometry *by_hand = &choice->geometry;
	bool liobn = by_hand->known & TCE_KNOWN_LIOBN;
	const struct tce_geometry *first;

	if (!choice->pid) {
		int ret = tce_open_table(&live->own, choice->fd, err);

		if (!ret)
			ret = check_own_fd(choice->fd, false, err);
		if (ret < 0)
			name_error(err, live->base.name);
		live->chosen = live->own;
		return ret;
	}
	if (choice->fd >= 0)
		return find_vmm_fd(live->vmm, choice->pid, choice->fd, &live->chosen, err);
	if (!tce_vmm_count(live->vmm))
		return tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				     "PID %d has a virtual machine, but no TCE table in the kernel",
				     (int)choice->pid);
	first = tce_table_geometry(tce_vmm_table(live->vmm, 0));
	if (liobn && by_hand->has_vm)
		return find_in_vm(live->vmm, choice->pid, by_hand, &live->chosen, err);
	if (liobn && first->known & TCE_KNOWN_LIOBN)
		return tce_find_table(live->vmm, by_hand->liobn, &live->chosen, err);
	if (by_hand->known)
		return choose_unnamed(live->vmm, choice->pid, &live->chosen, err);
	return TCE_OK;
}

/* What a stock kernel cannot say is said once, here; the view then shows what is missing. */
static void warn_of_stock(const struct live_source *live)
{
	const struct tce_table *table = live->chosen ? live->chosen : tce_vmm_table(live->vmm, 0);

	if (tce_table_backend(table) == TCE_BACKEND_KVM_STOCK)
		print_note("this kernel has no TCE patches: it does not tell LIOBN, page size, bus "
			   "offset and exact size, and reading a table allocates all its pages");
}

int open_live_source(struct source **source, const struct live_choice *choice,
		     struct tce_error *err)
{
	struct live_source *live = calloc(1, sizeof(*live));
	int ret;

	if (!live)
		return no_memory(err, "a block of entries");
	live->base.ops = &live_ops;
	if (choice->pid) {
		snprintf(live->base.name, sizeof(live->base.name), "PID %d", (int)choice->pid);
		ret = tce_open_vmm(&live->vmm, choice->pid, err);
		if (ret < 0)
			goto out_close;
	} else {
		snprintf(live->base.name, sizeof(live->base.name), "fd %d", choice->fd);
	}

	ret = choose_table(live, choice, err);
	if (!ret && choice->geometry.known) {
		ret = tce_declare_geometry(live->chosen, &choice->geometry, err);
		if (ret < 0)
			name_error(err, live->base.name);
	}
	if (ret < 0)
		goto out_close;
	warn_of_stock(live);
	*source = &live->base;
	return TCE_OK;

out_close:
	live_close(&live->base);
	return ret;
}
