// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In a target that libFuzzer drives: its corpus is in folders. The inputs that it makes itself are
 * written to the folder $TCE_FUZZ_SEEDS, if that is set, before the fuzzer begins.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

const bool made_inputs_first = false;

void add_to_corpus(const void *data, size_t size)
{
	static unsigned int number;
	const char *folder = getenv("TCE_FUZZ_SEEDS");
	char path[256];
	FILE *file;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/made-%u", folder, number++);
	file = fopen(path, "wb");
	if (!file || fwrite(data, 1, size, file) != size || fclose(file))
		abort();
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
