// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Status codes in words, and the error object that carries what failed and where.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tce-private.h"

const char *tce_library_version(void)
{
	return TCE_LIBRARY_VERSION;
}

unsigned int tce_library_number(void)
{
	return TCE_LIBRARY_NUMBER;
}

const char *tce_strerror(int status)
{
	switch (status) {
	case TCE_OK:
		return "done";
	case TCE_ERR_ARG:
		return "wrong use of the library";
	case TCE_ERR_NOMEM:
		return "out of memory";
	case TCE_ERR_IO:
		return "input or output failed";
	case TCE_ERR_NOT_IMAGE:
		return "not a TCE image";
	case TCE_ERR_VERSION:
		return "unknown image version";
	case TCE_ERR_TORN:
		return "input ends in the middle";
	case TCE_ERR_CORRUPT:
		return "input is damaged";
	case TCE_ERR_LIMIT:
		return "past a limit of the format";
	case TCE_ERR_RANGE:
		return "past the end of the table";
	case TCE_ERR_GEOMETRY:
		return "wrong table geometry";
	case TCE_ERR_UNKNOWN:
		return "table geometry is not known";
	case TCE_ERR_NOT_TABLE:
		return "not a TCE table";
	case TCE_ERR_NO_TABLE:
		return "no such TCE table";
	case TCE_ERR_UNSUPPORTED:
		return "needs a kernel with the TCE patches";
	case TCE_ERR_REFUSED:
		return "entry refused by the kernel";
	case TCE_ERR_PERMISSION:
		return "not permitted";
	case TCE_ERR_NO_PROCESS:
		return "no such process";
	case TCE_ERR_NO_KVM:
		return "no KVM virtual machine";
	case TCE_ERR_STREAM:
		return "malformed migration stream";
	}
	return "unknown status";
}

int tce_set_error(struct tce_error *err, int code, int sys_errno, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;

	err->code = code;
	err->sys_errno = sys_errno;
	err->fields = 0;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return code;
}

int tce_set_table_error(const struct tce_table *table, struct tce_error *err, int code,
			int sys_errno, uint64_t index, const char *what)
{
	tce_set_error(err, code, sys_errno, "%s", what);
	if (!err)
		return code;
	if (table->geometry.known & TCE_KNOWN_LIOBN) {
		err->fields |= TCE_ERROR_LIOBN;
		err->liobn = table->geometry.liobn;
	}
	err->fields |= TCE_ERROR_INDEX;
	err->index = index;
	return code;
}

/* Append to a line; what does not fit is cut off. */
static void __attribute__((format(printf, 4, 5))) append(char *buf, size_t size, size_t *used,
							 const char *format, ...)
{
	va_list args;
	int n;

	if (*used >= size)
		return;
	va_start(args, format);
	n = vsnprintf(buf + *used, size - *used, format, args);
	va_end(args);
	if (n > 0)
		*used += (size_t)n;
}

char *tce_format_error(const struct tce_error *err, char *buf, size_t size)
{
	size_t used = 0;

	if (size)
		buf[0] = '\0';
	if (err->file[0])
		append(buf, size, &used, "%s: ", err->file);
	if (err->fields & TCE_ERROR_LIOBN)
		append(buf, size, &used, "LIOBN 0x%" PRIx64 ": ", err->liobn);
	if (err->fields & TCE_ERROR_INDEX)
		append(buf, size, &used, "entry %" PRIu64 ": ", err->index);
	if (err->fields & TCE_ERROR_OFFSET)
		append(buf, size, &used, "offset %" PRIu64 ": ", err->offset);
	append(buf, size, &used, "%s", err->message[0] ? err->message : tce_strerror(err->code));
	if (err->sys_errno)
		append(buf, size, &used, ": %s", strerror(err->sys_errno));
	return buf;
}
