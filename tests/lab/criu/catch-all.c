// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A plugin for CRIU that has a part in every process, as it says, and so keeps those behind it from
 * being asked.
 */
#include <criu/criu-plugin.h>

static int have_part(int pid)
{
	return 0;
}
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, have_part)

CR_PLUGIN_REGISTER_DUMMY("catch_all")
