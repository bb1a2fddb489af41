// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls the plugin's hooks as a CRIU would that has no process: with 0, which kill(2) takes for the
 * caller's process group, and with -1, which it takes for everybody.
 *
 *	hook-pid PLUGIN
 *
 * Every hook must refuse, and whoever calls it must live to say so.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <compel/infect.h>
#include <criu/criu-plugin.h>
#include <criu/version.h>

/* What CRIU has for its plugins. None of these is to be reached but the first ones. */
int add_inventory_plugin(const char *name);
bool check_and_remove_inventory_plugin(const char *name, size_t n);
void print_on_level(unsigned int level, const char *format, ...);
int log_get_fd(void);

int add_inventory_plugin(const char *name)
{
	return 0;
}

bool check_and_remove_inventory_plugin(const char *name, size_t n)
{
	return true;
}

void print_on_level(unsigned int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

int log_get_fd(void)
{
	return 2;
}

int criu_get_image_dir(void)
{
	return -1;
}

#if CRIU_VERSION_MAJOR == 4 && CRIU_VERSION_MINOR < 2
struct parasite_ctl *compel_prepare(int pid)
#else
struct parasite_ctl *compel_prepare(int pid, bool handle_rseq)
#endif
{
	return NULL;
}

struct infect_ctx *compel_infect_ctx(struct parasite_ctl *ctl)
{
	return NULL;
}

int compel_syscall(struct parasite_ctl *ctl, int nr, long *ret, unsigned long arg1,
		   unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5,
		   unsigned long arg6)
{
	return -1;
}

int compel_run_at(struct parasite_ctl *ctl, unsigned long ip, user_regs_struct_t *ret_regs)
{
	return -1;
}

int compel_cure_local(struct parasite_ctl *ctl)
{
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		int hook;
		const char *name;
	} hooks[] = {
		{ CR_PLUGIN_HOOK__PAUSE_DEVICES, "PAUSE_DEVICES" },
		{ CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, "CHECKPOINT_DEVICES" },
		{ CR_PLUGIN_HOOK__RESUME_DEVICES_LATE, "RESUME_DEVICES_LATE" },
	};
	cr_plugin_desc_t *plugin;
	int pid, ret, failed = 0;
	void *handle;
	size_t i;

	handle = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	plugin = handle ? dlsym(handle, "CR_PLUGIN_DESC") : NULL;
	if (!plugin || plugin->init(CR_PLUGIN_STAGE__DUMP)) {
		fprintf(stderr, "hook-pid: no plugin: %s\n", handle ? "init" : dlerror());
		return 2;
	}
	for (pid = 0; pid >= -1; pid--) {
		for (i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
			ret = ((int (*)(int pid))plugin->hooks[hooks[i].hook])(pid);
			printf("%s(%d) = %d\n", hooks[i].name, pid, ret);
			failed |= ret >= 0;
		}
	}
	plugin->exit(CR_PLUGIN_STAGE__DUMP, -1);
	return failed;
}
