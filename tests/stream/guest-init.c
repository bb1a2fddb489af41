// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1 of the Linux guest that the migration tests move. For each of its disks it has a
 * process that writes a block, reads it back past the page cache and compares, for ever, and
 * tells on the console. Every transfer goes through the guest's TCE tables.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	  (256U << 10)
#define BLOCKS	  16
#define DISKS_MAX 8
#define ROUNDS	  8 /* for each line on the console */

static void say(const char *format, const char *disk, unsigned long number)
{
	char line[128];
	int len = snprintf(line, sizeof(line), format, disk, number);

	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		reboot(RB_POWER_OFF);
}

static void fill(uint64_t *words, uint64_t seed)
{
	size_t i;

	for (i = 0; i < BLOCK / sizeof(*words); i++) {
		seed = seed * 6364136223846793005U + 1442695040888963407U;
		words[i] = seed;
	}
}

/*
 * Under TCG QEMU 7.2 loses the decrementer's timer in a migration, and an interrupt that is
 * pending. So the processor is never idle here; a timer of the past is set again and again, for
 * which Linux sets the decrementer anew; and every disk gets requests that nobody waits for: the
 * next interrupt of any of them brings those that were lost.
 */
static void keep_going(const int *disks, unsigned int count)
{
	struct itimerspec past = { .it_value = { .tv_nsec = 1 } };
	static char buf[4096] __attribute__((aligned(4096)));
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct timespec none = { 0 }, now;
	struct iocb request, *requests = &request;
	struct io_event events[64];
	aio_context_t context = 0;
	uint64_t next = 0, ns;
	unsigned int i;

	if (timer < 0 || syscall(SYS_io_setup, 256, &context)) {
		say("guest: %s ERROR %lu\n", "keeper", (unsigned long)errno);
		exit(1);
	}
	for (;;) {
		timerfd_settime(timer, TFD_TIMER_ABSTIME, &past, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
		if (ns < next)
			continue;
		next = ns + 20000000;
		syscall(SYS_io_getevents, context, 0, 64, events, &none);
		for (i = 0; i < count; i++) {
			memset(&request, 0, sizeof(request));
			request.aio_fildes = (uint32_t)disks[i];
			request.aio_lio_opcode = IOCB_CMD_PREAD;
			request.aio_buf = (uintptr_t)buf;
			request.aio_nbytes = sizeof(buf);
			request.aio_offset = (int64_t)BLOCKS * BLOCK;
			syscall(SYS_io_submit, context, 1, &requests);
		}
	}
}

static void exercise(const char *disk, int fd)
{
	uint64_t *out, *in;
	unsigned long round;
	off_t at;

	if (posix_memalign((void **)&out, 65536, BLOCK) ||
	    posix_memalign((void **)&in, 65536, BLOCK)) {
		say("guest: %s ERROR %lu\n", disk, (unsigned long)errno);
		exit(1);
	}
	for (round = 1;; round++) {
		at = (off_t)(round % BLOCKS) * BLOCK;
		fill(out, round);
		memset(in, 0xee, BLOCK);
		if (pwrite(fd, out, BLOCK, at) != BLOCK || pread(fd, in, BLOCK, at) != BLOCK)
			say("guest: %s ERROR in round %lu\n", disk, round);
		else if (memcmp(in, out, BLOCK))
			say("guest: %s MISMATCH in round %lu\n", disk, round);
		else if (round % ROUNDS == 0)
			say("guest: %s verified round %lu\n", disk, round);
	}
}

int main(void)
{
	int disks[DISKS_MAX];
	unsigned int count = 0;
	struct dirent *entry;
	char path[64];
	DIR *blocks;

	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	blocks = opendir("/sys/block");
	while (blocks && count < DISKS_MAX && (entry = readdir(blocks))) {
		if (strncmp(entry->d_name, "vd", 2) && strncmp(entry->d_name, "sd", 2))
			continue;
		snprintf(path, sizeof(path), "/dev/%.32s", entry->d_name);
		disks[count] = open(path, O_RDWR | O_DIRECT);
		if (disks[count] >= 0 && !fork())
			exercise(entry->d_name, disks[count]);
		count++;
	}
	say("guest: up %s(%lu disks)\n", "", count);
	/* The least of all, so that it runs when nobody else does. */
	if (nice(19) == 19)
		keep_going(disks, count);
	for (;;)
		pause();
}
