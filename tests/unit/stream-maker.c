// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes QEMU migration streams for tests.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream-maker.h"

#define RAM  2
#define HTAB 0x234

void put_bytes(struct maker *m, const void *bytes, size_t len)
{
	if (m->size + len > m->room) {
		m->room = 2 * (m->size + len);
		m->data = realloc(m->data, m->room);
		if (!m->data)
			abort();
	}
	memcpy(m->data + m->size, bytes, len);
	m->size += len;
}

void put_8(struct maker *m, uint8_t v)
{
	put_bytes(m, &v, 1);
}

void put_be16(struct maker *m, uint16_t v)
{
	put_8(m, (uint8_t)(v >> 8));
	put_8(m, (uint8_t)v);
}

void put_be32(struct maker *m, uint32_t v)
{
	put_be16(m, (uint16_t)(v >> 16));
	put_be16(m, (uint16_t)v);
}

void put_be64(struct maker *m, uint64_t v)
{
	v = htobe64(v);
	put_bytes(m, &v, sizeof(v));
}

__attribute__((format(printf, 2, 3))) static void describe(struct maker *m, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		abort();
	if (m->json_size + (size_t)len > m->json_room) {
		m->json_room = 2 * (m->json_size + (size_t)len);
		m->json = realloc(m->json, m->json_room);
		if (!m->json)
			abort();
	}
	memcpy(m->json + m->json_size, text, (size_t)len);
	m->json_size += (size_t)len;
}

static void put_name(struct maker *m, const char *name)
{
	put_8(m, (uint8_t)strlen(name));
	put_bytes(m, name, strlen(name));
}

void put_section(struct maker *m, uint8_t type, uint32_t id, const char *name, uint32_t instance,
		 uint32_t version)
{
	put_8(m, type);
	put_be32(m, id);
	put_name(m, name);
	put_be32(m, instance);
	put_be32(m, version);
}

void put_footer(struct maker *m, uint32_t id)
{
	if (!m->footers)
		return;
	put_8(m, 0x7e);
	put_be32(m, id);
}

void put_beginning(struct maker *m)
{
	m->footers = true;
	put_bytes(m, "QEVM", 4);
	put_be32(m, 3);
	put_8(m, 7);
	put_be32(m, 11);
	put_bytes(m, "pseries-7.2", 11);
	put_8(m, 5);
	put_name(m, "configuration/uuid");
	put_be32(m, 1);
	put_bytes(m, "0123456789abcdef", 16);
	describe(m, "{\"configuration\": {\"vmsd_name\": \"configuration\", "
		    "\"version\": 0, \"fields\": [{\"name\": \"len\", \"type\": \"uint32\", "
		    "\"size\": 4}]}, \"page_size\": 4096, \"devices\": [");

	put_section(m, 1, RAM, "ram", 0, 4);
	put_be64(m, (1 << 20) | 0x04);
	put_name(m, "ppc_spapr.ram");
	put_be64(m, 1 << 20);
	put_be64(m, 0x10);
	put_footer(m, RAM);
	put_section(m, 1, HTAB, "spapr/htab", 0, 1);
	put_be32(m, 21);
	put_footer(m, HTAB);
}

static void put_page(struct maker *m, unsigned int number)
{
	uint8_t page[4096];

	put_be64(m, ((uint64_t)number << 12) | 0x28);
	memset(page, (int)number, sizeof(page));
	put_bytes(m, page, sizeof(page));
}

void put_parts(struct maker *m, unsigned int more)
{
	unsigned int i;

	put_8(m, 2);
	put_be32(m, RAM);
	put_be64(m, 0x02); /* zero, and the block's name */
	put_name(m, "ppc_spapr.ram");
	put_8(m, 0);
	put_be64(m, 0x1000 | 0x22);
	put_8(m, 0);
	for (i = 0; i < more; i++)
		put_page(m, i);
	put_be64(m, 0x2000 | 0x60); /* xbzrle */
	put_8(m, 1);
	put_be16(m, 5);
	put_bytes(m, "\x00\x01\x02\x03\x04", 5);
	put_be64(m, 0x3000 | 0x120); /* compressed */
	put_be32(m, 3);
	put_bytes(m, "abc", 3);
	put_be64(m, 0x10);
	put_footer(m, RAM);

	put_8(m, 2);
	put_be32(m, HTAB);
	put_be32(m, 0);
	put_be32(m, 100);
	put_be16(m, 2);
	put_be16(m, 3);
	put_bytes(m, "hashed page table entries: two..", 32);
	put_be64(m, 0);
	put_footer(m, HTAB);
}

void put_ends(struct maker *m)
{
	put_8(m, 3);
	put_be32(m, RAM);
	put_be64(m, 0x10);
	put_footer(m, RAM);
	put_8(m, 3);
	put_be32(m, HTAB);
	put_be32(m, UINT32_MAX);
	put_footer(m, HTAB);
}

void put_device(struct maker *m, uint32_t id, const char *name, const void *contents, size_t len)
{
	put_section(m, 4, id, name, 0, 1);
	put_bytes(m, contents, len);
	put_footer(m, id);
	describe(m,
		 "{\"name\": \"%s\", \"instance_id\": 0, \"vmsd_name\": \"%s\", \"version\": 1, "
		 "\"fields\": [{\"name\": \"s\", \"type\": \"struct\", "
		 "\"struct\": {\"vmsd_name\": \"x\", \"fields\": [{\"name\": \"y\", "
		 "\"size\": 77}]}, \"size\": %zu}]}, ",
		 name, name, len);
}

void put_table(struct maker *m, uint32_t id, uint32_t liobn, uint32_t page_shift,
	       uint64_t bus_offset, const uint64_t *words, uint32_t count)
{
	uint32_t i;

	put_section(m, 4, id, "spapr_iommu", liobn, 3);
	put_be32(m, liobn);
	put_be32(m, count);
	put_8(m, 0);
	for (i = 0; i < count; i++)
		put_be64(m, words[i]);
	put_8(m, 1);
	describe(m,
		 "{\"name\": \"spapr_iommu\", \"instance_id\": %u, \"vmsd_name\": \"spapr_iommu\", "
		 "\"version\": 3, \"fields\": [{\"name\": \"liobn\", \"type\": \"uint32 equal\", "
		 "\"size\": 4}, {\"name\": \"mig_nb_table\", \"size\": 4}, {\"name\": \"bypass\", "
		 "\"size\": 1}, ",
		 liobn);
	if (count)
		describe(m,
			 "{\"name\": \"mig_table\", \"array_len\": %u, \"type\": \"uint64\", "
			 "\"size\": 8}, ",
			 count);
	describe(m, "{\"name\": \"def_win\", \"type\": \"bool\", \"size\": 1}]");
	if (bus_offset || page_shift != 12) {
		put_8(m, 5);
		put_name(m, "spapr_iommu_ex");
		put_be32(m, 1);
		put_be64(m, bus_offset);
		put_be32(m, page_shift);
		describe(m,
			 ", \"subsections\": [{\"vmsd_name\": \"spapr_iommu_ex\", \"version\": 1, "
			 "\"fields\": [{\"name\": \"bus_offset\", \"size\": 8}, "
			 "{\"name\": \"page_shift\", \"size\": 4}]}]");
	}
	put_footer(m, id);
	describe(m, "}, ");
}

void put_table_as_runs(struct maker *m, uint32_t id, uint32_t liobn, uint32_t page_shift,
		       uint64_t bus_offset, uint32_t count, const void *records, size_t len)
{
	put_section(m, 4, id, "spapr_iommu", liobn, 4);
	put_be32(m, liobn);
	put_be32(m, count);
	put_be32(m, page_shift);
	put_be64(m, bus_offset);
	put_8(m, 0);
	put_bytes(m, records, len);
	put_8(m, 1);
	put_footer(m, id);
	describe(m,
		 "{\"name\": \"spapr_iommu\", \"instance_id\": %u, \"vmsd_name\": \"spapr_iommu\", "
		 "\"version\": 4, \"fields\": [{\"name\": \"liobn\", \"type\": \"uint32 equal\", "
		 "\"size\": 4}, {\"name\": \"nb_table\", \"type\": \"uint32\", \"size\": 4}, "
		 "{\"name\": \"page_shift\", \"type\": \"uint32\", \"size\": 4}, "
		 "{\"name\": \"bus_offset\", \"type\": \"uint64\", \"size\": 8}, "
		 "{\"name\": \"bypass\", \"type\": \"bool\", \"size\": 1}, "
		 "{\"name\": \"runs\", \"type\": \"tce runs\", \"size\": %zu}, "
		 "{\"name\": \"def_win\", \"type\": \"bool\", \"size\": 1}]}, ",
		 liobn, len);
}

void put_run(struct maker *m, uint32_t first, uint32_t count, uint64_t tce, uint64_t stride)
{
	put_8(m, 1);
	put_be32(m, first);
	put_be32(m, count);
	put_be64(m, tce);
	put_be64(m, stride);
}

void put_words(struct maker *m, uint32_t first, uint32_t count, const uint64_t *words)
{
	uint32_t i;

	put_8(m, 2);
	put_be32(m, first);
	put_be32(m, count);
	for (i = 0; i < count; i++)
		put_be64(m, words[i]);
}

void put_ending(struct maker *m)
{
	/* No comma after the last device. */
	m->json_size -= 2;
	describe(m, "]}");
	put_8(m, 0);
	put_8(m, 6);
	put_be32(m, (uint32_t)m->json_size);
	put_bytes(m, m->json, m->json_size);
}

void free_maker(struct maker *m)
{
	free(m->data);
	free(m->json);
	memset(m, 0, sizeof(*m));
}

void make_small_stream(struct maker *m)
{
	uint64_t linear[64], mixed[24];
	size_t i;

	for (i = 0; i < 64; i++)
		linear[i] = i << 12 | 3;
	for (i = 0; i < 24; i++)
		mixed[i] = i % 3 ? i * 0x0102030405060708U : 0;
	put_beginning(m);
	put_parts(m, 1);
	put_ends(m);
	put_device(m, 1, "timer", "ticks\x7e\x00\x00\x00\x01 and more", 20);
	put_8(m, 8);
	put_be16(m, 11);
	put_be16(m, 0);
	put_table(m, 10, 0x71000001, 12, 0, linear, 64);
	put_table(m, 11, 0x80000000, 12, 0, NULL, 0);
	put_table(m, 12, 0x80000001, 16, UINT64_C(1) << 59, mixed, 24);
	put_device(m, 13, "globalstate", "running", 8);
	put_ending(m);
}
