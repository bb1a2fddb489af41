// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets of a VMM (its monitor, its consoles) with a client that is not dumped.
 *
 * CRIU can't save half of a stream. A VMM's server sockets can do without: it gets a connection
 * whose other end has hung up, which is what it sees whenever a client goes away, and listens for
 * the next one. What the VMM itself has connected to gets the same only if the admin says so, for a
 * VMM that connects again: else it stays CRIU's to refuse.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm-plugin.h"

/* include/uapi/linux/net.h */
#define SO_ACCEPTCON 0x10000

#define HANG_UP	     "KVM_CRIU_HANG_UP"

static void socket_name(char *name, size_t size, uint32_t id)
{
	snprintf(name, size, "kvm-socket-%x.img", id);
}

/*
 * Does anybody listen at @path in the process's network? A line: address, references, protocol,
 * flags, type, state, inode, path.
 */
static bool is_listened_at(pid_t pid, const char *path)
{
	char name[PATH_LEN], *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *file;

	/* The process's network namespace may be another than CRIU's. */
	snprintf(name, sizeof(name), "/proc/%d/net/unix", pid);
	file = fopen(name, "re");
	if (!file) {
		pr_perror("Can't open %s", name);
		return false;
	}
	while (!found && getline(&line, &room, file) > 0) {
		unsigned long flags;
		int at = 0;

		if (sscanf(line, "%*s %*s %*s %lx %*s %*s %*s %n", &flags, &at) < 1 || !at)
			continue;
		line[strcspn(line, "\n")] = '\0';
		found = (flags & SO_ACCEPTCON) && !strcmp(line + at, path);
	}
	free(line);
	fclose(file);
	return found;
}

static bool is_accepted(pid_t pid, int fd)
{
	struct sockaddr_un addr = {};
	socklen_t len = sizeof(addr), type_len = sizeof(int);
	char path[sizeof(addr.sun_path) + 1] = {};
	size_t path_len;
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) || type != SOCK_STREAM)
		return false;
	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX ||
	    len <= offsetof(struct sockaddr_un, sun_path) || !addr.sun_path[0])
		return false;
	/* The kernel counts a zero behind a name that fills all of it. */
	path_len = len - offsetof(struct sockaddr_un, sun_path);
	if (path_len > sizeof(addr.sun_path))
		path_len = sizeof(addr.sun_path);
	/* An accepted socket has the name of the one that it was accepted at. */
	memcpy(path, addr.sun_path, path_len);
	return is_listened_at(pid, path);
}

/* In CRIU's environment: its plugins have no options of their own. */
static bool is_to_be_hung_up(pid_t pid, int fd)
{
	const char *what = secure_getenv(HANG_UP);
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr), type_len = sizeof(int);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) || type != SOCK_STREAM ||
	    getpeername(fd, (struct sockaddr *)&addr, &len))
		return false;
	if (what && !strcmp(what, "connected"))
		return true;
	/* CRIU refuses it, unless it was told of this one. */
	pr_warn("Process %d has connected to another's unix socket: to hang it up, set " HANG_UP
		"=connected in CRIU's environment\n",
		pid);
	return false;
}

int save_socket(pid_t pid, int fd, uint32_t id)
{
	KvmCriu__Socket image = KVM_CRIU__SOCKET__INIT;
	char name[IMAGE_NAME_LEN];

	if (!is_accepted(pid, fd) && !is_to_be_hung_up(pid, fd))
		return -ENOTSUP;
	pr_info("unix socket %u: it and its other end are closed by a restore\n", id);
	image.version = SOCKET_VERSION;
	image.dump = dump_id();
	socket_name(name, sizeof(name), id);
	return save_message(name, &image.base);
}

int restore_socket(uint32_t id)
{
	KvmCriu__Socket *image;
	int failed, fds[2];
	bool ours;
	char name[IMAGE_NAME_LEN];

	socket_name(name, sizeof(name), id);
	image = load_message(name, &kvm_criu__socket__descriptor, true, &failed);
	if (!image)
		return failed ? -1 : -ENOTSUP;
	ours = image->version == SOCKET_VERSION && image->dump == dump_id();
	free_message(image);
	if (!ours)
		return -ENOTSUP;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		pr_perror("Can't make a unix socket");
		return -1;
	}
	close(fds[1]);
	return fds[0];
}
