// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables saved while their guest still runs.
 *
 * CRIU calls PAUSE_DEVICES before it stops a process. There each table is looked at through a view,
 * which its VMM does not notice whatever it does: its own log, its closing of a table and making it
 * again are as they would be. The view's dirty log is started and the table is written into its
 * image, then what has changed meanwhile, until that is little. When the process has been stopped,
 * only what the log has since then is left to be written. Nothing here has to succeed: what is not
 * saved early is saved when the process stands still.
 *
 * A log ends with its view, at the latest when CRIU does. Ending it takes longer than the rest of
 * what is done with the process stopped, so that is left until CRIU exits.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-plugin.h"
#include "tce-kvm.h"
#include "tce-stream.h"

/* Rounds end when one was this many entries or less, or not clearly less than the one before. */
#define ENTRIES_FEW (16ULL << KVM_SPAPR_TCE_DIRTY_SHIFT)
#define ROUNDS_MAX  8

struct early_table {
	uint64_t vm, inode;
	struct tce_geometry geometry;
	int view, image_fd;
	char name[IMAGE_NAME_LEN];
	struct tce_table *table;
	struct tce_sender *sender; /* while it is there, the log is on */
	bool finished;		   /* the image is whole */
};

struct early_process {
	struct early_table *tables;
	size_t count;
	struct early_process *next;
};

static struct early_process *processes;
static pid_t owner; /* children of CRIU's inherit all this */

static struct early_table *find_early(uint64_t inode)
{
	struct early_process *process;
	size_t i;

	for (process = processes; process; process = process->next)
		for (i = 0; i < process->count; i++)
			if (process->tables[i].inode == inode && process->tables[i].sender)
				return &process->tables[i];
	return NULL;
}

static void drop_table(struct early_table *early)
{
	tce_destroy_sender(early->sender);
	early->sender = NULL;
	tce_close_table(early->table);
	early->table = NULL;
	if (early->image_fd >= 0)
		close(early->image_fd);
	early->image_fd = -1;
	if (early->view >= 0)
		close(early->view);
	early->view = -1;
}

static void free_early(struct early_process *process)
{
	size_t i;

	for (i = 0; i < process->count; i++)
		drop_table(&process->tables[i]);
	free(process->tables);
	free(process);
}

/* Is it one that can be saved? */
static int examine_table(struct early_table *early, int view)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_table_stats stats;
	struct fdinfo info;
	int ret;

	*early = (struct early_table){ .view = view, .image_fd = -1 };
	if (read_fdinfo(&info, SELF, view))
		return -1;
	ret = fdinfo_u64(&info, "kvm-vm", &early->vm) ||
	      fdinfo_u64(&info, "tce-ino", &early->inode);
	free_fdinfo(&info);
	if (ret || tce_open_table(&early->table, view, &err))
		return -1;
	early->geometry = *tce_table_geometry(early->table);
	if ((early->geometry.known & TCE_KNOWN_ALL) != TCE_KNOWN_ALL ||
	    tce_read_stats(early->table, &stats, &err) || stats.hw_tables)
		return -1;
	table_image_name(early->name, sizeof(early->name), early->vm, early->geometry.liobn);
	return 0;
}

static bool is_known(const struct early_process *process, uint64_t inode)
{
	size_t i;

	for (i = 0; i < process->count; i++)
		if (process->tables[i].inode == inode)
			return true;
	return find_early(inode);
}

static void add_table(struct early_process *process, int view)
{
	struct early_table early, *tables;

	tables = reallocarray(process->tables, process->count + 1, sizeof(*tables));
	if (tables)
		process->tables = tables;
	if (examine_table(&early, view) || !tables || is_known(process, early.inode)) {
		drop_table(&early);
		return;
	}
	tables[process->count++] = early;
}

/* The tables of a VM, without holding any of them for a moment. */
static void add_tables(struct early_process *process, int kvm, int vm)
{
	const char *line = NULL;
	struct fdinfo info;
	int view;

	if (read_fdinfo(&info, SELF, vm))
		return;
	while ((line = next_fdinfo(&info, "kvm-tce-table", line))) {
		struct kvm_spapr_tce_view args = {
			.liobn = strtoull(line, NULL, 0),
			.vm_fd = vm,
		};

		view = ioctl(kvm, KVM_SPAPR_TCE_OPEN_VIEW, &args);
		if (view >= 0)
			add_table(process, view);
		else if (errno != ENOENT)
			pr_info("table %#" PRIx64 ": KVM gives no view of it (%m), so it is saved "
				"when its VM stands still\n",
				(uint64_t)args.liobn);
	}
	free_fdinfo(&info);
}

static void find_tables(struct early_process *process, pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;
	char path[300], link[64];
	struct dirent *entry;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (pidfd >= 0 && kvm >= 0 && dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		len = readlink(path, link, sizeof(link) - 1);
		if (len != (ssize_t)strlen(VM_LINK) || memcmp(link, VM_LINK, len))
			continue;
		vm = pidfd_getfd(pidfd, atoi(entry->d_name), 0);
		if (vm >= 0) {
			add_tables(process, kvm, vm);
			close(vm);
		}
	}
	if (dir)
		closedir(dir);
	if (pidfd >= 0)
		close(pidfd);
	if (kvm >= 0)
		close(kvm);
}

static int begin_table(struct early_process *process, size_t number)
{
	struct early_table *early = &process->tables[number];
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_sink sink;

	/* A table that was seen through another process may have been closed and made again. */
	drop_early(early->name);
	early->image_fd = openat(criu_get_image_dir(), early->name,
				 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (early->image_fd < 0)
		return -1;
	sink = tce_fd_sink(early->image_fd);
	if (tce_create_sender(&early->sender, early->table, &sink, &err))
		return -1;
	return tce_send_round(early->sender, false, NULL, &err);
}

static void discard_table(struct early_table *early)
{
	drop_table(early);
	unlinkat(criu_get_image_dir(), early->name, 0);
}

/* One round for all tables: how many entries had changed. */
static uint64_t save_changes(struct early_process *process)
{
	struct tce_round round;
	uint64_t entries = 0;
	size_t i;

	for (i = 0; i < process->count; i++) {
		if (!process->tables[i].sender)
			continue;
		if (tce_send_round(process->tables[i].sender, false, &round, NULL))
			discard_table(&process->tables[i]);
		else
			entries += round.entries;
	}
	return entries;
}

void save_early(pid_t pid)
{
	struct early_process *process = calloc(1, sizeof(*process));
	uint64_t before, changed = UINT64_MAX, began = now_us();
	unsigned int rounds = 0;
	size_t i;

	if (!process)
		return;
	owner = getpid();
	find_tables(process, pid);
	if (!process->count) {
		free_early(process);
		return;
	}
	process->next = processes;
	processes = process;
	for (i = 0; i < process->count; i++)
		if (begin_table(process, i))
			discard_table(&process->tables[i]);
	do {
		before = changed;
		changed = save_changes(process);
	} while (++rounds < ROUNDS_MAX && changed > ENTRIES_FEW && changed / 3 < before / 4);
	pr_info("Process %d: its tables were saved in %u rounds, %" PRIu64
		" us, while it ran; %" PRIu64 " entries had changed in the last\n",
		pid, rounds + 1, now_us() - began, changed);
}

int finish_early(uint64_t vm, uint64_t inode, struct tce_geometry *geometry)
{
	struct early_table *early = find_early(inode);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_round round;
	int image_fd;

	if (!early || early->vm != vm || early->finished)
		return 0;
	if (tce_send_round(early->sender, true, &round, &err))
		return table_error(&err, early->name);
	*geometry = early->geometry;
	image_fd = early->image_fd;
	early->image_fd = -1;
	early->finished = true;
	if (close(image_fd)) {
		pr_perror("Can't write image %s", early->name);
		return -1;
	}
	pr_info("table %#" PRIx64 ": %" PRIu64 " entries, %" PRIu64 " bytes were left\n",
		geometry->liobn, round.entries, round.bytes);
	return 1;
}

void drop_early(const char *name)
{
	struct early_process *process;
	size_t i;

	for (process = processes; process; process = process->next)
		for (i = 0; i < process->count; i++)
			if (process->tables[i].sender && !process->tables[i].finished &&
			    !strcmp(process->tables[i].name, name))
				drop_table(&process->tables[i]);
}

void discard_early(void)
{
	struct early_process *process;
	size_t i;

	for (process = processes; process; process = process->next)
		for (i = 0; i < process->count; i++)
			if (process->tables[i].sender && !process->tables[i].finished)
				discard_table(&process->tables[i]);
}

void drop_all_early(void)
{
	struct early_process *process;

	while ((process = processes)) {
		processes = process->next;
		free_early(process);
	}
}

/* CRIU has let the processes go and exits: it can't unload the plugin (-z nodelete) before. */
__attribute__((destructor)) static void end_at_exit(void)
{
	if (owner == getpid())
		drop_all_early();
}
