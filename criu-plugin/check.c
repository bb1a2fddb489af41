// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a VM can be made here from its images, before CRIU has made anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "regs.h"
#include "vm-images.h"

#define VCPUS_MAX      2048
#define RTAS_NAME_SIZE sizeof(((struct kvm_rtas_token_args *)0)->name)

static int check_tables(const KvmCriu__Vm *vm)
{
	struct tce_reader *reader;
	size_t i, k;
	int fd;

	for (i = 0; i < vm->n_table; i++) {
		for (k = 0; k < i; k++) {
			if (vm->table[i]->liobn == vm->table[k]->liobn) {
				pr_err("VM %" PRIu64 " has two tables with LIOBN %#" PRIx64 "\n",
				       vm->number, vm->table[i]->liobn);
				return -1;
			}
		}
		if (open_table_image(vm, vm->table[i], &reader, &fd))
			return -1;
		tce_destroy_reader(reader);
		close(fd);
	}
	return 0;
}

static int extension(int kvm, int number)
{
	int value = ioctl(kvm, KVM_CHECK_EXTENSION, number);

	return value < 0 ? 0 : value;
}

static bool known_reg(uint64_t id)
{
	size_t i;

	for (i = 0; i < nr_reg_ranges; i++)
		if (id >= reg_ranges[i].first && id - reg_ranges[i].first < reg_ranges[i].count)
			return true;
	return false;
}

static int check_vcpu(const KvmCriu__Vm *vm, const KvmCriu__Vcpu *vcpu, size_t run_size)
{
	size_t i;

	if (vcpu->regs.len != sizeof(struct kvm_regs) ||
	    vcpu->sregs.len != sizeof(struct kvm_sregs) ||
	    vcpu->events.len != sizeof(struct kvm_vcpu_events) ||
	    (vcpu->has_signal_mask && vcpu->signal_mask.len != sizeof(uint64_t)))
		return refuse_vm(vm, "the image of a vCPU has registers of another size");
	if (!vcpu->has_fd)
		return refuse_vm(vm, "the image of a vCPU has no fd");
	if (vcpu->run.len != run_size)
		return refuse_vm(vm, "its run pages have another size than KVM's here");
	for (i = 0; i < vcpu->n_reg; i++) {
		const KvmCriu__Reg *reg = vcpu->reg[i];

		if (!known_reg(reg->id) || reg->value.len != reg_size(reg->id))
			return refuse_vm(vm, "the image of a vCPU has an unknown register");
	}
	return 0;
}

/* What KVM must be able to do for this VM. */
static int check_host(const KvmCriu__Vm *vm, int kvm)
{
	bool radix = !strcmp(vm->mmu, "radix");
	bool xive = vm->irq_controller && !strcmp(vm->irq_controller->type, "xive");
	const struct {
		bool needed;
		int number;
		int bits;
		const char *why;
	} extensions[] = {
		{ true, KVM_CAP_VCPU_EVENTS, ~0,
		  "the running kernel lacks this project's patches (KVM_CAP_VCPU_EVENTS)" },
		{ vm->n_table, KVM_CAP_SPAPR_TCE_FD, KVM_SPAPR_TCE_FD_FILE,
		  "the running kernel lacks this project's patches (KVM_CAP_SPAPR_TCE_FD)" },
		{ logs_dirty_pages(vm), KVM_CAP_PPC_DIRTY_LOG_FULL, ~0,
		  "the running kernel lacks this project's patches (KVM_CAP_PPC_DIRTY_LOG_FULL)" },
		{ vm->tce_replay_strict, KVM_CAP_SPAPR_TCE_FD, KVM_SPAPR_TCE_FD_REPLAY_STRICT,
		  "the running kernel lacks this project's patches (KVM_SPAPR_TCE_FD_REPLAY_"
		  "STRICT)" },
		{ radix, KVM_CAP_PPC_MMU_RADIX, ~0,
		  "KVM can't run radix guests on this host (KVM_CAP_PPC_MMU_RADIX)" },
		{ !radix, KVM_CAP_PPC_HTAB_FD, ~0,
		  "KVM can't run HPT guests on this host (KVM_CAP_PPC_HTAB_FD)" },
		{ xive, KVM_CAP_PPC_IRQ_XIVE, ~0,
		  "KVM has no XIVE on this host (KVM_CAP_PPC_IRQ_XIVE)" },
	};
	size_t i;

	if (vm->host_page_size != (uint32_t)getpagesize())
		return refuse_vm(vm, "the host has another page size");
	if (vm->pvr != read_pvr())
		return refuse_vm(vm, "the host has another processor (PVR)");
	for (i = 0; i < ARRAY_LEN(extensions); i++)
		if (extensions[i].needed &&
		    !(extension(kvm, extensions[i].number) & extensions[i].bits))
			return refuse_vm(vm, extensions[i].why);
	return 0;
}

/* Images that nobody looks for before the VM is made, or at all. */
static int check_parts(const KvmCriu__Vm *vm)
{
	char name[IMAGE_NAME_LEN];

	snprintf(name, sizeof(name), "kvm-hpt-%" PRIu64 ".img", vm->number);
	if (!strcmp(vm->mmu, "hpt") && vm->hpt_order && !is_listed(name))
		return refuse_vm(vm, "its HPT has no image");
	snprintf(name, sizeof(name), "kvm-task-%u.img", vm->owner);
	if (!is_listed(name))
		return refuse_vm(vm, "its process has no image of this plugin's");
	return 0;
}

static int check_vm(const struct vm *loaded, void *arg)
{
	const KvmCriu__Vm *vm = loaded->image;
	int kvm = *(int *)arg, run_size;
	size_t i;

	if (vm->version != IMAGE_VERSION)
		return refuse_vm(vm, "its image has a version that this plugin does not know");
	if (strcmp(vm->type, VM_TYPE) || (strcmp(vm->mmu, "radix") && strcmp(vm->mmu, "hpt")))
		return refuse_vm(vm, "its type is unknown");
	if (check_host(vm, kvm) || check_parts(vm))
		return -1;
	if (!vm->n_vcpu || vm->n_vcpu > VCPUS_MAX)
		return refuse_vm(vm, "its number of vCPUs is out of range");
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	for (i = 0; i < vm->n_vcpu; i++)
		if (check_vcpu(vm, vm->vcpu[i], run_size))
			return -1;
	if (check_irqchip(vm))
		return -1;
	for (i = 0; i < vm->n_rtas_token; i++)
		if (strlen(vm->rtas_token[i]->name) >= RTAS_NAME_SIZE)
			return refuse_vm(vm, "its image has an RTAS call with too long a name");
	return check_tables(vm);
}

int check_images(void)
{
	int kvm, ret;

	if (load_manifest() || load_vms() || check_taps(tap_count()))
		return -1;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		pr_perror("There are VMs to restore, but /dev/kvm can't be opened");
		return -1;
	}
	ret = for_each_vm(check_vm, &kvm);
	close(kvm);
	return ret;
}
