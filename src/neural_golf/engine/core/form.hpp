// Images brought into their canonical form: recentred, slant sheared out, width and height scaled (engine/form.py).
#pragma once

#include <cstdint>

#include "core.hpp"

namespace golf {

struct Form {
  double width, height, width_exponent, height_exponent;  // spreads with coordinates from -1 to 1
  double faint;  // ink that every pixel is given when the moments are taken
};

// out[n][channels][height][width] = scale * the formed image + shift; uint8 images are divided by 255 first.
void bring_into_form(const Kernels& kernels, const Form& form, const Images& images, int channels, int height,
                     int width, float scale, float shift, int threads, float* out);

}  // namespace golf
