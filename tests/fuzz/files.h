/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What files.c and names.c share: the files in memory.
 */
#ifndef TCE_TESTS_FUZZ_FILES_H
#define TCE_TESTS_FUZZ_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "system.h"

#define FIRST_FD      1000
#define FDS_MAX	      256
#define NODES_MAX     128
#define OPENED_MAX    128
#define NAME_SIZE     160
#define PAGE	      4096
#define FILE_SIZE_MAX (16 << 20)
#define MAP_PAGES     1024 /* those after them count as written */
#define PROC_FD	      "/proc/self/fd/"
#define DEVICE_FULL   "/dev/full"

/**
 * struct node - a file, a folder or a device
 * @mode: as stat() has it; 0 in a node that is free.
 * @name: its path; empty in a file without a name.
 * @users: open files of it.
 * @written: a bit for each page that is no hole.
 */
struct node {
	mode_t mode;
	char name[NAME_SIZE];
	unsigned int users;
	uint8_t *data;
	size_t size, room;
	uint64_t written[MAP_PAGES / 64];
};

/* What fds that were duplicated have in common. */
struct opened {
	struct node *node;
	unsigned int fds;
	int flags;
	off_t position;
};

extern struct node nodes[NODES_MAX];

/* Sets errno. Returns -1. */
int fail(int error);

/* Is that an fd of such a file, or of one that has been closed? */
bool is_ours(int fd);

/* What an fd has open, or NULL. */
struct opened *of_fd(int fd);

/* A file's path in a folder, in @path or where it is already; and what is there, or NULL. */
const char *join(char path[NAME_SIZE], int folder, const char *name);
struct node *find_node(const char *path);

struct node *new_node(const char *path, mode_t mode);

/* An fd, or -1 with errno, also for a node that is NULL. */
int open_node(struct node *node, int flags);

/* Its name is no more. 0, or -1 with errno. */
int unlink_node(const char *path);

/* Names of the linker for what one of the two calls and the other has. */
int __real_close(int fd);
int __wrap_close(int fd);

#endif /* TCE_TESTS_FUZZ_FILES_H */
