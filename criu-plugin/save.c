// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a VM out: into its images, without changing it.
 *
 * Three ways lead to its state: fdinfo (what nobody may ask KVM for by ioctl), ioctls inside the
 * process (task.c), and files that any process can read: the tables, the htab fd, the run pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-abi.h"
#include "kvm-plugin.h"
#include "regs.h"
#include "tce.h"

#define HPT_CHUNK	(1 << 20)
#define SETTLE_TRIES	5000	/* of a millisecond and more */

struct saver {
	const struct kvm_process *process;
	struct task *task;
	uint64_t number;
	int vm_fd;		/* in the process */
	int pidfd;
	long run_size;		/* of a vCPU's mappable pages */
	KvmCriu__Vm vm;
};

static int get_fd(const struct saver *saver, int fd)
{
	int local = syscall(SYS_pidfd_getfd, saver->pidfd, fd, 0);

	if (local < 0)
		pr_perror("Can't get fd %d of process %d", fd, saver->process->pid);
	return local;
}

void *add_element(size_t *count, void *array, size_t size)
{
	void **elements = *(void ***)array;
	void *element = calloc(1, size);

	elements = reallocarray(elements, *count + 1, sizeof(*elements));
	if (elements)
		*(void ***)array = elements;
	if (!elements || !element) {
		pr_err("Out of memory\n");
		free(element);
		return NULL;
	}
	elements[(*count)++] = element;
	return element;
}

int set_bytes(ProtobufCBinaryData *bytes, const void *data, size_t len)
{
	bytes->data = malloc(len);
	if (!bytes->data) {
		pr_err("Out of memory\n");
		return -1;
	}
	bytes->len = len;
	memcpy(bytes->data, data, len);
	return 0;
}

static int missing(const struct saver *saver, const char *what)
{
	pr_err("VM %" PRIu64 " of process %d: the kernel does not show its %s\n", saver->number,
	       saver->process->pid, what);
	return -1;
}

static int save_slots(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;
	unsigned int as;

	while ((line = next_fdinfo(info, "kvm-slot", line))) {
		KvmCriu__Slot *slot = add_element(&saver->vm.n_slot, &saver->vm.slot, sizeof(*slot));

		if (!slot)
			return -1;
		kvm_criu__slot__init(slot);
		if (sscanf(line, "as %u id %u gpa %" SCNx64 " size %" SCNx64 " hva %" SCNx64
			   " flags %x", &as, &slot->id, &slot->gpa, &slot->size, &slot->hva,
			   &slot->flags) != 6 || as)
			return missing(saver, "memory slots in a known form");
	}
	return 0;
}

/* The fd, in the process, of an eventfd that KVM has: fdinfo names it by its id. */
static int eventfd_of(const struct saver *saver, const char *what, uint64_t which, int id,
		      uint32_t *fd)
{
	size_t i;

	for (i = 0; i < saver->process->nr_eventfds; i++) {
		if (saver->process->eventfds[i].id == id) {
			*fd = saver->process->eventfds[i].fd;
			return 0;
		}
	}
	pr_err("VM %" PRIu64 " of process %d: the %s %#" PRIx64
	       " can't be saved: its eventfd %d is not open in the process\n", saver->number,
	       saver->process->pid, what, which, id);
	return -1;
}

static int save_irqfds(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-irqfd", line))) {
		KvmCriu__Irqfd *irqfd = add_element(&saver->vm.n_irqfd, &saver->vm.irqfd,
						    sizeof(*irqfd));
		int id, resample, got;

		if (!irqfd)
			return -1;
		kvm_criu__irqfd__init(irqfd);
		got = sscanf(line, "gsi %u eventfd %d resample %d", &irqfd->gsi, &id, &resample);
		if (got < 2)
			return missing(saver, "irqfds in a known form");
		irqfd->has_resample_fd = got == 3;
		if (eventfd_of(saver, "irqfd of interrupt", irqfd->gsi, id, &irqfd->fd) ||
		    (got == 3 && eventfd_of(saver, "irqfd of interrupt", irqfd->gsi, resample,
					    &irqfd->resample_fd)))
			return -1;
	}
	return 0;
}

static int save_rtas_tokens(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-rtas-token", line))) {
		KvmCriu__RtasToken *token = add_element(&saver->vm.n_rtas_token,
							&saver->vm.rtas_token, sizeof(*token));
		char *end;

		if (!token)
			return -1;
		kvm_criu__rtas_token__init(token);
		token->token = strtoull(line, &end, 16);
		if (end == line || *end != ' ')
			return missing(saver, "RTAS tokens in a known form");
		token->name = strndup(end + 1, strcspn(end + 1, "\n"));
		if (!token->name) {
			pr_err("Out of memory\n");
			return -1;
		}
	}
	return 0;
}

static int save_ioeventfds(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-ioeventfd", line))) {
		KvmCriu__Ioeventfd *io;
		uint64_t match = 0;
		int id, got;

		/* KVM makes this one by itself, beside the one on the mmio bus with length 0 */
		if (!strncmp(line, "bus fast-mmio ", 14))
			continue;
		io = add_element(&saver->vm.n_ioeventfd, &saver->vm.ioeventfd, sizeof(*io));
		if (!io)
			return -1;
		kvm_criu__ioeventfd__init(io);
		got = sscanf(line, "bus mmio addr %" SCNx64 " len %u eventfd %d datamatch %" SCNx64,
			     &io->addr, &io->len, &id, &match);
		if (got < 3)
			return missing(saver, "ioeventfds in a known form");
		io->has_datamatch = got == 4;
		io->datamatch = match;
		if (eventfd_of(saver, "ioeventfd at", io->addr, id, &io->fd))
			return -1;
	}
	return 0;
}

static int save_coalesced(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-coalesced", line))) {
		KvmCriu__Coalesced *zone = add_element(&saver->vm.n_coalesced, &saver->vm.coalesced,
						       sizeof(*zone));

		if (!zone)
			return -1;
		kvm_criu__coalesced__init(zone);
		if (sscanf(line, "mmio addr %" SCNx64 " size %" SCNx32, &zone->addr, &zone->size) != 2)
			return missing(saver, "coalesced MMIO zones in a known form");
	}
	return 0;
}

static int save_hcalls(struct saver *saver, const struct fdinfo *info)
{
	const char *text = next_fdinfo(info, "kvm-hcalls", NULL);
	char *end;

	if (!text)
		return missing(saver, "enabled hcalls");
	/* each number is followed by a space; MAX_HCALL_OPCODE bounds how many there are */
	saver->vm.hcall = calloc(strcspn(text, "\n") + 1, sizeof(*saver->vm.hcall));
	if (!saver->vm.hcall) {
		pr_err("Out of memory\n");
		return -1;
	}
	while (*text && *text != '\n') {
		saver->vm.hcall[saver->vm.n_hcall++] = strtoul(text, &end, 16);
		if (end == text || *end != ' ')
			return missing(saver, "enabled hcalls in a known form");
		text = end + 1;
	}
	return 0;
}

static int save_config(struct saver *saver, const struct fdinfo *info)
{
	KvmCriu__Vm *vm = &saver->vm;
	const char *mmu = next_fdinfo(info, "kvm-mmu", NULL);
	const char *smt = next_fdinfo(info, "kvm-smt", NULL);
	uint64_t order, fwnmi, dawr1, halt_poll, log_full;

	if (!mmu || !smt || fdinfo_u64(info, "kvm-process-table", &vm->process_table) ||
	    fdinfo_u64(info, "kvm-hpt-order", &order) || fdinfo_u64(info, "kvm-fwnmi", &fwnmi) ||
	    fdinfo_u64(info, "kvm-dawr1", &dawr1) ||
	    fdinfo_u64(info, "kvm-manual-dirty-log", &vm->manual_dirty_log))
		return missing(saver, "configuration");
	vm->version = IMAGE_VERSION;
	vm->number = saver->number;
	vm->owner = saver->process->vpid;
	vm->type = strdup("hv");
	vm->mmu = strndup(mmu, strcspn(mmu, "\n"));
	if (!vm->type || !vm->mmu) {
		pr_err("Out of memory\n");
		return -1;
	}
	vm->hpt_order = order;
	if (sscanf(smt, "%u %u", &vm->smt_mode, &vm->emul_smt_mode) != 2)
		return missing(saver, "SMT mode");
	vm->fwnmi = fwnmi;
	vm->dawr1 = dawr1;
	vm->has_halt_poll = !fdinfo_u64(info, "kvm-halt-poll", &halt_poll);
	if (vm->has_halt_poll)
		vm->halt_poll = halt_poll;
	vm->has_dirty_log_full = !fdinfo_u64(info, "kvm-dirty-log-full", &log_full);
	if (vm->has_dirty_log_full)
		vm->dirty_log_full = log_full;
	vm->pvr = read_pvr();
	vm->host_page_size = getpagesize();

	if (save_slots(saver, info) || save_ioeventfds(saver, info) ||
	    save_irqfds(saver, info) || save_coalesced(saver, info) || save_hcalls(saver, info) ||
	    save_rtas_tokens(saver, info))
		return -1;
	return 0;
}

static int save_run_pages(struct saver *saver, int fd, KvmCriu__Vcpu *vcpu)
{
	int local = get_fd(saver, fd);
	void *run;
	int ret;

	if (local < 0)
		return -1;
	run = mmap(NULL, saver->run_size, PROT_READ, MAP_SHARED, local, 0);
	close(local);
	if (run == MAP_FAILED) {
		pr_perror("Can't map the run pages of vCPU %u", vcpu->id);
		return -1;
	}
	ret = set_bytes(&vcpu->run, run, saver->run_size);
	munmap(run, saver->run_size);
	return ret;
}

static unsigned int reg_size(uint64_t id)
{
	return 1U << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static int save_registers(struct saver *saver, int fd, KvmCriu__Vcpu *vcpu)
{
	struct task *task = saver->task;
	struct kvm_vcpu_events *events;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	uint64_t remote, value;
	struct {
		int call;
		uint64_t id;
		void *value;
	} reg[512];
	size_t nr_regs = 0, i;
	unsigned int n;
	int calls[3];

	reset_task(task);
	regs = task_buffer(task, sizeof(*regs), &remote);
	calls[0] = task_ioctl(task, false, fd, KVM_GET_REGS, remote);
	sregs = task_buffer(task, sizeof(*sregs), &remote);
	calls[1] = task_ioctl(task, false, fd, KVM_GET_SREGS, remote);
	events = task_buffer(task, sizeof(*events), &remote);
	calls[2] = task_ioctl(task, false, fd, KVM_GET_VCPU_EVENTS, remote);
	for (i = 0; i < nr_reg_ranges; i++) {
		for (n = 0; n < reg_ranges[i].count; n++) {
			struct kvm_one_reg *one;

			if (nr_regs == ARRAY_LEN(reg)) {
				pr_err("Too many registers\n");
				return -1;
			}
			reg[nr_regs].id = reg_ranges[i].first + n;
			reg[nr_regs].value = task_buffer(task, 16, &value);
			one = task_buffer(task, sizeof(*one), &remote);
			one->id = reg[nr_regs].id;
			one->addr = value;
			reg[nr_regs++].call = task_ioctl(task, true, fd, KVM_GET_ONE_REG, remote);
		}
	}
	if (run_task(task))
		return -1;
	for (i = 0; i < ARRAY_LEN(calls); i++) {
		if (task_result(task, calls[i]) < 0) {
			errno = -task_result(task, calls[i]);
			pr_perror("KVM does not tell the %s of vCPU %u", i == 0 ? "registers" :
				  i == 1 ? "special registers" : "events", vcpu->id);
			return -1;
		}
	}
	if (set_bytes(&vcpu->regs, regs, sizeof(*regs)) ||
	    set_bytes(&vcpu->sregs, sregs, sizeof(*sregs)) ||
	    set_bytes(&vcpu->events, events, sizeof(*events)))
		return -1;
	for (i = 0; i < nr_regs; i++) {
		long result = task_result(task, reg[i].call);
		KvmCriu__Reg *saved;

		/* a register that this CPU or this kernel does not have */
		if (result == -EINVAL || result == -ENXIO)
			continue;
		if (result < 0) {
			errno = -result;
			pr_perror("KVM does not tell register %#" PRIx64 " of vCPU %u", reg[i].id,
				  vcpu->id);
			return -1;
		}
		saved = add_element(&vcpu->n_reg, &vcpu->reg, sizeof(*saved));
		if (!saved)
			return -1;
		kvm_criu__reg__init(saved);
		saved->id = reg[i].id;
		if (set_bytes(&saved->value, reg[i].value, reg_size(reg[i].id)))
			return -1;
	}
	return 0;
}

/*
 * The hypervisor writes to a guest's VPA and dispatch log, and XIVE to its queues, through
 * mappings of their own, which memory tracking does not see: a page written only there would be missing in a dump that follows a
 * pre-dump. Writing a byte of it back makes it a changed page.
 */
void touch_guest_memory(const struct kvm_process *process, const KvmCriu__Vm *vm, uint64_t gpa,
			uint64_t len)
{
	uint64_t page = getpagesize(), at = gpa & ~(page - 1);
	size_t i;

	for (; gpa && at < gpa + len; at += page) {
		for (i = 0; i < vm->n_slot; i++) {
			const KvmCriu__Slot *slot = vm->slot[i];
			char byte;
			struct iovec here = { .iov_base = &byte, .iov_len = 1 };
			struct iovec there = { .iov_len = 1 };

			if (at < slot->gpa || at - slot->gpa >= slot->size)
				continue;
			there.iov_base = (void *)(slot->hva + (at - slot->gpa));
			if (process_vm_readv(process->pid, &here, 1, &there, 1, 0) == 1 &&
			    process_vm_writev(process->pid, &here, 1, &there, 1, 0) == 1)
				pr_info("guest page %#" PRIx64 " counts as changed\n", at);
		}
	}
}

static int save_vcpu(struct saver *saver, const struct kvm_fd *fd, KvmCriu__Vcpu *vcpu,
		     const struct fdinfo *info)
{
	const char *mask = next_fdinfo(info, "kvm-signal-mask", NULL);
	uint64_t papr, osi, sigset, server;
	const KvmCriu__Reg *reg;

	kvm_criu__vcpu__init(vcpu);
	vcpu->id = fd->which;
	if (fdinfo_u64(info, "kvm-papr", &papr) || fdinfo_u64(info, "kvm-osi", &osi))
		return missing(saver, "vCPU configuration");
	vcpu->papr = papr;
	vcpu->osi = osi;
	vcpu->has_irq_server = !fdinfo_u64(info, "kvm-irq-server", &server);
	if (vcpu->has_irq_server)
		vcpu->irq_server = server;
	if (mask) {
		sigset = strtoull(mask, NULL, 16);
		vcpu->has_signal_mask = true;
		if (set_bytes(&vcpu->signal_mask, &sigset, sizeof(sigset)))
			return -1;
	}
	if (save_run_pages(saver, fd->fd, vcpu) || save_registers(saver, fd->fd, vcpu))
		return -1;

	touch_guest_memory(saver->process, &saver->vm,
			   reg_value(find_reg(vcpu, KVM_REG_PPC_VPA_ADDR), 0), 640);
	reg = find_reg(vcpu, KVM_REG_PPC_VPA_SLB);
	touch_guest_memory(saver->process, &saver->vm, reg_value(reg, 0), reg_value(reg, 8));
	reg = find_reg(vcpu, KVM_REG_PPC_VPA_DTL);
	touch_guest_memory(saver->process, &saver->vm, reg_value(reg, 0), reg_value(reg, 8));
	return 0;
}

/* In the order of their creation: KVM numbers vCPUs by it, and a vCPU may be found by it. */
static int save_vcpus(struct saver *saver, uint64_t count)
{
	uint64_t index, at;
	size_t i;

	for (index = 0; index < count; index++) {
		KvmCriu__Vcpu *vcpu = NULL;

		for (i = 0; i < saver->process->nr_fds && !vcpu; i++) {
			const struct kvm_fd *fd = &saver->process->fds[i];
			struct fdinfo info;
			int ret = 0;

			if (fd->object != KVM_CRIU__OBJECT__VCPU || fd->vm != saver->number)
				continue;
			if (read_fdinfo(&info, saver->process->pid, fd->fd))
				return -1;
			if (!fdinfo_u64(&info, "kvm-vcpu-index", &at) && at == index) {
				vcpu = add_element(&saver->vm.n_vcpu, &saver->vm.vcpu, sizeof(*vcpu));
				ret = vcpu ? save_vcpu(saver, fd, vcpu, &info) : -1;
			}
			free_fdinfo(&info);
			if (ret)
				return -1;
		}
		if (!vcpu) {
			pr_err("VM %" PRIu64 " of process %d: its vCPU number %" PRIu64
			       " has no fd in the process, so it can't be saved\n", saver->number,
			       saver->process->pid, index);
			return -1;
		}
	}
	return 0;
}

static int save_hpt(struct saver *saver)
{
	struct image *image = NULL;
	int call, local = -1, ret = -1;
	KvmCriu__HptChunk chunk;
	uint64_t remote;
	char name[64];
	ssize_t got;
	char *buf;

	reset_task(saver->task);
	/* zeros: every entry, from the first on */
	task_buffer(saver->task, sizeof(struct kvm_get_htab_fd), &remote);
	call = task_ioctl(saver->task, false, saver->vm_fd, KVM_PPC_GET_HTAB_FD, remote);
	if (run_task(saver->task))
		return -1;
	if (task_result(saver->task, call) < 0) {
		errno = -task_result(saver->task, call);
		pr_perror("KVM does not give the HPT of VM %" PRIu64, saver->number);
		return -1;
	}
	call = task_result(saver->task, call);
	local = get_fd(saver, call);
	reset_task(saver->task);
	task_call(saver->task, false, __NR_close, call, 0, 0, 0, 0, 0);
	buf = malloc(HPT_CHUNK);
	if (run_task(saver->task) || local < 0 || !buf)
		goto out;

	snprintf(name, sizeof(name), "kvm-hpt-%" PRIu64 ".img", saver->number);
	image = create_image(name);
	if (!image)
		goto out;
	/* the first pass gives every entry, the next what changed in it: nothing, at last */
	while ((got = read(local, buf, HPT_CHUNK)) > 0) {
		kvm_criu__hpt_chunk__init(&chunk);
		chunk.data.data = (uint8_t *)buf;
		chunk.data.len = got;
		if (write_record(image, &chunk.base))
			goto out;
	}
	if (got < 0) {
		pr_perror("Can't read the HPT of VM %" PRIu64, saver->number);
		goto out;
	}
	ret = finish_image(image);
	image = NULL;
out:
	close_image(image);
	free(buf);
	if (local >= 0)
		close(local);
	return ret;
}

static int write_table(struct tce_table *table, const char *name)
{
	int fd = openat(criu_get_image_dir(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_writer *writer = NULL;
	struct tce_sink sink = tce_fd_sink(fd);
	int ret = 0;

	if (fd < 0) {
		pr_perror("Can't open image %s", name);
		return -1;
	}
	forget_early(name);
	if (tce_create_writer(&writer, &sink, "kvm_tce_plugin", &err) ||
	    tce_save_table(table, writer, NULL, &err) || tce_end_image(writer, &err))
		ret = table_error(&err, name);
	tce_destroy_writer(writer);
	if (close(fd) && !ret) {
		pr_perror("Can't write image %s", name);
		ret = -1;
	}
	return ret;
}

static int save_whole_table(struct saver *saver, const struct kvm_fd *fd,
			    struct tce_geometry *geometry)
{
	struct tce_error err = TCE_ERROR_INIT;
	struct tce_table *table = NULL;
	int local, ret = -1;
	char name[64];
	off_t pos;

	local = get_fd(saver, fd->fd);
	if (local < 0)
		return -1;
	/* libtce moves the position, which is the VMM's */
	pos = lseek(local, 0, SEEK_CUR);
	if (pos < 0) {
		pr_perror("Can't tell the position of table %#" PRIx64, fd->which);
		goto out;
	}
	table_image_name(name, sizeof(name), saver->number, fd->which);
	if (tce_open_table(&table, local, &err)) {
		table_error(&err, name);
		goto out;
	}
	*geometry = *tce_table_geometry(table);
	if ((geometry->known & TCE_KNOWN_ALL) != TCE_KNOWN_ALL) {
		pr_err("The kernel does not tell the geometry of table %#" PRIx64 "\n", fd->which);
		goto out;
	}
	ret = write_table(table, name);
	if (lseek(local, pos, SEEK_SET) < 0) {
		pr_perror("Can't put back the position of table %#" PRIx64, fd->which);
		ret = -1;
	}
out:
	tce_close_table(table);
	close(local);
	return ret;
}

static int save_table(struct saver *saver, const struct kvm_fd *fd)
{
	struct tce_geometry geometry;
	KvmCriu__Table *saved;
	int ret = finish_early(saver->number, fd->inode, &geometry);

	if (!ret)
		ret = save_whole_table(saver, fd, &geometry);
	if (ret < 0)
		return -1;
	saved = add_element(&saver->vm.n_table, &saver->vm.table, sizeof(*saved));
	if (!saved)
		return -1;
	kvm_criu__table__init(saved);
	saved->liobn = geometry.liobn;
	saved->page_shift = geometry.page_shift;
	saved->bus_offset = geometry.bus_offset;
	saved->entries = geometry.entries;
	return 0;
}

static int save_tables(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-tce-table", line))) {
		uint64_t liobn = strtoull(line, NULL, 0);
		size_t i;

		for (i = 0; i < saver->process->nr_fds; i++) {
			const struct kvm_fd *fd = &saver->process->fds[i];

			if (fd->object == KVM_CRIU__OBJECT__TABLE && fd->vm == saver->number &&
			    fd->which == liobn)
				break;
		}
		if (i == saver->process->nr_fds) {
			pr_err("TCE table %#" PRIx64 " of VM %" PRIu64 " has no fd in process %d, "
			       "so it can't be saved\n", liobn, saver->number, saver->process->pid);
			return -1;
		}
		if (save_table(saver, &saver->process->fds[i]))
			return -1;
	}
	return 0;
}

static int get_run_size(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), size;

	if (fd < 0) {
		pr_perror("Can't open /dev/kvm");
		return -1;
	}
	size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		pr_perror("KVM_GET_VCPU_MMAP_SIZE");
	close(fd);
	return size;
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static void free_bytes(ProtobufCBinaryData *bytes)
{
	free(bytes->data);
}

static void free_vm(KvmCriu__Vm *vm)
{
	size_t i, k;

	for (i = 0; i < vm->n_slot; i++)
		free(vm->slot[i]);
	free(vm->slot);
	for (i = 0; i < vm->n_ioeventfd; i++)
		free(vm->ioeventfd[i]);
	free(vm->ioeventfd);
	for (i = 0; i < vm->n_irqfd; i++)
		free(vm->irqfd[i]);
	free(vm->irqfd);
	for (i = 0; i < vm->n_rtas_token; i++) {
		free(vm->rtas_token[i]->name);
		free(vm->rtas_token[i]);
	}
	free(vm->rtas_token);
	free_irqchip(vm->irq_controller);
	for (i = 0; i < vm->n_coalesced; i++)
		free(vm->coalesced[i]);
	free(vm->coalesced);
	for (i = 0; i < vm->n_table; i++)
		free(vm->table[i]);
	free(vm->table);
	for (i = 0; i < vm->n_vcpu; i++) {
		KvmCriu__Vcpu *vcpu = vm->vcpu[i];

		for (k = 0; k < vcpu->n_reg; k++) {
			free_bytes(&vcpu->reg[k]->value);
			free(vcpu->reg[k]);
		}
		free(vcpu->reg);
		free_bytes(&vcpu->regs);
		free_bytes(&vcpu->sregs);
		free_bytes(&vcpu->events);
		free_bytes(&vcpu->run);
		free_bytes(&vcpu->signal_mask);
		free_bytes(&vcpu->irq_state);
		free(vcpu);
	}
	free(vm->vcpu);
	free(vm->hcall);
	free(vm->type);
	free(vm->mmu);
}

/*
 * A signal that an irqfd has taken out of its eventfd is on its way to the interrupt controller,
 * which it reaches without help from the stopped process.
 */
static int read_settled(const struct saver *saver, struct fdinfo *info)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const char *line;
	int i;

	for (i = 0; i < SETTLE_TRIES; i++) {
		if (read_fdinfo(info, saver->process->pid, saver->vm_fd))
			return -1;
		line = NULL;
		while ((line = next_fdinfo(info, "kvm-irqfd", line)))
			if (memmem(line, strcspn(line, "\n"), " injecting", 10))
				break;
		if (!line)
			return 0;
		free_fdinfo(info);
		nanosleep(&pause, NULL);
	}
	pr_err("VM %" PRIu64 " of process %d: an irqfd does not deliver its interrupt\n",
	       saver->number, saver->process->pid);
	return -1;
}

int save_vm(const struct kvm_process *process, struct task *task, const struct kvm_fd *vm_fd)
{
	struct saver saver = {
		.process = process,
		.task = task,
		.number = vm_fd->vm,
		.vm_fd = vm_fd->fd,
		.vm = KVM_CRIU__VM__INIT,
	};
	struct fdinfo info = {};
	uint64_t vcpus, began = now_us(), tables;
	char name[64];
	int ret = -1;

	/* No vCPU runs any more, and the guest is to go on from here: what follows costs it nothing. */
	saver.vm.guest_timebase = read_timebase();
	saver.run_size = get_run_size();
	if (saver.run_size < 0)
		return -1;
	saver.pidfd = pidfd_open(process->pid, 0);
	if (saver.pidfd < 0) {
		pr_perror("Can't open process %d", process->pid);
		return -1;
	}
	if (read_settled(&saver, &info))
		goto out;
	if (fdinfo_u64(&info, "kvm-vcpus", &vcpus)) {
		missing(&saver, "number of vCPUs");
		goto out;
	}
	if (save_config(&saver, &info) || save_vcpus(&saver, vcpus))
		goto out;
	/* one clock for all vCPUs */
	if (saver.vm.n_vcpu)
		saver.vm.guest_timebase +=
			reg_value(find_reg(saver.vm.vcpu[0], KVM_REG_PPC_TB_OFFSET), 0);
	if (next_fdinfo(&info, "kvm-device", NULL) &&
	    save_irqchip(process, task, saver.number, &saver.vm))
		goto out;
	if (!strcmp(saver.vm.mmu, "hpt") && saver.vm.hpt_order && save_hpt(&saver))
		goto out;
	tables = now_us();
	if (save_tables(&saver, &info))
		goto out;
	tables = now_us() - tables;
	snprintf(name, sizeof(name), "kvm-vm-%" PRIu64 ".img", saver.number);
	ret = save_message(name, &saver.vm.base);
	if (!ret)
		pr_info("VM %" PRIu64 " saved in %" PRIu64 " us, its tables in %" PRIu64 " us\n",
			saver.number, now_us() - began, tables);
out:
	free_fdinfo(&info);
	free_vm(&saver.vm);
	close(saver.pidfd);
	return ret;
}
