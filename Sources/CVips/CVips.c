#include "CVips.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <vips/vips.h>

// An image of up to this many pixels is decoded on the calling thread alone, so that many can be at once.
enum { SMALL = 1 << 20 };

struct CVImage {
  VipsImage *image;
  const char *format;
  int orientation;
};

struct CVMetadata {
  VipsImage *image;  // one pixel that carries the fields
  bool had_profile;
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

// Takes the first line of libvips' messages; the buffer is the process's, so it is emptied.
static int failed(char **error) {
  char *text = vips_error_buffer_copy();
  text[strcspn(text, "\n")] = 0;
  *error = text;
  return CV_FAILED;
}

static int failed_with(char **error, const char *text) {
  *error = g_strdup(text);
  return CV_FAILED;
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

int cv_open(const char *path, const void *bytes, size_t count, CVImage **result, char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  VipsSource *source = path ? vips_source_new_from_file(path) : vips_source_new_from_memory(bytes, count);
  if (!source) return failed(error);
  if (!may_load(vips_foreign_find_load_source(source))) {
    g_object_unref(source);
    failed(error);
    return CV_NOT_AN_IMAGE;
  }
  VipsImage *image = vips_image_new_from_source(
      source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
  g_object_unref(source);
  if (!image) return failed(error);
  CVImage *opened = g_new0(CVImage, 1);
  opened->image = image;
  opened->format = format_of(image);
  opened->orientation = vips_image_get_orientation(image);
  *result = opened;
  return 0;
}

void cv_close(CVImage *image) {
  g_object_unref(image->image);
  g_free(image);
  vips_thread_shutdown();
}

static bool swaps_axes(const CVImage *image) { return image->orientation >= 5; }

int64_t cv_width(const CVImage *image) { return swaps_axes(image) ? image->image->Ysize : image->image->Xsize; }
int64_t cv_height(const CVImage *image) { return swaps_axes(image) ? image->image->Xsize : image->image->Ysize; }
bool cv_has_alpha(const CVImage *image) { return vips_image_hasalpha(image->image); }
const char *cv_format(const CVImage *image) { return image->format; }

// MARK: Metadata

static void *copy_field(VipsImage *from, const char *name, GValue *value, void *to) {
  (void)from;
  bool kept = g_str_has_prefix(name, "exif-") || strcmp(name, VIPS_META_XMP_NAME) == 0 ||
              strcmp(name, VIPS_META_IPTC_NAME) == 0 || strcmp(name, VIPS_META_RESOLUTION_UNIT) == 0;
  if (kept) vips_image_set(to, name, value);
  return NULL;
}

CVMetadata *cv_metadata(const CVImage *image) {
  VipsImage *black = NULL, *carrier = NULL;
  if (vips_black(&black, 1, 1, NULL) ||
      vips_copy(black, &carrier, "xres", image->image->Xres, "yres", image->image->Yres, NULL)) {
    VIPS_UNREF(black);
    vips_error_clear();
    return NULL;
  }
  g_object_unref(black);
  vips_image_map(image->image, copy_field, carrier);
  CVMetadata *metadata = g_new0(CVMetadata, 1);
  metadata->image = carrier;
  metadata->had_profile = vips_image_get_typeof(image->image, VIPS_META_ICC_NAME) != 0;
  return metadata;
}

void cv_metadata_free(CVMetadata *metadata) {
  g_object_unref(metadata->image);
  g_free(metadata);
}

// MARK: Decoding

// Where decoded pixels go: the one at column x, row y of the file to
// origin + x * step_x + y * step_y, which turns and mirrors on the way.
typedef struct {
  uint8_t *colours, *alpha;
  int channels;
  int64_t origin, step_x, step_y;
} Target;

static Target target(const CVImage *image, uint8_t *colours, int channels, uint8_t *alpha) {
  int64_t w = image->image->Xsize, h = image->image->Ysize, row = cv_width(image);
  Target t = {colours, alpha, channels, 0, 1, row};
  switch (image->orientation) {
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
  int bands = region->im->Bands;
  for (int y = area->top; y < area->top + area->height; ++y) {
    const uint8_t *from = VIPS_REGION_ADDR(region, area->left, y);
    int64_t to = t->origin + area->left * t->step_x + y * t->step_y;
    if (t->step_x == 1 && bands == t->channels) {
      memcpy(t->colours + to * bands, from, (size_t)area->width * bands);
      continue;
    }
    for (int x = 0; x < area->width; ++x, from += bands, to += t->step_x) {
      for (int c = 0; c < t->channels; ++c) t->colours[to * t->channels + c] = from[c];
      if (t->alpha) t->alpha[to] = from[t->channels];
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
static int convert(VipsImage *in, VipsObject *scope, VipsImage **out) {
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 3);
  bool profiled = vips_image_get_typeof(in, VIPS_META_ICC_NAME) != 0;
  if (profiled && vips_icc_transform(in, &t[0], "srgb", "embedded", TRUE, "depth", 8, NULL) == 0) {
    in = t[0];
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

int cv_decode(CVImage *image, uint8_t *rgb, uint8_t *alpha, char **error) {
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 4);
  VipsImage *in = image->image, *colours = NULL;
  int status = 0;
  if (!vips_image_hasalpha(in)) {
    alpha = NULL;
    status = convert(in, scope, &colours);
  } else {
    bool wide = in->BandFmt == VIPS_FORMAT_USHORT;
    status = vips_extract_band(in, &t[0], 0, "n", in->Bands - 1, NULL) || convert(t[0], scope, &colours) ||
             vips_extract_band(in, &t[1], in->Bands - 1, NULL) ||
             vips_cast(t[1], &t[2], VIPS_FORMAT_UCHAR, "shift", wide, NULL) ||
             vips_bandjoin2(colours, t[2], &t[3], NULL);
    colours = t[3];
  }
  if (status == 0 && colours->Bands != (vips_image_hasalpha(in) ? 4 : 3)) {
    g_object_unref(scope);
    return failed_with(error, "its colours are of no kind that is known");
  }
  if (status == 0) {
    Target to = target(image, rgb, 3, alpha);
    status = run(colours, &to);
  }
  g_object_unref(scope);
  return status == 0 ? 0 : failed(error);
}

int cv_decode_labels(CVImage *image, uint8_t *labels, char **error) {
  VipsImage *in = image->image;
  int depth = 8;
  if (vips_image_get_typeof(in, "bits-per-sample")) vips_image_get_int(in, "bits-per-sample", &depth);
  if (in->Bands != 1 || in->BandFmt != VIPS_FORMAT_UCHAR || depth != 8 ||
      vips_image_get_typeof(in, "palette-bit-depth"))
    return failed_with(error, "a label map has one channel of 8 bits and no palette");
  Target to = target(image, labels, 1, NULL);
  return run(in, &to) == 0 ? 0 : failed(error);
}

// MARK: Encoding

static int encode(VipsImage *image, const char *format, int quality, void **bytes, size_t *count) {
  if (strcmp(format, "jpeg") == 0)
    return vips_jpegsave_buffer(image, bytes, count, "Q", quality, "optimize_coding", TRUE, "subsample_mode",
                                VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
  if (strcmp(format, "png") == 0) return vips_pngsave_buffer(image, bytes, count, NULL);
  if (strcmp(format, "webp") == 0) return vips_webpsave_buffer(image, bytes, count, "Q", quality, NULL);
  if (strcmp(format, "tiff") == 0)
    return vips_tiffsave_buffer(image, bytes, count, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, NULL);
  VipsForeignHeifCompression compression =
      strcmp(format, "avif") == 0 ? VIPS_FOREIGN_HEIF_COMPRESSION_AV1 : VIPS_FOREIGN_HEIF_COMPRESSION_HEVC;
  return vips_heifsave_buffer(image, bytes, count, "Q", quality, "compression", compression, "subsample_mode",
                              VIPS_FOREIGN_SUBSAMPLE_OFF, NULL);
}


int cv_encode(const uint8_t *pixels, const uint8_t *alpha, int64_t width, int64_t height, int channels,
              const CVMetadata *metadata, const char *format, int quality,
              void **bytes, size_t *count, char **error) {
  if (!library()) return failed_with(error, "libvips does not start");
  if (width < 1 || height < 1 || width > VIPS_MAX_COORD || height > VIPS_MAX_COORD)
    return failed_with(error, "its size is not one a file can have");
  VipsObject *scope = VIPS_OBJECT(vips_image_new());
  VipsImage **t = (VipsImage **)vips_object_local_array(scope, 5);
  size_t area = (size_t)width * height;
  int status = -1;
  t[0] = vips_image_new_from_memory(pixels, area * channels, width, height, channels, VIPS_FORMAT_UCHAR);
  VipsImage *image = t[0];
  if (!image) goto done;
  if (alpha) {
    t[1] = vips_image_new_from_memory(alpha, area, width, height, 1, VIPS_FORMAT_UCHAR);
    if (!t[1] || vips_bandjoin2(image, t[1], &t[2], NULL)) goto done;
    image = t[2];
  }
  VipsInterpretation colours = channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
  double x = metadata ? metadata->image->Xres : 1, y = metadata ? metadata->image->Yres : 1;
  if (vips_copy(image, &t[3], "interpretation", colours, "xres", x, "yres", y, NULL)) goto done;
  image = t[3];
  if (metadata) {
    vips_image_map(metadata->image, copy_field, image);
    // libvips has parsed the EXIF block again. The pixels are turned already, and the thumbnail shows
    // the picture before the edit; what is set here is what is written.
    if (vips_image_get_typeof(image, VIPS_META_ORIENTATION)) vips_image_set_int(image, VIPS_META_ORIENTATION, 1);
    vips_image_remove(image, "jpeg-thumbnail-data");
    VipsBlob *profile = NULL;
    if (metadata->had_profile && vips_profile_load("srgb", &profile, NULL) == 0) {
      size_t size;
      const void *data = vips_blob_get(profile, &size);
      vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, data, size);
      vips_area_unref(VIPS_AREA(profile));
    }
  }
  if (alpha && strcmp(format, "jpeg") == 0) {
    VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
    int flattened = vips_flatten(image, &t[4], "background", white, NULL);
    vips_area_unref(VIPS_AREA(white));
    if (flattened) goto done;
    image = t[4];
  }
  status = encode(image, format, quality, bytes, count);
done:
  g_object_unref(scope);
  vips_thread_shutdown();
  return status == 0 ? 0 : failed(error);
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
