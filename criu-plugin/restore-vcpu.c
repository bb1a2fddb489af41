// SPDX-License-Identifier: GPL-2.0-only
/*
 * Setting the vCPUs of a VM that is being made to what their images say.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm-abi.h"
#include "vm-images.h"

static int vcpu_ioctl(int fd, const KvmCriu__Vcpu *vcpu, unsigned long cmd, void *arg,
		      const char *what)
{
	if (ioctl(fd, cmd, arg) >= 0)
		return 0;
	pr_perror("vCPU %u: KVM refuses its %s", vcpu->id, what);
	return -1;
}

static int set_registers(const KvmCriu__Vcpu *vcpu, int fd)
{
	size_t i;

	if (vcpu_ioctl(fd, vcpu, KVM_SET_SREGS, vcpu->sregs.data, "special registers"))
		return -1;
	for (i = 0; i < vcpu->n_reg; i++) {
		struct kvm_one_reg one = {
			.id = vcpu->reg[i]->id,
			.addr = (uintptr_t)vcpu->reg[i]->value.data,
		};

		/* clock.c sets them at the end */
		if (one.id == KVM_REG_PPC_TB_OFFSET || one.id == KVM_REG_PPC_DEC_EXPIRY)
			continue;
		if (ioctl(fd, KVM_SET_ONE_REG, &one)) {
			pr_perror("vCPU %u: KVM refuses its register %#" PRIx64, vcpu->id,
				  (uint64_t)one.id);
			return -1;
		}
	}
	/* last: setting MSR depends on what came before */
	return vcpu_ioctl(fd, vcpu, KVM_SET_REGS, vcpu->regs.data, "registers");
}

static int set_signal_mask(const KvmCriu__Vcpu *vcpu, int fd)
{
	/* The set follows the structure, whose last member is an array without a length. */
	_Alignas(struct kvm_signal_mask)
		uint8_t args[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)] = { 0 };
	struct kvm_signal_mask *mask = (void *)args;

	if (!vcpu->has_signal_mask)
		return 0;
	mask->len = sizeof(uint64_t);
	memcpy(mask->sigset, vcpu->signal_mask.data, sizeof(uint64_t));
	return vcpu_ioctl(fd, vcpu, KVM_SET_SIGNAL_MASK, args, "signal mask");
}

static int set_run_pages(const KvmCriu__Vcpu *vcpu, int fd)
{
	void *run = mmap(NULL, vcpu->run.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (run == MAP_FAILED) {
		pr_perror("Can't map the run pages of vCPU %u", vcpu->id);
		return -1;
	}
	memcpy(run, vcpu->run.data, vcpu->run.len);
	munmap(run, vcpu->run.len);
	return 0;
}

int set_vcpus(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->image->n_vcpu; i++) {
		const KvmCriu__Vcpu *vcpu = vm->image->vcpu[i];
		int fd = vm->vcpu_fds[i];

		if (set_registers(vcpu, fd) || set_run_pages(vcpu, fd) ||
		    set_signal_mask(vcpu, fd) ||
		    vcpu_ioctl(fd, vcpu, KVM_SET_VCPU_EVENTS, vcpu->events.data, "events"))
			return -1;
	}
	return 0;
}
