// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the CRIU plugin's own images. One file of a folder of good ones is replaced by the
 * input; whatever it says, a restore from that folder reads no byte that is not there. KVM, and the
 * process that is restored, are played here: KVM takes everything, and reads all that it is given.
 *
 * A changed byte would always be stopped at a hash, so this program has one that is always 0.
 *
 * The first byte of an input says which file it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <criu/criu-plugin.h>
#include <linux/if_tun.h>
#include <xxhash.h>

#include "../fuzz.h"
#include "kvm-abi.h"
#include "kvm-plugin.h"
#include "tap.h"
#include "tce-stream.h"
#include "vm-images.h"

#define RUN_SIZE      8192
#define FIRST_FD      64 /* what a restore makes is from here on */
#define VM_FD	      9	 /* of the restored process: object_of() says what each is */
#define DEVICE_FD     14
#define VCPU_FD	      10
#define VHOST_FD      15
#define SERVER	      3
#define IRQ	      17
#define TABLE_ENTRIES 600
#define LIOBN	      0x80000000

static const char *const names[] = {
	"kvm-vm-1.img",	    "kvm-hpt-1.img",	      NULL,	      "kvm-file-1.img",
	"kvm-socket-2.img", "kvm-tce-1-80000000.img", "kvm-dump.img", "kvm-tap-3.img",
};

/* Which of them has the process's ID in its name. */
#define TASK	     2
#define FILE_IMAGE   3
#define SOCKET_IMAGE 4
#define MANIFEST     6
#define TAP_IMAGE    7
#define DUMP_ID	     77
#define ODD_SOCKET   5 /* an id of CRIU's */

static int folder = -1;
static uint8_t sink;

/* ---- what CRIU and the rest of the plugin are for the readers ---- */

int criu_get_image_dir(void)
{
	return folder;
}

void print_on_level(unsigned int level, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
}

XXH64_hash_t __wrap_XXH3_64bits(const void *data, size_t size);
XXH64_hash_t __wrap_XXH3_64bits(const void *data, size_t size)
{
	return 0;
}

XXH64_hash_t __wrap_XXH3_64bits_digest(const void *state);
XXH64_hash_t __wrap_XXH3_64bits_digest(const void *state)
{
	return 0;
}

XXH64_hash_t __wrap_XXH3_64bits_withSeed(const void *data, size_t size, uint64_t seed);
XXH64_hash_t __wrap_XXH3_64bits_withSeed(const void *data, size_t size, uint64_t seed)
{
	return 0;
}

/* All of it is there, or a sanitizer says so. */
static void read_all(const void *data, size_t size)
{
	const volatile uint8_t *bytes = data;
	size_t i;

	for (i = 0; i < size; i++)
		sink ^= bytes[i];
}

static int new_file(uint64_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd >= 0 && (size > 1 << 30 || ftruncate(fd, (off_t)size))) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		errno = ENOMEM;
	return fd;
}

/* Its argument is a number, no address. */
static bool takes_number(unsigned long cmd)
{
	return cmd == TUNSETOFFLOAD || cmd == TUNSETOWNER || cmd == TUNSETGROUP ||
	       cmd == TUNSETPERSIST;
}

static int take_from_user(unsigned long cmd, void *arg)
{
	const struct kvm_create_spapr_tce_64 *table = arg;
	const struct kvm_one_reg *reg = arg;

	if (_IOC_DIR(cmd) & _IOC_WRITE && !takes_number(cmd))
		read_all(arg, _IOC_SIZE(cmd));
	switch (cmd) {
	case KVM_CHECK_EXTENSION:
		return 0x1fff;
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_SIZE;
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
	case KVM_PPC_GET_HTAB_FD:
	case KVM_GET_STATS_FD:
		return new_file(RUN_SIZE);
	case KVM_CREATE_SPAPR_TCE_64:
		return new_file(table->size > 1 << 20 ? UINT64_MAX : table->size * 8);
	case KVM_CREATE_DEVICE:
		((struct kvm_create_device *)arg)->fd = new_file(RUN_SIZE);
		return 0;
	case KVM_SET_ONE_REG:
		read_all((const void *)(uintptr_t)reg->addr,
			 1UL << ((reg->id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT));
		return 0;
	default:
		return 0;
	}
}

int __wrap_ioctl(int fd, unsigned long cmd, void *arg);
int __wrap_ioctl(int fd, unsigned long cmd, void *arg)
{
	return take_from_user(cmd, arg);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

/* There where files are in memory. */
int system_open(const char *path, int flags, mode_t mode) __attribute__((weak));

static int open_file(const char *path, int flags)
{
	return system_open ? system_open(path, flags, 0600) : __real_open64(path, flags, 0600);
}

int __wrap_open64(const char *path, int flags, ...)
{
	return strcmp(path, "/dev/kvm") && strcmp(path, "/dev/net/tun") &&
			       strcmp(path, VHOST_NET_PATH) ?
		       open_file(path, flags) :
		       new_file(0);
}

int __wrap_sched_setaffinity(pid_t pid, size_t size, const void *cpus);
int __wrap_sched_setaffinity(pid_t pid, size_t size, const void *cpus)
{
	read_all(cpus, size);
	return 0;
}

/* The I/O priority of a thread is asked for, and set. */
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	return 0;
}

unsigned int count_taps(void)
{
	return 1;
}

/* Nobody has the tap open. */
int count_queues(const char *name, unsigned int *count)
{
	read_all(name, strlen(name));
	*count = 0;
	return 0;
}

static KvmCriu__Object object_of(int fd)
{
	return (KvmCriu__Object)(fd % 8);
}

int identify_fd(pid_t pid, int fd, struct kvm_fd *found)
{
	*found = (struct kvm_fd){ .fd = fd, .object = object_of(fd), .vm = 1, .inode = 1 };
	return 1;
}

int is_same_object(pid_t pid1, const struct kvm_fd *fd1, pid_t pid2, const struct kvm_fd *fd2)
{
	return 0;
}

int get_fd(pid_t pid, int fd)
{
	return open_file("/dev/zero", O_RDONLY | O_CLOEXEC);
}

int read_fdinfo(struct fdinfo *info, pid_t pid, int fd)
{
	info->text = strdup("kvm-smt:\t1 1\nkvm-hcalls:\t4 8 \n");
	info->len = strlen(info->text);
	return 0;
}

int read_status(struct fdinfo *status, pid_t tid)
{
	*status = (struct fdinfo){};
	return -1;
}

void free_fdinfo(struct fdinfo *info)
{
	free(info->text);
}

const char *next_fdinfo(const struct fdinfo *info, const char *name, const char *from)
{
	const char *line = from ? NULL : strstr(info->text, name);

	return line ? line + strlen(name) + 2 : NULL;
}

int fdinfo_u64(const struct fdinfo *info, const char *name, uint64_t *value)
{
	return -1;
}

void proc_path(char path[PATH_LEN], pid_t pid, const char *name, int number)
{
	snprintf(path, PATH_LEN, "/proc/self/%s/%d", name, number);
}

int has_user_workers(pid_t pid)
{
	return 0;
}

int is_same_file(pid_t pid1, int fd1, pid_t pid2, int fd2)
{
	return fd1 == fd2;
}

unsigned int read_vpid(pid_t pid)
{
	return (unsigned int)pid;
}

int copy_memory(pid_t pid, bool to_task, uint64_t remote, void *local, size_t len)
{
	if (to_task)
		read_all(local, len);
	else
		memset(local, 0, len);
	return 0;
}

void touch_guest_memory(pid_t pid, const KvmCriu__Vm *vm, uint64_t gpa, uint64_t len)
{
}

int restore_stack(pid_t pid, const KvmCriu__Task *image)
{
	return 0;
}

/* System calls in the process: their buffers are as large as was asked for, and no larger. */
struct task {
	int calls;
	void *buffers[TASK_CALLS_MAX];
	size_t nr_buffers;
};

static struct task the_task;

struct task *open_task(pid_t pid)
{
	return &the_task;
}

void reset_task(struct task *task)
{
	size_t i;

	for (i = 0; i < task->nr_buffers; i++)
		free(task->buffers[i]);
	*task = (struct task){};
}

void *task_buffer(struct task *task, size_t size, uint64_t *remote)
{
	void *buffer = calloc(1, size ? size : 1);

	if (task->nr_buffers == TASK_CALLS_MAX)
		reset_task(task);
	task->buffers[task->nr_buffers++] = buffer;
	*remote = (uintptr_t)buffer;
	return buffer;
}

int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5)
{
	return task->calls++;
}

int make_room(struct task *task, int calls, size_t size, const char *failed)
{
	return 0;
}

int start_clock(pid_t pid, struct task *task, const KvmCriu__Vm *vm)
{
	return 0;
}

int run_calls(struct task *task, const char *failed)
{
	return 0;
}

int run_task(struct task *task)
{
	return 0;
}

long task_result(const struct task *task, int call)
{
	return 0;
}

int close_task(struct task *task)
{
	reset_task(task);
	return 0;
}

/* ---- good images ---- */

static void name_of(unsigned int kind, char *name, size_t size)
{
	if (kind == TASK)
		snprintf(name, size, "kvm-task-%d.img", getpid());
	else
		snprintf(name, size, "%s", names[kind]);
}

static void must(int ret)
{
	if (ret)
		abort();
}

static void fill(ProtobufCBinaryData *bytes, size_t size)
{
	uint8_t *zeros = calloc(1, size);

	must(!zeros || set_bytes(bytes, zeros, size));
	free(zeros);
}

/* The list of a dump's images says how long they are. */
static void save_list(void)
{
	KvmCriu__Dump *dump = new_message(&kvm_criu__dump__descriptor);
	KvmCriu__Image *image;
	unsigned int kind;
	struct stat st;
	char name[64];

	dump->version = 1;
	dump->id = DUMP_ID;
	dump->files = 1;
	dump->has_taps = true;
	dump->taps = 1;
	for (kind = 0; kind < MANIFEST; kind++) {
		name_of(kind, name, sizeof(name));
		if (kind == FILE_IMAGE || kind == SOCKET_IMAGE)
			continue;
		must(fstatat(folder, name, &st, 0));
		image = add_element(&dump->n_image, &dump->image, &kvm_criu__image__descriptor);
		must(set_string(&image->name, name, strlen(name)));
		image->size = (uint64_t)st.st_size;
	}
	must(save_message(names[MANIFEST], &dump->base));
	free_message(dump);
}

static KvmCriu__Vcpu *make_vcpu(KvmCriu__Vm *vm)
{
	KvmCriu__Vcpu *vcpu = add_element(&vm->n_vcpu, &vm->vcpu, &kvm_criu__vcpu__descriptor);
	KvmCriu__Reg *reg;

	fill(&vcpu->regs, sizeof(struct kvm_regs));
	fill(&vcpu->sregs, sizeof(struct kvm_sregs));
	fill(&vcpu->events, sizeof(struct kvm_vcpu_events));
	fill(&vcpu->run, RUN_SIZE);
	vcpu->has_fd = true;
	vcpu->fd = VCPU_FD;
	vcpu->has_irq_server = vcpu->has_irq_state = true;
	vcpu->irq_server = SERVER;
	fill(&vcpu->irq_state, 16);
	reg = add_element(&vcpu->n_reg, &vcpu->reg, &kvm_criu__reg__descriptor);
	reg->id = KVM_REG_PPC_LPCR_64;
	fill(&reg->value, 8);
	return vcpu;
}

static void make_controller(KvmCriu__Vm *vm)
{
	KvmCriu__IrqController *controller = new_message(&kvm_criu__irq_controller__descriptor);
	KvmCriu__IrqSource *source;
	KvmCriu__EventQueue *queue;

	must(set_string(&controller->type, "xive", 4));
	controller->fd = DEVICE_FD;
	source = add_element(&controller->n_source, &controller->source,
			     &kvm_criu__irq_source__descriptor);
	source->irq = IRQ;
	source->has_config = source->has_pq = true;
	queue = add_element(&controller->n_queue, &controller->queue,
			    &kvm_criu__event_queue__descriptor);
	queue->id = (uint64_t)SERVER << KVM_XIVE_EQ_SERVER_SHIFT;
	fill(&queue->config, sizeof(struct kvm_ppc_xive_eq));
	vm->irq_controller = controller;
}

static void save_vm_image(void)
{
	KvmCriu__Vm *vm = new_message(&kvm_criu__vm__descriptor);
	KvmCriu__Table *table;
	KvmCriu__RtasToken *token;

	vm->version = IMAGE_VERSION;
	vm->number = 1;
	vm->dump = DUMP_ID;
	vm->owner = (uint32_t)getpid();
	must(set_string(&vm->type, VM_TYPE, 2) || set_string(&vm->mmu, "hpt", 3));
	vm->hpt_order = 18;
	vm->host_page_size = (uint32_t)getpagesize();
	add_element(&vm->n_slot, &vm->slot, &kvm_criu__slot__descriptor);
	add_element(&vm->n_ioeventfd, &vm->ioeventfd, &kvm_criu__ioeventfd__descriptor);
	add_element(&vm->n_coalesced, &vm->coalesced, &kvm_criu__coalesced__descriptor);
	add_element(&vm->n_irqfd, &vm->irqfd, &kvm_criu__irqfd__descriptor);
	token = add_element(&vm->n_rtas_token, &vm->rtas_token, &kvm_criu__rtas_token__descriptor);
	must(set_string(&token->name, "ibm,set-xive", 12));
	make_vcpu(vm);
	make_controller(vm);
	table = add_element(&vm->n_table, &vm->table, &kvm_criu__table__descriptor);
	table->liobn = LIOBN;
	table->page_shift = 12;
	table->entries = TABLE_ENTRIES;
	must(save_message(names[0], &vm->base));
	free_message(vm);
}

static void save_hpt_image(void)
{
	struct image *image = create_image(names[1]);
	struct kvm_get_htab_header header = { .index = 5, .n_valid = 2, .n_invalid = 1 };
	KvmCriu__HptChunk chunk = KVM_CRIU__HPT_CHUNK__INIT;
	uint8_t data[sizeof(header) + 32] = {};

	memcpy(data, &header, sizeof(header));
	chunk.data.data = data;
	chunk.data.len = sizeof(data);
	must(!image || write_record(image, &chunk.base) || finish_image(image));
}

static void save_task_image(void)
{
	KvmCriu__Task *task = new_message(&kvm_criu__task__descriptor);
	KvmCriu__Mapping *map;
	KvmCriu__OwnedVm *owned;
	KvmCriu__Thread *thread;
	char name[64];

	task->version = TASK_VERSION;
	task->dump = DUMP_ID;
	task->has_sigtrap_handler = true;
	map = add_element(&task->n_mapping, &task->mapping, &kvm_criu__mapping__descriptor);
	map->fd = VCPU_FD;
	owned = add_element(&task->n_vm, &task->vm, &kvm_criu__owned_vm__descriptor);
	owned->number = 1;
	owned->fd = VM_FD;
	thread = add_element(&task->n_thread, &task->thread, &kvm_criu__thread__descriptor);
	thread->tid = (uint32_t)getpid();
	thread->timer_slack = 50000;
	thread->has_io_priority = true;
	thread->has_affinity = true;
	fill(&thread->affinity, 1);
	task->vhost_net = calloc(1, sizeof(*task->vhost_net));
	must(!task->vhost_net);
	task->vhost_net[task->n_vhost_net++] = VHOST_FD;
	name_of(TASK, name, sizeof(name));
	must(save_message(name, &task->base));
	free_message(task);
}

static void save_table_image(void)
{
	struct tce_geometry geometry = {
		.known = TCE_KNOWN_ALL,
		.liobn = LIOBN,
		.page_shift = 12,
		.entries = TABLE_ENTRIES,
	};
	int fd = openat(folder, names[5], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct tce_sink to = tce_fd_sink(fd);
	static uint64_t words[TABLE_ENTRIES];
	struct tce_writer *writer = NULL;
	size_t i;

	for (i = 0; i < TABLE_ENTRIES; i++)
		words[i] = i % 7 ? i * i : 0;
	must(fd < 0 || tce_create_writer(&writer, &to, "fuzz", NULL) ||
	     tce_begin_table(writer, &geometry, NULL) ||
	     tce_put_words(writer, 0, words, TABLE_ENTRIES, NULL) || tce_end_table(writer, NULL) ||
	     tce_end_image(writer, NULL));
	tce_destroy_writer(writer);
	close(fd);
}

static void save_tap_image(void)
{
	KvmCriu__Tap *tap = new_message(&kvm_criu__tap__descriptor);

	tap->version = 1;
	tap->dump = DUMP_ID;
	must(set_string(&tap->name, "fuzz-tap", strlen("fuzz-tap")));
	tap->has_address = true;
	fill(&tap->address, 6);
	must(save_message(names[TAP_IMAGE], &tap->base));
	free_message(tap);
}

static void save_images(void)
{
	KvmCriu__File file = KVM_CRIU__FILE__INIT;
	KvmCriu__Socket socket = KVM_CRIU__SOCKET__INIT;

	save_vm_image();
	save_hpt_image();
	save_task_image();
	file.dump = DUMP_ID;
	file.object = KVM_CRIU__OBJECT__TABLE;
	file.vm = 1;
	file.which = LIOBN;
	must(save_message(names[3], &file.base));
	socket.version = SOCKET_VERSION;
	socket.dump = DUMP_ID;
	must(save_message(names[4], &socket.base));
	save_table_image();
	save_tap_image();
	save_list();
}

/*
 * What a server accepts is saved, also if the socket's name has no zero behind it: reading it is
 * for a sanitizer to look at.
 */
static void save_long_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	int accepted, len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/", path);

	memset(addr.sun_path + len, 'x', sizeof(addr.sun_path) - (size_t)len);
	must(bind(server, (struct sockaddr *)&addr, sizeof(addr)) || listen(server, 1) ||
	     connect(client, (struct sockaddr *)&addr, sizeof(addr)));
	accepted = accept(server, NULL, NULL);
	must(accepted < 0 || start_manifest() || save_socket(getpid(), accepted, ODD_SOCKET));
	drop_manifest();
	close(accepted);
	close(client);
	close(server);
}

/* A file that nobody writes to is refused, not waited for. */
static void refuse_fifo(void)
{
	static const char *const fifos[] = { "kvm-file-9.img", "kvm-tap-9.img" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(fifos); i++) {
		must(mkfifoat(folder, fifos[i], 0600) || !check_images());
		drop_vms();
		drop_manifest();
		must(unlinkat(folder, fifos[i], 0));
	}
}

static bool fclose_fails;

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
int __wrap_fclose(FILE *file)
{
	int ret = __real_fclose(file);

	if (!fclose_fails)
		return ret;
	errno = EDQUOT;
	return EOF;
}

/* An image is not whole if that is said only when it is closed. */
static void refuse_to_close(void)
{
	KvmCriu__Socket socket = KVM_CRIU__SOCKET__INIT;

	fclose_fails = true;
	must(!save_message(names[SOCKET_IMAGE], &socket.base));
	fclose_fails = false;
	save_images();
}

static uint8_t original[ARRAY_LEN(names)][1 << 16];
static size_t original_size[ARRAY_LEN(names)];

static void write_file(unsigned int kind, const uint8_t *data, size_t size)
{
	char name[64];
	int fd;

	name_of(kind, name, sizeof(name));
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd < 0 || write(fd, data, size) != (ssize_t)size);
	close(fd);
}

void fill_corpus(void)
{
	char path[] = "/tmp/fuzz-criu-XXXXXX", name[64];
	uint8_t input[1 + sizeof(original[0])];
	unsigned int kind;
	ssize_t got;
	int fd;

	must(!mkdtemp(path));
	folder = open_file(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(folder < 0);
	save_images();
	/* Under libFuzzer files and sockets are not the system's. */
	if (made_inputs_first) {
		save_long_socket(path);
		refuse_fifo();
		refuse_to_close();
	}
	for (kind = 0; kind < ARRAY_LEN(names); kind++) {
		name_of(kind, name, sizeof(name));
		fd = openat(folder, name, O_RDONLY);
		got = read(fd, original[kind], sizeof(original[kind]));
		must(fd < 0 || got <= 0);
		close(fd);
		original_size[kind] = (size_t)got;
		input[0] = (uint8_t)kind;
		memcpy(input + 1, original[kind], (size_t)got);
		add_to_corpus(input, 1 + (size_t)got);
	}
}

/* How far a restore gets: so that it is seen that the good images get to the end. */
static int restore(void)
{
	if (check_images())
		return 0;
	if (restore_file(1) < 0)
		return 1;
	if (restore_tap(3) < 0 || restore_socket(2) < 0)
		return 2;
	return finish_process(getpid()) ? 3 : 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned long tries;
	unsigned int kind = size ? data[0] % ARRAY_LEN(names) : 0;
	int got;

	if (!size)
		return 0;
	write_file(kind, data + 1, size - 1);
	if (kind != MANIFEST)
		save_list();
	got = restore();
	/* The first inputs are the good ones. */
	if (made_inputs_first && tries++ < ARRAY_LEN(names) && got != 4)
		abort();
	write_file(kind, original[kind], original_size[kind]);
	save_list();
	drop_vms();
	drop_manifest();
	reset_task(&the_task);
	close_range(FIRST_FD, ~0U, 0);
	return 0;
}
