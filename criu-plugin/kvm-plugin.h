/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the plugin share. Functions return 0 (or what they say) or -1 after an
 * error message, unless they say otherwise.
 */
#ifndef KVM_PLUGIN_H
#define KVM_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#include <compel/loglevels.h>

#include "kvm_criu.pb-c.h"
#include "tce.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* CRIU's own log, which libcriu-dev has no header for. */
void print_on_level(unsigned int level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define pr_err(fmt, ...)    print_on_level(COMPEL_LOG_ERROR, "Error (kvm): " fmt, ##__VA_ARGS__)
#define pr_warn(fmt, ...)   print_on_level(COMPEL_LOG_WARN, "Warn  (kvm): " fmt, ##__VA_ARGS__)
#define pr_info(fmt, ...)   print_on_level(COMPEL_LOG_INFO, "kvm: " fmt, ##__VA_ARGS__)
#define pr_perror(fmt, ...) pr_err(fmt ": %m\n", ##__VA_ARGS__)

static inline uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/* ---- image.c: files in CRIU's image folder ---- */

#define IMAGE_VERSION  3  /* of a VM's; the others' are below */
#define IMAGE_NAME_LEN 64 /* of such a file's name */
#define TASK_VERSION   3
#define SOCKET_VERSION 2
#define VM_TYPE	       "hv"

struct image;

struct image *create_image(const char *name);
struct image *open_image(const char *name);
/* To read it, or -1; also for a table's, which is libtce's. */
int open_image_fd(const char *name);
int write_record(struct image *image, const ProtobufCMessage *message);
/* The message, NULL at the end with *@failed 0, NULL after an error with *@failed 1. */
void *read_record(struct image *image, const ProtobufCMessageDescriptor *type, int *failed);
/* Ends a written image. Frees it in any case. */
int finish_image(struct image *image);
void close_image(struct image *image);
/* Is it a name that this plugin gives? */
bool is_image_name(const char *name);
/* Call @each for every image of this plugin's whose name begins with @prefix. */
int for_each_image(const char *prefix, int (*each)(const char *name));
/* One message as a whole file. */
int save_message(const char *name, const ProtobufCMessage *message);
/* NULL with *@failed 0 if there is no such file and it is @optional. */
void *load_message(const char *name, const ProtobufCMessageDescriptor *type, bool optional,
		   int *failed);

/* Name of a table's image, which is libtce's. */
void table_image_name(char *name, size_t size, uint64_t vm, uint64_t liobn);
/* Logs what libtce says about it, and is -1. */
int table_error(const struct tce_error *err, const char *name);

/* ---- message.c: protobuf-c's messages ---- */

/* One with its defaults, or NULL. */
void *new_message(const ProtobufCMessageDescriptor *type);
/* With all that is in it; of NULL nothing. */
void free_message(void *message);
/*
 * Append a message of its own to a repeated field, whose two parts are &message->n_field and
 * &message->field. The answer is the new one, or NULL.
 */
void *add_element(size_t *count, void *array, const ProtobufCMessageDescriptor *type);
int set_bytes(ProtobufCBinaryData *bytes, const void *data, size_t len);
/* At most @len characters of @text. */
int set_string(char **string, const char *text, size_t len);

/* ---- procfs.c: the files of /proc ---- */

#define PATH_LEN 64 /* of a file there */
#define SELF	 0  /* as a process ID: the calling process */

/* /proc/@pid/@folder/@number */
void proc_path(char path[PATH_LEN], pid_t pid, const char *folder, int number);

/* A "name:<tab>value" file of /proc, in memory. */
struct fdinfo {
	char *text;
	size_t len;
};

int read_fdinfo(struct fdinfo *info, pid_t pid, int fd);
/* Of a process or a thread. */
int read_status(struct fdinfo *status, pid_t tid);
void free_fdinfo(struct fdinfo *info);
/* The value of the next line called @name after @from (NULL: from the start), or NULL. */
const char *next_fdinfo(const struct fdinfo *info, const char *name, const char *from);
int fdinfo_u64(const struct fdinfo *info, const char *name, uint64_t *value);
/* Call @each with every number in a folder of /proc/PID, until it says something else than 0. */
int for_each_number(pid_t pid, const char *folder, int (*each)(void *arg, int number), void *arg);
/* As links and mappings name KVM's objects: each, and a VM. */
#define KVM_FILE "anon_inode:kvm-"
#define VM_LINK	 KVM_FILE "vm"

/* A mapping: a line of /proc/PID/maps, or one of smaps that begins a mapping. */
struct range {
	uint64_t start, end, offset, inode;
	int prot;
	bool shared;
	enum { RANGE_OTHER, RANGE_KVM, RANGE_STACK, RANGE_VDSO } what;
};

/* In ascending order. */
struct ranges {
	struct range *range;
	size_t count;
};

/* Is @line one? It is cut where it ends, and *@name is the name in it, which may be empty. */
bool parse_range(char *line, struct range *range, const char **name);
int add_range(struct ranges *ranges, const struct range *range);
/* All mappings of a process. */
int read_ranges(struct ranges *ranges, pid_t pid);
/* Has it threads that never leave the kernel, as vhost's? 1, 0 or -1. */
int has_user_workers(pid_t pid);
/* Is it in a cgroup (of version 2) that is frozen? What is stopped there can't be made to run. */
bool is_frozen(pid_t pid);
/* Refuse one that is. */
int check_frozen(pid_t pid);
/* The process's ID in its own namespace, or 0. */
unsigned int read_vpid(pid_t pid);

/* ---- manifest.c: what belongs to one dump ---- */

/* A dump begins. */
int start_manifest(void);
void drop_manifest(void);
/* What each image says, so that it is of this dump. */
uint64_t dump_id(void);
/* An image that is not named by an id of CRIU's has been written. */
int note_image(const char *name);
struct kvm_process;
/* All of the process has been noted but its files. @taps: of all processes so far. */
int save_manifest(const struct kvm_process *process, unsigned int taps);
/* Once all processes have been saved: what is neither of this dump nor still to come. */
int remove_stale_images(void);
/* Does CRIU give its images to a program instead of writing them into the folder? */
bool images_are_streamed(void);

/* Before anything is created: is all there? */
int load_manifest(void);
bool is_listed(const char *name);
int for_each_listed(const char *prefix, int (*each)(const char *name));
int check_file_count(unsigned int files);
/* How many taps there were. */
unsigned int tap_count(void);

/* ---- process.c: a process's files and memory ---- */

/* Does the process have a VM open? */
bool has_vm(pid_t pid);
/* The calling process's copy of @fd, or -1. */
int get_fd(pid_t pid, int fd);
/* 1 if they are one open file, 0 if not, or -1. */
int is_same_file(pid_t pid1, int fd1, pid_t pid2, int fd2);
/* @len bytes of a stopped process, to or from @local. */
int copy_memory(pid_t pid, bool to_task, uint64_t remote, void *local, size_t len);
/* Memory of the guest that others than the process have written to counts as changed. */
void touch_guest_memory(pid_t pid, const KvmCriu__Vm *vm, uint64_t gpa, uint64_t len);

/* ---- scan.c: what a process has of KVM ---- */

/* A KVM object behind a file descriptor of the process. */
struct kvm_fd {
	int fd;
	KvmCriu__Object object;
	uint64_t vm; /* number of its VM, 0 for what is of no VM: /dev/kvm, /dev/vhost-net, disks */
	uint64_t which; /* vCPU id or LIOBN */
	uint64_t inode; /* of what can be mapped (vCPU, table, device): its own; else 0 */
};

struct kvm_map {
	uint64_t start, end, offset;
	int prot, flags;
	bool dontfork;
	const struct kvm_fd *fd;
};

struct eventfd {
	int fd;
	int id;
};

/* What is open beside KVM and reaches into guest memory. */
struct alien_fd {
	int fd;
	const char *what;
};

/* A tap in the network namespace that CRIU runs in. */
struct tap_fd {
	int fd;
	bool cloexec;
	int held, placeholder; /* the tap and what stands for it, fds of this process, or -1 */
};

struct kvm_process {
	pid_t pid;
	unsigned int vpid;		   /* in its own namespace */
	const struct kvm_process *earlier; /* looked at before it, of the same tree, or NULL */
	struct kvm_fd *fds;
	size_t nr_fds;
	struct eventfd *eventfds;
	size_t nr_eventfds;
	uint64_t *sockets; /* their inodes */
	size_t nr_sockets;
	struct ranges ranges; /* all that is mapped */
	struct kvm_map *maps;
	size_t nr_maps;
	struct alien_fd *aliens;
	size_t nr_aliens;
	struct tap_fd *taps;
	size_t nr_taps;
	int *epolls;
	size_t nr_epolls;
	/* Of /dev/vhost-net and of block devices; they are among the fds, too, if there is KVM. */
	int *vhosts;
	size_t nr_vhosts;
	int *blocks;
	size_t nr_blocks;
	bool huge; /* there is memory in huge pages */
	bool aio;  /* there is a ring of the kernel's asynchronous I/O */
};

/*
 * Look at the fds and the mappings of a process, change nothing. Kinds of KVM objects that
 * can't be saved are refused here, by name. The answer is 1 if there is anything of KVM in it,
 * 0 if not.
 */
int scan_process(struct kvm_process *process, pid_t pid);
void free_process(struct kvm_process *process);
/* Are two fds of one open file, as CRIU tells them apart? 1, 0 or -1. */
int is_same_object(pid_t pid1, const struct kvm_fd *fd1, pid_t pid2, const struct kvm_fd *fd2);
/* The same as scan_process() for one fd: 1 with *@found if it is KVM's. */
int identify_fd(pid_t pid, int fd, struct kvm_fd *found);
/* Is the calling process's @fd, opened through map_files, of something of KVM's? */
bool is_mapped_object(int fd);

/* ---- alien.c ---- */

/* Remember the fd, which is open at @link, if it is one that reaches into guest memory. */
int add_alien_fd(struct kvm_process *process, int fd, const char *link);

/* ---- sharer.c ---- */

/* Can what it shares with those that were looked at earlier be restored in them? */
int check_sharers(const struct kvm_process *process);

/* ---- block.c: block devices ---- */

/* Has the process, which has it open, a path to it? */
int check_block(pid_t pid, int fd);
#define BLOCK_PATH_LEN 4096
/* What a restore has to know of the calling process's @fd, a part of it in @path. */
int save_block(int fd, char path[BLOCK_PATH_LEN], KvmCriu__File *image);
/* The fd, or -1. */
int open_block(const KvmCriu__File *image);

/* ---- tap-scan.c ---- */

int add_tap_fd(struct kvm_process *process, int fd);
/* Forget those that are CRIU's to save, refuse what can't be. */
int check_tap_fds(struct kvm_process *process);

/* ---- tap.c: taps at a dump ---- */

/* Take hold of a process's taps, and see what they are. Changes nothing. */
int hold_taps(const struct kvm_process *process);
/* Is the tap itself in its place? 1, 0 or -1. */
int has_tap(pid_t pid, const struct tap_fd *tap);
/* How many there are that CRIU will ask to have dumped. */
unsigned int count_taps(void);
/* -ENOTSUP if @fd is no placeholder. */
int save_tap(int fd, uint32_t id);
/* Let go of all. */
void drop_taps(void);

/* ---- tap-restore.c ---- */

/* Before anything is created. */
int check_taps(unsigned int expected);
/* The fd; -ENOTSUP if not ours. */
int restore_tap(uint32_t id);

/* ---- vhost.c: vhost-net, which is saved while nobody owns it ---- */

#define VHOST_NET_PATH "/dev/vhost-net"

/* Without looking into it, which only its owner can: does a kernel thread work for it? */
int check_vhosts(const struct kvm_process *process);
/* A restore makes each process with KVM the owner of what it has: no two may have the same. */
int check_vhost_sharers(const struct kvm_process *process, const struct kvm_process *other);
struct task;
/* With the process stopped. */
int save_vhosts(const struct kvm_process *process, struct task *task, KvmCriu__Task *image);
/* In the whole process: it owns them. */
int own_vhosts(struct task *task, const KvmCriu__Task *saved);

/* ---- task.c: system calls inside a stopped process ---- */

struct task;

struct task *open_task(pid_t pid);
/* Space that system calls of the next run_task() can point to; *@remote is its address there. */
void *task_buffer(struct task *task, size_t size, uint64_t *remote);
/*
 * Add a system call to the next run. The answer is its number, for task_result(). The run
 * stops behind the first call that fails, unless the call @may_fail.
 */
#define TASK_CALLS_MAX 4095 /* in one run */
int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5);
int run_task(struct task *task);
/* What a call gave back: a value or a negative errno; -ECANCELED if it was not reached. */
long task_result(const struct task *task, int call);
/* The same, and an error, with the message @failed, if a call failed that must not. */
int run_calls(struct task *task, const char *failed);
/*
 * Room for @calls more with @size bytes of buffers in all, for lists that may be long: what is
 * there is run first, as by run_calls(), and forgotten, if need be.
 */
int make_room(struct task *task, int calls, size_t size, const char *failed);
/* Forget calls and buffers of the last run. */
void reset_task(struct task *task);
int close_task(struct task *task);

#define task_ioctl(task, may_fail, fd, cmd, arg) \
	task_call(task, may_fail, __NR_ioctl, fd, cmd, arg, 0, 0, 0)

/* ---- regs.c ---- */

const KvmCriu__Reg *find_reg(const KvmCriu__Vcpu *vcpu, uint64_t id);
/* What its value has, in bytes. */
size_t reg_size(uint64_t id);
/* 64 bits of a register's value, from byte @at on; 0 when there is no such register. */
uint64_t reg_value(const KvmCriu__Reg *reg, size_t at);

/* ---- watcher.c: what is done when CRIU is gone ---- */

struct watcher {
	int pidfd; /* -1 if there is none */
};

/*
 * Start a process that calls @act with @arg when the calling one is gone, and then ends. It has a
 * copy of the caller's memory, and @fds of its files. It calls @begin at once, if that is given,
 * and does not wait for anything if that gives another value than 0.
 */
int start_watcher(struct watcher *watcher, int (*begin)(void *arg), void (*act)(void *arg),
		  void *arg, const int *fds, size_t nr_fds);
void stop_watcher(struct watcher *watcher);
/* Zeros that the caller and its watchers share, or NULL. */
void *share_memory(size_t size);

/* ---- guard.c and its parts: a stopped process that must go on, whatever becomes of CRIU ---- */

struct guard;

/* Before anything in it is touched. */
struct guard *guard_process(const struct kvm_process *process);
/* When system calls were made in it: leave no trace of that. */
int settle_guarded(const struct guard *guard);
/* The handler of SIGTRAP that it had, SIG_DFL or SIG_IGN, if the guard has replaced it. */
bool guarded_handler(const struct guard *guard, uint64_t *handler);
/* Settled, and with its taps held: let placeholders stand for them until it is put back. */
int replace_taps(const struct guard *guard);
/*
 * Put it back as it was, all that CRIU has left in it, and stop guarding. If that can't be done it
 * is killed.
 */
void release_process(struct guard *guard);

/* ---- early.c: tables saved while their guest still runs ---- */

/* Begin with those of a VMM that is not stopped yet. What can't be done is not done. */
void save_early(pid_t pid);
/*
 * The process has been stopped: write what changed. 1 with the table's geometry if
 * its image is whole, 0 if it was not saved early.
 */
int finish_early(uint64_t vm, uint64_t inode, struct tce_geometry *geometry);
/* Another table gets this image. */
void drop_early(const char *name);
/* The dump is over: remove images that are not whole, of closed tables or because it has failed. */
void discard_early(void);
/* All of it: logs that are still on are stopped. */
void drop_all_early(void);

/* ---- clock.c: the guest's clock, and what the VMM knows of it ---- */

/* Look for it in a VMM that is not stopped yet; save_clock() looks for what is not found. */
void find_clocks(pid_t pid);
void drop_clocks(void);
/* With the vCPUs in @vm, and in guest_timebase the host's timebase when the guest was stopped. */
int save_clock(pid_t pid, KvmCriu__Vm *vm);
/* At the very end: from here on the guest's time passes. */
int start_clock(pid_t pid, struct task *task, const KvmCriu__Vm *vm);

/* ---- save.c ---- */

/* Write the images of a VM that @process owns. Changes nothing in the VM. */
int save_vm(const struct kvm_process *process, struct task *task, const struct kvm_fd *vm_fd);

/* ---- check.c ---- */

/* Before anything is created: load the VMs, and can what the image folder has be restored here? */
int check_images(void);

/* ---- restore.c ---- */

/* The fd for CRIU's external file @id, made in the calling process; -ENOTSUP if not ours. */
int restore_file(uint32_t id);

/*
 * At a dump, before anything of the process is touched: make the VM once more, and throw it away.
 * What takes memory and can't be refused is left out: memory slots, HPT and tables.
 */
int try_vm(KvmCriu__Vm *image);

/* ---- finish.c ---- */

/* What can only be done in the whole process: mappings, ioeventfds and irqfds. */
int finish_process(pid_t pid);

/* ---- irqchip-save.c, irqchip-restore.c: the interrupt controller in KVM, if there is one ---- */

/* With all vCPUs in @vm already, and no irqfd in the middle of something. */
int save_irqchip(const struct kvm_process *process, struct task *task, uint64_t number,
		 KvmCriu__Vm *vm);

/* Before anything is created. */
int check_irqchip(const KvmCriu__Vm *vm);
/* In the process: make the device. The answer is its fd. */
int make_irqchip(const KvmCriu__Vm *vm, int vm_fd);
/* In the process, with vCPUs whose registers are set: connect them, and all but the next. */
int load_irqchip(const KvmCriu__Vm *vm, int device_fd, const int *vcpu_fds);
/* With the process's memory in place: what XIVE keeps there. Uses up @task's list. */
int finish_irqchip(pid_t pid, struct task *task, const KvmCriu__Vm *vm);

/* ---- stack.c: what CRIU would overwrite at the end of a restore ---- */

/* At the dump, with the process stopped. */
int save_stack(pid_t pid, KvmCriu__Task *image);
/* After CRIU's last use of that stack. */
int restore_stack(pid_t pid, const KvmCriu__Task *image);

/* ---- threads.c: what CRIU leaves out of threads ---- */

/* In a process that still runs, since that takes as long as it has memory: what is not saved. */
void tell_memory_policy(pid_t pid);
int save_threads(pid_t pid, KvmCriu__Task *image);
/* Of the whole process; what can't be is said. */
void restore_threads(pid_t pid, const KvmCriu__Task *image);

/* ---- socket.c: unix sockets with a client that is not dumped ---- */

/*
 * -ENOTSUP if @fd, which process @pid has too, was not accepted from a client, and is not to be
 * hung up.
 */
int save_socket(pid_t pid, int fd, uint32_t id);
/* The fd, its other end closed; -ENOTSUP if not ours. */
int restore_socket(uint32_t id);

#endif /* KVM_PLUGIN_H */
