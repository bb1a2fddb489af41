// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes the place of module_init(): a module with this loads into the build of the kernel that it
 * was compared with, and no other. Another of that name may lay structures out otherwise, which no
 * checksum of a symbol need tell. `prepare' puts the module's own function for MODULE_START, and
 * postinst looks for what modinfo says.
 */
#include <linux/utsname.h>
#include <generated/utsversion.h>

MODULE_INFO(tce_build, UTS_VERSION);

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
