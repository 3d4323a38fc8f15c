/* Error values and their texts. */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 0)))
set_text(struct error *err, enum error_code code, const char *format,
         va_list arguments)
{
	err->code = code;
	/* It does not follow the list through the call:
	 * NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(err->text, sizeof(err->text), format, arguments);
}

int(error_set)(struct error *err, enum error_code code, const char *format, ...)
{
	if (err) {
		va_list arguments;

		va_start(arguments, format);
		set_text(err, code, format, arguments);
		va_end(arguments);
	}
	return code;
}

int(error_set_errno)(struct error *err, enum error_code code, int number,
                     const char *format, ...)
{
	if (err) {
		va_list arguments;
		size_t used;
		char reason[128];

		va_start(arguments, format);
		set_text(err, code, format, arguments);
		va_end(arguments);
		used = strlen(err->text);
		(void)snprintf(err->text + used, sizeof(err->text) - used,
		               ": %s",
		               strerror_r(number, reason, sizeof(reason)));
	}
	return code;
}

const char *error_name(int code)
{
	switch (code) {
	case ERR_OK:
		return "ok";
	case ERR_INVALID:
		return "invalid";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_CONFLICT:
		return "conflict";
	case ERR_EXISTS:
		return "exists";
	case ERR_LIMIT:
		return "limit reached";
	case ERR_IO:
		return "input/output error";
	case ERR_FULL:
		return "no space left";
	case ERR_CORRUPT:
		return "corrupt";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_UNCERTAIN:
		return "uncertain";
	case ERR_PROTOCOL:
		return "protocol error";
	case ERR_DENIED:
		return "denied";
	case ERR_UNAVAILABLE:
		return "unavailable";
	case ERR_VERSION:
		return "version mismatch";
	case ERR_MEMORY:
		return "out of memory";
	default:
		return "unknown error";
	}
}
