// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Process 1 of a big-endian host, which has no Debian to take a root file system from: says what
 * the host is, runs the series' selftest, says how it ended, and powers off. Static; built by
 * tests/lab/big-endian.
 */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	const unsigned int one = 1;
	struct utsname name = { .release = "" };
	int status = -1;
	pid_t child;

	if (mount("dev", "/dev", "devtmpfs", 0, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
	    uname(&name))
		perror("the host");
	printf("byte order: %s\n", *(const char *)&one ? "little-endian" : "big-endian");
	printf("kernel=%s page=%ld\n", name.release, sysconf(_SC_PAGESIZE) >> 10);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		execl("/kvm_tce", "/kvm_tce", NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		perror("the selftest");
	printf("kvm_tce: wait status %d\n", status);
	fflush(stdout);
	reboot(RB_POWER_OFF);
	pause();
	return 1;
}
