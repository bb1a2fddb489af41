// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that holds its KVM objects in every odd way: for the criu-odd scenario.
 *
 *	odd-vmm DIR WHAT...
 *
 * The guest makes hcalls, and on a radix host MMIO loads, one after the other. Each gets an answer that
 * depends on its number; the guest adds the answers up and hands the sum over with the next
 * hcall, so a lost, doubled or made-up answer is found at once. DIR/count is how many there were,
 * DIR/failed says what went wrong. The VMM holds where DIR/hold tells it to: "before" it
 * answers an exit or "after", until the file is gone; DIR/held is there meanwhile.
 *
 * WHAT: order (the fds are in the wrong order, far apart), dup (every fd twice), child (a process
 * that inherited all fds and mappings), events (ioeventfds, a coalesced zone, a signal mask,
 * statistics), two (two VMs in one process), closed (the VM's and vCPU's fds are closed, the
 * table stays), device (an in-kernel interrupt controller), private (a private mapping of a table
 * that was written to).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>

#define RAM_SIZE	(1UL << 20)
#define CODE		0x4000UL
#define MMIO		(RAM_SIZE + 0x100000)
#define LIOBN		0x80000000UL
#define ENTRIES		4096
#define MSR		(1UL << 63 | 1UL << 12 | 1UL)	/* SF, ME, LE: real mode */

struct vm {
	int kvm, fd, vcpu, table;
	bool radix;
	struct kvm_run *run;
	size_t run_size;
	uint64_t *entries;	/* the table, mapped */
};

static const char *dir;

static void in_dir(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static void say(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replace a file of DIR, so that readers see it whole. */
static void say(const char *name, const char *format, ...)
{
	char path[256], temp[256];
	va_list args;
	FILE *file;

	in_dir(path, sizeof(path), name);
	snprintf(temp, sizeof(temp), "%s/.%s.%d", dir, name, getpid());
	file = fopen(temp, "w");
	if (!file)
		exit(1);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fclose(file);
	rename(temp, path);
}

#define fail(...) do { say("failed", __VA_ARGS__); exit(1); } while (0)

static int check(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s\n", what, strerror(errno));
	return ret;
}

/*
 * r31 counts, r30 is the sum, r29 the MMIO address or 0:
 * for ever: r31 += 1; hcall 0xf010 (r31, r30) answers in r4, r30 += r4; if r29: r30 += load
 */
extern const char guest_start[], guest_end[];
asm(".pushsection .rodata\n"
    ".balign 4\n"
    "guest_start:\n"
    "1:	addi	31, 31, 1\n"
    "	mr	4, 31\n"
    "	mr	5, 30\n"
    "	lis	3, 0\n"
    "	ori	3, 3, 0xf010\n"
    "	.long	0x44000022\n"		/* sc 1 */
    "	add	30, 30, 4\n"
    "	cmpdi	29, 0\n"
    "	beq	1b\n"
    "	lha	6, 0(29)\n"		/* 2 bytes, sign-extended */
    "	add	30, 30, 6\n"
    "	lwbrx	6, 0, 29\n"		/* 4 bytes, swapped */
    "	add	30, 30, 6\n"
    "	ldu	6, 8(29)\n"		/* changes its own address register */
    "	add	30, 30, 6\n"
    "	addi	29, 29, -8\n"
    "	b	1b\n"
    "guest_end:\n"
    ".popsection\n");

static uint64_t sum, count;

static uint64_t answer(uint64_t n, unsigned int part)
{
	return n * 0x9e3779b97f4a7c15UL + part;
}

/* Hold before or after an answer if DIR/hold says so. */
static void hold(const char *when)
{
	char path[256], line[32] = "";
	FILE *file;

	in_dir(path, sizeof(path), "hold");
	for (;;) {
		file = fopen(path, "r");
		if (!file)
			break;
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, when))
			break;
		say("held", "%s\n", when);
		usleep(20000);
	}
	in_dir(path, sizeof(path), "held");
	unlink(path);
}

static void handle_load(struct kvm_run *run)
{
	uint64_t value = answer(count, run->mmio.len);

	if (run->mmio.is_write)
		fail("an MMIO store came from nowhere\n");
	switch (run->mmio.len) {
	case 2:
		sum += (uint64_t)(int64_t)(int16_t)value;
		break;
	case 4:
		sum += __builtin_bswap32((uint32_t)value);
		break;
	case 8:
		sum += value;
		break;
	default:
		fail("an MMIO load of %u bytes\n", run->mmio.len);
	}
	memcpy(run->mmio.data, &value, run->mmio.len);
}

static void handle_exit(struct kvm_run *run)
{
	/* not at each hcall: looking for the files is slow */
	bool may_hold = run->exit_reason == KVM_EXIT_MMIO || !(count & 63) || count < 64;

	if (may_hold)
		hold("before");
	switch (run->exit_reason) {
	case KVM_EXIT_PAPR_HCALL:
		if (run->papr_hcall.nr != 0xf010 || run->papr_hcall.args[0] != count + 1 ||
		    run->papr_hcall.args[1] != sum)
			fail("hcall %#llx: number %llu after %llu, sum %#llx instead of %#llx\n",
			     (unsigned long long)run->papr_hcall.nr,
			     (unsigned long long)run->papr_hcall.args[0],
			     (unsigned long long)count,
			     (unsigned long long)run->papr_hcall.args[1],
			     (unsigned long long)sum);
		count++;
		run->papr_hcall.ret = 0;
		run->papr_hcall.args[0] = answer(count, 0);
		sum += answer(count, 0);
		break;
	case KVM_EXIT_MMIO:
		handle_load(run);
		break;
	case KVM_EXIT_INTR:
		break;
	default:
		fail("exit reason %u\n", run->exit_reason);
	}
	if (may_hold)
		hold("after");
}

static void make_vm(struct vm *vm)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };
	struct kvm_create_spapr_tce_64 table = { .liobn = LIOBN, .page_shift = 12, .size = ENTRIES };
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	struct kvm_ppc_mmuv3_cfg mmu = { .flags = KVM_PPC_MMUV3_RADIX | KVM_PPC_MMUV3_GTSE,
					 .process_table = 1UL << 63 };
	uint32_t order = 18;
	uint8_t *ram;

	vm->kvm = check(open("/dev/kvm", O_RDWR), "/dev/kvm");
	vm->fd = check(ioctl(vm->kvm, KVM_CREATE_VM, 1), "KVM_CREATE_VM");
	vm->radix = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_MMU_RADIX) > 0;
	if (vm->radix)
		check(ioctl(vm->fd, KVM_PPC_CONFIGURE_V3_MMU, &mmu), "KVM_PPC_CONFIGURE_V3_MMU");
	else
		check(ioctl(vm->fd, KVM_PPC_ALLOCATE_HTAB, &order), "KVM_PPC_ALLOCATE_HTAB");
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		fail("no guest memory\n");
	memcpy(ram + CODE, guest_start, guest_end - guest_start);
	slot.userspace_addr = (uintptr_t)ram;
	check(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot), "memory slot");
	vm->table = check(ioctl(vm->fd, KVM_CREATE_SPAPR_TCE_64, &table), "table");
	vm->entries = mmap(NULL, ENTRIES * 8, PROT_READ | PROT_WRITE, MAP_SHARED, vm->table, 0);
	if (vm->entries == MAP_FAILED)
		fail("table's mapping: %s\n", strerror(errno));
	vm->entries[1] = 0x3003;
	vm->vcpu = check(ioctl(vm->fd, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	check(ioctl(vm->vcpu, KVM_ENABLE_CAP, &papr), "PAPR");
	vm->run_size = check(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		fail("run page: %s\n", strerror(errno));
}

static void start_guest(struct vm *vm)
{
	struct kvm_regs regs;

	check(ioctl(vm->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	regs.pc = CODE;
	regs.msr = MSR;
	regs.gpr[29] = vm->radix ? MMIO : 0;
	regs.gpr[30] = 0;
	regs.gpr[31] = 0;
	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* VM last and far away, the table first. */
static void scatter(struct vm *vm)
{
	int *fds[] = { &vm->table, &vm->vcpu, &vm->kvm, &vm->fd };
	const int where[] = { 100, 200, 300, 900 };
	size_t i;

	for (i = 0; i < 4; i++) {
		check(dup2(*fds[i], where[i]), "dup2");
		close(*fds[i]);
		*fds[i] = where[i];
	}
}

static void add_events(struct vm *vm)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = MMIO + 0x10000, .size = 0x1000 };
	struct {
		struct kvm_signal_mask mask;
		uint64_t set;
	} __attribute__((packed)) mask = { .mask.len = 8, .set = 1UL << (SIGUSR2 - 1) };
	struct kvm_ioeventfd io = { .addr = MMIO + 0x20000, .len = 4, .datamatch = 7,
				    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };
	int i;

	for (i = 0; i < 3; i++) {
		io.fd = check(eventfd(i, 0), "eventfd");
		check(ioctl(vm->fd, KVM_IOEVENTFD, &io), "KVM_IOEVENTFD");
		io.addr += 0x100;
		io.flags = 0;
		io.len = i ? 0 : 8;
	}
	check(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone), "coalesced MMIO");
	check(ioctl(vm->vcpu, KVM_SET_SIGNAL_MASK, &mask), "KVM_SET_SIGNAL_MASK");
	check(ioctl(vm->fd, KVM_GET_STATS_FD, 0), "VM's statistics");
	check(ioctl(vm->vcpu, KVM_GET_STATS_FD, 0), "vCPU's statistics");
}

/* What a child sees of the table: through its fd and through the mapping that it inherited. */
static void child(struct vm *vm)
{
	unsigned long n = 0;
	uint64_t word;

	for (;;) {
		if (pread(vm->table, &word, 8, 8) != 8 || word != 0x3003 || vm->entries[1] != word)
			fail("the child sees %#llx in the table\n", (unsigned long long)word);
		say("child", "%lu\n", ++n);
		usleep(50000);
	}
}

int main(int argc, char **argv)
{
	struct vm vm, other;
	struct kvm_create_device xics = { .type = KVM_DEV_TYPE_XICS };
	uint64_t *private;
	int i;

	if (argc < 2) {
		fputs("Usage: odd-vmm DIR WHAT...\n", stderr);
		return 2;
	}
	dir = argv[1];
	make_vm(&vm);
	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "order")) {
			scatter(&vm);
		} else if (!strcmp(argv[i], "dup")) {
			check(dup(vm.fd) | dup(vm.vcpu) | dup(vm.table) | dup(vm.kvm), "dup");
		} else if (!strcmp(argv[i], "child")) {
			if (!check(fork(), "fork"))
				child(&vm);
		} else if (!strcmp(argv[i], "events")) {
			add_events(&vm);
		} else if (!strcmp(argv[i], "two")) {
			make_vm(&other);
			other.entries[1] = 0x5003;
		} else if (!strcmp(argv[i], "closed")) {
			munmap(vm.run, vm.run_size);
			close(vm.fd);
			close(vm.vcpu);
			say("count", "0\n");
			for (;;)
				pause();
		} else if (!strcmp(argv[i], "device")) {
			check(ioctl(vm.fd, KVM_CREATE_DEVICE, &xics), "XICS");
		} else if (!strcmp(argv[i], "private")) {
			private = mmap(NULL, ENTRIES * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE,
				       vm.table, 0);
			if (private == MAP_FAILED)
				fail("private mapping: %s\n", strerror(errno));
			private[5] = 1;
		} else {
			fprintf(stderr, "odd-vmm: what is %s?\n", argv[i]);
			return 2;
		}
	}
	start_guest(&vm);
	for (;;) {
		if (ioctl(vm.vcpu, KVM_RUN, 0) && errno != EINTR && errno != EAGAIN)
			fail("KVM_RUN: %s\n", strerror(errno));
		if (vm.run->exit_reason != KVM_EXIT_INTR)
			handle_exit(vm.run);
		if (!(count & 63) || count < 64)
			say("count", "%llu\n", (unsigned long long)count);
		if (vm.entries[1] != 0x3003)
			fail("the table's mapping shows %#llx\n", (unsigned long long)vm.entries[1]);
	}
}
