// libjpeg behind a plain C interface: its errors are long jumps, which must not pass through Swift.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct CJReader CJReader;

// Opens a plain JPEG file in memory, which must outlive the result: baseline, red, green and blue as YCbCr of 8 bits,
// nothing in it that says how to see it (EXIF, a profile). Null for all else, damaged files included.
CJReader *cj_open(const uint8_t *bytes, size_t count);
void cj_close(CJReader *reader);

int64_t cj_width(const CJReader *reader);
int64_t cj_height(const CJReader *reader);

// Decodes into width × height × 3 bytes, once. False where libjpeg finds the least fault.
bool cj_decode(CJReader *reader, uint8_t *rgb);
