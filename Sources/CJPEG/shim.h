// <jpeglib.h> needs FILE and size_t, and does not ask for them itself.
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>
