#include "CDlib.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <dlib/array2d.h>
#include <dlib/image_processing/frontal_face_detector.h>
#include <dlib/image_processing/shape_predictor.h>
#include <dlib/pixel.h>

namespace {

thread_local std::string last_error;

// Runs `body`; an exception becomes a status and a message.
template <typename Body>
int guarded(Body &&body) noexcept {
  try {
    body();
    return 0;
  } catch (const std::exception &error) {
    try {
      last_error = error.what();
    } catch (...) {
    }
  } catch (...) {
    last_error.clear();
  }
  return 1;
}

using Image = dlib::array2d<dlib::rgb_pixel>;

void copy(const uint8_t *rgb, int64_t width, int64_t height, Image &image) {
  static_assert(sizeof(dlib::rgb_pixel) == 3);
  if (!rgb || width <= 0 || height <= 0) throw std::invalid_argument("an empty picture");
  image.set_size(height, width);
  for (int64_t y = 0; y < height; ++y) std::memcpy(&image[y][0], rgb + y * width * 3, width * 3);
}

// Reads dlib's serialisation format (see the top of dlib/serialize.h) through a small buffer.
class Reader {
 public:
  explicit Reader(const char *path) : buffer_(1 << 20) {
    descriptor_ = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw std::runtime_error(std::strerror(errno));
    struct stat status;
    if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      close(descriptor_);
      throw std::runtime_error("not a regular file");
    }
    size_ = status.st_size;
  }
  ~Reader() { close(descriptor_); }
  Reader(const Reader &) = delete;
  Reader &operator=(const Reader &) = delete;

  size_t size() const { return size_; }

  // A control byte (sign, number of bytes), then the absolute value, lowest byte first.
  int64_t integer() {
    if (end_ - next_ < 9) refill();
    uint8_t control = buffer_[next_];
    size_t count = control & 15;
    if (next_ == end_ || count == 0 || count > 8 || (control & 0x70) || end_ - next_ < count + 1) damaged();
    uint64_t value;
    std::memcpy(&value, &buffer_[next_ + 1], 8);
    value &= ~uint64_t(0) >> (64 - 8 * count);
    next_ += count + 1;
    return control & 0x80 ? -int64_t(value) : int64_t(value);
  }

  size_t count(size_t limit) {
    int64_t value = integer();
    if (value < 0 || uint64_t(value) > limit) damaged();
    return value;
  }

  // Mantissa and exponent; the reserved exponents of infinities and NaN are refused.
  float real() {
    int64_t mantissa = integer(), exponent = integer();
    if (exponent < -1000 || exponent > 1000) damaged();
    uint64_t bits = uint64_t(exponent + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, 8);
    float value = float(double(mantissa) * power);
    if (!std::isfinite(value)) damaged();
    return value;
  }

  // A column of `rows` numbers, appended.
  void column(size_t rows, std::vector<float> &values) {
    // dlib marks its present format by negative sizes.
    if (integer() != -int64_t(rows) || integer() != -1) damaged();
    for (size_t i = 0; i < rows; ++i) values.push_back(real());
  }

  bool finished() {
    if (next_ == end_) refill();
    return next_ == end_;
  }

  [[noreturn]] static void damaged() { throw std::runtime_error("not a 68-point shape predictor of dlib, or damaged"); }

 private:
  void refill() {
    std::memmove(buffer_.data(), &buffer_[next_], end_ - next_);
    end_ -= next_;
    next_ = 0;
    // Eight bytes stay free, so that integer() may read past the last one.
    while (end_ < buffer_.size() - 8) {
      ssize_t count = read(descriptor_, &buffer_[end_], buffer_.size() - 8 - end_);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw std::runtime_error(std::strerror(errno));
      if (count == 0) return;
      end_ += count;
    }
  }

  int descriptor_;
  size_t size_ = 0, next_ = 0, end_ = 0;
  std::vector<uint8_t> buffer_;
};

struct Split {
  uint32_t first, second;
  float threshold;
};

struct Tree {
  size_t splits, split_count, leaves;  // where they begin in the cascade's lists
};

struct Cascade {
  std::vector<Tree> trees;
  std::vector<Split> splits;
  std::vector<float> leaves;
  std::vector<unsigned long> anchors;
  std::vector<dlib::vector<float, 2>> deltas;
};

constexpr size_t numbers = 2 * CD_LANDMARKS;

}  // namespace

struct CDDetector {
  dlib::frontal_face_detector detector;
};

// Regression trees after Kazemi and Sullivan, "One millisecond face alignment with an ensemble of
// regression trees", 2014, as dlib's shape_predictor has them, but with all leaves in one block:
// dlib's own deserialisation makes 120 000 small matrices and takes a second.
struct CDLandmarks {
  dlib::matrix<float, 0, 1> initial;
  std::vector<Cascade> cascades;

  explicit CDLandmarks(const char *path) {
    Reader reader(path);
    if (reader.integer() != 1) Reader::damaged();
    std::vector<float> shape;
    reader.column(numbers, shape);
    initial = dlib::mat(shape);
    cascades.resize(reader.count(100));
    for (Cascade &cascade : cascades) read(reader, cascade);
    if (reader.count(100) != cascades.size()) Reader::damaged();
    for (Cascade &cascade : cascades) {
      cascade.anchors.resize(reader.count(100'000));
      for (auto &anchor : cascade.anchors) anchor = reader.count(CD_LANDMARKS - 1);
    }
    if (reader.count(100) != cascades.size()) Reader::damaged();
    for (Cascade &cascade : cascades) {
      cascade.deltas.resize(reader.count(100'000));
      if (cascade.deltas.size() != cascade.anchors.size()) Reader::damaged();
      for (auto &delta : cascade.deltas) {
        delta.x() = reader.real();
        delta.y() = reader.real();
      }
      for (const Split &split : cascade.splits)
        if (std::max(split.first, split.second) >= cascade.deltas.size()) Reader::damaged();
    }
    if (!reader.finished()) Reader::damaged();
  }

  static void read(Reader &reader, Cascade &cascade) {
    size_t count = reader.count(100'000);
    for (size_t i = 0; i < count; ++i) {
      size_t splits = reader.count(4095);
      cascade.trees.push_back({cascade.splits.size(), splits, cascade.leaves.size()});
      for (size_t j = 0; j < splits; ++j) {
        Split split;
        split.first = reader.count(UINT32_MAX);
        split.second = reader.count(UINT32_MAX);
        split.threshold = reader.real();
        cascade.splits.push_back(split);
      }
      // A full tree: so every walk from the root ends at a leaf.
      size_t leaves = reader.count(4096);
      if (leaves != splits + 1 || (leaves & splits)) Reader::damaged();
      // Exact in one go for equal trees; the file's size bounds what a damaged one can ask for.
      if (i == 0) cascade.leaves.reserve(std::min(count * leaves * numbers, reader.size() / 4));
      for (size_t j = 0; j < leaves; ++j) reader.column(numbers, cascade.leaves);
    }
  }

  dlib::matrix<float, 0, 1> shape(const Image &image, const dlib::rectangle &rectangle) const {
    dlib::matrix<float, 0, 1> shape = initial;
    std::vector<float> features;
    for (const Cascade &cascade : cascades) {
      dlib::impl::extract_feature_pixel_values(
          image, rectangle, shape, initial, cascade.anchors, cascade.deltas, features);
      for (const Tree &tree : cascade.trees) {
        size_t node = 0;
        while (node < tree.split_count) {
          const Split &split = cascade.splits[tree.splits + node];
          node = 2 * node + (features[split.first] - features[split.second] > split.threshold ? 1 : 2);
        }
        const float *leaf = &cascade.leaves[tree.leaves + (node - tree.split_count) * numbers];
        for (size_t i = 0; i < numbers; ++i) shape(i) += leaf[i];
      }
    }
    return shape;
  }
};

const char *cd_last_error(void) { return last_error.c_str(); }

int cd_detector_load(const char *path, CDDetector **result) {
  return guarded([&] {
    auto detector = std::make_unique<CDDetector>();
    if (path) {
      std::ifstream file(path, std::ios::binary);
      if (!file) throw std::runtime_error(std::strerror(errno));
      dlib::deserialize(detector->detector, file);
    } else {
      detector->detector = dlib::get_frontal_face_detector();
    }
    *result = detector.release();
  });
}

int cd_detector_save(const CDDetector *detector, const char *path) {
  return guarded([&] {
    std::ofstream file(path, std::ios::binary);
    dlib::serialize(detector->detector, file);
    if (!file.flush()) throw std::runtime_error(std::strerror(errno));
  });
}

void cd_detector_free(CDDetector *detector) { delete detector; }

int cd_detector_find(const CDDetector *detector, const uint8_t *rgb, int64_t width, int64_t height,
                     double threshold, CDFace *faces, int64_t capacity, int64_t *count) {
  return guarded([&] {
    Image image;
    copy(rgb, width, height, image);
    std::vector<dlib::rect_detection> found;
    // dlib's detector keeps scratch space in itself.
    auto own = detector->detector;
    own(image, found, threshold);
    // The detector sorts by confidence, best first.
    *count = std::min<int64_t>(found.size(), capacity);
    for (int64_t i = 0; i < *count; ++i) {
      const dlib::rectangle &r = found[i].rect;
      faces[i] = {r.left(), r.top(), r.right(), r.bottom(), found[i].detection_confidence};
    }
  });
}

int cd_landmarks_load(const char *path, CDLandmarks **result) {
  return guarded([&] { *result = new CDLandmarks(path); });
}

void cd_landmarks_free(CDLandmarks *landmarks) { delete landmarks; }

int cd_landmarks_find(const CDLandmarks *landmarks, const uint8_t *rgb, int64_t width, int64_t height,
                      CDFace face, double *points) {
  return guarded([&] {
    Image image;
    copy(rgb, width, height, image);
    dlib::rectangle rectangle(face.left, face.top, face.right, face.bottom);
    if (rectangle.width() < 2 || rectangle.height() < 2) throw std::invalid_argument("an empty rectangle");
    auto shape = landmarks->shape(image, rectangle);
    auto place = dlib::impl::unnormalizing_tform(rectangle);
    for (unsigned long i = 0; i < CD_LANDMARKS; ++i) {
      dlib::vector<double, 2> point = place(dlib::impl::location(shape, i));
      points[2 * i] = point.x();
      points[2 * i + 1] = point.y();
    }
  });
}
