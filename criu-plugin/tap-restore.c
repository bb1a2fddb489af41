// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taps at a restore. A tap that is not there is made as it was; one that the admin has made before
 * is taken as it is, with the VMM's settings. Which bridge it is in is not the plugin's to say.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "tap.h"

static unsigned int found;

/* The whole name is one of an interface, and no path. */
static bool is_interface_name(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && strcmp(name, ".") && strcmp(name, "..") &&
	       !strpbrk(name, "/% \t\n");
}

static bool is_there(const char *name)
{
	int sock = open_interfaces();
	struct ifreq ifr = {};
	bool there;

	if (sock < 0)
		return false;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	there = !ioctl(sock, SIOCGIFINDEX, &ifr);
	close(sock);
	return there;
}

static int attach(const KvmCriu__Tap *tap, int fd)
{
	struct ifreq ifr = { .ifr_flags = (short)(tap->flags & TAP_FLAGS) };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", tap->name);
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return 0;
	if (errno == EBUSY)
		pr_err("Tap %s is in use here\n", tap->name);
	else if (errno == EINVAL && is_there(tap->name))
		pr_err("The interface %s is not like the VM's tap, which had %s\n", tap->name,
		       tap->flags & IFF_MULTI_QUEUE ? "several queues" : "a single queue");
	else
		pr_perror("Can't get tap %s", tap->name);
	return -1;
}

static KvmCriu__Tap *load_tap(const char *name, int *failed)
{
	KvmCriu__Tap *tap = load_message(name, &kvm_criu__tap__descriptor, true, failed);

	if (!tap || tap->dump != dump_id())
		return tap;
	if (tap->version == TAP_VERSION && (!tap->name || is_interface_name(tap->name)))
		return tap;
	pr_err("%s has a version or a name that this plugin does not know\n", name);
	free_message(tap);
	*failed = 1;
	return NULL;
}

/* The tap of another VM may have that name here. Its frames are not for this one. */
static int check_users(const KvmCriu__Tap *tap)
{
	unsigned int queues;

	if (count_queues(tap->name, &queues))
		return -1;
	if (!queues)
		return 0;
	pr_err("Tap %s is in use here\n", tap->name);
	return -1;
}

/* Only one that is there can be in somebody else's hands. */
static int check_tap(const char *name)
{
	KvmCriu__Tap *tap;
	int failed, fd, ret = 0;

	tap = load_tap(name, &failed);
	if (!tap)
		return -1;
	if (tap->dump == dump_id()) {
		found++;
		fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			pr_perror("The VM has a tap, and " TUN_DEVICE " can't be opened");
			ret = -1;
		} else {
			if (tap->name && is_there(tap->name))
				ret = check_users(tap) || attach(tap, fd) ? -1 : 0;
			close(fd);
		}
	}
	free_message(tap);
	return ret;
}

int check_taps(unsigned int expected)
{
	found = 0;
	if (for_each_image("kvm-tap-", check_tap))
		return -1;
	if (found == expected)
		return 0;
	pr_err("The image folder is not complete: it has %u of %u kvm-tap images\n", found,
	       expected);
	return -1;
}

static int make_tap(const KvmCriu__Tap *tap, int fd)
{
	struct ifreq queue = { .ifr_flags = IFF_DETACH_QUEUE };
	bool new_one;

	if (!tap->name)
		return 0;
	new_one = !is_there(tap->name);
	if (attach(tap, fd) || write_queue(tap, fd) || (new_one && write_interface(tap, fd)))
		return -1;
	if (tap->detached && ioctl(fd, TUNSETQUEUE, &queue)) {
		pr_perror("Can't detach a queue of tap %s", tap->name);
		return -1;
	}
	pr_info("tap %s %s\n", tap->name, new_one ? "was made" : "existed, and is used");
	return 0;
}

int restore_tap(uint32_t id)
{
	KvmCriu__Tap *tap;
	char name[IMAGE_NAME_LEN];
	int failed, fd;

	snprintf(name, sizeof(name), "kvm-tap-%x.img", id);
	tap = load_tap(name, &failed);
	if (!tap || tap->dump != dump_id()) {
		free_message(tap);
		return failed ? -1 : -ENOTSUP;
	}
	fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		pr_perror("Can't open " TUN_DEVICE);
	} else if (make_tap(tap, fd) || fcntl(fd, F_SETFL, tap->file_flags & O_NONBLOCK) < 0) {
		close(fd);
		fd = -1;
	}
	free_message(tap);
	return fd;
}
