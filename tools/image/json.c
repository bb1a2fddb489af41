// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * JSON, read piece by piece.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"
#include "image/json.h"

/* How deep values that are skipped may be nested. */
#define DEPTH_MAX 64

/* UTF-16: lone surrogates from here on are bytes that are no UTF-8; see print_json_string(). */
#define ODD_BYTE      0xdc00U
#define SURROGATE     0xd800U
#define SURROGATE_END 0xe000U

bool fail_json(struct json *json, const char *format, ...)
{
	char message[200];
	va_list args;

	if (json->err->code)
		return false;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	tce_set_error(json->err, TCE_ERR_CORRUPT, ferror(json->file) ? errno : 0, "line %lu: %s",
		      json->line, message);
	name_error(json->err, json->name);
	return false;
}

static int take_char(struct json *json)
{
	int c = getc(json->file);

	json->line += c == '\n';
	return c;
}

static void give_back(struct json *json, int c)
{
	json->line -= c == '\n';
	ungetc(c, json->file);
}

/* The next character that is no blank. */
static int take_token(struct json *json)
{
	int c;

	do {
		c = take_char(json);
	} while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
	return c;
}

static bool unexpected(struct json *json, int c, const char *wanted)
{
	if (c == EOF)
		return fail_json(json, "the text ends where %s should be", wanted);
	if (!c)
		return fail_json(json, "a byte of 0 is where %s should be", wanted);
	return fail_json(json, "'%c' is where %s should be", c, wanted);
}

bool begin_json_list(struct json *json, char bracket)
{
	int c = take_token(json);

	return c == bracket || unexpected(json, c, bracket == '{' ? "an object" : "an array");
}

bool next_json_element(struct json *json, bool *first, bool *more)
{
	int c = take_token(json);

	*more = c != ']';
	if (!*more)
		return true;
	if (*first)
		give_back(json, c);
	else if (c != ',')
		return unexpected(json, c, "',' or ']'");
	*first = false;
	return true;
}

bool next_json_member(struct json *json, bool *first, char key[JSON_STRING_SIZE])
{
	int c = take_token(json);

	key[0] = '\0';
	if (c == '}')
		return true;
	if (*first)
		give_back(json, c);
	else if (c != ',')
		return unexpected(json, c, "',' or '}'");
	*first = false;
	if (!read_json_string(json, key, JSON_STRING_SIZE))
		return false;
	if (!key[0])
		return fail_json(json, "a member without a name");
	c = take_token(json);
	return c == ':' || unexpected(json, c, "':'");
}

static bool read_hex(struct json *json, uint32_t *value)
{
	unsigned int i;
	int c;

	*value = 0;
	for (i = 0; i < 4; i++) {
		c = take_char(json);
		if (!isxdigit(c))
			return unexpected(json, c, "a hexadecimal digit");
		*value = *value << 4 | (uint32_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return true;
}

/* Put a character in. Return: bytes, or 0 when there is no room. */
static size_t encode(uint32_t c, char *buf, size_t room)
{
	const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < UTF16_PAIRS ? 3 : 4;
	size_t i;

	if (n > room)
		return 0;
	if (n == 1) {
		buf[0] = (char)c;
		return 1;
	}
	for (i = n - 1; i; i--) {
		buf[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	buf[0] = (char)(0xf0 << (4 - n) | c);
	return n;
}

/* After a backslash. Return: bytes put in, or 0 after an error. */
static size_t read_escape(struct json *json, char *buf, size_t room)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	int c = take_char(json);
	const char *name = c > 0 ? strchr(names, c) : NULL;
	uint32_t value, low;

	if (name) {
		*buf = values[name - names];
		return 1;
	}
	if (c != 'u') {
		unexpected(json, c, "an escape");
		return 0;
	}
	if (!read_hex(json, &value))
		return 0;
	if (value > ODD_BYTE + 0x7f && value <= ODD_BYTE + 0xff) {
		*buf = (char)(value - ODD_BYTE);
		return 1;
	}
	if (value >= SURROGATE && value < ODD_BYTE) {
		if (take_char(json) != '\\' || take_char(json) != 'u' || !read_hex(json, &low) ||
		    low < ODD_BYTE || low >= SURROGATE_END) {
			fail_json(json, "half a character");
			return 0;
		}
		value = UTF16_PAIRS + ((value - SURROGATE) << 10) + (low - ODD_BYTE);
	} else if (!value || (value >= ODD_BYTE && value < SURROGATE_END)) {
		fail_json(json, "a character that cannot be in a text");
		return 0;
	}
	low = (uint32_t)encode(value, buf, room);
	if (!low)
		fail_json(json, "a text that is too long");
	return low;
}

bool read_json_string(struct json *json, char *buf, size_t size)
{
	size_t used = 0, n;
	int c = take_token(json);

	if (c != '"')
		return unexpected(json, c, "a text");
	while ((c = take_char(json)) != '"') {
		if (c == EOF || (c >= 0 && c < ' '))
			return unexpected(json, c, "the end of a text");
		if (used + 1 >= size)
			return fail_json(json, "a text that is too long");
		if (c != '\\') {
			buf[used++] = (char)c;
			continue;
		}
		n = read_escape(json, buf + used, size - 1 - used);
		if (!n)
			return false;
		used += n;
	}
	buf[used] = '\0';
	return true;
}

/* A word without quotes: a number, true, false or null. */
static bool read_word(struct json *json, char *buf, size_t size)
{
	size_t used = 0;
	int c = take_token(json);

	while (isalnum(c) || c == '-' || c == '+' || c == '.') {
		if (used + 1 == size)
			return fail_json(json, "a number that is too long");
		buf[used++] = (char)c;
		c = take_char(json);
	}
	if (!used)
		return unexpected(json, c, "a value");
	give_back(json, c);
	buf[used] = '\0';
	return true;
}

bool read_json_number(struct json *json, uint64_t *value, bool *is_null)
{
	char text[32];
	int c = take_token(json);
	bool ok;

	give_back(json, c);
	ok = c == '"' ? read_json_string(json, text, sizeof(text)) :
			read_word(json, text, sizeof(text));
	if (!ok)
		return false;
	if (is_null) {
		*is_null = c != '"' && !strcmp(text, "null");
		if (*is_null)
			return true;
	}
	return parse_number(text, UINT64_MAX, value) ||
	       fail_json(json, "'%s' is not a number from 0 to 2^64 - 1", text);
}

bool read_json_bool(struct json *json, bool *value)
{
	char text[32];

	if (!read_word(json, text, sizeof(text)))
		return false;
	*value = !strcmp(text, "true");
	return *value || !strcmp(text, "false") ||
	       fail_json(json, "'%s' is neither true nor false", text);
}

/* Go over a text of any length. */
static bool skip_string(struct json *json)
{
	int c;

	while ((c = take_char(json)) != '"') {
		if (c == '\\')
			c = take_char(json);
		if (c == EOF)
			return unexpected(json, c, "the end of a text");
	}
	return true;
}

bool skip_json_value(struct json *json)
{
	char closing[DEPTH_MAX], word[64];
	unsigned int depth = 0;
	int c;

	do {
		c = take_token(json);
		if (c == '{' || c == '[') {
			if (depth == DEPTH_MAX)
				return fail_json(json, "nested too deep");
			closing[depth++] = c == '{' ? '}' : ']';
		} else if (c == '}' || c == ']') {
			if (!depth || c != closing[depth - 1])
				return unexpected(json, c, "a value");
			depth--;
		} else if (c == '"') {
			if (!skip_string(json))
				return false;
		} else if (!depth || (c != ',' && c != ':')) {
			give_back(json, c);
			if (!read_word(json, word, sizeof(word)))
				return false;
		}
	} while (depth);
	return true;
}

bool get_json_place(struct json *json, struct json_place *place)
{
	place->offset = ftello(json->file);
	place->line = json->line;
	return place->offset >= 0 || fail_json(json, "it has no place");
}

bool go_to_json_place(struct json *json, const struct json_place *place)
{
	json->line = place->line;
	return !fseeko(json->file, place->offset, SEEK_SET) ||
	       fail_json(json, "it cannot be read again");
}

bool end_json(struct json *json)
{
	int c = take_token(json);

	return c == EOF ? !ferror(json->file) || fail_json(json, "it cannot be read") :
			  unexpected(json, c, "the end");
}
