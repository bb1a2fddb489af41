// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes what a plugin's VM image says, with hashes that fit: for the scenarios criu-odd and
 * criu-refuse, which want a restore to refuse it before it makes anything. With "sizes", FILE is
 * kvm-dump.img, which is told of such changes.
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
#include <sys/stat.h>

#include <xxhash.h>

#include "kvm_criu.pb-c.h"

#define MAGIC	  "KVMCRIU\n"
#define MAGIC_LEN 8

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
	vm->version = 2;
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

/* The folder's images are what they are: kvm-dump.img says so, too. */
static void sizes(KvmCriu__Dump *dump, const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[4096];
	struct stat st;
	size_t i;

	for (i = 0; i < dump->n_image; i++) {
		snprintf(name, sizeof(name), "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path,
			 dump->image[i]->name);
		if (!stat(name, &st))
			dump->image[i]->size = st.st_size;
	}
}

static const struct {
	const char *name;
	void (*change)(KvmCriu__Vm *vm);
} changes[] = {
	{ "order", order },	    { "number", number },
	{ "reserved", reserved },   { "type", type },
	{ "xive", xive },	    { "controller", controller },
	{ "presenter", presenter }, { "size", size },
	{ "server", server },	    { "queue", queue },
	{ "rtas", rtas },	    { "version", version },
	{ "page-size", page_size }, { "processor", processor },
	{ "radix", radix },	    { "pr", pr },
	{ "sizes", NULL },
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The one message of an image. */
static void *read_message(const char *path, const ProtobufCMessageDescriptor *type)
{
	FILE *file = fopen(path, "r");
	uint8_t *image;
	uint32_t len;
	void *message;
	size_t room;

	if (!file || fseek(file, 0, SEEK_END))
		die(path);
	room = ftell(file);
	rewind(file);
	image = malloc(room);
	if (!image || room < MAGIC_LEN + 4 || fread(image, 1, room, file) != room)
		die(path);
	memcpy(&len, image + MAGIC_LEN, sizeof(len));
	len = le32toh(len);
	if (len > room - MAGIC_LEN - 4)
		die(path);
	message = protobuf_c_message_unpack(type, NULL, len, image + MAGIC_LEN + 4);
	if (!message)
		die(path);
	fclose(file);
	free(image);
	return message;
}

static void write_message(const char *path, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint32_t len = htole32(size), end = 0;
	uint8_t *packed = malloc(size);
	FILE *file = fopen(path, "w");
	uint64_t hash;

	if (!packed || !file)
		die(path);
	protobuf_c_message_pack(message, packed);
	hash = htole64(XXH3_64bits(packed, size));
	if (fwrite(MAGIC, MAGIC_LEN, 1, file) != 1 || fwrite(&len, 4, 1, file) != 1 ||
	    fwrite(packed, size, 1, file) != 1 || fwrite(&hash, 8, 1, file) != 1 ||
	    fwrite(&end, 4, 1, file) != 1 || fclose(file))
		die(path);
	free(packed);
}

int main(int argc, char **argv)
{
	void *message;
	size_t i;

	for (i = 0; argc == 3 && i < sizeof(changes) / sizeof(changes[0]); i++)
		if (!strcmp(changes[i].name, argv[2]))
			break;
	if (argc != 3 || i == sizeof(changes) / sizeof(changes[0])) {
		fputs("Usage: odd-image FILE WHAT\n", stderr);
		return 2;
	}
	message = read_message(argv[1], changes[i].change ? &kvm_criu__vm__descriptor :
							    &kvm_criu__dump__descriptor);
	if (changes[i].change)
		changes[i].change(message);
	else
		sizes(message, argv[1]);
	write_message(argv[1], message);
	return 0;
}
