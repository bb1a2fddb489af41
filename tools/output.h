/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an image is written: a file that is replaced when the image is whole, or standard output.
 */
#ifndef TCE_TOOLS_OUTPUT_H
#define TCE_TOOLS_OUTPUT_H

#include "message.h"

/**
 * create_output_file() - begin to replace a file, of which a signal leaves nothing
 * @file: receives the file; free it with close_output_file().
 * @path: its name.
 * @err: what failed.
 *
 * As tce_create_file(), but a signal that ends the process first removes what is in the folder
 * where the file system has no files without a name. One file at a time.
 *
 * Return: 0, %TCE_ERR_IO, or %TCE_ERR_NOMEM.
 */
int create_output_file(struct tce_file **file, const char *path, struct tce_error *err);

/**
 * close_output_file() - free a file
 * @file: from create_output_file(), or NULL. What was not committed is thrown away.
 */
void close_output_file(struct tce_file *file);

/**
 * struct output - where an image goes
 * @sink: takes the image.
 * @path: its name, for messages.
 * @file: the file, or NULL for standard output.
 */
struct output {
	struct tce_sink sink;
	const char *path;
	struct tce_file *file;
};

/**
 * open_output() - begin to write an image
 * @output: filled in; free with close_output().
 * @path: the file's name, or "-" for standard output; other names of standard output, as
 *	/dev/stdout, are known. Must outlive the output.
 * @err: what failed.
 *
 * No image is written to a terminal: it would be steered by what the image says.
 *
 * Return: 0, or a negative status.
 */
int open_output(struct output *output, const char *path, struct tce_error *err);

/**
 * commit_output() - the image is whole: put the file in its place
 * @output: the output.
 * @err: what failed.
 *
 * Return: 0, or %TCE_ERR_IO.
 */
int commit_output(struct output *output, struct tce_error *err);

/**
 * close_output() - free an output
 * @output: from open_output(). A file that was not committed is thrown away.
 */
void close_output(struct output *output);

#endif /* TCE_TOOLS_OUTPUT_H */
