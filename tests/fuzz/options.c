// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: tce-stream from its command line on. An input is the arguments, each ended by a zero
 * byte, an empty one, and what standard input has. Nothing is printed, no connection is made, and
 * what is exported goes to one file.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

int tce_stream_main(int argc, char **argv);
#define main tce_stream_main
#include "../../tools/stream/main.c"
#undef main

#define ARGUMENTS_MAX 32

int run_proxy(struct job *job)
{
	return EXIT_DONE;
}

int __real_tce_create_file(struct tce_file **file, const char *path, struct tce_error *err);
int __wrap_tce_create_file(struct tce_file **file, const char *path, struct tce_error *err);
int __wrap_tce_create_file(struct tce_file **file, const char *path, struct tce_error *err)
{
	static char scratch[64];
	const char *under = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%.40s/fuzz-export.tce", under ? under : "/tmp");
	return __real_tce_create_file(file, scratch, err);
}

/* Take the arguments off the input. They are copied, for getopt puts them into another order. */
static int take_arguments(char **argv, struct fuzz_bytes *input)
{
	int argc = 0;

	argv[argc++] = strdup("tce-stream");
	while (argc < ARGUMENTS_MAX && input->size) {
		size_t len = strnlen((const char *)input->data, input->size);

		if (len)
			argv[argc++] = strndup((const char *)input->data, len);
		if (len < input->size)
			len++;
		input->data += len;
		input->size -= len;
		if (len <= 1)
			break;
	}
	argv[argc] = NULL;
	return argc;
}

static void set_standard(int fd, int to)
{
	if (dup2(fd, to) != to)
		abort();
}

/* What is printed is not seen. The sanitizers' reports go to the descriptor, not to the stream. */
static void open_standard(int *input, int *nowhere, int *own)
{
	stderr = fopen("/dev/null", "w");
	*input = memfd_create("input", MFD_CLOEXEC);
	*nowhere = openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	*own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 64);
	if (!stderr || *input < 0 || *nowhere < 0 || *own < 0)
		abort();
}

void fuzz_one(const uint8_t *data, size_t size)
{
	static int stdin_file = -1, nowhere, out;
	char *argv[ARGUMENTS_MAX + 1], *own[ARGUMENTS_MAX + 1];
	struct fuzz_bytes input = { data, size };
	FILE *const printed = stdout;
	int argc, code, i;

	if (stdin_file < 0)
		open_standard(&stdin_file, &nowhere, &out);
	argc = take_arguments(argv, &input);
	memcpy(own, argv, sizeof(own));
	fuzz_put_file(stdin_file, input.data, input.size);
	stdout = stderr;
	set_standard(stdin_file, STDIN_FILENO);
	set_standard(nowhere, STDOUT_FILENO);
	quiet = false;
	optind = 0;
	code = tce_stream_main(argc, argv);
	if (code != EXIT_DONE && code != EXIT_FAILED && code != EXIT_MISUSE)
		abort();
	stdout = printed;
	set_standard(out, STDOUT_FILENO);
	for (i = 0; i < argc; i++)
		free(own[i]);
}
