// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the plugin would say, for kvm-criu: its own code, without CRIU around it.
 *
 *	kvm-criu-helper process PID	all for which it would refuse to dump this process
 *	kvm-criu-helper images FOLDER	all for which it would refuse to restore from this folder
 *	kvm-criu-helper sharers PID...	all that these processes share and a restore could not
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

static int hold(char **words)
{
	struct kvm_process process;
	int ret = scan(&process, words[0]);

	if (ret)
		return ret;
	ret = hold_vhosts(&process, words[1]) ? EXIT_FAILURE : EXIT_SUCCESS;
	free_process(&process);
	return ret;
}

static int look_at_process(char **words)
{
	struct kvm_process process;
	int found = scan(&process, words[0]);

	if (found)
		return found;
	found = start_manifest() || hold_taps(&process) ? EXIT_FAILURE : EXIT_SUCCESS;
	drop_taps();
	free_process(&process);
	return found;
}

static int look_at_cgroups(char **words)
{
	int ret = EXIT_SUCCESS;

	for (; *words; words++)
		if (check_frozen(strtol(*words, NULL, 10)))
			ret = EXIT_FAILURE;
	return ret;
}

static int look_at_sharers(char **words)
{
	struct kvm_process *processes;
	int count = 0, found = 0, ret = EXIT_SUCCESS, i;

	while (words[count])
		count++;
	processes = calloc(count, sizeof(*processes));
	if (!processes) {
		perror("processes");
		return EXIT_FAILURE;
	}
	for (i = 0; i < count; i++) {
		struct kvm_process *process = &processes[found];

		/* What a process is refused for by itself has been said, and one may have ended. */
		if (scan(process, words[i]) != EXIT_SUCCESS)
			continue;
		process->earlier = found++ ? process - 1 : NULL;
		if (check_sharers(process))
			ret = EXIT_FAILURE;
	}
	while (found)
		free_process(&processes[--found]);
	free(processes);
	return ret;
}

static unsigned int other_disks;

/* The plugin does it in the process, whose mounts may be others, but not here. */
static int look_at_disk(const char *name)
{
	KvmCriu__File *file;
	int failed;

	file = load_message(name, &kvm_criu__file__descriptor, false, &failed);
	if (!file)
		return -1;
	if (file->object == KVM_CRIU__OBJECT__BLOCK && file->dump == dump_id() &&
	    look_at_block(file))
		other_disks++;
	free_message(file);
	return 0;
}

static int look_at_images(char **words)
{
	if (open_image_dir(words[0])) {
		fprintf(stderr, "%s: %m\n", words[0]);
		return EXIT_FAILURE;
	}
	return check_images() || for_each_image("kvm-file-", look_at_disk) || other_disks ?
		       EXIT_FAILURE :
		       EXIT_SUCCESS;
}

static int continue_guest(char **words)
{
	return qmp_do(words[0], "cont") ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each command gets the words after its name, and a NULL after them. */
static const struct command {
	const char *name;
	int min, max; /* words */
	int (*run)(char **words);
} commands[] = {
	{ "process", 1, 1, look_at_process },	   { "images", 1, 1, look_at_images },
	{ "frozen", 1, INT_MAX, look_at_cgroups }, { "hold", 1, 2, hold },
	{ "cont", 1, 1, continue_guest },	   { "sharers", 1, INT_MAX, look_at_sharers },
};

int main(int argc, char **argv)
{
	const struct command *command;
	const int words = argc - 2;

	for (command = commands; command < commands + ARRAY_LEN(commands); command++)
		if (words >= command->min && words <= command->max &&
		    !strcmp(argv[1], command->name))
			return command->run(argv + 2);
	fprintf(stderr,
		"usage: %s process PID | images FOLDER | sharers PID... | frozen PID... | "
		"hold PID [SOCKET] | cont SOCKET\n",
		argv[0]);
	return EXIT_MISUSE;
}
