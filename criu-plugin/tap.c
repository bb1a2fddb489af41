// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taps in the network namespace that CRIU runs in, at a dump.
 *
 * CRIU takes every fd of /dev/net/tun for its own, and refuses those whose network namespace it
 * does not save. So, while the process is stopped, each is replaced by a placeholder: /dev/kvm,
 * opened once for each tap, which CRIU hands to this plugin. This process holds the tap meanwhile,
 * and so does the watcher (guard.c): whoever dies, the VM gets it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

/* An open file of /dev/net/tun, a queue of a tap, which several processes may have. */
struct tap {
	int fd;		 /* of this process */
	int placeholder; /* of this process */
	KvmCriu__Tap *image;
	struct tap *next;
};

static struct tap *taps;

int has_tap(pid_t pid, const struct tap_fd *tap)
{
	return is_same_file(getpid(), tap->held, pid, tap->fd);
}

static int refuse_tap(const KvmCriu__Tap *tap, const char *why)
{
	pr_err("Tap %s can't be saved: %s\n", tap->name, why);
	return -1;
}

/* An interface can be moved to another namespace than that of its file. */
static int check_namespace(const KvmCriu__Tap *tap, int fd)
{
	int namespace = ioctl(fd, TUNGETDEVNETNS);
	struct stat own, its;
	bool same;

	if (namespace < 0) {
		pr_perror("Tap %s: can't get its network namespace", tap->name);
		return -1;
	}
	same = !fstat(namespace, &its) && !stat("/proc/self/ns/net", &own) &&
	       own.st_dev == its.st_dev && own.st_ino == its.st_ino;
	close(namespace);
	return same ? 0 : refuse_tap(tap, "it is in another network namespace than its VMM");
}

static int read_tap(KvmCriu__Tap *tap, int fd)
{
	struct sock_fprog filter = {};
	struct ifreq ifr = {};

	tap->version = TAP_VERSION;
	tap->dump = dump_id();
	tap->file_flags = fcntl(fd, F_GETFL);
	if (ioctl(fd, TUNGETIFF, &ifr)) {
		/* It is open, and no interface's. */
		if (errno == EBADFD)
			return 0;
		pr_perror("Can't read the name of a tap");
		return -1;
	}
	if (set_string(&tap->name, ifr.ifr_name, sizeof(ifr.ifr_name)))
		return -1;
	tap->detached = ifr.ifr_flags & IFF_DETACH_QUEUE;
	if (ifr.ifr_flags & IFF_TUN)
		return refuse_tap(tap, "it is a tun device, without Ethernet");
	/* IFF_NOFILTER would tell, if it were not IFF_NO_PI, too. */
	if (ioctl(fd, TUNGETFILTER, &filter) || filter.len)
		return refuse_tap(tap, "it has a packet filter, which can't be read");
	if (fcntl(fd, F_GETOWN))
		return refuse_tap(tap, "it signals its I/O to a process");
	return check_namespace(tap, fd) ? -1 : read_interface(tap, fd);
}

static void free_tap(struct tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd);
	if (tap->placeholder >= 0)
		close(tap->placeholder);
	free_message(tap->image);
	free(tap);
}

/* @fd becomes the new tap's. */
static struct tap *add_tap(int fd)
{
	struct tap *tap = calloc(1, sizeof(*tap));

	if (!tap) {
		pr_err("Out of memory\n");
		close(fd);
		return NULL;
	}
	tap->fd = fd;
	tap->placeholder = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (tap->placeholder < 0)
		pr_perror("Can't open /dev/kvm");
	tap->image = new_message(&kvm_criu__tap__descriptor);
	if (tap->placeholder < 0 || !tap->image || read_tap(tap->image, fd)) {
		free_tap(tap);
		return NULL;
	}
	tap->next = taps;
	taps = tap;
	return tap;
}

/* One that is held already, of this process or another, is held once. */
static struct tap *hold_tap(int fd)
{
	struct tap *tap;
	int same;

	for (tap = taps; tap; tap = tap->next) {
		same = is_same_file(getpid(), tap->fd, getpid(), fd);
		if (!same)
			continue;
		close(fd);
		return same < 0 ? NULL : tap;
	}
	return add_tap(fd);
}

static int read_fd_flags(pid_t pid, struct tap_fd *tap)
{
	struct fdinfo info;
	const char *text;

	if (read_fdinfo(&info, pid, tap->fd))
		return -1;
	text = next_fdinfo(&info, "flags", NULL);
	tap->cloexec = text && strtoul(text, NULL, 8) & O_CLOEXEC;
	free_fdinfo(&info);
	return 0;
}

int hold_taps(const struct kvm_process *process)
{
	struct tap *tap;
	size_t i;
	int fd;

	for (i = 0; i < process->nr_taps; i++) {
		struct tap_fd *found = &process->taps[i];

		if (read_fd_flags(process->pid, found))
			return -1;
		fd = get_fd(process->pid, found->fd);
		tap = fd < 0 ? NULL : hold_tap(fd);
		if (!tap) {
			pr_err("Process %d, fd %d: the tap can't be saved\n", process->pid,
			       found->fd);
			return -1;
		}
		found->held = tap->fd;
		found->placeholder = tap->placeholder;
	}
	return 0;
}

unsigned int count_taps(void)
{
	unsigned int count = 0;
	const struct tap *tap;

	for (tap = taps; tap; tap = tap->next)
		count++;
	return count;
}

int save_tap(int fd, uint32_t id)
{
	const struct tap *tap;
	char name[IMAGE_NAME_LEN];
	int same;

	for (tap = taps; tap; tap = tap->next) {
		same = is_same_file(getpid(), tap->placeholder, getpid(), fd);
		if (same < 0)
			return -1;
		if (!same)
			continue;
		snprintf(name, sizeof(name), "kvm-tap-%x.img", id);
		return save_message(name, &tap->image->base);
	}
	return -ENOTSUP;
}

void drop_taps(void)
{
	struct tap *tap;

	while ((tap = taps)) {
		taps = tap->next;
		free_tap(tap);
	}
}
