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
/* Open an image to read it: an fd, or -1. Works for the images of tables, too. */
int open_image_fd(const char *name);
int write_record(struct image *image, const ProtobufCMessage *message);
/* Return: the message; or NULL, at the end with *@failed 0, after an error with *@failed 1. */
void *read_record(struct image *image, const ProtobufCMessageDescriptor *type, int *failed);
/* End an image that was written, and free it in any case. */
int finish_image(struct image *image);
void close_image(struct image *image);
/* Is this a name that the plugin gives to images? */
bool is_image_name(const char *name);
/* Call @each for every image of this plugin whose name begins with @prefix. */
int for_each_image(const char *prefix, int (*each)(const char *name));
/* Write an image that consists of one message. */
int save_message(const char *name, const ProtobufCMessage *message);
/* Read one. Return: the message; or NULL, with *@failed 0 if it is @optional and not there. */
void *load_message(const char *name, const ProtobufCMessageDescriptor *type, bool optional,
		   int *failed);

/* Put the name of a table's image, which libtce writes, into @name. */
void table_image_name(char *name, size_t size, uint64_t vm, uint64_t liobn);
/* Log an error of libtce. Return: -1. */
int table_error(const struct tce_error *err, const char *name);

/* ---- message.c: protobuf-c's messages ---- */

/* Make a message with its defaults. Return: the message, or NULL. */
void *new_message(const ProtobufCMessageDescriptor *type);
/* Free a message and all that is in it, or nothing if it is NULL. */
void free_message(void *message);
/*
 * Append a new message to a repeated field, whose two parts are &message->n_field and
 * &message->field. Return: the new message, or NULL.
 */
void *add_element(size_t *count, void *array, const ProtobufCMessageDescriptor *type);
int set_bytes(ProtobufCBinaryData *bytes, const void *data, size_t len);
/* Set a string to at most @len characters of @text. */
int set_string(char **string, const char *text, size_t len);

/* ---- procfs.c: the files of /proc ---- */

#define PATH_LEN 64 /* of a file there */
#define SELF	 0  /* as a process ID: the calling process */

/* Put /proc/@pid/@folder/@number into @path. */
void proc_path(char path[PATH_LEN], pid_t pid, const char *folder, int number);

/* A "name:<tab>value" file of /proc, in memory. */
struct fdinfo {
	char *text;
	size_t len;
};

int read_fdinfo(struct fdinfo *info, pid_t pid, int fd);
/* Read the status of a process or a thread. */
int read_status(struct fdinfo *status, pid_t tid);
void free_fdinfo(struct fdinfo *info);
/* Return: the value of the next line @name after @from (NULL: from the start), or NULL. */
const char *next_fdinfo(const struct fdinfo *info, const char *name, const char *from);
int fdinfo_u64(const struct fdinfo *info, const char *name, uint64_t *value);
/* Call @each with every number in a folder of /proc/PID, until it returns other than 0. */
int for_each_number(pid_t pid, const char *folder, int (*each)(void *arg, int number), void *arg);
/* The same with every line of a file of /proc/PID. */
int for_each_line(pid_t pid, const char *name, int (*each)(void *arg, char *line), void *arg);
/* How links and mappings name KVM's objects: all of them, and a VM. */
#define KVM_FILE "anon_inode:kvm-"
#define VM_LINK	 KVM_FILE "vm"

/* A mapping: a line of /proc/PID/maps, or one of smaps that begins a mapping. */
struct range {
	uint64_t start, end, offset, device, inode;
	int prot;
	bool shared;
	enum { RANGE_OTHER, RANGE_KVM, RANGE_STACK, RANGE_VDSO, RANGE_AIO } what;
};

/* Mappings in ascending order. */
struct ranges {
	struct range *range;
	size_t count;
};

/* Is @line a mapping? Ends it with a NUL. *@name becomes the name in it, which may be empty. */
bool parse_range(char *line, struct range *range, const char **name);
int add_range(struct ranges *ranges, const struct range *range);
/* Read all mappings of a process. */
int read_ranges(struct ranges *ranges, pid_t pid);
/* Does it have threads that never leave the kernel, such as vhost's? Return: 1, 0 or -1. */
int has_user_workers(pid_t pid);
/* Is it in a frozen cgroup (of version 2)? Nothing can be made to run there. */
bool is_frozen(pid_t pid);
/* Refuse a process that is frozen. */
int check_frozen(pid_t pid);
/* Return: the process's ID in its own namespace, or 0. */
unsigned int read_vpid(pid_t pid);

/* ---- manifest.c: what belongs to one dump ---- */

/* Call this when a dump begins. */
int start_manifest(void);
void drop_manifest(void);
/* Return: the number that each image of this dump has. */
uint64_t dump_id(void);
/* Call this after writing an image that is not named by an id of CRIU's. */
int note_image(const char *name);
struct kvm_process;
/* Write the manifest when all of a process but its files is noted. @taps: of all so far. */
int save_manifest(const struct kvm_process *process, unsigned int taps);
/* Remove images of older dumps. Call this when all processes have been saved. */
int remove_stale_images(void);
/* Does CRIU give its images to a program instead of writing them into the folder? */
bool images_are_streamed(void);

/* Check that the folder is complete, before anything is created. */
int load_manifest(void);
bool is_listed(const char *name);
int for_each_listed(const char *prefix, int (*each)(const char *name));
int check_file_count(unsigned int files);
/* Return: how many taps the dump had. */
unsigned int tap_count(void);

/* ---- process.c: a process's files and memory ---- */

/* Does the process have a VM open? */
bool has_vm(pid_t pid);
/* Return: a copy of @fd in the calling process, or -1. */
int get_fd(pid_t pid, int fd);
/* Are they one open file? Return: 1, 0 or -1. */
int is_same_file(pid_t pid1, int fd1, pid_t pid2, int fd2);
/* Copy @len bytes to a stopped process from @local, or the other way. */
int copy_memory(pid_t pid, bool to_task, uint64_t remote, void *local, size_t len);
/* Mark memory of the guest as changed, since others than the process write to it. */
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

/* What is open beside KVM, and nobody can save. */
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
 * Look at the fds and the mappings of a process, and change nothing. Refuse kinds of KVM objects
 * that can't be saved, by name. Return: 1 if the process has anything of KVM, 0 if not, or -1.
 */
int scan_process(struct kvm_process *process, pid_t pid);
void free_process(struct kvm_process *process);
/* Do two fds have one open file, in CRIU's view? Return: 1, 0 or -1. */
int is_same_object(pid_t pid1, const struct kvm_fd *fd1, pid_t pid2, const struct kvm_fd *fd2);
/* Do what scan_process() does for one fd. Return: 1 with *@found if it is KVM's, 0 or -1. */
int identify_fd(pid_t pid, int fd, struct kvm_fd *found);
/* Is @fd, which the calling process has opened through map_files, an object of KVM's? */
bool is_mapped_object(int fd);

/* ---- scan-maps.c: what it has mapped ---- */

/* Look at the mappings of a process that still runs, so that scan_maps() takes less time. */
void note_maps(pid_t pid);
void drop_notes(void);
/* Do what scan_process() does for the mappings, when the fds are known. */
int scan_maps(struct kvm_process *process);

/* ---- alien.c ---- */

/* Note the fd, whose link is @link, if nobody can save what is behind it. */
int add_alien_fd(struct kvm_process *process, int fd, const char *link);

/* ---- sharer.c ---- */

/* Can a restore give what it shares with processes that were scanned earlier to them? */
int check_sharers(const struct kvm_process *process);

/* ---- block.c: block devices ---- */

/* Does the process, which has it open, have a path to it? */
int check_block(pid_t pid, int fd);
#define BLOCK_PATH_LEN	   4096
#define BLOCK_IDENTITY_LEN 512
/* Room for what an image has of a block device. */
struct block_names {
	char path[BLOCK_PATH_LEN];
	char identity[BLOCK_IDENTITY_LEN];
};
/* Put into @image what a restore must know about @fd; @names is room for a part of it. */
int save_block(int fd, struct block_names *names, KvmCriu__File *image);
/* Is it here, and not another one? Opens nothing. */
int look_at_block(const KvmCriu__File *image);
/* Return: the fd, or -1. */
int open_block(const KvmCriu__File *image);

/* ---- tap-scan.c ---- */

int add_tap_fd(struct kvm_process *process, int fd);
/* Leave out taps that CRIU saves, and refuse those that can't be saved. */
int check_tap_fds(struct kvm_process *process);

/* ---- tap.c: taps at a dump ---- */

/* Open a process's taps in this one, and read what they are. Changes nothing. */
int hold_taps(const struct kvm_process *process);
/* Does the process have the tap itself, and no placeholder? Return: 1, 0 or -1. */
int has_tap(pid_t pid, const struct tap_fd *tap);
/* Return: how many taps CRIU will ask the plugin to dump. */
unsigned int count_taps(void);
/* Save the tap for which @fd stands. Return: 0, -1, or -ENOTSUP if @fd is no placeholder. */
int save_tap(int fd, uint32_t id);
/* Close all taps. */
void drop_taps(void);

/* ---- tap-restore.c ---- */

/* Check the taps of the dump, before anything is created. */
int check_taps(unsigned int expected);
/* Make a tap again. Return: its fd, -1, or -ENOTSUP if it is not ours. */
int restore_tap(uint32_t id);

/* ---- vhost.c: vhost-net, which is saved while nobody owns it ---- */

#define VHOST_NET_PATH "/dev/vhost-net"

/* Refuse vhost-net in use: only its owner can look into it, but a kernel thread shows it. */
int check_vhosts(const struct kvm_process *process);
/* Refuse vhost-net that two processes have: a restore makes each the owner of what it has. */
int check_vhost_sharers(const struct kvm_process *process, const struct kvm_process *other);
struct task;
/* Save vhost-net of a stopped process. */
int save_vhosts(const struct kvm_process *process, struct task *task, KvmCriu__Task *image);
/* Make the restored process the owner of its vhost-net. */
int own_vhosts(struct task *task, const KvmCriu__Task *saved);

/* ---- task.c: system calls inside a stopped process ---- */

struct task;

struct task *open_task(pid_t pid);
/* Get room for arguments of the next run_task(); *@remote is its address in the process. */
void *task_buffer(struct task *task, size_t size, uint64_t *remote);
/*
 * Add a system call to the next run. The run stops after the first call that fails, unless that
 * call @may_fail. Return: the call's number, for task_result().
 */
#define TASK_CALLS_MAX 4095 /* in one run */
int task_call(struct task *task, bool may_fail, long nr, uint64_t a0, uint64_t a1, uint64_t a2,
	      uint64_t a3, uint64_t a4, uint64_t a5);
int run_task(struct task *task);
/* Return: what a call returned, a value or a negative errno; -ECANCELED if it was not reached. */
long task_result(const struct task *task, int call);
/* As run_task(), but also fail, with the message @failed, if a call failed that must not. */
int run_calls(struct task *task, const char *failed);
/*
 * Make room for @calls more calls with @size bytes of buffers in all, for lists that may be long.
 * If there is none, run the calls that are there, as run_calls() does, and drop them.
 */
int make_room(struct task *task, int calls, size_t size, const char *failed);
/* Drop the calls and the buffers of the last run. */
void reset_task(struct task *task);
int close_task(struct task *task);

#define task_ioctl(task, may_fail, fd, cmd, arg) \
	task_call(task, may_fail, __NR_ioctl, fd, cmd, arg, 0, 0, 0)

/* ---- regs.c ---- */

const KvmCriu__Reg *find_reg(const KvmCriu__Vcpu *vcpu, uint64_t id);
/* Return: the size of a register's value in bytes. */
size_t reg_size(uint64_t id);
/* Return: 64 bits of a register's value from byte @at on, or 0 without such a register. */
uint64_t reg_value(const KvmCriu__Reg *reg, size_t at);

/* ---- watcher.c: what is done when CRIU is gone ---- */

struct watcher {
	int pidfd;  /* -1 if there is none */
	int caller; /* pidfd, open as long as there is a watcher that shares the caller's files */
};

struct duty {
	int (*begin)(void *arg); /* or NULL */
	void (*act)(void *arg);
	void *arg;
	const int *fds;
	size_t nr_fds;
	bool shares_files;
};

/*
 * Start a process that waits for the end of the calling one, then calls @act with @arg, and ends.
 * It has a copy of the caller's memory. First it calls @begin; if that returns other than 0, it
 * does not wait.
 *
 * It keeps @fds open. With @shares_files what the caller has open is open in the watcher, too, even
 * what the caller opens later, until @act calls close_shared().
 */
int start_watcher(struct watcher *watcher, const struct duty *duty);
void stop_watcher(struct watcher *watcher);
/* In @act: close all but the duty's files. */
void close_shared(void);
/* Return: memory that the caller shares with its watchers, zeros at first; or NULL. */
void *share_memory(size_t size);

/* ---- guard.c and its parts: a stopped process that must go on, whatever becomes of CRIU ---- */

struct guard;

/* Begin to guard a process, before anything in it is changed. */
struct guard *guard_process(const struct kvm_process *process);
/* Remove the traces of system calls that were made in it. */
int settle_guarded(const struct guard *guard);
/* Has the guard replaced its handler of SIGTRAP? Then *@handler is SIG_DFL or SIG_IGN. */
bool guarded_handler(const struct guard *guard, uint64_t *handler);
/* Replace the taps of a settled process, which hold_taps() has opened, with placeholders. */
int replace_taps(const struct guard *guard);
/*
 * Put the process back as it was, undo what CRIU has left in it, and stop guarding it. If that
 * fails, kill the process.
 */
void release_process(struct guard *guard);

/* ---- early.c: tables saved while their guest still runs ---- */

/* Begin to save the tables of a VMM that still runs. What fails is left for later. */
void save_early(pid_t pid);
/*
 * Write what has changed, when the process is stopped. Return: 1 with the table's geometry if its
 * image is whole, 0 if the table was not saved early, or -1.
 */
int finish_early(uint64_t vm, uint64_t inode, struct tce_geometry *geometry);
/* Drop the early image of this name: another table gets it. */
void drop_early(const char *name);
/* Remove images that are not whole, when the dump is over. */
void discard_early(void);
/* Drop everything, and stop logs that are still on. */
void drop_all_early(void);

/* ---- clock.c: the guest's clock, and what the VMM knows of it ---- */

/* Search a VMM that still runs for copies of its clock. save_clock() does what is left. */
void find_clocks(pid_t pid);
void drop_clocks(void);
/* Save the clock. @vm has the vCPUs, and as guest_timebase the host's at the guest's stop. */
int save_clock(pid_t pid, KvmCriu__Vm *vm);
/* Let the guest's time pass again. Call this last. */
int start_clock(pid_t pid, struct task *task, const KvmCriu__Vm *vm);

/* ---- save.c ---- */

/* Write the images of a VM that @process owns. Changes nothing in the VM. */
int save_vm(const struct kvm_process *process, struct task *task, const struct kvm_fd *vm_fd);

/* ---- check.c ---- */

/* Load the VMs, and check that they can be restored here, before anything is created. */
int check_images(void);

/* ---- restore.c ---- */

/* Make CRIU's external file @id. Return: its fd, -1, or -ENOTSUP if it is not ours. */
int restore_file(uint32_t id);

/*
 * Try whether KVM would take a VM: make it once more, and discard it. Call this in a dump before
 * anything in the process is changed. Leaves out what takes memory and can't be refused: memory
 * slots, HPT and tables.
 */
int try_vm(KvmCriu__Vm *image);

/* ---- finish.c ---- */

/* Restore what needs the whole process: mappings, ioeventfds and irqfds. */
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
int save_failure_policy(struct task *task, KvmCriu__Task *image);
/* In the process, before it has other threads: they inherit it. */
void restore_failure_policy(const KvmCriu__Task *image);

/* ---- socket.c: unix sockets with a client that is not dumped ---- */

/*
 * -ENOTSUP if @fd, which process @pid has too, was not accepted from a client, and is not to be
 * hung up.
 */
int save_socket(pid_t pid, int fd, uint32_t id);
/* The fd, its other end closed; -ENOTSUP if not ours. */
int restore_socket(uint32_t id);

#endif /* KVM_PLUGIN_H */
