/* Delivery into Maildirs, one folder a recipient. */
#ifndef SANDBOX_MAILDIR_H
#define SANDBOX_MAILDIR_H

#include <stddef.h>

#include "common/error.h"

/*
 * Stores a message for recipient below root: in "ROOT/ADDRESS/new", ADDRESS in
 * lower case with what a file name should not hold made '_'. The file is
 * "Return-Path: <SENDER>", "Delivered-To: RECIPIENT" and the message's bytes;
 * it and its folder are synced before the return. 0, ERR_FULL or ERR_IO. Any
 * thread.
 */
int maildir_deliver(const char *root, const char *sender, const char *recipient,
                    const char *bytes, size_t size, struct error *err);

#endif
