// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of a VM that is being made: its HPT and its TCE tables, each from an image of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "vm-images.h"

#define HPTE_SIZE 16

int make_hpt(const struct vm *vm)
{
	uint32_t order = vm->image->hpt_order;

	return order && vm_ioctl(vm, KVM_PPC_ALLOCATE_HTAB, &order, "HPT") < 0 ? -1 : 0;
}

/*
 * A piece of the HPT: headers, each with entries behind it. KVM loses its place behind the first
 * header of a write (kvm_htab_write() of 6.12 does not step over the entries), so each one is a
 * write of its own.
 */
static int write_hpt_chunk(const struct vm *vm, int fd, const ProtobufCBinaryData *chunk)
{
	struct kvm_get_htab_header header;
	size_t at = 0, len;

	while (at < chunk->len) {
		if (chunk->len - at < sizeof(header))
			return refuse_vm(vm->image, "its HPT's image ends inside of a header");
		memcpy(&header, chunk->data + at, sizeof(header));
		len = sizeof(header) + header.n_valid * (size_t)HPTE_SIZE;
		if (chunk->len - at < len)
			return refuse_vm(vm->image, "its HPT's image ends inside of entries");
		if (write(fd, chunk->data + at, len) != (ssize_t)len) {
			pr_perror("VM %" PRIu64
				  ": KVM refuses the %u entries of its HPT from %u on",
				  vm->image->number, header.n_valid, header.index);
			return -1;
		}
		at += len;
	}
	return 0;
}

int load_hpt(const struct vm *vm)
{
	struct kvm_get_htab_fd args = {};
	KvmCriu__HptChunk *chunk = NULL;
	struct image *image;
	int fd, failed = 1;
	char name[IMAGE_NAME_LEN];

	if (strcmp(vm->image->mmu, "hpt") || !vm->image->hpt_order)
		return 0;
	snprintf(name, sizeof(name), "kvm-hpt-%" PRIu64 ".img", vm->image->number);
	image = open_image(name);
	if (!image)
		return -1;
	args.flags = KVM_GET_HTAB_WRITE;
	fd = vm_ioctl(vm, KVM_PPC_GET_HTAB_FD, &args, "HPT");
	while (fd >= 0) {
		chunk = read_record(image, &kvm_criu__hpt_chunk__descriptor, &failed);
		if (!chunk)
			break;
		failed = write_hpt_chunk(vm, fd, &chunk->data);
		if (failed)
			break;
		free_message(chunk);
	}
	free_message(chunk);
	if (fd >= 0)
		close(fd);
	close_image(image);
	return failed ? -1 : 0;
}

static int load_table(const KvmCriu__Vm *vm, const KvmCriu__Table *saved, int fd)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_reader *reader = NULL;
	struct tce_table *table = NULL;
	struct tce_geometry none;
	int image_fd, more, ret = -1;
	char name[IMAGE_NAME_LEN];

	table_image_name(name, sizeof(name), vm->number, saved->liobn);
	if (open_table_image(vm, saved, &reader, &image_fd))
		return -1;
	if (tce_open_table(&table, fd, &err) || tce_load_table(table, reader, NULL, NULL, &err))
		goto err;
	/* Only its end says that an image is whole. */
	more = tce_next_table(reader, &none, &err);
	if (more > 0)
		pr_err("Image %s has more than one table\n", name);
	if (more < 0)
		goto err;
	if (!more)
		ret = 0;
	goto out;
err:
	table_error(&err, name);
out:
	tce_close_table(table);
	tce_destroy_reader(reader);
	close(image_fd);
	return ret;
}

int make_tables(struct vm *vm)
{
	size_t i;

	vm->table_fds = calloc(vm->image->n_table + 1, sizeof(*vm->table_fds));
	if (!vm->table_fds) {
		pr_err("Out of memory\n");
		return -1;
	}
	for (i = 0; i < vm->image->n_table; i++) {
		const KvmCriu__Table *table = vm->image->table[i];
		struct kvm_create_spapr_tce_64 args = {
			.liobn = table->liobn,
			.page_shift = table->page_shift,
			.offset = table->bus_offset >> table->page_shift,
			.size = table->entries,
		};
		int fd = vm_ioctl(vm, KVM_CREATE_SPAPR_TCE_64, &args, "TCE table");

		if (fd >= 0)
			fd = keep_fd(vm, fd);
		if (fd < 0)
			return -1;
		vm->table_fds[i] = fd;
		if (load_table(vm->image, table, fd))
			return -1;
	}
	return 0;
}
