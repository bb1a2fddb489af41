// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a VM from its images.
 *
 * CRIU asks for one file at a time, in the order of fd numbers, inside the process that is being
 * restored. KVM's objects depend on each other, so the first question makes all of a VM, with
 * everything in it; the fds wait far above those of the process until CRIU asks for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "regs.h"
#include "vm-images.h"

#define HCALLS_MAX 0x1000 /* no less than KVM's MAX_HCALL_OPCODE */

static int vm_enable(const struct vm *vm, uint32_t cap, uint64_t a0, uint64_t a1, const char *what)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { a0, a1 } };

	return vm_ioctl(vm, KVM_ENABLE_CAP, &enable, what) < 0 ? -1 : 0;
}

/* The hcalls that KVM handles: only what differs from a new VM's has to be said. */
static int set_hcalls(const struct vm *vm, const struct fdinfo *info)
{
	const char *text = next_fdinfo(info, "kvm-hcalls", NULL);
	bool now[HCALLS_MAX] = {};
	bool then[HCALLS_MAX] = {};
	size_t i;
	char *end;

	while (text && *text && *text != '\n') {
		unsigned long nr = strtoul(text, &end, 16);

		if (end == text || nr >= ARRAY_LEN(now))
			break;
		now[nr] = true;
		text = *end == ' ' ? end + 1 : end;
	}
	for (i = 0; i < vm->image->n_hcall; i++) {
		if (vm->image->hcall[i] >= ARRAY_LEN(then))
			return refuse_vm(vm->image, "it has an unknown hcall enabled");
		then[vm->image->hcall[i]] = true;
	}
	for (i = 0; i < ARRAY_LEN(now); i++)
		if (now[i] != then[i] &&
		    vm_enable(vm, KVM_CAP_PPC_ENABLE_HCALL, i, then[i], "enabled hcalls"))
			return -1;
	return 0;
}

static int set_rtas_tokens(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->image->n_rtas_token; i++) {
		const KvmCriu__RtasToken *token = vm->image->rtas_token[i];
		struct kvm_rtas_token_args args = { .token = token->token };

		snprintf(args.name, sizeof(args.name), "%s", token->name);
		if (vm_ioctl(vm, KVM_PPC_RTAS_DEFINE_TOKEN, &args, "RTAS call") < 0)
			return -1;
	}
	return 0;
}

static int configure_vm(const struct vm *vm)
{
	const KvmCriu__Vm *image = vm->image;
	struct fdinfo info;
	const char *smt;
	unsigned int smt_mode, emul_smt_mode;
	int ret = -1;

	if (read_fdinfo(&info, SELF, vm->fd))
		return -1;
	smt = next_fdinfo(&info, "kvm-smt", NULL);
	if (!smt || sscanf(smt, "%u %u", &smt_mode, &emul_smt_mode) != 2) {
		refuse_vm(image, "the running kernel lacks this project's patches (fdinfo)");
		goto out;
	}
	/*
	 * kvmhv_set_smt_mode(): threads are real up to POWER8, and only pretended from POWER9 on,
	 * where the real mode is always 1.
	 */
	if ((image->smt_mode != smt_mode || image->emul_smt_mode != emul_smt_mode) &&
	    vm_enable(vm, KVM_CAP_PPC_SMT,
		      image->smt_mode > 1 ? image->smt_mode : image->emul_smt_mode, 0, "SMT mode"))
		goto out;
	if (set_hcalls(vm, &info))
		goto out;
	if (image->tce_replay_strict &&
	    vm_enable(vm, KVM_CAP_SPAPR_TCE_FD, KVM_SPAPR_TCE_FD_REPLAY_STRICT, 0, "strict replay"))
		goto out;
	if (image->dawr1 && vm_enable(vm, KVM_CAP_PPC_DAWR1, 1, 0, "second DAWR"))
		goto out;
	if (image->has_halt_poll &&
	    vm_enable(vm, KVM_CAP_HALT_POLL, image->halt_poll, 0, "halt polling time"))
		goto out;
	if (image->manual_dirty_log && vm_enable(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
						 image->manual_dirty_log, 0, "dirty log mode"))
		goto out;
	ret = set_rtas_tokens(vm);
out:
	free_fdinfo(&info);
	return ret;
}

static int enable_on_vcpu(int fd, uint32_t cap, const KvmCriu__Vcpu *vcpu, const char *what)
{
	struct kvm_enable_cap enable = { .cap = cap };

	if (!ioctl(fd, KVM_ENABLE_CAP, &enable))
		return 0;
	pr_perror("vCPU %u: KVM refuses %s", vcpu->id, what);
	return -1;
}

static int make_vcpus(struct vm *vm)
{
	size_t i;

	vm->vcpu_fds = calloc(vm->image->n_vcpu, sizeof(*vm->vcpu_fds));
	if (!vm->vcpu_fds) {
		pr_err("Out of memory\n");
		return -1;
	}
	for (i = 0; i < vm->image->n_vcpu; i++) {
		const KvmCriu__Vcpu *vcpu = vm->image->vcpu[i];
		int fd = vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->id, "vCPU");

		if (fd >= 0)
			fd = keep_fd(vm, fd);
		if (fd < 0)
			return -1;
		vm->vcpu_fds[i] = fd;
		if (vcpu->papr && enable_on_vcpu(fd, KVM_CAP_PPC_PAPR, vcpu, "PAPR mode"))
			return -1;
		if (vcpu->osi && enable_on_vcpu(fd, KVM_CAP_PPC_OSI, vcpu, "OSI hcalls"))
			return -1;
		/* This is the VM's, but is set through a vCPU. */
		if (!i && vm->image->fwnmi && enable_on_vcpu(fd, KVM_CAP_PPC_FWNMI, vcpu, "FWNMI"))
			return -1;
	}
	return 0;
}

static int set_slots(const struct vm *vm)
{
	bool log_full = logs_dirty_pages(vm->image);
	size_t i;

	/* What a reader of a dirty log had not fetched yet must not be lost: all of it is dirty. */
	if (log_full && vm_enable(vm, KVM_CAP_PPC_DIRTY_LOG_FULL, 1, 0, "dirty logs"))
		return -1;
	for (i = 0; i < vm->image->n_slot; i++) {
		const KvmCriu__Slot *slot = vm->image->slot[i];
		struct kvm_userspace_memory_region region = {
			.slot = slot->id,
			.flags = slot->flags,
			.guest_phys_addr = slot->gpa,
			.memory_size = slot->size,
			.userspace_addr = slot->hva,
		};

		if (vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region, "memory slot") < 0)
			return -1;
	}
	if (log_full && !vm->image->dirty_log_full &&
	    vm_enable(vm, KVM_CAP_PPC_DIRTY_LOG_FULL, 0, 0, "dirty logs"))
		return -1;
	return 0;
}

static int make_device(struct vm *vm)
{
	if (!vm->image->irq_controller)
		return 0;
	vm->device_fd = make_irqchip(vm->image, vm->fd);
	if (vm->device_fd >= 0)
		vm->device_fd = keep_fd(vm, vm->device_fd);
	return vm->device_fd < 0 ? -1 : 0;
}

static int load_device(const struct vm *vm)
{
	return vm->image->irq_controller ? load_irqchip(vm->image, vm->device_fd, vm->vcpu_fds) : 0;
}

static int set_mmu(const struct vm *vm)
{
	const KvmCriu__Vm *image = vm->image;
	bool radix = !strcmp(image->mmu, "radix");
	struct kvm_ppc_mmuv3_cfg config = { .process_table = image->process_table };
	bool v3 = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0 ||
		  ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_HASH_V3) > 0;

	/*
	 * A VM is in radix mode from its start on a radix host, but has to be asked for it in this
	 * form.
	 */
	if (radix) {
		config.flags |= KVM_PPC_MMUV3_RADIX;
		config.process_table |= PATB_GR;
	}
	if (reg_value(find_reg(image->vcpu[0], KVM_REG_PPC_LPCR_64), 0) & LPCR_GTSE)
		config.flags |= KVM_PPC_MMUV3_GTSE;
	return v3 && vm_ioctl(vm, KVM_PPC_CONFIGURE_V3_MMU, &config, "MMU mode") < 0 ? -1 : 0;
}

static int set_coalesced(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->image->n_coalesced; i++) {
		struct kvm_coalesced_mmio_zone zone = {
			.addr = vm->image->coalesced[i]->addr,
			.size = vm->image->coalesced[i]->size,
		};

		if (vm_ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone, "coalesced MMIO zone") < 0)
			return -1;
	}
	return 0;
}

static int create_vm(struct vm *vm)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		pr_perror("Can't open /dev/kvm");
		return -1;
	}
	vm->fd = ioctl(kvm, KVM_CREATE_VM, KVM_VM_PPC_HV);
	if (vm->fd < 0)
		pr_perror("Can't create a VM");
	close(kvm);
	if (vm->fd >= 0)
		vm->fd = keep_fd(vm, vm->fd);
	return vm->fd < 0 ? -1 : 0;
}

/* What its threads, which CRIU makes later, are to inherit. */
static int prepare_process(void)
{
	KvmCriu__Task *task;
	int failed;
	char name[IMAGE_NAME_LEN];

	snprintf(name, sizeof(name), "kvm-task-%d.img", getpid());
	task = load_message(name, &kvm_criu__task__descriptor, false, &failed);
	if (!task)
		return -1;
	restore_failure_policy(task);
	free_message(task);
	return 0;
}

static int make_vm(struct vm *vm)
{
	if ((pid_t)vm->image->owner != getpid()) {
		pr_err("VM %" PRIu64
		       " belongs to process %u, but process %d was asked to open it first\n",
		       vm->image->number, vm->image->owner, getpid());
		return -1;
	}
	/* What comes later stands on what comes before: entries of tables on memory slots, say. */
	if (prepare_process() || create_vm(vm) || configure_vm(vm) || make_vcpus(vm) ||
	    set_slots(vm) || set_mmu(vm) || make_hpt(vm) || load_hpt(vm) || make_tables(vm) ||
	    set_vcpus(vm) || make_device(vm) || load_device(vm) || set_coalesced(vm))
		return -1;
	vm->made = true;
	pr_info("VM %" PRIu64 " is made: %zu vCPUs, %zu tables\n", vm->image->number,
		vm->image->n_vcpu, vm->image->n_table);
	return 0;
}

static void close_trial(struct vm *vm)
{
	size_t i;

	for (i = 0; vm->vcpu_fds && i < vm->image->n_vcpu; i++)
		if (vm->vcpu_fds[i])
			close(vm->vcpu_fds[i]);
	free(vm->vcpu_fds);
	if (vm->device_fd >= 0)
		close(vm->device_fd);
	if (vm->fd >= 0)
		close(vm->fd);
}

int try_vm(KvmCriu__Vm *image)
{
	struct vm vm = { .image = image, .trial = true, .fd = -1, .device_fd = -1 };
	int ret;

	if (!image->n_vcpu) {
		pr_err("VM %" PRIu64 " has no vCPU yet, so it can't be saved\n", image->number);
		return -1;
	}
	ret = create_vm(&vm) || configure_vm(&vm) || make_vcpus(&vm) || set_mmu(&vm) ||
	      set_vcpus(&vm) || make_device(&vm) || load_device(&vm) || set_coalesced(&vm);
	close_trial(&vm);
	if (ret)
		pr_err("VM %" PRIu64 " can't be saved: KVM would not make it again as it is\n",
		       image->number);
	return ret ? -1 : 0;
}

static int pick_fd(const struct vm *vm, const KvmCriu__File *file)
{
	size_t i;
	int fd;

	switch (file->object) {
	case KVM_CRIU__OBJECT__VM:
		return fcntl(vm->fd, F_DUPFD_CLOEXEC, 0);
	case KVM_CRIU__OBJECT__DEVICE:
		if (!vm->image->irq_controller)
			break;
		return fcntl(vm->device_fd, F_DUPFD_CLOEXEC, 0);
	case KVM_CRIU__OBJECT__VM_STATS:
		return ioctl(vm->fd, KVM_GET_STATS_FD, 0);
	case KVM_CRIU__OBJECT__VCPU:
	case KVM_CRIU__OBJECT__VCPU_STATS:
		for (i = 0; i < vm->image->n_vcpu; i++) {
			if (vm->image->vcpu[i]->id != file->which)
				continue;
			if (file->object == KVM_CRIU__OBJECT__VCPU_STATS)
				return ioctl(vm->vcpu_fds[i], KVM_GET_STATS_FD, 0);
			return fcntl(vm->vcpu_fds[i], F_DUPFD_CLOEXEC, 0);
		}
		break;
	case KVM_CRIU__OBJECT__TABLE:
		for (i = 0; i < vm->image->n_table; i++) {
			if (vm->image->table[i]->liobn != file->which)
				continue;
			fd = fcntl(vm->table_fds[i], F_DUPFD_CLOEXEC, 0);
			if (fd >= 0 && lseek(fd, file->pos, SEEK_SET) < 0) {
				close(fd);
				return -1;
			}
			return fd;
		}
		break;
	default:
		break;
	}
	errno = ENOENT;
	return -1;
}

static void let_go(struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->image->n_vcpu; i++)
		close(vm->vcpu_fds[i]);
	for (i = 0; i < vm->image->n_table; i++)
		close(vm->table_fds[i]);
	if (vm->image->irq_controller)
		close(vm->device_fd);
	close(vm->fd);
}

int restore_file(uint32_t id)
{
	KvmCriu__File *file;
	int failed, fd = -1;
	char name[IMAGE_NAME_LEN];
	struct vm *vm;

	snprintf(name, sizeof(name), "kvm-file-%x.img", id);
	file = load_message(name, &kvm_criu__file__descriptor, true, &failed);
	if (!file || file->dump != dump_id()) {
		free_message(file);
		return failed ? -1 : -ENOTSUP;
	}
	if (file->object == KVM_CRIU__OBJECT__KVM) {
		fd = open("/dev/kvm", (file->flags & O_ACCMODE) | O_CLOEXEC);
		if (fd < 0)
			pr_perror("Can't open /dev/kvm");
		goto out;
	}
	if (file->object == KVM_CRIU__OBJECT__VHOST_NET) {
		fd = open(VHOST_NET_PATH, (file->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
		if (fd < 0)
			pr_perror("Can't open " VHOST_NET_PATH);
		goto out;
	}
	if (file->object == KVM_CRIU__OBJECT__BLOCK) {
		fd = open_block(file);
		goto out;
	}
	vm = find_vm(file->vm);
	if (!vm) {
		pr_err("%s is of VM %" PRIu64 ", which has no image\n", name, file->vm);
		goto out;
	}
	if (!vm->made && make_vm(vm))
		goto out;
	fd = pick_fd(vm, file);
	if (fd < 0)
		pr_perror("%s: VM %" PRIu64 " does not give this object", name, file->vm);
	else if (--vm->files_left == 0)
		let_go(vm);
out:
	free_message(file);
	return fd;
}
