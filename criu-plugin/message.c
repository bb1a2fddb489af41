// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling in messages, so that protobuf-c can free them at any moment.
 */
#include <stdlib.h>
#include <string.h>

#include "kvm-plugin.h"

void *new_message(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = malloc(type->sizeof_message);

	if (message)
		protobuf_c_message_init(type, message);
	else
		pr_err("Out of memory\n");
	return message;
}

void free_message(void *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

void *add_element(size_t *count, void *array, const ProtobufCMessageDescriptor *type)
{
	void **elements = reallocarray(*(void ***)array, *count + 1, sizeof(*elements));
	void *element;

	if (!elements) {
		pr_err("Out of memory\n");
		return NULL;
	}
	*(void ***)array = elements;
	element = new_message(type);
	if (element)
		elements[(*count)++] = element;
	return element;
}

int set_bytes(ProtobufCBinaryData *bytes, const void *data, size_t len)
{
	bytes->data = malloc(len);
	if (!bytes->data) {
		pr_err("Out of memory\n");
		return -1;
	}
	bytes->len = len;
	memcpy(bytes->data, data, len);
	return 0;
}

int set_string(char **string, const char *text, size_t len)
{
	*string = strndup(text, len);
	if (*string)
		return 0;
	pr_err("Out of memory\n");
	return -1;
}
