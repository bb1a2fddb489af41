// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes a field of an image of the CRIU plugin (proto/kvm_criu.proto) and makes its hash right
 * again: for images that are sound but of another kind of host.
 *
 *	image-edit FILE FIELD NUMBER
 *	image-edit FILE FIELD =TEXT
 *
 * FIELD is the number of a field of the file's first message that is there and is not in another
 * message.
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC_LEN	8
#define FILE_MAX	(16 << 20)

static uint8_t in[FILE_MAX], out[FILE_MAX + 256];

static uint64_t get_number(const uint8_t **p)
{
	uint64_t value = 0;
	int shift;

	for (shift = 0; shift < 64; shift += 7) {
		value |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			break;
	}
	return value;
}

static uint8_t *put_number(uint8_t *p, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*p++ = (uint8_t)value | 0x80;
	*p++ = (uint8_t)value;
	return p;
}

static const uint8_t *skip_value(const uint8_t *p, unsigned int type)
{
	uint64_t len;

	switch (type) {
	case 0:
		get_number(&p);
		return p;
	case 1:
		return p + 8;
	case 2:
		len = get_number(&p);
		return p + len;
	default:
		return p + 4;
	}
}

int main(int argc, char **argv)
{
	uint8_t *to = out + MAGIC_LEN + 4;
	const uint8_t *p, *end, *field;
	unsigned long wanted;
	uint32_t size;
	uint64_t hash;
	size_t len;
	FILE *file;
	int found = 0;

	if (argc != 4 || !(file = fopen(argv[1], "r+"))) {
		fputs("usage: image-edit FILE FIELD NUMBER|=TEXT\n", stderr);
		return 2;
	}
	len = fread(in, 1, sizeof(in), file);
	memcpy(&size, in + MAGIC_LEN, 4);
	size = le32toh(size);
	if (len < MAGIC_LEN + 4 + 8 || size > len - MAGIC_LEN - 4 - 8)
		return 1;
	wanted = strtoul(argv[2], NULL, 0);
	p = in + MAGIC_LEN + 4;
	end = p + size;
	while (p < end) {
		uint64_t key;

		field = p;
		key = get_number(&p);
		p = skip_value(p, key & 7);
		if (key >> 3 != wanted) {
			memcpy(to, field, (size_t)(p - field));
			to += p - field;
			continue;
		}
		found = 1;
		to = put_number(to, key);
		if (argv[3][0] == '=') {
			to = put_number(to, strlen(argv[3] + 1));
			to = (uint8_t *)stpcpy((char *)to, argv[3] + 1);
		} else {
			to = put_number(to, strtoull(argv[3], NULL, 0));
		}
	}
	if (!found)
		return 1;
	memcpy(out, in, MAGIC_LEN);
	size = htole32((uint32_t)(to - out - MAGIC_LEN - 4));
	memcpy(out + MAGIC_LEN, &size, 4);
	hash = htole64(XXH3_64bits(out + MAGIC_LEN + 4, (size_t)(to - out - MAGIC_LEN - 4)));
	memcpy(to, &hash, 8);
	to += 8;
	/* what follows the first record */
	memcpy(to, end + 8, (size_t)(in + len - end - 8));
	to += in + len - end - 8;
	rewind(file);
	return fwrite(out, (size_t)(to - out), 1, file) != 1 || ftruncate(fileno(file), to - out) ||
	       fclose(file);
}
