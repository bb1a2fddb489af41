// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-view-test: a view shows a TCE table to a process that saves it, and its VMM sees nothing of
 * that. Every rule of api.rst is tried: who may have a view and of what, what is in it, that it
 * holds neither the table nor its LIOBN, and the log of its own. One line a check, for the lab's
 * scenarios.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tce-kvm.h"

#include "check.h"
#include "vm.h"

#define MAPPED(gpa) ((u64)(gpa) | 3)
#define POISON	    0xdeadbeef0000f00cUL
#define LIOBN	    0x80000000UL
#define ENTRIES	    20000UL /* neither whole pages nor whole words of a log */
#define LOG_WORDS   8	    /* more than the table's 40 groups need */
#define ALL_FLAGS   32
#define PATIENCE    120 /* seconds, for what takes none */
#define OTHER_GPA   (1UL << 40)

static struct vm *vm;

static int open_view(u64 liobn, int vm_fd, __u32 flags)
{
	struct kvm_spapr_tce_view args = { .liobn = liobn, .vm_fd = vm_fd, .flags = flags };

	return ioctl(vm->kvm_fd, KVM_SPAPR_TCE_OPEN_VIEW, &args);
}

static int view_of(u64 liobn)
{
	int view = open_view(liobn, vm->fd, 0);

	if (view < 0)
		die("a view of %#lx: %s", liobn, strerror(errno));
	return view;
}

static struct table *make(u64 liobn)
{
	int ret = table_create(vm, liobn, 12, 0, ENTRIES);

	if (ret)
		die("table %#lx: %s", liobn, strerror(-ret));
	return table_find(vm, liobn);
}

static void put(const struct table *t, u64 index, u64 tce)
{
	if (pwrite(t->fd, &tce, 8, (off_t)(index * 8)) != 8)
		die("write to table %#lx: %s", t->liobn, strerror(errno));
}

/* What it has there; where it can't be read, a value that no test writes. */
static u64 at(int fd, u64 index)
{
	u64 tce;

	return pread(fd, &tce, 8, (off_t)(index * 8)) == 8 ? tce : 0x5a5a5a5a5a5a5a5cUL;
}

static void holds(int fd, u64 index, u64 want, const char *name)
{
	u64 got = at(fd, index);

	check(got == want, name, "entry %lu is %#lx, not %#lx", index, got, want);
}

/* The number in a line of its fdinfo, or -1. */
static long fdinfo(int fd, const char *key)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			value = strtol(line + strlen(key) + 1, NULL, 0);
	if (f)
		fclose(f);
	return value;
}

/* In a child: a process that has no capabilities but, maybe, one. */
static int open_with(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int status, fd;
	pid_t child = fork();

	if (!child) {
		if (capability >= 0)
			caps[capability / 32].effective = caps[capability / 32].permitted =
				1U << capability % 32;
		if (syscall(SYS_capset, &header, caps))
			_exit(255);
		fd = open_view(LIOBN, vm->fd, 0);
		_exit(fd < 0 ? errno : 0);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void test_open(void)
{
	struct table *t = make(LIOBN);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), flags = 0;

	gives(open_with(-1), EPERM, "open: without a capability it is EPERM");
	gives(open_with(CAP_CHECKPOINT_RESTORE), 0, "open: CAP_CHECKPOINT_RESTORE is enough");
	gives(open_with(CAP_SYS_ADMIN), 0, "open: so is CAP_SYS_ADMIN");
	gives(open_with(CAP_DAC_OVERRIDE), EPERM, "open: another one is not");
	fails(open_view(LIOBN + 1, vm->fd, 0), ENOENT, "open: a LIOBN of no table is ENOENT");
	fails(open_view(LIOBN | 1UL << 32, vm->fd, 0), ENOENT,
	      "open: ... all of its bits are looked at");
	for (int bit = 0; bit < ALL_FLAGS; bit++)
		flags += open_view(LIOBN, vm->fd, 1U << bit) < 0 && errno == EINVAL;
	gives(flags, ALL_FLAGS, "open: each flag is EINVAL");
	fails(open_view(LIOBN, -1, 0), EBADF, "open: of no file, it is EBADF");
	fails(open_view(LIOBN, null, 0), EINVAL, "open: of a file that is no VM, EINVAL");
	fails(open_view(LIOBN, t->fd, 0), EINVAL, "open: of the table's, too");
	fails(open_view(LIOBN, vm->vcpu[0].fd, 0), EINVAL, "open: of a vCPU's, too");
	fails(ioctl(vm->kvm_fd, KVM_SPAPR_TCE_OPEN_VIEW, 8UL), EFAULT,
	      "open: arguments that are nowhere are EFAULT");
	fails(ioctl(vm->fd, KVM_SPAPR_TCE_OPEN_VIEW, 8UL), ENOTTY,
	      "open: it is no ioctl of the VM");
	close(null);
	table_close(t);
	fails(open_view(LIOBN, vm->fd, 0), ENOENT, "open: of a table that is closed, ENOENT");
}

static void test_contents(void)
{
	struct table *t = make(LIOBN);
	int view = view_of(LIOBN);
	struct stat table_stat, view_stat;
	u64 tce = POISON;

	put(t, 1, MAPPED(0x3000));
	put(t, ENTRIES - 1, POISON);
	holds(view, 1, MAPPED(0x3000), "contents: what is in the table");
	holds(view, ENTRIES - 1, POISON, "contents: ... up to its end");
	gives(pread(view, &tce, 8, ENTRIES * 8), 0, "contents: ... and there it ends");
	gives(lseek(view, 0, SEEK_DATA), 0, "contents: SEEK_DATA finds the first entry");
	check(lseek(view, 8, SEEK_HOLE) == lseek(t->fd, 8, SEEK_HOLE) &&
		      lseek(view, 0, SEEK_END) == ENTRIES * 8,
	      "contents: SEEK_HOLE and SEEK_END are as in the table", "hole %ld, end %ld",
	      (long)lseek(view, 8, SEEK_HOLE), (long)lseek(view, 0, SEEK_END));
	fstat(t->fd, &table_stat);
	fstat(view, &view_stat);
	check(view_stat.st_size == table_stat.st_size && view_stat.st_ino != table_stat.st_ino,
	      "contents: its size is the table's, its inode another",
	      "size %ld, inodes %lu and %lu", (long)view_stat.st_size, view_stat.st_ino,
	      table_stat.st_ino);
	gives(fdinfo(view, "tce-ino"), (long)table_stat.st_ino,
	      "contents: fdinfo has the table's inode");
	gives(fdinfo(view, "tce-liobn"), LIOBN, "contents: ... and the table's lines");
	gives(fdinfo(t->fd, "tce-ino"), -1, "contents: the table's own fdinfo has no such line");
	gives(fcntl(view, F_GETFD), FD_CLOEXEC, "contents: it is closed by exec");
	close(view);
	table_close(t);
}

static void test_read_only(void)
{
	struct table *t = make(LIOBN);
	int view = view_of(LIOBN);
	u64 tce = POISON;
	char path[64];
	int again;

	put(t, 1, MAPPED(0x3000));
	check(pwrite(view, &tce, 8, 8) < 0, "read only: no write", "it went through");
	check(fallocate(view, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ENTRIES * 8) < 0,
	      "read only: no hole is punched", "it was");
	check(ftruncate(view, 0) < 0, "read only: no size is changed", "it was");
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, view, 0) == MAP_FAILED,
	      "read only: no mapping", "there is one");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", view);
	again = open(path, O_RDWR | O_CLOEXEC);
	check(again < 0 || (pwrite(again, &tce, 8, 8) < 0 && pread(again, &tce, 8, 8) < 0),
	      "read only: opened by its link, it shows nothing", "it does");
	close(again);
	holds(t->fd, 1, MAPPED(0x3000), "read only: the table is as it was");
	close(view);
	table_close(t);
}

/* The VMM may close and make its table as if there were no view. */
static void test_lifetime(void)
{
	struct table *t = make(LIOBN);
	int view = view_of(LIOBN), second;
	struct guest_op op = { .in = { H_GET_TCE, LIOBN, 0x1000 } };

	put(t, 1, POISON);
	table_close(t);
	check(vcpu_run_ops(&vm->vcpu[0], &op, 1) && op.exited == 1,
	      "lifetime: a closed table's hcalls go to user space", "exited %lu, r3 %#lx",
	      op.exited, op.out[0]);
	t = make(LIOBN);
	check(t, "lifetime: its LIOBN is free at once", "it is not");
	put(t, 1, MAPPED(0x7000));
	holds(view, 1, POISON, "lifetime: the old view has what the old table had at last");
	second = view_of(LIOBN);
	holds(second, 1, MAPPED(0x7000), "lifetime: a new one has what the new table has");
	close(second);
	close(view);
	holds(t->fd, 1, MAPPED(0x7000), "lifetime: the table does not mind their end");
	table_close(t);
}

/* Dirty groups in the log, or -1. */
static int dirty(int fd)
{
	u64 bitmap[LOG_WORDS] = { 0 };
	struct kvm_spapr_tce_dirty_log log = { .count = ENTRIES, .bitmap = (u64)bitmap };
	int groups = 0;

	if (ioctl(fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log))
		return -1;
	for (int i = 0; i < LOG_WORDS; i++)
		groups += __builtin_popcountl(bitmap[i]);
	return groups;
}

/* A page of memory that does not come before someone sees to it. */
static u64 *late_page(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { .len = (u64)sysconf(_SC_PAGESIZE) },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, reg.range.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	*uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	reg.range.start = (u64)page;
	if (*uffd < 0 || ioctl(*uffd, UFFDIO_API, &api) || page == MAP_FAILED ||
	    ioctl(*uffd, UFFDIO_REGISTER, &reg))
		die("userfaultfd: %s", strerror(errno));
	return page;
}

struct late_reader {
	int view;
	u64 *bitmap;
};

static void *read_late(void *arg)
{
	const struct late_reader *reader = arg;
	struct kvm_spapr_tce_dirty_log log = { .count = ENTRIES, .bitmap = (u64)reader->bitmap };

	return (void *)(long)ioctl(reader->view, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log);
}

static void *change_slots(void *arg)
{
	(void)arg;
	return (void *)(long)(vm_set_slot(vm, 1, OTHER_GPA, 1 << 20) ?: vm_set_slot(vm, 1, 0, 0));
}

/* Who reads a log, and whose page for it does not come, keeps no VMM from its work. */
static void test_late_reader(void)
{
	struct table *t = make(LIOBN);
	struct late_reader reader = { .view = view_of(LIOBN) };
	struct timespec deadline;
	struct pollfd event = { .events = POLLIN };
	struct uffdio_zeropage zero;
	pthread_t reading, changing;
	void *ret = (void *)-1L;
	int late;

	reader.bitmap = late_page(&event.fd);
	gives(ioctl(reader.view, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "late reader: has a log");
	put(t, 1, POISON);
	if (pthread_create(&reading, NULL, read_late, &reader) ||
	    poll(&event, 1, PATIENCE * 1000) != 1 ||
	    pthread_create(&changing, NULL, change_slots, NULL))
		die("late reader: it does not wait for its page");
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE;
	late = pthread_timedjoin_np(changing, &ret, &deadline);
	check(!late && !ret, "late reader: memory slots can be changed meanwhile", "%s, %ld",
	      strerror(late), (long)ret);
	zero = (struct uffdio_zeropage){ .range = { (u64)reader.bitmap,
						    (u64)sysconf(_SC_PAGESIZE) } };
	if (ioctl(event.fd, UFFDIO_ZEROPAGE, &zero) || pthread_join(reading, &ret))
		die("late reader: its page can't be made: %s", strerror(errno));
	check(!ret && reader.bitmap[0], "late reader: gets the log in the end", "%ld, %#lx",
	      (long)ret, reader.bitmap[0]);
	if (late)
		pthread_join(changing, NULL);
	munmap(reader.bitmap, (size_t)sysconf(_SC_PAGESIZE));
	close(event.fd);
	close(reader.view);
	table_close(t);
}

static void test_log(void)
{
	struct table *t = make(LIOBN);
	int one = view_of(LIOBN), two = view_of(LIOBN);
	struct guest_op op = { .in = { H_PUT_TCE, LIOBN, 0, MAPPED(0) } };

	fails(dirty(one), ENOENT, "log: none is on");
	gives(ioctl(one, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "log: a view starts one");
	fails(ioctl(two, KVM_SPAPR_TCE_START_DIRTY_LOG), EBUSY, "log: the second view's is EBUSY");
	fails(ioctl(one, KVM_SPAPR_TCE_START_DIRTY_LOG), EBUSY, "log: so is the same again");
	fails(dirty(two), ENOENT, "log: the second view gets nothing of the first one's");
	fails(ioctl(two, KVM_SPAPR_TCE_STOP_DIRTY_LOG), ENOENT, "log: ... and does not stop it");
	gives(ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG), 0,
	      "log: the VMM's own starts beside it");
	for (u64 i = 0; i < 3; i++) {
		op.in[2] = i << 21; /* groups of 512 entries, I/O pages of 4 KiB */
		vcpu_run_ops(&vm->vcpu[0], &op, 1);
	}
	put(t, ENTRIES - 1, POISON);
	gives(dirty(one), 4, "log: the view's has the guest's updates and the VMM's");
	gives(dirty(t->fd), 4, "log: and so has the VMM's own");
	gives(dirty(one), 0, "log: what was fetched is gone");
	gives(ioctl(t->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG), 0, "log: the VMM stops its own");
	vcpu_run_ops(&vm->vcpu[0], &op, 1);
	gives(dirty(one), 1, "log: the view's goes on");
	close(one);
	gives(ioctl(two, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "log: a view's ends with it");
	table_close(t);
	gives(dirty(two), 0, "log: of a table that is closed, it can be fetched");
	gives(ioctl(two, KVM_SPAPR_TCE_STOP_DIRTY_LOG), 0, "log: ... and stopped");
	close(two);
}

/* The last of all files of a VM may be a view. */
static void test_orphan(void)
{
	struct table *t = make(LIOBN);
	int view = view_of(LIOBN);

	put(t, 1, POISON);
	vm_destroy(vm);
	holds(view, 1, POISON, "orphan: a view of a VM that has ended can be read");
	gives(ioctl(view, KVM_SPAPR_TCE_START_DIRTY_LOG), 0, "orphan: it can have a log");
	gives(close(view), 0, "orphan: it can be closed");
}

int main(void)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	vm = vm_create(&opt);
	check(ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SPAPR_TCE_FD) & KVM_SPAPR_TCE_FD_VIEW,
	      "capability: there are views", "there are none");
	test_open();
	test_contents();
	test_read_only();
	test_lifetime();
	test_log();
	test_late_reader();
	test_orphan();
	return check_failures ? 1 : 0;
}
