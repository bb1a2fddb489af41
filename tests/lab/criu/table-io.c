// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills the first TCE table of a process, or reads its used pages once and prints how long that
 * took: what tests/bench/criu compares a dump with.
 *
 *	table-io fill PID EVERY		every EVERYth 64 KiB with random poison entries
 *	table-io read PID		prints "BYTES MICROSECONDS"
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PIECE (64 << 10)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_table(int pid)
{
	static const char name[] = "anon_inode:kvm-tce:";
	char path[512], link[64];
	struct dirent *entry;
	int pidfd, fd = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (!dir || pidfd < 0)
		die(path);
	while (fd < 0 && (entry = readdir(dir))) {
		memset(link, 0, sizeof(link));
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		if (readlink(path, link, sizeof(link) - 1) > 0 &&
		    !strncmp(link, name, strlen(name)))
			fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(entry->d_name), 0);
	}
	closedir(dir);
	close(pidfd);
	if (fd < 0)
		die("no table");
	return fd;
}

static void fill(int fd, long every)
{
	uint64_t words[PIECE / 8], state = 88172645463325252UL;
	struct stat st;
	off_t at;
	int i;

	if (fstat(fd, &st))
		die("fstat");
	for (at = 0; at + PIECE <= st.st_size; at += PIECE * every) {
		for (i = 0; i < PIECE / 8; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			words[i] = state << 2 | 4; /* no permissions: poison */
		}
		if (pwrite(fd, words, PIECE, at) != PIECE)
			die("pwrite");
	}
}

static void read_once(int fd)
{
	static char buf[1 << 20];
	struct timespec from, to;
	off_t at = 0, end;
	uint64_t bytes = 0;
	ssize_t got;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		while (at < end) {
			got = pread(fd, buf,
				    end - at > (off_t)sizeof(buf) ? sizeof(buf) :
								    (size_t)(end - at),
				    at);
			if (got <= 0)
				die("pread");
			at += got;
			bytes += got;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lu %lu\n", bytes,
	       (to.tv_sec - from.tv_sec) * 1000000UL + (to.tv_nsec - from.tv_nsec) / 1000);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "fill")) {
		fill(open_table(atoi(argv[2])), atol(argv[3]));
	} else if (argc == 3 && !strcmp(argv[1], "read")) {
		read_once(open_table(atoi(argv[2])));
	} else {
		fputs("Usage: table-io fill PID EVERY | read PID\n", stderr);
		return 2;
	}
	return 0;
}
