#include "CVips.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

// An image of up to this many pixels is decoded on the calling thread alone, so that many can be at once.
enum { SMALL = 1 << 20 };

struct CVImage {
  VipsImage *image;
  // Where it was opened, to read it once more.
  char *path;
  const void *bytes;
  size_t count;
  bool strict;   // whether the least fault of its data ends reading
  char *damage;  // what such a fault was
  const char *format;
  int orientation;
  int colours;
  enum { NO_PROFILE, SRGB_PROFILE, OTHER_PROFILE } profile;
};

struct CVMetadata {
  VipsImage *image;  // one pixel that carries the fields
  bool keeps_location;
};

// MARK: Library

static bool started;

static void ignore(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data) {
  (void)domain, (void)level, (void)message, (void)data;
}

static void start(void) {
  // What libvips warns of is either an error, which is reported, or nothing.
  g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO, ignore, NULL);
  if (VIPS_INIT("facet") != 0) return;
  // Each file is read once: libvips' cache of operations would only hold memory.
  vips_cache_set_max(0);
  started = true;
}

static bool library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
  return started;
}

// The first line of libvips' messages; the buffer is the process's, so it is emptied.
static char *message(void) {
  char *text = vips_error_buffer_copy();
  text[strcspn(text, "\n")] = 0;
  if (!*text) {
    g_free(text);
    text = g_strdup("the decoder says no more");
  }
  return text;
}

static int failed(char **error) {
  *error = message();
  return CV_FAILED;
}

static int failed_with(char **error, const char *text) {
  *error = g_strdup(text);
  return CV_FAILED;
}

static bool is_stopped(CVStop stop) { return stop.asked && stop.asked(stop.context); }

static int failed_or_stopped(CVStop stop, char **error) {
  return failed(error) == CV_FAILED && is_stopped(stop) ? CV_STOPPED : CV_FAILED;
}

void cv_free(void *memory) { g_free(memory); }

// MARK: Opening

static const char *format_of(VipsImage *image) {
  const char *loader = "";
  if (vips_image_get_typeof(image, VIPS_META_LOADER)) vips_image_get_string(image, VIPS_META_LOADER, &loader);
  static const char *const formats[] = {"jpeg", "png", "webp", "tiff"};
  for (size_t i = 0; i < G_N_ELEMENTS(formats); ++i)
    if (strncmp(loader, formats[i], strlen(formats[i])) == 0) return formats[i];
  const char *compression = "";
  if (vips_image_get_typeof(image, "heif-compression")) vips_image_get_string(image, "heif-compression", &compression);
  return strcmp(compression, "av1") == 0 ? "avif" : "heic";
}

// The formats that people's photos have; no scripts, documents or converters.
static bool may_load(const char *loader) {
  static const char *const loaders[] = {"VipsForeignLoadJpegSource", "VipsForeignLoadPngSource",
                                        "VipsForeignLoadWebpSource", "VipsForeignLoadTiffSource",
                                        "VipsForeignLoadHeifSource"};
  for (size_t i = 0; loader && i < G_N_ELEMENTS(loaders); ++i)
    if (strcmp(loader, loaders[i]) == 0) return true;
  return false;
}

static bool has_field(const VipsImage *image, const char *name) { return vips_image_get_typeof(image, name) != 0; }

static void copy_profile(VipsImage *from, VipsImage *to) {
  const void *data;
  size_t size;
  if (has_field(from, VIPS_META_ICC_NAME) && vips_image_get_blob(from, VIPS_META_ICC_NAME, &data, &size) == 0)
    vips_image_set_blob_copy(to, VIPS_META_ICC_NAME, data, size);
}

static bool is_float(const VipsImage *image) {
  return image->BandFmt == VIPS_FORMAT_FLOAT || image->BandFmt == VIPS_FORMAT_DOUBLE;
}

// Lab in four packed bytes has none, though it looks like four channels.
static bool has_alpha(const VipsImage *image) {
  return image->Coding == VIPS_CODING_NONE && vips_image_hasalpha((VipsImage *)image);
}

static int colours_of(const VipsImage *image) {
  if (image->Coding != VIPS_CODING_NONE) return 0;
  if (image->BandFmt != VIPS_FORMAT_UCHAR && image->BandFmt != VIPS_FORMAT_USHORT && !is_float(image)) return 0;
  int bands = image->Bands - (has_alpha(image) ? 1 : 0);
  switch (image->Type) {
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16: return bands == 1 ? 1 : 0;
    case VIPS_INTERPRETATION_sRGB:
    case VIPS_INTERPRETATION_scRGB:
    case VIPS_INTERPRETATION_RGB:
    case VIPS_INTERPRETATION_RGB16: return bands == 3 ? 3 : 0;
    case VIPS_INTERPRETATION_CMYK: return bands == 4 && image->Bands == 4 && !is_float(image) ? 4 : 0;
    default: return 0;
  }
}

static bool is_lab(const VipsImage *image) {
  return image->Type == VIPS_INTERPRETATION_LAB || image->Type == VIPS_INTERPRETATION_LABQ ||
         image->Type == VIPS_INTERPRETATION_LABS;
}

// How far, in steps of 255, an image's profile takes colours from where sRGB has them, 255 for inks; -1 where it is of
// no use.
static int distance_from_srgb(VipsImage *in, int colours) {
  enum { COUNT = 9 * 9 * 9 };
  const int steps = colours == 4 ? 5 : 9;
  uint8_t samples[COUNT * 4];
  for (int i = 0; i < COUNT; ++i) {
    int place = i;
    for (int c = 0; c < colours; ++c, place /= steps)
      samples[i * colours + c] = colours == 1 ? i % 256 : place % steps * 255 / (steps - 1);
  }
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 3);
  int distance = -1;
  t[0] = vips_image_new_from_memory(samples, COUNT * colours, COUNT, 1, colours, VIPS_FORMAT_UCHAR);
  VipsInterpretation type = colours == 1   ? VIPS_INTERPRETATION_B_W
                            : colours == 4 ? VIPS_INTERPRETATION_CMYK
                                           : VIPS_INTERPRETATION_sRGB;
  if (!t[0] || vips_copy(t[0], &t[1], "interpretation", type, NULL)) goto done;
  copy_profile(in, t[1]);
  if (vips_icc_transform(t[1], &t[2], "srgb", "embedded", TRUE, "depth", 8, NULL)) goto done;
  size_t size;
  uint8_t *result = vips_image_write_to_memory(t[2], &size);
  if (!result) goto done;
  if (size == COUNT * 3) {
    distance = colours == 4 ? 255 : 0;
    for (int i = 0; colours != 4 && i < COUNT * 3; ++i)
      distance = MAX(distance, abs(result[i] - samples[colours == 1 ? i / 3 : i]));
  }
  g_free(result);
done:
  g_object_unref(scope);
  vips_error_clear();
  return distance;
}

// Opens a file with libvips; null, with a status, where it is none that may be loaded or has a fault.
static VipsImage *load(const CVImage *from, bool *strict, int *status) {
  VipsSource *source =
      from->path ? vips_source_new_from_file(from->path) : vips_source_new_from_memory(from->bytes, from->count);
  *status = CV_FAILED;
  if (!source) return NULL;
  const char *loader = vips_foreign_find_load_source(source);
  VipsImage *image = NULL;
  if (may_load(loader)) {
    // What libjpeg only warns of is damage, too; other libraries warn of what is of no matter.
    *strict = *strict && strstr(loader, "Jpeg");
    image = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                       *strict ? VIPS_FAIL_ON_WARNING : VIPS_FAIL_ON_TRUNCATED, NULL);
  } else {
    *status = CV_NOT_AN_IMAGE;
  }
  g_object_unref(source);
  return image;
}

// Opens a file again to read it in spite of a fault, whose message it takes over.
static bool reopen(CVImage *image, char *damage) {
  int status;
  VipsImage *again = NULL;
  if (image->strict) {
    image->strict = false;
    again = load(image, &image->strict, &status);
  }
  if (!again) {
    g_free(damage);
    return false;
  }
  VIPS_UNREF(image->image);
  image->image = again;
  g_free(image->damage);
  image->damage = damage;
  return true;
}

// Whether there is a way from its numbers to colours.
static bool has_known_numbers(const VipsImage *image) {
  if (image->Coding != VIPS_CODING_NONE || image->Type == VIPS_INTERPRETATION_LABS) return true;
  return image->BandFmt == VIPS_FORMAT_UCHAR || image->BandFmt == VIPS_FORMAT_USHORT || is_float(image);
}

int cv_open(const char *path, const void *bytes, size_t count, CVImage **result, char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  CVImage *opened = g_new0(CVImage, 1);
  opened->path = g_strdup(path);
  opened->bytes = bytes;
  opened->count = count;
  opened->strict = true;
  int status;
  opened->image = load(opened, &opened->strict, &status);
  if (!opened->image && (status == CV_NOT_AN_IMAGE || !reopen(opened, message()))) {
    cv_close(opened);
    failed(error);
    return status;
  }
  VipsImage *image = opened->image;
  if (!has_known_numbers(image)) {
    cv_close(opened);
    return failed_with(error, "its values are of a kind that photos do not have: save it with 8 or 16 bits a channel");
  }
  opened->format = format_of(image);
  opened->orientation = vips_image_get_orientation(image);
  opened->colours = colours_of(image);
  // Lab's numbers say by themselves what is seen.
  if (has_field(image, VIPS_META_ICC_NAME) && !is_lab(image)) {
    // Rounding on the way through Lab moves sRGB itself by a step.
    int distance = opened->colours ? distance_from_srgb(image, opened->colours) : 255;
    opened->profile = distance < 0 ? NO_PROFILE : distance <= 2 ? SRGB_PROFILE : OTHER_PROFILE;
  }
  // Without a profile nobody knows these inks.
  if (opened->colours == 4 && opened->profile != OTHER_PROFILE) opened->colours = 0;
  *result = opened;
  return 0;
}

void cv_close(CVImage *image) {
  VIPS_UNREF(image->image);
  g_free(image->damage);
  g_free(image->path);
  g_free(image);
  vips_thread_shutdown();
}

static bool swaps_axes(const CVImage *image) { return image->orientation >= 5; }

int64_t cv_width(const CVImage *image) { return swaps_axes(image) ? image->image->Ysize : image->image->Xsize; }
int64_t cv_height(const CVImage *image) { return swaps_axes(image) ? image->image->Xsize : image->image->Ysize; }
bool cv_has_alpha(const CVImage *image) { return has_alpha(image->image); }
const char *cv_format(const CVImage *image) { return image->format; }
int cv_orientation(const CVImage *image) { return image->orientation; }
int cv_colours(const CVImage *image) { return image->colours; }
int cv_bits(const CVImage *image) {
  return image->image->BandFmt == VIPS_FORMAT_USHORT || (image->colours && is_float(image->image)) ? 16 : 8;
}
bool cv_is_float(const CVImage *image) { return is_float(image->image); }
bool cv_is_cmyk(const CVImage *image) { return image->image->Type == VIPS_INTERPRETATION_CMYK; }
const char *cv_damage(const CVImage *image) { return image->damage; }
int cv_pages(const CVImage *image) { return vips_image_get_n_pages(image->image); }
bool cv_has_other_profile(const CVImage *image) { return image->profile == OTHER_PROFILE; }

// MARK: Metadata

// A PNG's words, but for copies of what EXIF says.
static bool is_text(const char *name) {
  if (!g_str_has_prefix(name, "png-comment-")) return false;
  const char *keyword = strchr(name + strlen("png-comment-"), '-');
  return keyword && !g_str_has_prefix(keyword, "-Raw profile") && !g_str_has_prefix(keyword, "-exif:");
}

// ImageMagick writes blocks into a PNG as text: a name, a count of bytes, and these in hexadecimal digits.
static void copy_raw_profile(const char *name, const GValue *value, VipsImage *to) {
  static const char *const fields[][2] = {{"-Raw profile type xmp", VIPS_META_XMP_NAME},
                                          {"-Raw profile type exif", VIPS_META_EXIF_NAME},
                                          {"-Raw profile type APP1", VIPS_META_EXIF_NAME},
                                          {"-Raw profile type iptc", VIPS_META_IPTC_NAME}};
  if (!g_str_has_prefix(name, "png-comment-")) return;
  for (size_t i = 0; i < G_N_ELEMENTS(fields); ++i) {
    if (!g_str_has_suffix(name, fields[i][0]) || has_field(to, fields[i][1])) continue;
    const char *text = vips_value_get_ref_string(value, NULL);
    char *digits = NULL;
    size_t count = 0;
    if (text && sscanf(text, " %*31s %zu", &count) == 1 && count > 0 && count <= strlen(text) / 2)
      digits = strpbrk(text + strspn(text, "\n "), "\n");
    if (digits) digits = strpbrk(digits + 1, "\n");
    if (!digits) continue;
    uint8_t *bytes = g_malloc0(count);
    size_t nibbles = 0;
    for (; *digits && nibbles < 2 * count; ++digits) {
      int digit = g_ascii_xdigit_value(*digits);
      if (digit < 0) continue;
      bytes[nibbles / 2] |= nibbles % 2 ? digit : digit << 4;
      ++nibbles;
    }
    bool is_xmp = strcmp(fields[i][1], VIPS_META_XMP_NAME) == 0;
    // An APP1 block is either EXIF or XMP behind its name.
    static const char packet[] = "http://ns.adobe.com/xap/1.0/";
    if (nibbles == 2 * count) {
      if (!is_xmp && count > sizeof packet && memcmp(bytes, packet, sizeof packet) == 0) {
        if (!has_field(to, VIPS_META_XMP_NAME))
          vips_image_set_blob_copy(to, VIPS_META_XMP_NAME, bytes + sizeof packet, count - sizeof packet);
      } else {
        vips_image_set_blob_copy(to, fields[i][1], bytes, count);
      }
    }
    g_free(bytes);
  }
}

static void *copy_field(VipsImage *from, const char *name, GValue *value, void *context) {
  (void)from;
  VipsImage *to = context;
  bool kept = g_str_has_prefix(name, "exif-") || strcmp(name, VIPS_META_XMP_NAME) == 0 ||
              strcmp(name, VIPS_META_IPTC_NAME) == 0 || strcmp(name, VIPS_META_RESOLUTION_UNIT) == 0 ||
              strcmp(name, "heif-bitdepth") == 0 || is_text(name);
  if (kept) vips_image_set(to, name, value);
  copy_raw_profile(name, value, to);
  // Before libvips 8.15 a HEIF's XMP is one of several blocks that only have numbers.
  if (g_str_has_prefix(name, "heif-mime-")) {
    size_t size;
    const char *data = vips_value_get_blob(value, &size);
    if (data && g_strstr_len(data, MIN(size, 1024), "adobe:ns:meta/"))
      vips_image_set_blob_copy(to, VIPS_META_XMP_NAME, data, size);
  }
  return NULL;
}

// Directory 3 of EXIF is GPS's. libvips leaves out of the block it writes what has no field.
static void remove_position(VipsImage *image) {
  char **names = vips_image_get_fields(image);
  for (char **name = names; name && *name; ++name)
    if (g_str_has_prefix(*name, "exif-ifd3-")) vips_image_remove(image, *name);
  g_strfreev(names);
}

static CVMetadata *carrier(VipsImage *from) {
  VipsImage *black = NULL, *image = NULL;
  double x = from ? from->Xres : 1, y = from ? from->Yres : 1;
  if (vips_black(&black, 1, 1, NULL) || vips_copy(black, &image, "xres", x, "yres", y, NULL)) {
    VIPS_UNREF(black);
    vips_error_clear();
    return NULL;
  }
  g_object_unref(black);
  if (from) vips_image_map(from, copy_field, image);
  CVMetadata *metadata = g_new0(CVMetadata, 1);
  metadata->image = image;
  metadata->keeps_location = true;
  return metadata;
}

static void set_srgb(VipsImage *image) {
  VipsBlob *profile = NULL;
  if (vips_profile_load("srgb", &profile, NULL) == 0) {
    size_t size;
    const void *data = vips_blob_get(profile, &size);
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, data, size);
    vips_area_unref(VIPS_AREA(profile));
  }
  vips_error_clear();
}

CVMetadata *cv_metadata(const CVImage *image) {
  if (!library()) return NULL;
  CVMetadata *metadata = carrier(image ? image->image : NULL);
  if (!metadata || !image) return metadata;
  if (image->colours && image->profile != NO_PROFILE) copy_profile(image->image, metadata->image);
  if (!image->colours) set_srgb(metadata->image);
  return metadata;
}

CVMetadata *cv_metadata_copy(const CVMetadata *metadata, bool keeps_location) {
  CVMetadata *copy = carrier(metadata->image);
  if (!copy) return NULL;
  copy_profile(metadata->image, copy->image);
  copy->keeps_location = keeps_location;
  return copy;
}

void cv_metadata_free(CVMetadata *metadata) {
  g_object_unref(metadata->image);
  g_free(metadata);
}

const void *cv_metadata_get(const CVMetadata *metadata, const char *field, size_t *count) {
  const void *bytes;
  if (!has_field(metadata->image, field)) return NULL;
  if (vips_image_get_blob(metadata->image, field, &bytes, count) == 0) return bytes;
  vips_error_clear();
  return NULL;
}

void cv_metadata_set(CVMetadata *metadata, const char *field, const void *bytes, size_t count) {
  vips_image_remove(metadata->image, field);
  if (bytes) vips_image_set_blob_copy(metadata->image, field, bytes, count);
}

void cv_metadata_replace_profile(CVMetadata *metadata) {
  if (vips_image_remove(metadata->image, VIPS_META_ICC_NAME)) set_srgb(metadata->image);
}

// MARK: Decoding

// Where decoded pixels go: the one at column x, row y of the file to
// origin + x * step_x + y * step_y, which turns and mirrors on the way.
typedef struct {
  uint8_t *colours, *alpha;
  size_t size;  // bytes a pixel has in `colours`
  int64_t origin, step_x, step_y;
  CVStop stop;
} Target;

static Target target(int64_t w, int64_t h, int orientation, void *colours, size_t size, uint8_t *alpha) {
  int64_t row = orientation >= 5 ? h : w;
  Target t = {colours, alpha, size, 0, 1, row, {NULL, NULL}};
  switch (orientation) {
    case 2: t.origin = w - 1, t.step_x = -1, t.step_y = row; break;
    case 3: t.origin = w * h - 1, t.step_x = -1, t.step_y = -row; break;
    case 4: t.origin = (h - 1) * row, t.step_x = 1, t.step_y = -row; break;
    case 5: t.origin = 0, t.step_x = row, t.step_y = 1; break;
    case 6: t.origin = h - 1, t.step_x = row, t.step_y = -1; break;
    case 7: t.origin = w * h - 1, t.step_x = -row, t.step_y = -1; break;
    case 8: t.origin = (w - 1) * row, t.step_x = -row, t.step_y = 1; break;
    default: break;
  }
  return t;
}

static int place(VipsRegion *region, VipsRect *area, void *context) {
  const Target *t = context;
  if (is_stopped(t->stop)) return -1;
  size_t size = VIPS_IMAGE_SIZEOF_PEL(region->im);
  for (int y = area->top; y < area->top + area->height; ++y) {
    const uint8_t *from = VIPS_REGION_ADDR(region, area->left, y);
    int64_t to = t->origin + area->left * t->step_x + y * t->step_y;
    if (t->step_x == 1 && size == t->size) {
      memcpy(t->colours + to * size, from, area->width * size);
      continue;
    }
    for (int x = 0; x < area->width; ++x, from += size, to += t->step_x) {
      for (size_t c = 0; c < t->size; ++c) t->colours[to * t->size + c] = from[c];
      if (t->alpha) t->alpha[to] = from[t->size];
    }
  }
  return 0;
}

static int run(VipsImage *image, Target *t) {
  if ((int64_t)image->Xsize * image->Ysize > SMALL) return vips_sink_disc(image, place, t);
  VipsRegion *region = vips_region_new(image);
  VipsRect all = {0, 0, image->Xsize, image->Ysize};
  int status = vips_region_prepare(region, &all);
  if (status == 0) place(region, &all, t);
  g_object_unref(region);
  return status;
}

// 8-bit sRGB, three channels, from whatever colours the file has.
static int convert(VipsImage *in, bool profiled, VipsObject *scope, VipsImage **out) {
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 5);
  bool grey = in->Bands == 1;
  if (profiled && vips_icc_transform(in, &t[0], "srgb", "embedded", TRUE, "depth", 8, NULL) == 0) {
    in = t[0];
    if (grey) {
      // Rounding on the way must not give it colour.
      if (vips_extract_band(in, &t[3], 1, NULL) ||
          vips_copy(t[3], &t[4], "interpretation", VIPS_INTERPRETATION_B_W, NULL))
        return -1;
      in = t[4];
    }
  } else {
    vips_error_clear();  // a damaged or foreign profile counts as none
  }
  if (in->Type != VIPS_INTERPRETATION_sRGB || in->Bands != 3) {
    if (vips_colourspace(in, &t[1], VIPS_INTERPRETATION_sRGB, NULL)) return -1;
    in = t[1];
  }
  if (in->BandFmt != VIPS_FORMAT_UCHAR) {
    if (vips_cast(in, &t[2], VIPS_FORMAT_UCHAR, NULL)) return -1;
    in = t[2];
  }
  *out = in;
  return 0;
}

// The file's own values, upright, and an image of them.
static int decode_own(CVImage *image, void *own, CVStop stop, VipsObject *scope, VipsImage **out) {
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 2);
  VipsImage *in = image->image;
  size_t size = VIPS_IMAGE_SIZEOF_PEL(in);
  int64_t width = cv_width(image), height = cv_height(image);
  Target to = target(in->Xsize, in->Ysize, image->orientation, own, size, NULL);
  to.stop = stop;
  if (run(in, &to)) return -1;
  t[0] = vips_image_new_from_memory(own, size * width * height, width, height, in->Bands, in->BandFmt);
  if (!t[0] || vips_copy(t[0], &t[1], "interpretation", in->Type, NULL)) return -1;
  copy_profile(in, t[1]);
  *out = t[1];
  return 0;
}

// Numbers with a point, 0 for black and 1 for white, become ones of 16 bits, in the file's profile or sRGB.
static int fix_point(CVImage *image, CVStop stop, char **error) {
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 5);
  double most, least;
  int status = CV_FAILED;
  *error = NULL;
  VipsInterpretation type = image->colours == 1 ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16;
  t[0] = vips_image_copy_memory(image->image);
  // What is no number is not even equal to itself.
  if (!t[0] || vips_equal(t[0], t[0], &t[4], NULL) || vips_min(t[4], &least, NULL)) goto done;
  if (least > 0 && vips_max(t[0], &most, NULL)) goto done;
  if (least == 0 || most > 1.001) {
    // Not by way of libvips, whose messages all threads share.
    failed_with(error, "its values go beyond 1, which is white, or are no numbers: save it with 16 bits a channel");
    goto done;
  }
  if (vips_linear1(t[0], &t[1], 65535, 0.5, NULL) || vips_cast(t[1], &t[2], VIPS_FORMAT_USHORT, NULL) ||
      vips_copy(t[2], &t[3], "interpretation", type, NULL))
    goto done;
  g_object_unref(image->image);
  image->image = t[3];
  t[3] = NULL;
  status = 0;
done:
  if (status && !*error) status = failed_or_stopped(stop, error);
  g_object_unref(scope);
  return status;
}

static int decode(CVImage *image, void *own, uint8_t *rgb, uint8_t *alpha, CVStop stop, char **error) {
  if (image->colours && is_float(image->image)) {
    int status = fix_point(image, stop, error);
    if (status) return status;
  }
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 4);
  VipsImage *in = image->image, *colours = NULL;
  bool profiled = image->profile == OTHER_PROFILE;
  // A file is read from beginning to end once: what is converted then are its own values.
  int status = own ? decode_own(image, own, stop, scope, &in) : 0;
  if (status == 0 && !has_alpha(in)) {
    alpha = NULL;
    status = convert(in, profiled, scope, &colours);
  } else if (status == 0) {
    bool wide = in->BandFmt == VIPS_FORMAT_USHORT;
    status = vips_extract_band(in, &t[0], 0, "n", in->Bands - 1, NULL) || convert(t[0], profiled, scope, &colours) ||
             vips_extract_band(in, &t[1], in->Bands - 1, NULL) ||
             vips_cast(t[1], &t[2], VIPS_FORMAT_UCHAR, "shift", wide, NULL) ||
             vips_bandjoin2(colours, t[2], &t[3], NULL);
    colours = t[3];
  }
  if (status == 0 && colours->Bands != (has_alpha(in) ? 4 : 3)) {
    g_object_unref(scope);
    return failed_with(error, "its colours are of no kind that is known");
  }
  if (status == 0) {
    Target to = target(in->Xsize, in->Ysize, own ? 1 : image->orientation, rgb, 3, alpha);
    to.stop = stop;
    status = run(colours, &to);
  }
  g_object_unref(scope);
  return status == 0 ? 0 : failed_or_stopped(stop, error);
}

int cv_decode(CVImage *image, void *own, uint8_t *rgb, uint8_t *alpha, CVStop stop, char **error) {
  int status = decode(image, own, rgb, alpha, stop, error);
  if (status != CV_FAILED || !image->strict) return status;
  if (!reopen(image, *error)) return failed(error);
  *error = NULL;
  return decode(image, own, rgb, alpha, stop, error);
}

int cv_decode_labels(CVImage *image, uint8_t *labels, char **error) {
  VipsImage *in = image->image;
  int depth = 8;
  if (has_field(in, "bits-per-sample")) vips_image_get_int(in, "bits-per-sample", &depth);
  if (in->Bands != 1 || in->BandFmt != VIPS_FORMAT_UCHAR || depth != 8 || has_field(in, "palette-bit-depth"))
    return failed_with(error, "a label map has one channel of 8 bits and no palette");
  Target to = target(in->Xsize, in->Ysize, image->orientation, labels, 1, NULL);
  return run(in, &to) == 0 ? 0 : failed(error);
}

// MARK: Encoding

int cv_from_srgb(const CVMetadata *metadata, const uint8_t *rgb, int64_t count, int channels, uint16_t *values,
                 char **error) {
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 5);
  uint16_t *result = NULL;
  size_t size = 0;
  t[0] = vips_image_new_from_memory(rgb, (size_t)count * 3, count, 1, 3, VIPS_FORMAT_UCHAR);
  if (t[0] && vips_copy(t[0], &t[1], "interpretation", VIPS_INTERPRETATION_sRGB, NULL) == 0 &&
      vips_icc_import(t[1], &t[2], "input_profile", "srgb", NULL) == 0 && vips_copy(t[2], &t[3], NULL) == 0) {
    // Exporting goes by the profile that the image carries.
    copy_profile(metadata->image, t[3]);
    if (vips_icc_export(t[3], &t[4], "depth", 16, NULL) == 0) result = vips_image_write_to_memory(t[4], &size);
  }
  bool fits = result && size == (size_t)count * channels * sizeof *values;
  if (fits) memcpy(values, result, size);
  g_free(result);
  g_object_unref(scope);
  return fits ? 0 : failed(error);
}

// The values as libvips has them, with the metadata's fields.
static int assemble(CVPixels pixels, const CVMetadata *metadata, VipsObject *scope, VipsImage **out) {
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 4);
  size_t area = (size_t)pixels.width * pixels.height;
  bool wide = pixels.bits == 16, grey = pixels.colours == 1;
  if (pixels.values)
    t[0] = vips_image_new_from_memory(pixels.values, area * pixels.channels * (wide ? 2 : 1), pixels.width, pixels.height,
                                      pixels.channels, wide ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR);
  else
    vips_black(&t[0], pixels.width, pixels.height, "bands", pixels.channels, NULL);
  VipsImage *image = t[0];
  if (!image) return -1;
  if (pixels.alpha) {
    t[1] = vips_image_new_from_memory(pixels.alpha, area, pixels.width, pixels.height, 1, VIPS_FORMAT_UCHAR);
    if (!t[1] || vips_bandjoin2(image, t[1], &t[2], NULL)) return -1;
    image = t[2];
  }
  VipsInterpretation colours = pixels.colours == 4 ? VIPS_INTERPRETATION_CMYK
                               : grey              ? wide ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_B_W
                               : wide              ? VIPS_INTERPRETATION_RGB16
                                                   : VIPS_INTERPRETATION_sRGB;
  double x = metadata ? metadata->image->Xres : 1, y = metadata ? metadata->image->Yres : 1;
  if (vips_copy(image, &t[3], "interpretation", colours, "xres", x, "yres", y, NULL)) return -1;
  image = t[3];
  if (metadata) {
    vips_image_map(metadata->image, copy_field, image);
    copy_profile(metadata->image, image);
    // libvips has parsed the EXIF block again. The thumbnail shows the picture before the edit; what is set here is what is
    // written.
    if (!metadata->keeps_location) remove_position(image);
    if (has_field(image, VIPS_META_ORIENTATION)) vips_image_set_int(image, VIPS_META_ORIENTATION, pixels.orientation);
    vips_image_remove(image, "jpeg-thumbnail-data");
  }
  *out = image;
  return 0;
}

static int encode(VipsImage *image, CVCoding coding, void **bytes, size_t *count) {
  const char *format = coding.format;
  if (strcmp(format, "jpeg") == 0)
    return vips_jpegsave_buffer(image, bytes, count, "Q", coding.quality, "optimize_coding", !coding.quick, "interlace",
                                coding.progressive, "subsample_mode",
                                coding.subsampled ? VIPS_FOREIGN_SUBSAMPLE_ON : VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
  if (strcmp(format, "png") == 0) return vips_pngsave_buffer(image, bytes, count, NULL);
  if (strcmp(format, "webp") == 0)
    return vips_webpsave_buffer(image, bytes, count, "Q", coding.quality, "lossless", coding.lossless, "effort",
                                coding.quick ? 0 : 4, NULL);
  if (strcmp(format, "gif") == 0) return vips_gifsave_buffer(image, bytes, count, NULL);
  if (strcmp(format, "tiff") == 0)
    return vips_tiffsave_buffer(image, bytes, count, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, NULL);
  VipsForeignHeifCompression compression =
      strcmp(format, "avif") == 0 ? VIPS_FOREIGN_HEIF_COMPRESSION_AV1 : VIPS_FOREIGN_HEIF_COMPRESSION_HEVC;
  int depth = image->BandFmt == VIPS_FORMAT_UCHAR ? 8 : 12;
  if (depth > 8 && has_field(image, "heif-bitdepth")) vips_image_get_int(image, "heif-bitdepth", &depth);
  return vips_heifsave_buffer(image, bytes, count, "Q", coding.quality, "compression", compression, "bitdepth",
                              CLAMP(depth, 8, 12), "subsample_mode", VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
}

static void watch(VipsImage *image, VipsProgress *progress, CVStop *stop) {
  (void)progress;
  if (is_stopped(*stop)) vips_image_set_kill(image, TRUE);
}

// What encodes the image asks whether to stop; the image must not outlive `stop`.
static void let_stop(VipsImage *image, CVStop *stop) {
  if (!stop->asked) return;
  vips_image_set_progress(image, TRUE);
  g_signal_connect(image, "eval", G_CALLBACK(watch), stop);
}

static bool has_a_size(CVPixels pixels) {
  return pixels.width > 0 && pixels.height > 0 && pixels.width <= VIPS_MAX_COORD && pixels.height <= VIPS_MAX_COORD;
}

int cv_encode(CVPixels pixels, const CVMetadata *metadata, CVCoding coding, CVStop stop, void **bytes, size_t *count,
              char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  if (!has_a_size(pixels)) return failed_with(error, "its size is not one a file can have");
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 1), *image = NULL;
  int status = assemble(pixels, metadata, scope, &image);
  if (status == 0) let_stop(image, &stop);
  if (status == 0 && has_alpha(image) && strcmp(coding.format, "jpeg") == 0) {
    VipsArrayDouble *white = vips_array_double_newv(1, pixels.bits == 16 ? 65535.0 : 255.0);
    status = vips_flatten(image, &t[0], "background", white, NULL);
    vips_area_unref(VIPS_AREA(white));
    image = t[0];
  }
  if (status == 0) status = encode(image, coding, bytes, count);
  g_object_unref(scope);
  vips_thread_shutdown();
  return status == 0 ? 0 : failed_or_stopped(stop, error);
}

int cv_encode_animation(CVPixels pixels, const CVMetadata *metadata, CVCoding coding, int count,
                        const int *milliseconds, int loops, CVStop stop, void **bytes, size_t *size, char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  if (!has_a_size(pixels)) return failed_with(error, "its size is not one a file can have");
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage *image = NULL;
  int status = assemble(pixels, metadata, scope, &image);
  if (status == 0) {
    let_stop(image, &stop);
    vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, pixels.height / count);
    vips_image_set_array_int(image, "delay", milliseconds, count);
    vips_image_set_int(image, "loop", loops);
    status = encode(image, coding, bytes, size);
  }
  g_object_unref(scope);
  vips_thread_shutdown();
  return status == 0 ? 0 : failed_or_stopped(stop, error);
}

// MARK: Text

int cv_text(const char *text, int pixels_high, uint8_t **pixels, int64_t *width, int64_t *height,
            char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  char *markup = g_markup_escape_text(text, -1), font[32];
  snprintf(font, sizeof font, "sans %d", pixels_high);
  VipsImage *image = NULL;
  // At 72 dots an inch a point is a pixel.
  int status = vips_text(&image, markup, "font", font, "dpi", 72, NULL);
  g_free(markup);
  if (status == 0) {
    size_t size;
    *pixels = vips_image_write_to_memory(image, &size);
    *width = image->Xsize;
    *height = image->Ysize;
    if (!*pixels || size != (size_t)image->Xsize * image->Ysize) {
      g_free(*pixels);
      status = -1;
    }
  }
  VIPS_UNREF(image);
  return status == 0 ? 0 : failed(error);
}
