// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plugin's files in CRIU's image folder. proto/kvm_criu.proto describes the framing. They
 * are read as root and may have come over a network: nothing is believed before its hash and
 * its size are checked.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criu/criu-plugin.h>
#include <xxhash.h>

#include "kvm-plugin.h"

#define MAGIC	    "KVMCRIU\n"
#define MAGIC_LEN   8
#define MESSAGE_MAX (256U << 20)

struct image {
	FILE *file;
	char name[IMAGE_NAME_LEN];
};

int open_image_fd(const char *name)
{
	/* Whoever opens a FIFO would wait for its writer. */
	int fd = openat(criu_get_image_dir(), name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	if (fd < 0) {
		pr_perror("Can't open image %s", name);
	} else {
		pr_err("Image %s is no regular file\n", name);
		close(fd);
	}
	return -1;
}

/* @fd becomes the image's. */
static struct image *new_image(const char *name, int fd, const char *mode)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image) {
		pr_err("Out of memory\n");
		close(fd);
		return NULL;
	}
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->file = fdopen(fd, mode);
	if (!image->file) {
		pr_perror("Can't open image %s", name);
		close(fd);
		free(image);
		return NULL;
	}
	return image;
}

struct image *create_image(const char *name)
{
	int fd = openat(criu_get_image_dir(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct image *image;

	if (fd < 0) {
		pr_perror("Can't open image %s", name);
		return NULL;
	}
	image = new_image(name, fd, "w");
	if (image && fwrite(MAGIC, MAGIC_LEN, 1, image->file) != 1) {
		pr_perror("Can't write image %s", name);
		close_image(image);
		return NULL;
	}
	return image;
}

struct image *open_image(const char *name)
{
	int fd = open_image_fd(name);
	struct image *image = fd < 0 ? NULL : new_image(name, fd, "r");
	char magic[MAGIC_LEN];

	if (image &&
	    (fread(magic, sizeof(magic), 1, image->file) != 1 || memcmp(magic, MAGIC, MAGIC_LEN))) {
		pr_err("%s is not an image of this plugin\n", name);
		close_image(image);
		return NULL;
	}
	return image;
}

void close_image(struct image *image)
{
	if (image)
		fclose(image->file);
	free(image);
}

int write_record(struct image *image, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint32_t le_size = htole32(size);
	uint64_t le_hash;
	uint8_t *buf;
	int ret = -1;

	if (!size || size > MESSAGE_MAX) {
		pr_err("%s: a record of %zu bytes does not fit\n", image->name, size);
		return -1;
	}
	buf = malloc(size);
	if (!buf) {
		pr_err("Out of memory\n");
		return -1;
	}
	protobuf_c_message_pack(message, buf);
	le_hash = htole64(XXH3_64bits(buf, size));
	if (fwrite(&le_size, sizeof(le_size), 1, image->file) != 1 ||
	    fwrite(buf, size, 1, image->file) != 1 ||
	    fwrite(&le_hash, sizeof(le_hash), 1, image->file) != 1)
		pr_perror("Can't write image %s", image->name);
	else
		ret = 0;
	free(buf);
	return ret;
}

int finish_image(struct image *image)
{
	uint32_t end = 0;
	int ret = fwrite(&end, sizeof(end), 1, image->file) == 1 ? 0 : -1;

	/* Over a network, a full disk may be told of only now. */
	if (fclose(image->file))
		ret = -1;
	if (ret)
		pr_perror("Can't write image %s", image->name);
	free(image);
	return ret;
}

static int read_bytes(struct image *image, void *buf, size_t len)
{
	if (fread(buf, 1, len, image->file) == len)
		return 0;
	if (ferror(image->file))
		pr_perror("Can't read image %s", image->name);
	else
		pr_err("Image %s is torn\n", image->name);
	return -1;
}

void *read_record(struct image *image, const ProtobufCMessageDescriptor *type, int *failed)
{
	uint32_t size;
	uint64_t hash;
	uint8_t *buf = NULL;
	long pos = ftell(image->file);
	void *message = NULL;

	*failed = 1;
	if (read_bytes(image, &size, sizeof(size)))
		return NULL;
	size = le32toh(size);
	if (!size) {
		*failed = 0;
		return NULL;
	}
	if (size > MESSAGE_MAX) {
		pr_err("Image %s: the record at %ld claims %u bytes\n", image->name, pos, size);
		return NULL;
	}
	buf = malloc(size);
	if (!buf) {
		pr_err("Out of memory\n");
		return NULL;
	}
	if (read_bytes(image, buf, size) || read_bytes(image, &hash, sizeof(hash)))
		goto out;
	if (XXH3_64bits(buf, size) != le64toh(hash)) {
		pr_err("Image %s: the record at %ld is damaged\n", image->name, pos);
		goto out;
	}
	message = protobuf_c_message_unpack(type, NULL, size, buf);
	if (!message)
		pr_err("Image %s: the record at %ld is not a %s\n", image->name, pos, type->name);
	else
		*failed = 0;
out:
	free(buf);
	return message;
}

int save_message(const char *name, const ProtobufCMessage *message)
{
	struct image *image = create_image(name);

	if (!image)
		return -1;
	if (write_record(image, message)) {
		close_image(image);
		return -1;
	}
	return finish_image(image);
}

void *load_message(const char *name, const ProtobufCMessageDescriptor *type, bool optional,
		   int *failed)
{
	struct image *image;
	void *message, *more = NULL;

	*failed = 0;
	if (optional && faccessat(criu_get_image_dir(), name, F_OK, 0) && errno == ENOENT)
		return NULL;
	*failed = 1;
	image = open_image(name);
	if (!image)
		return NULL;
	message = read_record(image, type, failed);
	if (message)
		more = read_record(image, type, failed);
	if (!*failed && (!message || more)) {
		pr_err("Image %s: one record expected\n", name);
		*failed = 1;
	}
	if (more)
		protobuf_c_message_free_unpacked(more, NULL);
	if (*failed && message) {
		protobuf_c_message_free_unpacked(message, NULL);
		message = NULL;
	}
	close_image(image);
	return message;
}

bool is_image_name(const char *name)
{
	static const char *const prefixes[] = {
		"kvm-dump", "kvm-file-", "kvm-hpt-", "kvm-socket-",
		"kvm-tap-", "kvm-task-", "kvm-tce-", "kvm-vm-",
	};
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(prefixes); i++) {
		len = strlen(prefixes[i]);
		if (!strncmp(name, prefixes[i], len)) {
			name += len;
			return !strcmp(name + strspn(name, "0123456789abcdef-"), ".img");
		}
	}
	return false;
}

int for_each_image(const char *prefix, int (*each)(const char *name))
{
	int fd = openat(criu_get_image_dir(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		pr_perror("Can't read the image folder");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (!ret) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno) {
				pr_perror("Can't read the image folder");
				ret = -1;
			}
			break;
		}
		if (!strncmp(entry->d_name, prefix, strlen(prefix)) && is_image_name(entry->d_name))
			ret = each(entry->d_name);
	}
	closedir(dir);
	return ret;
}

void table_image_name(char *name, size_t size, uint64_t vm, uint64_t liobn)
{
	snprintf(name, size, "kvm-tce-%" PRIu64 "-%" PRIx64 ".img", vm, liobn);
}

int table_error(const struct tce_error *err, const char *name)
{
	struct tce_error named = *err;
	char line[512];

	snprintf(named.file, sizeof(named.file), "%s", name);
	pr_err("%s\n", tce_format_error(&named, line, sizeof(line)));
	return -1;
}
