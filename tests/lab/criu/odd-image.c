// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes what a plugin's VM image says, with hashes that fit: for the scenarios criu-odd and
 * criu-refuse, which want a restore to refuse it before it makes anything.
 *
 *	odd-image FILE WHAT
 *
 * The names of what can be changed are in the table below.
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "kvm_criu.pb-c.h"

#define MAGIC_LEN	8

static void order(KvmCriu__Vm *vm)
{
	KvmCriu__IrqSource *first = vm->irq_controller->source[0];

	vm->irq_controller->source[0] = vm->irq_controller->source[1];
	vm->irq_controller->source[1] = first;
}

static void number(KvmCriu__Vm *vm)
{
	vm->irq_controller->source[vm->irq_controller->n_source - 1]->irq = 1 << 20;
}

static void reserved(KvmCriu__Vm *vm)
{
	vm->irq_controller->source[0]->irq = 2;
}

static void type(KvmCriu__Vm *vm)
{
	strcpy(vm->irq_controller->type, "xxcs");
}

static void xive(KvmCriu__Vm *vm)
{
	strcpy(vm->irq_controller->type, "xive");
}

static void controller(KvmCriu__Vm *vm)
{
	size_t i;

	vm->irq_controller = NULL;
	for (i = 0; i < vm->n_vcpu; i++)
		vm->vcpu[i]->has_irq_server = vm->vcpu[i]->has_irq_state = 0;
}

static void presenter(KvmCriu__Vm *vm)
{
	vm->vcpu[0]->has_irq_state = 0;
}

static void size(KvmCriu__Vm *vm)
{
	vm->vcpu[0]->irq_state.len--;
}

static void server(KvmCriu__Vm *vm)
{
	vm->vcpu[0]->irq_server = 1 << 20;
}

static void queue(KvmCriu__Vm *vm)
{
	static KvmCriu__EventQueue one = KVM_CRIU__EVENT_QUEUE__INIT, *ones[] = { &one };

	vm->irq_controller->n_queue = 1;
	vm->irq_controller->queue = ones;
}

static void rtas(KvmCriu__Vm *vm)
{
	static char name[200];

	memset(name, 'x', sizeof(name) - 1);
	vm->rtas_token[0]->name = name;
}

static void version(KvmCriu__Vm *vm)
{
	vm->version = 3;
}

static void page_size(KvmCriu__Vm *vm)
{
	vm->host_page_size = 4096;
}

static void processor(KvmCriu__Vm *vm)
{
	vm->pvr = 0x4e1202;
}

static void radix(KvmCriu__Vm *vm)
{
	vm->mmu = "radix";
}

static void pr(KvmCriu__Vm *vm)
{
	vm->type = "pr";
}

static const struct {
	const char *name;
	void (*change)(KvmCriu__Vm *vm);
} changes[] = {
	{ "order", order }, { "number", number }, { "reserved", reserved }, { "type", type },
	{ "xive", xive }, { "controller", controller }, { "presenter", presenter },
	{ "size", size }, { "server", server }, { "queue", queue }, { "rtas", rtas },
	{ "version", version }, { "page-size", page_size }, { "processor", processor },
	{ "radix", radix }, { "pr", pr },
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	uint8_t *image, *message;
	uint32_t len, end = 0;
	uint64_t hash;
	KvmCriu__Vm *vm;
	size_t i, room;
	FILE *file;

	for (i = 0; argc == 3 && i < sizeof(changes) / sizeof(changes[0]); i++)
		if (!strcmp(changes[i].name, argv[2]))
			break;
	if (argc != 3 || i == sizeof(changes) / sizeof(changes[0])) {
		fputs("Usage: odd-image FILE WHAT\n", stderr);
		return 2;
	}
	file = fopen(argv[1], "r+");
	if (!file || fseek(file, 0, SEEK_END))
		die(argv[1]);
	room = ftell(file);
	rewind(file);
	image = malloc(room);
	if (!image || room < MAGIC_LEN + 4 || fread(image, 1, room, file) != room)
		die(argv[1]);
	memcpy(&len, image + MAGIC_LEN, sizeof(len));
	len = le32toh(len);
	if (len > room - MAGIC_LEN - 4)
		die(argv[1]);
	vm = kvm_criu__vm__unpack(NULL, len, image + MAGIC_LEN + 4);
	if (!vm)
		die(argv[1]);
	changes[i].change(vm);
	len = kvm_criu__vm__get_packed_size(vm);
	message = malloc(len);
	if (!message)
		die(argv[1]);
	kvm_criu__vm__pack(vm, message);
	hash = htole64(XXH3_64bits(message, len));
	len = htole32(len);
	file = freopen(argv[1], "w", file);
	if (!file || fwrite(image, MAGIC_LEN, 1, file) != 1 || fwrite(&len, 4, 1, file) != 1 ||
	    fwrite(message, le32toh(len), 1, file) != 1 || fwrite(&hash, 8, 1, file) != 1 ||
	    fwrite(&end, 4, 1, file) != 1 || fclose(file))
		die(argv[1]);
	return 0;
}
