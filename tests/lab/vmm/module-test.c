// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-module-test: KVM's modules go and come while something of a VM is still there. A file or a
 * mapping must keep them; a path to an inode need not, and must be harmless afterwards. With
 * --churn SECONDS, processes make and leave VMs while the modules go and come as fast as they can.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "vm.h"

#define LIOBN	    0x80000000UL
#define ENTRIES	    100000UL
#define CHURNERS    2
#define CHURN_PAUSE 400000000L /* ns, at most, so that there are moments without a VM */
#define PATIENCE    200	       /* tries, 10 ms apart, until what is being closed is closed */

static const char *hv = "kvm_hv"; /* or kvm_pr, the implementation under kvm */

/* All that a VM gives to hold on to; fds first, then mappings. */
enum object {
	HELD_VM,
	HELD_VCPU,
	HELD_TABLE,
	HELD_DEVICE,
	HELD_VM_STATS,
	HELD_VCPU_STATS,
	HELD_FILES,
	HELD_TABLE_MAP = HELD_FILES,
	HELD_RUN_MAP,
	HELD_OBJECTS,
};

static const char *const names[HELD_OBJECTS] = {
	"the VM",
	"a vCPU",
	"a table",
	"a device",
	"the VM's statistics",
	"a vCPU's statistics",
	"a mapping of a table",
	"a mapping of a vCPU",
};

struct held {
	int fd[HELD_FILES];
	void *map[HELD_OBJECTS]; /* only of those that are mappings */
	size_t map_size[HELD_OBJECTS];
};

static int unload(const char *module)
{
	return (int)syscall(SYS_delete_module, module, O_NONBLOCK);
}

/* Both modules, as soon as the last file is really closed. */
static bool unload_all(void)
{
	const struct timespec tick = { .tv_nsec = 10000000 };

	for (int i = 0; i < PATIENCE; i++) {
		if ((!unload(hv) || errno == ENOENT) && (!unload("kvm") || errno == ENOENT))
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

static bool load(void)
{
	char command[64];

	snprintf(command, sizeof(command), "modprobe %s", hv);
	return system(command) == 0;
}

static void hold_everything(struct held *held)
{
	struct vm_options opt = { .type = !strcmp(hv, "kvm_pr") ? 2 : 0,
				  .mem_size = 64UL << 20,
				  .nvcpus = 1 };
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	struct vm *vm = vm_create(&opt);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct table *t;
	int ret = table_create(vm, LIOBN, 12, 0, ENTRIES);

	t = ret ? NULL : table_find(vm, LIOBN);
	if (!t || table_map(t, PROT_READ | PROT_WRITE, MAP_SHARED, 0, 1))
		die("a table: %s", strerror(ret ? -ret : errno));
	*(volatile u64 *)t->map = 0x1234560;
	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &create))
		die("KVM_CREATE_DEVICE(VFIO): %s", strerror(errno));
	*held = (struct held){ .fd = {
				       [HELD_VM] = dup(vm->fd),
				       [HELD_VCPU] = dup(vcpu->fd),
				       [HELD_TABLE] = dup(t->fd),
				       [HELD_DEVICE] = (int)create.fd,
				       [HELD_VM_STATS] = ioctl(vm->fd, KVM_GET_STATS_FD, NULL),
				       [HELD_VCPU_STATS] = ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL),
			       } };
	for (int i = 0; i < HELD_FILES; i++)
		if (held->fd[i] < 0)
			die("no fd of %s: %s", names[i], strerror(errno));
	held->map[HELD_TABLE_MAP] = t->map;
	held->map_size[HELD_TABLE_MAP] = t->map_size;
	t->map = NULL;
	held->map_size[HELD_RUN_MAP] = vcpu->run_size;
	held->map[HELD_RUN_MAP] = mmap(NULL, vcpu->run_size, PROT_READ, MAP_SHARED, vcpu->fd, 0);
	if (held->map[HELD_RUN_MAP] == MAP_FAILED)
		die("mmap of a vCPU: %s", strerror(errno));
	vm_destroy(vm);
}

static void let_go(struct held *held, int object)
{
	if (object < HELD_FILES)
		close(held->fd[object]);
	else
		munmap(held->map[object], held->map_size[object]);
}

/* Each object alone keeps both modules, and nothing does once it is gone. */
static void test_held(void)
{
	char name[128];

	for (int last = 0; last < HELD_OBJECTS; last++) {
		struct held held;

		hold_everything(&held);
		for (int i = 0; i < HELD_OBJECTS; i++)
			if (i != last)
				let_go(&held, i);
		snprintf(name, sizeof(name), "held: %s keeps the modules", names[last]);
		check(unload(hv) < 0 && unload("kvm") < 0, name, "one of them is gone");
		let_go(&held, last);
		snprintf(name, sizeof(name), "held: nothing keeps them after %s is gone",
			 names[last]);
		check(unload_all(), name, "%s", strerror(errno));
		if (!load())
			die("the modules can't be loaded again");
	}
}

/* What can be asked of a path to an inode; each in a process of its own, which an oops ends. */
struct question {
	const char *name;
	void (*ask)(int path, const char *proc);
};

static void ask_fstat(int path, const char *proc)
{
	struct stat st;

	fstat(path, &st);
	stat(proc, &st);
}

static void ask_statx(int path, const char *proc)
{
	struct statx stx;

	statx(path, "", AT_EMPTY_PATH, STATX_ALL, &stx);
}

static void ask_open(int path, const char *proc)
{
	close(open(proc, O_RDWR));
	close(open(proc, O_RDONLY | O_NONBLOCK));
}

static void ask_chmod(int path, const char *proc)
{
	chmod(proc, 0777);
	fchmodat(path, "", 0777, AT_EMPTY_PATH);
}

static void ask_chown(int path, const char *proc)
{
	fchownat(path, "", 1, 1, AT_EMPTY_PATH);
}

static void ask_truncate(int path, const char *proc)
{
	if (truncate(proc, 8))
		return;
}

static void ask_utimes(int path, const char *proc)
{
	utimensat(AT_FDCWD, proc, NULL, 0);
	utimensat(path, "", NULL, AT_EMPTY_PATH);
}

static void ask_xattr(int path, const char *proc)
{
	char value[64] = "x";

	getxattr(proc, "security.selinux", value, sizeof(value));
	listxattr(proc, value, sizeof(value));
	setxattr(proc, "user.x", value, 1, 0);
	removexattr(proc, "user.x");
}

static void ask_access(int path, const char *proc)
{
	if (!access(proc, R_OK | W_OK | X_OK))
		faccessat(path, "", R_OK, AT_EMPTY_PATH);
}

static void ask_link(int path, const char *proc)
{
	char target[256];

	if (readlink(proc, target, sizeof(target)) > 0)
		readlinkat(path, "", target, sizeof(target));
	if (!linkat(path, "", AT_FDCWD, "/tmp/linked", AT_EMPTY_PATH))
		unlink("/tmp/linked");
}

static void ask_exec(int path, const char *proc)
{
	char *const none[] = { NULL };

	syscall(SYS_execveat, path, "", none, none, AT_EMPTY_PATH);
}

static void ask_handle(int path, const char *proc)
{
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ] = { 0 };
	struct file_handle *handle = (void *)room;
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	name_to_handle_at(path, "", handle, &mount, AT_EMPTY_PATH);
}

static void ask_fdinfo(int path, const char *proc)
{
	char name[64], line[256];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", path);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f))
		;
	if (f)
		fclose(f);
}

static const struct question questions[] = {
	{ "fstat", ask_fstat },	  { "statx", ask_statx },  { "open", ask_open },
	{ "chmod", ask_chmod },	  { "chown", ask_chown },  { "truncate", ask_truncate },
	{ "utimes", ask_utimes }, { "xattrs", ask_xattr }, { "access", ask_access },
	{ "link", ask_link },	  { "exec", ask_exec },	   { "file handle", ask_handle },
	{ "fdinfo", ask_fdinfo },
};

#define QUESTIONS ((int)(sizeof(questions) / sizeof(questions[0])))

/* 0, or the signal that ended the process that asked */
static int asked(const struct question *question, int path)
{
	char proc[64];
	int status;
	pid_t pid = fork();

	if (!pid) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
		question->ask(path, proc);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("fork: %s", strerror(errno));
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int path_to(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void ask_everything(const int *paths, const char *when)
{
	for (int object = 0; object < HELD_OBJECTS; object++) {
		if (paths[object] < 0)
			continue;
		for (int q = 0; q < QUESTIONS; q++) {
			int sig = asked(&questions[q], paths[object]);
			char name[128];

			if (!sig && q < QUESTIONS - 1)
				continue;
			snprintf(name, sizeof(name), "paths: %s, asked of %s %s",
				 sig ? questions[q].name : "everything", names[object], when);
			check(!sig, name, "ended with signal %d", sig);
			if (sig)
				break;
		}
	}
}

/* A path outlives the file, the VM and the modules. */
static void test_paths(void)
{
	int paths[HELD_OBJECTS];
	struct held held;
	char path[96];

	hold_everything(&held);
	for (int i = 0; i < HELD_FILES; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", held.fd[i]);
		paths[i] = path_to(path);
	}
	for (int i = HELD_FILES; i < HELD_OBJECTS; i++) {
		u64 start = (u64)held.map[i];

		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start,
			 start + held.map_size[i]);
		paths[i] = open(path, O_PATH | O_CLOEXEC);
	}
	ask_everything(paths, "while all is there");
	for (int i = 0; i < HELD_OBJECTS; i++)
		let_go(&held, i);
	ask_everything(paths, "after it was closed");
	check(unload_all(), "paths: they do not keep the modules", "%s", strerror(errno));
	ask_everything(paths, "after the modules went");
	if (!load())
		die("the modules can't be loaded again");
	ask_everything(paths, "after they came again");
	for (int i = 0; i < HELD_OBJECTS; i++)
		close(paths[i]);
}

/* What map_files opens is a file, and keeps the module that its functions are in. */
static void test_reopened(void)
{
	struct held held;
	char path[96];
	int files[2], file;
	struct stat st;

	hold_everything(&held);
	for (int i = 0; i < 2; i++) {
		u64 start = (u64)held.map[HELD_FILES + i];

		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start,
			 start + held.map_size[HELD_FILES + i]);
		files[i] = open(path, O_RDONLY | O_CLOEXEC);
		check(files[i] >= 0, "reopened: a mapping's file can be opened", "%s",
		      strerror(errno));
	}
	for (int i = 0; i < HELD_OBJECTS; i++)
		let_go(&held, i);
	for (int i = 0; i < 2; i++) {
		fails(read(files[i], path, 8), EINVAL, "reopened: it can't be read");
		gives(fstat(files[i], &st), 0, "reopened: fstat");
	}
	file = unload(hv);
	check(unload("kvm") < 0, "reopened: it keeps kvm", "unloaded (%s went: %d)", hv, file);
	close(files[0]);
	close(files[1]);
	check(unload_all(), "reopened: nothing keeps them after it is closed", "%s",
	      strerror(errno));
	if (!load())
		die("the modules can't be loaded again");
}

/* Make what it can of a VM, let go in any order, again and again: the modules may not be there. */
static void churn_vms(unsigned int seed, unsigned long *made)
{
	for (;;) {
		const struct timespec pause = { .tv_nsec = rand_r(&seed) % CHURN_PAUSE };
		struct kvm_create_spapr_tce_64 args = { .liobn = LIOBN,
							.page_shift = 12,
							.size = ENTRIES };
		int fd[4] = { -1, -1, -1, -1 };
		void *map = MAP_FAILED;

		nanosleep(&pause, NULL);
		fd[0] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		if (fd[0] < 0)
			continue;
		fd[1] = ioctl(fd[0], KVM_CREATE_VM, 0);
		fd[2] = fd[1] < 0 ? -1 : ioctl(fd[1], KVM_CREATE_VCPU, 0);
		fd[3] = fd[1] < 0 ? -1 : ioctl(fd[1], KVM_CREATE_SPAPR_TCE_64, &args);
		if (fd[3] >= 0)
			map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd[3], 0);
		if (map != MAP_FAILED)
			(void)*(volatile u64 *)map;
		*made += fd[2] >= 0 && map != MAP_FAILED;
		for (int i = 0, first = rand_r(&seed) % 4; i < 4; i++)
			if (fd[(first + i) % 4] >= 0)
				close(fd[(first + i) % 4]);
		if (map != MAP_FAILED)
			munmap(map, 4096);
	}
}

static void test_churn(time_t seconds)
{
	unsigned long *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				   -1, 0);
	const struct timespec tick = { .tv_nsec = 1000000 };
	time_t end = time(NULL) + seconds;
	unsigned long loads = 0, vms = 0;
	pid_t pid[CHURNERS];
	int status;

	for (int i = 0; i < CHURNERS; i++) {
		pid[i] = fork();
		if (!pid[i])
			churn_vms((unsigned int)i, &made[i]);
	}
	while (time(NULL) < end) {
		if ((!unload(hv) || errno == ENOENT) && (!unload("kvm") || errno == ENOENT))
			loads += load();
		else
			nanosleep(&tick, NULL);
	}
	for (int i = 0; i < CHURNERS; i++) {
		kill(pid[i], SIGTERM);
		waitpid(pid[i], &status, 0);
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
		      "churn: whoever makes VMs meanwhile lives", "wait status %#x", status);
		vms += made[i];
	}
	printf("churn: the modules came %lu times, %lu VMs were made meanwhile\n", loads, vms);
	check(loads > 3 && vms > 3, "churn: both happened", "%lu and %lu times", loads, vms);
	check(unload_all(), "churn: nothing is left that keeps the modules", "%s", strerror(errno));
	if (!load())
		die("the modules can't be loaded again");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "--churn")) {
		test_churn(atol(argv[2]));
		return check_failures ? 1 : 0;
	}
	if (argc == 2)
		hv = argv[1];
	test_held();
	test_reopened();
	test_paths();
	return check_failures ? 1 : 0;
}
