#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

// What all objects of libjpeg have as their client data.
typedef struct {
  struct jpeg_error_mgr errors;
  jmp_buf fault;
  char *message;  // gets what the fault is; null for nobody who asks
} Faults;

struct CJReader {
  Faults faults;
  struct jpeg_decompress_struct jpeg;
};

static void stop(j_common_ptr jpeg) {
  Faults *faults = jpeg->client_data;
  if (faults->message) jpeg->err->format_message(jpeg, faults->message);
  longjmp(faults->fault, 1);
}

// A warning, below 0, is a fault here; the rest is of no interest.
static void emit(j_common_ptr jpeg, int level) {
  if (level < 0) stop(jpeg);
}

static struct jpeg_error_mgr *start(Faults *faults) {
  jpeg_std_error(&faults->errors);
  faults->errors.error_exit = stop;
  faults->errors.emit_message = emit;
  return &faults->errors;
}

static bool is_plain(struct jpeg_decompress_struct *jpeg) {
  return !jpeg->marker_list && !jpeg_has_multiple_scans(jpeg) && !jpeg->arith_code && !jpeg->saw_Adobe_marker &&
         jpeg->data_precision == 8 && jpeg->num_components == 3 && jpeg->jpeg_color_space == JCS_YCbCr;
}

CJReader *cj_open(const uint8_t *bytes, size_t count) {
  CJReader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  jpeg->err = start(&reader->faults);
  jpeg->client_data = &reader->faults;
  if (setjmp(reader->faults.fault)) {
    cj_close(reader);
    return NULL;
  }
  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, bytes, count);
  // Only whether they are there counts.
  for (int i = 1; i < 16; ++i) jpeg_save_markers(jpeg, JPEG_APP0 + i, 1);
  jpeg_read_header(jpeg, TRUE);
  if (is_plain(jpeg)) return reader;
  cj_close(reader);
  return NULL;
}

void cj_close(CJReader *reader) {
  jpeg_destroy_decompress(&reader->jpeg);
  free(reader);
}

int64_t cj_width(const CJReader *reader) { return reader->jpeg.image_width; }
int64_t cj_height(const CJReader *reader) { return reader->jpeg.image_height; }

bool cj_decode(CJReader *reader, uint8_t *rgb) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  if (setjmp(reader->faults.fault)) return false;
  jpeg->out_color_space = JCS_RGB;
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = rgb + (size_t)jpeg->output_scanline * jpeg->output_width * 3;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
  return true;
}

// MARK: Units

static bool has_units(const struct jpeg_decompress_struct *jpeg) {
  if (jpeg->arith_code || jpeg->data_precision != 8) return false;
  return (jpeg->num_components == 1 && jpeg->jpeg_color_space == JCS_GRAYSCALE) ||
         (jpeg->num_components == 3 && jpeg->jpeg_color_space == JCS_YCbCr);
}

// One component alone is coded block by block, whatever its sampling.
static int across(const struct jpeg_decompress_struct *jpeg, int component) {
  return jpeg->num_components == 1 ? 1 : jpeg->comp_info[component].h_samp_factor;
}
static int down(const struct jpeg_decompress_struct *jpeg, int component) {
  return jpeg->num_components == 1 ? 1 : jpeg->comp_info[component].v_samp_factor;
}

static CJLayout layout_of(const struct jpeg_decompress_struct *jpeg) {
  bool one = jpeg->num_components == 1;
  return (CJLayout){.width = jpeg->image_width,
                    .height = jpeg->image_height,
                    .components = jpeg->num_components,
                    .unit_width = DCTSIZE * (one ? 1 : jpeg->max_h_samp_factor),
                    .unit_height = DCTSIZE * (one ? 1 : jpeg->max_v_samp_factor)};
}

// A file, pixels that are encoded as it is, these read again, and the file that comes of both.
typedef struct {
  Faults faults;
  struct jpeg_decompress_struct source, coded;
  struct jpeg_compress_struct encoder, target;
  uint8_t *patch, *result;
  unsigned long patch_count, result_count;
} Work;

static Work *work_new(void) {
  Work *work = calloc(1, sizeof *work);
  if (!work) return NULL;
  struct jpeg_error_mgr *errors = start(&work->faults);
  work->source.err = work->coded.err = work->encoder.err = work->target.err = errors;
  work->source.client_data = work->coded.client_data = work->encoder.client_data = work->target.client_data = &work->faults;
  return work;
}

static void work_free(Work *work) {
  // What was never made is left alone.
  jpeg_destroy_compress(&work->target);
  jpeg_destroy_decompress(&work->coded);
  jpeg_destroy_compress(&work->encoder);
  jpeg_destroy_decompress(&work->source);
  free(work->patch);
  free(work->result);
  free(work);
}

static bool read_header(struct jpeg_decompress_struct *jpeg, const uint8_t *bytes, size_t count) {
  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, bytes, count);
  jpeg_read_header(jpeg, TRUE);
  return has_units(jpeg);
}

bool cj_layout(const uint8_t *bytes, size_t count, CJLayout *layout) {
  Work *work = work_new();
  if (!work) return false;
  if (setjmp(work->faults.fault)) {
    work_free(work);
    return false;
  }
  bool known = read_header(&work->source, bytes, count);
  if (known) *layout = layout_of(&work->source);
  work_free(work);
  return known;
}

bool cj_damage(const uint8_t *bytes, size_t count, char message[CJ_MESSAGE]) {
  _Static_assert(CJ_MESSAGE >= JMSG_LENGTH_MAX, "libjpeg's messages must fit");
  Work *work = work_new();
  if (!work) return false;
  if (setjmp(work->faults.fault)) {
    work_free(work);
    return true;
  }
  work->faults.message = message;
  struct jpeg_decompress_struct *jpeg = &work->source;
  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, bytes, count);
  jpeg_read_header(jpeg, TRUE);
  // All codes are read, and the fewest pixels made of them.
  jpeg->scale_num = 1;
  jpeg->scale_denom = DCTSIZE;
  jpeg_start_decompress(jpeg);
  JSAMPARRAY row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * jpeg->output_components, 1);
  while (jpeg->output_scanline < jpeg->output_height) jpeg_read_scanlines(jpeg, row, 1);
  jpeg_finish_decompress(jpeg);
  work_free(work);
  return false;
}

// Encodes the pixels with the tables and the sampling of the source.
static void encode_patch(Work *work, CJPatch patch) {
  struct jpeg_compress_struct *encoder = &work->encoder;
  const struct jpeg_decompress_struct *source = &work->source;
  jpeg_create_compress(encoder);
  jpeg_mem_dest(encoder, &work->patch, &work->patch_count);
  encoder->image_width = patch.width;
  encoder->image_height = patch.height;
  encoder->input_components = source->num_components;
  encoder->in_color_space = source->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(encoder);
  for (int i = 0; i < NUM_QUANT_TBLS; ++i) {
    if (!source->quant_tbl_ptrs[i]) continue;
    // libjpeg would divide by it.
    for (int k = 0; k < DCTSIZE2; ++k) if (!source->quant_tbl_ptrs[i]->quantval[k]) stop((j_common_ptr)encoder);
    if (!encoder->quant_tbl_ptrs[i]) encoder->quant_tbl_ptrs[i] = jpeg_alloc_quant_table((j_common_ptr)encoder);
    memcpy(encoder->quant_tbl_ptrs[i]->quantval, source->quant_tbl_ptrs[i]->quantval, sizeof source->quant_tbl_ptrs[i]->quantval);
  }
  for (int i = 0; i < source->num_components; ++i) {
    encoder->comp_info[i].h_samp_factor = across(source, i);
    encoder->comp_info[i].v_samp_factor = down(source, i);
    encoder->comp_info[i].quant_tbl_no = source->comp_info[i].quant_tbl_no;
  }
  jpeg_start_compress(encoder, TRUE);
  while (encoder->next_scanline < encoder->image_height) {
    JSAMPROW row = (JSAMPROW)patch.pixels + (size_t)encoder->next_scanline * patch.width * source->num_components;
    jpeg_write_scanlines(encoder, &row, 1);
  }
  jpeg_finish_compress(encoder);
}

static JBLOCKROW block_row(struct jpeg_decompress_struct *jpeg, jvirt_barray_ptr blocks, int64_t row, bool writes) {
  return jpeg->mem->access_virt_barray((j_common_ptr)jpeg, blocks, row, 1, writes)[0];
}

// Copies the blocks of the units that are replaced.
static void replace(Work *work, CJPatch patch, jvirt_barray_ptr *blocks, jvirt_barray_ptr *coded) {
  CJLayout layout = layout_of(&work->source);
  int64_t columns = (layout.width + layout.unit_width - 1) / layout.unit_width;
  int64_t rows = (layout.height + layout.unit_height - 1) / layout.unit_height;
  for (int c = 0; c < layout.components; ++c) {
    const jpeg_component_info *to = &work->source.comp_info[c], *from = &work->coded.comp_info[c];
    int h = across(&work->source, c), v = down(&work->source, c);
    for (int64_t y = patch.y * v; y < (int64_t)to->height_in_blocks && y < rows * v; ++y) {
      int64_t row = y - patch.y * v;
      if (row >= (int64_t)from->height_in_blocks) break;
      JBLOCKROW target = block_row(&work->source, blocks[c], y, true), new = block_row(&work->coded, coded[c], row, false);
      for (int64_t x = patch.x * h; x < (int64_t)to->width_in_blocks; ++x) {
        int64_t column = x - patch.x * h;
        if (column >= (int64_t)from->width_in_blocks) break;
        if (patch.changed[y / v * columns + x / h]) memcpy(target[x], new[column], sizeof(JBLOCK));
      }
    }
  }
}

bool cj_patch(const uint8_t *bytes, size_t count, CJPatch patch, uint8_t **result, size_t *result_count) {
  Work *work = work_new();
  if (!work) return false;
  if (setjmp(work->faults.fault)) {
    work_free(work);
    return false;
  }
  bool known = read_header(&work->source, bytes, count);
  if (known) {
    jvirt_barray_ptr *blocks = jpeg_read_coefficients(&work->source);
    if (patch.width > 0 && patch.height > 0) {
      encode_patch(work, patch);
      read_header(&work->coded, work->patch, work->patch_count);
      replace(work, patch, blocks, jpeg_read_coefficients(&work->coded));
    }
    struct jpeg_compress_struct *target = &work->target;
    jpeg_create_compress(target);
    jpeg_mem_dest(target, &work->result, &work->result_count);
    jpeg_copy_critical_parameters(&work->source, target);
    target->optimize_coding = TRUE;
    target->restart_interval = work->source.restart_interval;
    target->write_JFIF_header = target->write_Adobe_marker = FALSE;
    if (work->source.progressive_mode) jpeg_simple_progression(target);
    jpeg_write_coefficients(target, blocks);
    jpeg_finish_compress(target);
    *result = work->result;
    *result_count = work->result_count;
    work->result = NULL;
  }
  work_free(work);
  return known;
}

bool cj_coefficients(const uint8_t *bytes, size_t count, int component, int16_t *values, size_t *value_count) {
  Work *work = work_new();
  if (!work) return false;
  if (setjmp(work->faults.fault)) {
    work_free(work);
    return false;
  }
  bool known = read_header(&work->source, bytes, count) && component < work->source.num_components;
  if (known) {
    jvirt_barray_ptr *blocks = jpeg_read_coefficients(&work->source);
    const jpeg_component_info *info = &work->source.comp_info[component];
    size_t row_count = (size_t)info->width_in_blocks * DCTSIZE2;
    *value_count = row_count * info->height_in_blocks;
    for (size_t y = 0; values && y < info->height_in_blocks; ++y)
      memcpy(values + y * row_count, block_row(&work->source, blocks[component], y, false), row_count * sizeof *values);
  }
  work_free(work);
  return known;
}
