// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that holds its KVM objects in every odd way: for the criu-odd scenario.
 *
 *	odd-vmm DIR WHAT...
 *
 * The guest makes hcalls, and on a radix host MMIO loads, one after the other. Each gets an answer
 * that depends on its number; the guest adds the answers up and hands the sum over with the next
 * hcall, so a lost, doubled or made-up answer is found at once. DIR/count is how many there were,
 * DIR/failed says what went wrong. The VMM holds where DIR/hold tells it to: "before" it answers an
 * exit or "after", "before 3" for part 3 of the vector accesses, until the file says something else
 * or is gone; DIR/held is there meanwhile and says where.
 *
 * WHAT: order (the fds are in the wrong order, far apart), dup (every fd twice), child (a process
 * that inherited all fds and mappings), lower (the same with a lower process ID), alone (a child
 * that alone has the VM's statistics), limit (it gets no more memory), socket (a process without
 * KVM that has a unix socket), huge (memory in huge pages), events (ioeventfds, a coalesced zone, a
 * signal mask, statistics, strict replay of tables), stores (it goes on storing to its table
 * through the mapping), two (two VMs in one process), closed (the VM's and vCPU's fds are closed,
 * the table stays), private (a private mapping of a table that was written to), unwritten (one that
 * was not), dontfork (a child would not have the table's mapping), irqs (an interrupt controller in
 * KVM with sources in many states and irqfds; DIR/irqs is what KVM says of them, DIR/signal has the
 * VMM signal the second irqfd), log (the memory slot's dirty log is on: every page that the guest
 * has written to must be in it), orphans (irqfds whose controller is closed), vfio (a VFIO device
 * in KVM), container (a VFIO container), vhost (a vhost-net that has no owner), owned (one that it
 * owns), polling (one whose ring it polls), the name of a file in /dev that it is to have open,
 * userfault (a userfaultfd), policy (memory that is to come from node 0 alone), thread (a second
 * thread, whose memory is to come from there; both are told of memory failures early, as QEMU's
 * are), aio (an AIO context; if there is /dev/vdb, with reads of it in flight; DIR/reads is how
 * many have ended), nested (the guest may have guests), vector (between two hcalls the guest also
 * stores vectors to MMIO and loads them, which KVM does in parts), tm (the vCPU is in a suspended
 * transaction; it does not run, for the emulator ends every transaction at its begin).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/mempolicy.h>
#include <linux/vhost.h>

#include "odd-aio.h"
#include "tce-kvm.h"

#define RAM_SIZE      (1UL << 20)
#define CODE	      0x4000UL
#define MMIO	      (RAM_SIZE + 0x100000)
#define LIOBN	      0x80000000UL
#define ENTRIES	      4096
#define MSR	      (1UL << 63 | 1UL << 12 | 1UL)	  /* SF, ME, LE: real mode */
#define MSR_VECTORS   (1UL << 25 | 1UL << 23 | 1UL << 13) /* VMX, VSX, FP */
#define MSR_SUSPENDED (1UL << 33)
#define BUFFER	      0x3000UL /* the guest's, for vectors */
#define VECTORS	      (MMIO + 0x40)

struct vm {
	int kvm, fd, vcpu, table;
	bool radix;
	struct kvm_run *run;
	size_t run_size;
	uint64_t *entries; /* the table, mapped */
	bool log, vectors;
	int xics, irqfd[2];
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

#define fail(...)                           \
	do {                                \
		say("failed", __VA_ARGS__); \
		exit(1);                    \
	} while (0)

static int check(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s\n", what, strerror(errno));
	return ret;
}

/*
 * r31 counts, r30 is the sum, r29 the MMIO address or 0, r28 that for vectors or 0, r27 a buffer:
 * for ever: r31 += 1; store to 64 KiB page r31 % 16; hcall 0xf010 (r31, r30) answers in r4,
 * r30 += r4; if r29: r30 += load; if r28: what parts[] says
 */
extern const char guest_start[], guest_end[];
asm(".pushsection .rodata\n"
    ".balign 4\n"
    ".machine push\n"
    ".machine power8\n"
    ".macro add_buffer\n"
    "	ld	6, 0(27)\n"
    "	ld	7, 8(27)\n"
    "	rotldi	7, 7, 1\n" /* which is which matters */
    "	add	30, 30, 6\n"
    "	add	30, 30, 7\n"
    ".endm\n"
    "guest_start:\n"
    "1:	addi	31, 31, 1\n"
    "	rlwinm	5, 31, 16, 12, 15\n"
    "	std	31, 0x200(5)\n"
    "	mr	4, 31\n"
    "	mr	5, 30\n"
    "	lis	3, 0\n"
    "	ori	3, 3, 0xf010\n"
    "	.long	0x44000022\n" /* sc 1 */
    "	add	30, 30, 4\n"
    "	cmpdi	29, 0\n"
    "	beq	2f\n"
    "	lha	6, 0(29)\n" /* 2 bytes, sign-extended */
    "	add	30, 30, 6\n"
    "	lwbrx	6, 0, 29\n" /* 4 bytes, swapped */
    "	add	30, 30, 6\n"
    "	ldu	6, 8(29)\n" /* changes its own address register */
    "	add	30, 30, 6\n"
    "	addi	29, 29, -8\n"
    "2:	cmpdi	28, 0\n"
    "	beq	1b\n"
    "	std	31, 0(27)\n"
    "	std	30, 8(27)\n"
    "	lxvd2x	1, 0, 27\n"
    "	stxvd2x	1, 0, 28\n"
    "	lxvw4x	33, 0, 27\n"
    "	stxvw4x	33, 0, 28\n"
    "	lvx	3, 0, 27\n"
    "	stvx	3, 0, 28\n"
    "	li	6, 6\n"
    "	stvehx	3, 6, 28\n"
    "	lxvd2x	2, 0, 28\n"
    "	stxvd2x	2, 0, 27\n"
    "	add_buffer\n"
    "	lxvw4x	34, 0, 28\n"
    "	stxvw4x	34, 0, 27\n"
    "	add_buffer\n"
    "	lvx	4, 0, 28\n"
    "	stvx	4, 0, 27\n"
    "	add_buffer\n"
    "	lxvdsx	35, 0, 28\n"
    "	stxvd2x	35, 0, 27\n"
    "	add_buffer\n"
    "	lxsiwax	5, 0, 28\n"
    "	stxsdx	5, 0, 27\n"
    "	ld	6, 0(27)\n"
    "	add	30, 30, 6\n"
    "	b	1b\n"
    "guest_end:\n"
    ".purgem add_buffer\n"
    ".machine pop\n"
    ".popsection\n");

/* The parts in which the guest's vectors come, in this order. */
static const struct part {
	bool store;
	uint8_t at, len;
	enum { MORE, PAIR, SPLAT, SIGNED } then; /* how the guest adds up what it has got */
} parts[] = {
#define STORE(at, len)	    { true, at, len, MORE }
#define LOAD(at, len, then) { false, at, len, then }
	STORE(0, 8),	    STORE(8, 8),					   /* stxvd2x */
	STORE(0, 4),	    STORE(4, 4),      STORE(8, 4),	STORE(12, 4),	   /* stxvw4x */
	STORE(0, 8),	    STORE(8, 8),					   /* stvx */
	STORE(6, 2),								   /* stvehx */
	LOAD(0, 8, MORE),   LOAD(8, 8, PAIR),					   /* lxvd2x */
	LOAD(0, 4, MORE),   LOAD(4, 4, MORE), LOAD(8, 4, MORE), LOAD(12, 4, PAIR), /* lxvw4x */
	LOAD(0, 8, MORE),   LOAD(8, 8, PAIR),					   /* lvx */
	LOAD(0, 8, SPLAT),							   /* lxvdsx */
	LOAD(0, 4, SIGNED),							   /* lxsiwax */
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static uint64_t sum, count;
static unsigned int next_part = PARTS; /* of this round's vectors */

static uint64_t answer(uint64_t n, unsigned int part)
{
	return n * 0x9e3779b97f4a7c15UL + part;
}

/* Hold before or after an answer if DIR/hold says so: to any, or to this part of the vectors. */
static void hold(const char *when, int part)
{
	char path[256], line[32] = "", exactly[32];
	FILE *file;

	snprintf(exactly, sizeof(exactly), "%s %d", when, part);
	in_dir(path, sizeof(path), "hold");
	for (;;) {
		file = fopen(path, "r");
		if (!file)
			break;
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, when) && strcmp(line, exactly))
			break;
		say("held", "%s\n", line);
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

/* As in KVM's struct kvm_vcpu_events, which not all headers have. */
struct events {
	uint64_t before[1];
	uint8_t between[4];
	uint16_t mmio_reg;
	uint8_t after[58];
};

#define GET_EVENTS _IOR(KVMIO, 0x9f, struct events)
#define SET_EVENTS _IOW(KVMIO, 0xa0, struct events)

/* In the middle of a part: KVM takes back what it gives, but no register of another class. */
static void check_events(int vcpu)
{
	struct events events;

	check(ioctl(vcpu, GET_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	check(ioctl(vcpu, SET_EVENTS, &events), "KVM_SET_VCPU_EVENTS with what KVM gave");
	events.mmio_reg ^= 0x100; /* VSX, or what a store is without */
	if (!ioctl(vcpu, SET_EVENTS, &events) || errno != EINVAL)
		fail("KVM takes register %#x for part %u\n", events.mmio_reg, next_part);
}

/* Each part comes once, in order, and the stored vector is the guest's count and its sum. */
static void handle_part(struct kvm_run *run)
{
	static uint64_t got[2];
	const uint64_t stored[2] = { count, sum };
	const struct part *part = &parts[next_part];
	uint64_t value;

	if (next_part >= PARTS || run->mmio.phys_addr != VECTORS + part->at ||
	    run->mmio.len != part->len || !!run->mmio.is_write != part->store)
		fail("vectors: %s of %u bytes at %#" PRIx64 " came for part %u\n",
		     run->mmio.is_write ? "a store" : "a load", run->mmio.len, run->mmio.phys_addr,
		     next_part);
	if (part->store) {
		if (memcmp(run->mmio.data, (const char *)stored + part->at, part->len))
			fail("vectors: part %u stores something else\n", next_part);
		next_part++;
		return;
	}
	value = answer(count, 16 + next_part);
	memcpy(run->mmio.data, &value, part->len);
	memcpy((char *)got + part->at, &value, part->len);
	if (part->then == SPLAT)
		got[1] = got[0];
	if (part->then == PAIR || part->then == SPLAT)
		sum += got[0] + (got[1] << 1 | got[1] >> 63);
	else if (part->then == SIGNED)
		sum += (uint64_t)(int64_t)(int32_t)got[0];
	next_part++;
}

static void handle_exit(struct vm *vm)
{
	struct kvm_run *run = vm->run;
	/* Not at each hcall: looking for the files is slow. */
	bool may_hold = run->exit_reason == KVM_EXIT_MMIO || !(count & 63) || count < 64;
	bool is_part = run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr >= VECTORS;
	int part = is_part ? (int)next_part : -1;

	if (may_hold)
		hold("before", part);
	switch (run->exit_reason) {
	case KVM_EXIT_PAPR_HCALL:
		if (run->papr_hcall.nr != 0xf010 || run->papr_hcall.args[0] != count + 1 ||
		    run->papr_hcall.args[1] != sum)
			fail("hcall %#" PRIx64 ": number %" PRIu64 " after %" PRIu64
			     ", sum %#" PRIx64 " instead of %#" PRIx64 "\n",
			     run->papr_hcall.nr, run->papr_hcall.args[0], count,
			     run->papr_hcall.args[1], sum);
		if (next_part != PARTS)
			fail("vectors: only %u parts came\n", next_part);
		next_part = vm->vectors ? 0 : PARTS;
		count++;
		run->papr_hcall.ret = 0;
		run->papr_hcall.args[0] = answer(count, 0);
		sum += answer(count, 0);
		break;
	case KVM_EXIT_MMIO:
		if (is_part) {
			if (count == 1)
				check_events(vm->vcpu);
			handle_part(run);
		} else {
			handle_load(run);
		}
		break;
	case KVM_EXIT_INTR:
		break;
	default:
		fail("exit reason %u\n", run->exit_reason);
	}
	if (may_hold)
		hold("after", part);
}

/* Stores a few poison entries, and looks now and then whether all are there. */
static void store(struct vm *vm)
{
	static uint64_t stored[ENTRIES];
	unsigned int i, at;

	for (i = 0; i < 8; i++) {
		at = 2 + (count * 8 + i) * 769 % (ENTRIES - 2);
		vm->entries[at] = stored[at] = (count << 3 | i) << 12;
	}
	for (at = 2; !(count & 63) && at < ENTRIES; at++)
		if (vm->entries[at] != stored[at])
			fail("entry %u is %#" PRIx64 ", not %#" PRIx64 "\n", at, vm->entries[at],
			     stored[at]);
}

static void make_vm(struct vm *vm)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = RAM_SIZE,
		.flags = vm->log ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};
	struct kvm_create_spapr_tce_64 table = { .liobn = LIOBN,
						 .page_shift = 12,
						 .size = ENTRIES };
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	struct kvm_ppc_mmuv3_cfg mmu = { .flags = KVM_PPC_MMUV3_RADIX | KVM_PPC_MMUV3_GTSE,
					 .process_table = 1UL << 63 };
	uint32_t order = 18;
	uint8_t *ram;

	vm->kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
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
	regs.msr = MSR | (vm->vectors ? MSR_VECTORS : 0);
	regs.gpr[27] = BUFFER;
	regs.gpr[28] = 0;
	regs.gpr[29] = vm->radix ? MMIO : 0;
	regs.gpr[30] = 0;
	regs.gpr[31] = 0;
	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/*
 * A guest in real mode sees its memory through the entries that KVM puts into its hashed page
 * table at the first KVM_RUN, in pages of the host's size. What is not there does not exist; so
 * put in the MMIO page, where the hash of its address says, in a slot that KVM leaves free.
 */
static void map_mmio(struct vm *vm)
{
	struct kvm_get_htab_fd get = { .flags = KVM_GET_HTAB_WRITE };
	const uint64_t vsid = 0x1ffffff, groups = (1UL << 18) / 128;
	bool large = getpagesize() == 0x10000;
	uint64_t hash = (MMIO / (uint64_t)getpagesize()) ^ vsid ^ vsid << 25;
	struct {
		struct kvm_get_htab_header header;
		uint64_t words[2];
	} entry = { .header = { .index = (uint32_t)(hash & (groups - 1)) * 8 + 6, .n_valid = 1 } };
	uint64_t high = 1UL << 62 | vsid << 24 | MMIO >> 23 << 7, low = MMIO | 0x190;
	int fd = check(ioctl(vm->fd, KVM_PPC_GET_HTAB_FD, &get), "KVM_PPC_GET_HTAB_FD");

	/* Bolted, valid, large; referenced, changed, coherent, 64 KiB. */
	entry.words[0] = __builtin_bswap64(high | 0x11 | (large ? 4 : 0));
	entry.words[1] = __builtin_bswap64(low | (large ? 0x1000 : 0));
	check((int)write(fd, &entry, sizeof(entry)), "an entry of the hashed page table");
	close(fd);
}

/* Called when the guest has made its first hcall. */
static void start_vectors(struct vm *vm)
{
	struct kvm_regs regs;

	if (!vm->radix)
		map_mmio(vm);
	check(ioctl(vm->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	regs.gpr[28] = VECTORS;
	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* TM_VSCR is not here: what sets it in 6.12 sets VSCR instead. */
static const struct {
	uint64_t id;
	unsigned int n;
} transaction[] = {
	{ KVM_REG_PPC_TFHAR, 1 },    { KVM_REG_PPC_TFIAR, 1 },	  { KVM_REG_PPC_TEXASR, 1 },
	{ KVM_REG_PPC_TM_GPR0, 32 }, { KVM_REG_PPC_TM_VSR0, 64 }, { KVM_REG_PPC_TM_CR, 1 },
	{ KVM_REG_PPC_TM_LR, 1 },    { KVM_REG_PPC_TM_CTR, 1 },	  { KVM_REG_PPC_TM_FPSCR, 1 },
	{ KVM_REG_PPC_TM_AMR, 1 },   { KVM_REG_PPC_TM_PPR, 1 },	  { KVM_REG_PPC_TM_VRSAVE, 1 },
	{ KVM_REG_PPC_TM_DSCR, 1 },  { KVM_REG_PPC_TM_TAR, 1 },	  { KVM_REG_PPC_TM_XER, 1 },
};

/* Sets the registers of a transaction or says how many are as they were set. */
static unsigned int each_of_transaction(struct vm *vm, bool set)
{
	unsigned int n = 0, i, at;

	for (i = 0; i < sizeof(transaction) / sizeof(transaction[0]); i++)
		for (at = 0; at < transaction[i].n; at++, n++) {
			uint64_t id = transaction[i].id + at, value[2] = {}, now[2] = {};
			bool wide = (id & KVM_REG_SIZE_MASK) == KVM_REG_SIZE_U128;
			struct kvm_one_reg one = { .id = id,
						   .addr = (uintptr_t)(set ? value : now) };

			value[0] = answer(n + 1, 7);
			if (wide)
				value[1] = answer(n + 1, 11);
			/* KVM has 32 bits of these. */
			if (id == KVM_REG_PPC_TM_CR || id == KVM_REG_PPC_TM_VRSAVE)
				value[0] = (uint32_t)value[0];
			check(ioctl(vm->vcpu, set ? KVM_SET_ONE_REG : KVM_GET_ONE_REG, &one),
			      "a transaction's register");
			if (!set && memcmp(value, now, sizeof(now)))
				fail("register %#" PRIx64 " of the transaction is %#" PRIx64
				     " %#" PRIx64 ", not %#" PRIx64 " %#" PRIx64 "\n",
				     id, now[0], now[1], value[0], value[1]);
		}
	return n;
}

/* The vCPU stays in a suspended transaction. */
static void transact(struct vm *vm)
{
	struct kvm_regs regs;
	unsigned long n = 0;
	unsigned int checked;

	if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_PPC_HTM) <= 0)
		fail("KVM has no transactional memory here\n");
	each_of_transaction(vm, true);
	check(ioctl(vm->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	regs.msr = MSR | MSR_SUSPENDED;
	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	for (;;) {
		checked = each_of_transaction(vm, false);
		check(ioctl(vm->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
		if (regs.msr != (MSR | MSR_SUSPENDED))
			fail("MSR is %#" PRIx64 "\n", regs.msr);
		say("tm", "%u registers and MSR[TS]\n", checked);
		say("count", "%lu\n", ++n);
		usleep(1000);
	}
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
	struct kvm_ioeventfd io = { .addr = MMIO + 0x20000,
				    .len = 4,
				    .datamatch = 7,
				    .flags = KVM_IOEVENTFD_FLAG_DATAMATCH };
	struct kvm_enable_cap strict = { .cap = KVM_CAP_SPAPR_TCE_FD,
					 .args[0] = KVM_SPAPR_TCE_FD_REPLAY_STRICT };
	int i;

	check(ioctl(vm->fd, KVM_ENABLE_CAP, &strict), "strict replay");
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

/*
 * Take what is in the dirty log. The guest writes to another 64 KiB page before each hcall, and is
 * asked each time when 16 more have come: all of them must be in it.
 */
static void check_log(struct vm *vm)
{
	uint64_t bits[RAM_SIZE / 4096 / 64] = {};
	struct kvm_dirty_log log = { .dirty_bitmap = bits };
	unsigned int per_page = 0x10000 / getpagesize(), page, i;

	check(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
	for (page = 0; page < 16; page++) {
		for (i = page * per_page; i < (page + 1) * per_page; i++)
			if (bits[i / 64] >> i % 64 & 1)
				break;
		if (i == (page + 1) * per_page)
			fail("the dirty log misses page %u after %" PRIu64 " hcalls\n", page,
			     count);
	}
}

#define FIRST_IRQ 0x1000

static uint64_t irq_attr(const struct vm *vm, unsigned long cmd, uint64_t irq, uint64_t state)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_XICS_GRP_SOURCES,
		.attr = irq,
		.addr = (uintptr_t)&state,
	};

	check(ioctl(vm->xics, cmd, &attr), "a source of XICS");
	return state;
}

/* Nothing here reaches the guest, which does not take interrupts: it all stays as it is set. */
static void add_irqs(struct vm *vm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_XICS };
	struct kvm_enable_cap connect = { .cap = KVM_CAP_IRQ_XICS };
	struct kvm_rtas_token_args token = { .name = "ibm,set-xive", .token = 0x2001 };
	const uint64_t priority = 5ULL << KVM_XICS_PRIORITY_SHIFT;
	/* Masked, a level, one for each irqfd, and one that comes at once. */
	const uint64_t states[] = {
		priority | KVM_XICS_MASKED,  priority | KVM_XICS_LEVEL_SENSITIVE,
		priority | KVM_XICS_MASKED,  priority | KVM_XICS_MASKED,
		priority | KVM_XICS_PENDING,
	};
	struct kvm_irqfd irqfd = { .gsi = FIRST_IRQ + 2 };
	size_t i;

	check(ioctl(vm->fd, KVM_CREATE_DEVICE, &create), "XICS");
	vm->xics = create.fd;
	connect.args[0] = vm->xics;
	connect.args[1] = 0;
	check(ioctl(vm->vcpu, KVM_ENABLE_CAP, &connect), "KVM_CAP_IRQ_XICS");
	check(ioctl(vm->fd, KVM_PPC_RTAS_DEFINE_TOKEN, &token), "RTAS call");
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		irq_attr(vm, KVM_SET_DEVICE_ATTR, FIRST_IRQ + i, states[i]);
	/* A source in a block of its own, far away. */
	irq_attr(vm, KVM_SET_DEVICE_ATTR, 0xffffe, priority | KVM_XICS_MASKED);
	for (i = 0; i < 2; i++) {
		irqfd.fd = vm->irqfd[i] = check(eventfd(0, 0), "eventfd");
		irqfd.gsi = FIRST_IRQ + 2 + i;
		if (i) {
			irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
			irqfd.resamplefd = check(eventfd(0, 0), "eventfd");
		}
		check(ioctl(vm->fd, KVM_IRQFD, &irqfd), "KVM_IRQFD");
	}
}

static void show_irqs(const struct vm *vm)
{
	uint64_t presenter, states[6];
	struct kvm_one_reg one = { .id = KVM_REG_PPC_ICP_STATE, .addr = (uintptr_t)&presenter };
	static bool signalled;
	char path[256];
	size_t i;

	in_dir(path, sizeof(path), "signal");
	if (!access(path, F_OK) && !signalled) {
		signalled = true;
		eventfd_write(vm->irqfd[0], 1);
	}
	for (i = 0; i < 5; i++)
		states[i] = irq_attr(vm, KVM_GET_DEVICE_ATTR, FIRST_IRQ + i, 0);
	states[5] = irq_attr(vm, KVM_GET_DEVICE_ATTR, 0xffffe, 0);
	check(ioctl(vm->vcpu, KVM_GET_ONE_REG, &one), "KVM_REG_PPC_ICP_STATE");
	say("irqs",
	    "%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
	    presenter, states[0], states[1], states[2], states[3], states[4], states[5]);
}

/* What a child sees of the table: through its fd and through the mapping that it inherited. */
static void child(struct vm *vm)
{
	unsigned long n = 0;
	uint64_t word;

	for (;;) {
		if (pread(vm->table, &word, 8, 8) != 8 || word != 0x3003 || vm->entries[1] != word)
			fail("the child sees %#" PRIx64 " in the table\n", word);
		say("child", "%lu\n", ++n);
		usleep(50000);
	}
}

static void set_last_pid(int pid)
{
	FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");

	if (!file || fprintf(file, "%d", pid) < 0 || fclose(file))
		fail("ns_last_pid: %s\n", strerror(errno));
}

/* A process without anything of KVM's that has accepted a client. */
static void serve(void)
{
	char address[128];

	snprintf(address, sizeof(address), "UNIX-LISTEN:%s/socket", dir);
	execlp("socat", "socat", address, "PIPE", NULL);
	fail("socat: %s\n", strerror(errno));
}

/* What is asked for, and is done while the guest runs. */
static struct {
	bool stores, tm, aio, limit;
} wishes;

static void want_log(struct vm *vm)
{
	vm->log = true;
}

static void want_vectors(struct vm *vm)
{
	vm->vectors = true;
}

static void want_stores(struct vm *vm)
{
	wishes.stores = true;
}

static void want_tm(struct vm *vm)
{
	wishes.tm = true;
}

static void want_limit(struct vm *vm)
{
	wishes.limit = true;
}

static void duplicate(struct vm *vm)
{
	check(dup(vm->fd) | dup(vm->vcpu) | dup(vm->table) | dup(vm->kvm), "dup");
}

static void have_child(struct vm *vm)
{
	if (!check(fork(), "fork"))
		child(vm);
}

static void have_lower_child(struct vm *vm)
{
	set_last_pid(getpid() - 100);
	have_child(vm);
}

/* A child alone has the VM's statistics open. */
static void leave_alone(struct vm *vm)
{
	const int stats = check(ioctl(vm->fd, KVM_GET_STATS_FD, 0), "VM's statistics");

	have_child(vm);
	close(stats);
}

static void have_server(struct vm *vm)
{
	if (!check(fork(), "fork"))
		serve();
}

static void map_huge_pages(struct vm *vm)
{
	if (mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		fail("huge pages: %s\n", strerror(errno));
}

static void make_another(struct vm *vm)
{
	static struct vm other;

	make_vm(&other);
	other.entries[1] = 0x5003;
}

/* Nothing is left of the VM but its table and its mappings. */
static void close_vm(struct vm *vm)
{
	munmap(vm->run, vm->run_size);
	close(vm->fd);
	close(vm->vcpu);
	say("count", "0\n");
	for (;;)
		pause();
}

static void orphan_irqs(struct vm *vm)
{
	add_irqs(vm);
	close(vm->xics);
	vm->xics = 0;
}

static void open_container(struct vm *vm)
{
	check(open("/dev/vfio/vfio", O_RDWR), "/dev/vfio/vfio");
}

static void open_vhost(struct vm *vm)
{
	check(open("/dev/vhost-net", O_RDWR), "/dev/vhost-net");
}

static int own_vhost_fd(void)
{
	const int vhost = check(open("/dev/vhost-net", O_RDWR), "/dev/vhost-net");

	check(ioctl(vhost, VHOST_SET_OWNER), "VHOST_SET_OWNER");
	return vhost;
}

static void own_vhost(struct vm *vm)
{
	own_vhost_fd();
}

static void poll_vhost(struct vm *vm)
{
	struct vhost_vring_state polling = { .num = 50 };

	check(ioctl(own_vhost_fd(), VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &polling), "polling");
}

static void open_userfault(struct vm *vm)
{
	check((int)syscall(SYS_userfaultfd, 0), "userfaultfd");
}

static void bind_memory(struct vm *vm)
{
	const unsigned long node = 1;
	void *memory = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	if (memory == MAP_FAILED)
		fail("memory: %s\n", strerror(errno));
	check((int)syscall(SYS_mbind, memory, RAM_SIZE, MPOL_BIND, &node, 8 * sizeof(node), 0),
	      "mbind");
}

static void *have_policy(void *arg)
{
	const unsigned long node = 1;

	check((int)syscall(SYS_set_mempolicy, MPOL_PREFERRED, &node, 8 * sizeof(node)),
	      "set_mempolicy");
	for (;;)
		pause();
}

static void have_thread(struct vm *vm)
{
	pthread_t thread;

	check(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), "PR_MCE_KILL");
	errno = pthread_create(&thread, NULL, have_policy, NULL);
	check(errno ? -1 : 0, "thread");
}

static void have_aio(struct vm *vm)
{
	wishes.aio = true;
	check(start_aio(access("/dev/vdb", F_OK) ? NULL : "/dev/vdb"), "AIO");
}

static void enable_nested(struct vm *vm)
{
	struct kvm_enable_cap nested = { .cap = KVM_CAP_PPC_NESTED_HV, .args[0] = 1 };

	check(ioctl(vm->fd, KVM_ENABLE_CAP, &nested), "nested guests");
}

static void make_vfio_device(struct vm *vm)
{
	struct kvm_create_device vfio = { .type = KVM_DEV_TYPE_VFIO };

	check(ioctl(vm->fd, KVM_CREATE_DEVICE, &vfio), "VFIO");
}

static uint64_t *map_private(struct vm *vm)
{
	uint64_t *private = mmap(NULL, ENTRIES * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, vm->table,
				 0);

	if (private == MAP_FAILED)
		fail("private mapping: %s\n", strerror(errno));
	return private;
}

static void write_private(struct vm *vm)
{
	map_private(vm)[5] = 1;
}

static void map_unwritten(struct vm *vm)
{
	map_private(vm);
}

static void keep_mapping(struct vm *vm)
{
	check(madvise(vm->entries, ENTRIES * 8, MADV_DONTFORK), "MADV_DONTFORK");
}

static const struct {
	const char *name;
	void (*make)(struct vm *vm);
} oddities[] = {
	{ "order", scatter },
	{ "dup", duplicate },
	{ "child", have_child },
	{ "lower", have_lower_child },
	{ "alone", leave_alone },
	{ "limit", want_limit },
	{ "socket", have_server },
	{ "huge", map_huge_pages },
	{ "events", add_events },
	{ "stores", want_stores },
	{ "two", make_another },
	{ "closed", close_vm },
	{ "irqs", add_irqs },
	{ "log", want_log },
	{ "vector", want_vectors },
	{ "tm", want_tm },
	{ "orphans", orphan_irqs },
	{ "container", open_container },
	{ "vhost", open_vhost },
	{ "owned", own_vhost },
	{ "polling", poll_vhost },
	{ "userfault", open_userfault },
	{ "policy", bind_memory },
	{ "thread", have_thread },
	{ "aio", have_aio },
	{ "nested", enable_nested },
	{ "vfio", make_vfio_device },
	{ "private", write_private },
	{ "unwritten", map_unwritten },
	{ "dontfork", keep_mapping },
};

/* @what is one of these, or a file to open. */
static bool make_odd(struct vm *vm, const char *what)
{
	size_t i;

	if (what[0] == '/') {
		check(open(what, O_RDWR), what);
		return true;
	}
	for (i = 0; i < sizeof(oddities) / sizeof(oddities[0]); i++) {
		if (strcmp(what, oddities[i].name))
			continue;
		oddities[i].make(vm);
		return true;
	}
	fprintf(stderr, "odd-vmm: what is %s?\n", what);
	return false;
}

/* What the guest has had the VMM do, after an exit. */
static void go_on(struct vm *vm)
{
	static unsigned long reads;

	if (vm->vectors && !count && vm->run->exit_reason == KVM_EXIT_PAPR_HCALL)
		start_vectors(vm);
	handle_exit(vm);
	if (vm->log && vm->run->exit_reason == KVM_EXIT_PAPR_HCALL && count && !(count & 15))
		check_log(vm);
	if (vm->xics && (!(count & 63) || count < 64))
		show_irqs(vm);
	if (!(count & 63) || count < 64)
		say("count", "%" PRIu64 "\n", count);
	if (wishes.stores)
		store(vm);
	if (wishes.aio && !(count & 63)) {
		reads += check(take_aio(), "AIO");
		say("reads", "%lu\n", reads);
	}
	if (vm->entries[1] != 0x3003)
		fail("the table's mapping shows %#" PRIx64 "\n", vm->entries[1]);
}

int main(int argc, char **argv)
{
	struct vm vm = {};
	struct rlimit none = {};
	int i;

	if (argc < 2) {
		fputs("Usage: odd-vmm DIR WHAT...\n", stderr);
		return 2;
	}
	dir = argv[1];
	/* The log is there from the beginning. */
	for (i = 2; i < argc; i++)
		if (!strcmp(argv[i], "log"))
			vm.log = true;
	make_vm(&vm);
	for (i = 2; i < argc; i++)
		if (!make_odd(&vm, argv[i]))
			return 2;
	start_guest(&vm);
	if (wishes.tm)
		transact(&vm);
	if (wishes.limit) {
		/* What is printed later has its memory by now. */
		say("count", "%d\n", 0);
		check(setrlimit(RLIMIT_AS, &none), "RLIMIT_AS");
	}
	for (;;) {
		if (!ioctl(vm.vcpu, KVM_RUN, 0)) {
			go_on(&vm);
		} else if (errno != EINTR && errno != EAGAIN) {
			/* KVM-HV does not always give KVM_EXIT_INTR together with EINTR. */
			fail("KVM_RUN: %s\n", strerror(errno));
		}
	}
}
