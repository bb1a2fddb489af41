// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes the place of module_init() in a module for a kernel without MODVERSIONS, whose name alone
 * would say what its modules may be loaded into: one with this loads into the build that it was
 * compared with, and no other. `prepare' puts the module's own function for MODULE_START.
 */
#include <linux/utsname.h>
#include <generated/utsversion.h>

static int __init tce_kvm_init(void)
{
	const char *running = init_utsname()->version;

	if (strcmp(running, UTS_VERSION)) {
		pr_err("tce-kvm: built for %s, and this is %s\n", UTS_VERSION, running);
		return -ENOEXEC;
	}
	return MODULE_START();
}
module_init(tce_kvm_init);
