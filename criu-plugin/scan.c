// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which KVM objects a process has open. Nothing here touches the process, so this is where objects
 * that can't be saved are refused.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "kvm-plugin.h"

#define ANON	 "anon_inode:"
#define LINK_LEN 4096

/* include/linux/miscdevice.h: KVM_MINOR */
#define KVM_DEVICE makedev(10, 232)
/* TUN_MINOR */
#define TAP_DEVICE makedev(10, 200)
/* VHOST_NET_MINOR */
#define VHOST_NET_DEVICE makedev(10, 238)

static int refuse(const struct kvm_process *process, int fd, const char *what, const char *why)
{
	pr_err("Process %d, fd %d: %s can't be saved: %s\n", process->pid, fd, what, why);
	return -1;
}

static const char no_patch[] =
	"the running kernel does not have the read-outs of this project's patches";

static int add_kvm_fd(struct kvm_process *process, const struct kvm_fd *fd)
{
	struct kvm_fd *fds = reallocarray(process->fds, process->nr_fds + 1, sizeof(*fds));

	if (!fds) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->fds = fds;
	fds[process->nr_fds++] = *fd;
	return 0;
}

static int add_socket(struct kvm_process *process, uint64_t inode)
{
	uint64_t *sockets = reallocarray(process->sockets, process->nr_sockets + 1,
					 sizeof(*sockets));

	if (!sockets) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->sockets = sockets;
	sockets[process->nr_sockets++] = inode;
	return 0;
}

static int add_fd(int **fds, size_t *count, int fd)
{
	int *more = reallocarray(*fds, *count + 1, sizeof(*more));

	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	*fds = more;
	more[(*count)++] = fd;
	return 0;
}

static int add_epoll(struct kvm_process *process, int fd)
{
	return add_fd(&process->epolls, &process->nr_epolls, fd);
}

static int add_eventfd(struct kvm_process *process, int fd)
{
	struct eventfd *eventfds;
	struct fdinfo info;
	uint64_t id;
	int ret;

	if (read_fdinfo(&info, process->pid, fd))
		return -1;
	ret = fdinfo_u64(&info, "eventfd-id", &id);
	free_fdinfo(&info);
	if (ret) {
		pr_err("Process %d, fd %d: the kernel does not tell the eventfd's id\n",
		       process->pid, fd);
		return -1;
	}
	eventfds = reallocarray(process->eventfds, process->nr_eventfds + 1, sizeof(*eventfds));
	if (!eventfds) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->eventfds = eventfds;
	eventfds[process->nr_eventfds++] = (struct eventfd){ .fd = fd, .id = id };
	return 0;
}

/* XICS up to POWER8; XICS and XIVE on hosts with XIVE. A VM has at most one of them. */
static const char *const controllers[] = { "kvm-xics", "kvm-xive", "kvm-xive-native" };

/* States of a VM, each not 0 in fdinfo, that the plugin does not save. */
static const struct {
	const char *name;
	const char *why;
} unsaved[] = {
	{ "kvm-dead", "KVM has declared it dead" },
	{ "kvm-nested", "it may run nested guests" },
	{ "kvm-secure", "it may become a secure guest" },
	{ "kvm-hpt-resize", "its HPT is being resized" },
	{ "kvm-dirty-ring", "it has a dirty ring" },
};

static int check_vm(const struct kvm_process *process, int fd, const struct fdinfo *info)
{
	const char *text = NULL;
	uint64_t value;
	size_t i;

	while ((text = next_fdinfo(info, "kvm-device", text))) {
		size_t len = strcspn(text, "\n");

		for (i = 0; i < ARRAY_LEN(controllers); i++)
			if (strlen(controllers[i]) == len && !strncmp(text, controllers[i], len))
				break;
		if (i == ARRAY_LEN(controllers)) {
			pr_err("Process %d, fd %d: the VM has an in-kernel device (%.*s), which "
			       "can't be saved\n",
			       process->pid, fd, (int)len, text);
			return -1;
		}
	}
	text = next_fdinfo(info, "kvm-type", NULL);
	if (!text || strncmp(text, VM_TYPE "\n", strlen(VM_TYPE) + 1))
		return refuse(process, fd, "the VM", "its type is not KVM-HV");
	if (next_fdinfo(info, "kvm-irqfd", NULL) && !next_fdinfo(info, "kvm-device", NULL))
		return refuse(process, fd, "the VM", "it has an irqfd and no interrupt controller");
	for (i = 0; i < ARRAY_LEN(unsaved); i++)
		if (!fdinfo_u64(info, unsaved[i].name, &value) && value)
			return refuse(process, fd, "the VM", unsaved[i].why);
	return 0;
}

static int check_vcpu(const struct kvm_process *process, int fd, const struct fdinfo *info)
{
	uint64_t value;

	if (!fdinfo_u64(info, "kvm-guest-debug", &value) && value)
		return refuse(process, fd, "the vCPU", "it is being debugged");
	/* Its number there can only be read while it is not in KVM_RUN: save_vcpu() does. */
	if (!fdinfo_u64(info, "kvm-irq-type", &value) && value != IRQ_TYPE_NONE &&
	    value != IRQ_TYPE_XICS && value != IRQ_TYPE_XIVE)
		return refuse(process, fd, "the vCPU",
			      "its in-kernel interrupt controller is of an unknown kind");
	return 0;
}

static int check_table(const struct kvm_process *process, int fd, const struct fdinfo *info)
{
	const char *text = next_fdinfo(info, "tce-dirty-log", NULL);
	uint64_t value;

	if (fdinfo_u64(info, "tce-hw-tables", &value) || value)
		return refuse(process, fd, "the TCE table", "a hardware table (VFIO) is attached");
	if (text && strncmp(text, "off", 3))
		return refuse(process, fd, "the TCE table", "its dirty log is on");
	return 0;
}

static const struct kind {
	const char *link;
	KvmCriu__Object object;
	const char *which; /* fdinfo line that tells which one in its VM */
	int (*check)(const struct kvm_process *process, int fd, const struct fdinfo *info);
} kinds[] = {
	{ "kvm-vm", KVM_CRIU__OBJECT__VM, NULL, check_vm },
	{ "kvm-vm-stats", KVM_CRIU__OBJECT__VM_STATS, NULL, NULL },
	{ "kvm-vcpu:", KVM_CRIU__OBJECT__VCPU, "kvm-vcpu", check_vcpu },
	{ "kvm-vcpu-stats:", KVM_CRIU__OBJECT__VCPU_STATS, "kvm-vcpu", NULL },
	{ "kvm-tce:", KVM_CRIU__OBJECT__TABLE, "tce-liobn", check_table },
	{ "kvm-xics", KVM_CRIU__OBJECT__DEVICE, NULL, NULL },
	{ "kvm-xive", KVM_CRIU__OBJECT__DEVICE, NULL, NULL },
	{ "kvm-xive-native", KVM_CRIU__OBJECT__DEVICE, NULL, NULL },
};

static bool is_kind(const struct kind *kind, const char *link)
{
	size_t len = strlen(kind->link);

	if (kind->link[len - 1] == ':')
		return !strncmp(link, kind->link, len);
	return !strcmp(link, kind->link);
}

static int scan_kvm_fd(struct kvm_process *process, int fd, const char *link)
{
	const struct kind *kind = NULL;
	struct kvm_fd found = { .fd = fd };
	struct fdinfo info;
	int ret = -1;
	size_t i;

	if (!strcmp(link, "kvm-spapr-tce"))
		return refuse(process, fd, "the TCE table", no_patch);
	for (i = 0; i < ARRAY_LEN(kinds); i++)
		if (is_kind(&kinds[i], link))
			kind = &kinds[i];
	if (!kind)
		return refuse(process, fd, link, "this kind of KVM object is not supported");

	if (read_fdinfo(&info, process->pid, fd))
		return -1;
	if (fdinfo_u64(&info, "kvm-vm", &found.vm) ||
	    (kind->which && fdinfo_u64(&info, kind->which, &found.which))) {
		refuse(process, fd, link, no_patch);
		goto out;
	}
	found.object = kind->object;
	if ((found.object == KVM_CRIU__OBJECT__TABLE || found.object == KVM_CRIU__OBJECT__VCPU ||
	     found.object == KVM_CRIU__OBJECT__DEVICE) &&
	    fdinfo_u64(&info, "ino", &found.inode)) {
		refuse(process, fd, link, "the kernel does not tell its inode");
		goto out;
	}
	if (kind->check && kind->check(process, fd, &info))
		goto out;
	ret = add_kvm_fd(process, &found);
out:
	free_fdinfo(&info);
	return ret;
}

static int refuse_gmem(struct kvm_process *process, int fd)
{
	return refuse(process, fd, "[kvm-gmem]", "guest_memfd is not supported");
}

static int scan_anonymous(struct kvm_process *process, int fd, const char *name)
{
	static const char kvm[] = "kvm-";
	static const struct {
		const char *name;
		int (*add)(struct kvm_process *process, int fd);
	} others[] = {
		{ "[eventfd]", add_eventfd },
		{ "[eventpoll]", add_epoll },
		{ "[kvm-gmem]", refuse_gmem },
	};
	size_t i;

	if (!strncmp(name, kvm, strlen(kvm)))
		return scan_kvm_fd(process, fd, name);
	for (i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(name, others[i].name))
			return others[i].add(process, fd);
	return 0;
}

static int scan_fd(struct kvm_process *process, int fd)
{
	char path[PATH_LEN], link[LINK_LEN];
	uint64_t inode;
	struct stat st;
	ssize_t len;

	proc_path(path, process->pid, "fd", fd);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0) {
		/* One that still runs may have closed it. */
		if (errno == ENOENT)
			return 0;
		pr_perror("Can't read %s", path);
		return -1;
	}
	link[len] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
		return add_socket(process, inode);
	if (add_alien_fd(process, fd, link))
		return -1;
	if (!strncmp(link, ANON, strlen(ANON)))
		return scan_anonymous(process, fd, link + strlen(ANON));
	if (link[0] != '/' || stat(path, &st))
		return 0;
	if (S_ISBLK(st.st_mode))
		return add_fd(&process->blocks, &process->nr_blocks, fd);
	if (!S_ISCHR(st.st_mode))
		return 0;
	if (st.st_rdev == KVM_DEVICE)
		return add_kvm_fd(process,
				  &(struct kvm_fd){ .fd = fd, .object = KVM_CRIU__OBJECT__KVM });
	if (st.st_rdev == TAP_DEVICE)
		return add_tap_fd(process, fd);
	if (st.st_rdev == VHOST_NET_DEVICE)
		return add_fd(&process->vhosts, &process->nr_vhosts, fd);
	return 0;
}

/* What is refused is said of every fd, so that people need not try again for each. */
static int scan_fds(struct kvm_process *process)
{
	char path[PATH_LEN];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", process->pid);
	dir = opendir(path);
	if (!dir) {
		pr_perror("Can't open %s", path);
		return -1;
	}
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno) {
				pr_perror("Can't read %s", path);
				ret = -1;
			}
			break;
		}
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    scan_fd(process, atoi(entry->d_name)))
			ret = -1;
	}
	closedir(dir);
	return ret;
}

static int adopt(struct kvm_process *process, KvmCriu__Object object, const int *fds, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (add_kvm_fd(process, &(struct kvm_fd){ .fd = fds[i], .object = object }))
			return -1;
	return 0;
}

/* They are the plugin's to save in a process with KVM, and nobody's otherwise. */
static int adopt_others(struct kvm_process *process)
{
	return adopt(process, KVM_CRIU__OBJECT__VHOST_NET, process->vhosts, process->nr_vhosts) ||
			       adopt(process, KVM_CRIU__OBJECT__BLOCK, process->blocks,
				     process->nr_blocks) ?
		       -1 :
		       0;
}

int is_same_object(pid_t pid1, const struct kvm_fd *fd1, pid_t pid2, const struct kvm_fd *fd2)
{
	if (fd1->object != fd2->object || fd1->vm != fd2->vm || fd1->which != fd2->which)
		return 0;
	return is_same_file(pid1, fd1->fd, pid2, fd2->fd);
}

int identify_fd(pid_t pid, int fd, struct kvm_fd *found)
{
	struct kvm_process one = { .pid = pid };
	int ret = scan_fd(&one, fd);

	if (!ret)
		ret = adopt_others(&one);
	if (!ret && one.nr_fds) {
		*found = one.fds[0];
		ret = 1;
	}
	free_process(&one);
	return ret;
}

bool is_mapped_object(int fd)
{
	char path[PATH_LEN], link[LINK_LEN];
	ssize_t len;

	proc_path(path, SELF, "fd", fd);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	return !strncmp(link, KVM_FILE, strlen(KVM_FILE));
}

/* CRIU would take a thread for a process, and end the whole one with it. */
static int check_leader(pid_t pid)
{
	struct fdinfo status;
	uint64_t leader = 0;

	if (read_status(&status, pid))
		return -1;
	fdinfo_u64(&status, "Tgid", &leader);
	free_fdinfo(&status);
	if (leader == (uint64_t)pid)
		return 0;
	pr_err("%d is a thread of process %" PRIu64 ", not a process\n", pid, leader);
	return -1;
}

/* What is beside KVM, and can not be saved. */
static int refuse_others(struct kvm_process *process)
{
	int ret = check_leader(process->pid);
	size_t i;

	if (process->huge) {
		pr_err("Process %d: memory in huge pages (hugetlbfs) can't be saved: give its VM "
		       "ordinary memory, which may be in transparent huge pages\n",
		       process->pid);
		ret = -1;
	}
	/* A request that ends after CRIU has read the ring is never heard of again. */
	if (process->aio) {
		pr_err("Process %d: the kernel's asynchronous I/O (io_setup) can't be saved, since "
		       "CRIU does not wait for requests in flight: give its disks aio=threads\n",
		       process->pid);
		ret = -1;
	}
	if (check_tap_fds(process))
		ret = -1;
	for (i = 0; i < process->nr_blocks; i++)
		if (check_block(process->pid, process->blocks[i]))
			ret = -1;
	for (i = 0; i < process->nr_aliens; i++)
		ret = refuse(process, process->aliens[i].fd, "a VM's device",
			     process->aliens[i].what);
	return ret;
}

int scan_process(struct kvm_process *process, pid_t pid)
{
	int ret;

	*process = (struct kvm_process){ .pid = pid };
	ret = scan_fds(process);
	if (!ret && process->nr_fds)
		ret = adopt_others(process);
	/* Mappings stay when every fd is closed, so look at them in any case. */
	if (!ret)
		ret = scan_maps(process);
	if (!ret && !process->nr_fds) {
		free_process(process);
		return 0;
	}
	if (refuse_others(process))
		ret = -1;
	process->vpid = read_vpid(pid);
	if (!ret && process->vpid)
		return 1;
	free_process(process);
	return -1;
}

void free_process(struct kvm_process *process)
{
	free(process->fds);
	free(process->eventfds);
	free(process->sockets);
	free(process->ranges.range);
	free(process->maps);
	free(process->aliens);
	free(process->taps);
	free(process->epolls);
	free(process->vhosts);
	free(process->blocks);
	*process = (struct kvm_process){};
}
