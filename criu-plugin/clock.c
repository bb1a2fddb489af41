// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's clock: KVM's timebase offset, and the copies of it that the VMM has.
 *
 * A guest's timebase is the host's plus an offset. KVM has it, and QEMU has a copy for each vCPU:
 * from it QEMU tells the guest's time when the VM is stopped, and it writes it back to KVM together
 * with the other registers, without asking for it first. A restored guest needs another offset, on
 * another boot of the host a very different one. So the copies are found when the VM is saved, and
 * change with KVM's own offset. Both change last, as the guest's clock runs from then on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "regs.h"
#include "vm-images.h"

#define TB_OFFSET_UNIT	 (1ULL << 24) /* KVM rounds it up to a multiple of this */
#define TB_FREQUENCY	 512000000    /* of every PAPR guest under KVM-HV */
#define CHUNK_WORDS	 (1 << 17)
#define COPY_ALIGN_WORDS 2 /* what malloc() gives, 16 bytes */

/*
 * QEMU's ppc_tb_t, as it has been since long before its version 7: tb_offset, atb_offset,
 * vtb_offset, tb_freq, decr_next, decr_freq; all 64 bits wide or padded to that.
 */
enum { COPY_OFFSET = 0, COPY_TB_FREQ = 3, COPY_DECR_FREQ = 5, COPY_WORDS };

/* Addresses that may be of copies. */
struct copies {
	pid_t pid;
	uint64_t *address;
	size_t count;
	struct copies *next;
};

/* Those of processes that have not been stopped yet. */
static struct copies *early;

static void free_copies(struct copies *copies)
{
	if (copies)
		free(copies->address);
	free(copies);
}

void drop_clocks(void)
{
	struct copies *copies;

	while ((copies = early)) {
		early = copies->next;
		free_copies(copies);
	}
}

static int add_copy(struct copies *copies, uint64_t address)
{
	uint64_t *more = reallocarray(copies->address, copies->count + 1, sizeof(*more));

	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	copies->address = more;
	more[copies->count++] = address;
	return 0;
}

/* Without a message if the memory is gone: the process may be running. */
static size_t read_words(pid_t pid, uint64_t at, uint64_t *words, size_t count)
{
	struct iovec here = { .iov_base = words, .iov_len = count * sizeof(*words) };
	struct iovec there = { .iov_base = (void *)at, .iov_len = count * sizeof(*words) };
	ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);

	return got < 0 ? 0 : got / sizeof(*words);
}

static int search_range(struct copies *copies, uint64_t at, uint64_t end, uint64_t *words)
{
	size_t got, i;

	while (at + COPY_WORDS * sizeof(*words) <= end) {
		size_t count = (end - at) / sizeof(*words);

		got = read_words(copies->pid, at, words, count < CHUNK_WORDS ? count : CHUNK_WORDS);
		if (got < COPY_WORDS)
			break;
		for (i = 0; i + COPY_WORDS <= got; i += COPY_ALIGN_WORDS)
			if (words[i + COPY_TB_FREQ] == TB_FREQUENCY &&
			    words[i + COPY_DECR_FREQ] == TB_FREQUENCY &&
			    add_copy(copies, at + i * sizeof(*words)))
				return -1;
		/* A copy may reach into the next piece. */
		at += i * sizeof(*words);
	}
	return 0;
}

static bool has_guest_memory(const KvmCriu__Vm *vm, uint64_t start, uint64_t end)
{
	size_t i;

	for (i = 0; i < vm->n_slot; i++)
		if (start < vm->slot[i]->hva + vm->slot[i]->size && vm->slot[i]->hva < end)
			return true;
	return false;
}

struct search {
	struct copies *copies;
	const KvmCriu__Vm *vm; /* or NULL for the heap alone */
	uint64_t *words;
};

static int search_mapping(void *arg, char *line)
{
	struct search *search = arg;
	const KvmCriu__Vm *vm = search->vm;
	struct range range;
	const char *name;
	bool heap;

	if (!parse_range(line, &range, &name) || range.prot != (PROT_READ | PROT_WRITE) ||
	    range.shared || range.device)
		return 0;
	heap = !strcmp(name, "[heap]");
	if (heap == !!vm || (vm && has_guest_memory(vm, range.start, range.end)))
		return 0;
	return search_range(search->copies, range.start, range.end, search->words);
}

/* Search the heap, or, of a VM that is known, all other memory that malloc() may have used. */
static int search_memory(struct copies *copies, const KvmCriu__Vm *vm)
{
	struct search search = { .copies = copies, .vm = vm };
	int ret;

	search.words = malloc(CHUNK_WORDS * sizeof(*search.words));
	if (!search.words) {
		pr_err("Out of memory\n");
		return -1;
	}
	ret = for_each_line(copies->pid, "maps", search_mapping, &search);
	free(search.words);
	return ret;
}

static struct copies *search(pid_t pid, const KvmCriu__Vm *vm)
{
	struct copies *copies = calloc(1, sizeof(*copies));

	if (!copies) {
		pr_err("Out of memory\n");
		return NULL;
	}
	copies->pid = pid;
	if (search_memory(copies, vm)) {
		free_copies(copies);
		return NULL;
	}
	return copies;
}

void find_clocks(pid_t pid)
{
	struct copies *copies = search(pid, NULL);

	if (!copies)
		return;
	copies->next = early;
	early = copies;
}

static uint64_t round_offset(uint64_t offset)
{
	return (offset + TB_OFFSET_UNIT - 1) & ~(TB_OFFSET_UNIT - 1);
}

/* Is it, as KVM rounds it, what KVM has for a vCPU? */
static bool is_offset(const KvmCriu__Vm *vm, uint64_t offset)
{
	size_t i;

	offset = round_offset(offset);
	for (i = 0; i < vm->n_vcpu; i++)
		if (offset && offset == reg_value(find_reg(vm->vcpu[i], KVM_REG_PPC_TB_OFFSET), 0))
			return true;
	return false;
}

/* How many vCPUs have one. */
static size_t count_offsets(const KvmCriu__Vm *vm)
{
	size_t i, count = 0;

	for (i = 0; i < vm->n_vcpu; i++)
		count += !!reg_value(find_reg(vm->vcpu[i], KVM_REG_PPC_TB_OFFSET), 0);
	return count;
}

/* Note those of @copies that are of this VM. */
static int keep_copies(KvmCriu__Vm *vm, const struct copies *copies)
{
	uint64_t words[COPY_WORDS], *more;
	size_t i;

	for (i = 0; i < copies->count; i++) {
		if (read_words(copies->pid, copies->address[i], words, COPY_WORDS) != COPY_WORDS ||
		    words[COPY_TB_FREQ] != TB_FREQUENCY || words[COPY_DECR_FREQ] != TB_FREQUENCY ||
		    !is_offset(vm, words[COPY_OFFSET]))
			continue;
		more = reallocarray(vm->tb_offset_copy, vm->n_tb_offset_copy + 1, sizeof(*more));
		if (!more) {
			pr_err("Out of memory\n");
			return -1;
		}
		vm->tb_offset_copy = more;
		more[vm->n_tb_offset_copy++] = copies->address[i];
	}
	return 0;
}

static int search_now(pid_t pid, KvmCriu__Vm *vm, bool heap)
{
	struct copies *copies = search(pid, heap ? NULL : vm);
	int ret = copies ? keep_copies(vm, copies) : -1;

	free_copies(copies);
	return ret;
}

int save_clock(pid_t pid, KvmCriu__Vm *vm)
{
	const struct copies *copies = early;
	size_t offsets = count_offsets(vm);

	/* All vCPUs have one clock. */
	if (vm->n_vcpu)
		vm->guest_timebase += reg_value(find_reg(vm->vcpu[0], KVM_REG_PPC_TB_OFFSET), 0);
	/* Nobody has set one, so nobody has a copy. */
	if (!offsets)
		return 0;
	while (copies && copies->pid != pid)
		copies = copies->next;
	if (copies && keep_copies(vm, copies))
		return -1;
	/* A vCPU may have come since that search. One that has gone has no copy any more. */
	if (vm->n_tb_offset_copy < offsets) {
		vm->n_tb_offset_copy = 0;
		if (search_now(pid, vm, true))
			return -1;
	}
	if (!vm->n_tb_offset_copy && search_now(pid, vm, false))
		return -1;
	if (vm->n_tb_offset_copy)
		pr_info("VM %" PRIu64 ": %zu copies of its timebase offset are in process %d\n",
			vm->number, vm->n_tb_offset_copy, pid);
	else
		pr_warn("VM %" PRIu64 ": process %d has no copy of its timebase offset in a known "
			"form; if it has one in another form, its guest's clock will be wrong when "
			"it is stopped and continued after a restore\n",
			vm->number, pid);
	return 0;
}

static int set_copies(pid_t pid, const KvmCriu__Vm *vm, uint64_t offset)
{
	uint64_t was;
	size_t i;

	for (i = 0; i < vm->n_tb_offset_copy; i++) {
		if (copy_memory(pid, false, vm->tb_offset_copy[i], &was, sizeof(was)))
			return -1;
		if (!is_offset(vm, was)) {
			pr_err("VM %" PRIu64 ": what process %d has at %#" PRIx64
			       " is no copy of its timebase offset\n",
			       vm->number, pid, vm->tb_offset_copy[i]);
			return -1;
		}
		if (copy_memory(pid, true, vm->tb_offset_copy[i], &offset, sizeof(offset)))
			return -1;
	}
	return 0;
}

static void set_one_reg(struct task *task, int fd, uint64_t id, const void *value)
{
	struct kvm_one_reg *one;
	uint64_t remote, at;

	memcpy(task_buffer(task, sizeof(uint64_t), &at), value, sizeof(uint64_t));
	one = task_buffer(task, sizeof(*one), &remote);
	one->id = id;
	one->addr = at;
	task_ioctl(task, false, fd, KVM_SET_ONE_REG, remote);
}

int start_clock(pid_t pid, struct task *task, const KvmCriu__Vm *vm)
{
	static const char failed[] = "KVM refuses a timebase offset";
	/* It is rounded up, so no clock goes back, and is one number, so all vCPUs agree. */
	uint64_t offset = round_offset(vm->guest_timebase - read_timebase());
	const KvmCriu__Reg *dec;
	size_t i;

	reset_task(task);
	for (i = 0; i < vm->n_vcpu; i++) {
		if (!find_reg(vm->vcpu[i], KVM_REG_PPC_TB_OFFSET))
			continue;
		if (make_room(task, 2, 2 * (sizeof(offset) + sizeof(struct kvm_one_reg)), failed))
			return -1;
		set_one_reg(task, vm->vcpu[i]->fd, KVM_REG_PPC_TB_OFFSET, &offset);
		/* It is in guest time. Without one, a new offset makes one up. */
		dec = find_reg(vm->vcpu[i], KVM_REG_PPC_DEC_EXPIRY);
		if (dec)
			set_one_reg(task, vm->vcpu[i]->fd, dec->id, dec->value.data);
	}
	return run_calls(task, failed) || set_copies(pid, vm, offset) ? -1 : 0;
}
