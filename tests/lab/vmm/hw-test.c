// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-hw-test: a PCI device with DMA (QEMU's edu) is given to the guest through VFIO, so that its
 * TCE table has a hardware table in the host. DMA through an entry that is in the table must move
 * data, DMA through one that is not must not, whichever way the entry came or went.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/mman.h>

#include "check.h"
#include "hw-test.h"
#include "tce-kvm.h"

#define POISON 0xdeadbeef0000f00cUL

static long hw_tables(const struct table *t)
{
	return table_info(t, "tce-hw-tables");
}

/*
 * The table has I/O pages of 64 KiB and the hardware's has 4 KiB, so that each entry is 16 in
 * hardware. Entry n is bus address n << 16; a and b are two places in guest memory, entry 1 always
 * maps `home`.
 */
static void test_updates(void)
{
	const u64 home = 0x800000, a = 0x900000, b = 0x910000, a_io = 2 << 16, b_io = 3 << 16,
		  home_io = 1 << 16;
	struct table *t = create_table(16);
	u64 *list = vcpu_list(&vm->vcpu[0]), both[2] = { a | 3, b | 3 };
	int kvm_vfio;

	put(t, 1, home | 3);
	put(t, 2, a | 3);
	put(t, 3, POISON);
	kvm_vfio = attach(t);
	check(hw_tables(t) == 1, "attach: fdinfo counts the hardware table", "%ld", hw_tables(t));
	check(reads_through(a_io, a, home_io, home), "attach: entries that were there move data",
	      "no data came");
	check(reads_through(a_io + 0xf000, a + 0xf000, home_io, home),
	      "attach: ... in every part of an I/O page", "no data came");
	check(!reads_through(b_io, b, home_io, home), "attach: poison maps nothing", "data came");

	gives(hcall(H_PUT_TCE, t, 3, b | 3, 0), H_SUCCESS, "H_PUT_TCE");
	check(reads_through(b_io, b, home_io, home), "H_PUT_TCE: the device can read",
	      "no data came");
	check(writes_through(b_io, b, home_io, home), "H_PUT_TCE: the device can write",
	      "no data came");
	gives(hcall(H_PUT_TCE, t, 3, a | 3, 0), H_SUCCESS, "H_PUT_TCE: another address");
	check(reads_through(b_io, a, home_io, home), "H_PUT_TCE: ... is what the device sees",
	      "no data came");
	gives(hcall(H_PUT_TCE, t, 3, b | 1, 0), H_SUCCESS, "H_PUT_TCE: read only");
	check(reads_through(b_io, b, home_io, home), "H_PUT_TCE: read only can be read",
	      "no data came");
	check(!writes_through(b_io, b, home_io, home), "H_PUT_TCE: read only can't be written",
	      "data came");
	gives(hcall(H_PUT_TCE, t, 3, 0, 0), H_SUCCESS, "H_PUT_TCE: zero");
	check(!reads_through(b_io, b, home_io, home),
	      "H_PUT_TCE: zero takes the entry away from reads", "data came");
	check(!writes_through(b_io, b, home_io, home), "H_PUT_TCE: zero takes it away from writes",
	      "data came");

	list[0] = htobe64(b | 3);
	list[1] = htobe64(a | 3);
	gives(hcall(H_PUT_TCE_INDIRECT, t, 2, vcpu_list_gpa(&vm->vcpu[0]), 2), H_SUCCESS,
	      "H_PUT_TCE_INDIRECT");
	check(reads_through(a_io, b, home_io, home) && writes_through(b_io, a, home_io, home),
	      "H_PUT_TCE_INDIRECT: both entries move data", "no data came");
	gives(hcall(H_STUFF_TCE, t, 2, POISON, 2), H_SUCCESS, "H_STUFF_TCE");
	check(!reads_through(a_io, b, home_io, home) && !writes_through(b_io, a, home_io, home),
	      "H_STUFF_TCE: takes both entries away", "data came");
	check(at(t, 2) == POISON && at(t, 3) == POISON, "H_STUFF_TCE: poison is kept", "%#lx %#lx",
	      at(t, 2), at(t, 3));

	gives(pwrite(t->fd, both, 16, 16), 16, "write");
	check(reads_through(a_io, a, home_io, home) && writes_through(b_io, b, home_io, home),
	      "write: a restored entry moves data", "no data came");
	put(t, 3, 0);
	check(!writes_through(b_io, b, home_io, home), "write: a cleared entry does not",
	      "data came");
	put(t, 3, b | 3);
	gives(fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16,
			(off_t)(t->entries * 8 - 16)),
	      0, "punch");
	check(!reads_through(a_io, a, home_io, home) && !writes_through(b_io, b, home_io, home),
	      "punch: takes the entries away", "data came");
	check(reads_through(home_io, home, home_io, home), "punch: leaves the others",
	      "no data came");
	gives(fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			(off_t)(t->entries * 8)),
	      0, "punch: all");
	check(!writes_through(home_io, home, home_io, home), "punch: all is away", "data came");

	detach(kvm_vfio);
	check(hw_tables(t) == 0, "detach: fdinfo counts none", "%ld", hw_tables(t));
	table_close(t);
}

/*
 * Neither what was there, nor the half that could be mapped, nor the half that could not, is there.
 */
static bool half_unmapped(u64 part_io, u64 home_io)
{
	const u64 home = 0x1800000, io = home_io + 0x800000;

	return !writes_through(part_io, PART_GPA, io, home) &&
	       !writes_through(part_io, 0x1000000, io, home) &&
	       !writes_through(part_io + 0x810000, home + 0x10000, io, home);
}

/*
 * I/O pages of 16 MiB: the one in slot 1 is known to VFIO in its first half only, so the hardware
 * can't map it whole. Neither table may keep anything of it.
 */
static void test_half_mapped(void)
{
	const u64 home = 0x1800000, home_io = 1 << 24, part_io = 2 << 24;
	struct table *t = create_table(24);
	int kvm_vfio = attach(t);
	u64 *list = vcpu_list(&vm->vcpu[0]), tce = PART_GPA | 3, good = 0x1000000 | 3;

	gives(put(t, 1, good), 8, "half map: a good entry");
	check(reads_through(home_io + 0x800000, home, home_io + 0x800000, home),
	      "half map: ... moves data", "no data came");
	put(t, 2, good);
	check(writes_through(part_io + 0x800000, home, home_io + 0x800000, home),
	      "half map: the entry before it moves data", "no data came");
	fails(pwrite(t->fd, &tce, 8, 16), EINVAL, "half map: write is EINVAL");
	check(at(t, 2) == 0, "half map: write leaves nothing in the table", "%#lx", at(t, 2));
	check(half_unmapped(part_io, home_io), "half map: write leaves nothing in the hardware",
	      "data came");

	put(t, 2, good);
	gives(hcall(H_PUT_TCE, t, 2, tce, 0), H_PARAMETER, "half map: H_PUT_TCE is refused");
	check(at(t, 2) == 0, "half map: H_PUT_TCE leaves nothing in the table", "%#lx", at(t, 2));
	check(half_unmapped(part_io, home_io), "half map: H_PUT_TCE leaves nothing in the hardware",
	      "data came");

	put(t, 2, good);
	list[0] = htobe64(tce);
	gives(hcall(H_PUT_TCE_INDIRECT, t, 2, vcpu_list_gpa(&vm->vcpu[0]), 1), H_PARAMETER,
	      "half map: H_PUT_TCE_INDIRECT is refused");
	check(at(t, 2) == 0, "half map: H_PUT_TCE_INDIRECT leaves nothing in the table", "%#lx",
	      at(t, 2));
	check(half_unmapped(part_io, home_io),
	      "half map: H_PUT_TCE_INDIRECT leaves nothing in the hardware", "data came");

	/* A table that is closed while it is attached takes its hardware table's use along. */
	table_close(t);
	detach(kvm_vfio);
	check(true, "close: a table that is attached", " ");
}

static void enable_strict_replay(u64 flags, u64 more, int want, const char *name)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPAPR_TCE_FD, .args = { flags, more } };

	if (want)
		fails(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), want, name);
	else
		gives(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), 0, name);
}

/* Words that no hardware table can map, as a guest can have them put there by its VMM. */
static u64 fill_badly(const struct table *t)
{
	const u64 bad[] = {
		0x1000000 | 4 | 3, /* not an address of an I/O page */
		0x1800000 | 3,	   /* a host page, but no I/O page */
		PART_GPA | 3,	   /* VFIO does not know all of it */
	};
	u64 *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);

	need(map != MAP_FAILED, "mmap of the table");
	map[0] = bad[0];
	map[2] = bad[1];
	map[3] = bad[2];
	munmap(map, 4096);
	return 3;
}

/*
 * What is in the table when a group is attached is mapped as far as it can be, whatever it is.
 * Who wants to know for sure can ask for it.
 */
static void test_replay(void)
{
	struct table *t = create_table(24);
	const u64 home = 0x1800000, home_io = 1 << 24;
	long bad;
	int fd;

	put(t, 1, 0x1000000 | 3);
	bad = (long)fill_badly(t);
	fd = try_attach(t);
	check(fd >= 0, "replay: entries that can't be mapped don't refuse the group", "%s",
	      strerror(errno));
	check(hw_tables(t) == 1 && table_info(t, "tce-replay-skipped") == bad,
	      "replay: ... and are counted", "%ld tables, %ld skipped", hw_tables(t),
	      table_info(t, "tce-replay-skipped"));
	check(at(t, 0) == (0x1000000 | 4 | 3), "replay: ... and are still in the table", "%#lx",
	      at(t, 0));
	check(reads_through(home_io + 0x800000, home, home_io + 0x800000, home),
	      "replay: the others move data", "no data came");
	check(!reads_through(0x800000, home, home_io + 0x800000, home) &&
		      !reads_through(3 << 24, PART_GPA, home_io + 0x800000, home),
	      "replay: what is left out maps nothing", "data came");
	detach(fd);

	enable_strict_replay(1, 0, EINVAL, "strict replay: another flag is EINVAL");
	enable_strict_replay(KVM_SPAPR_TCE_FD_REPLAY_STRICT, 1, EINVAL,
			     "strict replay: another argument is EINVAL");
	enable_strict_replay(KVM_SPAPR_TCE_FD_REPLAY_STRICT, 0, 0, "strict replay: enabled");
	fails(try_attach(t), EFAULT,
	      "strict replay: an entry that can't be mapped refuses the group");
	check(hw_tables(t) == 0, "strict replay: ... nothing is attached then", "%ld",
	      hw_tables(t));
	check(unregister_memory(vm->slot[0].mem, vm->mem_size),
	      "strict replay: ... and nothing is mapped", "%s", strerror(errno));
	register_memory(vm->slot[0].mem, vm->mem_size);
	put(t, 0, 0);
	put(t, 2, 0);
	put(t, 3, 0);
	fd = try_attach(t);
	check(fd >= 0 && table_info(t, "tce-replay-skipped") == 0,
	      "strict replay: without them, it is attached", "%s", strerror(errno));
	check(reads_through(home_io + 0x800000, home, home_io + 0x800000, home),
	      "strict replay: ... and the others move data", "no data came");
	detach(fd);
	enable_strict_replay(0, 0, 0, "strict replay: disabled");
	table_close(t);
}

/*
 * A 2^24-byte page of memory slot 2, of `size` bytes from `mem` on, which the hardware can't or
 * may not map, though all that is behind it is registered.
 */
void never_maps(void *mem, u64 size, __u32 hw_shift, const char *what)
{
	struct kvm_userspace_memory_region region = {
		.slot = 2,
		.guest_phys_addr = 0x20000000,
		.memory_size = size,
		.userspace_addr = (u64)mem,
	};
	const u64 tce = region.guest_phys_addr | 3;
	struct table *t;
	char name[128];
	int fd;

	need(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "memory slot 2");
	create_window(hw_shift);
	t = create_table(24);
	need(put(t, 1, tce) == 8, "an entry for slot 2");
	fd = try_attach(t);
	snprintf(name, sizeof(name), "%s: is left out when the group is attached", what);
	check(fd >= 0 && table_info(t, "tce-replay-skipped") == 1, name, "%s, %ld skipped",
	      strerror(errno), table_info(t, "tce-replay-skipped"));
	snprintf(name, sizeof(name), "%s: write is EINVAL", what);
	fails(pwrite(t->fd, &tce, 8, 16), EINVAL, name);
	snprintf(name, sizeof(name), "%s: H_PUT_TCE is refused", what);
	gives(hcall(H_PUT_TCE, t, 2, tce, 0), H_PARAMETER, name);
	detach(fd);
	table_close(t);
	region.memory_size = 0;
	need(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "memory slot 2");
}

/* Slots that are not as the hardware's pages are, in memory with pages that are large enough. */
static void test_odd_slots(void)
{
	const u64 huge = 16UL << 20, odd = 65536;
	char *mem = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 24 << MAP_HUGE_SHIFT, -1, 0);

	need(mem != MAP_FAILED, "mmap of huge pages");
	memset(mem, 0, 2 * huge);
	register_memory(mem, 2 * huge);
	never_maps(mem + odd, huge, 24, "a slot between the hardware's pages");
	never_maps(mem, huge - odd, 12, "an I/O page across a slot's end");
	check(unregister_memory(mem, 2 * huge), "odd slots: nothing of them is mapped", "%s",
	      strerror(errno));
	munmap(mem, 2 * huge);
}

static void start_device(int fd)
{
	open_device(fd);
	check((device_id() & 0xff) == 0xed, "the device answers", "%#x", device_id());
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	bool huge_pages = argc <= 2 || strcmp(argv[2], "no-huge-pages");
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 3 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	if (vm_set_slot(vm, 1, PART_GPA, PART_SIZE))
		die("memory slot 1: %s", strerror(errno));
	test_no_container();
	start_device(open_group());
	register_memory(vm->slot[0].mem, vm->mem_size);
	register_memory(vm->slot[1].mem, PART_SIZE / 2);
	create_window(12);
	test_updates();
	create_window(most_hw_shift());
	test_half_mapped();
	create_window(12);
	test_replay();
	if (huge_pages) {
		test_odd_slots();
		test_mixed_pages();
	}
	test_random(seed);
	create_window(12);
	test_race();
	test_shared_entries();
	test_edges();
	test_contended_entries();
	test_removed_window();
	test_windows_under_load();
	test_windows_while_attaching();
	test_replaced_windows();
	close_device();
	test_closed_container();
	test_left_container();
	test_first_comers();
	test_other_container();
	close_container();
	open_v1_container();
	start_device(open_in_container());
	test_v1_container();
	close_device();
	vm_destroy(vm);
	return check_failures ? 1 : 0;
}
