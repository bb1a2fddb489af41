// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMs that the image folder has. They are read in CRIU's main process; the processes that it
 * forks have their own copies.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "vm-images.h"

/* Read in CRIU's main process; the processes that it forks have their own copy. */
static struct vm *vms;
static size_t nr_vms;
static unsigned int nr_files;

struct vm *find_vm(uint64_t number)
{
	size_t i;

	for (i = 0; i < nr_vms; i++)
		if (vms[i].image->number == number)
			return &vms[i];
	return NULL;
}

int open_table_image(const KvmCriu__Vm *vm, const KvmCriu__Table *table, struct tce_reader **reader,
		     int *fd)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_geometry geometry;
	struct tce_source source;
	char name[IMAGE_NAME_LEN];

	*reader = NULL;
	table_image_name(name, sizeof(name), vm->number, table->liobn);
	*fd = open_image_fd(name);
	if (*fd < 0)
		return -1;
	source = tce_fd_source(*fd);
	if (tce_create_reader(reader, &source, &err))
		goto err;
	switch (tce_next_table(*reader, &geometry, &err)) {
	case 0:
		pr_err("Image %s has no table\n", name);
		goto out;
	case 1:
		break;
	default:
		goto err;
	}
	if (geometry.known != TCE_KNOWN_ALL || geometry.liobn != table->liobn ||
	    geometry.page_shift != table->page_shift || geometry.bus_offset != table->bus_offset ||
	    geometry.entries != table->entries) {
		pr_err("Image %s is of another table: LIOBN %#" PRIx64
		       ", page shift %u, bus offset %#" PRIx64 ", %" PRIu64 " entries; VM %" PRIu64
		       " had LIOBN %#" PRIx64 ", page shift %u, bus offset %#" PRIx64 ", %" PRIu64
		       " entries\n",
		       name, geometry.liobn, geometry.page_shift, geometry.bus_offset,
		       geometry.entries, vm->number, table->liobn, table->page_shift,
		       table->bus_offset, table->entries);
		goto out;
	}
	return 0;
err:
	table_error(&err, name);
out:
	tce_destroy_reader(*reader);
	*reader = NULL;
	close(*fd);
	return -1;
}

static int load_vm(const char *name)
{
	struct vm *more;
	KvmCriu__Vm *image;
	int failed;

	image = load_message(name, &kvm_criu__vm__descriptor, false, &failed);
	if (!image)
		return -1;
	if (image->dump != dump_id()) {
		pr_err("%s is of another dump\n", name);
		goto err;
	}
	if (find_vm(image->number)) {
		pr_err("%s: VM %" PRIu64 " is there twice\n", name, image->number);
		goto err;
	}
	more = reallocarray(vms, nr_vms + 1, sizeof(*vms));
	if (!more) {
		pr_err("Out of memory\n");
		goto err;
	}
	vms = more;
	vms[nr_vms++] = (struct vm){ .image = image };
	return 0;
err:
	free_message(image);
	return -1;
}

static int count_file(const char *name)
{
	KvmCriu__File *file;
	struct vm *vm;
	int failed, ret = 0;

	file = load_message(name, &kvm_criu__file__descriptor, false, &failed);
	if (!file)
		return -1;
	if (file->dump != dump_id()) {
		pr_info("%s is of another dump\n", name);
		goto out;
	}
	nr_files++;
	if (file->object == KVM_CRIU__OBJECT__VHOST_NET) {
		if (access(VHOST_NET_PATH, R_OK | W_OK)) {
			pr_perror("The VM has vhost-net, and " VHOST_NET_PATH " can't be opened");
			ret = -1;
		}
	} else if (file->object == KVM_CRIU__OBJECT__BLOCK) {
		if (!file->path || file->path[0] != '/' || !file->has_size) {
			pr_err("%s does not tell which block device it is of\n", name);
			ret = -1;
		}
	} else if (file->object != KVM_CRIU__OBJECT__KVM) {
		vm = find_vm(file->vm);
		if (vm) {
			vm->files_left++;
		} else {
			pr_err("%s is of VM %" PRIu64 ", which has no image\n", name, file->vm);
			ret = -1;
		}
	}
out:
	free_message(file);
	return ret;
}

/* A process's image is used at the end of the restore, too late to find that it can't be. */
static int check_task(const char *name)
{
	KvmCriu__Task *task;
	int failed, ret = 0;

	task = load_message(name, &kvm_criu__task__descriptor, false, &failed);
	if (!task)
		return -1;
	if (task->version != TASK_VERSION || task->dump != dump_id()) {
		pr_err("%s is of another version or of another dump\n", name);
		ret = -1;
	}
	free_message(task);
	return ret;
}

int load_vms(void)
{
	return for_each_listed("kvm-vm-", load_vm) || for_each_listed("kvm-task-", check_task) ||
			       for_each_image("kvm-file-", count_file) ||
			       check_file_count(nr_files) ?
		       -1 :
		       0;
}

void drop_vms(void)
{
	while (nr_vms) {
		struct vm *vm = &vms[--nr_vms];

		free(vm->vcpu_fds);
		free(vm->table_fds);
		free_message(vm->image);
	}
	free(vms);
	vms = NULL;
	nr_files = 0;
}

int for_each_vm(int (*each)(const struct vm *vm, void *arg), void *arg)
{
	size_t i;

	for (i = 0; i < nr_vms; i++)
		if (each(&vms[i], arg))
			return -1;
	return 0;
}

int refuse_vm(const KvmCriu__Vm *vm, const char *why)
{
	pr_err("VM %" PRIu64 " can't be restored here: %s\n", vm->number, why);
	return -1;
}

bool logs_dirty_pages(const KvmCriu__Vm *vm)
{
	size_t i;

	for (i = 0; i < vm->n_slot; i++)
		if (vm->slot[i]->flags & KVM_MEM_LOG_DIRTY_PAGES)
			return true;
	return vm->dirty_log_full;
}
