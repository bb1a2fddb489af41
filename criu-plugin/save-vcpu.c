// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM holds of each vCPU: its registers, by ioctls inside the process, and its run pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "regs.h"
#include "save-private.h"

#define REGS_MAX     512 /* of KVM_GET_ONE_REG */
#define REG_SIZE_MAX 16
/* Versions of the architecture: PVR_ARCH_* in arch/powerpc/include/asm/reg.h. */
#define PVR_LOGICAL_MASK 0xff000000
#define PVR_LOGICAL	 0x0f000000
#define VPA_SIZE	 640 /* of H_REGISTER_VPA */

/* Calls to KVM_GET_ONE_REG. */
struct reg_calls {
	size_t count;
	struct {
		int call;
		uint64_t id;
		void *value;
	} reg[REGS_MAX];
};

static int run_pages_size(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), size;

	if (fd < 0) {
		pr_perror("Can't open /dev/kvm");
		return -1;
	}
	size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		pr_perror("KVM does not tell the size of its run pages");
	close(fd);
	return size;
}

static int save_run_pages(struct saver *saver, int fd, KvmCriu__Vcpu *vcpu, size_t size)
{
	int local = get_fd(saver->process->pid, fd);
	void *run;
	int ret;

	if (local < 0)
		return -1;
	run = mmap(NULL, size, PROT_READ, MAP_SHARED, local, 0);
	close(local);
	if (run == MAP_FAILED) {
		pr_perror("Can't map the run pages of vCPU %u", vcpu->id);
		return -1;
	}
	ret = set_bytes(&vcpu->run, run, size);
	munmap(run, size);
	return ret;
}

static int ask_registers(struct task *task, int fd, struct reg_calls *calls)
{
	struct kvm_one_reg *one;
	uint64_t remote, value;
	unsigned int n;
	size_t i;

	calls->count = 0;
	for (i = 0; i < nr_reg_ranges; i++) {
		for (n = 0; n < reg_ranges[i].count; n++) {
			if (calls->count == REGS_MAX) {
				pr_err("Too many registers\n");
				return -1;
			}
			calls->reg[calls->count].id = reg_ranges[i].first + n;
			calls->reg[calls->count].value = task_buffer(task, REG_SIZE_MAX, &value);
			one = task_buffer(task, sizeof(*one), &remote);
			one->id = reg_ranges[i].first + n;
			one->addr = value;
			calls->reg[calls->count++].call = task_ioctl(task, true, fd,
								     KVM_GET_ONE_REG, remote);
		}
	}
	return 0;
}

/*
 * On a host with nested API v2, KVM tells what level its own host has given the guest if none was
 * set: a processor's version instead of an architecture's. It takes only the latter, and 0.
 */
static void settle_compat(void *value)
{
	uint32_t compat;

	memcpy(&compat, value, sizeof(compat));
	if ((compat & PVR_LOGICAL_MASK) != PVR_LOGICAL)
		memset(value, 0, sizeof(compat));
}

static int keep_registers(const struct task *task, const struct reg_calls *calls,
			  KvmCriu__Vcpu *vcpu)
{
	size_t i;

	for (i = 0; i < calls->count; i++) {
		long result = task_result(task, calls->reg[i].call);
		KvmCriu__Reg *saved;

		/* This CPU or this kernel does not have the register. */
		if (result == -EINVAL || result == -ENXIO)
			continue;
		if (result < 0) {
			errno = -result;
			pr_perror("KVM does not tell register %#" PRIx64 " of vCPU %u",
				  calls->reg[i].id, vcpu->id);
			return -1;
		}
		saved = add_element(&vcpu->n_reg, &vcpu->reg, &kvm_criu__reg__descriptor);
		if (!saved)
			return -1;
		saved->id = calls->reg[i].id;
		if (saved->id == KVM_REG_PPC_ARCH_COMPAT)
			settle_compat(calls->reg[i].value);
		if (set_bytes(&saved->value, calls->reg[i].value, reg_size(saved->id)))
			return -1;
	}
	return 0;
}

static int save_registers(struct saver *saver, int fd, KvmCriu__Vcpu *vcpu)
{
	const struct {
		unsigned long cmd;
		size_t size;
		ProtobufCBinaryData *saved;
		const char *name;
	} sets[] = {
		{ KVM_GET_REGS, sizeof(struct kvm_regs), &vcpu->regs, "registers" },
		{ KVM_GET_SREGS, sizeof(struct kvm_sregs), &vcpu->sregs, "special registers" },
		{ KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events), &vcpu->events, "events" },
	};
	void *values[ARRAY_LEN(sets)];
	int calls[ARRAY_LEN(sets)];
	struct reg_calls one_reg;
	uint64_t remote;
	size_t i;

	reset_task(saver->task);
	for (i = 0; i < ARRAY_LEN(sets); i++) {
		values[i] = task_buffer(saver->task, sets[i].size, &remote);
		calls[i] = task_ioctl(saver->task, false, fd, sets[i].cmd, remote);
	}
	if (ask_registers(saver->task, fd, &one_reg) || run_task(saver->task))
		return -1;
	for (i = 0; i < ARRAY_LEN(sets); i++) {
		if (task_result(saver->task, calls[i]) < 0) {
			errno = -task_result(saver->task, calls[i]);
			pr_perror("KVM does not tell the %s of vCPU %u", sets[i].name, vcpu->id);
			return -1;
		}
		if (set_bytes(sets[i].saved, values[i], sets[i].size))
			return -1;
	}
	return keep_registers(saver->task, &one_reg, vcpu);
}

/*
 * The hypervisor writes to a guest's VPA and dispatch log through mappings of its own, which memory
 * tracking does not see: a page written only there would be missing in a dump that follows a
 * pre-dump.
 */
static void touch_vpas(const struct saver *saver, const KvmCriu__Vcpu *vcpu)
{
	const KvmCriu__Reg *slb = find_reg(vcpu, KVM_REG_PPC_VPA_SLB);
	const KvmCriu__Reg *dtl = find_reg(vcpu, KVM_REG_PPC_VPA_DTL);
	pid_t pid = saver->process->pid;

	touch_guest_memory(pid, saver->vm, reg_value(find_reg(vcpu, KVM_REG_PPC_VPA_ADDR), 0),
			   VPA_SIZE);
	touch_guest_memory(pid, saver->vm, reg_value(slb, 0), reg_value(slb, 8));
	touch_guest_memory(pid, saver->vm, reg_value(dtl, 0), reg_value(dtl, 8));
}

static int save_vcpu(struct saver *saver, const struct kvm_fd *fd, KvmCriu__Vcpu *vcpu,
		     const struct fdinfo *info, size_t run_size)
{
	const char *mask = next_fdinfo(info, "kvm-signal-mask", NULL);
	uint64_t papr, osi, type, sigset, server;

	vcpu->id = fd->which;
	vcpu->has_fd = true;
	vcpu->fd = fd->fd;
	if (fdinfo_u64(info, "kvm-papr", &papr) || fdinfo_u64(info, "kvm-osi", &osi) ||
	    fdinfo_u64(info, "kvm-irq-type", &type))
		return missing(saver, "vCPU configuration");
	vcpu->papr = papr;
	vcpu->osi = osi;
	vcpu->has_irq_server = !fdinfo_u64(info, "kvm-irq-server", &server);
	if (vcpu->has_irq_server)
		vcpu->irq_server = server;
	else if (type != IRQ_TYPE_NONE)
		return missing(saver, "vCPU's number for the interrupt controller");
	if (mask) {
		sigset = strtoull(mask, NULL, 16);
		vcpu->has_signal_mask = true;
		if (set_bytes(&vcpu->signal_mask, &sigset, sizeof(sigset)))
			return -1;
	}
	if (save_run_pages(saver, fd->fd, vcpu, run_size) || save_registers(saver, fd->fd, vcpu))
		return -1;
	touch_vpas(saver, vcpu);
	return 0;
}

/* The vCPU whose number is @index, if @fd is of it: 1; if not, 0. */
static int save_vcpu_at(struct saver *saver, const struct kvm_fd *fd, uint64_t index,
			size_t run_size)
{
	KvmCriu__Vcpu *vcpu;
	struct fdinfo info;
	uint64_t at;
	int ret = 0;

	if (fd->object != KVM_CRIU__OBJECT__VCPU || fd->vm != saver->number)
		return 0;
	if (read_fdinfo(&info, saver->process->pid, fd->fd))
		return -1;
	if (!fdinfo_u64(&info, "kvm-vcpu-index", &at) && at == index) {
		vcpu = add_element(&saver->vm->n_vcpu, &saver->vm->vcpu,
				   &kvm_criu__vcpu__descriptor);
		ret = !vcpu || save_vcpu(saver, fd, vcpu, &info, run_size) ? -1 : 1;
	}
	free_fdinfo(&info);
	return ret;
}

/* In the order of their creation: KVM numbers vCPUs by it, and a vCPU may be found by it. */
int save_vcpus(struct saver *saver, uint64_t count)
{
	int run_size = run_pages_size();
	uint64_t index;
	size_t i;
	int ret;

	if (run_size < 0)
		return -1;
	for (index = 0; index < count; index++) {
		ret = 0;
		for (i = 0; i < saver->process->nr_fds && !ret; i++)
			ret = save_vcpu_at(saver, &saver->process->fds[i], index, run_size);
		if (ret < 0)
			return -1;
		if (!ret) {
			pr_err("VM %" PRIu64 " of process %d: its vCPU number %" PRIu64
			       " has no fd in the process, so it can't be saved\n",
			       saver->number, saver->process->pid, index);
			return -1;
		}
	}
	return 0;
}
