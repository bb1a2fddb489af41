// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hooks that CRIU calls, and what is undone when a dump does not end a process.
 *
 * Dump: PAUSE_DEVICES, with the process still running, saves what is large and may change: tables
 * (early.c). CHECKPOINT_DEVICES, with the whole process stopped and before CRIU has looked at its
 * mappings, saves the VMs and puts placeholders in the place of KVM's mappings, which CRIU can't
 * save. DUMP_EXT_FILE notes which KVM object each file is. The exit callback puts the mappings
 * back in any case: only after it CRIU kills the process or lets it run, and what it is told of
 * the dump's success does not say which (--leave-running, a post-dump script that fails).
 *
 * Restore: RESTORE_EXT_FILE makes the VMs in their process, RESUME_DEVICES_LATE maps them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-plugin.h"

#define PLUGIN_NAME	"kvm_tce_plugin"

/* criu/include/image.h, which no package has. */
int add_inventory_plugin(const char *name);
bool check_and_remove_inventory_plugin(const char *name, size_t n);

static bool disabled;
static bool in_inventory;
static bool streamed;

/* Processes with something of KVM in them, as they were found. */
struct dumped {
	struct kvm_process process;
	struct dumped *next;
};

static struct dumped *dumped;

/* VMs whose images are written. */
static uint64_t *saved_vms;
static size_t nr_saved_vms;

static bool vm_is_saved(uint64_t number)
{
	size_t i;

	for (i = 0; i < nr_saved_vms; i++)
		if (saved_vms[i] == number)
			return true;
	return false;
}

static int note_saved_vm(uint64_t number)
{
	uint64_t *more = reallocarray(saved_vms, nr_saved_vms + 1, sizeof(*more));

	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	saved_vms = more;
	saved_vms[nr_saved_vms++] = number;
	return 0;
}

static const struct kvm_fd *find_vm_fd(const struct kvm_process *process, uint64_t number)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].object == KVM_CRIU__OBJECT__VM &&
		    process->fds[i].vm == number)
			return &process->fds[i];
	return NULL;
}

/*
 * KVM answers only in the mm that made the VM. A VM that is first met in another process, which
 * inherited it or got it sent, can't be asked.
 */
static int save_vms(const struct kvm_process *process, struct task *task, KvmCriu__Task *image)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++) {
		const struct kvm_fd *fd = &process->fds[i], *vm_fd;
		KvmCriu__OwnedVm *owned;

		if (fd->object == KVM_CRIU__OBJECT__KVM || vm_is_saved(fd->vm))
			continue;
		vm_fd = find_vm_fd(process, fd->vm);
		if (!vm_fd) {
			pr_err("Process %d, fd %d: belongs to VM %" PRIu64
			       ", which has no open fd, so it can't be saved\n", process->pid,
			       fd->fd, fd->vm);
			return -1;
		}
		if (save_vm(process, task, vm_fd) || note_saved_vm(fd->vm))
			return -1;
		owned = add_element(&image->n_vm, &image->vm, &kvm_criu__owned_vm__descriptor);
		if (!owned)
			return -1;
		owned->number = fd->vm;
		owned->fd = vm_fd->fd;
	}
	return 0;
}

static int save_task(const struct kvm_process *process, KvmCriu__Task *image)
{
	char name[64];
	size_t i;

	for (i = 0; i < process->nr_maps; i++) {
		const struct kvm_map *map = &process->maps[i];
		KvmCriu__Mapping *saved = add_element(&image->n_mapping, &image->mapping,
						      &kvm_criu__mapping__descriptor);

		if (!saved)
			return -1;
		saved->start = map->start;
		saved->size = map->end - map->start;
		saved->offset = map->offset;
		saved->prot = map->prot;
		saved->flags = map->flags;
		saved->fd = map->fd->fd;
		saved->dontfork = map->dontfork;
	}
	snprintf(name, sizeof(name), "kvm-task-%u.img", process->vpid);
	return save_message(name, &image->base) || note_image(name) ? -1 : 0;
}

/* Anonymous memory without access or pages keeps the range reserved in CRIU's image. */
static int replace_mappings(struct kvm_process *process, struct task *task)
{
	static const char failed[] = "KVM's mappings can't be taken out";
	size_t i;

	reset_task(task);
	for (i = 0; i < process->nr_maps; i++) {
		struct kvm_map *map = &process->maps[i];

		if (make_room(task, 1, 0, failed))
			return -1;
		task_call(task, false, __NR_mmap, map->start, map->end - map->start, PROT_NONE,
			  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		map->replaced = true;
	}
	return run_calls(task, failed);
}

static int put_back(const struct kvm_process *process, struct task *task)
{
	static const char failed[] = "KVM's mappings can't be put back";
	size_t i;

	for (i = 0; i < process->nr_maps; i++) {
		const struct kvm_map *map = &process->maps[i];

		if (make_room(task, 2, 0, failed))
			return -1;
		task_call(task, false, __NR_mmap, map->start, map->end - map->start, map->prot,
			  map->flags | MAP_FIXED, map->fd->fd, map->offset);
		if (map->dontfork)
			task_call(task, false, __NR_madvise, map->start, map->end - map->start,
				  MADV_DONTFORK, 0, 0, 0);
	}
	return run_calls(task, failed);
}

static int put_mappings_back(const struct kvm_process *process)
{
	size_t i, replaced = 0;
	struct task *task;
	int ret;

	for (i = 0; i < process->nr_maps; i++)
		replaced += process->maps[i].replaced;
	if (!replaced)
		return 0;
	task = open_task(process->pid);
	if (!task)
		return -1;
	ret = put_back(process, task);
	if (close_task(task))
		ret = -1;
	return ret;
}

static int save_process(struct kvm_process *process)
{
	KvmCriu__Task *image = new_message(&kvm_criu__task__descriptor);
	struct task *task;
	int ret = -1;

	if (!image)
		return -1;
	image->version = TASK_VERSION;
	image->dump = dump_id();
	if (save_stack(process->pid, image))
		goto out;
	task = open_task(process->pid);
	if (!task)
		goto out;
	if (!save_vms(process, task, image) && !save_task(process, image) &&
	    !save_manifest(process))
		ret = replace_mappings(process, task);
	if (close_task(task))
		ret = -1;
out:
	free_message(image);
	return ret;
}

static int pause_devices(int pid)
{
	if (!disabled && !streamed) {
		find_clocks(pid);
		save_early(pid);
	}
	/* CRIU would not call other plugins' hooks */
	return -ENOTSUP;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__PAUSE_DEVICES, pause_devices)

static int checkpoint_devices(int pid)
{
	struct dumped *entry;
	int found;

	if (disabled)
		return -ENOTSUP;
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		pr_err("Out of memory\n");
		return -1;
	}
	found = scan_process(&entry->process, pid);
	if (found <= 0) {
		free(entry);
		return found ? -1 : -ENOTSUP;
	}
	if (streamed) {
		pr_err("Process %d has a VM, which can't be dumped with --stream: the images of this "
		       "plugin are files in the image folder\n", pid);
		free_process(&entry->process);
		free(entry);
		return -1;
	}
	if (!in_inventory) {
		if (add_inventory_plugin(PLUGIN_NAME)) {
			pr_err("Can't put the plugin's name into the inventory\n");
			free_process(&entry->process);
			free(entry);
			return -1;
		}
		in_inventory = true;
	}
	entry->next = dumped;
	dumped = entry;
	return save_process(&entry->process);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, checkpoint_devices)

static int dump_file(int fd, int id)
{
	KvmCriu__File image = KVM_CRIU__FILE__INIT;
	struct kvm_fd found;
	char name[64];
	off_t pos;

	if (disabled || !dumped)
		return -ENOTSUP;
	if (remove_stale_images())
		return -1;
	switch (identify_fd(getpid(), fd, &found)) {
	case 0:
		return -ENOTSUP;
	case 1:
		break;
	default:
		return -1;
	}
	if (found.object != KVM_CRIU__OBJECT__KVM && !vm_is_saved(found.vm)) {
		pr_err("An fd belongs to VM %" PRIu64 ", which was not saved\n", found.vm);
		return -1;
	}
	image.dump = dump_id();
	image.object = found.object;
	image.vm = found.vm;
	image.which = found.which;
	image.flags = fcntl(fd, F_GETFL);
	pos = found.object == KVM_CRIU__OBJECT__TABLE ? lseek(fd, 0, SEEK_CUR) : 0;
	if (pos < 0) {
		pr_perror("Can't tell the position of table %#" PRIx64, found.which);
		return -1;
	}
	image.pos = pos;
	snprintf(name, sizeof(name), "kvm-file-%x.img", id);
	return save_message(name, &image.base);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_FILE, dump_file)

static int restore_ext_file(int id)
{
	return disabled ? -ENOTSUP : restore_file(id);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, restore_ext_file)

static int dump_unix_sk(int fd, int id)
{
	if (disabled || !dumped)
		return -ENOTSUP;
	return remove_stale_images() ? -1 : save_socket(fd, id);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_UNIX_SK, dump_unix_sk)

static int restore_unix_sk(int id)
{
	return disabled ? -ENOTSUP : restore_socket(id);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_UNIX_SK, restore_unix_sk)

static int resume_devices_late(int pid)
{
	int ret;

	if (disabled)
		return -ENOTSUP;
	ret = finish_process(pid);
	if (ret == -1) {
		/* CRIU only logs this, and would let the process run into its missing mappings */
		pr_err("Process %d can't run like this: killed\n", pid);
		kill(pid, SIGKILL);
	}
	return ret;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESUME_DEVICES_LATE, resume_devices_late)

/*
 * Pre-dump has no hook with the process stopped, so it meets KVM's mappings. It only wants to know
 * that somebody else takes care of them.
 */
static int handle_device_vma(int fd, const struct stat *st)
{
	return is_mapped_object(fd) ? 0 : -ENOTSUP;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA, handle_device_vma)

static int plugin_init(int stage)
{
	switch (stage) {
	case CR_PLUGIN_STAGE__DUMP:
		/* without KVM there is nothing to save; the module may have it come later */
		disabled = access("/dev/kvm", F_OK) != 0;
		/* of a dump before this one in the same process, a service */
		end_early();
		streamed = images_are_streamed();
		return start_manifest();
	case CR_PLUGIN_STAGE__RESTORE:
		disabled = !check_and_remove_inventory_plugin(PLUGIN_NAME, strlen(PLUGIN_NAME));
		return disabled ? 0 : check_images();
	default:
		disabled = true;
		return 0;
	}
}

static void plugin_exit(int stage, int ret)
{
	struct dumped *entry;

	if (stage != CR_PLUGIN_STAGE__DUMP)
		return;
	abandon_early();
	forget_clocks();
	end_manifest();
	while ((entry = dumped)) {
		dumped = entry->next;
		if (put_mappings_back(&entry->process)) {
			pr_err("Process %d can't run like this: killed\n", entry->process.pid);
			kill(entry->process.pid, SIGKILL);
		}
		free_process(&entry->process);
		free(entry);
	}
	free(saved_vms);
	saved_vms = NULL;
	nr_saved_vms = 0;
	in_inventory = false;
}
CR_PLUGIN_REGISTER(PLUGIN_NAME, plugin_init, plugin_exit)
