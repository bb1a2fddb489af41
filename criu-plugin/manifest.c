// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-dump.img: what a dump has left in the image folder. A folder may be incomplete, because it
 * was not carried whole, or hold images of an older dump. Nothing else would tell: CRIU asks for
 * files one by one, and a process whose image is missing would be let run without its mappings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-plugin.h"

#define MANIFEST	 "kvm-dump.img"
#define MANIFEST_VERSION 1

/* Of the dump that is being written or restored. */
static KvmCriu__Dump *manifest;

/* Open files of the dumped processes, one fd each: what CRIU will ask to have dumped. */
struct open_file {
	pid_t pid;
	struct kvm_fd fd;
};

static struct open_file *open_files;
static bool stale_are_gone;

int start_manifest(void)
{
	drop_manifest();
	manifest = new_message(&kvm_criu__dump__descriptor);
	if (!manifest)
		return -1;
	manifest->version = MANIFEST_VERSION;
	if (getrandom(&manifest->id, sizeof(manifest->id), 0) == sizeof(manifest->id))
		return 0;
	pr_perror("No random number");
	return -1;
}

void drop_manifest(void)
{
	free_message(manifest);
	manifest = NULL;
	free(open_files);
	open_files = NULL;
	stale_are_gone = false;
}

uint64_t dump_id(void)
{
	return manifest->id;
}

/* ---- at a dump ---- */

int note_image(const char *name)
{
	KvmCriu__Image *image;
	struct stat st;

	if (fstatat(criu_get_image_dir(), name, &st, 0)) {
		pr_perror("Can't find image %s", name);
		return -1;
	}
	image = add_element(&manifest->n_image, &manifest->image, &kvm_criu__image__descriptor);
	if (!image || set_string(&image->name, name, strlen(name)))
		return -1;
	image->size = st.st_size;
	return 0;
}

static int note_file(pid_t pid, const struct kvm_fd *fd)
{
	struct open_file *more;
	size_t i;
	int ret;

	for (i = 0; i < manifest->files; i++) {
		ret = is_same_object(open_files[i].pid, &open_files[i].fd, pid, fd);
		if (ret)
			return ret < 0 ? -1 : 0;
	}
	more = reallocarray(open_files, manifest->files + 1, sizeof(*more));
	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	open_files = more;
	more[manifest->files++] = (struct open_file){ .pid = pid, .fd = *fd };
	return 0;
}

int save_manifest(const struct kvm_process *process, unsigned int taps)
{
	size_t i;

	for (i = 0; i < process->nr_fds; i++)
		if (note_file(process->pid, &process->fds[i]))
			return -1;
	manifest->taps = taps;
	manifest->has_taps = taps;
	return save_message(MANIFEST, &manifest->base);
}

static const KvmCriu__Image *find_image(const char *name)
{
	size_t i;

	for (i = 0; manifest && i < manifest->n_image; i++)
		if (!strcmp(manifest->image[i]->name, name))
			return manifest->image[i];
	return NULL;
}

static int remove_stale(const char *name)
{
	if (find_image(name) || !strcmp(name, MANIFEST))
		return 0;
	if (unlinkat(criu_get_image_dir(), name, 0)) {
		pr_perror("Can't remove %s, which is of an older dump", name);
		return -1;
	}
	pr_info("%s was of an older dump\n", name);
	return 0;
}

int remove_stale_images(void)
{
	if (stale_are_gone)
		return 0;
	stale_are_gone = true;
	return for_each_image("kvm-", remove_stale);
}

/* Is the other end of a socket the program that CRIU hands its images to? */
static bool is_streamer(int fd)
{
	static const char name[] = "/streamer-capture.sock";
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = {};
	struct sockaddr_un addr = {};
	socklen_t len = sizeof(addr);
	size_t path_len;

	if (getpeername(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX)
		return false;
	memcpy(path, addr.sun_path, sizeof(addr.sun_path));
	path_len = strlen(path);
	return path_len >= strlen(name) && !strcmp(path + path_len - strlen(name), name);
}

bool images_are_streamed(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	bool streamed = false;

	while (dir && !streamed && (entry = readdir(dir)))
		streamed = is_streamer(atoi(entry->d_name));
	if (dir)
		closedir(dir);
	return streamed;
}

/* ---- at a restore ---- */

static int check_listed(const KvmCriu__Image *image)
{
	struct stat st;

	if (fstatat(criu_get_image_dir(), image->name, &st, AT_SYMLINK_NOFOLLOW)) {
		pr_perror("The image folder is not complete: %s", image->name);
		return -1;
	}
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == image->size)
		return 0;
	pr_err("The image folder is not complete: %s has %jd bytes of %" PRIu64 "\n", image->name,
	       (intmax_t)st.st_size, image->size);
	return -1;
}

int load_manifest(void)
{
	size_t i;
	int failed;

	drop_manifest();
	manifest = load_message(MANIFEST, &kvm_criu__dump__descriptor, true, &failed);
	if (!manifest) {
		if (!failed)
			pr_err("The image folder is not complete: it has VMs, but no " MANIFEST
			       "\n");
		return -1;
	}
	if (manifest->version != MANIFEST_VERSION) {
		pr_err(MANIFEST " has a version that this plugin does not know\n");
		return -1;
	}
	for (i = 0; i < manifest->n_image; i++) {
		const KvmCriu__Image *image = manifest->image[i];

		if (!is_image_name(image->name)) {
			pr_err(MANIFEST " lists a file that is no image of this plugin\n");
			return -1;
		}
		if (check_listed(image))
			return -1;
	}
	return 0;
}

bool is_listed(const char *name)
{
	return find_image(name);
}

int for_each_listed(const char *prefix, int (*each)(const char *name))
{
	size_t i;

	for (i = 0; i < manifest->n_image; i++)
		if (!strncmp(manifest->image[i]->name, prefix, strlen(prefix)) &&
		    each(manifest->image[i]->name))
			return -1;
	return 0;
}

int check_file_count(unsigned int files)
{
	if (files == manifest->files)
		return 0;
	pr_err("The image folder is not complete: it has %u of %u kvm-file images\n", files,
	       manifest->files);
	return -1;
}

unsigned int tap_count(void)
{
	return manifest->taps;
}
