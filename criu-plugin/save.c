// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a VM out: into its images, without changing it.
 *
 * Three ways lead to its state: fdinfo (what nobody may ask KVM for by ioctl), ioctls inside the
 * process (task.c), and files that any process can read: the tables, the htab fd, the run pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-abi.h"
#include "regs.h"
#include "save-private.h"

#define HPT_CHUNK (1 << 20)
/* Less than this is left of a read's buffer when KVM has more: a header and an entry. */
#define HPT_ROOM     ((ssize_t)sizeof(struct kvm_get_htab_header) + 16)
#define SETTLE_TRIES 5000 /* of a millisecond and more */

static int save_hpt(struct saver *saver)
{
	struct image *image = NULL;
	int call, local = -1, ret = -1;
	KvmCriu__HptChunk chunk;
	uint64_t remote;
	char name[IMAGE_NAME_LEN];
	ssize_t got;
	char *buf;

	reset_task(saver->task);
	/* zeros: every entry, from the first on */
	task_buffer(saver->task, sizeof(struct kvm_get_htab_fd), &remote);
	call = task_ioctl(saver->task, false, saver->vm_fd, KVM_PPC_GET_HTAB_FD, remote);
	if (run_task(saver->task))
		return -1;
	if (task_result(saver->task, call) < 0) {
		errno = -task_result(saver->task, call);
		pr_perror("KVM does not give the HPT of VM %" PRIu64, saver->number);
		return -1;
	}
	call = task_result(saver->task, call);
	local = get_fd(saver->process->pid, call);
	reset_task(saver->task);
	task_call(saver->task, false, __NR_close, call, 0, 0, 0, 0, 0);
	buf = malloc(HPT_CHUNK);
	if (run_task(saver->task) || local < 0 || !buf)
		goto out;

	snprintf(name, sizeof(name), "kvm-hpt-%" PRIu64 ".img", saver->number);
	image = create_image(name);
	if (!image)
		goto out;
	/*
	 * Every entry, up to a read that has room for more: what follows is what has changed since,
	 * nothing, for which KVM goes through the whole table once more.
	 */
	do {
		got = read(local, buf, HPT_CHUNK);
		if (got <= 0)
			break;
		kvm_criu__hpt_chunk__init(&chunk);
		chunk.data.data = (uint8_t *)buf;
		chunk.data.len = got;
		if (write_record(image, &chunk.base))
			goto out;
	} while (got >= HPT_CHUNK - HPT_ROOM);
	if (got < 0) {
		pr_perror("Can't read the HPT of VM %" PRIu64, saver->number);
		goto out;
	}
	ret = finish_image(image) || note_image(name) ? -1 : 0;
	image = NULL;
out:
	close_image(image);
	free(buf);
	if (local >= 0)
		close(local);
	return ret;
}

static int write_table(struct tce_table *table, const char *name)
{
	int fd = openat(criu_get_image_dir(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_writer *writer = NULL;
	struct tce_sink sink = tce_fd_sink(fd);
	int ret = 0;

	if (fd < 0) {
		pr_perror("Can't open image %s", name);
		return -1;
	}
	drop_early(name);
	if (tce_create_writer(&writer, &sink, "kvm_tce_plugin", &err) ||
	    tce_save_table(table, writer, NULL, &err) || tce_end_image(writer, &err))
		ret = table_error(&err, name);
	tce_destroy_writer(writer);
	if (close(fd) && !ret) {
		pr_perror("Can't write image %s", name);
		ret = -1;
	}
	return ret;
}

static int save_whole_table(struct saver *saver, const struct kvm_fd *fd,
			    struct tce_geometry *geometry)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_table *table = NULL;
	int local, ret = -1;
	char name[IMAGE_NAME_LEN];
	off_t pos;

	local = get_fd(saver->process->pid, fd->fd);
	if (local < 0)
		return -1;
	/* libtce moves the position, which is the VMM's */
	pos = lseek(local, 0, SEEK_CUR);
	if (pos < 0) {
		pr_perror("Can't read the position of table %#" PRIx64, fd->which);
		goto out;
	}
	table_image_name(name, sizeof(name), saver->number, fd->which);
	if (tce_open_table(&table, local, &err)) {
		table_error(&err, name);
		goto out;
	}
	*geometry = *tce_table_geometry(table);
	if ((geometry->known & TCE_KNOWN_ALL) != TCE_KNOWN_ALL) {
		pr_err("The kernel does not tell the geometry of table %#" PRIx64 "\n", fd->which);
		goto out;
	}
	ret = write_table(table, name);
	if (lseek(local, pos, SEEK_SET) < 0) {
		pr_perror("Can't put back the position of table %#" PRIx64, fd->which);
		ret = -1;
	}
out:
	tce_close_table(table);
	close(local);
	return ret;
}

static int save_table(struct saver *saver, const struct kvm_fd *fd)
{
	struct tce_geometry geometry;
	KvmCriu__Table *saved;
	int ret = finish_early(saver->number, fd->inode, &geometry);
	char name[IMAGE_NAME_LEN];

	if (!ret)
		ret = save_whole_table(saver, fd, &geometry);
	if (ret < 0)
		return -1;
	table_image_name(name, sizeof(name), saver->number, fd->which);
	if (note_image(name))
		return -1;
	saved = add_element(&saver->vm->n_table, &saver->vm->table, &kvm_criu__table__descriptor);
	if (!saved)
		return -1;
	saved->liobn = geometry.liobn;
	saved->page_shift = geometry.page_shift;
	saved->bus_offset = geometry.bus_offset;
	saved->entries = geometry.entries;
	return 0;
}

static int save_tables(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-tce-table", line))) {
		uint64_t liobn = strtoull(line, NULL, 0);
		size_t i;

		for (i = 0; i < saver->process->nr_fds; i++) {
			const struct kvm_fd *fd = &saver->process->fds[i];

			if (fd->object == KVM_CRIU__OBJECT__TABLE && fd->vm == saver->number &&
			    fd->which == liobn)
				break;
		}
		if (i == saver->process->nr_fds) {
			pr_err("TCE table %#" PRIx64 " of VM %" PRIu64 " has no fd in process %d, "
			       "so it can't be saved\n",
			       liobn, saver->number, saver->process->pid);
			return -1;
		}
		if (save_table(saver, &saver->process->fds[i]))
			return -1;
	}
	return 0;
}

/*
 * A signal that an irqfd has taken out of its eventfd is on its way to the interrupt controller,
 * which it reaches without help from the stopped process.
 */
static int read_settled(const struct saver *saver, struct fdinfo *info)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	static const char injecting[] = " injecting";
	const char *line;
	int i;

	for (i = 0; i < SETTLE_TRIES; i++) {
		if (read_fdinfo(info, saver->process->pid, saver->vm_fd))
			return -1;
		line = NULL;
		while ((line = next_fdinfo(info, "kvm-irqfd", line)))
			if (memmem(line, strcspn(line, "\n"), injecting, strlen(injecting)))
				break;
		if (!line)
			return 0;
		free_fdinfo(info);
		nanosleep(&pause, NULL);
	}
	pr_err("VM %" PRIu64 " of process %d: an irqfd does not deliver its interrupt\n",
	       saver->number, saver->process->pid);
	return -1;
}

/* In the order in which they depend on each other. */
static int save_state(struct saver *saver, const struct fdinfo *info)
{
	uint64_t vcpus, began;

	if (fdinfo_u64(info, "kvm-vcpus", &vcpus))
		return missing(saver, "number of vCPUs");
	if (save_config(saver, info) || save_vcpus(saver, vcpus))
		return -1;
	if (save_clock(saver->process->pid, saver->vm))
		return -1;
	if (next_fdinfo(info, "kvm-device", NULL) &&
	    save_irqchip(saver->process, saver->task, saver->number, saver->vm))
		return -1;
	if (!strcmp(saver->vm->mmu, "hpt") && saver->vm->hpt_order && save_hpt(saver))
		return -1;
	began = now_us();
	if (save_tables(saver, info))
		return -1;
	saver->tables_us = now_us() - began;
	return 0;
}

int save_vm(const struct kvm_process *process, struct task *task, const struct kvm_fd *vm_fd)
{
	struct saver saver = {
		.process = process,
		.task = task,
		.number = vm_fd->vm,
		.vm_fd = vm_fd->fd,
	};
	uint64_t began = now_us();
	struct fdinfo info;
	char name[IMAGE_NAME_LEN];
	int ret = -1;

	saver.vm = new_message(&kvm_criu__vm__descriptor);
	if (!saver.vm)
		return -1;
	/* No vCPU runs any more, and the guest goes on from here: what follows costs it nothing. */
	saver.vm->guest_timebase = read_timebase();
	if (read_settled(&saver, &info))
		goto out;
	snprintf(name, sizeof(name), "kvm-vm-%" PRIu64 ".img", saver.number);
	if (!save_state(&saver, &info) && !try_vm(saver.vm))
		ret = save_message(name, &saver.vm->base) || note_image(name) ? -1 : 0;
	free_fdinfo(&info);
	if (!ret)
		pr_info("VM %" PRIu64 " saved in %" PRIu64 " us, its tables in %" PRIu64 " us\n",
			saver.number, now_us() - began, saver.tables_us);
out:
	free_message(saver.vm);
	return ret;
}
