// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM may have open beside KVM that nobody can save.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kvm-plugin.h"

/*
 * What a VMM may have open for a device of its guest, and whose state only the kernel has. CRIU
 * can't save it either, but finds out late, and does not say what it was for.
 */
static const struct alien {
	const char *link; /* its beginning */
	const char *what;
} aliens[] = {
	{ "/dev/vhost-scsi", "vhost-scsi: use a disk of the VMM's own" },
	{ "/dev/vhost-v", "vhost: unplug the device first" },
	{ "/dev/vfio/", "VFIO: unplug the device first" },
	{ "/dev/iommu", "VFIO: unplug the device first" },
	{ "anon_inode:[vfio", "VFIO: unplug the device first" },
	{ "/dev/tap", "macvtap: use another network backend" },
	{ "/dev/sg", "SCSI passthrough: give the guest the disk as a block device" },
	{ "/dev/bsg/", "SCSI passthrough: give the guest the disk as a block device" },
	{ "/dev/bus/usb/", "USB passthrough: unplug the device first" },
	{ "/dev/hidraw", "USB passthrough: unplug the device first" },
	{ "/dev/input/", "input passthrough: unplug the device first" },
	{ "/dev/tpm", "TPM passthrough: use an emulator" },
	{ "/dev/hwrng", "the host's random number generator: use /dev/urandom" },
	{ "/dev/dri/", "the host's graphics: use another display" },
	{ "/dev/snd/", "the host's sound: use another backend" },
	{ "anon_inode:[io_uring]",
	  "io_uring: QEMU has it for aio=io_uring, for I/O threads, and from 10.2 on for its main "
	  "loop, unless sysctl kernel.io_uring_disabled=2 is set before it starts" },
	{ "anon_inode:[userfaultfd]", "userfaultfd: wait for the end of the migration" },
};

/* What only has such a name may be saved as any other file. */
static bool is_no_device(const struct kvm_process *process, int fd)
{
	char path[PATH_LEN];
	struct stat st;

	proc_path(path, process->pid, "fd", fd);
	return !stat(path, &st) && !S_ISCHR(st.st_mode);
}

/* Remembered only: without KVM, it is none of this plugin's business. */
int add_alien_fd(struct kvm_process *process, int fd, const char *link)
{
	struct alien_fd *more;
	size_t i;

	for (i = 0; i < ARRAY_LEN(aliens); i++)
		if (!strncmp(link, aliens[i].link, strlen(aliens[i].link)))
			break;
	if (i == ARRAY_LEN(aliens) || (link[0] == '/' && is_no_device(process, fd)))
		return 0;
	more = reallocarray(process->aliens, process->nr_aliens + 1, sizeof(*more));
	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	process->aliens = more;
	more[process->nr_aliens++] = (struct alien_fd){ .fd = fd, .what = aliens[i].what };
	return 0;
}
