// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Talks with a monitor as kvm-criu's helper does: qmp SOCKET COMMAND, or qmp SOCKET for whether the
 * guest runs, which is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp.h"

int main(int argc, char **argv)
{
	int running;

	if (argc == 3 && !strcmp(argv[2], "stop"))
		return qmp_stop(argv[1]);
	if (argc == 3)
		return qmp_do(argv[1], argv[2]) ? EXIT_FAILURE : EXIT_SUCCESS;
	running = qmp_is_running(argv[1]);
	printf("%d\n", running);
	return running < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
