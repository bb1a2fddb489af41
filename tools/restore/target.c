// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which table of the image goes where.
 */
#include <inttypes.h>
#include <stdio.h>

#include "restore/restore.h"
#include "vmm.h"

int target_error(const struct target *target, struct tce_error *err)
{
	if (target->saved.known & TCE_KNOWN_LIOBN) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = target->saved.liobn;
	}
	return err->code;
}

static int find_by_fd(struct restore *restore, struct tce_table **table, struct tce_error *err)
{
	const struct options *options = restore->options;

	if (options->pid.given)
		return find_vmm_fd(restore->vmm, (pid_t)options->pid.value, (int)options->fd.value,
				   table, err);
	*table = restore->own;
	return TCE_OK;
}

/* The LIOBN that a table of the image has to go to. */
static uint64_t map_liobn(struct options *options, uint64_t liobn)
{
	size_t i;

	for (i = 0; i < options->mapping_count; i++) {
		if (options->mappings[i].from == liobn) {
			options->mappings[i].used = true;
			return options->mappings[i].to;
		}
	}
	return liobn;
}

static int find_table(struct restore *restore, struct target *target, struct tce_error *err)
{
	struct options *options = restore->options;
	const struct tce_geometry *live;
	uint64_t liobn;
	int ret;

	if (options->fd.given) {
		ret = find_by_fd(restore, &target->table, err);
		if (ret < 0)
			return ret;
	} else if (!(target->saved.known & TCE_KNOWN_LIOBN)) {
		return tce_set_error(
			err, TCE_ERR_UNKNOWN, 0,
			"the image does not know this table's LIOBN: choose the table to fill "
			"with --fd");
	}
	liobn = target->saved.liobn;
	if (target->saved.known & TCE_KNOWN_LIOBN)
		liobn = map_liobn(options, liobn);
	if (!target->table) {
		ret = tce_find_table(restore->vmm, liobn, &target->table, err);
		if (ret < 0)
			return ret;
	}

	live = tce_table_geometry(target->table);
	if (target->saved.known & live->known & TCE_KNOWN_LIOBN && live->liobn != liobn) {
		tce_set_error(err, TCE_ERR_GEOMETRY, 0,
			      "the table to fill has LIOBN 0x%" PRIx64 "; --map-liobn allows that",
			      live->liobn);
		return target_error(target, err);
	}
	return TCE_OK;
}

/* See that the image's table fits into the live one. */
static int check_target(const struct target *target, struct tce_error *err)
{
	struct tce_geometry live = *tce_table_geometry(target->table);
	int ret;

	/* A plain file has a size and nothing else to compare. */
	if (tce_table_backend(target->table) == TCE_BACKEND_FILE) {
		live.page_shift = target->saved.page_shift;
		live.bus_offset = target->saved.bus_offset;
		live.known |= target->saved.known & (TCE_KNOWN_PAGE_SHIFT | TCE_KNOWN_BUS_OFFSET);
	}
	ret = tce_match_geometry(&target->saved, &live, err);
	/* No entry: only whether entries could be written. */
	if (!ret)
		ret = tce_clear_words(target->table, 0, 0, err);
	return ret < 0 ? target_error(target, err) : TCE_OK;
}

/* No two tables of the image may go to one live table. */
static int check_alone(const struct restore *restore, size_t number, struct tce_error *err)
{
	const struct target *target = &restore->targets[number];
	size_t i;

	for (i = 0; i < number; i++) {
		if (restore->targets[i].table != target->table)
			continue;
		tce_set_error(err, TCE_ERR_NO_TABLE, 0,
			      "two tables of the image would go to one live table%s",
			      target->saved.has_vm && target->saved.liobn ==
							      restore->targets[i].saved.liobn ?
				      ": choose one with --vm" :
			      restore->options->fd.given ? ": choose one with --liobn" :
							   "");
		return target_error(target, err);
	}
	return TCE_OK;
}

/* A LIOBN that is to be another one, and is not there, was meant to be something else. */
static int check_mappings(const struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	size_t i;
	int ret;

	for (i = 0; i < options->mapping_count; i++) {
		if (options->mappings[i].used)
			continue;
		ret = tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				    "--map-liobn: no table with LIOBN 0x%" PRIx64 "%s",
				    options->mappings[i].from,
				    options->liobn.given || options->vm.given ? " is chosen" :
										" is in the image");
		name_error(err, restore->input->name);
		return ret;
	}
	return TCE_OK;
}

static int no_table(const struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	const struct tce_geometry wanted = {
		.known = TCE_KNOWN_LIOBN,
		.liobn = options->liobn.value,
		.has_vm = options->vm.given,
		.vm = options->vm.value,
	};
	char name[TABLE_NAME_SIZE];

	if (options->liobn.given)
		tce_set_error(err, TCE_ERR_NO_TABLE, 0, "the image has no table with %s",
			      format_table(&wanted, name));
	else if (options->vm.given)
		tce_set_error(err, TCE_ERR_NO_TABLE, 0, "the image has no table of VM %" PRIu64,
			      options->vm.value);
	else
		tce_set_error(err, TCE_ERR_NO_TABLE, 0, "the image has no table");
	name_error(err, restore->input->name);
	return err->code;
}

int find_targets(struct restore *restore, struct tce_error *err)
{
	size_t i, chosen = 0;
	int ret = TCE_OK;

	for (i = 0; !ret && i < restore->count; i++) {
		if (!restore->targets[i].chosen)
			continue;
		chosen++;
		ret = find_table(restore, &restore->targets[i], err);
		if (!ret)
			ret = check_alone(restore, i, err);
	}
	for (i = 0; !ret && i < restore->count; i++) {
		if (restore->targets[i].chosen)
			ret = check_target(&restore->targets[i], err);
	}
	if (!ret && !chosen)
		ret = no_table(restore, err);
	return ret ? ret : check_mappings(restore, err);
}

static int check_writable(const struct tce_table *table, struct tce_error *err)
{
	if (tce_table_backend(table) != TCE_BACKEND_KVM_STOCK)
		return TCE_OK;
	return tce_set_error(
		err, TCE_ERR_UNSUPPORTED, 0,
		"restoring needs a kernel with the TCE patches: on this one a table can "
		"only be read");
}

static int open_vmm(struct restore *restore, struct tce_error *err)
{
	const pid_t pid = (pid_t)restore->options->pid.value;
	int ret = tce_open_vmm(&restore->vmm, pid, err);

	if (ret < 0)
		return ret;
	if (!tce_vmm_count(restore->vmm))
		return tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				     "PID %d has a virtual machine, but no TCE table in the kernel",
				     (int)pid);
	/* Before a table is looked for: a stock kernel does not tell their LIOBNs. */
	return check_writable(tce_vmm_table(restore->vmm, 0), err);
}

int open_target(struct restore *restore, struct tce_error *err)
{
	const struct options *options = restore->options;
	const int fd = (int)options->fd.value;
	char name[24];
	int ret;

	if (options->pid.given)
		return open_vmm(restore, err);
	ret = tce_open_table(&restore->own, fd, err);
	if (!ret)
		ret = check_own_fd(fd, true, err);
	if (!ret)
		ret = check_writable(restore->own, err);
	if (ret < 0) {
		snprintf(name, sizeof(name), "fd %d", fd);
		name_error(err, name);
	}
	return ret;
}
