// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In a target that libFuzzer drives: its corpus is in folders, written by the same target's driver.
 */
#include "fuzz.h"

const bool made_inputs_first = false;

void add_to_corpus(const void *data, size_t size)
{
}

__attribute__((weak)) void fill_corpus(void)
{
}

/* For what a target prepares there. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fill_corpus();
	return 0;
}
