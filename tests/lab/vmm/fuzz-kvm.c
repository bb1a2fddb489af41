// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel fuzzer's calls on KVM: VMs, vCPUs with their guests, tables, devices, memory slots. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "guest-entry.h"
#include "tce-kvm.h"

#define VMS	      3
#define VCPUS	      6
#define OPS	      24 /* hcalls that a guest is given at once */
#define RUNS	      16 /* KVM_RUNs in one call, at most */
#define RUN_ROOM      (256UL << 10)
#define SLOT_SIZE     FUZZ_GUEST_SIZE
#define SLOTS	      6
#define XIVE_PLACE    1 /* of devices */
#define XIVE_SOURCES  4

#define MSR_FOR_GUEST (1UL << 63 | 1UL << 12 | 1) /* 64 bits, machine checks, little-endian */
#define LPCR_ILE      0x02000000UL

#ifndef KVM_CAP_PPC_DIRTY_LOG_FULL
#define KVM_CAP_PPC_DIRTY_LOG_FULL 0x7cf
#endif

/* struct kvm_vcpu_events of the patched kernel's asm/kvm.h */
#define EVENTS_WORDS	9
#define GET_VCPU_EVENTS _IOR(KVMIO, 0x9f, u64[EVENTS_WORDS])
#define SET_VCPU_EVENTS _IOW(KVMIO, 0xa0, u64[EVENTS_WORDS])

static char *guest_memory; /* SLOT_SIZE for each VM's place */
static char *run_area;	   /* RUN_ROOM for each vCPU's place */
static int kvm;

/* What the vCPU in a place is: its VM's place and its number there. */
static struct {
	unsigned int vm, index;
} vcpus[VCPUS];

void fuzz_kvm_init(void)
{
	guest_memory = mmap(NULL, VMS * SLOT_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	run_area = mmap(NULL, VCPUS * RUN_ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (guest_memory == MAP_FAILED || run_area == MAP_FAILED || kvm < 0) {
		perror("tce-kernel-fuzz: /dev/kvm");
		exit(2);
	}
}

void *fuzz_guest_memory(struct fuzz *f)
{
	if (fuzz_one_in(f, 3))
		return guest_memory + fuzz_below(f, VMS) * SLOT_SIZE;
	return guest_memory + fuzz_below(f, VMS * SLOT_SIZE / 8) * 8;
}

struct fuzz_window fuzz_window(u64 liobn)
{
	/* Those at 0 fit the 64 MiB window of the PCI device, if there is one. */
	static const struct fuzz_window windows[FUZZ_LIOBNS] = {
		{ .page_shift = 12, .offset = 0, .size = 16384 },
		{ .page_shift = 16, .offset = 16, .size = 9001 },
		{ .page_shift = 16, .offset = 0, .size = 1024 },
		{ .page_shift = 24, .offset = 3, .size = 513 },
		{ .page_shift = 12, .offset = 0, .size = 16384 },
		{ .page_shift = 12, .offset = 1UL << 20, .size = 1 },
		{ .page_shift = 24, .offset = 0, .size = 4 },
		{ .page_shift = 12, .offset = 1UL << 35, .size = 4UL << 20 },
	};

	return windows[liobn % FUZZ_LIOBNS];
}

static u64 any_liobn(struct fuzz *f)
{
	u64 n = fuzz_below(f, FUZZ_LIOBNS);

	if (fuzz_one_in(f, 50))
		return fuzz_number(f);
	return FUZZ_LIOBN + (fuzz_one_in(f, 2) ? n : n & ~1UL);
}

u64 fuzz_tce(struct fuzz *f)
{
	u64 gpa = fuzz_below(f, fuzz_one_in(f, 16) ? 2 * SLOT_SIZE : SLOT_SIZE);

	switch (fuzz_below(f, 8)) {
	case 0:
		return 0;
	case 1:
		return fuzz_number(f);
	case 2:
		return gpa & ~3UL;
	case 3:
		return gpa | 3;
	default:
		return (gpa & ~0xfffUL) | (1 + fuzz_below(f, 3));
	}
}

static long make_vm(struct fuzz *f)
{
	static const __u64 hcalls[] = { H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE };
	unsigned int place = (unsigned int)fuzz_below(f, VMS);
	char *mem = guest_memory + place * SLOT_SIZE;
	struct kvm_userspace_memory_region region = { .memory_size = SLOT_SIZE,
						      .userspace_addr = (u64)mem };
	int vm = ioctl(kvm, KVM_CREATE_VM, fuzz_one_in(f, 8) ? fuzz_below(f, 4) : 0);

	if (vm < 0)
		return -1;
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	fuzz_set_mmu(f, vm, HPT_ORDER);
	for (unsigned int i = 0; i < sizeof(hcalls) / sizeof(hcalls[0]); i++) {
		struct kvm_enable_cap enable = { .cap = KVM_CAP_PPC_ENABLE_HCALL,
						 .args = { hcalls[i], !fuzz_one_in(f, 20) } };

		ioctl(vm, KVM_ENABLE_CAP, &enable);
	}
	memcpy(mem + GUEST_VECTORS, __start_guest_vectors,
	       (size_t)(__stop_guest_vectors - __start_guest_vectors));
	memcpy(mem + GUEST_CODE, __start_guest_code,
	       (size_t)(__stop_guest_code - __start_guest_code));
	__builtin___clear_cache(mem, mem + GUEST_CPUS);
	return fuzz_keep_at(FUZZ_VM, place, vm);
}

static void set_one_reg(int vcpu, u64 id, u64 value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)&value };

	ioctl(vcpu, KVM_SET_ONE_REG, &reg);
}

static long make_vcpu(struct fuzz *f)
{
	struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };
	unsigned int place = (unsigned int)fuzz_below(f, VCPUS);
	unsigned int vm = (unsigned int)fuzz_below(f, VMS);
	unsigned int index = (unsigned int)fuzz_below(f, GUEST_MAX_CPUS);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	int fd = ioctl(fuzz_fd_at(FUZZ_VM, vm), KVM_CREATE_VCPU, index);

	if (fd < 0 || size < 0 || (size_t)size > RUN_ROOM)
		return -1;
	ioctl(fd, KVM_ENABLE_CAP, &papr);
	set_one_reg(fd, KVM_REG_PPC_HIOR, 0);
	set_one_reg(fd, KVM_REG_PPC_LPCR_64, LPCR_ILE);
	mmap(run_area + place * RUN_ROOM, (size_t)size, PROT_READ | PROT_WRITE,
	     MAP_SHARED | MAP_FIXED, fd, 0);
	vcpus[place].vm = vm;
	vcpus[place].index = index;
	return fuzz_keep_at(FUZZ_VCPU, place, fd);
}

static u64 any_ioba(struct fuzz *f, u64 liobn)
{
	struct fuzz_window window = fuzz_window(liobn);

	if (fuzz_one_in(f, 20))
		return fuzz_number(f);
	/* The last entries are as interesting as the first. */
	return (window.offset + (fuzz_one_in(f, 3) ? window.size - fuzz_below(f, 3) :
						     fuzz_below(f, window.size + 2)))
	       << window.page_shift;
}

static void random_op(struct fuzz *f, struct guest_op *op)
{
	static const u64 hcalls[] = { H_PUT_TCE, H_PUT_TCE, H_GET_TCE, H_STUFF_TCE,
				      H_PUT_TCE_INDIRECT };
	u64 nr = hcalls[fuzz_below(f, 5)], liobn = any_liobn(f);
	u64 many = fuzz_one_in(f, 10) ? fuzz_number(f) : 1 + fuzz_below(f, TCE_LIST_MAX);
	u64 list = fuzz_one_in(f, 10) ?
			   fuzz_number(f) :
			   GUEST_LISTS + fuzz_below(f, GUEST_MAX_CPUS) * GUEST_LIST_SIZE;

	*op = (struct guest_op){ .in = {
					 nr,
					 liobn,
					 any_ioba(f, liobn),
					 nr == H_PUT_TCE_INDIRECT ? list : fuzz_tce(f),
					 many,
					 fuzz_number(f),
				 } };
}

/* Gives a vCPU's guest some hcalls and starts it anew. */
static long start_guest(struct fuzz *f)
{
	unsigned int place = (unsigned int)fuzz_below(f, VCPUS);
	unsigned int index = vcpus[place].index;
	char *mem = guest_memory + vcpus[place].vm * SLOT_SIZE;
	u64 area = GUEST_CPUS + index * GUEST_CPU_SIZE;
	struct guest_cpu *cpu = (void *)(mem + area);
	u64 *list = (void *)(mem + GUEST_LISTS + index * GUEST_LIST_SIZE);
	int fd = fuzz_fd_at(FUZZ_VCPU, place);
	struct guest_op *ops = (void *)(mem + GUEST_OPS + index * GUEST_OPS_SIZE);
	struct kvm_regs regs;

	if (ioctl(fd, KVM_GET_REGS, &regs))
		return -1;
	cpu->ops = GUEST_OPS + index * GUEST_OPS_SIZE;
	cpu->nops = OPS;
	for (int i = 0; i < OPS; i++)
		random_op(f, &ops[i]);
	for (int i = 0; i < TCE_LIST_MAX; i++)
		list[i] = __builtin_bswap64(fuzz_tce(f));
	regs.pc = regs.gpr[12] = GUEST_CODE + ((u64)guest_run_ops - (u64)__start_guest_code);
	regs.gpr[3] = regs.sprg0 = area;
	regs.gpr[1] = area + GUEST_CPU_SIZE - 512;
	regs.msr = MSR_FOR_GUEST;
	return ioctl(fd, KVM_SET_REGS, &regs);
}

/* Success is that the guest made an hcall that nobody knows: its own, for "done". */
static long run_vcpu(struct fuzz *f)
{
	unsigned int place = (unsigned int)fuzz_below(f, VCPUS);
	struct kvm_run *run = (void *)(run_area + place * RUN_ROOM);
	int fd = fuzz_fd_at(FUZZ_VCPU, place);

	if (fd < 0)
		return -1;
	run->immediate_exit = fuzz_one_in(f, 8);
	for (int i = 0; i < RUNS && !ioctl(fd, KVM_RUN, 0); i++) {
		if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
			continue;
		if (run->papr_hcall.nr == GUEST_DONE)
			return 0;
		run->papr_hcall.ret = fuzz_one_in(f, 2) ? H_SUCCESS : fuzz_number(f);
	}
	return -1;
}

static long make_table(struct fuzz *f)
{
	u64 liobn = any_liobn(f);
	struct fuzz_window window = fuzz_window(liobn);
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = (__u32)window.page_shift,
		.offset = window.offset,
		.size = window.size,
	};
	struct kvm_create_spapr_tce old = { .liobn = liobn, .window_size = 1U << 22 };

	switch (fuzz_below(f, 16)) {
	case 0:
		args.page_shift = (__u32)fuzz_number(f);
		break;
	case 1:
		args.offset = fuzz_number(f);
		break;
	case 2:
		args.size = fuzz_number(f);
		break;
	case 3:
		args.flags = (__u32)fuzz_number(f);
		break;
	case 4:
		return fuzz_keep(f, FUZZ_TABLE,
				 ioctl(fuzz_fd(f, FUZZ_VM), KVM_CREATE_SPAPR_TCE, &old));
	}
	return fuzz_keep(f, FUZZ_TABLE, ioctl(fuzz_fd(f, FUZZ_VM), KVM_CREATE_SPAPR_TCE_64, &args));
}

static long make_device(struct fuzz *f)
{
	static const __u32 types[] = { KVM_DEV_TYPE_VFIO, KVM_DEV_TYPE_XICS, KVM_DEV_TYPE_XIVE };
	struct kvm_create_device create = { .type = types[fuzz_below(f, 3)] };

	if (fuzz_one_in(f, 10))
		create.flags = (__u32)fuzz_below(f, 4);
	if (ioctl(fuzz_fd(f, FUZZ_VM), KVM_CREATE_DEVICE, &create))
		return -1;
	if (create.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (create.type == KVM_DEV_TYPE_XIVE)
		return fuzz_keep_at(FUZZ_DEVICE, XIVE_PLACE, (int)create.fd);
	return fuzz_keep(f, FUZZ_DEVICE, (int)create.fd);
}

static long device_attr(struct fuzz *f)
{
	static const unsigned long requests[] = { KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
						  KVM_HAS_DEVICE_ATTR };
	struct kvm_device_attr attr = {
		.group = (__u32)(fuzz_one_in(f, 20) ? fuzz_number(f) : fuzz_below(f, 6)),
		.attr = fuzz_one_in(f, 10) ? fuzz_number(f) :
					     fuzz_below(f, fuzz_one_in(f, 2) ? 4 : 64),
		.addr = (u64)fuzz_address(f),
	};

	for (int i = 0; i < 16; i++)
		f->buffer[i] = fuzz_number(f);
	return ioctl(fuzz_fd(f, FUZZ_DEVICE), requests[fuzz_below(f, 3)], &attr);
}

/* The sources of XIVE, of which few are tried so that some of them are there. */
static long xive_source(struct fuzz *f, unsigned long request, __u32 group, u64 value)
{
	struct kvm_device_attr attr = {
		.group = group,
		.attr = fuzz_one_in(f, 16) ? fuzz_number(f) : fuzz_below(f, XIVE_SOURCES),
		.addr = (u64)(fuzz_one_in(f, 8) ? fuzz_address(f) : f->buffer),
	};

	f->buffer[0] = fuzz_one_in(f, 4) ? fuzz_number(f) : value;
	return ioctl(fuzz_fd_at(FUZZ_DEVICE, XIVE_PLACE), request, &attr);
}

static long set_source(struct fuzz *f)
{
	return xive_source(f, KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE, fuzz_below(f, 4));
}

static long get_source(struct fuzz *f)
{
	return xive_source(f, KVM_GET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE, 0);
}

/* A priority and a server that may be there, or none. */
static long set_source_config(struct fuzz *f)
{
	u64 target = fuzz_below(f, 8) << KVM_XIVE_SOURCE_PRIORITY_SHIFT |
		     fuzz_below(f, GUEST_MAX_CPUS) << KVM_XIVE_SOURCE_SERVER_SHIFT;

	if (fuzz_one_in(f, 2))
		target |= KVM_XIVE_SOURCE_MASKED_MASK;
	return xive_source(f, KVM_SET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, target);
}

static long get_source_config(struct fuzz *f)
{
	return xive_source(f, KVM_GET_DEVICE_ATTR, KVM_DEV_XIVE_GRP_SOURCE_CONFIG, 0);
}

bool fuzz_kvm_has_xive(void)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_XIVE,
					    .flags = KVM_CREATE_DEVICE_TEST };
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	bool has = vm >= 0 && !ioctl(vm, KVM_CREATE_DEVICE, &create);

	if (vm >= 0)
		close(vm);
	return has;
}

static long set_memory(struct fuzz *f)
{
	struct kvm_userspace_memory_region region = {
		.slot = (__u32)(fuzz_one_in(f, 20) ? fuzz_number(f) : fuzz_below(f, SLOTS)),
		.flags = (__u32)(fuzz_one_in(f, 2) ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = fuzz_below(f, 4) * SLOT_SIZE,
		.memory_size = fuzz_one_in(f, 4) ? 0 : SLOT_SIZE >> fuzz_below(f, 6),
		.userspace_addr = (u64)fuzz_guest_memory(f) & ~0xffffUL,
	};

	if (fuzz_one_in(f, 8))
		region.userspace_addr = (u64)fuzz_map_address(f) & ~0xffffUL;
	if (fuzz_one_in(f, 30))
		region.flags = (__u32)fuzz_number(f);
	if (fuzz_one_in(f, 30))
		region.guest_phys_addr = fuzz_number(f);
	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_SET_USER_MEMORY_REGION, &region);
}

static long memory_dirty_log(struct fuzz *f)
{
	struct kvm_dirty_log log = { .slot = (__u32)fuzz_below(f, SLOTS),
				     .dirty_bitmap = f->buffer };

	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_GET_DIRTY_LOG, &log);
}

static long enable_cap(struct fuzz *f)
{
	static const __u64 hcalls[] = { H_PUT_TCE, H_STUFF_TCE, H_PUT_TCE_INDIRECT };
	struct kvm_enable_cap enable = { .cap = fuzz_one_in(f, 3) ? KVM_CAP_PPC_DIRTY_LOG_FULL :
								    KVM_CAP_PPC_ENABLE_HCALL };

	if (enable.cap == KVM_CAP_PPC_ENABLE_HCALL) {
		enable.args[0] = hcalls[fuzz_below(f, 3)];
		enable.args[1] = !fuzz_one_in(f, 4);
	}
	if (fuzz_one_in(f, 8))
		enable.flags = (__u32)fuzz_number(f);
	if (fuzz_one_in(f, 8))
		enable.args[fuzz_below(f, 4)] = fuzz_number(f);
	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_ENABLE_CAP, &enable);
}

/* The VM's tables are attached strictly from then on. */
static long enable_strict(struct fuzz *f)
{
	struct kvm_enable_cap enable = { .cap = KVM_CAP_SPAPR_TCE_FD,
					 .args = { KVM_SPAPR_TCE_FD_REPLAY_STRICT } };

	if (fuzz_one_in(f, 4))
		enable.args[fuzz_below(f, 4)] = fuzz_number(f);
	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_ENABLE_CAP, &enable);
}

static long check_extension(struct fuzz *f)
{
	return ioctl(fuzz_fd(f, FUZZ_VM), KVM_CHECK_EXTENSION,
		     fuzz_one_in(f, 2) ? KVM_CAP_SPAPR_TCE_FD : fuzz_below(f, 300));
}

static long open_view(struct fuzz *f)
{
	struct kvm_spapr_tce_view view = { .liobn = any_liobn(f), .vm_fd = fuzz_fd(f, FUZZ_VM) };

	if (fuzz_one_in(f, 16))
		view.vm_fd = fuzz_any_fd(f);
	if (fuzz_one_in(f, 16))
		view.flags = (__u32)fuzz_number(f);
	return fuzz_keep(f, FUZZ_VIEW, ioctl(kvm, KVM_SPAPR_TCE_OPEN_VIEW, &view));
}

/* What has a dirty log: a table or a view, and sometimes anything. */
static int log_fd(struct fuzz *f)
{
	return fuzz_one_in(f, 3) ? fuzz_fd(f, FUZZ_VIEW) : fuzz_any_fd(f);
}

static long start_log(struct fuzz *f)
{
	return ioctl(log_fd(f), KVM_SPAPR_TCE_START_DIRTY_LOG);
}

static long stop_log(struct fuzz *f)
{
	return ioctl(log_fd(f), KVM_SPAPR_TCE_STOP_DIRTY_LOG);
}

/* A range of the fd's table that can be asked for, most times: it ends where a word does. */
static void any_log_range(struct fuzz *f, int fd, struct kvm_spapr_tce_dirty_log *log)
{
	const u64 word = 64UL << KVM_SPAPR_TCE_DIRTY_SHIFT;
	struct stat st;
	u64 size;

	if (fuzz_one_in(f, 8) || fstat(fd, &st) || st.st_size < 8) {
		log->first = fuzz_number(f);
		log->count = fuzz_number(f);
		return;
	}
	size = (u64)st.st_size / 8;
	log->first = fuzz_below(f, size / word + 1) * word;
	log->count = size - log->first;
	if (log->count > word && fuzz_one_in(f, 2))
		log->count = (1 + fuzz_below(f, log->count / word)) * word;
}

static long get_log(struct fuzz *f)
{
	struct kvm_spapr_tce_dirty_log log = { .bitmap = (u64)fuzz_address(f) };
	int fd = log_fd(f);

	any_log_range(f, fd, &log);
	if (fuzz_one_in(f, 8)) {
		log.flags = (__u32)fuzz_number(f);
		log.pad = (__u32)fuzz_number(f);
	}
	return ioctl(fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log);
}

static long get_events(struct fuzz *f)
{
	return ioctl(fuzz_fd(f, FUZZ_VCPU), GET_VCPU_EVENTS, fuzz_address(f));
}

/* Those of a vCPU, changed, for the same one or another. */
static long set_events(struct fuzz *f)
{
	int from = fuzz_fd(f, FUZZ_VCPU), to = fuzz_one_in(f, 2) ? from : fuzz_fd(f, FUZZ_VCPU);
	unsigned char events[EVENTS_WORDS * 8] = { 0 };

	ioctl(from, GET_VCPU_EVENTS, events);
	/* All that is not reserved is in the first 40 bytes. */
	for (u64 n = fuzz_below(f, 4); n; n--)
		events[fuzz_below(f, fuzz_one_in(f, 10) ? sizeof(events) : 40)] =
			(unsigned char)(fuzz_one_in(f, 2) ? fuzz_below(f, 5) : fuzz_random(f));
	return ioctl(to, SET_VCPU_EVENTS, events);
}

static long vcpu_other(struct fuzz *f)
{
	struct kvm_enable_cap enable = { .cap = fuzz_one_in(f, 2) ? KVM_CAP_IRQ_XICS :
								    KVM_CAP_PPC_IRQ_XIVE };
	struct kvm_interrupt irq = { .irq = fuzz_one_in(f, 2) ? KVM_INTERRUPT_SET :
								KVM_INTERRUPT_UNSET };
	int fd = fuzz_fd(f, FUZZ_VCPU);

	switch (fuzz_below(f, 3)) {
	case 0:
		enable.args[0] = (u64)fuzz_fd(f, FUZZ_DEVICE);
		enable.args[1] = fuzz_below(f, 8);
		return ioctl(fd, KVM_ENABLE_CAP, &enable);
	case 1:
		return ioctl(fd, KVM_INTERRUPT, &irq);
	default:
		return ioctl(fd, KVM_GET_REGS, fuzz_address(f));
	}
}

static long statistics(struct fuzz *f)
{
	int fd = fuzz_fd(f, fuzz_one_in(f, 2) ? FUZZ_VM : FUZZ_VCPU);

	return fuzz_keep(f, FUZZ_OTHER, ioctl(fd, KVM_GET_STATS_FD, NULL));
}

/* What fdinfo of the VM lists comes and goes, too. */
static long eventfds(struct fuzz *f)
{
	int vm = fuzz_fd(f, FUZZ_VM), fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct kvm_irqfd irqfd = { .fd = (__u32)fd,
				   .gsi = (__u32)fuzz_below(f, 32),
				   .flags = (__u32)fuzz_below(f, 4) };
	struct kvm_ioeventfd io = { .fd = fd,
				    .addr = fuzz_below(f, 64) << 32,
				    .len = 1U << fuzz_below(f, 5),
				    .flags = (__u32)fuzz_below(f, 8) };
	long ret = fuzz_one_in(f, 2) ? ioctl(vm, KVM_IRQFD, &irqfd) : ioctl(vm, KVM_IOEVENTFD, &io);

	fuzz_keep(f, FUZZ_OTHER, fd);
	return ret;
}

const struct fuzz_call fuzz_kvm_calls[] = {
	{ "make VM", 2, make_vm },
	{ "make vCPU", 6, make_vcpu },
	{ "make table", 12, make_table },
	{ "make device", 4, make_device },
	{ "start guest", 30, start_guest },
	{ "run vCPU", 60, run_vcpu },
	{ "memory slot", 6, set_memory },
	{ "memory dirty log", 4, memory_dirty_log },
	{ "enable capability", 4, enable_cap },
	{ "check extension", 2, check_extension },
	{ "enable strict attaching", 2, enable_strict },
	{ "open view", 8, open_view },
	{ "start dirty log", 6, start_log },
	{ "get dirty log", 21, get_log },
	{ "stop dirty log", 3, stop_log },
	{ "get vCPU events", 4, get_events },
	{ "set vCPU events", 8, set_events },
	{ "vCPU, other", 6, vcpu_other },
	{ "device attribute", 12, device_attr },
	{ "statistics", 3, statistics },
	{ "eventfd", 4, eventfds },
	{ NULL, 0, NULL },
};

const struct fuzz_call fuzz_xive_calls[] = {
	{ "set XIVE source", 4, set_source },
	{ "get XIVE source", 4, get_source },
	{ "set XIVE source's target", 4, set_source_config },
	{ "get XIVE source's target", 4, get_source_config },
	{ NULL, 0, NULL },
};
