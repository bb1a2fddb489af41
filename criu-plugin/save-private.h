/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files that read a VM out share.
 */
#ifndef SAVE_PRIVATE_H
#define SAVE_PRIVATE_H

#include "kvm-plugin.h"

/* A VM that is being saved. */
struct saver {
	const struct kvm_process *process;
	struct task *task;
	uint64_t number;
	int vm_fd; /* in the process */
	KvmCriu__Vm *vm;
	uint64_t tables_us; /* that its tables took */
};

/* save-config.c: save what fdinfo says about the VM as a whole. */
int save_config(struct saver *saver, const struct fdinfo *info);
/* Say that fdinfo lacks something. Return: -1. */
int missing(const struct saver *saver, const char *what);

/* save-vcpu.c: save all @count vCPUs, with what is in guest memory for them. */
int save_vcpus(struct saver *saver, uint64_t count);

#endif /* SAVE_PRIVATE_H */
