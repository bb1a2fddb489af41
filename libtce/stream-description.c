// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The JSON description ("vmdesc") that ends a QEMU migration stream: which device sections it
 * has, in order, and how long each one is. It comes from outside, so: no recursion deeper than a
 * limit, no number believed before it is looked at, nothing allocated.
 */
#include <xxhash.h>
#include "stream-private.h"

/* QEMU nests an array and an object for each level of structs; a handful of levels exist. */
#define DEPTH_MAX	64

struct json {
	const char *begin, *p, *end;
	unsigned int depth;
	const char *problem;
};

uint64_t stream_hash_name(const char *name, size_t len)
{
	return XXH3_64bits(name, len);
}

static int bad(struct json *j, const char *problem)
{
	j->problem = problem;
	return -1;
}

static int peek(struct json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
		j->p++;
	return j->p < j->end ? (unsigned char)*j->p : -1;
}

static int expect(struct json *j, char c)
{
	if (peek(j) != c)
		return bad(j, "not JSON");
	j->p++;
	return 0;
}

/* A string, without its quotes. Escapes are left as they are: QEMU's names have none. */
static int take_string(struct json *j, const char **s, size_t *len)
{
	if (expect(j, '"'))
		return -1;
	*s = j->p;
	while (j->p < j->end && *j->p != '"') {
		if (*j->p == '\\' && j->end - j->p > 1)
			j->p++;
		j->p++;
	}
	if (j->p >= j->end)
		return bad(j, "a string does not end");
	*len = (size_t)(j->p - *s);
	j->p++;
	return 0;
}

static int take_number(struct json *j, uint64_t *value)
{
	uint64_t v = 0;
	int c = peek(j);

	if (c < '0' || c > '9')
		return bad(j, "not a number");
	for (; j->p < j->end && *j->p >= '0' && *j->p <= '9'; j->p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*j->p - '0'), &v))
			return bad(j, "a number is too large");
	}
	*value = v;
	return 0;
}

/*
 * Step to the next member of an array or object that @close ends. *@first is true before the
 * first one. Returns 1 with a member, 0 at the end.
 */
static int next_member(struct json *j, char close, bool *first)
{
	if (*first) {
		*first = false;
		if (peek(j) == close)
			goto end;
		return 1;
	}
	if (peek(j) == ',') {
		j->p++;
		return 1;
	}
	if (peek(j) != close)
		return bad(j, "not JSON");
end:
	j->p++;
	j->depth--;
	return 0;
}

static int open_value(struct json *j, char open, bool *first)
{
	if (expect(j, open))
		return -1;
	if (++j->depth > DEPTH_MAX)
		return bad(j, "nested too deeply");
	*first = true;
	return 0;
}

static int take_key(struct json *j, const char **key, size_t *len)
{
	return take_string(j, key, len) || expect(j, ':') ? -1 : 0;
}

static bool is_key(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(key, name, len);
}

static int skip_value(struct json *j)
{
	const char *s;
	bool first;
	size_t len;
	int c = peek(j), r;

	switch (c) {
	case '"':
		return take_string(j, &s, &len);
	case '{':
	case '[':
		if (open_value(j, (char)c, &first))
			return -1;
		while ((r = next_member(j, c == '{' ? '}' : ']', &first)) > 0) {
			if (c == '{' && take_key(j, &s, &len))
				return -1;
			if (skip_value(j))
				return -1;
		}
		return r;
	default:
		/* a number or a word; what follows it tells whether it is one */
		s = j->p;
		while (j->p < j->end && (*j->p == '-' || *j->p == '+' || *j->p == '.' ||
					 (*j->p >= '0' && *j->p <= '9') ||
					 (*j->p >= 'a' && *j->p <= 'z') || *j->p == 'E'))
			j->p++;
		return j->p > s ? 0 : bad(j, "not JSON");
	}
}

/*
 * A member of "fields": its size counts once, or array_len times. The size of a field that is a
 * struct is all of that struct, subsections included, so what is inside is skipped.
 */
static int take_field(struct json *j, uint64_t *total)
{
	uint64_t size = 0, times = 1;
	const char *key;
	size_t len;
	bool first;
	int r;

	if (open_value(j, '{', &first))
		return -1;
	while ((r = next_member(j, '}', &first)) > 0) {
		if (take_key(j, &key, &len))
			return -1;
		if (is_key(key, len, "size"))
			r = take_number(j, &size);
		else if (is_key(key, len, "array_len"))
			r = take_number(j, &times);
		else
			r = skip_value(j);
		if (r)
			return -1;
	}
	if (r)
		return r;
	if (__builtin_mul_overflow(size, times, &size) ||
	    __builtin_add_overflow(*total, size, total))
		return bad(j, "a size is too large");
	return 0;
}

static int take_subsection(struct json *j, uint64_t *total);

/* The value of one of the keys that devices and subsections have in common. */
static int take_state(struct json *j, const char *key, size_t len, uint64_t *total)
{
	bool fields = is_key(key, len, "fields"), first;
	int r;

	if (!fields && !is_key(key, len, "subsections"))
		return skip_value(j);
	if (open_value(j, '[', &first))
		return -1;
	while ((r = next_member(j, ']', &first)) > 0) {
		r = fields ? take_field(j, total) : take_subsection(j, total);
		if (r)
			return -1;
	}
	return r;
}

static int take_subsection(struct json *j, uint64_t *total)
{
	const char *key, *name;
	size_t len, name_len = 0;
	bool first;
	int r;

	if (open_value(j, '{', &first))
		return -1;
	while ((r = next_member(j, '}', &first)) > 0) {
		if (take_key(j, &key, &len))
			return -1;
		if (is_key(key, len, "vmsd_name"))
			r = take_string(j, &name, &name_len);
		else
			r = take_state(j, key, len, total);
		if (r)
			return -1;
	}
	/* in the stream: mark, length of the name, the name, be32 version */
	if (!r && __builtin_add_overflow(*total, 2 + name_len + 4, total))
		return bad(j, "a size is too large");
	return r;
}

static int take_device(struct json *j, struct stream_section *section)
{
	const char *key, *name = "";
	size_t len, name_len = 0;
	uint64_t instance = 0;
	bool first;
	int r;

	section->length = 0;
	if (open_value(j, '{', &first))
		return -1;
	while ((r = next_member(j, '}', &first)) > 0) {
		if (take_key(j, &key, &len))
			return -1;
		if (is_key(key, len, "name"))
			r = take_string(j, &name, &name_len);
		else if (is_key(key, len, "instance_id"))
			r = take_number(j, &instance);
		else
			r = take_state(j, key, len, &section->length);
		if (r)
			return -1;
	}
	section->name_hash = stream_hash_name(name, name_len);
	section->instance = (uint32_t)instance;
	return r;
}

int stream_check_description(const char *json, size_t len, const struct stream_section *sections,
			     size_t count, size_t *differs, size_t *at, const char **problem)
{
	struct json j = { .begin = json, .p = json, .end = json + len };
	bool first, first_device, agrees = true;
	struct stream_section told;
	size_t n = 0, key_len;
	const char *key;
	int r;

	*differs = 0;
	r = open_value(&j, '{', &first);
	while (!r && (r = next_member(&j, '}', &first)) > 0) {
		if (take_key(&j, &key, &key_len)) {
			r = -1;
			break;
		}
		if (!is_key(key, key_len, "devices")) {
			r = skip_value(&j);
			continue;
		}
		r = open_value(&j, '[', &first_device);
		while (!r && (r = next_member(&j, ']', &first_device)) > 0) {
			r = take_device(&j, &told);
			if (r)
				break;
			/*
			 * Lengths are compared for tables only: before 10.0 QEMU tells wrong
			 * ones for arrays of pointers of which some are NULL.
			 */
			if (agrees && (n >= count || told.name_hash != sections[n].name_hash ||
				       told.instance != sections[n].instance ||
				       (sections[n].is_table &&
					told.length != sections[n].length))) {
				agrees = false;
				*differs = n < count ? n : count;
			}
			n++;
		}
	}
	if (!r && peek(&j) != -1)
		r = bad(&j, "something follows the description");
	if (r) {
		*at = (size_t)(j.p - j.begin);
		*problem = j.problem;
		return -1;
	}
	if (agrees && n != count) {
		agrees = false;
		*differs = n;
	}
	return agrees ? TCE_STREAM_AGREES : TCE_STREAM_DISAGREES;
}
