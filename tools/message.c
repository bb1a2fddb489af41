// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a tool says.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "message.h"

/* The longest message; a file's name may be 4096 bytes. */
#define MESSAGE_MAX 8192

/* A byte may become "\xHH". */
#define ESCAPE_MAX 4

/* The surrogate for a byte that is not UTF-8 is this plus the byte. */
#define ODD_BYTE 0xdc00

const char *program = "tce";
bool quiet;

void begin_program(const char *name)
{
	int fd;

	program = name;
	setlocale(LC_CTYPE, "");
	/* It may be ignored already, and then nobody hears how a child ended. */
	signal(SIGCHLD, SIG_DFL);
	/* Reading from and writing to an O_PATH descriptor fails with EBADF. */
	do {
		fd = open("/", O_PATH);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0) {
		print_warning("/: %s", strerror(errno));
		_exit(EXIT_FAILED);
	}
	close(fd);
}

/* Marks, embeddings and isolates: what follows would be shown in another order than it is. */
static bool turns_text(wchar_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Bytes that show as they are, or, negative, that have to be escaped. */
static int measure_char(const char *text)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = mbrtowc(&c, text, strlen(text), &state);

	if (n == (size_t)-1 || n == (size_t)-2)
		return -1;
	return iswprint((wint_t)c) && !turns_text(c) ? (int)n : -(int)n;
}

/* Escape what of @text fits into @buf. */
static void escape_text(char *buf, size_t size, const char *text)
{
	int i, n;

	while (*text) {
		n = measure_char(text);
		if (n > 0) {
			if ((size_t)n >= size)
				break;
			memcpy(buf, text, (size_t)n);
			buf += n;
			size -= (size_t)n;
			text += n;
			continue;
		}
		for (i = 0; i < -n && size > ESCAPE_MAX; i++, text++) {
			buf += sprintf(buf, "\\x%02x", (unsigned char)*text);
			size -= ESCAPE_MAX;
		}
		if (i < -n)
			break;
	}
	*buf = '\0';
}

static void __attribute__((format(printf, 2, 0))) print_line(FILE *out, const char *format,
							     va_list args)
{
	static char line[MESSAGE_MAX], escaped[MESSAGE_MAX * ESCAPE_MAX];

	vsnprintf(line, sizeof(line), format, args);
	escape_text(escaped, sizeof(escaped), line);
	if (out == stderr)
		fprintf(out, "%s: %s\n", program, escaped);
	else
		fprintf(out, "%s\n", escaped);
}

void print_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stderr, format, args);
	va_end(args);
}

void print_note(const char *format, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, format);
	print_line(stderr, format, args);
	va_end(args);
}

void print_result(const char *format, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, format);
	print_line(stdout, format, args);
	va_end(args);
}

int misuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stderr, format, args);
	va_end(args);
	fprintf(stderr, "%s: try '%s --help'\n", program, program);
	return EXIT_MISUSE;
}

int print_error(const struct tce_error *err)
{
	char line[1024];

	print_warning("%s", tce_format_error(err, line, sizeof(line)));
	return EXIT_FAILED;
}

void name_error(struct tce_error *err, const char *name)
{
	const size_t len = strlen(name), room = sizeof(err->file) - 1;

	if (err->file[0])
		return;
	/* Of a name that is too long, its end tells more. */
	if (len > room)
		snprintf(err->file, sizeof(err->file), "...%s", name + len - (room - 3));
	else
		snprintf(err->file, sizeof(err->file), "%s", name);
}

int no_memory(struct tce_error *err, const char *what)
{
	return tce_set_error(err, TCE_ERR_NOMEM, 0, "no memory for %s", what);
}

void print_text(FILE *out, const char *text)
{
	while (*text) {
		int n = measure_char(text);

		if (n > 0) {
			fwrite(text, (size_t)n, 1, out);
			text += n;
		}
		for (; n < 0; n++, text++)
			fprintf(out, "\\x%02x", (unsigned char)*text);
	}
}

/* Decode one character of UTF-8, strictly. Return: its bytes, or 0 when it is none. */
static size_t decode_utf8(const unsigned char *p, uint32_t *c)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, UTF16_PAIRS };
	size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc0 ? 2 : 1, i;

	if (n == 1) {
		*c = *p;
		return *p < 0x80;
	}
	*c = *p & (0x7fU >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*p > 0xf4 || *c < smallest[n] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return n;
}

void print_json_string(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t c;
	size_t n;

	putc('"', out);
	while (*p) {
		n = decode_utf8(p, &c);
		if (!n) {
			n = 1;
			c = ODD_BYTE + *p;
		}
		p += n;
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (char)c);
		else if (c >= ' ' && c < 0x7f)
			putc((char)c, out);
		else if (c < UTF16_PAIRS)
			fprintf(out, "\\u%04" PRIx32, c);
		else
			fprintf(out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd7c0 + (c >> 10),
				0xdc00 + (c & 0x3ff));
	}
	putc('"', out);
}

void print_json_name(const struct tce_geometry *geometry)
{
	if (geometry->known & TCE_KNOWN_LIOBN)
		printf("\"liobn\": \"0x%" PRIx64 "\"", geometry->liobn);
	else
		printf("\"liobn\": null");
	if (geometry->has_vm)
		printf(", \"vm\": %" PRIu64, geometry->vm);
	else
		printf(", \"vm\": null");
}

const char *format_table(const struct tce_geometry *geometry, char *buf)
{
	int n;

	if (geometry->known & TCE_KNOWN_LIOBN)
		n = snprintf(buf, TABLE_NAME_SIZE, "LIOBN 0x%" PRIx64, geometry->liobn);
	else
		n = snprintf(buf, TABLE_NAME_SIZE, "LIOBN unknown");
	if (geometry->has_vm)
		snprintf(buf + n, TABLE_NAME_SIZE - (size_t)n, " of VM %" PRIu64, geometry->vm);
	return buf;
}

bool knows_ioba(const struct tce_geometry *geometry)
{
	const unsigned int both = TCE_KNOWN_BUS_OFFSET | TCE_KNOWN_PAGE_SHIFT;

	return (geometry->known & both) == both;
}

int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	print_warning("standard output: %s", strerror(errno));
	return EXIT_FAILED;
}
