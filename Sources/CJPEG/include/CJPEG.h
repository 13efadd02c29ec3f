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

enum { CJ_MESSAGE = 256 };  // bytes of a message with its end

// Whether libjpeg warns of anything in a JPEG file, up to its end; then the message says of what first.
bool cj_damage(const uint8_t *bytes, size_t count, char message[CJ_MESSAGE]);

// How a JPEG is divided into units that are coded together, of as many pixels each; those at its right and lower edges reach beyond it.
typedef struct {
  int64_t width, height;
  int components;  // 1 for grey, 3 for YCbCr
  int64_t unit_width, unit_height;
} CJLayout;

// False for a file whose units cannot be replaced: arithmetic codes, other colours, damage.
bool cj_layout(const uint8_t *bytes, size_t count, CJLayout *layout);

// New pixels for some units of a JPEG.
typedef struct {
  const uint8_t *changed;  // of each unit, row by row, whether it is replaced
  const uint8_t *pixels;   // components interleaved; the upper left one is that of a unit
  int64_t x, y;            // of this unit, in units
  int64_t width, height;   // of the pixels, which reach to the end of a unit or of the picture
} CJPatch;

// Writes a JPEG again with some of its units replaced, coded with its own tables; the coefficients of all others stay. It has no markers
// but those of its coding. *result is freed with free. False where libjpeg finds a fault.
bool cj_patch(const uint8_t *bytes, size_t count, CJPatch patch, uint8_t **result, size_t *result_count);

// Copies the coefficients of a component, 64 for each block, row by row; null `values` only counts them. False where libjpeg finds a fault.
bool cj_coefficients(const uint8_t *bytes, size_t count, int component, int16_t *values, size_t *value_count);
