// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hooks that CRIU calls, and what is undone when a dump does not end a process.
 *
 * Dump: PAUSE_DEVICES, with the process still running, saves what is large and may change, tables
 * (early.c), and looks at what takes long to look at (scan-maps.c, clock.c). CHECKPOINT_DEVICES,
 * with the whole process stopped and before CRIU has looked at its mappings, saves the VMs and puts
 * placeholders in the place of KVM's mappings, which CRIU can't save, and of taps, which it would
 * refuse. DUMP_EXT_FILE notes which KVM object each file is. The exit callback puts mappings and
 * taps back in any case: only after it CRIU kills the process or lets it run, and what it is told
 * of the dump's success does not say which (--leave-running, a post-dump script that fails). If
 * CRIU is killed before that, a process of ours puts them back (guard.c).
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-abi.h"
#include "vm-images.h"

#define PLUGIN_NAME "kvm_tce_plugin"

/* criu/include/image.h, which no package has. */
int add_inventory_plugin(const char *name);
bool check_and_remove_inventory_plugin(const char *name, size_t n);

/* CRIU 4.3 has this function, no older one has. */
extern int criu_plugin_get_options(int *argc, char ***argv) __attribute__((weak));

static bool disabled;
static bool dumping; /* not a pre-dump */
static bool in_inventory;
static bool streamed;

/* Processes with something of KVM in them, as they were found. */
struct dumped {
	struct kvm_process process;
	struct guard *guard;
	struct dumped *next;
};

static struct dumped *dumped;

/* VMs whose images are written. */
static uint64_t *saved_vms;
static size_t nr_saved_vms;

static bool is_saved(uint64_t vm)
{
	size_t i;

	for (i = 0; i < nr_saved_vms; i++)
		if (saved_vms[i] == vm)
			return true;
	return false;
}

static int note_saved_vm(uint64_t vm)
{
	uint64_t *more = reallocarray(saved_vms, nr_saved_vms + 1, sizeof(*more));

	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	saved_vms = more;
	saved_vms[nr_saved_vms++] = vm;
	return 0;
}

static const struct kvm_fd *find_vm_fd(const struct kvm_process *process, uint64_t number)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (process->fds[i].object == KVM_CRIU__OBJECT__VM && process->fds[i].vm == number)
			return &process->fds[i];
	return NULL;
}

/* KVM answers only in the mm that made the VM: others have inherited it, or got it sent. */
static int check_owner(struct task *task, const struct kvm_process *process,
		       const struct kvm_fd *vm_fd)
{
	int call;

	reset_task(task);
	call = task_ioctl(task, true, vm_fd->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	if (run_task(task))
		return -1;
	if (task_result(task, call) != -EIO)
		return 0;
	pr_err("Process %d, fd %d: is of VM %" PRIu64
	       ", which a process that comes later has made, so it "
	       "can't be saved\n",
	       process->pid, vm_fd->fd, vm_fd->vm);
	return -1;
}

static int save_vms(const struct kvm_process *process, struct task *task, KvmCriu__Task *image)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++) {
		const struct kvm_fd *fd = &process->fds[i], *vm_fd;
		KvmCriu__OwnedVm *owned;

		/* Of another process's: check_sharers() has looked at it. */
		if (!fd->vm || is_saved(fd->vm))
			continue;
		vm_fd = find_vm_fd(process, fd->vm);
		if (!vm_fd) {
			pr_err("Process %d, fd %d: belongs to VM %" PRIu64
			       ", which has no open fd, so it can't be saved\n",
			       process->pid, fd->fd, fd->vm);
			return -1;
		}
		if (check_owner(task, process, vm_fd) || save_vm(process, task, vm_fd) ||
		    note_saved_vm(fd->vm))
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
	char name[IMAGE_NAME_LEN];
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
static int replace_mappings(const struct kvm_process *process, struct task *task)
{
	static const char failed[] = "KVM's mappings can't be taken out";
	size_t i;

	reset_task(task);
	for (i = 0; i < process->nr_maps; i++) {
		const struct kvm_map *map = &process->maps[i];

		if (make_room(task, 1, 0, failed))
			return -1;
		task_call(task, false, __NR_mmap, map->start, map->end - map->start, PROT_NONE,
			  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	return run_calls(task, failed);
}

static int save_process(const struct kvm_process *process, const struct guard *guard)
{
	KvmCriu__Task *image = new_message(&kvm_criu__task__descriptor);
	struct task *task;
	int ret = -1;

	if (!image)
		return -1;
	image->version = TASK_VERSION;
	image->dump = dump_id();
	image->has_sigtrap_handler = guarded_handler(guard, &image->sigtrap_handler);
	if (save_stack(process->pid, image) || save_threads(process->pid, image))
		goto out;
	task = open_task(process->pid);
	if (!task)
		goto out;
	if (!save_failure_policy(task, image) && !save_vms(process, task, image) &&
	    !save_vhosts(process, task, image) && !save_task(process, image) &&
	    !save_manifest(process, count_taps()))
		ret = replace_mappings(process, task);
	if (close_task(task) || settle_guarded(guard))
		ret = -1;
	if (!ret && process->nr_taps)
		ret = replace_taps(guard) || settle_guarded(guard) ? -1 : 0;
out:
	free_message(image);
	return ret;
}

static int pause_devices(int pid)
{
	if (!disabled && !streamed && pid > 0 && has_vm(pid)) {
		/* CRIU's patience is for stopping the process, which has not begun */
		unsigned int timeout = alarm(0);

		tell_memory_policy(pid);
		find_clocks(pid);
		note_maps(pid);
		/* Last: what changes after it is left for the stop */
		save_early(pid);
		alarm(timeout);
	}
	/* CRIU would not call other plugins' hooks. */
	return -ENOTSUP;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__PAUSE_DEVICES, pause_devices)

/* As Debian has built it for ppc64el: doc/criu-bug.md. Others of that version may be sound. */
static void tell_criu_bug(void)
{
	if (criu_plugin_get_options)
		pr_warn("CRIU 4.3 was seen to crash when it restores a process with threads: 4.2 "
			"can restore its images\n");
}

static int checkpoint_devices(int pid)
{
	uint64_t began = now_us(), scanned;
	struct dumped *entry;
	int found;

	if (disabled)
		return -ENOTSUP;
	if (pid <= 0) {
		pr_err("CRIU has no process to look at\n");
		return -1;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		pr_err("Out of memory\n");
		return -1;
	}
	found = scan_process(&entry->process, pid);
	scanned = now_us();
	if (found <= 0) {
		free(entry);
		return found ? -1 : -ENOTSUP;
	}
	if (streamed) {
		pr_err("Process %d has a VM, which can't be dumped with --stream: the images of "
		       "this plugin are files in the image folder\n",
		       pid);
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
		tell_criu_bug();
	}
	entry->process.earlier = dumped ? &dumped->process : NULL;
	entry->next = dumped;
	dumped = entry;
	if (check_frozen(pid) || check_vhosts(&entry->process) || check_sharers(&entry->process) ||
	    hold_taps(&entry->process))
		return -1;
	entry->guard = guard_process(&entry->process);
	if (!entry->guard)
		return -1;
	pr_info("Process %d was looked at in %" PRIu64 " us, and is safe after %" PRIu64 " us\n",
		pid, scanned - began, now_us() - began);
	return save_process(&entry->process, entry->guard);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, checkpoint_devices)

/* CRIU asks one plugin after the other, until one has a part in it. */
static int not_asked(void)
{
	pr_err("Another plugin of the folder has answered for the processes that use KVM (%s comes "
	       "after it): use a folder with this plugin alone\n",
	       PLUGIN_NAME);
	return -1;
}

/* What is of no VM is this plugin's only if a process with KVM has it open: 1 if one has. */
static int is_of_dumped(int fd, KvmCriu__Object object)
{
	const struct dumped *entry;
	int same = 0;
	size_t i;

	for (entry = dumped; entry && !same; entry = entry->next)
		for (i = 0; i < entry->process.nr_fds && !same; i++)
			if (entry->process.fds[i].object == object)
				same = is_same_file(getpid(), fd, entry->process.pid,
						    entry->process.fds[i].fd);
	return same;
}

static int dump_file(int fd, int id)
{
	KvmCriu__File image = KVM_CRIU__FILE__INIT;
	char name[IMAGE_NAME_LEN];
	struct block_names names;
	struct kvm_fd found;
	off_t pos = 0;
	int ret;

	if (disabled)
		return -ENOTSUP;
	if (dumped && remove_stale_images())
		return -1;
	ret = save_tap(fd, id);
	if (ret != -ENOTSUP)
		return ret;
	switch (identify_fd(SELF, fd, &found)) {
	case 0:
		return -ENOTSUP;
	case 1:
		break;
	default:
		return -1;
	}
	if (found.object == KVM_CRIU__OBJECT__VHOST_NET ||
	    found.object == KVM_CRIU__OBJECT__BLOCK) {
		ret = is_of_dumped(fd, found.object);
		if (ret != 1)
			return ret ? -1 : -ENOTSUP;
	}
	if (!dumped)
		return not_asked();
	if (found.vm && !is_saved(found.vm)) {
		pr_err("An fd belongs to VM %" PRIu64 ", which was not saved\n", found.vm);
		return -1;
	}
	image.dump = dump_id();
	image.object = found.object;
	image.vm = found.vm;
	image.which = found.which;
	image.flags = fcntl(fd, F_GETFL);
	if (found.object == KVM_CRIU__OBJECT__BLOCK && save_block(fd, &names, &image))
		return -1;
	if (found.object == KVM_CRIU__OBJECT__TABLE || found.object == KVM_CRIU__OBJECT__BLOCK)
		pos = lseek(fd, 0, SEEK_CUR);
	if (pos < 0) {
		pr_perror("Can't read the position of a file");
		return -1;
	}
	image.pos = pos;
	snprintf(name, sizeof(name), "kvm-file-%x.img", id);
	return save_message(name, &image.base);
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_FILE, dump_file)

/* CRIU 4.3 has a second argument here, which it does not set before the call. */
static int restore_ext_file(int id, bool *retry_needed)
{
	int ret;

	if (criu_plugin_get_options)
		*retry_needed = false;
	if (disabled)
		return -ENOTSUP;
	ret = restore_tap(id);
	return ret == -ENOTSUP ? restore_file(id) : ret;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, restore_ext_file)

/* The process with KVM that has this socket. */
static const struct kvm_process *find_socket(uint64_t inode)
{
	const struct dumped *entry;
	size_t i;

	for (entry = dumped; entry; entry = entry->next)
		for (i = 0; i < entry->process.nr_sockets; i++)
			if (entry->process.sockets[i] == inode)
				return &entry->process;
	return NULL;
}

static int dump_unix_sk(int fd, int id)
{
	const struct kvm_process *process;
	struct stat st;

	if (disabled || !dumped || fstat(fd, &st))
		return -ENOTSUP;
	process = find_socket(st.st_ino);
	if (!process)
		return -ENOTSUP;
	return remove_stale_images() ? -1 : save_socket(process->pid, fd, id);
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
	if (pid <= 0) {
		pr_err("CRIU has no process for its devices\n");
		return -1;
	}
	ret = finish_process(pid);
	if (ret == -1) {
		/* CRIU only logs this, and would let the process run into its missing mappings. */
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
	if (!is_mapped_object(fd))
		return -ENOTSUP;
	/* In a dump all of them have made room for placeholders. */
	return dumping ? not_asked() : 0;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA, handle_device_vma)

static int plugin_init(int stage)
{
	dumping = stage == CR_PLUGIN_STAGE__DUMP;
	switch (stage) {
	case CR_PLUGIN_STAGE__DUMP:
		/* Without KVM there is nothing to save; the module may have it come later. */
		disabled = access("/dev/kvm", F_OK) != 0;
		/* A service may have dumped before in the same process. */
		drop_all_early();
		drop_notes();
		streamed = images_are_streamed();
		return start_manifest();
	case CR_PLUGIN_STAGE__RESTORE:
		disabled = !check_and_remove_inventory_plugin(PLUGIN_NAME, strlen(PLUGIN_NAME));
		if (disabled)
			return 0;
		tell_criu_bug();
		return check_images();
	default:
		disabled = true;
		return 0;
	}
}

static void plugin_exit(int stage, int ret)
{
	struct dumped *entry;

	if (stage == CR_PLUGIN_STAGE__RESTORE) {
		drop_vms();
		drop_manifest();
	}
	if (stage != CR_PLUGIN_STAGE__DUMP)
		return;
	discard_early();
	drop_clocks();
	drop_notes();
	drop_manifest();
	while ((entry = dumped)) {
		dumped = entry->next;
		if (entry->guard)
			release_process(entry->guard);
		free_process(&entry->process);
		free(entry);
	}
	drop_taps();
	free(saved_vms);
	saved_vms = NULL;
	nr_saved_vms = 0;
	in_inventory = false;
}
/*
 * As CR_PLUGIN_REGISTER would say it with the headers of CRIU 4.1, whichever this is built with:
 * a CRIU refuses plugins that know more hooks than it does, and none of those is needed.
 */
cr_plugin_desc_t CR_PLUGIN_DESC = {
	.name = PLUGIN_NAME,
	.init = plugin_init,
	.exit = plugin_exit,
	.version = CRIU_PLUGIN_GEN_VERSION(0, 2, 0),
	.max_hooks = CR_PLUGIN_HOOK__CHECKPOINT_DEVICES + 1,
};
