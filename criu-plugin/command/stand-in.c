// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU's image folder, and its log: errors go to stderr.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criu/criu-plugin.h>

#include "kvm-plugin.h"
#include "stand-in.h"

static int folder = -1;

int open_image_dir(const char *path)
{
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -1 : 0;
}

int criu_get_image_dir(void)
{
	return folder;
}

/* criu/log.c */
int log_get_fd(void);

int log_get_fd(void)
{
	return STDERR_FILENO;
}

void print_on_level(unsigned int level, const char *format, ...)
{
	static const char head[] = "Error (kvm): ";
	va_list args;

	if (level > COMPEL_LOG_ERROR)
		return;
	if (!strncmp(format, head, strlen(head)))
		format += strlen(head);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}
