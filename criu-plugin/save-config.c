// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM holds of a VM as a whole, by the fdinfo of its fd.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm-abi.h"
#include "save-private.h"

int missing(const struct saver *saver, const char *what)
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
		KvmCriu__Slot *slot = add_element(&saver->vm->n_slot, &saver->vm->slot,
						  &kvm_criu__slot__descriptor);

		if (!slot)
			return -1;
		if (sscanf(line,
			   "as %u id %u gpa %" SCNx64 " size %" SCNx64 " hva %" SCNx64 " flags %x",
			   &as, &slot->id, &slot->gpa, &slot->size, &slot->hva,
			   &slot->flags) != 6 ||
		    as)
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
	       " can't be saved: its eventfd %d is not open in the process\n",
	       saver->number, saver->process->pid, what, which, id);
	return -1;
}

static int save_irqfds(struct saver *saver, const struct fdinfo *info)
{
	const char *line = NULL;

	while ((line = next_fdinfo(info, "kvm-irqfd", line))) {
		KvmCriu__Irqfd *irqfd = add_element(&saver->vm->n_irqfd, &saver->vm->irqfd,
						    &kvm_criu__irqfd__descriptor);
		int id, resample, got;

		if (!irqfd)
			return -1;
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
		KvmCriu__RtasToken *token = add_element(&saver->vm->n_rtas_token,
							&saver->vm->rtas_token,
							&kvm_criu__rtas_token__descriptor);
		char *end;

		if (!token)
			return -1;
		token->token = strtoull(line, &end, 16);
		if (end == line || *end != ' ')
			return missing(saver, "RTAS tokens in a known form");
		if (set_string(&token->name, end + 1, strcspn(end + 1, "\n")))
			return -1;
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

		/* KVM makes this one by itself, beside the one on the mmio bus with length 0. */
		if (!strncmp(line, "bus fast-mmio ", 14))
			continue;
		io = add_element(&saver->vm->n_ioeventfd, &saver->vm->ioeventfd,
				 &kvm_criu__ioeventfd__descriptor);
		if (!io)
			return -1;
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
		KvmCriu__Coalesced *zone = add_element(&saver->vm->n_coalesced,
						       &saver->vm->coalesced,
						       &kvm_criu__coalesced__descriptor);

		if (!zone)
			return -1;
		if (sscanf(line, "mmio addr %" SCNx64 " size %" SCNx32, &zone->addr, &zone->size) !=
		    2)
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
	/* Each number is followed by a space; MAX_HCALL_OPCODE bounds how many there are. */
	saver->vm->hcall = calloc(strcspn(text, "\n") + 1, sizeof(*saver->vm->hcall));
	if (!saver->vm->hcall) {
		pr_err("Out of memory\n");
		return -1;
	}
	while (*text && *text != '\n') {
		saver->vm->hcall[saver->vm->n_hcall++] = strtoul(text, &end, 16);
		if (end == text || *end != ' ')
			return missing(saver, "enabled hcalls in a known form");
		text = end + 1;
	}
	return 0;
}

int save_config(struct saver *saver, const struct fdinfo *info)
{
	const char *mmu = next_fdinfo(info, "kvm-mmu", NULL);
	KvmCriu__Vm *vm = saver->vm;
	const char *smt = next_fdinfo(info, "kvm-smt", NULL);
	uint64_t order, fwnmi, dawr1, halt_poll, log_full, strict;

	if (!mmu || !smt || fdinfo_u64(info, "kvm-process-table", &vm->process_table) ||
	    fdinfo_u64(info, "kvm-hpt-order", &order) || fdinfo_u64(info, "kvm-fwnmi", &fwnmi) ||
	    fdinfo_u64(info, "kvm-dawr1", &dawr1) ||
	    fdinfo_u64(info, "kvm-manual-dirty-log", &vm->manual_dirty_log))
		return missing(saver, "configuration");
	vm->version = IMAGE_VERSION;
	vm->dump = dump_id();
	vm->number = saver->number;
	vm->owner = saver->process->vpid;
	if (set_string(&vm->type, VM_TYPE, strlen(VM_TYPE)) ||
	    set_string(&vm->mmu, mmu, strcspn(mmu, "\n")))
		return -1;
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
	vm->has_tce_replay_strict = !fdinfo_u64(info, "kvm-tce-replay-strict", &strict);
	if (vm->has_tce_replay_strict)
		vm->tce_replay_strict = strict;
	vm->pvr = read_pvr();
	vm->host_page_size = getpagesize();

	if (save_slots(saver, info) || save_ioeventfds(saver, info) || save_irqfds(saver, info) ||
	    save_coalesced(saver, info) || save_hcalls(saver, info) ||
	    save_rtas_tokens(saver, info))
		return -1;
	return 0;
}
