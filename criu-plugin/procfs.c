// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the files of /proc say about a process.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvm-plugin.h"

/* include/linux/sched.h: PF_USER_WORKER */
#define USER_WORKER 0x4000

#define ROOM_FIRST  4096 /* for the text of a file */

static int read_text(const char *path, struct fdinfo *info)
{
	FILE *file = fopen(path, "re");
	size_t room = 0, got;
	char *text;

	*info = (struct fdinfo){};
	if (!file) {
		pr_perror("Can't open %s", path);
		return -1;
	}
	do {
		if (room - info->len < 2) {
			room = room ? room * 2 : ROOM_FIRST;
			text = realloc(info->text, room);
			if (!text) {
				pr_err("Out of memory\n");
				goto err;
			}
			info->text = text;
		}
		got = fread(info->text + info->len, 1, room - info->len - 1, file);
		info->len += got;
	} while (got);
	if (ferror(file)) {
		pr_perror("Can't read %s", path);
		goto err;
	}
	info->text[info->len] = '\0';
	fclose(file);
	return 0;
err:
	fclose(file);
	free_fdinfo(info);
	return -1;
}

void proc_path(char path[PATH_LEN], pid_t pid, const char *folder, int number)
{
	/* This process may have another number in the namespace that /proc shows. */
	if (pid == SELF)
		snprintf(path, PATH_LEN, "/proc/self/%s/%d", folder, number);
	else
		snprintf(path, PATH_LEN, "/proc/%d/%s/%d", pid, folder, number);
}

int read_fdinfo(struct fdinfo *info, pid_t pid, int fd)
{
	char path[PATH_LEN];

	proc_path(path, pid, "fdinfo", fd);
	return read_text(path, info);
}

int read_status(struct fdinfo *status, pid_t tid)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return read_text(path, status);
}

void free_fdinfo(struct fdinfo *info)
{
	free(info->text);
	*info = (struct fdinfo){};
}

const char *next_fdinfo(const struct fdinfo *info, const char *name, const char *from)
{
	const char *line = info->text;
	size_t len = strlen(name);

	if (from) {
		line = strchr(from, '\n');
		if (line)
			line++;
	}
	while (line && *line) {
		if (!strncmp(line, name, len) && line[len] == ':') {
			line += len + 1;
			while (*line == '\t' || *line == ' ')
				line++;
			return line;
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return NULL;
}

int fdinfo_u64(const struct fdinfo *info, const char *name, uint64_t *value)
{
	const char *text = next_fdinfo(info, name, NULL);
	char *end;

	if (!text)
		return -1;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return end == text || errno ? -1 : 0;
}

int for_each_number(pid_t pid, const char *folder, int (*each)(void *arg, int number), void *arg)
{
	char path[PATH_LEN];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, folder);
	dir = opendir(path);
	if (!dir)
		return -1;
	for (errno = 0; !ret && (entry = readdir(dir)); errno = 0)
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = each(arg, atoi(entry->d_name));
	if (!ret && errno) {
		pr_perror("Can't read %s", path);
		ret = -1;
	}
	closedir(dir);
	return ret;
}

bool parse_range(char *line, struct range *range, const char **name)
{
	static const char aio[] = "/[aio]";
	unsigned int major, minor;
	char perm[5];
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	*range = (struct range){};
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &range->start, &range->end, perm, &range->offset, &major, &minor, &range->inode,
		   &at) != 7)
		return false;
	range->device = makedev(major, minor);
	range->prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) |
		      (perm[2] == 'x' ? PROT_EXEC : 0);
	range->shared = perm[3] == 's';
	*name = line + at;
	if (!strncmp(*name, KVM_FILE, strlen(KVM_FILE)))
		range->what = RANGE_KVM;
	else if (!strcmp(*name, "[stack]"))
		range->what = RANGE_STACK;
	else if (!strcmp(*name, "[vdso]"))
		range->what = RANGE_VDSO;
	else if (!strncmp(*name, aio, strlen(aio)))
		range->what = RANGE_AIO;
	return true;
}

int add_range(struct ranges *ranges, const struct range *range)
{
	struct range *more = reallocarray(ranges->range, ranges->count + 1, sizeof(*more));

	if (!more) {
		pr_err("Out of memory\n");
		return -1;
	}
	ranges->range = more;
	more[ranges->count++] = *range;
	return 0;
}

int for_each_line(pid_t pid, const char *name, int (*each)(void *arg, char *line), void *arg)
{
	char path[PATH_LEN], *line = NULL;
	size_t room = 0;
	FILE *file;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (!file) {
		pr_perror("Can't open %s", path);
		return -1;
	}
	while (!ret && getline(&line, &room, file) > 0)
		ret = each(arg, line);
	/* Without the memory for a line, the list ends as well. */
	if (!ret && !feof(file)) {
		pr_perror("Can't read %s", path);
		ret = -1;
	}
	free(line);
	fclose(file);
	return ret;
}

static int read_range(void *ranges, char *line)
{
	const char *name;
	struct range range;

	return parse_range(line, &range, &name) ? add_range(ranges, &range) : 0;
}

int read_ranges(struct ranges *ranges, pid_t pid)
{
	return for_each_line(pid, "maps", read_range, ranges);
}

static int is_user_worker(void *arg, int tid)
{
	pid_t pid = *(pid_t *)arg;
	unsigned int flags = 0;
	struct fdinfo stat;
	char path[PATH_LEN];
	const char *text;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	if (read_text(path, &stat))
		return -1;
	/* Behind a name that may have anything in it: proc_pid_stat(5). */
	text = strrchr(stat.text, ')');
	if (!text || sscanf(text, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		flags = 0;
	free_fdinfo(&stat);
	return !!(flags & USER_WORKER);
}

int has_user_workers(pid_t pid)
{
	return for_each_number(pid, "task", is_user_worker, &pid);
}

unsigned int read_vpid(pid_t pid)
{
	struct fdinfo status;
	const char *text;
	unsigned int vpid = 0;

	if (read_status(&status, pid))
		return 0;
	/* The outermost comes first, the process's own view last. */
	text = next_fdinfo(&status, "NSpid", NULL);
	while (text && *text && *text != '\n') {
		vpid = strtoul(text, NULL, 10);
		text += strspn(text, "0123456789");
		text += strspn(text, "\t ");
	}
	free_fdinfo(&status);
	if (!vpid)
		pr_err("Can't tell the process ID of %d in its own namespace\n", pid);
	return vpid;
}

/* In the mount that systemd gives it beside version 1, or in its own. */
static int read_cgroup_file(struct fdinfo *info, const char *group, const char *file)
{
	static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	int ret = -1;
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_LEN(roots) && ret; i++) {
		if (asprintf(&path, "%s%.*s/%s", roots[i], (int)strcspn(group, "\n"), group, file) <
		    0)
			return -1;
		if (!access(path, R_OK))
			ret = read_text(path, info);
		free(path);
	}
	return ret;
}

bool is_frozen(pid_t pid)
{
	struct fdinfo groups, events;
	char path[PATH_LEN];
	const char *group;
	bool frozen = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (access(path, R_OK) || read_text(path, &groups))
		return false;
	/* A hierarchy of version 2 has no number and no name. */
	group = next_fdinfo(&groups, "0:", NULL);
	if (group && !read_cgroup_file(&events, group, "cgroup.events")) {
		frozen = strstr(events.text, "frozen 1");
		free_fdinfo(&events);
	}
	free_fdinfo(&groups);
	return frozen;
}

int check_frozen(pid_t pid)
{
	if (!is_frozen(pid))
		return 0;
	pr_err("Process %d can't be saved in a frozen cgroup: thaw it, or give CRIU "
	       "--freeze-cgroup\n",
	       pid);
	return -1;
}
