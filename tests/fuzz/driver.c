// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a fuzz target without a fuzzer: every file of the corpus as it is, then a fixed number of
 * mutations of them, the same ones each time. A target built with clang -fsanitize=fuzzer instead
 * of this file is one for libFuzzer, which knows better what to change.
 *
 *	driver RUNS FOLDER...
 *
 * When the target crashes, the input is in $TCE_FUZZ_CRASH, or in fuzz-crash in the folder where
 * the target ran.
 */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

#include "fuzz.h"

#define INPUT_MAX  (1 << 20)
#define CORPUS_MAX 4096

const bool made_inputs_first = true;

struct input {
	uint8_t *data;
	size_t size;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_count;
static uint8_t current[INPUT_MAX];
static size_t current_size;
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

/* Most targets have all of their corpus in files. */
__attribute__((weak)) void fill_corpus(void)
{
}

/* A target without trouble.c has no trouble. */
__attribute__((weak)) unsigned long fuzz_every_trouble(const uint8_t *data, size_t size)
{
	alarm(FUZZ_SECONDS);
	LLVMFuzzerTestOneInput(data, size);
	return 1;
}

static size_t below(size_t limit)
{
	return limit ? next_random() % limit : 0;
}

void add_to_corpus(const void *data, size_t size)
{
	struct input *input = &corpus[corpus_count];

	if (corpus_count == CORPUS_MAX || size > INPUT_MAX)
		return;
	input->data = malloc(size ? size : 1);
	if (!input->data)
		abort();
	memcpy(input->data, data, size);
	input->size = size;
	corpus_count++;
}

static void read_corpus(const char *folder)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);

	if (!dir) {
		perror(folder);
		exit(2);
	}
	while ((entry = readdir(dir)) != NULL) {
		char path[1024];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		file = fopen(path, "rb");
		if (!file)
			continue;
		current_size = fread(current, 1, sizeof(current), file);
		if (!ferror(file))
			add_to_corpus(current, current_size);
		fclose(file);
	}
	closedir(dir);
}

/* Numbers that are on the edge of something. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0,	1,	2,	3,	   7,	       8,	  127,	      128,   255,
		256,	4095,	4096,	4097,	   32767,      32768,	  32769,      65535, 65536,
		262143, 262144, 262145, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX,
	};

	return edges[below(sizeof(edges) / sizeof(edges[0]))];
}

static void mutate(void)
{
	const struct input *other = &corpus[below(corpus_count)];
	size_t at = below(current_size), n, i;
	uint64_t value;

	switch (next_random() % 8) {
	case 0: /* one bit */
		if (current_size)
			current[at] ^= (uint8_t)(1 << next_random() % 8);
		break;
	case 1: /* one byte */
		if (current_size)
			current[at] = (uint8_t)next_random();
		break;
	case 2: /* a number of 4 or 8 bytes, either order */
		value = edge() + below(3) - 1;
		n = next_random() % 2 ? 4 : 8;
		if (next_random() % 2)
			value = __builtin_bswap64(value << (64 - n * 8));
		for (i = 0; i < n && at + i < current_size; i++)
			current[at + i] = (uint8_t)(value >> i * 8);
		break;
	case 3: /* the end is missing */
		current_size = at;
		break;
	case 4: /* a piece is missing */
		n = below(current_size - at < 64 ? current_size - at : 64);
		memmove(current + at, current + at + n, current_size - at - n);
		current_size -= n;
		break;
	case 5: /* a piece twice */
		n = below(current_size - at < 256 ? current_size - at : 256);
		if (current_size + n <= INPUT_MAX) {
			memmove(current + at + n, current + at, current_size - at);
			current_size += n;
		}
		break;
	case 6: /* the rest of another input */
		n = below(other->size);
		if (at + other->size - n <= INPUT_MAX) {
			memcpy(current + at, other->data + n, other->size - n);
			current_size = at + other->size - n;
		}
		break;
	case 7: /* some bytes all the same */
		n = below(current_size - at < 16 ? current_size - at : 16);
		memset(current + at, next_random() % 2 ? 0xff : 0, n);
		break;
	}
}

/* Keep what made the target crash. Called by the sanitizers' abort and by signals. */
static void keep_crash(int sig)
{
	const char *name = getenv("TCE_FUZZ_CRASH");
	int fd = open(name ? name : "fuzz-crash", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size)
		close(fd);
	signal(sig, SIG_DFL);
	raise(sig);
}

static unsigned long run_corpus(void)
{
	unsigned long executions = 0;
	size_t i;

	for (i = 0; i < corpus_count; i++) {
		current_size = corpus[i].size;
		memcpy(current, corpus[i].data, current_size);
		executions += fuzz_every_trouble(current, current_size);
	}
	return executions;
}

static void run_mutation(void)
{
	const struct input *input = &corpus[below(corpus_count)];
	uint64_t changes = 1 + next_random() % 4;

	current_size = input->size;
	memcpy(current, input->data, current_size);
	while (changes--)
		mutate();
	alarm(FUZZ_SECONDS);
	LLVMFuzzerTestOneInput(current, current_size);
}

int main(int argc, char **argv)
{
	unsigned long runs, run, executions;
	int folder = 2;
	size_t i;

	if (argc < folder)
		return 2;
	runs = strtoul(argv[1], NULL, 10);
	signal(SIGABRT, keep_crash);
	signal(SIGALRM, keep_crash);
	fill_corpus();
	for (; folder < argc; folder++)
		read_corpus(argv[folder]);
	if (!corpus_count) {
		fprintf(stderr, "no corpus\n");
		return 2;
	}
	executions = run_corpus();
	for (run = 0; run < runs; run++)
		run_mutation();
	alarm(0);
	printf("%lu executions: %zu inputs of the corpus with every failure, %lu mutations\n",
	       executions + runs, corpus_count, runs);
	for (i = 0; i < corpus_count; i++)
		free(corpus[i].data);
	return 0;
}
