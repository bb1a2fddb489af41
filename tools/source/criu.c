// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables from a CRIU image folder, as the plugin of this project leaves them there: an image
 * kvm-tce-VM-LIOBN.img for each (proto/kvm_criu.proto), VM decimal and LIOBN hexadecimal.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "source/source.h"

struct table_file {
	uint64_t vm, liobn;
	char *path;
};

struct criu_source {
	struct source base;
	const char *folder;
	struct table_file *files;
	size_t count;
	size_t next; /* file that comes after the open one */
	bool again;
	struct source *image; /* of files[next - 1] */
};

static bool parse_name(const char *name, uint64_t *vm, uint64_t *liobn)
{
	static const char prefix[] = "kvm-tce-";
	char *end;

	if (strncmp(name, prefix, strlen(prefix)))
		return false;
	errno = 0;
	*vm = strtoull(name + strlen(prefix), &end, 10);
	if (*end != '-')
		return false;
	*liobn = strtoull(end + 1, &end, 16);
	return !errno && !strcmp(end, ".img");
}

static int add_file(struct criu_source *criu, const char *folder, const char *name,
		    struct tce_error *err)
{
	struct table_file file, *files;

	if (!parse_name(name, &file.vm, &file.liobn))
		return TCE_OK;
	files = reallocarray(criu->files, criu->count + 1, sizeof(*files));
	if (files)
		criu->files = files;
	if (!files || asprintf(&file.path, "%s/%s", folder, name) < 0)
		return no_memory(err, "the folder's list");
	files[criu->count++] = file;
	return TCE_OK;
}

static int compare_files(const void *a, const void *b)
{
	const struct table_file *one = a, *two = b;

	if (one->vm != two->vm)
		return one->vm < two->vm ? -1 : 1;
	return one->liobn < two->liobn ? -1 : one->liobn > two->liobn;
}

static int list_folder(struct criu_source *criu, const char *folder, struct tce_error *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool has_vm = false;
	int ret = TCE_OK;

	if (!dir)
		return tce_set_error(err, TCE_ERR_IO, errno, "can't read the folder");
	for (errno = 0; !ret && (entry = readdir(dir)); errno = 0) {
		has_vm |= !strncmp(entry->d_name, "kvm-vm-", 7);
		ret = add_file(criu, folder, entry->d_name, err);
	}
	if (!ret && errno)
		ret = tce_set_error(err, TCE_ERR_IO, errno, "can't read the folder");
	closedir(dir);
	if (!ret && !has_vm && !criu->count)
		ret = tce_set_error(err, TCE_ERR_NOT_IMAGE, 0,
				    "not a CRIU image folder with a KVM virtual machine in it");
	if (criu->count)
		qsort(criu->files, criu->count, sizeof(*criu->files), compare_files);
	return ret;
}

/* A folder from elsewhere may have anything under an image's name: a FIFO would be waited for. */
static int check_file(const char *path, struct tce_error *err)
{
	struct stat st;
	int ret = TCE_OK;

	if (stat(path, &st))
		ret = tce_set_error(err, TCE_ERR_IO, errno, "cannot be opened");
	else if (!S_ISREG(st.st_mode))
		ret = tce_set_error(err, TCE_ERR_NOT_IMAGE, 0, "it is not a file");
	if (ret < 0)
		name_error(err, path);
	return ret;
}

static int open_table(struct criu_source *criu, const char *path, struct tce_error *err)
{
	struct input *input;
	int ret = check_file(path, err);

	if (!ret)
		ret = open_input(&input, path, err);
	if (!ret)
		ret = open_image_source(&criu->image, input, criu->again, err);
	if (ret < 0)
		criu->image = NULL;
	return ret;
}

static int criu_next_table(struct source *source, struct tce_geometry *geometry,
			   struct tce_error *err)
{
	struct criu_source *criu = (struct criu_source *)source;
	const struct table_file *file;
	int ret;

	for (;;) {
		if (criu->image) {
			ret = criu->image->ops->next_table(criu->image, geometry, err);
			if (ret)
				break;
			close_source(criu->image);
			criu->image = NULL;
		}
		if (criu->next == criu->count)
			return 0;
		ret = open_table(criu, criu->files[criu->next++].path, err);
		if (ret < 0)
			return ret;
	}
	file = &criu->files[criu->next - 1];
	if (ret > 0 && geometry->liobn != file->liobn) {
		ret = tce_set_error(err, TCE_ERR_GEOMETRY, 0,
				    "the image is of LIOBN 0x%" PRIx64
				    ", and its name says another one",
				    geometry->liobn);
		name_error(err, file->path);
	}
	/*
	 * An image that was put there by hand may name another VM, or none: the folder's word
	 * counts.
	 */
	if (ret > 0) {
		geometry->has_vm = true;
		geometry->vm = file->vm;
	}
	return ret;
}

static int criu_next_extent(struct source *source, struct tce_extent *extent, struct tce_error *err)
{
	struct criu_source *criu = (struct criu_source *)source;

	return criu->image->ops->next_extent(criu->image, extent, err);
}

static int criu_skip_table(struct source *source, struct tce_error *err)
{
	struct criu_source *criu = (struct criu_source *)source;

	return criu->image->ops->skip_table(criu->image, err);
}

static int criu_rewind(struct source *source, struct tce_error *err)
{
	struct criu_source *criu = (struct criu_source *)source;

	close_source(criu->image);
	criu->image = NULL;
	criu->next = 0;
	return TCE_OK;
}

static int criu_check(struct source *source, struct tce_error *err)
{
	return check_criu_folder(((struct criu_source *)source)->folder, err);
}

static void criu_close(struct source *source)
{
	struct criu_source *criu = (struct criu_source *)source;
	size_t i;

	close_source(criu->image);
	for (i = 0; i < criu->count; i++)
		free(criu->files[i].path);
	free(criu->files);
	free(criu);
}

static const struct source_ops criu_ops = {
	.next_table = criu_next_table,
	.next_extent = criu_next_extent,
	.skip_table = criu_skip_table,
	.rewind = criu_rewind,
	.check = criu_check,
	.close = criu_close,
};

int open_criu_source(struct source **source, const char *folder, bool again, struct tce_error *err)
{
	struct criu_source *criu = calloc(1, sizeof(*criu));
	int ret;

	if (!criu)
		return no_memory(err, "a folder");
	criu->base.ops = &criu_ops;
	criu->folder = folder;
	criu->again = again;
	snprintf(criu->base.name, sizeof(criu->base.name), "%s", folder);
	ret = list_folder(criu, folder, err);
	if (ret < 0) {
		name_error(err, folder);
		criu_close(&criu->base);
		return ret;
	}
	*source = &criu->base;
	return TCE_OK;
}
