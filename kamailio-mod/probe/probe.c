/* Prints the size and the field offsets of every structure in fields.def, as the C compiler lays them out with the
 * defines of the installed Kamailio, then the two strings that its loader compares, in quotes. Compiled and run by tests/layout.rs; never linked into the module. */
#include <stddef.h>
#include <stdio.h>

#include "../wrapper.h"

int main(void)
{
#define SIZE(tag) printf("%s %zu\n", #tag, sizeof(struct tag));
#define FIELD(tag, path) printf("%s.%s %zu\n", #tag, #path, offsetof(struct tag, path));
#include "fields.def"
	printf("\"%s\"\n\"%s\"\n", SER_FULL_VERSION, SER_COMPILE_FLAGS);
	return 0;
}
