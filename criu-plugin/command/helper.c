// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the plugin would say, for kvm-criu: its own code, without CRIU around it.
 *
 *	kvm-criu-helper process PID	all for which it would refuse to dump this process
 *	kvm-criu-helper images FOLDER	all for which it would refuse to restore from this folder
 *	kvm-criu-helper frozen PID...	all that it would refuse since their cgroup is frozen
 *
 * Exits with 0 if there is nothing, 1 after lines that say what, 2 when misused, and 3 if the
 * process has nothing of KVM. And what the plugin does not do:
 *
 *	kvm-criu-helper hold PID [SOCKET]	make vhost-net free to be dumped (hold.h)
 *	kvm-criu-helper cont SOCKET		have a guest go on, by QMP
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"
#include "kvm-plugin.h"
#include "qmp.h"
#include "stand-in.h"

#define EXIT_MISUSE 2
#define EXIT_NO_KVM 3

/* EXIT_SUCCESS if the process has KVM, and nothing that would be refused. */
static int scan(struct kvm_process *process, const char *text)
{
	char *end;
	long pid = strtol(text, &end, 10);
	int found;

	if (*end || pid <= 0 || pid > INT_MAX) {
		fprintf(stderr, "%s is no process ID\n", text);
		return EXIT_MISUSE;
	}
	found = scan_process(process, pid);
	if (found < 0)
		return EXIT_FAILURE;
	return found ? EXIT_SUCCESS : EXIT_NO_KVM;
}

static int hold(const char *pid, const char *socket)
{
	struct kvm_process process;
	int ret = scan(&process, pid);

	if (ret)
		return ret;
	ret = hold_vhosts(&process, socket) ? EXIT_FAILURE : EXIT_SUCCESS;
	free_process(&process);
	return ret;
}

static int look_at_process(const char *text)
{
	struct kvm_process process;
	int found = scan(&process, text);

	if (found)
		return found;
	found = start_manifest() || hold_taps(&process) ? EXIT_FAILURE : EXIT_SUCCESS;
	drop_taps();
	free_process(&process);
	return found;
}

static int look_at_cgroups(char **texts)
{
	int ret = EXIT_SUCCESS;

	for (; *texts; texts++)
		if (check_frozen(strtol(*texts, NULL, 10)))
			ret = EXIT_FAILURE;
	return ret;
}

static int look_at_images(const char *path)
{
	if (open_image_dir(path)) {
		fprintf(stderr, "%s: %m\n", path);
		return EXIT_FAILURE;
	}
	return check_images() ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "process"))
		return look_at_process(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "images"))
		return look_at_images(argv[2]);
	if (argc >= 3 && !strcmp(argv[1], "frozen"))
		return look_at_cgroups(argv + 2);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "cont"))
		return qmp_do(argv[2], "cont") ? EXIT_FAILURE : EXIT_SUCCESS;
	fprintf(stderr,
		"usage: %s process PID | images FOLDER | frozen PID... | hold PID [SOCKET] | "
		"cont SOCKET\n",
		argv[0]);
	return EXIT_MISUSE;
}
