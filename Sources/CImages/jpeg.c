// JPEG through libjpeg-turbo: https://libjpeg-turbo.org, and libjpeg.txt of its sources.
//
// Decoded with the exact DCT and smooth chroma, as libjpeg's defaults are and Pillow takes them. Of a large image only
// the wanted columns and rows are computed; the entropy-coded data has to be gone through up to the last of these.

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "CImages.h"

#ifndef LIBJPEG_TURBO_VERSION
#error "This is not libjpeg-turbo: install libjpeg-turbo's headers (libjpeg62-turbo-dev, libjpeg-turbo8-dev or jpeg-turbo)."
#endif

/// Smooth chroma looks at the columns beside; this many are decoded on each side so that cutting changes nothing.
enum { margin = 16 };
/// A small file can have scans without end, each of which goes through the whole image.
enum { most_scans = 500 };
enum { end_of_image = 0xD9 };

struct jpeg_reader {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf failure;
  image_status status;
  char message[JMSG_LENGTH_MAX];
  uint8_t *row;
};

static jpeg_reader *reader_of(j_common_ptr info) { return info->client_data; }

static void fail(j_common_ptr info) {
  jpeg_reader *reader = reader_of(info);
  int code = info->err->msg_code;
  reader->status = code == JERR_OUT_OF_MEMORY ? image_no_memory
                   : code == JERR_BAD_PRECISION || code == JERR_ARITH_NOTIMPL || code == JERR_SOF_UNSUPPORTED ||
                           code == JERR_CONVERSION_NOTIMPL
                       ? image_unsupported
                       : image_malformed;
  info->err->format_message(info, reader->message);
  longjmp(reader->failure, 1);
}

static void fail_with(jpeg_reader *reader, image_status status, const char *message) {
  reader->status = status;
  strncpy(reader->message, message, sizeof reader->message - 1);
  longjmp(reader->failure, 1);
}

/// Damaged data that can still be decoded is no error, as in Pillow.
static void ignore_warning(j_common_ptr info, int level) {
  if (level < 0) info->err->num_warnings++;
}
static void ignore_message(j_common_ptr info) { (void)info; }

static void watch_scans(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number > most_scans)
    fail_with(reader_of(info), image_malformed, "it has more than 500 scans");
}

static void ignore_start(j_decompress_ptr info) { (void)info; }
static boolean end_of_file(j_decompress_ptr info) {
  fail_with(reader_of((j_common_ptr)info), image_truncated, "");
  return FALSE;
}
static void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if ((size_t)count > info->src->bytes_in_buffer) end_of_file(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= (size_t)count;
}

/// Blocks of 64 coefficients of two bytes that are kept between the scans of an image.
static uint64_t coefficient_bytes(j_decompress_ptr info) {
  uint64_t bytes = 0;
  for (int index = 0; index < info->num_components; index++) {
    jpeg_component_info *component = &info->comp_info[index];
    // Rounded up to whole units of all components.
    uint64_t across = (uint64_t)component->width_in_blocks + component->h_samp_factor;
    uint64_t down = (uint64_t)component->height_in_blocks + component->v_samp_factor;
    bytes += across * down * 128;
  }
  return bytes;
}

jpeg_reader *jpeg_reader_open(const uint8_t *bytes, size_t count, image_header *header, image_status *status) {
  jpeg_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    *status = image_no_memory;
    return NULL;
  }
  j_decompress_ptr info = &reader->info;
  info->err = jpeg_std_error(&reader->errors);
  reader->errors.error_exit = fail;
  reader->errors.emit_message = ignore_warning;
  reader->errors.output_message = ignore_message;
  info->client_data = reader;
  if (setjmp(reader->failure)) {
    *status = reader->status;
    return reader;
  }
  jpeg_create_decompress(info);
  info->client_data = reader;
  reader->source = (struct jpeg_source_mgr){
      .next_input_byte = bytes,
      .bytes_in_buffer = count,
      .init_source = ignore_start,
      .fill_input_buffer = end_of_file,
      .skip_input_data = skip,
      .resync_to_restart = jpeg_resync_to_restart,
      .term_source = ignore_start,
  };
  info->src = &reader->source;
  reader->progress.progress_monitor = watch_scans;
  info->progress = &reader->progress;
  jpeg_read_header(info, TRUE);
  if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4)
    fail_with(reader, image_unsupported, "it has neither 1, 3 nor 4 components");
  *header = (image_header){
      .width = info->image_width,
      .height = info->image_height,
      .memory = jpeg_has_multiple_scans(info) ? coefficient_bytes(info) : 0,
      // Huffman codes take a bit for each block of 8 × 8 values at least, arithmetic codes may take next to nothing. No
      // component has more than four pixels for a value, in either direction.
      .smallest_file = info->arith_code ? 0 : (uint64_t)info->image_width * info->image_height / 64 / 16 / 8,
  };
  *status = image_done;
  return reader;
}

image_status jpeg_reader_start(jpeg_reader *reader, uint32_t row, uint32_t *column, uint32_t columns) {
  j_decompress_ptr info = &reader->info;
  if (setjmp(reader->failure)) return reader->status;
  info->out_color_space = info->num_components == 4 ? JCS_CMYK : JCS_EXT_RGBX;
  jpeg_start_decompress(info);
  JDIMENSION first = *column > margin ? *column - margin : 0;
  JDIMENSION end = *column + columns < info->output_width - margin && info->output_width > margin
                       ? *column + columns + margin
                       : info->output_width;
  if (first > 0 || end < info->output_width) {
    JDIMENSION width = end - first;
    jpeg_crop_scanline(info, &first, &width);
  }
  *column = first;
  free(reader->row);
  reader->row = malloc((size_t)info->output_width * 4 + 64);
  if (!reader->row) fail_with(reader, image_no_memory, "");
  if (row > 0) jpeg_skip_scanlines(info, row);
  return image_done;
}

/// Red, green and blue of a print's inks, as Pillow has them. Adobe's files, and there are no others, are inverted.
static void convert_inks(uint8_t *row, size_t count) {
  for (size_t index = 0; index < count; index++, row += 4) {
    unsigned black = row[3];
    for (int channel = 0; channel < 3; channel++) {
      unsigned product = (255 - row[channel]) * black + 128;
      int value = (int)black - (int)(((product >> 8) + product) >> 8);
      row[channel] = (uint8_t)(value < 0 ? 0 : value);
    }
  }
}

image_status jpeg_reader_next(jpeg_reader *reader, const uint8_t **row) {
  j_decompress_ptr info = &reader->info;
  if (setjmp(reader->failure)) return reader->status;
  if (jpeg_read_scanlines(info, &reader->row, 1) != 1) fail_with(reader, image_truncated, "");
  if (info->out_color_space == JCS_CMYK) convert_inks(reader->row, info->output_width);
  *row = reader->row;
  return image_done;
}

image_status jpeg_reader_end(jpeg_reader *reader) {
  j_decompress_ptr info = &reader->info;
  if (info->unread_marker == end_of_image || jpeg_input_complete(info)) return image_done;
  // Within entropy-coded data, a byte of all ones is followed by a zero.
  const uint8_t *next = info->src->next_input_byte;
  const uint8_t *end = next + info->src->bytes_in_buffer;
  while ((next = memchr(next, 0xFF, (size_t)(end - next))) && ++next < end)
    if (*next == end_of_image) return image_done;
  return image_truncated;
}

const char *jpeg_reader_message(const jpeg_reader *reader) { return reader->message; }

void jpeg_reader_close(jpeg_reader *reader) {
  if (!reader) return;
  jpeg_destroy_decompress(&reader->info);
  free(reader->row);
  free(reader);
}
