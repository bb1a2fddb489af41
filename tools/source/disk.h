/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a VM that QEMU's savevm put into a qcow2 disk.
 */
#ifndef TCE_TOOLS_SOURCE_DISK_H
#define TCE_TOOLS_SOURCE_DISK_H

#include "input.h"
#include "tce.h"

/**
 * struct disk - the state that a snapshot in a disk has
 * @input: the disk.
 * @bytes: its length.
 * @cluster_bits: binary logarithm of a cluster's size.
 * @l1: where the snapshot's table of tables is.
 * @l1_size: its entries.
 * @first: number of the cluster in which the state begins: behind the disk's last.
 * @size: bytes of the state.
 * @pos: the next of them to read.
 * @damaged: the tables lead nowhere.
 */
struct disk {
	struct input *input;
	uint64_t bytes;
	unsigned int cluster_bits;
	uint64_t l1;
	uint64_t l1_size;
	uint64_t first;
	uint64_t size;
	uint64_t pos;
	bool damaged;
};

bool is_disk(const uint8_t *head, size_t len);

/**
 * open_disk() - find the state of a VM in a disk
 * @disk: receives where it is.
 * @input: the disk, which may have been looked at. Must outlive @disk. A pipe is kept first.
 * @snapshot: name or ID of a snapshot; NULL for the only one that has a state.
 * @err: what failed.
 *
 * Return: 0, or a negative status.
 */
int open_disk(struct disk *disk, struct input *input, const char *snapshot, struct tce_error *err);

/* The state as a source of libtce. */
struct tce_source disk_source(struct disk *disk);

/**
 * finish_disk() - say why a state could not be read
 * @disk: the disk.
 * @ret: status so far.
 * @err: what failed so far, and why.
 *
 * Return: @ret, or %TCE_ERR_CORRUPT when the disk is damaged.
 */
int finish_disk(const struct disk *disk, int ret, struct tce_error *err);

#endif /* TCE_TOOLS_SOURCE_DISK_H */
