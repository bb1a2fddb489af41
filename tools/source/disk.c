// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state of a VM that QEMU's savevm put into a qcow2 disk. It is a migration stream, and lies
 * behind the disk's end, in clusters that the snapshot's own tables lead to. QEMU's page on the
 * format, docs/interop/qcow2, has what is read here. All numbers are big-endian.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "source/disk.h"

#define MAGIC		 "QFI\xfb"
#define CLUSTER_BITS_MIN 9
#define CLUSTER_BITS_MAX 21
/* As many as QEMU takes, and as long as it takes them. */
#define SNAPSHOTS_MAX 65536
#define EXTRA_MAX     1024
#define NAME_MAX_SIZE 256

/* The header, by offset of each member. */
enum header {
	HEADER_VERSION = 4,
	HEADER_CLUSTER_BITS = 20,
	HEADER_DISK_SIZE = 24,
	HEADER_ENCRYPTION = 32,
	HEADER_SNAPSHOTS = 60,
	HEADER_SNAPSHOT_TABLE = 64,
	HEADER_FEATURES = 72, /* from version 3 on */
	HEADER_SIZE = 80,
};

/* Dirty, corrupt, and how disks are compressed: nothing that changes where a state is. */
#define FEATURES_KNOWN ((uint64_t)0x0b)

/* A snapshot, likewise; then come extra data, ID, name, and padding to 8 bytes. */
enum snapshot {
	SNAPSHOT_L1 = 0,
	SNAPSHOT_L1_SIZE = 8,
	SNAPSHOT_ID_SIZE = 12,
	SNAPSHOT_NAME_SIZE = 14,
	SNAPSHOT_STATE_SIZE = 32,
	SNAPSHOT_EXTRA_SIZE = 36,
	SNAPSHOT_SIZE = 40,
};

/* Extra data, likewise. */
enum extra {
	EXTRA_STATE_SIZE = 0,
	EXTRA_DISK_SIZE = 8,
	EXTRA_SIZE = EXTRA_DISK_SIZE + 8,
};

/* An entry of a table: where its cluster is. */
#define ENTRY_SIZE	 8
#define ENTRY_OFFSET	 0x00fffffffffffe00ULL
#define ENTRY_COMPRESSED (1ULL << 62)
#define ENTRY_ZERO	 1ULL

static uint64_t get_number(const uint8_t *p, size_t bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

bool is_disk(const uint8_t *head, size_t len)
{
	return len >= strlen(MAGIC) && !memcmp(head, MAGIC, strlen(MAGIC));
}

static int bad_disk(struct tce_error *err, int status, const char *what)
{
	return tce_set_error(err, status, 0, "qcow2: %s", what);
}

/* Read what must be there. Return: 0, or a negative errno; -EBADMSG when the file is shorter. */
static int read_at(const struct disk *disk, uint64_t offset, void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	if (offset > disk->bytes || len > disk->bytes - offset)
		return -EBADMSG;
	for (; len; len -= (size_t)n, offset += (size_t)n, p += n) {
		n = pread(disk->input->fd, p, len, disk->input->start + (off_t)offset);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return n ? -errno : -EBADMSG;
	}
	return 0;
}

static int cannot_read(struct tce_error *err, int ret, const char *what)
{
	if (ret == -EBADMSG)
		return bad_disk(err, TCE_ERR_CORRUPT, what);
	return tce_set_error(err, TCE_ERR_IO, -ret, "cannot be read");
}

static int read_header(struct disk *disk, uint8_t head[HEADER_SIZE], struct tce_error *err)
{
	uint64_t version, features = 0;
	int ret;

	ret = read_at(disk, 0, head, HEADER_SIZE);
	if (ret < 0)
		return cannot_read(err, ret, "it ends in its header");
	version = get_number(head + HEADER_VERSION, 4);
	if (version != 2 && version != 3)
		return tce_set_error(err, TCE_ERR_VERSION, 0,
				     "qcow2: version %" PRIu64 " is not known", version);
	if (version == 3)
		features = get_number(head + HEADER_FEATURES, 8);
	if (features & ~FEATURES_KNOWN)
		return tce_set_error(err, TCE_ERR_UNSUPPORTED, 0,
				     "qcow2: features 0x%" PRIx64 " are not known",
				     features & ~FEATURES_KNOWN);
	if (get_number(head + HEADER_ENCRYPTION, 4))
		return bad_disk(err, TCE_ERR_UNSUPPORTED, "it is encrypted");
	disk->cluster_bits = (unsigned int)get_number(head + HEADER_CLUSTER_BITS, 4);
	if (disk->cluster_bits < CLUSTER_BITS_MIN || disk->cluster_bits > CLUSTER_BITS_MAX)
		return bad_disk(err, TCE_ERR_CORRUPT, "its clusters have a size that cannot be");
	return TCE_OK;
}

/**
 * struct search - the snapshots that a disk has
 * @wanted: name or ID, or NULL. An ID goes before a name, as with QEMU.
 * @by_id: the one with that ID is found.
 * @found: those with a state, and of what is wanted.
 * @names: IDs and names of these, for a message.
 */
struct search {
	const char *wanted;
	bool by_id;
	unsigned int found;
	char names[160];
};

static void add_name(struct search *search, const char *id, const char *name)
{
	const size_t used = strlen(search->names);

	snprintf(search->names + used, sizeof(search->names) - used, "%s%s (%s)", used ? ", " : "",
		 id, name);
}

static bool is_wanted(struct search *search, const char *id, const char *name)
{
	if (!search->wanted)
		return true;
	if (strcmp(search->wanted, id))
		return !search->by_id && !strcmp(search->wanted, name);
	if (!search->by_id) {
		/* An ID takes precedence over names. */
		search->by_id = true;
		search->found = 0;
		search->names[0] = '\0';
	}
	return true;
}

/* Take one snapshot into account. @offset moves past it. Return: 0, or a negative errno. */
static int take_snapshot(struct disk *disk, struct search *search, uint64_t disk_size,
			 uint64_t *offset)
{
	const uint64_t span = 1ULL << (2 * disk->cluster_bits - 3);
	char id[NAME_MAX_SIZE + 1] = "", name[NAME_MAX_SIZE + 1] = "";
	uint8_t fixed[SNAPSHOT_SIZE], extra[EXTRA_SIZE];
	size_t extra_size, id_size, name_size;
	uint64_t state_size;
	int ret;

	ret = read_at(disk, *offset, fixed, sizeof(fixed));
	if (ret < 0)
		return ret;
	extra_size = get_number(fixed + SNAPSHOT_EXTRA_SIZE, 4);
	id_size = get_number(fixed + SNAPSHOT_ID_SIZE, 2);
	name_size = get_number(fixed + SNAPSHOT_NAME_SIZE, 2);
	if (extra_size > EXTRA_MAX || id_size > NAME_MAX_SIZE || name_size > NAME_MAX_SIZE)
		return -EBADMSG;
	state_size = get_number(fixed + SNAPSHOT_STATE_SIZE, 4);
	*offset += sizeof(fixed);
	if (extra_size >= EXTRA_STATE_SIZE + 8) {
		ret = read_at(disk, *offset, extra,
			      extra_size < sizeof(extra) ? extra_size : sizeof(extra));
		state_size = get_number(extra + EXTRA_STATE_SIZE, 8);
	}
	if (extra_size >= EXTRA_DISK_SIZE + 8)
		disk_size = get_number(extra + EXTRA_DISK_SIZE, 8);
	*offset += extra_size;
	if (!ret)
		ret = read_at(disk, *offset, id, id_size);
	*offset += id_size;
	if (!ret)
		ret = read_at(disk, *offset, name, name_size);
	*offset = (*offset + name_size + 7) & ~7ULL;
	if (ret < 0 || !state_size || !is_wanted(search, id, name))
		return ret;
	search->found++;
	add_name(search, id, name);
	disk->l1 = get_number(fixed + SNAPSHOT_L1, 8);
	disk->l1_size = get_number(fixed + SNAPSHOT_L1_SIZE, 4);
	/* The state begins where the next table of clusters would. */
	disk->first = (disk_size / span + (disk_size % span != 0)) << (disk->cluster_bits - 3);
	disk->size = state_size;
	return 0;
}

static int find_snapshot(struct disk *disk, const uint8_t head[HEADER_SIZE], struct search *search,
			 struct tce_error *err)
{
	const uint64_t disk_size = get_number(head + HEADER_DISK_SIZE, 8);
	const uint64_t count = get_number(head + HEADER_SNAPSHOTS, 4);
	uint64_t offset = get_number(head + HEADER_SNAPSHOT_TABLE, 8), i;
	int ret = count > SNAPSHOTS_MAX ? -EBADMSG : 0;

	for (i = 0; !ret && i < count; i++)
		ret = take_snapshot(disk, search, disk_size, &offset);
	if (ret < 0)
		return cannot_read(err, ret, "its list of snapshots is damaged");
	if (!search->found)
		return bad_disk(err, TCE_ERR_NO_TABLE,
				search->wanted ?
					"no snapshot of that name or ID has the state of a VM" :
					"no snapshot in it has the state of a VM");
	if (search->found > 1)
		return tce_set_error(err, TCE_ERR_NO_TABLE, 0,
				     "qcow2: %u snapshots have the state of a VM: choose with "
				     "--snapshot among %s",
				     search->found, search->names);
	/* A bound: what QEMU writes has a place of its own for each byte. */
	if (disk->size > disk->bytes)
		return bad_disk(err, TCE_ERR_CORRUPT, "the state is larger than the file");
	return TCE_OK;
}

int open_disk(struct disk *disk, struct input *input, const char *snapshot, struct tce_error *err)
{
	struct search search = { .wanted = snapshot };
	uint8_t head[HEADER_SIZE];
	off_t end;
	int ret;

	*disk = (struct disk){ .input = input };
	ret = keep_input(input, err);
	if (ret < 0)
		return ret;
	end = lseek(input->fd, 0, SEEK_END);
	if (end < input->start)
		return tce_set_error(err, TCE_ERR_IO, end < 0 ? errno : 0, "cannot be read");
	disk->bytes = (uint64_t)(end - input->start);
	ret = read_header(disk, head, err);
	return ret ? ret : find_snapshot(disk, head, &search, err);
}

/* Where a table's entry leads. Return: 0, or a negative errno. */
static int follow(const struct disk *disk, uint64_t table, uint64_t index, uint64_t *place)
{
	uint8_t bytes[ENTRY_SIZE];
	uint64_t entry;
	int ret = read_at(disk, table + index * ENTRY_SIZE, bytes, sizeof(bytes));

	if (ret < 0)
		return ret;
	entry = get_number(bytes, sizeof(bytes));
	*place = entry & ENTRY_OFFSET;
	/* Nobody writes a state that is compressed, or leaves out zeros. */
	if (!*place || entry & (ENTRY_COMPRESSED | ENTRY_ZERO))
		return -EBADMSG;
	return 0;
}

static int find_cluster(const struct disk *disk, uint64_t number, uint64_t *place)
{
	const unsigned int table_bits = disk->cluster_bits - 3;
	uint64_t table;
	int ret;

	if (number >> table_bits >= disk->l1_size || disk->l1 > disk->bytes)
		return -EBADMSG;
	ret = follow(disk, disk->l1, number >> table_bits, &table);
	return ret ? ret : follow(disk, table, number & ((1ULL << table_bits) - 1), place);
}

static ssize_t read_state(void *ctx, void *buf, size_t len)
{
	struct disk *disk = ctx;
	const uint64_t cluster = 1ULL << disk->cluster_bits;
	const uint64_t offset = disk->pos & (cluster - 1);
	uint64_t place;
	int ret;

	if (len > disk->size - disk->pos)
		len = (size_t)(disk->size - disk->pos);
	if (len > cluster - offset)
		len = (size_t)(cluster - offset);
	if (!len)
		return 0;
	ret = find_cluster(disk, disk->first + (disk->pos >> disk->cluster_bits), &place);
	if (!ret)
		ret = read_at(disk, place + offset, buf, len);
	disk->damaged |= ret == -EBADMSG;
	disk->pos += ret ? 0 : len;
	return ret ? ret : (ssize_t)len;
}

struct tce_source disk_source(struct disk *disk)
{
	return (struct tce_source){ .read = read_state, .ctx = disk };
}

int finish_disk(const struct disk *disk, int ret, struct tce_error *err)
{
	if (!ret || !disk->damaged)
		return ret;
	return bad_disk(err, TCE_ERR_CORRUPT, "the tables of the snapshot lead nowhere");
}
