// dlib's face detector and landmark predictor behind a C interface.
//
// Every function that can fail returns a status, 0 for success; the message of the last failure on
// the calling thread is in cd_last_error(). No C++ exception leaves this library.
// Pictures are 8-bit RGB, interleaved, rows without padding.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CD_LANDMARKS = 68 };

typedef struct CDDetector CDDetector;    // not to be used by two threads at once
typedef struct CDLandmarks CDLandmarks;  // may be used by many threads

// A face as dlib reports it: pixel indices, all four inclusive; they may lie outside the picture.
typedef struct {
  int64_t left, top, right, bottom;
  double score;
} CDFace;

const char *cd_last_error(void);

// Reads a frontal face detector that cd_detector_save wrote. A null path stands for the one inside
// dlib, which is the same but takes dlib half a second to unpack.
int cd_detector_load(const char *path, CDDetector **result);
int cd_detector_save(const CDDetector *detector, const char *path);
void cd_detector_free(CDDetector *detector);
// Writes the best `capacity` faces, best first, and the number written to count.
int cd_detector_find(const CDDetector *detector, const uint8_t *rgb, int64_t width, int64_t height,
                     double threshold, CDFace *faces, int64_t capacity, int64_t *count);

// Reads a shape predictor in dlib's own format, with 68 points. Several times faster than dlib
// itself, and needs two thirds of the file's size in memory.
int cd_landmarks_load(const char *path, CDLandmarks **result);
void cd_landmarks_free(CDLandmarks *landmarks);
// Writes x, y of the 68 points, in pixel indices (0 is the middle of the first pixel).
int cd_landmarks_find(const CDLandmarks *landmarks, const uint8_t *rgb, int64_t width, int64_t height,
                      CDFace face, double *points);

#ifdef __cplusplus
}
#endif
