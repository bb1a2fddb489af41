// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether a CRIU image folder has everything that the plugin of this project put into it:
 * kvm-dump.img names it (proto/kvm_criu.proto). What CRIU itself needs is not looked at.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "kvm_criu.pb-c.h"
#include "source/source.h"

#define BUFFER_SIZE 65536
#define MANIFEST    "kvm-dump.img"
#define MAGIC	    "KVMCRIU\n"
#define RECORD_MAX  (256U << 20)
#define MESSAGE_MAX (1U << 20) /* of those that are read here */

struct folder {
	int fd;
	const char *path;
	KvmCriu__Dump *dump;
	unsigned int files, taps;
	struct tce_error *err;
};

/* An error in one of the folder's files. */
static int bad_file(const struct folder *folder, const char *name, int status, const char *what)
{
	char path[PATH_MAX];

	tce_set_error(folder->err, status, status == TCE_ERR_IO ? errno : 0, "%s", what);
	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	name_error(folder->err, path);
	return status;
}

static int read_exactly(FILE *file, void *buf, size_t len)
{
	if (fread(buf, 1, len, file) == len)
		return TCE_OK;
	return ferror(file) ? TCE_ERR_IO : TCE_ERR_TORN;
}

/*
 * Go through the records of an image, with little memory. The first one's message is put into
 * @first if there is room for it.
 */
static int walk_records(FILE *file, void *first, size_t room, size_t *first_len)
{
	static uint8_t buf[BUFFER_SIZE];
	XXH3_state_t *state = XXH3_createState();
	uint32_t size = 1, left;
	uint64_t hash;
	int ret = state ? read_exactly(file, buf, strlen(MAGIC)) : TCE_ERR_NOMEM;

	*first_len = 0;
	if (!ret && memcmp(buf, MAGIC, strlen(MAGIC)))
		ret = TCE_ERR_NOT_IMAGE;
	while (!ret && size) {
		ret = read_exactly(file, &size, sizeof(size));
		size = le32toh(size);
		if (ret || !size)
			break;
		if (size > RECORD_MAX)
			ret = TCE_ERR_LIMIT;
		XXH3_64bits_reset(state);
		for (left = size; !ret && left;) {
			size_t len = left < sizeof(buf) ? left : sizeof(buf);

			ret = read_exactly(file, buf, len);
			XXH3_64bits_update(state, buf, len);
			if (!ret && size <= room)
				memcpy((uint8_t *)first + (size - left), buf, len);
			left -= len;
		}
		if (!ret)
			ret = read_exactly(file, &hash, sizeof(hash));
		if (!ret && le64toh(hash) != XXH3_64bits_digest(state))
			ret = TCE_ERR_CORRUPT;
		if (size <= room)
			*first_len = size;
		room = 0;
	}
	if (!ret && fgetc(file) != EOF)
		ret = TCE_ERR_CORRUPT;
	XXH3_freeState(state);
	return ret;
}

/* Is an image of records whole? *@message, if there is one, gets its first message, of @type. */
static int check_image(const struct folder *folder, const char *name,
		       const ProtobufCMessageDescriptor *type, void **message)
{
	int fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t *first = NULL;
	FILE *file = NULL;
	struct stat st;
	size_t len;
	int ret;

	if (fd < 0 || fstat(fd, &st))
		ret = bad_file(folder, name, TCE_ERR_IO, "can't open it");
	else if (!S_ISREG(st.st_mode))
		ret = bad_file(folder, name, TCE_ERR_NOT_IMAGE, "it is not a file");
	else if (!(file = fdopen(fd, "r")) || (message && !(first = malloc(MESSAGE_MAX))))
		ret = bad_file(folder, name, TCE_ERR_NOMEM, "no memory to read it");
	else
		ret = TCE_OK;
	if (ret)
		goto out;
	ret = walk_records(file, first, first ? MESSAGE_MAX : 0, &len);
	if (!ret && message) {
		*message = len ? protobuf_c_message_unpack(type, NULL, len, first) : NULL;
		if (!*message)
			ret = TCE_ERR_CORRUPT;
	}
	if (ret)
		bad_file(folder, name, ret, "the image is not whole");
out:
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	free(first);
	return ret;
}

/* Nothing but what the plugin's names are made of, so that a name can be opened and printed. */
static bool is_image_name(const char *name)
{
	return !strncmp(name, "kvm-", 4) &&
	       !strcmp(name + strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), ".img");
}

static int check_listed(const struct folder *folder, const KvmCriu__Image *image)
{
	struct stat st;

	if (!is_image_name(image->name))
		return bad_file(folder, MANIFEST, TCE_ERR_CORRUPT,
				"it lists a file that is not an image of the plugin");
	if (fstatat(folder->fd, image->name, &st, AT_SYMLINK_NOFOLLOW))
		return bad_file(folder, image->name, TCE_ERR_IO, "the folder is not complete");
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != image->size)
		return bad_file(folder, image->name, TCE_ERR_TORN,
				"its size is not the one that it was saved with");
	/* Tables are read by who asked. */
	return strncmp(image->name, "kvm-tce-", 8) ? check_image(folder, image->name, NULL, NULL) :
						     TCE_OK;
}

static int compare_names(const void *a, const void *b)
{
	const KvmCriu__Image *const *one = a, *const *two = b;

	return strcmp((*one)->name, (*two)->name);
}

/* Each is read from its beginning to its end, but only once, however often it is listed. */
static int check_all_listed(const struct folder *folder)
{
	KvmCriu__Image **images = folder->dump->image;
	const size_t count = folder->dump->n_image;
	size_t i;
	int ret = TCE_OK;

	if (count)
		qsort(images, count, sizeof(*images), compare_names);
	for (i = 0; !ret && i < count; i++) {
		if (i && !compare_names(&images[i - 1], &images[i]) &&
		    images[i - 1]->size == images[i]->size)
			continue;
		ret = check_listed(folder, images[i]);
	}
	return ret;
}

/* Count it, if it is of this dump. */
static int count_file(struct folder *folder, const char *name)
{
	KvmCriu__File *file;
	int ret;

	if (strncmp(name, "kvm-file-", 9) || !is_image_name(name))
		return TCE_OK;
	ret = check_image(folder, name, &kvm_criu__file__descriptor, (void **)&file);
	if (ret)
		return ret;
	folder->files += file->dump == folder->dump->id;
	protobuf_c_message_free_unpacked(&file->base, NULL);
	return TCE_OK;
}

static int count_tap(struct folder *folder, const char *name)
{
	KvmCriu__Tap *tap;
	int ret;

	if (strncmp(name, "kvm-tap-", 8) || !is_image_name(name))
		return TCE_OK;
	ret = check_image(folder, name, &kvm_criu__tap__descriptor, (void **)&tap);
	if (ret)
		return ret;
	folder->taps += tap->dump == folder->dump->id;
	protobuf_c_message_free_unpacked(&tap->base, NULL);
	return TCE_OK;
}

/* Of what CRIU's ids name, the manifest has only the number. */
static int check_count(struct folder *folder, const char *what, unsigned int count,
		       unsigned int expected)
{
	if (count == expected)
		return TCE_OK;
	tce_set_error(folder->err, TCE_ERR_TORN, 0,
		      "the folder is not complete: it has %u of %u %s images", count, expected,
		      what);
	name_error(folder->err, folder->path);
	return TCE_ERR_TORN;
}

static int count_files(struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	struct dirent *entry;
	int ret = TCE_OK;

	if (!dir)
		return bad_file(folder, "", TCE_ERR_IO, "can't read the folder");
	for (errno = 0; !ret && (entry = readdir(dir)); errno = 0) {
		ret = count_file(folder, entry->d_name);
		if (!ret)
			ret = count_tap(folder, entry->d_name);
	}
	if (!ret && errno)
		ret = bad_file(folder, "", TCE_ERR_IO, "can't read the folder");
	closedir(dir);
	if (!ret)
		ret = check_count(folder, "kvm-file", folder->files, folder->dump->files);
	if (!ret)
		ret = check_count(folder, "kvm-tap", folder->taps, folder->dump->taps);
	return ret;
}

int check_criu_folder(const char *path, struct tce_error *err)
{
	struct folder folder = { .path = path, .err = err };
	int ret;

	folder.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder.fd < 0)
		return bad_file(&folder, "", TCE_ERR_IO, "can't read the folder");
	ret = check_image(&folder, MANIFEST, &kvm_criu__dump__descriptor, (void **)&folder.dump);
	if (!ret) {
		ret = check_all_listed(&folder);
		if (!ret)
			ret = count_files(&folder);
		protobuf_c_message_free_unpacked(&folder.dump->base, NULL);
	}
	close(folder.fd);
	return ret;
}
