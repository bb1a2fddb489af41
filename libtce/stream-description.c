// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The JSON description ("vmdesc") that ends a QEMU migration stream: which device sections it
 * has, in order, and how long each one is. It comes from outside, so: no recursion deeper than a
 * limit, no number believed before it is looked at, nothing allocated.
 */
#include <inttypes.h>
#include <stdio.h>

#include "hash.h"
#include "stream-private.h"

/* QEMU nests an array and an object for each level of structs; a handful of levels exist. */
#define DEPTH_MAX 64

/* Of a table that is sent as runs, this field is they. */
#define RUNS_FIELD "runs"

/**
 * struct json - the description, being read
 * @begin: of it.
 * @p: what is read next.
 * @end: of it.
 * @depth: open arrays and objects.
 * @problem: what is wrong with it.
 * @runs: in the device that is read, the size of the field RUNS_FIELD; NULL if there is none.
 * @runs_len: length of that number.
 * @runs_size: its value.
 */
struct json {
	const char *begin, *p, *end;
	unsigned int depth;
	const char *problem;
	const char *runs;
	size_t runs_len;
	uint64_t runs_size;
};

uint64_t tce_stream_hash_name(const char *name, size_t len)
{
	return XXH3_64bits(name, len);
}

static int bad(struct json *json, const char *problem)
{
	json->problem = problem;
	return -1;
}

static int peek(struct json *json)
{
	while (json->p < json->end &&
	       (*json->p == ' ' || *json->p == '\n' || *json->p == '\r' || *json->p == '\t'))
		json->p++;
	return json->p < json->end ? (unsigned char)*json->p : -1;
}

static int expect(struct json *json, char c)
{
	if (peek(json) != c)
		return bad(json, "not JSON");
	json->p++;
	return 0;
}

/* A string, without its quotes. Escapes are left as they are: QEMU's names have none. */
static int take_string(struct json *json, const char **s, size_t *len)
{
	if (expect(json, '"'))
		return -1;
	*s = json->p;
	while (json->p < json->end && *json->p != '"') {
		if (*json->p == '\\' && json->end - json->p > 1)
			json->p++;
		json->p++;
	}
	if (json->p >= json->end)
		return bad(json, "a string does not end");
	*len = (size_t)(json->p - *s);
	json->p++;
	return 0;
}

static int take_number(struct json *json, uint64_t *value)
{
	uint64_t v = 0;
	int c = peek(json);

	if (c < '0' || c > '9')
		return bad(json, "not a number");
	for (; json->p < json->end && *json->p >= '0' && *json->p <= '9'; json->p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*json->p - '0'), &v))
			return bad(json, "a number is too large");
	}
	*value = v;
	return 0;
}

/*
 * Step to the next member of an array or object that @close ends. *@first is true before the
 * first one. Returns 1 with a member, 0 at the end.
 */
static int next_member(struct json *json, char close, bool *first)
{
	if (*first) {
		*first = false;
		if (peek(json) == close)
			goto end;
		return 1;
	}
	if (peek(json) == ',') {
		json->p++;
		return 1;
	}
	if (peek(json) != close)
		return bad(json, "not JSON");
end:
	json->p++;
	json->depth--;
	return 0;
}

static int open_value(struct json *json, char open, bool *first)
{
	if (expect(json, open))
		return -1;
	if (++json->depth > DEPTH_MAX)
		return bad(json, "nested too deeply");
	*first = true;
	return 0;
}

static int take_key(struct json *json, const char **key, size_t *len)
{
	return take_string(json, key, len) || expect(json, ':') ? -1 : 0;
}

static bool is_key(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(key, name, len);
}

static int skip_value(struct json *json)
{
	const char *s;
	bool first;
	size_t len;
	int c = peek(json), ret;

	switch (c) {
	case '"':
		return take_string(json, &s, &len);
	case '{':
	case '[':
		if (open_value(json, (char)c, &first))
			return -1;
		while ((ret = next_member(json, c == '{' ? '}' : ']', &first)) > 0) {
			if (c == '{' && take_key(json, &s, &len))
				return -1;
			if (skip_value(json))
				return -1;
		}
		return ret;
	default:
		/* What follows a number or a word tells whether it is one. */
		s = json->p;
		while (json->p < json->end &&
		       (*json->p == '-' || *json->p == '+' || *json->p == '.' ||
			(*json->p >= '0' && *json->p <= '9') ||
			(*json->p >= 'a' && *json->p <= 'z') || *json->p == 'E'))
			json->p++;
		return json->p > s ? 0 : bad(json, "not JSON");
	}
}

/*
 * A member of "fields": its size counts once, or array_len times. The size of a field that is a
 * struct is all of that struct, subsections included, so what is inside is skipped.
 */
static int take_field(struct json *json, uint64_t *total)
{
	uint64_t size = 0, times = 1;
	const char *key, *name = "", *size_at = NULL;
	size_t len, name_len = 0, size_len = 0;
	bool first;
	int ret;

	if (open_value(json, '{', &first))
		return -1;
	while ((ret = next_member(json, '}', &first)) > 0) {
		if (take_key(json, &key, &len))
			return -1;
		if (is_key(key, len, "size")) {
			peek(json);
			size_at = json->p;
			ret = take_number(json, &size);
			size_len = (size_t)(json->p - size_at);
		} else if (is_key(key, len, "name") && peek(json) == '"') {
			ret = take_string(json, &name, &name_len);
		} else if (is_key(key, len, "array_len")) {
			ret = take_number(json, &times);
		} else {
			ret = skip_value(json);
		}
		if (ret)
			return -1;
	}
	if (ret)
		return ret;
	if (size_at && is_key(name, name_len, RUNS_FIELD)) {
		json->runs = size_at;
		json->runs_len = size_len;
		json->runs_size = size;
	}
	if (__builtin_mul_overflow(size, times, &size) ||
	    __builtin_add_overflow(*total, size, total))
		return bad(json, "a size is too large");
	return 0;
}

static int take_subsection(struct json *json, uint64_t *total);

/* The value of one of the keys that devices and subsections have in common. */
static int take_state(struct json *json, const char *key, size_t len, uint64_t *total)
{
	bool fields = is_key(key, len, "fields"), first;
	int ret;

	if (!fields && !is_key(key, len, "subsections"))
		return skip_value(json);
	if (open_value(json, '[', &first))
		return -1;
	while ((ret = next_member(json, ']', &first)) > 0) {
		ret = fields ? take_field(json, total) : take_subsection(json, total);
		if (ret)
			return -1;
	}
	return ret;
}

static int take_subsection(struct json *json, uint64_t *total)
{
	const char *key, *name;
	size_t len, name_len = 0;
	bool first;
	int ret;

	if (open_value(json, '{', &first))
		return -1;
	while ((ret = next_member(json, '}', &first)) > 0) {
		if (take_key(json, &key, &len))
			return -1;
		if (is_key(key, len, "vmsd_name"))
			ret = take_string(json, &name, &name_len);
		else
			ret = take_state(json, key, len, total);
		if (ret)
			return -1;
	}
	/* The stream has: mark, length of the name, the name, be32 version. */
	if (!ret && __builtin_add_overflow(*total, 2 + name_len + 4, total))
		return bad(json, "a size is too large");
	return ret;
}

static int take_device(struct json *json, struct stream_section *section)
{
	const char *key, *name = "";
	size_t len, name_len = 0;
	uint64_t instance = 0;
	bool first;
	int ret;

	section->length = 0;
	json->runs = NULL;
	if (open_value(json, '{', &first))
		return -1;
	while ((ret = next_member(json, '}', &first)) > 0) {
		if (take_key(json, &key, &len))
			return -1;
		if (is_key(key, len, "name"))
			ret = take_string(json, &name, &name_len);
		else if (is_key(key, len, "instance_id"))
			ret = take_number(json, &instance);
		else
			ret = take_state(json, key, len, &section->length);
		if (ret)
			return -1;
	}
	section->name_hash = tce_stream_hash_name(name, name_len);
	section->instance = (uint32_t)instance;
	section->runs_len = json->runs ? json->runs_len : 0;
	section->runs_at = json->runs ? (size_t)(json->runs - json->begin) : 0;
	section->runs_size = json->runs_size;
	return ret;
}

/* Is this section, the @n th of the description, the one that was seen? */
static bool section_agrees(const struct stream_section *told, size_t n,
			   const struct stream_section *sections, size_t count)
{
	if (n >= count || told->name_hash != sections[n].name_hash ||
	    told->instance != sections[n].instance)
		return false;
	/*
	 * Lengths are compared for tables only: before 10.0 QEMU tells wrong ones for arrays of
	 * pointers of which some are NULL.
	 */
	if (!sections[n].is_table)
		return true;
	return told->length == sections[n].length && (!sections[n].replaced || told->runs_len);
}

/* The array "devices". *@n counts them; *@differs becomes the first one that differs. */
static int check_devices(struct json *json, struct stream_section *sections, size_t count,
			 size_t *n, size_t *differs, bool *agrees)
{
	struct stream_section told;
	bool first;
	int ret;

	ret = open_value(json, '[', &first);
	while (!ret && (ret = next_member(json, ']', &first)) > 0) {
		ret = take_device(json, &told);
		if (ret)
			break;
		if (*agrees && !section_agrees(&told, *n, sections, count)) {
			*agrees = false;
			*differs = *n < count ? *n : count;
		} else if (*agrees) {
			sections[*n].runs_at = told.runs_at;
			sections[*n].runs_len = told.runs_len;
			sections[*n].runs_size = told.runs_size;
		}
		(*n)++;
	}
	return ret;
}

int tce_stream_check_description(const char *text, size_t len, struct stream_section *sections,
				 size_t count, size_t *differs, size_t *at, const char **problem)
{
	struct json json = { .begin = text, .p = text, .end = text + len };
	bool first, agrees = true;
	size_t n = 0, key_len;
	const char *key;
	int ret;

	*differs = 0;
	ret = open_value(&json, '{', &first);
	while (!ret && (ret = next_member(&json, '}', &first)) > 0) {
		ret = take_key(&json, &key, &key_len);
		if (!ret && is_key(key, key_len, "devices"))
			ret = check_devices(&json, sections, count, &n, differs, &agrees);
		else if (!ret)
			ret = skip_value(&json);
	}
	if (!ret && peek(&json) != -1)
		ret = bad(&json, "something follows the description");
	if (ret) {
		*at = (size_t)(json.p - json.begin);
		*problem = json.problem;
		return -1;
	}
	if (agrees && n != count) {
		agrees = false;
		*differs = n;
	}
	return agrees ? TCE_STREAM_AGREES : TCE_STREAM_DISAGREES;
}

size_t tce_stream_correct_sizes(const char *json, size_t len, const struct stream_section *sections,
				size_t count, char *to)
{
	char number[DESCRIPTION_DIGITS + 1], *out = to;
	size_t done = 0, i;
	int digits;

	for (i = 0; i < count; i++) {
		const struct stream_section *section = &sections[i];

		if (!section->replaced)
			continue;
		memcpy(out, json + done, section->runs_at - done);
		out += section->runs_at - done;
		digits = snprintf(number, sizeof(number), "%" PRIu64,
				  section->runs_size + section->grown);
		memcpy(out, number, (size_t)digits);
		out += digits;
		done = section->runs_at + section->runs_len;
	}
	memcpy(out, json + done, len - done);
	return (size_t)(out - to) + len - done;
}
