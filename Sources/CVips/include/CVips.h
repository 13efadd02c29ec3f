// libvips behind a plain C interface: its own calls are variadic, which Swift can't call.
//
// Every function that can fail returns a status, 0 for success, and then sets *error to a message
// that the caller frees with cv_free. Pixels are 8-bit where nothing else is said,
// interleaved, rows without padding.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CVImage CVImage;        // an opened file: its header is read, its pixels are not
typedef struct CVMetadata CVMetadata;  // EXIF, XMP, IPTC, ICC profile and resolution

enum { CV_NOT_AN_IMAGE = 1, CV_FAILED = 2, CV_STOPPED = 3 };  // the statuses other than 0

// Asked now and then, by any thread, whether what runs is to end with CV_STOPPED; `asked` may be null.
typedef struct {
  bool (*asked)(const void *context);
  const void *context;
} CVStop;

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
// As EXIF counts it, 1 to 8.
int cv_orientation(const CVImage *image);
// 1 for grey, 3 for red, green and blue, 4 for inks with a profile; 0 for everything else, such as Lab.
int cv_colours(const CVImage *image);
// 8 or 16, as cv_decode gives the file's own values.
int cv_bits(const CVImage *image);
// Whether there is an ICC profile that sRGB is not the same as.
bool cv_has_other_profile(const CVImage *image);
// Whether the file has numbers with a point; they are decoded as ones of 16 bits, 1 being white.
bool cv_is_float(const CVImage *image);
bool cv_is_cmyk(const CVImage *image);
// The pictures in the file, as frames or pages, where libvips knows of them.
int cv_pages(const CVImage *image);
// Once it is decoded, what libjpeg found to be damaged, if anything; it lives as long as the image.
const char *cv_damage(const CVImage *image);

// Decodes into width × height × 3 bytes of sRGB, and × 1 of alpha where the image has it (else null). A JPEG that is
// damaged, but not cut off, is decoded as far as it goes.
// `own`, if not null, gets the file's own values before that: cv_colours channels, then alpha, cv_bits each.
int cv_decode(CVImage *image, void *own, uint8_t *rgb, uint8_t *alpha, CVStop stop, char **error);
// Decodes an image of one 8-bit channel into width × height bytes, values as stored.
int cv_decode_labels(CVImage *image, uint8_t *labels, char **error);

// The metadata of an image (null for none), as a value that one thread at a time may change. Its profile is the
// file's own if it can be used, and sRGB's for colours that cv_colours has no number for.
CVMetadata *cv_metadata(const CVImage *image);
CVMetadata *cv_metadata_copy(const CVMetadata *metadata, bool keeps_location);
void cv_metadata_free(CVMetadata *metadata);
// The bytes of a field, "xmp-data" or "iptc-data", which live as long as it is not set; null where there is none.
const void *cv_metadata_get(const CVMetadata *metadata, const char *field, size_t *count);
// Sets a field's bytes; null removes it.
void cv_metadata_set(CVMetadata *metadata, const char *field, const void *bytes, size_t count);
// Puts sRGB's profile in the place of the one that is there, if any.
void cv_metadata_replace_profile(CVMetadata *metadata);

// Converts `count` sRGB pixels into the metadata's profile: 1, 3 or 4 channels of 16 bits each.
int cv_from_srgb(const CVMetadata *metadata, const uint8_t *rgb, int64_t count, int channels, uint16_t *values,
                 char **error);

// What is encoded: interleaved values, rows without padding.
typedef struct {
  const void *values;    // null for black
  int64_t width, height;
  int channels;          // the colours, and alpha where it is behind them
  int colours;           // 1 for grey, 3 for red, green and blue, 4 for inks
  int bits;              // 8 or 16
  const uint8_t *alpha;  // to be put behind the colours; null for none
  int orientation;       // EXIF's, 1…8, that is written where the metadata has one
} CVPixels;

typedef struct {
  const char *format;  // as cv_format's, or "gif"
  int quality;         // 1…100
  bool lossless;       // WebP
  bool progressive;    // JPEG
  bool subsampled;     // JPEG: colour at half the resolution each way
  bool quick;          // in less time, to more bytes
} CVCoding;

// Metadata may be null; *bytes is freed with cv_free.
int cv_encode(CVPixels pixels, const CVMetadata *metadata, CVCoding coding, CVStop stop, void **bytes, size_t *count,
              char **error);
// Encodes `count` pictures that lie one below the other as an animated WebP or GIF. `loops` of 0 is for ever.
int cv_encode_animation(CVPixels pixels, const CVMetadata *metadata, CVCoding coding, int count,
                        const int *milliseconds, int loops, CVStop stop, void **bytes, size_t *size, char **error);

// Draws a line of text, white on black, one channel. *pixels is freed with cv_free.
int cv_text(const char *text, int pixels_high, uint8_t **pixels, int64_t *width, int64_t *height,
            char **error);

#ifdef __cplusplus
}
#endif
