// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VM itself: type, MMU mode, memory slots, vCPU threads and their exits. The guest runs in real
 * mode, so it needs no page tables of its own: KVM maps it through the VRMA (HPT) or the
 * partition-scoped tree (radix).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-entry.h"
#include "vm.h"

#define MSR_SF	 (1UL << 63)
#define MSR_EE	 (1UL << 15)
#define MSR_ME	 (1UL << 12)
#define MSR_LE	 1UL
#define LPCR_ILE 0x02000000UL /* interrupts are taken little-endian */

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("tce-vmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	/* Not 1, which is for checks that failed: whoever reads those has all of them then. */
	exit(2);
}

void vm_fail(struct vm *vm, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&vm->lock);
	if (!vm->failed[0]) {
		va_start(ap, fmt);
		vsnprintf(vm->failed, sizeof(vm->failed), fmt, ap);
		va_end(ap);
	}
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void *vm_ram(struct vm *vm, u64 gpa)
{
	return vm->slot[0].mem + gpa;
}

static const char *check_name(u64 check)
{
	switch (check) {
	case CHECK_RC:
		return "an hcall failed";
	case CHECK_BEFORE:
		return "an entry was not what it was left as";
	case CHECK_AFTER:
		return "an entry is not what was just put";
	case CHECK_TIME:
		return "the timebase went back";
	case CHECK_MMIO:
		return "an MMIO load was done twice or lost";
	}
	return "unknown check";
}

/*
 * An hcall that KVM left to user space. False: this vCPU has no more work, or the guest found
 * a mistake, which is in vm->failed then.
 */
static bool handle_hcall(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const __u64 *arg = run->papr_hcall.args;
	struct guest_op *ops;
	u64 r4 = arg[0];
	long ret;

	run->papr_hcall.ret = H_SUCCESS;
	switch (run->papr_hcall.nr) {
	case GUEST_DONE:
		return false;
	case GUEST_REPORT:
		if (arg[0] != vcpu->reports + 1) {
			vm_fail(vcpu->vm, "vcpu %d: report %" PRIu64 " after report %lu",
				vcpu->index, arg[0], vcpu->reports);
			return false;
		}
		vcpu->reports++;
		return true;
	case GUEST_FAIL:
		vm_fail(vcpu->vm,
			"vcpu %d: %s: LIOBN %#" PRIx64 ", I/O page %#" PRIx64 ": want %#" PRIx64
			", got %#" PRIx64,
			vcpu->index, check_name(arg[0]), arg[1], arg[2], arg[3], arg[4]);
		return false;
	case GUEST_TRAP:
		vm_fail(vcpu->vm,
			"vcpu %d: guest interrupt %#" PRIx64 " at %#" PRIx64 ", SRR1 %#" PRIx64
			", DAR %#" PRIx64 ", DSISR %#" PRIx64,
			vcpu->index, arg[0], arg[1], arg[2], arg[3], arg[4]);
		return false;
	}

	vcpu->exits++;
	ops = vm_ram(vcpu->vm, vcpu->guest->ops);
	if (vcpu->guest->next_op < vcpu->guest->nops)
		ops[vcpu->guest->next_op].exited = 1;
	ret = user_tce_hcall(vcpu->vm, run->papr_hcall.nr, (const u64 *)arg, &r4);
	run->papr_hcall.ret = (__u64)ret;
	run->papr_hcall.args[0] = r4;
	return true;
}

/* A device with two registers: loads from the first count up from 1, stores go to the second. */
static bool handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 value;

	if (run->mmio.len != 8 || (run->mmio.phys_addr & ~8UL) != GUEST_MMIO) {
		vm_fail(vcpu->vm, "vcpu %d: MMIO of %u bytes at %#" PRIx64, vcpu->index,
			run->mmio.len, run->mmio.phys_addr);
		return false;
	}
	if (!run->mmio.is_write) {
		value = ++vcpu->mmio_loads;
		memcpy(run->mmio.data, &value, sizeof(value));
		return true;
	}
	memcpy(&value, run->mmio.data, sizeof(value));
	if (value != vcpu->mmio_stores + 1) {
		vm_fail(vcpu->vm, "vcpu %d: MMIO store of %lu after %lu", vcpu->index, value,
			vcpu->mmio_stores);
		return false;
	}
	vcpu->mmio_stores = value;
	return true;
}

static bool handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_PAPR_HCALL:
		return handle_hcall(vcpu);
	case KVM_EXIT_MMIO:
		return handle_mmio(vcpu);
	case KVM_EXIT_INTR:
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		vm_fail(vcpu->vm, "vcpu %d: KVM could not enter the guest, reason %#" PRIx64,
			vcpu->index, run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		vm_fail(vcpu->vm, "vcpu %d: unexpected exit %u", vcpu->index, run->exit_reason);
		return false;
	}
}

/*
 * Registers for a fresh start at vcpu->entry: r3 its struct, r1 a stack above that. Runs in the
 * vCPU's own thread: KVM_RUN from another one would wait for an RCU grace period.
 */
static void set_entry(struct vcpu *vcpu)
{
	u64 area = GUEST_CPUS + (u64)vcpu->index * GUEST_CPU_SIZE;
	struct kvm_regs regs;

	/*
	 * The last hcall to user space still waits for its answer, which KVM puts into r3 at the
	 * next KVM_RUN: let it, before r3 gets its new value.
	 */
	vcpu->run->immediate_exit = 1;
	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0 || errno != EINTR)
		die("vcpu %d: KVM_RUN does not end at once: %s", vcpu->index, strerror(errno));
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		die("KVM_GET_REGS: %s", strerror(errno));
	regs.pc = regs.gpr[12] = GUEST_CODE + ((u64)vcpu->entry - (u64)__start_guest_code);
	regs.gpr[3] = area;
	regs.gpr[1] = area + GUEST_CPU_SIZE - 512;
	regs.msr = MSR_SF | MSR_ME | MSR_LE;
	if (vcpu->guest->period)
		regs.msr |= MSR_EE;
	regs.sprg0 = area;
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS: %s", strerror(errno));
	vcpu->entry = NULL;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	bool go_on;

	for (;;) {
		pthread_mutex_lock(&vm->lock);
		while (!vm->quit && (vm->paused || !vcpu->busy)) {
			vcpu->parked = true;
			pthread_cond_broadcast(&vm->changed);
			pthread_cond_wait(&vm->changed, &vm->lock);
		}
		vcpu->parked = false;
		pthread_mutex_unlock(&vm->lock);
		if (vcpu->entry)
			set_entry(vcpu);
		/*
		 * A kick sets `paused` or `quit` first and immediate_exit after it, so it is
		 * seen either here or by KVM_RUN.
		 */
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&vm->quit, __ATOMIC_SEQ_CST))
			return NULL;
		if (__atomic_load_n(&vm->paused, __ATOMIC_SEQ_CST))
			continue;

		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			go_on = handle_exit(vcpu);
		} else if (errno == EINTR || errno == EAGAIN) {
			go_on = true;
		} else {
			vm_fail(vm, "vcpu %d: KVM_RUN: %s", vcpu->index, strerror(errno));
			go_on = false;
		}
		if (!go_on) {
			pthread_mutex_lock(&vm->lock);
			vcpu->busy = false;
			pthread_cond_broadcast(&vm->changed);
			pthread_mutex_unlock(&vm->lock);
		}
	}
}

static void kick_handler(int sig)
{
	/* Only there so that KVM_RUN ends with EINTR. */
}

static void kick_all(struct vm *vm)
{
	for (int i = 0; i < vm->nvcpus; i++) {
		__atomic_store_n(&vm->vcpu[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(vm->vcpu[i].thread, SIGUSR1);
	}
}

void vm_pause(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	__atomic_store_n(&vm->paused, true, __ATOMIC_SEQ_CST);
	kick_all(vm);
	for (int i = 0; i < vm->nvcpus; i++)
		while (!vm->vcpu[i].parked)
			pthread_cond_wait(&vm->changed, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

void vm_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->paused = false;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void vm_quit(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	__atomic_store_n(&vm->quit, true, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vm->changed);
	kick_all(vm);
	pthread_mutex_unlock(&vm->lock);
	for (int i = 0; i < vm->nvcpus; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
}

void vcpu_start(struct vcpu *vcpu, void (*entry)(struct guest_cpu *))
{
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->lock);
	vcpu->entry = entry;
	vcpu->busy = true;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

bool vcpu_wait(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	bool ok;

	pthread_mutex_lock(&vm->lock);
	while (vcpu->busy && !vm->quit && !vm->failed[0])
		pthread_cond_wait(&vm->changed, &vm->lock);
	ok = !vcpu->busy && !vm->failed[0];
	pthread_mutex_unlock(&vm->lock);
	return ok;
}

bool vcpu_run_ops(struct vcpu *vcpu, struct guest_op *ops, u64 n)
{
	u64 room = GUEST_OPS_SIZE / sizeof(*ops), part;
	struct guest_op *shared = vm_ram(vcpu->vm, vcpu->guest->ops);

	for (; n; n -= part, ops += part) {
		part = n < room ? n : room;
		memcpy(shared, ops, part * sizeof(*ops));
		vcpu->guest->nops = part;
		vcpu->guest->next_op = 0;
		vcpu_start(vcpu, guest_run_ops);
		if (!vcpu_wait(vcpu))
			return false;
		memcpy(ops, shared, part * sizeof(*ops));
	}
	return true;
}

u64 vcpu_list_gpa(const struct vcpu *vcpu)
{
	return GUEST_LISTS + (u64)vcpu->index * GUEST_LIST_SIZE;
}

u64 *vcpu_list(struct vcpu *vcpu)
{
	return vm_ram(vcpu->vm, vcpu_list_gpa(vcpu));
}

int vm_set_slot(struct vm *vm, unsigned int index, u64 gpa, u64 size)
{
	struct slot *slot = &vm->slot[index];
	struct kvm_userspace_memory_region region = { .slot = index };

	if (slot->size) {
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
			return -errno;
		munmap(slot->mem, slot->size);
		slot->size = 0;
	}
	if (!size)
		return 0;
	slot->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slot->mem == MAP_FAILED)
		return -errno;
	region.guest_phys_addr = gpa;
	region.memory_size = size;
	region.userspace_addr = (u64)slot->mem;
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region)) {
		int ret = -errno;

		munmap(slot->mem, size);
		return ret;
	}
	slot->gpa = gpa;
	slot->size = size;
	return 0;
}

static void enable_cap(int fd, const char *what, __u32 cap, __u64 arg0, __u64 arg1)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg0, arg1 } };

	if (ioctl(fd, KVM_ENABLE_CAP, &enable))
		die("KVM_ENABLE_CAP(%s): %s", what, strerror(errno));
}

static void set_mmu(struct vm *vm, int mmu)
{
	struct kvm_ppc_mmuv3_cfg cfg = { 0 };
	__u32 order = HPT_ORDER;
	bool v3_radix = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0;
	bool v3_hash = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_HASH_V3) > 0;

	if (mmu == MMU_RADIX && !v3_radix)
		die("this host has no radix guests");
	vm->radix = mmu == MMU_RADIX || (mmu == MMU_DEFAULT && v3_radix);
	if (vm->radix || v3_hash) {
		cfg.flags = vm->radix ? KVM_PPC_MMUV3_RADIX | KVM_PPC_MMUV3_GTSE : 0;
		cfg.process_table = vm->radix ? PATB_GR : 0;
		if (ioctl(vm->fd, KVM_PPC_CONFIGURE_V3_MMU, &cfg))
			die("KVM_PPC_CONFIGURE_V3_MMU(%s): %s", vm->radix ? "radix" : "HPT",
			    strerror(errno));
	}
	if (!vm->radix && !vm->pr && ioctl(vm->fd, KVM_PPC_ALLOCATE_HTAB, &order))
		die("KVM_PPC_ALLOCATE_HTAB(%u): %s", order, strerror(errno));
}

static void set_one_reg(int fd, const char *what, u64 id, u64 value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)&value };

	if (ioctl(fd, KVM_SET_ONE_REG, &reg))
		die("KVM_SET_ONE_REG(%s): %s", what, strerror(errno));
}

void vcpu_register_vpa(struct vcpu *vcpu)
{
	set_one_reg(vcpu->fd, "VPA_ADDR", KVM_REG_PPC_VPA_ADDR, vcpu->guest->vpa);
}

static void create_vcpu(struct vm *vm, int index)
{
	struct vcpu *vcpu = &vm->vcpu[index];
	int stride = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_SMT);
	int ret;

	vcpu->vm = vm;
	vcpu->index = index;
	/* On POWER8, vCPUs of one virtual core must share a physical one: give each its own. */
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index * (stride > 0 ? stride : 1));
	if (vcpu->fd < 0)
		die("KVM_CREATE_VCPU(%d): %s", index, strerror(errno));
	vcpu->run_size = (size_t)ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die("mmap of vcpu %d: %s", index, strerror(errno));
	enable_cap(vcpu->fd, "PPC_PAPR", KVM_CAP_PPC_PAPR, 0, 0);
	set_one_reg(vcpu->fd, "HIOR", KVM_REG_PPC_HIOR, 0);
	set_one_reg(vcpu->fd, "LPCR", KVM_REG_PPC_LPCR_64, LPCR_ILE);

	vcpu->guest = vm_ram(vm, GUEST_CPUS + (u64)index * GUEST_CPU_SIZE);
	vcpu->guest->ops = GUEST_OPS + (u64)index * GUEST_OPS_SIZE;
	vcpu->guest->list = vcpu_list_gpa(vcpu);
	vcpu->guest->id = (u64)index * (stride > 0 ? (u64)stride : 1);
	vcpu->guest->vpa = GUEST_VPAS + (u64)index * GUEST_VPA_SIZE;
	vcpu->guest->hpt = !vm->radix && !vm->pr;
	ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	if (ret)
		die("pthread_create: %s", strerror(ret));
}

struct vm *vm_create(const struct vm_options *opt)
{
	static const __u64 hcalls[] = { H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE };
	struct sigaction kick = { .sa_handler = kick_handler };
	struct vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		die("out of memory");
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	sigaction(SIGUSR1, &kick, NULL);

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		die("/dev/kvm: %s", strerror(errno));
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, opt->type);
	if (vm->fd < 0)
		die("KVM_CREATE_VM(type %d): %s", opt->type, strerror(errno));
	/* HV is what the default gives where both are there. */
	vm->pr = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_HTAB_FD) <= 0 &&
		 ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) <= 0;
	vm->mem_size = opt->mem_size;
	ret = vm_set_slot(vm, 0, 0, vm->mem_size);
	if (ret)
		die("memory slot 0 of %lu bytes: %s", vm->mem_size, strerror(-ret));
	set_mmu(vm, opt->mmu);

	/* KVM answers only GET and PUT unless it is asked to. */
	for (unsigned int i = 0; i < sizeof(hcalls) / sizeof(hcalls[0]); i++)
		enable_cap(vm->fd, "PPC_ENABLE_HCALL", KVM_CAP_PPC_ENABLE_HCALL, hcalls[i], 1);

	memcpy(vm_ram(vm, GUEST_VECTORS), __start_guest_vectors,
	       (size_t)(__stop_guest_vectors - __start_guest_vectors));
	memcpy(vm_ram(vm, GUEST_CODE), __start_guest_code,
	       (size_t)(__stop_guest_code - __start_guest_code));
	/* The guest fetches instructions through the cache's other door. */
	__builtin___clear_cache(vm->slot[0].mem, vm->slot[0].mem + GUEST_CPUS);

	vm->nvcpus = opt->nvcpus;
	for (int i = 0; i < vm->nvcpus; i++)
		create_vcpu(vm, i);
	return vm;
}

void vm_destroy(struct vm *vm)
{
	vm_quit(vm);
	for (int i = 0; i < vm->ntables; i++)
		table_close(vm->table[i]);
	for (int i = 0; i < vm->nvcpus; i++) {
		munmap(vm->vcpu[i].run, vm->vcpu[i].run_size);
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm_fd);
	for (int i = 0; i < MAX_SLOTS; i++)
		if (vm->slot[i].size)
			munmap(vm->slot[i].mem, vm->slot[i].size);
	for (int i = 0; i < vm->ntables; i++)
		free(vm->table[i]);
	free(vm);
}
