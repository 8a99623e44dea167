#include "form.hpp"

#include <algorithm>
#include <cmath>

namespace golf {

namespace {

// What takes a pixel (x, y, 1) of the new image to a place in the old one, [2][3].
void placement(const Form& form, const double* sums, int height, int width, float* affine) {
  const double s = sums[0], cx = sums[1] / s, cy = sums[2] / s;
  const double xx = sums[3] / s - cx * cx, xy = sums[4] / s - cx * cy, yy = sums[5] / s - cy * cy;
  const double slant = xy / yy, left = std::max(xx - slant * xy, 0.0);
  const double kx = std::pow(std::sqrt(left) / form.width, form.width_exponent);
  const double ky = std::pow(std::sqrt(yy) / form.height, form.height_exponent);
  // From coordinates (2 p + 1) / size - 1 to pixels p and back.
  const double half_x = 0.5 * width, half_y = 0.5 * height;
  const double matrix[2][3] = {{kx, slant * ky, cx}, {0, ky, cy}};
  for (int row = 0; row < 2; ++row) {
    const double half = row == 0 ? half_x : half_y;
    const double mx = matrix[row][0] * half / half_x, my = matrix[row][1] * half / half_y;
    affine[3 * row] = float(mx), affine[3 * row + 1] = float(my);
    affine[3 * row + 2] = float(half * matrix[row][2] + half - 0.5 - mx * (half_x - 0.5) - my * (half_y - 0.5));
  }
}

}  // namespace

void bring_into_form(const Kernels& kernels, const Form& form, const Images& images, int channels, int height,
                     int width, float scale, float shift, int threads, float* out) {
  constexpr int64_t block = 128;
  constexpr int columns = 32;  // the kernels' blocks
  const int pitch = (width + columns - 1) / columns * columns, padded_pitch = width + 3;
  const size_t pixels = size_t(height) * size_t(width), padded = size_t(height + 3) * size_t(padded_pitch);
  struct Scratch {
    std::vector<float> ink, sums, planes;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(threads));
  for (Scratch& s : scratch) {
    s.ink.assign(size_t(height) * size_t(pitch), 0);
    s.sums.assign(3 * size_t(pitch), 0);
    s.planes.assign(padded * size_t(channels), 0);
  }
  // Of the faint ink: coordinates (2 p + 1) / size - 1 add up to 0, and their squares to this.
  const double faint = form.faint * double(pixels);
  const double faint_xx = faint * (1 - 1.0 / (double(width) * width)) / 3;
  const double faint_yy = faint * (1 - 1.0 / (double(height) * height)) / 3;

  const auto one = [&](int64_t i, Scratch& s) {
    const int64_t row = images.rows ? images.rows[i] : i;
    for (int c = 0; c < channels; ++c) {
      const size_t from = size_t(row) * size_t(images.pixels) + size_t(c) * pixels;
      float* plane = s.planes.data() + size_t(c) * padded;
      for (int y = 0; y < height; ++y) {
        float* to = plane + size_t(y + 1) * size_t(padded_pitch) + 1;
        const size_t line = from + size_t(y) * size_t(width);
        if (images.bytes) {
          const uint8_t* bytes = static_cast<const uint8_t*>(images.data) + line;
          for (int x = 0; x < width; ++x) to[x] = float(bytes[x]) * (1.0f / 255);
        } else {
          std::copy_n(static_cast<const float*>(images.data) + line, width, to);
        }
        float* ink = s.ink.data() + size_t(y) * size_t(pitch);
        if (c == 0)
          std::copy_n(to, width, ink);
        else
          for (int x = 0; x < width; ++x) ink[x] += to[x];
      }
    }
    kernels.moments(s.ink.data(), height, pitch, s.sums.data());
    double sums[6] = {faint, 0, 0, faint_xx, 0, faint_yy};
    for (int x = 0; x < width; ++x) {
      const double u = double(2 * x + 1 - width) / width;
      const double f = s.sums[size_t(x)], fy = s.sums[size_t(pitch + x)];
      sums[0] += f, sums[1] += u * f, sums[2] += fy;
      sums[3] += u * u * f, sums[4] += u * fy, sums[5] += s.sums[size_t(2 * pitch + x)];
    }
    float affine[6];
    placement(form, sums, height, width, affine);
    for (int c = 0; c < channels; ++c)
      kernels.resample(s.planes.data() + size_t(c) * padded, height, width, affine, scale, shift,
                       out + (size_t(i) * size_t(channels) + size_t(c)) * pixels);
  };

  Team team(threads);
  team.run((images.count + block - 1) / block, [&](int64_t task, int worker) {
    for (int64_t i = task * block; i < std::min(images.count, (task + 1) * block); ++i) one(i, scratch[size_t(worker)]);
  });
}

}  // namespace golf
