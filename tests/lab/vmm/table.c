// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCE tables: creating them, reading them back, and the model of what they should hold. The model
 * is written from PAPR (LoPAPR 14.5.4.2) and from what KVM's api.rst says, not from the kernel's
 * handlers, so that a mistake there shows.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tce-kvm.h"
#include "vm.h"

struct table *table_find(struct vm *vm, u64 liobn)
{
	struct table *found = NULL;

	pthread_mutex_lock(&vm->lock);
	for (int i = 0; i < vm->ntables && !found; i++)
		if (vm->table[i]->liobn == liobn && vm->table[i]->fd >= 0)
			found = vm->table[i];
	pthread_mutex_unlock(&vm->lock);
	return found;
}

/* Only a patched kernel says in fdinfo which table an fd is. */
static bool has_file_interface(int fd)
{
	char path[64], line[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		found |= !strncmp(line, "tce-liobn:", 10);
	if (f)
		fclose(f);
	return found;
}

static u64 shadow_chunks(const struct table *t)
{
	return (t->entries + SHADOW_CHUNK - 1) / SHADOW_CHUNK;
}

/* A closed table's place in the list, or a new one. */
static struct table *table_slot(struct vm *vm)
{
	struct table *t;

	for (int i = 0; i < vm->ntables; i++)
		if (vm->table[i]->fd < 0)
			return vm->table[i];
	if (vm->ntables == MAX_TABLES)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->fd = -1;
	vm->table[vm->ntables++] = t;
	return t;
}

int table_create(struct vm *vm, u64 liobn, u64 page_shift, u64 offset, u64 entries)
{
	struct kvm_create_spapr_tce_64 args = {
		.liobn = liobn,
		.page_shift = (__u32)page_shift,
		.offset = offset,
		.size = entries,
	};
	int fd = ioctl(vm->fd, KVM_CREATE_SPAPR_TCE_64, &args);
	struct table *t;
	u64 **shadow;

	if (fd < 0)
		return -errno;
	shadow = calloc((entries + SHADOW_CHUNK - 1) / SHADOW_CHUNK, sizeof(*shadow));
	pthread_mutex_lock(&vm->lock);
	t = shadow ? table_slot(vm) : NULL;
	if (t)
		*t = (struct table){
			.vm = vm,
			.fd = fd,
			.file = has_file_interface(fd),
			.liobn = liobn,
			.page_shift = page_shift,
			.offset = offset,
			.entries = entries,
			.shadow = shadow,
		};
	pthread_mutex_unlock(&vm->lock);
	if (!t) {
		free(shadow);
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

void table_close(struct table *t)
{
	if (t->fd < 0)
		return;
	if (t->map)
		munmap(t->map, t->map_size);
	t->map = NULL;
	close(t->fd);
	for (u64 i = 0; i < shadow_chunks(t); i++)
		free(t->shadow[i]);
	free(t->shadow);
	t->shadow = NULL;
	pthread_mutex_lock(&t->vm->lock);
	t->fd = -1;
	pthread_mutex_unlock(&t->vm->lock);
}

int table_map(struct table *t, int prot, int flags, u64 first_page, u64 npages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = npages * page;
	void *map;

	if (!npages)
		size = (t->entries * 8 + page - 1) / page * page;
	map = mmap(NULL, size, prot, flags, t->fd, (off_t)(first_page * page));
	if (map == MAP_FAILED)
		return -errno;
	if (t->map)
		munmap(t->map, t->map_size);
	t->map = map;
	t->map_size = size;
	return 0;
}

u64 shadow_get(const struct table *t, u64 index)
{
	const u64 *chunk = t->shadow[index / SHADOW_CHUNK];

	return chunk ? chunk[index % SHADOW_CHUNK] : 0;
}

void shadow_set(struct table *t, u64 index, u64 tce)
{
	u64 **chunk = &t->shadow[index / SHADOW_CHUNK];

	if (!*chunk) {
		if (!tce)
			return;
		*chunk = calloc(SHADOW_CHUNK, sizeof(u64));
		if (!*chunk)
			die("out of memory");
	}
	(*chunk)[index % SHADOW_CHUNK] = tce;
}

int table_read(struct table *t, u64 index, u64 n, u64 *buf)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	u64 start = index * 8 / page * page, end = (index + n) * 8;
	const char *map;
	ssize_t got;

	if (t->file) {
		for (u64 have = 0; have < n * 8; have += (u64)got) {
			got = pread(t->fd, (char *)buf + have, n * 8 - have,
				    (off_t)(index * 8 + have));
			if (got <= 0)
				return got ? -errno : -ENODATA;
		}
		return 0;
	}
	map = mmap(NULL, end - start, PROT_READ, MAP_SHARED, t->fd, (off_t)start);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(buf, map + (index * 8 - start), n * 8);
	munmap((void *)(uintptr_t)map, end - start);
	return 0;
}

int table_dirty_start(struct table *t)
{
	return ioctl(t->fd, KVM_SPAPR_TCE_START_DIRTY_LOG) ? -errno : 0;
}

int table_dirty_stop(struct table *t)
{
	return ioctl(t->fd, KVM_SPAPR_TCE_STOP_DIRTY_LOG) ? -errno : 0;
}

int table_dirty_get(struct table *t, int (*fn)(struct table *, u64, u64), u64 *entries)
{
	u64 group = 1UL << KVM_SPAPR_TCE_DIRTY_SHIFT;
	u64 words = (t->entries + 64 * group - 1) / (64 * group);
	u64 *bitmap = calloc(words, sizeof(*bitmap));
	struct kvm_spapr_tce_dirty_log log = { .count = t->entries, .bitmap = (u64)bitmap };
	int ret = 0;

	if (!bitmap)
		return -ENOMEM;
	if (ioctl(t->fd, KVM_SPAPR_TCE_GET_DIRTY_LOG, &log))
		ret = -errno;
	*entries = 0;
	for (u64 first = 0; first < t->entries && !ret; first += group) {
		u64 n = t->entries - first < group ? t->entries - first : group;

		if (!(bitmap[first / group / 64] >> (first / group % 64) & 1))
			continue;
		*entries += n;
		if (fn)
			ret = fn(t, first, n);
	}
	free(bitmap);
	return ret;
}

int table_poke(struct table *t, u64 index, u64 tce)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	u64 *map;

	if (t->file)
		return pwrite(t->fd, &tce, 8, (off_t)(index * 8)) == 8 ? 0 : -errno;
	map = mmap(NULL, page, PROT_WRITE, MAP_SHARED, t->fd, (off_t)(index * 8 / page * page));
	if (map == MAP_FAILED)
		return -errno;
	map[index % (page / 8)] = tce;
	munmap(map, page);
	return 0;
}

/*
 * Call fn for each chunk that the kernel or the shadow may have something in. Holes of a patched
 * kernel's table are skipped, so that a sparse table of 2^26 entries costs little.
 */
static long for_each_chunk(struct table *t,
			   long (*fn)(struct table *, u64, u64, const u64 *, void *), void *arg)
{
	u64 *buf = malloc(SHADOW_CHUNK * sizeof(u64));
	u64 next_data = 0;
	long ret = 0;

	if (!buf)
		return -ENOMEM;
	for (u64 i = 0; i < shadow_chunks(t) && ret >= 0; i++) {
		u64 first = i * SHADOW_CHUNK;
		u64 n = t->entries - first < SHADOW_CHUNK ? t->entries - first : SHADOW_CHUNK;

		if (t->file && next_data <= first * 8) {
			off_t at = lseek(t->fd, (off_t)(first * 8), SEEK_DATA);

			if (at < 0 && errno != ENXIO) {
				ret = -errno;
				break;
			}
			next_data = at < 0 ? UINT64_MAX : (u64)at;
		}
		if (t->file && next_data >= (first + n) * 8 && !t->shadow[i])
			continue;
		ret = table_read(t, first, n, buf);
		if (!ret)
			ret = fn(t, first, n, buf, arg);
	}
	free(buf);
	return ret;
}

static long load_chunk(struct table *t, u64 first, u64 n, const u64 *buf, void *arg)
{
	for (u64 i = 0; i < n; i++)
		shadow_set(t, first + i, buf[i]);
	return 0;
}

int table_load(struct table *t)
{
	return (int)for_each_chunk(t, load_chunk, NULL);
}

static long look_for_entry(struct table *t, u64 first, u64 n, const u64 *buf, void *arg)
{
	for (u64 i = 0; i < n; i++)
		if (buf[i])
			return -EEXIST;
	return 0;
}

int table_is_empty(struct table *t)
{
	int ret = (int)for_each_chunk(t, look_for_entry, NULL);

	return ret == -EEXIST ? 0 : ret ? ret : 1;
}

struct difference {
	long count;
	u64 index, want, got;
};

static long compare_chunk(struct table *t, u64 first, u64 n, const u64 *buf, void *arg)
{
	struct difference *diff = arg;

	for (u64 i = 0; i < n; i++) {
		u64 want = shadow_get(t, first + i);

		if (buf[i] != want && !diff->count++) {
			diff->index = first + i;
			diff->want = want;
			diff->got = buf[i];
		}
	}
	return 0;
}

long table_compare(struct table *t, u64 *index, u64 *want, u64 *got)
{
	struct difference diff = { 0 };
	long ret = for_each_chunk(t, compare_chunk, &diff);

	if (ret < 0)
		return ret;
	*index = diff.index;
	*want = diff.want;
	*got = diff.got;
	return diff.count;
}

static void *guest_memory(struct vm *vm, u64 gpa)
{
	for (int i = 0; i < MAX_SLOTS; i++) {
		struct slot *s = &vm->slot[i];

		if (s->size && gpa >= s->gpa && gpa - s->gpa < s->size)
			return s->mem + (gpa - s->gpa);
	}
	return NULL;
}

/* The n I/O pages from ioba on are in the window, and ioba is the start of a page. */
static bool in_window(const struct table *t, u64 ioba, u64 n)
{
	u64 io_page = ioba >> t->page_shift;

	return (io_page << t->page_shift) == ioba && io_page >= t->offset &&
	       io_page - t->offset <= t->entries && n <= t->entries - (io_page - t->offset);
}

/* An entry with permissions must point to the start of an I/O page in guest memory. */
static bool tce_good(struct vm *vm, const struct table *t, u64 tce)
{
	u64 gpa = tce & ~(u64)H_PAGE_SIZE_TCE;

	return gpa == tce ||
	       (gpa >> t->page_shift << t->page_shift == gpa && guest_memory(vm, gpa));
}

static long model_put(struct vm *vm, struct table *t, struct guest_op *op)
{
	u64 ioba = op->in[2], tce = op->in[3];

	if (!in_window(t, ioba, 1))
		return H_PARAMETER;
	if (!tce_good(vm, t, tce)) {
		op->exited = 1;
		return H_PARAMETER;
	}
	shadow_set(t, (ioba >> t->page_shift) - t->offset, tce);
	return H_SUCCESS;
}

static long model_get(struct table *t, struct guest_op *op)
{
	u64 ioba = op->in[2];

	if (!in_window(t, ioba, 1))
		return H_PARAMETER;
	op->out[1] = shadow_get(t, (ioba >> t->page_shift) - t->offset);
	return H_SUCCESS;
}

static long model_stuff(struct table *t, struct guest_op *op)
{
	u64 ioba = op->in[2], tce = op->in[3], n = op->in[4];

	if (!in_window(t, ioba, n) || tce & H_PAGE_SIZE_TCE)
		return H_PARAMETER;
	for (u64 i = 0; i < n; i++)
		shadow_set(t, (ioba >> t->page_shift) - t->offset + i, tce);
	return H_SUCCESS;
}

static long model_indirect(struct vm *vm, struct table *t, struct guest_op *op)
{
	u64 ioba = op->in[2], list_gpa = op->in[3], n = op->in[4];
	const u64 *list;

	if (n > TCE_LIST_MAX || list_gpa % 4096 || !in_window(t, ioba, n))
		return H_PARAMETER;
	list = guest_memory(vm, list_gpa);
	if (!list) {
		op->exited = 1;
		return H_PARAMETER;
	}
	for (u64 i = 0; i < n; i++) {
		if (!tce_good(vm, t, be64toh(list[i]))) {
			op->exited = 1;
			return H_PARAMETER;
		}
	}
	for (u64 i = 0; i < n; i++) {
		u64 tce = be64toh(list[i]);

		/*
		 * A stock kernel translates poison of a list too, and stops where it is outside
		 * memory.
		 */
		if (!t->file && !guest_memory(vm, tce & ~(u64)H_PAGE_SIZE_TCE))
			return H_PARAMETER;
		shadow_set(t, (ioba >> t->page_shift) - t->offset + i, tce);
	}
	return H_SUCCESS;
}

void model_hcall(struct vm *vm, struct guest_op *op)
{
	struct table *t = table_find(vm, op->in[1]);
	long ret;

	memcpy(op->out, op->in, sizeof(op->out));
	op->exited = 0;
	op->clobbered = 0;
	if (!t) {
		op->exited = 1;
		op->out[0] = (u64)H_PARAMETER;
		return;
	}
	switch (op->in[0]) {
	case H_PUT_TCE:
		ret = model_put(vm, t, op);
		break;
	case H_GET_TCE:
		op->exited = vm->pr; /* KVM PR leaves it to user space */
		ret = model_get(t, op);
		break;
	case H_STUFF_TCE:
		ret = model_stuff(t, op);
		break;
	case H_PUT_TCE_INDIRECT:
		ret = model_indirect(vm, t, op);
		break;
	default:
		die("the model has no hcall %#lx", op->in[0]);
	}
	op->out[0] = (u64)ret;
}

long user_tce_hcall(struct vm *vm, u64 nr, const u64 *args, u64 *r4)
{
	struct table *t;
	u64 tce;

	switch (nr) {
	case H_PUT_TCE:
	case H_STUFF_TCE:
	case H_PUT_TCE_INDIRECT:
		/*
		 * An unknown LIOBN, or an entry that points outside memory: KVM leaves the verdict
		 * to us.
		 */
		return H_PARAMETER;
	case H_GET_TCE:
		/* KVM PR has no handler for it. */
		t = table_find(vm, args[0]);
		if (!t || !in_window(t, args[1], 1))
			return H_PARAMETER;
		if (table_read(t, (args[1] >> t->page_shift) - t->offset, 1, &tce))
			return H_HARDWARE;
		*r4 = tce;
		return H_SUCCESS;
	default:
		return H_FUNCTION;
	}
}
