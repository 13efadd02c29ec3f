// libvips behind a plain C interface: its own calls are variadic, which Swift can't call.
//
// Every function that can fail returns a status, 0 for success, and then sets *error to a message
// that the caller frees with cv_free. Pixels are 8-bit, interleaved, rows without padding.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CVImage CVImage;        // an opened file: its header is read, its pixels are not
typedef struct CVMetadata CVMetadata;  // EXIF, XMP, IPTC and resolution; immutable, any thread

enum { CV_NOT_AN_IMAGE = 1, CV_FAILED = 2 };  // the statuses other than 0

void cv_free(void *memory);

// Opens an image file (path) or bytes in memory (path null), which must outlive the result.
// Only JPEG, PNG, WebP, TIFF and HEIF are let in; CV_NOT_AN_IMAGE for everything else.
int cv_open(const char *path, const void *bytes, size_t count, CVImage **result, char **error);
void cv_close(CVImage *image);

// The size of the picture as it is to be seen, after turning by the EXIF orientation.
int64_t cv_width(const CVImage *image);
int64_t cv_height(const CVImage *image);
bool cv_has_alpha(const CVImage *image);
// "jpeg", "png", "webp", "tiff", "heic" or "avif".
const char *cv_format(const CVImage *image);
CVMetadata *cv_metadata(const CVImage *image);
void cv_metadata_free(CVMetadata *metadata);

// Decodes into width × height × 3 bytes of sRGB, and × 1 of alpha where the image has it (else null).
int cv_decode(CVImage *image, uint8_t *rgb, uint8_t *alpha, char **error);
// Decodes an image of one 8-bit channel into width × height bytes, values as stored.
int cv_decode_labels(CVImage *image, uint8_t *labels, char **error);

// Encodes a picture of 1 or 3 channels. Alpha and metadata may be null; *bytes is freed with cv_free.
int cv_encode(const uint8_t *pixels, const uint8_t *alpha, int64_t width, int64_t height, int channels,
              const CVMetadata *metadata, const char *format, int quality,
              void **bytes, size_t *count, char **error);

// Draws a line of text, white on black, one channel. *pixels is freed with cv_free.
int cv_text(const char *text, int pixels_high, uint8_t **pixels, int64_t *width, int64_t *height,
            char **error);

#ifdef __cplusplus
}
#endif
